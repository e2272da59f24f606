//! egressd: guards cgroups.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    cli::{self, Exit, PIN_DIR, RUNTIME_DIR, journal, run as cli_run},
    daemon::{
        policies::InvalidPolicy,
        run::{OneShot, Options, Outcome, run},
    },
    dashboard::Address,
    launch::parent,
};
use anyhow::bail;
use clap::{CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

/// Guards what AI coding agents may reach from this machine.
#[derive(Debug, Parser)]
#[command(name = "egressd", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Guard cgroups until told to stop; or guard one command and return its status.
    Run(RunArgs),
    /// Enter a session and become a command.
    #[command(hide = true)]
    Enter(cli_run::EnterArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// A cgroup to guard, with its policy when it is not that of `--policy`. It is made when it
    /// is missing.
    #[arg(long = "cgroup", value_name = "PATH[=POLICY]")]
    cgroups: Vec<String>,
    /// The policy of every cgroup that names none of its own.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where the control socket and the session files go.
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    runtime_dir: PathBuf,
    /// Where programs and tables are pinned, on a BPF file system.
    #[arg(long, value_name = "DIR", default_value = PIN_DIR)]
    pin_dir: PathBuf,
    /// Where the system's DNS servers are named.
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf")]
    resolv_conf: PathBuf,
    /// Refuse to start where the kernel does not take the second layer (LSM programs): without it
    /// UNIX sockets, other address families and handed-in sockets are not held by the kernel.
    #[arg(long)]
    require_lsm: bool,
    /// Show what happens on a page, at `127.0.0.1:PORT` or `[::1]:PORT`; port 0 takes a free one.
    /// `egressctl dashboard` prints its address with the token that it wants.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "command")]
    dashboard: Option<Address>,
    /// Tell metrics for Prometheus on this UNIX socket, over HTTP at `/metrics`.
    #[arg(long, value_name = "PATH", conflicts_with = "command")]
    metrics_socket: Option<PathBuf>,
    /// Say more of what it does; twice for every name and address.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    user: cli_run::UserArgs,
    /// With a command: let it run as root.
    #[arg(long, requires = "command")]
    allow_root: bool,
    /// With a command: use the policy though others than root could change it.
    #[arg(long, requires = "command")]
    trust_policy: bool,
    /// Guard this command alone, in a cgroup of its own; it stands behind `--`.
    #[arg(last = true)]
    command: Vec<OsString>,
}

pub(super) fn command() -> clap::Command {
    Arguments::command()
}

pub(super) fn main() -> ExitCode {
    match Arguments::parse().verb {
        Verb::Enter(args) => cli_run::enter(&args).into(),
        Verb::Run(args) => match start(args) {
            Ok(exit) => exit.into(),
            Err(error) => match error.downcast::<InvalidPolicy>() {
                Ok(InvalidPolicy(text)) => {
                    cli::complain(&journal::error(&text, journal::is_read()));
                    Exit::InvalidPolicy.into()
                }
                Err(error) => {
                    let text = format!("egressd: {error:#}");
                    cli::complain(&journal::error(&text, journal::is_read()));
                    Exit::Failure.into()
                }
            },
        },
    }
}

fn start(args: RunArgs) -> anyhow::Result<Exit> {
    let default = match (args.verbose, args.command.is_empty()) {
        (0, true) => "info",
        (0, false) => "warn",
        (1, _) => "info,egress_agent=debug",
        (_, _) => "info,egress_agent=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let (filter, handle) = reload::Layer::<EnvFilter, Registry>::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false);
    let lines = if journal::is_read() {
        lines.event_format(journal::Lines::default()).boxed()
    } else {
        lines.boxed()
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    let set_verbosity = Box::new(move |text: &str| {
        let filter = EnvFilter::try_new(text).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    });
    let options = options(args)?;
    Ok(match run(options, set_verbosity)? {
        Outcome::Stopped => Exit::Ok,
        Outcome::Command { status, denials } => {
            for line in cli_run::summary(&denials) {
                cli::complain(&line);
            }
            Exit::Child(parent::code(status))
        }
    })
}

fn options(args: RunArgs) -> anyhow::Result<Options> {
    // A reload reads the same file from wherever the daemon stands.
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let policy = args.policy.map(absolute);
    if args.command.is_empty() {
        let guards = guards(&args.cgroups, policy.as_deref())?;
        return Ok(Options {
            guards,
            runtime_dir: args.runtime_dir,
            pin_dir: args.pin_dir,
            resolv_conf: args.resolv_conf,
            require_lsm: args.require_lsm,
            dashboard: args.dashboard,
            metrics_socket: args.metrics_socket.map(absolute),
            command: None,
        });
    }
    let Some(policy) = policy else {
        bail!("name the policy of the command with `--policy FILE`");
    };
    if !args.cgroups.is_empty() {
        bail!("a guarded command gets a cgroup of its own: leave `--cgroup` out");
    }
    let name = format!("egressd-run-{}", std::process::id());
    Ok(Options {
        guards: vec![(name.clone(), policy)],
        runtime_dir: Path::new("/run").join(name),
        pin_dir: args.pin_dir,
        resolv_conf: args.resolv_conf,
        require_lsm: args.require_lsm,
        dashboard: None,
        metrics_socket: None,
        command: Some(OneShot {
            user: args.user.resolve()?,
            allow_root: args.allow_root,
            trust_policy: args.trust_policy,
            command: args.command,
        }),
    })
}

/// `PATH[=POLICY]` each, with the common policy where none is named.
fn guards(cgroups: &[String], policy: Option<&Path>) -> anyhow::Result<Vec<(String, PathBuf)>> {
    if cgroups.is_empty() {
        bail!("name a cgroup with `--cgroup agent.slice`, or a command behind `--`");
    }
    cgroups
        .iter()
        .map(|text| match (text.split_once('='), policy) {
            (Some((path, policy)), _) => Ok((path.to_owned(), std::path::absolute(policy)?)),
            (None, Some(policy)) => Ok((text.clone(), policy.to_path_buf())),
            (None, None) => bail!("`{text}` has no policy: write `--cgroup {text}=FILE`, or name one for all with `--policy FILE`"),
        })
        .collect()
}
