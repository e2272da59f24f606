//! `egressctl mcp`: stands between an agent and an MCP server.
//!
//! Standard output belongs to the protocol; what the guard has to say goes to standard error, one
//! line for each message that did not go on.

mod accept;
mod daemon;
mod install;
mod remote;
mod standard;
mod wrap;

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use hyper::HeaderMap;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{Exit, Screen, complain, confirm};
use crate::{
    launch::parent,
    mcp::{
        budget::Budget,
        gate::Gate,
        http::{self, Proxy, Upstream},
        inventory::Inventory,
        message::Framing,
        ruling::PolicyGate,
        session::{Guard, Limits, Note, Session, Side},
        stdio,
        store::{self, FileStore},
    },
    policy::Policy,
    programs,
    tools::protocol::plain,
};

#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct McpArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    guarding: Guarding,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Take the tools of a server as they are now.
    Accept(accept::AcceptArgs),
    /// Put the servers of an agent behind the guard.
    Install(install::InstallArgs),
    /// Take the guard away from the servers of an agent, and nothing else.
    Uninstall(install::InstallArgs),
}

/// What is guarded, and how.
#[derive(Clone, Debug, Args)]
struct Guarding {
    /// The name of the server, as policies know it: `mcp__NAME__TOOL`; made from the command when
    /// it is left out.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Judge by this policy, without a daemon.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Listen on this address for clients of a server that speaks HTTP, such as `127.0.0.1:0`.
    #[arg(long, value_name = "ADDR", requires = "upstream", conflicts_with_all = ["run", "command"])]
    listen: Option<SocketAddr>,
    /// The server behind that address; without one, the server behind standard input and output.
    /// An authority that issues its certificate, and is not the system's, is named in
    /// `SSL_CERT_FILE`.
    #[arg(long, value_name = "URL", conflicts_with_all = ["run", "command"])]
    upstream: Option<String>,
    /// Send the server this header with every request: its value is that of the variable
    /// `EGRESSCTL_HEADER_NAME`.
    #[arg(
        long = "header",
        value_name = "NAME",
        requires = "upstream",
        conflicts_with = "listen"
    )]
    headers: Vec<String>,
    /// How the configuration named the kind of the server (`egressctl mcp install` writes it).
    #[arg(long, hide = true, requires = "upstream")]
    was: Option<String>,
    /// Listen where other machines can call, and let them.
    #[arg(long, requires = "listen")]
    allow_remote: bool,
    /// Where the tools of the server are remembered (default: below `$XDG_STATE_HOME`).
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Start the server in a guarded session of its own (`egressctl run`).
    #[arg(long)]
    run: bool,
    /// The guarded cgroup of that session.
    #[arg(long, value_name = "CGROUP", requires = "run")]
    guard: Option<String>,
    /// Refuse a method, such as `sampling/createMessage`, whoever requests it.
    #[arg(long = "refuse", value_name = "METHOD")]
    refused: Vec<String>,
    #[command(flatten)]
    budgets: Budgets,
    /// There were no arguments in the configuration (`egressctl mcp install` writes it).
    #[arg(long, hide = true)]
    no_args: bool,
    /// The server and its arguments, behind `--`.
    #[arg(required_unless_present = "upstream", last = true)]
    command: Vec<OsString>,
}

#[derive(Clone, Debug, Args)]
struct Budgets {
    /// Tool calls in all.
    #[arg(long, value_name = "NUMBER")]
    max_calls: Option<u64>,
    /// The same call with the same arguments.
    #[arg(long, value_name = "NUMBER")]
    max_repeats: Option<u64>,
    /// Tool calls at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().concurrent)]
    max_concurrent: usize,
    /// Seconds in which tools may be called, from the first call on.
    #[arg(long, value_name = "SECONDS")]
    max_seconds: Option<u64>,
    /// Seconds for the server to answer one request.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().answer.as_secs())]
    answer_timeout: u64,
}

pub fn run(args: McpArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    match args.verb {
        Some(Verb::Accept(args)) => accept::run(&args, screen),
        Some(Verb::Install(args)) => install::install(&args, screen),
        Some(Verb::Uninstall(args)) => install::uninstall(&args, screen),
        None => guard(&args.guarding, socket),
    }
}

