//! The dashboard's side of the daemon: starts it, and answers what it asks.
//!
//! Guarding comes first. A port that is taken, or a socket that cannot be made, is a gap that
//! `status` shows and the log tells; it is no reason not to guard.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{sync::mpsc, task::spawn_local};

use super::{
    Daemon, answers,
    door::{Answer, Door},
    run::Options,
};
use crate::{
    control::{
        message::{Code, Failure, Reply},
        overview::Overview,
        server::Response,
        socket,
        status::{Link, Listener},
    },
    dashboard::{
        Address, Listeners, Question, Server, Start,
        policies::InForce,
        token::{self, Token},
    },
};

/// What `status` calls them.
const PAGE: &str = "dashboard";
const METRICS: &str = "metrics";

/// Questions that may wait.
const QUEUE: usize = 16;

/// What was asked for, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) listeners: Vec<Listener>,
    link: Option<(Address, Token)>,
    server: Option<Server>,
    /// Files to be removed at the end.
    files: Vec<PathBuf>,
}

/// Starts what the options ask for. Nothing that goes wrong here ends the daemon.
pub(super) fn start(
    options: &Options,
    daemon: &Daemon,
    door: &Arc<Door>,
) -> (Watched, mpsc::Receiver<Question>) {
    let (questions, asked) = mpsc::channel(QUEUE);
    let mut watched = Watched::default();
    if options.dashboard.is_none() {
        // Of a daemon that was killed. Mostly there is none.
        drop(fs::remove_file(options.runtime_dir.join(token::FILE)));
    }
    if options.dashboard.is_none() && options.metrics_socket.is_none() {
        return (watched, asked);
    }
    let started = watched.begin(options, daemon, door, questions);
    if let Err(error) = started {
        let failure = format!("{error:#}");
        tracing::warn!("the dashboard is not there: {failure}");
        watched.link = None;
        for listener in &mut watched.listeners {
            listener.failure.get_or_insert_with(|| failure.clone());
        }
    }
    (watched, asked)
}

impl Watched {
    fn begin(
        &mut self,
        options: &Options,
        daemon: &Daemon,
        door: &Arc<Door>,
        questions: mpsc::Sender<Question>,
    ) -> anyhow::Result<()> {
        let page = options.dashboard.and_then(|address| self.bind(address));
        let metrics = options.metrics_socket.as_deref();
        let metrics = metrics.and_then(|path| self.bind_metrics(path));
        if page.is_none() && metrics.is_none() {
            return Ok(());
        }
        let token = Token::make()?;
        if let Some((address, _)) = &page {
            self.files.push(token.keep(&options.runtime_dir)?);
            self.link = Some((*address, token.clone()));
        }
        let sink = daemon.records.sink();
        self.server = Some(Server::start(Start {
            listeners: Listeners { page, metrics },
            token,
            questions,
            tally: sink.tally(),
            sink: sink.clone(),
            handler: Arc::clone(door),
        })?);
        for listener in self.listeners.iter().filter(|one| one.failure.is_none()) {
            tracing::info!(
                at = listener.address,
                "{} for people and programs of this machine",
                listener.name
            );
        }
        Ok(())
    }

    fn bind(&mut self, address: Address) -> Option<(Address, TcpListener)> {
        let bound = TcpListener::bind(address.socket()).and_then(|listener| {
            let at = listener.local_addr()?;
            Ok((address.with(at), listener))
        });
        let failure = bound.as_ref().err().map(|error| {
            format!("{address} cannot be listened at ({error}): name another port with `--dashboard`, and restart egressd")
        });
        let at = bound.as_ref().map_or(address, |(at, _)| *at);
        self.note(PAGE, at.url(), failure);
        bound.ok()
    }

    fn bind_metrics(&mut self, path: &Path) -> Option<std::os::unix::net::UnixListener> {
        let bound = socket::bind(path);
        let failure = bound.as_ref().err().map(|error| {
            let error = anyhow::Error::msg(format_chain(error));
            format!("{error:#}: name another path with `--metrics-socket`, and restart egressd")
        });
        if failure.is_none() {
            self.files.push(path.to_owned());
        }
        self.note(METRICS, path.display().to_string(), failure);
        bound.ok()
    }

    fn note(&mut self, name: &str, address: String, failure: Option<String>) {
        if let Some(failure) = &failure {
            tracing::warn!("{name}: {failure}");
        }
        self.listeners.push(Listener {
            name: name.to_owned(),
            address,
            failure,
        });
    }

    /// The page with its token. Only who may look gets here.
    pub(super) fn link(&self) -> Result<Link, Failure> {
        if let Some((address, token)) = &self.link {
            return Ok(Link {
                url: address.url(),
                token: token.reveal().to_owned(),
            });
        }
        let mut pages = self.listeners.iter().filter(|one| one.name == PAGE);
        let failure = pages.next().and_then(|page| page.failure.clone());
        Err(match failure {
            Some(failure) => Failure::new(
                Code::Failed,
                format!("the dashboard is not there: {failure}"),
            ),
            None => Failure::new(Code::NotFound, "egressd runs without a dashboard").with_help(
                "start it with `--dashboard 127.0.0.1:9440`; for the service, `systemctl edit egressd`",
            ),
        })
    }

    /// Takes no more questions, and leaves nothing behind.
    pub(super) fn end(self) {
        drop(self.server);
        for file in self.files {
            if let Err(error) = fs::remove_file(&file) {
                tracing::debug!(%error, file = %file.display(), "a file of the dashboard stays");
            }
        }
    }
}

fn format_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn overview(told: Result<Answer, Failure>) -> Result<Box<Overview>, Failure> {
    let unknown = || Failure::new(Code::Failed, "egressd answered something else");
    let response = match told? {
        Answer::Now(response) => response,
        Answer::Later(response) => response.await.map_err(|_stopping| unknown())?,
        Answer::Judge(_) => return Err(unknown()),
    };
    match response {
        Response::One(Reply::Overview(overview)) => Ok(overview),
        Response::Failed(failure) => Err(failure),
        Response::One(_) | Response::Log(_) => Err(unknown()),
    }
}

impl Daemon {
    /// Answers the dashboard. Nothing here changes anything.
    pub(super) fn show(&mut self, question: Question) {
        // Whoever asked may have left.
        match question {
            Question::Overview(answer) => {
                // The list of flows is waited for elsewhere.
                let told = self.overview(None);
                spawn_local(async move { drop(answer.send(overview(told).await)) });
            }
            Question::Status(answer) => {
                drop(answer.send(answers::status(self, None).map(Box::new)));
            }
            Question::Why {
                target,
                session,
                answer,
            } => {
                let told = answers::why(self, &target, session.as_deref()).map(Box::new);
                drop(answer.send(told));
            }
            Question::Policies(answer) => drop(answer.send(Ok(self.in_force()))),
        }
    }

    fn in_force(&self) -> Vec<InForce> {
        let guards = self.guards.iter().map(|running| &running.guard);
        guards
            .map(|guard| {
                let policy = guard.world().policy();
                InForce::new(guard.cgroup.path(), guard.policy_path.clone(), &policy)
            })
            .collect()
    }
}
