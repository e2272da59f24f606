//! Everything that `egressctl init` knows before it changes anything.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{
    InitArgs, Mode, SYSTEMD, apply,
    compose::{Choice, Opened, Wish, choose, compose, opened, uncovered},
    manifest::Manifest,
    plan::{Change, Machine, May, Step, steps},
    project::Project,
    remote::Remote,
    tree::Tree,
    units,
};
use crate::{
    cli::{
        doctor,
        home::{self, Agent, Done, Found, Seen, SeenHook, Task, User},
        table::plain,
    },
    kernel::programs::kernel_release,
    policy::{Policy, profiles},
    programs::egressctl_path,
    trust::{self, Trusted},
};

/// The programs of a machine whose files are only prepared.
const PACKAGED: &str = "/usr/bin";
/// What a package puts in the place of the policy, and nobody has touched.
const SHIPPED: &str = include_str!("../../../../policy/default.json");

/// Everything that is known before anything is changed.
pub(super) struct Prepared {
    pub(super) tree: Tree,
    pub(super) manifest: Manifest,
    /// Where the manifest is.
    pub(super) place: PathBuf,
    pub(super) user: Option<User>,
    pub(super) program: PathBuf,
    pub(super) seen: Seen,
    pub(super) project: Option<PathBuf>,
    /// Hosts of remotes that would have to be let in.
    pub(super) asked: Vec<Remote>,
    pub(super) choice: Choice,
    pub(super) opened: Vec<Opened>,
    /// This machine, in words.
    pub(super) machine: String,
    /// The policy.
    pub(super) change: Change,
    pub(super) units: Vec<Change>,
    pub(super) steps: Vec<Step>,
    /// Whether a service is to run in the end.
    pub(super) starts: bool,
    pub(super) notes: Vec<String>,
}

pub(super) fn prepare(args: &InitArgs) -> anyhow::Result<Prepared> {
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
    let program = if tree.is_own() {
        egressctl_path()?
    } else {
        programs.join("egressctl")
    };
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
        starts: machine.systemd && has_units && !is_left,
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
    if !tree.is_own() && machine.has_units {
        notes.push(format!(
            "start it with the machine: systemctl --root {} enable egressd.service",
            tree.shown(Path::new("/")).display()
        ));
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
    pub(super) fn hooks<'s>(&self, seen: &'s Seen) -> impl Iterator<Item = &'s SeenHook> + use<'s> {
        let is_wanted = self.user.is_some();
        seen.hooks.iter().filter(move |_| is_wanted)
    }

    /// The settings files that are to be changed.
    pub(super) fn settings(&self) -> Vec<(Agent, PathBuf)> {
        self.hooks(&self.seen)
            .filter(|hook| matches!(hook.found, Found::Old | Found::Absent))
            .filter_map(|hook| Some((hook.agent, hook.file.clone()?)))
            .collect()
    }

    pub(super) fn changes(&self) -> bool {
        self.change.writes()
            || self.units.iter().any(Change::writes)
            || !self.settings().is_empty()
            || !self.steps.is_empty()
    }

    pub(super) fn json(&self, done: bool, rows: Option<&[doctor::Row]>) -> Value {
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
