//! egressctl: starts agents under the guard, shows what is enforced and what was denied.

use std::{path::PathBuf, process::ExitCode};

use super::{Program, man};
use crate::{
    cli::{
        self, Exit, Screen, admin, allow, approve, attempt, ca, classify, confirm, dashboard,
        doctor, home, hook, init, log, mcp, policy, replay, report, rules, run, scan, selftest,
        session, status, top, uninstall, why, wrap,
    },
    control::DEFAULT_SOCKET,
    inspect::{Inspector, Options},
};
use clap::{CommandFactory as _, Parser, Subcommand};

/// Starts agents under the guard of egressd, and shows what is enforced and why.
#[derive(Debug, Parser)]
#[command(name = "egressctl", version, propagate_version = true)]
struct Arguments {
    /// The control socket of egressd.
    #[arg(long, global = true, env = "EGRESSD_SOCKET", default_value = DEFAULT_SOCKET, value_name = "PATH")]
    socket: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a command under the guard, and return its status.
    Run(run::RunArgs),
    /// Show what is enforced; exit 1 when something that was asked for is not.
    Status(status::StatusArgs),
    /// Watch sessions, live flows, denials, leases and questions, and act on them.
    Top(top::TopArgs),
    /// Show what was decided, and why.
    Log(log::LogArgs),
    /// Say what agents did, for a reviewer or after an incident; exit 1 when the log is not whole.
    Report(report::ReportArgs),
    /// Say how a destination is decided, why, and what would change it; exit 1 for deny.
    Why(why::WhyArgs),
    /// Print the address of the dashboard, with the token that it wants.
    Dashboard(dashboard::DashboardArgs),
    /// The sessions that run.
    #[command(subcommand)]
    Session(session::Command),
    /// Check, test and explain policies, without a daemon.
    #[command(subcommand)]
    Policy(policy::Command),
    /// List, test and translate packs of content rules, without a daemon.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Run recorded tool calls against a policy or packs; exit 1 when one is decided otherwise.
    Replay(replay::ReplayArgs),
    /// Say where secrets and other findings stand in a file or in standard input; exit 1 when
    /// there are any.
    Scan(scan::ScanArgs),
    /// Judge about thirty known attempts and honest calls by a policy, without sending anything;
    /// exit 1 when one is judged otherwise than it should be.
    Selftest(selftest::SelftestArgs),
    /// Judge the tool calls of an agent, one event at a time; install that in its settings.
    Hook(hook::HookArgs),
    /// Stand between an agent and an MCP server, and judge every message.
    Mcp(mcp::McpArgs),
    /// Explain one tool call, read as an event of an agent from standard input; exit 1 unless it
    /// is allowed.
    ExplainCall(classify::ExplainCallArgs),
    /// Judge commands, tool calls, URLs and texts, as JSON from standard input.
    Classify(classify::ClassifyArgs),
    /// Let the next call of a tool through that waits for a person.
    Confirm(confirm::ConfirmArgs),
    /// Open a destination for a time, for a session or for good, after showing what that opens.
    Allow(allow::AllowArgs),
    /// Show and settle what waits for a person (`network.ask`).
    Approve(approve::ApproveArgs),
    /// Make egressd read its policies again; a bad one leaves the old one in force (exit 3).
    Reload(admin::ReloadArgs),
    /// Take the guard off. Only root, and only from outside.
    Release(admin::ReleaseArgs),
    /// Make or show the local CA that TLS is opened with, where a rule has level `http`.
    #[command(subcommand)]
    Ca(ca::Command),
    /// Shims that run tools under a policy of their own.
    #[command(subcommand)]
    Wrap(wrap::Command),
    /// Check what this machine offers and what is set up on it; with `--escape`, try every known way
    /// out.
    Doctor(doctor::DoctorArgs),
    /// Set up egressd on this machine: policy, units, hooks; show everything first.
    Init(init::InitArgs),
    /// Take back what `init` has done.
    Uninstall(uninstall::UninstallArgs),
    /// Do what `init` and `doctor` do in a home, as its owner.
    #[command(hide = true)]
    InHome,
    /// Print completions for a shell.
    Completions {
        shell: clap_complete::Shell,
        /// Whose.
        #[arg(long, value_enum, default_value = "egressctl")]
        program: Program,
    },
    /// Write the manual pages of both programs into a directory.
    #[command(hide = true)]
    Man {
        directory: PathBuf,
        /// Of the pages.
        #[arg(long, default_value = "")]
        date: String,
    },
    /// Enter a session and become a command.
    #[command(hide = true)]
    Enter(run::EnterArgs),
    /// Make attempts of the escape suite.
    #[command(hide = true)]
    Attempt(attempt::AttemptArgs),
}