fn guard(args: &Guarding, socket: &Path) -> anyhow::Result<Exit> {
    match (args.listen, &args.upstream) {
        (Some(address), Some(upstream)) => return listen(args, address, upstream, socket),
        (None, Some(upstream)) => return bridge(args, upstream, socket),
        (Some(_) | None, None) => {}
    }
    let name = args.name.clone().unwrap_or_else(|| name(&args.command));
    let guard = Arc::new(args.guard_of(&name, socket)?);
    let command = args.command(socket)?;
    let witness = |note: &Note| tell(&name, note);
    let budget = Arc::new(Mutex::new(Budget::default()));
    let session = Session::new(guard, budget, Framing::Line);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        // Standard output is locked for people's tables; the protocol has its own way to it.
        let (input, output) = (standard::input()?, standard::output()?);
        stdio::serve(session, &command, input, output, &witness).await
    });
    // Somebody may never close our input; nobody waits for that.
    runtime.shutdown_background();
    let status = ended.with_context(|| format!("start the server `{}`", show(&command)))?;
    Ok(Exit::Child(parent::code(status)))
}

fn listen(
    args: &Guarding,
    address: SocketAddr,
    upstream: &str,
    socket: &Path,
) -> anyhow::Result<Exit> {
    ensure!(
        address.ip().is_loopback() || args.allow_remote,
        "{address} can be called by other machines: use 127.0.0.1, or say --allow-remote"
    );
    let upstream = Upstream::parse(upstream)?;
    let name = args.name_or(upstream.host());
    let guard = args.guard_of(&name, socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listen on {address}"))?;
        let bound = listener.local_addr()?;
        let names = (!args.allow_remote).then(|| http::own_names(bound));
        let server = name.clone();
        let witness = Box::new(move |note: &Note| tell(&server, note));
        let proxy = Arc::new(Proxy::new(guard, upstream, names, witness)?);
        complain(&format!(
            "egressctl mcp {name}: listening on http://{bound}/"
        ));
        proxy.serve(listener, ended()).await?;
        Ok(Exit::Ok)
    })
}

/// Between a client on standard input and output and a server that listens.
fn bridge(args: &Guarding, upstream: &str, socket: &Path) -> anyhow::Result<Exit> {
    let upstream = Upstream::parse(upstream)?;
    let name = args.name_or(upstream.host());
    let guard = args.guard_of(&name, socket)?;
    let headers = args.headers()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let (input, output) = (standard::input()?, standard::output()?);
        let witness = Box::new(move |note: &Note| tell(&name, note));
        let proxy = Arc::new(Proxy::new(guard, upstream, None, witness)?);
        tokio::select! {
            served = http::bridge::serve(proxy, headers, input, output) => served?,
            () = ended() => {}
        }
        Ok(Exit::Ok)
    });
    // Somebody may never close our input; nobody waits for that.
    runtime.shutdown_background();
    ended
}

/// Comes when somebody ends this process.
async fn ended() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

impl Guarding {
    fn name_or(&self, host: &str) -> String {
        self.name.clone().unwrap_or_else(|| host.to_owned())
    }

