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
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::{
    compose::{Choice, Opened, Wish, choose, compose, opened, uncovered},
    manifest::Manifest,
    plan::{Change, Machine, May, Step, steps},
    project::Project,
    remote::Remote,
    tree::Tree,
};
use super::{
    Exit, Screen, doctor,
    home::{self, Agent, Done, Found, Seen, SeenHook, Task, User},
    table::plain,
};
use crate::{
    kernel::programs::kernel_release,
    policy::{Policy, profiles},
    trust::{self, Trusted},
};

/// Whether systemd runs this machine (`sd_booted(3)`).
pub(super) const SYSTEMD: &str = "/run/systemd/system";
/// The programs of a machine whose files are only prepared.
const PACKAGED: &str = "/usr/bin";
/// What a package puts in the place of the policy, and nobody has touched.
const SHIPPED: &str = include_str!("../../../policy/default.json");

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

/// Everything that is known before anything is changed.
struct Prepared {
    tree: Tree,
    manifest: Manifest,
    /// Where the manifest is.
    place: PathBuf,
    user: Option<User>,
    program: PathBuf,
    seen: Seen,
    project: Option<PathBuf>,
    /// Hosts of remotes that would have to be let in.
    asked: Vec<Remote>,
    choice: Choice,
    opened: Vec<Opened>,
    /// This machine, in words.
    machine: String,
    /// The policy.
    change: Change,
    units: Vec<Change>,
    steps: Vec<Step>,
    notes: Vec<String>,
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
    let is_well = rows.is_none_or(|rows| doctor::is_well(&rows));
    Ok(if is_well { Exit::Ok } else { Exit::No })
}

fn prepare(args: &InitArgs) -> anyhow::Result<Prepared> {
    let root = std::path::absolute(&args.root).context("finding the root")?;
    let tree = Tree::open(&root)?;
    let policy = inner(args, &tree)?;
    let is_for_root = !args.no_units || policy.starts_with("/etc");
    let is_root = !tree.is_own() || rustix::process::geteuid().is_root();
    // A look shows what root would do.
    let is_system = is_root || is_for_root;
    if !is_root && is_for_root && !args.dry_run {
        bail!(
            "this writes below /etc, which is root's: run it with sudo, look with `--dry-run`, or \
             name another place with `--policy PATH --no-units`"
        );
    }
    let place = Manifest::place(is_system)?;
    let manifest = Manifest::read(&tree, &place)?.unwrap_or_default();
    let programs = programs(&tree)?;
    let program = programs.join("egressctl");
    let project = match (&args.project, args.profiles.is_empty()) {
        (Some(project), _) => Some(std::path::absolute(project)?),
        (None, true) => Some(std::env::current_dir().context("finding the project")?),
        (None, false) => None,
    };
    let user = User::find(args.home.as_deref(), &root)?;
    let mut notes = Vec::new();
    let task = Task::Look {
        home: user.home.clone(),
        search: user.search(&root),
        agents: args.agents.clone(),
        files: if args.no_hooks {
            Vec::new()
        } else {
            user.files()
        },
        program: program.clone(),
        project: project.clone(),
    };
    let Done::Seen(mut seen) = home::ask(&user, &task)? else {
        bail!("the child answered something else than was asked for");
    };
    seen.project = seen.project.map(|found| found.map(Project::sound));
    let project_seen = match &seen.project {
        Some(Ok(project)) => project.clone(),
        Some(Err(why)) if args.project.is_some() => {
            bail!("the project cannot be looked at: {}", plain(why))
        }
        Some(Err(_)) | None => Project::default(),
    };
    let mut wish = Wish {
        agents: seen.agents.clone(),
        profiles: args.profiles.clone(),
        project: project_seen,
        remotes: Vec::new(),
        observes: args.mode == Mode::Observe,
    };
    let choice = choose(&wish, &|name| profiles::find(name).is_ok());
    if let (false, Some(missing)) = (args.profiles.is_empty(), choice.missing.first()) {
        // The list of names says what is near.
        if let Err(why) = profiles::find(&missing.profile) {
            bail!("{why}");
        }
    }
    let shown = policy.display().to_string();
    let parse = |text: &str| {
        Policy::parse(text, &shown).context("the proposed policy is not valid: this is a bug")
    };
    let mut text = compose(&wish, &choice);
    let mut proposed = parse(&text)?;
    let mut asked = uncovered(&proposed, &wish.project);
    if args.remote_hosts && !asked.is_empty() {
        wish.remotes = std::mem::take(&mut asked);
        text = compose(&wish, &choice);
        proposed = parse(&text)?;
    }
    let is_shipped = tree
        .read(&policy)?
        .is_some_and(|found| is_shipped(&found.text));
    let may = May {
        update: false,
        replace: args.replace || is_shipped,
    };
    let change = Change::look(&tree, &policy, text, &manifest, may)?;
    let (units, has_units) = units_of(args, &tree, &programs, &policy, &manifest, &mut notes)?;
    let machine = machine(&tree, has_units);
    // Without units a service that runs reads the new policy, and nothing else is touched.
    let is_left = args.no_units && !machine.is_active;
    let steps = if tree.is_own() && is_system && !is_left {
        let told = Machine {
            has_group: machine.has_group || args.no_units,
            is_enabled: machine.is_enabled || args.no_units,
            ..machine
        };
        let writes = units.iter().any(Change::writes);
        steps(told, writes, change.writes())
    } else {
        Vec::new()
    };
    by_hand(args, &tree, machine, &programs, &policy, &mut notes);
    Ok(Prepared {
        opened: opened(&proposed),
        machine: described(&tree, machine),
        user: (!args.no_hooks).then_some(user),
        tree,
        manifest,
        place,
        program,
        seen,
        project,
        asked,
        choice,
        change,
        units,
        steps,
        notes,
    })
}

