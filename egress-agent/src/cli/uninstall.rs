//! `egressctl uninstall`: takes back what `egressctl init` has done, and nothing that somebody has
//! changed since.

mod files;
mod guard;

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use self::{
    files::{Fate, File},
    guard::Guards,
};
use super::{
    Exit, PIN_DIR, RUNTIME_DIR, Screen, admin,
    doctor::table::wrap,
    home::{self, Done, Removed, Task, Undone},
    init::{
        self,
        apply::command,
        manifest::{Home, Manifest},
        tree::Tree,
        units,
    },
    table::plain,
};

/// Take back what `init` has done: hooks, policy, units, the guard itself. What was changed since is
/// left and named; the audit log stays.
#[derive(Clone, Debug, Args)]
pub struct UninstallArgs {
    /// Take files back that were changed since, too.
    #[arg(long)]
    force: bool,
    /// Remove the audit log, too.
    #[arg(long)]
    purge: bool,
    /// What was written into the file system below this directory.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Do it without asking.
    #[arg(long, short)]
    yes: bool,
    /// Show what would be taken back, and change nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Everything that is to be taken back.
struct Plan {
    tree: Tree,
    manifest: Manifest,
    place: PathBuf,
    files: Vec<File>,
    hooks: Vec<Removed>,
    logs: Vec<PathBuf>,
    guards: Guards,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    done: Vec<String>,
    /// What somebody has changed since.
    left: Vec<String>,
    failed: Vec<String>,
}

/// Exit 1 when something could not be taken back. What is left because somebody has changed it is
/// named, and no failure.
pub fn run(args: &UninstallArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let root = std::path::absolute(&args.root).context("finding the root")?;
    let tree = Tree::open(&root)?;
    let is_root = rustix::process::geteuid().is_root();
    if tree.is_own() && is_root {
        admin::refuse_guarded(Path::new(PIN_DIR))?;
    }
    let place = Manifest::place(!tree.is_own() || is_root)?;
    let Some(manifest) = Manifest::read(&tree, &place)? else {
        let shown = tree.shown(&place);
        if screen.is_json() {
            screen.json(&json!({ "installed": false }))?;
        } else {
            screen.line(format!(
                "Nothing to take back: {} is not there{}.",
                shown.display(),
                if is_root {
                    ""
                } else {
                    "; what root has installed, sudo takes back"
                }
            ))?;
        }
        return Ok(Exit::Ok);
    };
    let mut plan = Plan::new(args, tree, manifest, place, socket)?;
    if !screen.is_json() {
        plan.show(screen)?;
    }
    if args.dry_run {
        if screen.is_json() {
            screen.json(&plan.json(None))?;
        } else {
            screen.line("")?;
            screen.line("Nothing was changed (`--dry-run`).")?;
        }
        return Ok(Exit::Ok);
    }
    if !args.yes {
        if screen.is_json() || !io::stdin().is_terminal() {
            bail!("nothing was changed: nobody can be asked here; say `--yes`, or `--dry-run`");
        }
        screen.flush()?;
        if !init::agrees("Take all this back?")? {
            screen.line("Nothing was changed.")?;
            return Ok(Exit::No);
        }
    }
    let outcome = plan.carry_out(socket)?;
    if screen.is_json() {
        screen.json(&plan.json(Some(&outcome)))?;
    } else {
        screen.line("")?;
        for left in &outcome.left {
            lines("left", left, screen)?;
        }
        for failed in &outcome.failed {
            lines("FAILED", failed, screen)?;
        }
        screen.line(if outcome.left.is_empty() && outcome.failed.is_empty() {
            "All is as it was before `egressctl init`."
        } else {
            "The rest is as it was before `egressctl init`."
        })?;
    }
    Ok(if outcome.failed.is_empty() {
        Exit::Ok
    } else {
        Exit::No
    })
}

impl Plan {
    fn new(
        args: &UninstallArgs,
        tree: Tree,
        manifest: Manifest,
        place: PathBuf,
        socket: &Path,
    ) -> anyhow::Result<Self> {
        let files = manifest
            .files
            .iter()
            .rev()
            .map(|written| File::look(&tree, written, args.force))
            .collect::<anyhow::Result<_>>()?;
        let hooks = manifest.homes.iter().flat_map(|home| removed(home, true));
        let hooks = hooks.collect();
        let logs = if args.purge {
            files::logs(&tree, manifest.policy.as_deref())
        } else {
            Vec::new()
        };
        let guards = if tree.is_own() {
            Guards::look(socket, &manifest)?
        } else {
            Guards::default()
        };
        Ok(Self {
            tree,
            manifest,
            place,
            files,
            hooks,
            logs,
            guards,
        })
    }

