//! `egressd run`: from arguments to enforcement, and back.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::{self, IsTerminal as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitStatus,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Rlimit};
use tokio::{
    process::Child,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::{LocalSet, spawn_local, yield_now},
    time::timeout,
};

use super::{
    Daemon, Ended, SetVerbosity,
    calls::Calls,
    door::{Door, Errand, Known},
    files,
    grants::Grants,
    guard::Guard,
    heap,
    notify::notify,
    policies::{Loaded, load_policies},
    privileges, proxied, records,
    records::Records,
    start::{plans, refuse_nested, start_guards},
    watched::{self, Watched},
};
use crate::{
    audit::{
        file::Settings,
        record::{Kind, Record},
        sink::{Sink, Writer},
    },
    control::{server, socket},
    dashboard::Address,
    kernel::{Hierarchy, KernelError, boot, check_kernel, events::Events, lsm, pins::Pins, watch},
    launch::{child::Start, parent, privileges::User},
    policy::AuditSettings,
    trust::Trusted,
};

/// What `egressd run` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cgroup paths with the policy of each.
    pub guards: Vec<(String, PathBuf)>,
    pub runtime_dir: PathBuf,
    pub pin_dir: PathBuf,
    pub resolv_conf: PathBuf,
    /// Refuse to start where the kernel does not take the second layer.
    pub require_lsm: bool,
    /// Where a page shows what happens.
    pub dashboard: Option<Address>,
    /// A UNIX socket that tells metrics.
    pub metrics_socket: Option<PathBuf>,
    /// A command to guard, instead of serving until told to stop.
    pub command: Option<OneShot>,
}

/// One guarded command.
#[derive(Clone, Debug)]
pub struct OneShot {
    pub command: Vec<OsString>,
    pub user: Option<User>,
    pub allow_root: bool,
    /// The policy may be writable by others: the caller said so.
    pub trust_policy: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Told to stop. Enforcement stays.
    Stopped,
    /// The guarded command ended; what was denied to it, latest last.
    Command {
        status: ExitStatus,
        denials: Vec<Record>,
    },
}

/// The session of a guarded command.
const COMMAND: &str = "command";
/// For what a command left running to go, once it was killed.
const KILL: Duration = Duration::from_secs(5);
/// Turns in which the proxy is still heard when it has stopped: more than its queue is long.
const LAST_WORDS: usize = 8_192;
/// For flows through the proxy to end by themselves when the daemon stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs until told to stop, or until the command ends.
pub fn run(options: Options, set_verbosity: SetVerbosity) -> anyhow::Result<Outcome> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "egressd needs root to load kernel programs: run it with sudo, or as a systemd service"
        );
    }
    let policies = load_policies(&options)?;
    check_kernel()?;
    let hierarchy = Hierarchy::find()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let local = LocalSet::new();
    // A local set polls what it blocks on whenever any of its tasks wakes; the daemon's own loop,
    // with its signals and channels, is too long for that and stands as a task of its own.
    local.block_on(&runtime, async {
        spawn_local(serve(options, policies, hierarchy, set_verbosity))
            .await
            .context("the daemon's task")?
    })
}