/// The path of the policy inside of the tree.
fn inner(args: &InitArgs, tree: &Tree) -> anyhow::Result<PathBuf> {
    let policy = if tree.is_own() {
        std::path::absolute(&args.policy)?
    } else {
        args.policy.clone()
    };
    if !policy.is_absolute() {
        bail!("with `--root`, name the policy from `/` on, as the machine will see it");
    }
    if !tree.is_own() || !rustix::process::geteuid().is_root() {
        return Ok(policy);
    }
    // Root writes only where nobody else could have put a link, and egressd reads only from there.
    let existing = policy
        .ancestors()
        .skip(1)
        .find(|directory| directory.exists())
        .unwrap_or(Path::new("/"));
    trust::check(existing, &Trusted::default())
        .with_context(|| format!("the policy cannot lie at {}", policy.display()))?;
    Ok(policy)
}

/// Where egressd and egressctl are, or will be.
fn programs(tree: &Tree) -> anyhow::Result<PathBuf> {
    if !tree.is_own() {
        return Ok(PathBuf::from(PACKAGED));
    }
    let own = std::env::current_exe().context("finding this program's own file")?;
    let directory = own.parent().context("a program is in a directory")?;
    Ok(directory.to_owned())
}

/// The units to write, and whether there are any in the end.
fn units_of(
    args: &InitArgs,
    tree: &Tree,
    programs: &Path,
    policy: &Path,
    manifest: &Manifest,
    notes: &mut Vec<String>,
) -> anyhow::Result<(Vec<Change>, bool)> {
    let service = units::ALL.first().context("there are units")?;
    let packaged = service.packaged();
    let packaged = packaged.iter().find(|place| tree.exists(place));
    let is_ours = manifest.of(&service.own()).is_some();
    if args.no_units {
        let has_units = packaged.is_some() || is_ours;
        return Ok((Vec::new(), has_units));
    }
    if let Some(packaged) = packaged.filter(|_| !is_ours) {
        if policy != Path::new(units::POLICY) {
            bail!(
                "the units of the package ({}) read {}: leave `--policy` out, or say `--no-units`",
                packaged.display(),
                units::POLICY
            );
        }
        notes.push(format!(
            "the units are those of the package ({})",
            packaged.display()
        ));
        return Ok((Vec::new(), true));
    }
    if tree.is_own() {
        for name in ["egressd", "egressctl"] {
            let program = programs.join(name);
            trust::check(&program, &Trusted::default()).with_context(|| {
                format!(
                    "root cannot start {}: install it in /usr/local/bin, or leave the units out \
                     with `--no-units`",
                    program.display()
                )
            })?;
        }
    }
    let may = May {
        update: true,
        replace: args.replace,
    };
    let changes = units::ALL.iter().map(|unit| {
        let text = unit.text(programs, policy)?;
        Change::look(tree, &unit.own(), text, manifest, may)
    });
    Ok((changes.collect::<anyhow::Result<_>>()?, true))
}