    fn show(&self, screen: &mut Screen) -> anyhow::Result<()> {
        for step in self.guards.words() {
            lines("run", &step, screen)?;
        }
        for guard in &self.guards.released {
            lines("release", &format!("the guard of {guard}"), screen)?;
        }
        for session in &self.guards.sessions {
            lines(
                "note",
                &format!("session {session} goes on without a guard"),
                screen,
            )?;
        }
        for hook in &self.hooks {
            let path = hook.file.display();
            let (word, says) = match &hook.done {
                Undone::AsBefore => ("restore", format!("{path}, as it was")),
                Undone::TakenOut(_) => ("change", format!("{path}: the hook is taken out")),
                Undone::Gone => ("gone", path.to_string()),
                Undone::Failed(why) => ("leave", format!("{path}: {why}")),
            };
            lines(word, &says, screen)?;
        }
        for file in &self.files {
            let path = self.tree.shown(&file.path);
            let path = path.display();
            let (word, says) = match &file.fate {
                Fate::Remove => ("remove", path.to_string()),
                Fate::Restore => ("restore", format!("{path}, as it was")),
                Fate::Gone => ("gone", path.to_string()),
                Fate::Leave => (
                    "leave",
                    format!("{path}: it was changed since; `--force` takes it back all the same"),
                ),
            };
            lines(word, &says, screen)?;
        }
        for log in &self.logs {
            lines(
                "remove",
                &self.tree.shown(log).display().to_string(),
                screen,
            )?;
        }
        if self.manifest.group {
            lines("run", "groupdel egressd", screen)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, socket: &Path) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        // The guard first: while it stands, the files that it is made of do too.
        self.guards.take_off(socket)?;
        outcome.done.extend(self.guards.words());
        let released = self.guards.released.iter();
        outcome
            .done
            .extend(released.map(|guard| format!("released {guard}")));
        let mut homes = Vec::new();
        for home in &self.manifest.homes {
            let removed = removed(home, false);
            let mut is_whole = true;
            for Removed { file, done } in &removed {
                let path = file.display();
                match done {
                    Undone::Failed(why) => {
                        is_whole = false;
                        outcome.failed.push(format!("{path}: {why}"));
                    }
                    Undone::TakenOut(Some(backup)) => outcome.left.push(format!(
                        "{}: the settings as they were before, because they were changed since",
                        backup.display()
                    )),
                    Undone::TakenOut(None) | Undone::AsBefore | Undone::Gone => {
                        outcome.done.push(path.to_string());
                    }
                }
            }
            if !is_whole {
                homes.push(home.clone());
            }
        }
        self.manifest.homes = homes;
        for file in &self.files {
            let shown = self.tree.shown(&file.path);
            let shown = shown.display();
            match file.take_back(&self.tree) {
                Ok(true) => {
                    outcome.done.push(shown.to_string());
                    let is_other = |written: &init::manifest::Written| written.path != file.path;
                    self.manifest.files.retain(is_other);
                }
                Ok(false) => outcome.left.push(format!(
                    "{shown}: it was changed since; `--force` takes it back"
                )),
                Err(error) => outcome.failed.push(format!("{shown}: {error:#}")),
            }
        }
        for log in &self.logs {
            self.tree.remove(log)?;
            outcome
                .done
                .push(self.tree.shown(log).display().to_string());
        }
        if !self.logs.is_empty() {
            self.tree.remove_directory(Path::new("/var/log/egressd"));
        }
        self.finish(&mut outcome)?;
        Ok(outcome)
    }