    /// Headers for the server. Their values are in variables: everybody on this machine can read
    /// the words of a command.
    fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for name in &self.headers {
            let variable = format!("{}{name}", remote::VARIABLE);
            let value = std::env::var(&variable).with_context(|| {
                format!("the value of the header `{name}` is missing: set {variable}")
            })?;
            let (name, value) = http::bridge::header(name, &value)?;
            headers.append(name, value);
        }
        Ok(headers)
    }

    fn guard_of(&self, name: &str, socket: &Path) -> anyhow::Result<Guard> {
        ensure!(
            !name.is_empty(),
            "the server has no name: give it one with --name"
        );
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let gate: Box<dyn Gate> = if let Some(file) = &self.policy {
            let policy = Policy::load(file)?;
            let confirmations = confirm::directory();
            Box::new(PolicyGate::new(
                policy,
                &policy_name(name),
                confirmations,
                key,
            ))
        } else {
            let server = policy_name(name);
            Box::new(daemon::DaemonGate::new(socket.to_owned(), &server, key))
        };
        let state = match &self.state {
            Some(state) => state.clone(),
            None => store::path(name)
                .context("no place is known for what servers say of their tools: give --state")?,
        };
        let inventory = Inventory::open(name, Box::new(FileStore(state)));
        let inventory = inventory.map_err(anyhow::Error::msg)?;
        Ok(Guard {
            server: policy_name(name),
            gate,
            inventory: Mutex::new(inventory),
            limits: self.budgets.limits(),
            refused: self.refused.clone(),
        })
    }

    /// What is started: the server, or a session with it.
    fn command(&self, socket: &Path) -> anyhow::Result<Vec<OsString>> {
        if !self.run {
            return Ok(self.command.clone());
        }
        let program = programs::egressctl_path()?;
        let mut words: Vec<OsString> = vec![program.into(), "--socket".into(), socket.into()];
        words.extend(["run".into(), "--quiet".into()]);
        if let Some(guard) = &self.guard {
            words.extend(["--guard".into(), guard.into()]);
        }
        words.push("--".into());
        words.extend(self.command.iter().cloned());
        Ok(words)
    }
}

impl Budgets {
    fn limits(&self) -> Limits {
        let Self {
            max_calls,
            max_repeats,
            max_concurrent,
            max_seconds,
            answer_timeout,
        } = self;
        Limits {
            calls: *max_calls,
            repeats: *max_repeats,
            concurrent: *max_concurrent,
            wall_clock: max_seconds.map(Duration::from_secs),
            answer: Duration::from_secs(*answer_timeout),
        }
    }
}

/// One line for a message that did not go on.
fn tell(server: &str, note: &Note) {
    let Note {
        from,
        method,
        tool,
        id: _,
        block: Some(block),
    } = note
    else {
        return;
    };
    let from = match from {
        Side::Client => "the agent",
        Side::Server => "the server",
    };
    let method = method.as_deref().unwrap_or("a message");
    let tool = tool.as_deref().map(|tool| format!(" {tool}"));
    let line = format!(
        "egressctl mcp {server}: blocked {method}{} of {from}: {block}",
        tool.unwrap_or_default()
    );
    complain(&plain(&line, 1024));
}

/// A name for a server that has none: what is started, without what only starts it.
fn name(command: &[OsString]) -> String {
    const STARTERS: &[&str] = &[
        "npx", "uvx", "uv", "bunx", "bun", "node", "deno", "python", "python3", "pipx", "docker",
        "sh", "bash", "env", "run", "tool", "-m", "x", "exec",
    ];
    let words = command.iter().filter_map(|word| word.to_str());
    let last = |word: &str| -> String {
        let word = word.trim_end_matches('/');
        let word = word.rsplit('/').next().unwrap_or_default();
        let word = word.split('@').find(|part| !part.is_empty());
        word.unwrap_or_default().to_owned()
    };
    words
        .map(last)
        .find(|word| !word.starts_with('-') && !STARTERS.contains(&word.as_str()))
        .or_else(|| command.first().and_then(|word| word.to_str()).map(last))
        .unwrap_or_default()
}

/// A name as it stands in the names of tools.
fn policy_name(name: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    name.chars()
        .map(|char| if plain(char) { char } else { '_' })
        .collect()
}

fn show(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    plain(&words.join(" "), 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_for_what_is_started() {
        for (command, expected) in [
            (
                &["npx", "-y", "@modelcontextprotocol/server-github@1.2"][..],
                "server-github",
            ),
            (&["uvx", "mcp-server-git"], "mcp-server-git"),
            (&["/usr/bin/python3", "-m", "my_server"], "my_server"),
            (&["/opt/x/server", "--flag"], "server"),
            (&["python3"], "python3"),
        ] {
            let command: Vec<OsString> = command.iter().map(OsString::from).collect();
            assert_eq!(name(&command), expected, "{command:?}");
        }
        assert_eq!(policy_name("My server.v2"), "My_server_v2");
    }
}