fn machine(tree: &Tree, has_units: bool) -> Machine {
    if !tree.is_own() {
        return Machine {
            has_units,
            ..Machine::default()
        };
    }
    let systemd = Path::new(SYSTEMD).is_dir();
    let is = |word: &str| {
        systemd && apply::command(&["systemctl", word, "--quiet", "egressd.service"]).is_ok()
    };
    Machine {
        systemd,
        has_group: crate::control::group_id().is_some(),
        is_enabled: is("is-enabled"),
        is_active: is("is-active"),
        has_units,
    }
}

fn described(tree: &Tree, machine: Machine) -> String {
    if !tree.is_own() {
        return "another one: files are written below `--root`, and nothing is started".to_owned();
    }
    let mut text = format!("Linux {}", kernel_release());
    let systemd = if machine.systemd {
        ", systemd"
    } else {
        ", without systemd"
    };
    text.push_str(systemd);
    if machine.is_active {
        text.push_str(", egressd runs");
    }
    text
}

/// How to start what nobody starts here.
fn by_hand(
    args: &InitArgs,
    tree: &Tree,
    machine: Machine,
    programs: &Path,
    policy: &Path,
    notes: &mut Vec<String>,
) {
    if machine.systemd && machine.has_units {
        return;
    }
    let mut note = format!(
        "start it with: {} run --cgroup agent.slice --policy {}",
        programs.join("egressd").display(),
        policy.display()
    );
    if tree.is_own() && !machine.systemd && !args.no_units {
        note.insert_str(0, "systemd does not run here; ");
    }
    notes.push(note);
}

/// Whether a text is the policy that a package brings, whatever it says about itself.
fn is_shipped(text: &str) -> bool {
    let value = |text: &str| -> Option<Value> {
        let mut value: Value = serde_json::from_str(text).ok()?;
        let members = value.as_object_mut()?;
        members.shift_remove("$schema");
        members.shift_remove("//");
        Some(value)
    };
    value(text).is_some_and(|found| Some(found) == value(SHIPPED))
}

impl Prepared {
    /// The hooks that are in question.
    fn hooks<'s>(&self, seen: &'s Seen) -> impl Iterator<Item = &'s SeenHook> + use<'s> {
        let is_wanted = self.user.is_some();
        seen.hooks.iter().filter(move |_| is_wanted)
    }

    /// The settings files that are to be changed.
    fn settings(&self) -> Vec<(Agent, PathBuf)> {
        self.hooks(&self.seen)
            .filter(|hook| matches!(hook.found, Found::Old | Found::Absent))
            .filter_map(|hook| Some((hook.agent, hook.file.clone()?)))
            .collect()
    }

    fn changes(&self) -> bool {
        self.change.writes()
            || self.units.iter().any(Change::writes)
            || !self.settings().is_empty()
            || !self.steps.is_empty()
    }

    fn json(&self, done: bool, rows: Option<&[doctor::Row]>) -> Value {
        let file = |change: &Change| json!({ "path": self.tree.shown(&change.path), "state": change.state });
        let profiles = &self.choice.chosen;
        json!({
            "done": done,
            "changed": self.changes(),
            "agents": self.seen.agents,
            "project": self.project,
            "profiles": profiles,
            "missing": self.choice.missing,
            "remotes_left": self.asked,
            "policy": {
                "path": self.tree.shown(&self.change.path),
                "state": self.change.state,
                "text": self.change.text,
                "allows": self.opened,
            },
            "units": self.units.iter().map(file).collect::<Vec<_>>(),
            "hooks": self.hooks(&self.seen).collect::<Vec<_>>(),
            "run": self.steps,
            "notes": self.notes,
            "doctor": rows,
        })
    }
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