pub(super) fn command() -> clap::Command {
    Arguments::command()
}

pub(super) fn main() -> ExitCode {
    if let Some(code) = hook::quick(std::env::args_os().skip(1)) {
        return code;
    }
    let Arguments { socket, json, verb } = Arguments::parse();
    let is_run = matches!(verb, Verb::Run(_) | Verb::Wrap(wrap::Command::Run(_)));
    let mut screen = Screen::stdout(json);
    let done = match verb {
        Verb::Run(args) => run::run(args, &socket, json),
        Verb::Enter(args) => Ok(run::enter(&args)),
        Verb::Status(args) => status::run(args, &socket, &mut screen),
        Verb::Top(args) => top::run(args, &socket, &mut screen),
        Verb::Log(args) => log::run(args, &mut screen),
        Verb::Report(args) => report::run(args, &socket, &mut screen),
        Verb::Why(args) => why::run(args, &socket, &mut screen),
        Verb::Dashboard(args) => dashboard::run(&args, &socket, &mut screen),
        Verb::Session(command) => session::run(command, &socket, &mut screen),
        Verb::Policy(command) => policy::run(command, &socket, &mut screen),
        Verb::Rules(command) => rules::run(command, &mut screen),
        Verb::Replay(args) => replay::run(&args, &mut screen),
        Verb::Scan(args) => Inspector::new(Options::default())
            .map_err(anyhow::Error::from)
            .and_then(|all| scan::run(&args, std::io::stdin().lock(), &all, &mut screen)),
        Verb::Selftest(args) => selftest::run(&args, &socket, &mut screen),
        Verb::Hook(args) => hook::run(args, &socket, &mut screen),
        Verb::Mcp(args) => mcp::run(args, &socket, &mut screen),
        Verb::ExplainCall(args) => {
            classify::explain_call(&args, std::io::stdin().lock(), &mut screen)
        }
        Verb::Classify(args) => classify::classify(&args, std::io::stdin().lock(), &mut screen),
        Verb::Confirm(args) => confirm::run(&args, &socket, &mut screen),
        Verb::Allow(args) => allow::run(args, &socket, &mut screen),
        Verb::Approve(args) => approve::run(args, &socket, &mut screen),
        Verb::Reload(args) => admin::reload(args, &socket, &mut screen),
        Verb::Release(args) => admin::release(&args, &socket, &mut screen),
        Verb::Ca(command) => ca::run(command, &mut screen),
        Verb::Doctor(args) => doctor::run(&args, &socket, &mut screen),
        Verb::Wrap(command) => wrap::run(command, &socket, &mut screen),
        Verb::Init(args) => init::run(args, &socket, &mut screen),
        Verb::Uninstall(args) => uninstall::run(&args, &socket, &mut screen),
        Verb::InHome => home::run(),
        Verb::Attempt(args) => attempt::run(args, &mut screen),
        Verb::Completions { shell, program } => {
            let mut command = program.command();
            // It panics where it cannot write.
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, program.name(), &mut text);
            let written = screen.writer().write_all(&text);
            written.map(|()| Exit::Ok).map_err(anyhow::Error::from)
        }
        Verb::Man { directory, date } => man::write(&directory, &date, &mut screen),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) if cli::is_broken_pipe(&error) => Exit::Ok.into(),
        Err(error) => {
            cli::complain(&format!("egressctl: {error:#}"));
            if is_run {
                run::NOT_STARTED.into()
            } else {
                Exit::Failure.into()
            }
        }
    }
}
