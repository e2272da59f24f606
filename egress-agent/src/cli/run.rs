//! `egressctl run -- COMMAND`: starts an agent under the guard, and says at its end what was
//! denied.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    path::Path,
};

use anyhow::Context as _;
use clap::Args;

use super::{Exit, Screen, complain, rows, table::plain};
use crate::{
    audit::record::Record,
    control::{
        client::Client,
        message::{Reply, Request},
    },
    launch::{self, child, parent, privileges::User, status},
};

#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The guarded cgroup to run in, when there are several.
    #[arg(long, value_name = "CGROUP")]
    guard: Option<String>,
    /// A name for the session: letters, digits, `-` and `_`.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Run as root; what root can undo is then not held.
    #[arg(long)]
    allow_root: bool,
    /// Set the variables that lead clients to the proxy (`HTTPS_PROXY` and its kin). What the policy
    /// wants looked at is led there without them.
    #[arg(long)]
    proxy: bool,
    /// Record what the policy would deny, and refuse nothing. Shows at the end what was done with
    /// each host. The policy may forbid it.
    #[arg(long)]
    observe: bool,
    /// Show at the end what was done with each host.
    #[arg(long)]
    rows: bool,
    /// Do not print what was denied.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    user: UserArgs,
    /// The command and its arguments, behind `--`.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

impl RunArgs {
    /// As a shim asks for it.
    pub(super) fn of_shim(guard: String, observe: bool, command: Vec<OsString>) -> Self {
        Self {
            guard: Some(guard),
            session: None,
            allow_root: false,
            proxy: false,
            observe,
            rows: false,
            quiet: false,
            user: UserArgs { user: None },
            command,
        }
    }
}

/// Whom to become.
#[derive(Clone, Debug, Args)]
pub struct UserArgs {
    /// Run as this user: a name or a number. Needs root.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

impl UserArgs {
    /// The user that was named; for root under sudo, the user who called it.
    pub fn resolve(&self) -> anyhow::Result<Option<User>> {
        let Some(name) = &self.user else {
            return Ok(sudo_user());
        };
        if let Ok(uid) = name.parse() {
            let known = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))?;
            let gid = known.map_or(uid, |user| user.gid.as_raw());
            return Ok(Some(User { uid, gid }));
        }
        let user = nix::unistd::User::from_name(name)?
            .with_context(|| format!("there is no user `{name}`"))?;
        Ok(Some(User {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        }))
    }
}

fn sudo_user() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let user = User {
        uid: number("SUDO_UID")?,
        gid: number("SUDO_GID")?,
    };
    (user.uid != 0).then_some(user)
}

/// Runs the command to its end. Returns its status.
pub fn run(args: RunArgs, socket: &Path, json: bool) -> anyhow::Result<Exit> {
    let session = args
        .session
        .unwrap_or_else(|| launch::session_name(jiff::Timestamp::now(), std::process::id()));
    let user = args.user.resolve()?;
    let arguments = parent::enter_arguments(&child::Start {
        socket,
        guard: args.guard,
        session: session.clone(),
        user,
        allow_root: args.allow_root,
        // A program that reads the output of the command need not know this line.
        tells_holds: !args.quiet && io::stderr().is_terminal(),
        sets_proxy: args.proxy,
        observes: args.observe,
        command: &args.command,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let mut child = parent::spawn(&arguments)?;
        parent::wait(&mut child).await
    });
    let code = parent::code(ended.context("start the command")?);
    // Neither must hide the command's own end.
    if !args.quiet {
        drop(summarise(socket, &session));
    }
    if args.rows || (args.observe && !args.quiet) {
        drop(show_rows(socket, session, json));
    }
    Ok(Exit::Child(code))
}

/// Prints what was done with each host. Standard output belongs to the command.
fn show_rows(socket: &Path, session: String, json: bool) -> anyhow::Result<()> {
    let rows = rows::ask(&mut Client::connect(socket)?, session)?;
    let mut screen = Screen::new(Box::new(io::stderr()), json, false);
    rows::print(&rows, &mut screen)
}

