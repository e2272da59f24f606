//! The home of the person whose agents are guarded, and what is done in it.
//!
//! `egressctl init` runs as root, and a home belongs to somebody else, who could put a symbolic link
//! where root is about to write or read. So nothing below a home, and nothing in a project, is
//! touched by root: a child of this program does it with the user id, the group and none of the
//! other rights of that person (`ask`). What the child says is foreign input: the person could
//! trace it. It is bounded in size and time, shown and kept, and nothing that root does follows
//! from it but a choice among maintained profiles.

pub(super) mod agent;
mod settings;
mod user;

use std::{
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{DumpableBehavior, set_dumpable_behavior},
};
use serde::{Deserialize, Serialize};

pub(super) use self::{
    agent::Agent,
    settings::{Found, Installed, Removed, SeenHook, Undone},
    user::User,
};
use super::{Exit, init::project::Project};
use crate::programs::{self, Program};

/// For all that a child does.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a child may say, in bytes.
const LONGEST: usize = 4 << 20;

/// What is to be done in a home.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Task {
    /// Changes nothing.
    Look {
        home: PathBuf,
        /// The programs of agents are looked for here.
        search: Vec<PathBuf>,
        /// The ones to look at, whether they are there or not; `None` for those that are there.
        agents: Option<Vec<Agent>>,
        /// Where their settings are.
        files: Vec<(Agent, PathBuf)>,
        /// The egressctl that a hook starts.
        program: PathBuf,
        project: Option<PathBuf>,
    },
    Install {
        program: PathBuf,
        files: Vec<(Agent, PathBuf)>,
    },
    Remove {
        installed: Vec<Installed>,
        dry_run: bool,
    },
}

/// The agents of a home and the project that lies in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) agents: Vec<SeenAgent>,
    pub(super) hooks: Vec<SeenHook>,
    /// What lies in the project, or why it cannot be looked at.
    pub(super) project: Option<Result<Project, String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenAgent {
    pub(super) agent: Agent,
    /// The directory or the program that shows it; `None` when it was only named.
    pub(super) by: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Done {
    Seen(Seen),
    Installed(Vec<Installed>),
    Removed(Vec<Removed>),
    /// What was done before it went wrong, and why it did.
    Failed {
        installed: Vec<Installed>,
        why: String,
    },
}

/// Does a task with the rights of a person: in this process when they are its own, in a child when
/// it is root's.
pub(super) fn ask(user: &User, task: &Task) -> anyhow::Result<Done> {
    if user.is_self() {
        return Ok(work(task));
    }
    let name = format!("what is in {}", user.home.display());
    in_child(user, task).with_context(|| format!("cannot look at or change {name}"))
}

/// Does a task that stands on standard input; the answer goes to standard output.
pub fn run() -> anyhow::Result<Exit> {
    // Makes it harder for the person, whose other programs may be agents, to speak through it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("hiding this process")?;
    let mut text = String::new();
    std::io::stdin()
        .take(LONGEST as u64)
        .read_to_string(&mut text)
        .context("reading the task")?;
    let task: Task = serde_json::from_str(&text).context("reading the task")?;
    let done = serde_json::to_vec(&work(&task))?;
    std::io::stdout().write_all(&done)?;
    Ok(Exit::Ok)
}

fn work(task: &Task) -> Done {
    match task {
        Task::Look {
            home,
            search,
            agents,
            files,
            program,
            project,
        } => {
            let agents = present(home, search, agents.as_deref());
            let files = files
                .iter()
                .filter(|(agent, _)| agents.iter().any(|seen| seen.agent == *agent));
            let mut hooks: Vec<SeenHook> = files
                .map(|(agent, file)| settings::look(*agent, file, program))
                .collect();
            let without = agents.iter().filter(|seen| seen.agent.hook().is_none());
            hooks.extend(without.map(|seen| SeenHook::none(seen.agent)));
            let project = project
                .as_ref()
                .map(|place| Project::look(place).map_err(|error| error.to_string()));
            Done::Seen(Seen {
                agents,
                hooks,
                project,
            })
        }
        Task::Install { program, files } => {
            let mut installed = Vec::new();
            for (agent, file) in files {
                match settings::install(*agent, file, program) {
                    Ok(Some(one)) => installed.push(one),
                    Ok(None) => {}
                    Err(error) => {
                        let why = format!("{error:#}");
                        return Done::Failed { installed, why };
                    }
                }
            }
            Done::Installed(installed)
        }
        Task::Remove { installed, dry_run } => Done::Removed(
            installed
                .iter()
                .map(|one| settings::remove(one, *dry_run))
                .collect(),
        ),
    }
}

fn present(home: &std::path::Path, search: &[PathBuf], named: Option<&[Agent]>) -> Vec<SeenAgent> {
    let shown_by = |agent: Agent| {
        let directory = home.join(agent.directory());
        let programs = search.iter().flat_map(|place| {
            let programs = agent.programs().iter();
            programs.map(move |program| place.join(program))
        });
        std::iter::once(directory)
            .filter(|directory| directory.is_dir())
            .chain(programs.filter(|program| program.is_file()))
            .next()
    };
    Agent::ALL
        .into_iter()
        .filter_map(|agent| {
            let by = shown_by(agent);
            let is_wanted = match named {
                Some(named) => named.contains(&agent),
                None => by.is_some(),
            };
            is_wanted.then_some(SeenAgent { agent, by })
        })
        .collect()
}

fn in_child(user: &User, task: &Task) -> anyhow::Result<Done> {
    // std gives up the supplementary groups of root where it sets the user.
    let mut child = programs::again(Program::Egressctl)
        .arg("in-home")
        .env_clear()
        .env("HOME", &user.home)
        .env("PATH", "/usr/bin:/bin")
        .uid(user.uid)
        .gid(user.gid)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting egressctl as the user")?;
    let heard = hear(&mut child, &serde_json::to_vec(task)?);
    if heard.is_err() {
        // It may have ended by itself; both are well.
        drop(child.kill());
    }
    let status = child.wait().context("waiting for the child")?;
    let heard = heard?;
    if !status.success() {
        bail!("the child that runs as uid {} failed ({status})", user.uid);
    }
    serde_json::from_slice(&heard).context("reading what the child says")
}

fn hear(child: &mut Child, task: &[u8]) -> anyhow::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut stdin = child.stdin.take().context("the child has no input")?;
    let mut stdout = child.stdout.take().context("the child has no output")?;
    // A task fits into a pipe, or nearly: the child reads it whole before it says anything.
    stdin.write_all(task).context("telling the child")?;
    drop(stdin);
    let mut heard = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left)?;
        if poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&left))? == 0 {
            bail!("the child said nothing for {} s", PATIENCE.as_secs());
        }
        match stdout.read(&mut chunk)? {
            0 => return Ok(heard),
            read => heard.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
        if heard.len() > LONGEST {
            bail!("the child says too much");
        }
    }
}