async fn serve(
    options: Options,
    policies: Vec<Loaded>,
    hierarchy: Hierarchy,
    set_verbosity: SetVerbosity,
) -> anyhow::Result<Outcome> {
    let files = files::raise();
    let audit = policies
        .first()
        .context("no policy")?
        .policy
        .audit()
        .clone();
    refuse_nested(&options.guards)?;
    for (cgroup, _) in &options.guards {
        Pins::new(&options.pin_dir, cgroup.trim_matches('/'), "").check()?;
    }
    if options.require_lsm {
        lsm::probe().map_err(KernelError::Lsm)?;
    }
    let plans = plans(&options, policies)?;
    let (sink, writer) = open_log(&audit)?;
    let audit_file = audit.file;
    let (ended, mut endings) = mpsc::unbounded_channel();
    let (lost, mut losses) = mpsc::unbounded_channel();
    if options.dashboard.is_some() || options.metrics_socket.is_some() {
        // From the first record on.
        drop(sink.tally());
    }
    let records = Rc::new(Records::new(sink));
    records.life(Kind::Start, |record| {
        record.message = Some(format!("egressd {}", env!("CARGO_PKG_VERSION")));
    });
    let socket_path = options.runtime_dir.join("control.sock");
    let listener = socket::bind(&socket_path)?;
    listener.set_nonblocking(true).context("control socket")?;
    let bound = listener.local_addr().context("control socket")?;
    let control_socket = bound.as_pathname().context("control socket")?;
    let mut daemon = Daemon {
        control_socket: control_socket.as_os_str().as_bytes().to_vec(),
        guards: Vec::new(),
        hierarchy,
        records,
        audit_file,
        runtime_dir: options.runtime_dir.clone(),
        pin_dir: options.pin_dir.clone(),
        known: Arc::new(Mutex::new(Known::default())),
        started: boot::now(),
        set_verbosity,
        ended,
        lost,
        calls: Calls::default(),
        watched: Watched::default(),
        sockets: Rc::default(),
        grants: Grants::default(),
        unclosed: BTreeSet::new(),
        approvals: Rc::default(),
    };

    let listener = tokio::net::UnixListener::from_std(listener).context("control socket")?;
    start_guards(&mut daemon, &options, plans)?;
    heap::give_back();
    daemon.know();

    let (errands, mut incoming) = mpsc::channel::<Errand>(64);
    let door = Arc::new(Door::new(errands, Arc::clone(&daemon.known)));
    let (watched, mut asked) = watched::start(&options, &daemon, &door);
    daemon.watched = watched;
    let (stop, stopped) = oneshot::channel::<()>();
    let control = spawn_local(server::serve(listener, door, async {
        drop(stopped.await);
    }));

    let mut child = match &options.command {
        Some(command) => Some(start_command(command, &socket_path, files)?),
        None => None,
    };
    privileges::drop_unneeded().context("drop capabilities")?;
    notify("READY=1\nSTATUS=enforcing").context("tell the service manager")?;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let is_service = child.is_none();
    // Made once: a signal for the command that comes between two turns of the loop is not lost.
    let mut ending = pin!(wait(child.as_mut()));
    let outcome = loop {
        tokio::select! {
            Some(errand) = incoming.recv() => {
                let Errand { peer, request, answer } = errand;
                let given = daemon.answer(&peer, request);
                // A client that left gets no answer.
                drop(answer.send(given));
                if daemon.guards.is_empty() {
                    break Outcome::Stopped;
                }
            }
            () = due(daemon.due()) => daemon.end_due(),
            Some(question) = asked.recv() => daemon.show(question),
            Some(ended) = endings.recv() => daemon.finish(&ended),
            Some(cgroup) = losses.recv() => daemon.regain(&options, &cgroup),
            Some(()) = hangup.recv(), if is_service => {
                notify("RELOADING=1").unwrap_or_default();
                // A refusal is logged and recorded; the old policy stays.
                drop(daemon.reload(None));
                notify("READY=1").unwrap_or_default();
            }
            Some(()) = terminate.recv(), if is_service => break Outcome::Stopped,
            Some(()) = interrupt.recv(), if is_service => break Outcome::Stopped,
            status = &mut ending => {
                let status = status?;
                let denials = end_command(&mut daemon, &mut endings).await;
                break Outcome::Command { status, denials };
            }
        }
    };
    if let Err(error) = notify("STOPPING=1") {
        tracing::debug!(%error, "the service manager was not told");
    }
    close(daemon, writer, stop, control, &options).await;
    Ok(outcome)
}

