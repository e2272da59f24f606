//! The thread that asks the daemon, so that keys never wait for it.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use super::{dialog::Then, terminal::News};
use crate::control::{
    client::{Client, ClientError},
    message::{Reply, Request},
    overview::Overview,
};

/// Asks for one overview.
pub(super) fn overview(socket: &Path, session: Option<&str>) -> Result<Box<Overview>, ClientError> {
    let request = Request::Overview {
        session: session.map(str::to_owned),
    };
    match Client::connect(socket)?.request(&request)? {
        Reply::Overview(overview) => Ok(overview),
        Reply::Status(_)
        | Reply::Sessions(_)
        | Reply::Why(_)
        | Reply::Denials(_)
        | Reply::Egress(_)
        | Reply::Judged(_)
        | Reply::Aftermath(_)
        | Reply::Entered(_)
        | Reply::Dashboard(_)
        | Reply::Opening(_)
        | Reply::Grants(_)
        | Reply::Pending(_)
        | Reply::Line(_)
        | Reply::Missed(_)
        | Reply::Unreadable(_)
        | Reply::Done(_) => Err(ClientError::Unexpected),
    }
}

/// Says whose word it is, for the record.
fn sign(request: &mut Request) {
    if let Request::Allow { claimed, .. } | Request::Approve { claimed, .. } = request {
        *claimed = crate::cli::allow::claimed();
    }
}

/// Where requests of keys go.
pub(super) type Wishes = Sender<(Box<Request>, Then)>;

/// Looks each `interval`, and carries out requests at once.
pub(super) fn start(
    socket: PathBuf,
    session: Option<String>,
    interval: Duration,
    news: Sender<News>,
) -> std::io::Result<Wishes> {
    let (wishes, wished) = channel();
    let source = Source {
        socket,
        session,
        interval,
        news,
    };
    thread::Builder::new()
        .name("daemon".to_owned())
        .spawn(move || source.run(&wished))?;
    Ok(wishes)
}

struct Source {
    socket: PathBuf,
    session: Option<String>,
    interval: Duration,
    news: Sender<News>,
}

impl Source {
    /// Until nobody listens any more.
    fn run(&self, wished: &Receiver<(Box<Request>, Then)>) {
        let mut next = Instant::now();
        loop {
            let pause = next.saturating_duration_since(Instant::now());
            let news = match wished.recv_timeout(pause) {
                Ok((mut request, then)) => {
                    sign(&mut request);
                    // What it changed is to be seen soon.
                    next = Instant::now() + Duration::from_millis(300).min(self.interval);
                    let reply = Client::connect(&self.socket)
                        .and_then(|mut client| client.request(&request));
                    News::Answer(then, Box::new(reply.map_err(|error| error.to_string())))
                }
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + self.interval;
                    match overview(&self.socket, self.session.as_deref()) {
                        Ok(overview) => News::Overview(overview),
                        Err(error) => News::Gone(error.to_string()),
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.news.send(news).is_err() {
                return;
            }
        }
    }
}
