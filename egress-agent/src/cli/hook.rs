//! `egressctl hook`: stands between an agent and its tools. One event on standard input, the
//! verdict of the daemon (or of `--policy FILE`) on standard output.
//!
//! An agent starts it for every call, so nothing is set up that one event does not need: see
//! [`quick`]. Whatever goes wrong before a call, denies it.

pub(super) mod ask;
pub(super) mod install;
mod settings;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use clap::{Args, Subcommand};
use egress_common::Mode as PolicyMode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Exit, Screen, confirm, remotes};
use crate::{
    audit::record::Mode,
    control::{
        DEFAULT_SOCKET,
        message::{Reply, Request},
        status::Judged,
    },
    inspect::Redaction,
    policy::Policy,
    tools::{
        self, Call, Judgement, advice,
        protocol::{self, Answer, Dialect, Event, LONGEST_EVENT, Moment, Style},
    },
};

pub use install::InstallArgs;

/// For the daemon to answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// For the agent to send the whole event, below the time that an installed hook has.
const EVENT_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, Args)]
#[command(subcommand_negates_reqs = true)]
pub struct HookArgs {
    /// Whose events; told from the event when it is left out.
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    judging: Judging,
}

/// How a call is judged and answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
struct Judging {
    /// Deny with exit status 2 and the reason on standard error, instead of JSON.
    #[arg(long, global = true)]
    exit_code: bool,
    /// Judge by this policy, without a daemon.
    #[arg(long, global = true, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Judge one event of Claude Code.
    Claude,
    /// Judge one event of Codex.
    Codex,
    /// Write the hook into the settings of an agent.
    Install(InstallArgs),
    /// Remove the hook from the settings of an agent, and nothing else.
    Uninstall(InstallArgs),
}

pub fn run(args: HookArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let HookArgs { verb, judging } = args;
    let dialect = match verb {
        Some(Verb::Install(args)) => {
            return install::install(&args, judging.exit_code, judging.policy.as_deref(), screen);
        }
        Some(Verb::Uninstall(args)) => return install::uninstall(&args, screen),
        Some(Verb::Claude) => Some(Dialect::Claude),
        Some(Verb::Codex) => Some(Dialect::Codex),
        None => None,
    };
    Ok(Exit::Child(print(&judged(dialect, &judging, socket))))
}

/// Runs the hook when the arguments are the plain ones of an installed hook, before anything is
/// set up that only other verbs need. `None` for all other arguments, wrong ones included.
pub fn quick(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != "hook" {
        return None;
    }
    let (mut dialect, mut judging) = (None, Judging::default());
    while let Some(argument) = arguments.next() {
        match argument.to_str()? {
            "claude" if dialect.is_none() => dialect = Some(Dialect::Claude),
            "codex" if dialect.is_none() => dialect = Some(Dialect::Codex),
            "--exit-code" => judging.exit_code = true,
            "--policy" if judging.policy.is_none() => {
                judging.policy = Some(arguments.next()?.into());
            }
            _ => return None,
        }
    }
    let socket =
        std::env::var_os("EGRESSD_SOCKET").map_or_else(|| DEFAULT_SOCKET.into(), PathBuf::from);
    Some(print(&judged(dialect, &judging, &socket)).into())
}

/// One event, from reading it to its answer.
fn judged(dialect: Option<Dialect>, judging: &Judging, socket: &Path) -> Answer {
    let style = if judging.exit_code {
        Style::ExitCode
    } else {
        Style::Json
    };
    without_panic(style, || {
        let bytes = match event(io::stdin()) {
            Ok(bytes) => bytes,
            Err(error) => {
                return protocol::refuse(style, &format!("the event cannot be read: {error}"));
            }
        };
        let event = match protocol::parse(&bytes, dialect) {
            Ok(event) => event,
            Err(error) => {
                let why =
                    format!("{error}; the fault is in how the hook is set up, not in the call");
                return protocol::refuse(style, &why);
            }
        };
        match event.moment {
            Moment::Before => before(event, style, judging.policy.as_deref(), socket),
            Moment::After | Moment::Failed => after(event, judging.policy.is_some(), socket),
        }
    })
}

/// A panic denies too.
fn without_panic(style: Style, work: impl FnOnce() -> Answer) -> Answer {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        protocol::refuse(style, "the hook itself failed; this is a bug of egressd")
    })
}

