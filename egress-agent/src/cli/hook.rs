//! `egressctl hook`: stands between an agent and its tools. One event on standard input, the
//! verdict of the daemon (or of `--policy FILE`) on standard output.
//!
//! An agent starts it for every call, so nothing is set up that one event does not need: see
//! [`quick`]. Whatever goes wrong before a call, denies it; whatever goes wrong after it, blocks its
//! result as far as the agent lets a hook do that.

pub(super) mod ask;
pub(super) mod install;
mod settings;

use std::{
    cell::Cell,
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
use serde_json::Value;

use super::{Exit, Screen, confirm, remotes};
use crate::{
    audit::record::Mode,
    content::{Passage, Source},
    control::{
        DEFAULT_SOCKET,
        message::{Reply, Request},
        status::Judged,
    },
    inspect::{Redaction, Tokens},
    policy::Policy,
    tools::{
        self, Call, Judgement, Verdict, advice,
        protocol::{self, Answer, Blocked, Dialect, Event, LONGEST_EVENT, Moment, Style},
    },
};

pub use install::InstallArgs;

/// For the daemon to answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// The same for a result, which can be long.
const RESULT_PATIENCE: Duration = Duration::from_secs(1);
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
    let moment = Cell::new(Moment::Before);
    without_panic(style, &moment, || {
        let bytes = match event(io::stdin()) {
            Ok(bytes) => bytes,
            Err(error) => {
                let why = format!("the event cannot be read: {error}");
                return protocol::refuse(style, Moment::Before, &why);
            }
        };
        let event = match protocol::parse(&bytes, dialect) {
            Ok(event) => event,
            Err(error) => {
                let why =
                    format!("{error}; the fault is in how the hook is set up, not in the call");
                return protocol::refuse(style, protocol::glimpse(&bytes), &why);
            }
        };
        moment.set(event.moment);
        match event.moment {
            Moment::Before => before(event, style, judging.policy.as_deref(), socket),
            Moment::After | Moment::Failed => {
                after(event, style, judging.policy.as_deref(), socket)
            }
        }
    })
}

/// A panic denies too.
fn without_panic(style: Style, moment: &Cell<Moment>, work: impl FnOnce() -> Answer) -> Answer {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let why = "the hook itself failed; this is a bug of egressd";
        protocol::refuse(style, moment.get(), why)
    })
}

fn before(event: Event, style: Style, policy: Option<&Path>, socket: &Path) -> Answer {
    let Event {
        dialect,
        moment,
        mut call,
        result: _,
        id,
    } = event;
    remotes::look_up(&mut call);
    let rewrites = protocol::rewrites(dialect, style);
    let judged = match policy {
        Some(file) => judged_by(file, &call, rewrites),
        None => judged_by_daemon(socket, call, id, rewrites),
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
            updated,
            notice: _,
        }) => protocol::answer(dialect, style, &judgement, updated.as_ref()),
        Err(why) => protocol::refuse(style, moment, &why),
    }
}

fn judged_by(file: &Path, call: &Call, rewrites: bool) -> Result<Judged, String> {
    let policy = load(file)?;
    let judgement = settled(tools::judge(&policy, call), call);
    let tokens = tokens().filter(|_| rewrites);
    let amended =
        tokens.and_then(|tokens| tools::amended(&policy, call, &judgement, Vec::new(), &tokens));
    Ok(match amended {
        Some((input, judgement)) => Judged {
            updated: Some(input),
            ..alone(&policy, judgement)
        },
        None => alone(&policy, judgement),
    })
}

fn load(file: &Path) -> Result<Policy, String> {
    Policy::load(file).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

/// A judgement that no daemon made.
fn alone(policy: &Policy, judgement: Judgement) -> Judged {
    Judged {
        judgement,
        redacted: Vec::new(),
        redaction: Redaction::default(),
        redacts: false,
        updated: None,
        notice: None,
        mode: match policy.mode() {
            PolicyMode::Enforce => Mode::Enforce,
            PolicyMode::Observe => Mode::Observe,
        },
    }
}

/// Numbers for what is taken out; without a daemon no two calls have the same.
fn tokens() -> Option<Tokens> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).ok()?;
    Some(Tokens::new(key))
}

/// Without a daemon the confirmations of the user are at hand.
fn settled(judgement: Judgement, call: &Call) -> Judgement {
    match confirm::directory() {
        Some(dir) => tools::confirm::settle(judgement, &call.tool, &dir, SystemTime::now()),
        None => judgement,
    }
}