/// When something that was granted, or that waits for a person, may have run out.
async fn due(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

async fn wait(child: Option<&mut Child>) -> anyhow::Result<ExitStatus> {
    match child {
        Some(child) => parent::wait(child).await.context("wait for the command"),
        None => std::future::pending().await,
    }
}

/// Ends what the command left running, while the guard still holds it, and collects what was
/// denied.
async fn end_command(
    daemon: &mut Daemon,
    endings: &mut mpsc::UnboundedReceiver<Ended>,
) -> Vec<Record> {
    for running in &daemon.guards {
        let cgroup = &running.guard.cgroup;
        if let Err(error) = cgroup.kill() {
            tracing::warn!(%error, "what the command left running was not ended");
        }
        if timeout(KILL, watch::emptied(cgroup)).await.is_err() {
            tracing::warn!(
                cgroup = cgroup.path(),
                "what the command left running does not end"
            );
        }
    }
    // The tasks that read events and see sessions end: each turn is one batch of the ring.
    for _ in 0..Events::BATCHES {
        yield_now().await;
    }
    let mut over = Vec::new();
    for running in &daemon.guards {
        for session in running.guard.world().sessions.borrow().empty() {
            let cgroup = running.guard.cgroup.path().to_owned();
            over.push((Arc::clone(&running.guard.gate), Ended { cgroup, session }));
        }
    }
    for (gate, ended) in over {
        proxied::settled(&gate, ended.session).await;
        daemon.finish(&ended);
    }
    while let Ok(ended) = endings.try_recv() {
        daemon.finish(&ended);
    }
    let sink = daemon.records.sink();
    sink.flush();
    let denials = sink.recent_denials(COMMAND);
    denials.iter().map(|record| (**record).clone()).collect()
}

/// Ends what can be ended. In service, enforcement stays with what is pinned; after one command,
/// the guard goes with it.
async fn close(
    mut daemon: Daemon,
    writer: Writer,
    stop: oneshot::Sender<()>,
    control: tokio::task::JoinHandle<()>,
    options: &Options,
) {
    daemon.end_grants();
    std::mem::take(&mut daemon.watched).end();
    for running in &mut daemon.guards {
        if let Some(proxy) = running.proxy.take() {
            let patience = if options.command.is_some() {
                Duration::ZERO
            } else {
                DRAIN
            };
            proxy.stop(patience);
        }
    }
    for running in &daemon.guards {
        // What the proxy told last: nothing more can come.
        for _turn in 0..LAST_WORDS {
            if running.guard.gate.is_heard() {
                break;
            }
            yield_now().await;
        }
        for task in &running.tasks {
            task.abort();
        }
    }
    if options.command.is_some() {
        for running in daemon.guards.drain(..) {
            take_off(&running.guard);
        }
    } else {
        tracing::info!("stopped; what is pinned goes on denying until `egressctl release`");
    }
    // The other side may be gone already.
    stop.send(()).unwrap_or_default();
    if let Err(error) = control.await {
        tracing::debug!(%error, "control server");
    }
    daemon.records.life(Kind::Stop, |_| {});
    drop(fs::remove_file(options.runtime_dir.join("control.sock")));
    if options.command.is_some() {
        // Made for this command alone; what cannot be removed is an empty directory.
        drop(fs::remove_dir_all(&options.runtime_dir));
    }
    drop(daemon);
    writer.stop();
}

/// Takes the guard of a command off, once nothing runs under it.
fn take_off(guard: &Guard) {
    let cgroup = &guard.cgroup;
    if cgroup.is_populated().unwrap_or(true) {
        tracing::warn!(
            cgroup = cgroup.path(),
            "something of the command still runs; its guard stays until `egressctl release`"
        );
        return;
    }
    if let Err(error) = guard.pins.release() {
        tracing::warn!(%error, "the guard of the command could not be taken off");
    }
    if let Err(error) = privileges::with_dac_override(|| cgroup.remove()) {
        tracing::warn!(%error, "the cgroup of the command could not be removed");
    }
}

fn open_log(audit: &AuditSettings) -> anyhow::Result<(Sink, Writer)> {
    let settings = Settings {
        file: audit.file.clone(),
        rotate_bytes: audit.rotate_bytes,
        keep: audit.keep,
        gid: crate::control::group_id(),
        trusted: Trusted::default(),
    };
    Sink::open(settings, Box::new(records::now)).context("open the audit log")
}

/// Starts the command as a child that enters the guard by itself.
fn start_command(command: &OneShot, socket: &Path, files: Rlimit) -> anyhow::Result<Child> {
    let arguments = parent::enter_arguments(&Start {
        socket,
        guard: None,
        session: COMMAND.to_owned(),
        user: command.user,
        allow_root: command.allow_root,
        tells_holds: io::stderr().is_terminal(),
        sets_proxy: false,
        observes: false,
        command: &command.command,
    });
    let child = parent::spawn(&arguments).context("start the command")?;
    // It waits for an answer of this daemon before it becomes the command.
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    files::restore(pid.context("the command ended at once")?, files)
        .context("give the command its limit for open files")?;
    Ok(child)
}
