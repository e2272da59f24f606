//! The process that makes attempts: inside a session, or free for the control run.
//!
//! It reads the name of an attempt on a line, makes it in a process of its own, and answers with
//! a line of JSON ([`Said`]). The suite reads the capture between the lines. It ends with its
//! input.

use std::{
    fs,
    io::{self, BufRead as _, Read as _, Write},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process_group},
};
use serde::{Deserialize, Serialize};

use super::{Ground, Outcome, attempts};
use crate::programs::{self, Program};

/// The variable in which the ground comes as JSON.
pub const GROUND: &str = "EGRESSD_ESCAPE_GROUND";
/// How long one attempt may take.
pub const LIMIT: Duration = Duration::from_secs(3);

/// How the process of an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It said how it went.
    Said(Outcome),
    /// It ended without a word: `was killed by signal 31`.
    Died(String),
    /// It was killed, as it took too long.
    TimedOut,
}

/// One line of the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub name: String,
    pub end: End,
}

impl End {
    /// What it reached without a packet to show for it.
    pub fn escaped(&self) -> Option<&str> {
        match self {
            Self::Said(Outcome::Escaped(what)) => Some(what),
            Self::Said(Outcome::Sent | Outcome::Refused(_) | Outcome::Absent(_))
            | Self::Died(_)
            | Self::TimedOut => None,
        }
    }

    /// The same in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Said(Outcome::Sent) => "every call succeeded".to_owned(),
            Self::Said(Outcome::Refused(what)) => what.clone(),
            Self::Said(Outcome::Absent(what)) => what.clone(),
            Self::Said(Outcome::Escaped(what)) => format!("reached: {what}"),
            Self::Died(how) => format!("the attempt {how}"),
            Self::TimedOut => format!("not done after {} s", LIMIT.as_secs()),
        }
    }
}

/// The ground of this process, from its environment.
pub fn ground() -> anyhow::Result<Ground> {
    let text = std::env::var(GROUND)
        .with_context(|| format!("{GROUND} cannot be read: `egressctl doctor --escape` sets it"))?;
    let mut ground: Ground = serde_json::from_str(&text)?;
    ground.inherited = ground.inherited.filter(|&fd| is_socket(fd));
    Ok(ground)
}

/// Whether this process has a socket of this number.
fn is_socket(fd: i32) -> bool {
    fs::read_link(format!("/proc/self/fd/{fd}"))
        .is_ok_and(|link| link.to_string_lossy().starts_with("socket:"))
}

/// Makes one attempt in this process, and says how it went.
pub fn make(name: &str) -> anyhow::Result<Outcome> {
    let Some(attempt) = attempts::by_name(name) else {
        anyhow::bail!("there is no attempt `{name}`: `egressctl attempt --list` names them");
    };
    Ok((attempt.run)(&ground()?))
}

/// Reads names and makes attempts until the input ends.
pub fn serve(mut out: impl Write) -> anyhow::Result<()> {
    for name in io::stdin().lock().lines() {
        say(&mut out, &name?)?;
    }
    Ok(())
}

/// Makes one attempt in a process of its own, and writes its line.
pub fn say(out: &mut impl Write, name: &str) -> anyhow::Result<()> {
    let said = Said {
        name: name.to_owned(),
        end: watch(name)?,
    };
    serde_json::to_writer(&mut *out, &said)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

fn watch(name: &str) -> io::Result<End> {
    let mut child = programs::again(Program::Egressctl)
        .args(["attempt", "--one", name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let line = read_line(&mut child, LIMIT);
    // What it started goes with it: sockets that stay open would send into the next attempt.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process_group(group, Signal::KILL).unwrap_or_default();
    }
    let status = child.wait()?;
    Ok(match line? {
        Line::Whole(line) => match serde_json::from_str(&line) {
            Ok(outcome) => End::Said(outcome),
            Err(_) => End::Died(format!("said `{}`", line.trim_end())),
        },
        Line::Closed => End::Died(how(status)),
        Line::Late => End::TimedOut,
    })
}

enum Line {
    Whole(String),
    Closed,
    Late,
}

/// Waits for the first line of a child, for as long as `limit`.
fn read_line(child: &mut Child, limit: Duration) -> io::Result<Line> {
    let Some(mut stdout) = child.stdout.take() else {
        return Ok(Line::Closed);
    };
    let started = Instant::now();
    let mut line = Vec::new();
    loop {
        let left = limit.saturating_sub(started.elapsed());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut polled = [PollFd::new(&stdout, PollFlags::IN)];
        match poll(&mut polled, Some(&left)) {
            Ok(0) => return Ok(Line::Late),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let mut chunk = [0; 4096];
        let length = stdout.read(&mut chunk)?;
        let read = chunk.get(..length).unwrap_or_default();
        line.extend_from_slice(read);
        if read.is_empty() {
            return Ok(Line::Closed);
        }
        if line.contains(&b'\n') {
            return Ok(Line::Whole(String::from_utf8_lossy(&line).into_owned()));
        }
    }
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("ended with status {code}"),
        (None, None) => "ended".to_owned(),
    }
}
