//! `egressctl doctor`: what this machine offers and what is set up on it, and with `--escape` whether
//! it holds.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

pub(super) use self::row::{Row, State, is_well, print};
use super::{Exit, Screen};
use crate::escape::{
    suite::{self, Options, Progress},
    verdict::Identity,
};

mod facts;
mod judge;
mod look;
mod row;
pub(super) mod table;

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

/// Exit 0 when nothing fails, or everything was held; 1 when not.
pub fn run(args: &DoctorArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    match &args.escape {
        Some(names) => escape(names, &args.who, screen),
        None => machine(socket, screen),
    }
}

/// A row for each thing that egressd needs or uses.
fn machine(socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let rows = rows(socket);
    if screen.is_json() {
        screen.json(&rows)?;
    } else {
        print(&rows, screen)?;
    }
    Ok(if is_well(&rows) { Exit::Ok } else { Exit::No })
}

/// What is found here, judged.
pub(super) fn rows(socket: &Path) -> Vec<Row> {
    judge::judge(&look::look(socket))
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
