//! `egressctl doctor`: what this machine offers, and with `--escape` whether it holds.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use self::machine::State;
use super::{Exit, Paint, Screen, table::plain};
use crate::escape::{
    suite::{self, Options, Progress},
    verdict::Identity,
};

mod machine;
mod table;

#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Try every known way out of the guard, for real, in network namespaces of its own; or the
    /// named ones. Needs root, takes a minute or two, and leaves nothing behind.
    #[arg(long, value_name = "NAME", num_args = 0..)]
    escape: Option<Vec<String>>,
    /// Try them as: an unprivileged user, root without capabilities, or root with all of them and
    /// without the launcher [default: agent, root].
    #[arg(long = "as", value_name = "WHO", requires = "escape")]
    who: Vec<Who>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Who {
    Agent,
    Root,
    Bare,
}

impl From<Who> for Identity {
    fn from(who: Who) -> Self {
        match who {
            Who::Agent => Self::Agent,
            Who::Root => Self::Root,
            Who::Bare => Self::Bare,
        }
    }
}

/// Exit 0 when everything is there, or everything was held; 1 when not.
pub fn run(args: &DoctorArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    match &args.escape {
        Some(names) => escape(names, &args.who, screen),
        None => machine(socket, screen),
    }
}

/// A line for each thing that egressd needs or uses.
fn machine(socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let checks = machine::look(socket);
    if screen.is_json() {
        screen.json(&checks)?;
    } else {
        for check in &checks {
            let (word, paint) = match check.state {
                State::Ok => ("ok", Paint::Allow),
                State::Weak => ("weak", Paint::Warn),
                State::Missing => ("MISSING", Paint::Deny),
            };
            // The colour takes no width.
            let space = " ".repeat(9_usize.saturating_sub(word.len()));
            let mut lines = table::wrap(&plain(&check.says), 80 - 22).into_iter();
            let first = lines.next().unwrap_or_default();
            let word = screen.paint(paint, word);
            screen.line(format!("{word}{space}{:<12} {first}", check.name))?;
            for line in lines {
                screen.line(format!("{:22}{line}", ""))?;
            }
        }
    }
    let is_whole = checks.iter().all(|check| check.state != State::Missing);
    Ok(if is_whole { Exit::Ok } else { Exit::No })
}

fn escape(names: &[String], who: &[Who], screen: &mut Screen) -> anyhow::Result<Exit> {
    let mut identities: Vec<Identity> = who.iter().map(|&who| who.into()).collect();
    if identities.is_empty() {
        identities = vec![Identity::Agent, Identity::Root];
    }
    identities.dedup();
    let options = Options {
        programs: programs()?,
        identities,
        names: names.to_vec(),
        opens_bait: false,
    };
    let mut ticker = Ticker::new();
    let report = suite::run(&options, &mut |progress| ticker.show(progress));
    ticker.clear();
    let report = report?;
    if screen.is_json() {
        screen.json(&report)?;
    } else {
        table::print(&report, screen)?;
    }
    Ok(if report.is_held() { Exit::Ok } else { Exit::No })
}

/// Where this program and egressd are.
fn programs() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("find this program's own file")?;
    let directory = own.parent().context("a program is in a directory")?;
    Ok(directory.to_owned())
}

/// One line on a terminal that says where the suite is.
struct Ticker {
    is_shown: bool,
}

impl Ticker {
    fn new() -> Self {
        Self {
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, progress: Progress) {
        let Progress {
            identity,
            done,
            all,
            name,
        } = progress;
        let who = identity.map_or_else(|| "without a guard".to_owned(), |who| format!("as {who}"));
        self.write(&format!("{}/{all} {who}: {name}", done + 1));
    }

    fn clear(&mut self) {
        self.write("");
    }

    fn write(&mut self, text: &str) {
        if self.is_shown {
            // Progress that cannot be shown is no reason to stop.
            self.is_shown = write!(std::io::stderr(), "\r\x1b[K{text}").is_ok();
        }
    }
}