/// Prints what was denied in this session, grouped, each with the rule that would allow it.
fn summarise(socket: &Path, session: &str) -> anyhow::Result<()> {
    let request = Request::Denials {
        session: Some(session.to_owned()),
    };
    if let Reply::Denials(denials) = Client::connect(socket)?.request(&request)? {
        for line in summary(&denials) {
            complain(&line);
        }
    }
    Ok(())
}

/// The lines of the summary; none when nothing was denied.
pub fn summary(denials: &[Record]) -> Vec<String> {
    let mut groups: Vec<(String, u64, Option<String>)> = Vec::new();
    for record in denials {
        let what = format!(
            "{}  {}",
            destination(record),
            record.reason.as_deref().unwrap_or("denied")
        );
        // The message of a denied socket says how to allow it, where that can be done.
        let allow = match &record.allow_with {
            Some(rule) => Some(format!("to allow it, add to network.allow: {rule}")),
            None => record
                .message
                .as_deref()
                .filter(|_| record.socket.is_some())
                .map(plain),
        };
        match groups.iter_mut().find(|(known, _, _)| *known == what) {
            Some((_, count, _)) => *count += record.count,
            None => groups.push((what, record.count, allow)),
        }
    }
    if groups.is_empty() {
        return Vec::new();
    }
    let total: u64 = groups.iter().map(|(_, count, _)| count).sum();
    let mut lines = vec![format!(
        "egressd denied {total} attempt{} of this run:",
        if total == 1 { "" } else { "s" }
    )];
    for (what, count, allow) in groups {
        lines.push(format!("  {count:>4}x {what}"));
        if let Some(allow) = allow {
            lines.push(format!("        {allow}"));
        }
    }
    lines
}

fn destination(record: &Record) -> String {
    if let Some(socket) = &record.socket {
        let path = socket.path.as_deref().unwrap_or_default();
        return format!("{} socket {}", socket.family, plain(path))
            .trim_end()
            .to_owned();
    }
    match (&record.flow, &record.name) {
        (Some(flow), _) if flow.port == 0 => format!("{} socket", flow.protocol),
        (Some(flow), Some(name)) => {
            format!("{name}:{}/{} ({})", flow.port, flow.protocol, flow.address)
        }
        (Some(flow), None) if flow.address.is_ipv6() => {
            format!("[{}]:{}/{}", flow.address, flow.port, flow.protocol)
        }
        (Some(flow), None) => format!("{}:{}/{}", flow.address, flow.port, flow.protocol),
        (None, Some(name)) => format!("{name} {}", record.qtype.as_deref().unwrap_or(""))
            .trim_end()
            .to_owned(),
        (None, None) => "unknown destination".to_owned(),
    }
}

/// The child's side, a verb that people do not call.
#[derive(Clone, Debug, Args)]
pub struct EnterArgs {
    #[arg(long)]
    socket: std::path::PathBuf,
    #[arg(long)]
    session: String,
    #[arg(long)]
    guard: Option<String>,
    #[arg(long, requires = "gid")]
    uid: Option<u32>,
    #[arg(long, requires = "uid")]
    gid: Option<u32>,
    #[arg(long)]
    allow_root: bool,
    #[arg(long)]
    tell_holds: bool,
    #[arg(long)]
    set_proxy: bool,
    #[arg(long)]
    observe: bool,
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Becomes the command, or says why not.
pub fn enter(args: &EnterArgs) -> Exit {
    let user = args.uid.zip(args.gid).map(|(uid, gid)| User { uid, gid });
    let start = child::Start {
        socket: &args.socket,
        guard: args.guard.clone(),
        session: args.session.clone(),
        user,
        allow_root: args.allow_root,
        tells_holds: args.tell_holds,
        sets_proxy: args.set_proxy,
        observes: args.observe,
        command: &args.command,
    };
    let started = child::start(&start, &mut complain);
    match started {
        Ok(never) => match never {},
        Err(error) => {
            complain(&format!("egressctl run: {error:#}"));
            Exit::Child(error.status())
        }
    }
}

/// The status for a `run` that never got to its command.
pub const NOT_STARTED: Exit = Exit::Child(status::NOT_STARTED);