    /// What can only go when everything else has.
    fn finish(&mut self, outcome: &mut Outcome) -> anyhow::Result<()> {
        if self.tree.is_own() {
            if self.guards.stops {
                command(&["systemctl", "daemon-reload"])?;
            } else if self.guards.reloads {
                command(&["systemctl", "reload", "egressd.service"])?;
            }
            if self.manifest.group {
                if let Err(error) = command(&["groupdel", "egressd"]) {
                    outcome.failed.push(format!("the group egressd: {error:#}"));
                }
                self.manifest.group = false;
            }
            if self.guards.stops {
                // The daemon keeps it over restarts, and there will be none.
                drop(std::fs::remove_dir_all(RUNTIME_DIR));
                drop(std::fs::remove_dir(PIN_DIR));
            }
        }
        self.manifest.enabled = false;
        if !self.manifest.files.is_empty() || !self.manifest.homes.is_empty() {
            // What was left can still be taken back later, with the directories that it is in.
            let mut made = std::mem::take(&mut self.manifest.made);
            made.reverse();
            made.retain(|directory| !self.tree.remove_directory(directory));
            made.reverse();
            self.manifest.made = made;
            return self.manifest.write(&self.tree, &self.place);
        }
        self.tree.remove(&self.place)?;
        for directory in self.manifest.made.iter().rev() {
            if !self.tree.remove_directory(directory) && self.tree.exists(directory) {
                let shown = self.tree.shown(directory);
                let holds = std::fs::read_dir(&shown).map_or(0, Iterator::count);
                if holds > 0 {
                    outcome.left.push(format!(
                        "{}: what init did not put there is in it",
                        shown.display()
                    ));
                }
            }
        }
        Ok(())
    }

    fn json(&self, outcome: Option<&Outcome>) -> serde_json::Value {
        let files = self
            .files
            .iter()
            .map(|file| json!({ "path": self.tree.shown(&file.path), "fate": file.fate }));
        json!({
            "installed": true,
            "files": files.collect::<Vec<_>>(),
            "hooks": self.hooks,
            "release": self.guards.released,
            "sessions": self.guards.sessions,
            "run": self.guards.words(),
            "purge": self.logs,
            "done": outcome.map(|outcome| &outcome.done),
            "left": outcome.map(|outcome| &outcome.left),
            "failed": outcome.map(|outcome| &outcome.failed),
        })
    }
}

/// What becomes of the settings in one home; each is told, whatever goes wrong.
fn removed(home: &Home, dry_run: bool) -> Vec<Removed> {
    let task = Task::Remove {
        installed: home.installed.clone(),
        dry_run,
    };
    let why = match home::ask(&home.user(), &task) {
        Ok(Done::Removed(removed)) => return removed,
        Ok(Done::Seen(_) | Done::Installed(_) | Done::Failed { .. }) => {
            "the child answered something else than was asked for".to_owned()
        }
        Err(error) => format!("{error:#}"),
    };
    let installed = home.installed.iter();
    installed
        .map(|one| Removed {
            file: one.file.clone(),
            done: Undone::Failed(why.clone()),
        })
        .collect()
}

/// A word in its column, and the rest beside it.
fn lines(word: &str, says: &str, screen: &mut Screen) -> anyhow::Result<()> {
    const WIDTH: usize = 80;
    const WORDS: usize = 9;
    let mut lines = wrap(&plain(says), WIDTH - WORDS).into_iter();
    let first = lines.next().unwrap_or_default();
    screen.line(format!("{word:<WORDS$}{first}"))?;
    for line in lines {
        screen.line(format!("{:WORDS$}{line}", ""))?;
    }
    Ok(())
}

/// Whether the units are those that init wrote.
fn has_own_units(manifest: &Manifest) -> bool {
    let mut own = units::ALL.iter().map(units::Unit::own);
    own.any(|path| manifest.of(&path).is_some())
}