fn judged_by_daemon(
    socket: &Path,
    call: Call,
    id: Option<String>,
    rewrites: bool,
) -> Result<Judged, String> {
    let request = Request::Judge {
        call,
        id,
        session: None,
        mcp: false,
        passage: None,
        rewrites,
    };
    asked(socket, &request, PATIENCE)
}

fn asked(socket: &Path, request: &Request, patience: Duration) -> Result<Judged, String> {
    let reply = ask::ask(socket, request, patience).map_err(|error| error.to_string())?;
    if let Reply::Judged(judged) = reply {
        Ok(*judged)
    } else {
        Err("egressd answered something else than was asked for".to_owned())
    }
}

/// The call has run: its result is looked at, and what the network refused is told.
fn after(event: Event, style: Style, policy: Option<&Path>, socket: &Path) -> Answer {
    let Event {
        dialect,
        moment,
        call,
        result,
        id,
    } = event;
    let seen = result.map(|result| {
        let passage = Passage {
            source: Source::Result,
            text: result.to_string(),
        };
        // The arguments were judged before the call.
        let call = Call::new(call.tool.as_str(), Value::Null);
        let rewrites = protocol::rewrites(dialect, style);
        match policy {
            Some(file) => passage_by(file, &call.tool, &passage, rewrites),
            None => passage_by_daemon(socket, call, id.clone(), passage, rewrites),
        }
    });
    let (blocked, notice) = match seen {
        Some(Err(why)) => return protocol::refuse(style, moment, &why),
        Some(Ok(judged)) => told(judged),
        None => (None, None),
    };
    let advice = policy.is_none().then(|| aftermath(socket, id)).flatten();
    let context: Vec<String> = notice.into_iter().chain(advice).collect();
    let context = (!context.is_empty()).then(|| context.join(" "));
    protocol::after(dialect, moment, style, blocked.as_ref(), context.as_deref())
}

/// What of a judgement of a result is a block, and what a word by the way.
fn told(judged: Judged) -> (Option<Blocked>, Option<String>) {
    let Judged {
        judgement,
        redacted,
        redaction: _,
        redacts: _,
        updated,
        notice,
        mode,
    } = judged;
    let text = notice.map(|notice| format!("egressd: {notice}"));
    match (mode, judgement.verdict) {
        (Mode::Observe, _) => (None, None),
        (Mode::Enforce, Verdict::Allow) if redacted.is_empty() => (None, text),
        // Nobody can be asked about what has come already.
        (Mode::Enforce, Verdict::Allow | Verdict::Ask | Verdict::Deny) => {
            let reason = text.unwrap_or_else(|| "egressd: the result must not be followed".into());
            let blocked = Blocked {
                reason,
                output: updated,
            };
            (Some(blocked), None)
        }
    }
}

fn passage_by(
    file: &Path,
    tool: &str,
    passage: &Passage,
    rewrites: bool,
) -> Result<Judged, String> {
    let policy = load(file)?;
    let ruling = policy.content().judge_passage(tool, passage);
    let redaction = &policy.inspect().redaction;
    let updated = tokens()
        .filter(|_| rewrites)
        .and_then(|tokens| ruling.rest(passage.text.as_bytes(), redaction, &tokens));
    let redacted = ruling.redacted().to_vec();
    Ok(Judged {
        redacted,
        updated,
        notice: ruling.notice,
        ..alone(&policy, ruling.judgement)
    })
}

fn passage_by_daemon(
    socket: &Path,
    call: Call,
    id: Option<String>,
    passage: Passage,
    rewrites: bool,
) -> Result<Judged, String> {
    let request = Request::Judge {
        call,
        id,
        session: None,
        mcp: false,
        passage: Some(passage),
        rewrites,
    };
    asked(socket, &request, RESULT_PATIENCE)
}

/// What the network refused; without an answer there is nothing to tell.
fn aftermath(socket: &Path, id: Option<String>) -> Option<String> {
    let request = Request::Aftermath { id, session: None };
    match ask::ask(socket, &request, PATIENCE) {
        Ok(Reply::Aftermath(aftermath)) => advice(&aftermath),
        Ok(_) | Err(_) => None,
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
        let before = Cell::new(Moment::Before);
        let json = without_panic(Style::Json, &before, || panic!("on purpose"));
        assert!(
            json.stdout.contains(r#""permissionDecision":"deny""#),
            "{json:?}"
        );
        let code = without_panic(Style::ExitCode, &before, || panic!("on purpose"));
        assert_eq!(code.code, 2);
        let later = without_panic(Style::Json, &before, || {
            before.set(Moment::After);
            panic!("on purpose")
        });
        assert!(later.stdout.contains(r#""decision":"block""#), "{later:?}");
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
