//! `egressctl init`: from nothing to a guarded agent. Looks, proposes, shows each change, and makes
//! them when a person agrees.
//!
//! ```text
//! home::ask(Look) ──▶ Seen ─┐
//! flags ────────────────────┴─compose──▶ policy ──plan──▶ changes ──show──▶ apply ──▶ doctor
//! ```

pub(super) mod apply;
mod compose;
mod ecosystem;
pub(super) mod manifest;
mod plan;
mod prepare;
pub(super) mod project;
mod remote;
mod show;
pub(super) mod tree;
pub(super) mod units;

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use self::{
    prepare::{Prepared, prepare},
    remote::Remote,
};
use super::{Exit, Screen, doctor, home::Agent, table::plain};

/// Whether systemd runs this machine (`sd_booted(3)`).
pub(super) const SYSTEMD: &str = "/run/systemd/system";

/// Sets up egressd on this machine: a policy made of maintained profiles, the units, the hooks of
/// the agents. It shows everything first, asks once, and ends with `doctor`; exit 1 when that finds
/// something that fails.
///
/// A project chooses among the maintained profiles by the names of its files, and opens no host of
/// its own: whoever wrote a lock file or `.git/config` may be a stranger. Hosts of git remotes that
/// no profile has are shown and asked about; `--yes` alone does not let them in, `--remote-hosts`
/// does.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The agents to guard [default: those that are found].
    #[arg(long = "agent", value_name = "NAME", num_args = 1..)]
    agents: Option<Vec<Agent>>,
    /// The profiles that the policy is made of [default: those that fit what is found].
    #[arg(long = "profile", value_name = "NAME", num_args = 1..)]
    profiles: Vec<String>,
    /// Let the hosts of git remotes in that no profile has.
    #[arg(long)]
    remote_hosts: bool,
    /// Refuse and record what the policy does not allow, or only record it.
    #[arg(long, value_name = "MODE", default_value = "enforce")]
    mode: Mode,
    /// The project to look at [default: this directory].
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Where the policy goes.
    #[arg(long, value_name = "PATH", default_value = units::POLICY)]
    policy: PathBuf,
    /// Put the policy and the units in the place of other ones; backups are kept.
    #[arg(long)]
    replace: bool,
    /// Leave the settings of agents as they are.
    #[arg(long)]
    no_hooks: bool,
    /// Install no units, make no group and start nothing.
    #[arg(long)]
    no_units: bool,
    /// Whose agents [default: of the user who called sudo, otherwise $HOME].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Write into the file system below this directory, and start nothing.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Do it without asking.
    #[arg(long, short)]
    yes: bool,
    /// Show each change, and change nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Observe,
    Enforce,
}

pub fn run(args: InitArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let mut args = args;
    let mut prepared = prepare(&args)?;
    let is_asking = !args.yes && !args.dry_run && prepared.changes();
    if !screen.is_json() {
        show::all(&prepared, screen)?;
    }
    if args.dry_run {
        if screen.is_json() {
            screen.json(&prepared.json(false, None))?;
        } else {
            screen.line("")?;
            screen.line("Nothing was changed (`--dry-run`).")?;
        }
        return Ok(Exit::Ok);
    }
    if is_asking {
        if screen.is_json() || !io::stdin().is_terminal() {
            bail!("nothing was changed: nobody can be asked here; say `--yes`, or `--dry-run`");
        }
        screen.flush()?;
        if !prepared.asked.is_empty() && agrees(&remote_question(&prepared.asked))? {
            args.remote_hosts = true;
            prepared = prepare(&args)?;
            show::all(&prepared, screen)?;
            screen.flush()?;
        }
        if !agrees("Do all this?")? {
            screen.line("Nothing was changed.")?;
            return Ok(Exit::No);
        }
    }
    let did = prepared.changes();
    apply::all(&mut prepared)?;
    let rows = prepared.tree.is_own().then(|| doctor::rows(socket));
    if screen.is_json() {
        screen.json(&prepared.json(true, rows.as_deref()))?;
    } else {
        screen.line("")?;
        screen.line(if did {
            "Done; `egressctl uninstall` takes it back."
        } else {
            "Nothing had to be changed."
        })?;
        screen.line("")?;
        match &rows {
            Some(rows) => doctor::print(rows, screen)?,
            None => screen.line("`egressctl doctor` looks at the machine that this is for.")?,
        }
    }
    // Nobody starts egressd but a person, where no service does.
    let is_due = |row: &doctor::Row| prepared.starts || row.name != "egressd";
    let fails = |row: &doctor::Row| row.state == doctor::State::Fail && is_due(row);
    let is_well = rows.is_none_or(|rows| !rows.iter().any(fails));
    Ok(if is_well { Exit::Ok } else { Exit::No })
}

fn remote_question(asked: &[Remote]) -> String {
    let places: Vec<String> = asked
        .iter()
        .map(|remote| format!("{}:{}", remote.host, remote.port))
        .collect();
    format!(
        "The project's .git/config names {}. Let agents reach that, too?",
        plain(&places.join(", "))
    )
}

/// Asks a person; everything but a clear yes is a no.
pub(super) fn agrees(question: &str) -> anyhow::Result<bool> {
    let mut terminal = io::stderr();
    write!(terminal, "\n{question} [y/N] ").context("asking")?;
    terminal.flush().context("asking")?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("hearing the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

/// A path that starts at the root of a file system, as it is called from outside.
pub(super) fn beneath(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