fn before(event: Event, style: Style, policy: Option<&Path>, socket: &Path) -> Answer {
    let Event {
        dialect,
        moment: _,
        mut call,
        id,
    } = event;
    remotes::look_up(&mut call);
    let judged = match policy {
        Some(file) => judged_by(file, &call),
        None => judged_by_daemon(socket, call, id),
    };
    match judged {
        Ok(Judged {
            mode: Mode::Observe,
            ..
        }) => Answer::default(),
        Ok(Judged {
            mode: Mode::Enforce,
            judgement,
            redacted: _,
            redaction: _,
            redacts: _,
        }) => protocol::answer(dialect, style, &judgement),
        Err(why) => protocol::refuse(style, &why),
    }
}

fn judged_by(file: &Path, call: &Call) -> Result<Judged, String> {
    let policy = Policy::load(file).map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
    Ok(Judged {
        judgement: settled(tools::judge(&policy, call), call),
        redacted: Vec::new(),
        redaction: Redaction::default(),
        redacts: false,
        mode: match policy.mode() {
            PolicyMode::Enforce => Mode::Enforce,
            PolicyMode::Observe => Mode::Observe,
        },
    })
}

/// Without a daemon the confirmations of the user are at hand.
fn settled(judgement: Judgement, call: &Call) -> Judgement {
    match confirm::directory() {
        Some(dir) => tools::confirm::settle(judgement, &call.tool, &dir, SystemTime::now()),
        None => judgement,
    }
}

fn judged_by_daemon(socket: &Path, call: Call, id: Option<String>) -> Result<Judged, String> {
    let request = Request::Judge {
        call,
        id,
        session: None,
        mcp: false,
        passage: None,
    };
    let reply = ask::ask(socket, &request, PATIENCE).map_err(|error| error.to_string())?;
    if let Reply::Judged(judged) = reply {
        Ok(*judged)
    } else {
        Err("egressd answered something else than was asked for".to_owned())
    }
}

/// The call has run: without an answer there is nothing to tell.
fn after(event: Event, is_alone: bool, socket: &Path) -> Answer {
    if is_alone {
        return Answer::default();
    }
    let request = Request::Aftermath {
        id: event.id,
        session: None,
    };
    match ask::ask(socket, &request, PATIENCE) {
        Ok(Reply::Aftermath(aftermath)) => advice(&aftermath)
            .map(|text| protocol::context(event.moment, &text))
            .unwrap_or_default(),
        Ok(_) | Err(_) => Answer::default(),
    }
}

/// Reads to the end, or to one byte more than an event may have.
fn event(mut stdin: impl io::Read + AsFd) -> io::Result<Vec<u8>> {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let left = EVENT_PATIENCE.saturating_sub(begun.elapsed());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut ends = [PollFd::new(&stdin, PollFlags::IN)];
        if poll(&mut ends, Some(&left))? == 0 {
            return Err(io::Error::other(format!(
                "it did not end within {} s",
                EVENT_PATIENCE.as_secs()
            )));
        }
        let read = stdin.read(&mut chunk)?;
        bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if read == 0 || bytes.len() > LONGEST_EVENT {
            return Ok(bytes);
        }
    }
}

/// Prints the answer and says how to end. A denial that cannot be printed is one by its status.
fn print(answer: &Answer) -> u8 {
    let Answer {
        stdout,
        stderr,
        code,
    } = answer;
    let told = io::stdout()
        .write_all(stdout.as_bytes())
        .and_then(|()| io::stdout().flush())
        .and_then(|()| io::stderr().write_all(stderr.as_bytes()));
    match told {
        Ok(()) => *code,
        Err(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_denies() {
        let json = without_panic(Style::Json, || panic!("on purpose"));
        assert!(
            json.stdout.contains(r#""permissionDecision":"deny""#),
            "{json:?}"
        );
        let code = without_panic(Style::ExitCode, || panic!("on purpose"));
        assert_eq!(code.code, 2);
    }

    #[test]
    fn only_plain_arguments_take_the_short_way() {
        for words in [
            &["status"][..],
            &[],
            &["hook", "--help"],
            &["hook", "install", "claude"],
            &["hook", "claude", "codex"],
            &["hook", "claude", "--policy"],
            &["hook", "claude", "--exit-cod"],
        ] {
            assert!(
                quick(words.iter().map(OsString::from)).is_none(),
                "{words:?}"
            );
        }
    }

    #[test]
    fn an_event_that_is_too_long_is_not_read_to_its_end() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &vec![b' '; LONGEST_EVENT + (1 << 20)]).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let read = event(file).unwrap();
        assert!(read.len() > LONGEST_EVENT && read.len() <= LONGEST_EVENT + (64 << 10));
    }
}
