//! Runs the suite: every attempt free, then under guard, with a look at the far side after each.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, bail};

mod crew;

use self::crew::{Crew, Standing};
use super::{
    Attempt,
    arena::{Arena, home::Home},
    attempts,
    guard::Guard,
    verdict::{Identity, Report, Row, Run, judge},
};
use crate::kernel::programs::kernel_release;

/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of `egressd` and `egressctl`.
    pub programs: PathBuf,
    pub identities: Vec<Identity>,
    /// The attempts of these names; all of them when it is empty.
    pub names: Vec<String>,
    /// Lets the policy allow the bait: the suite must then report what got out.
    pub opens_bait: bool,
}

/// Where a run is, for a person who waits.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Absent in the control run.
    pub identity: Option<Identity>,
    pub done: usize,
    pub all: usize,
    /// What is tried now.
    pub name: &'static str,
}

/// Makes every attempt as often as there are identities, and once without a guard.
pub fn run(options: &Options, progress: &mut dyn FnMut(Progress)) -> anyhow::Result<Report> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "trying ways out needs root, for network namespaces and kernel programs: run it with sudo"
        );
    }
    let chosen = choose(&options.names)?;
    let mut stage = Stage::set(options)?;
    let controls = stage.play(Standing::Free, &chosen, progress)?;
    let mut rows: Vec<Row> = chosen
        .iter()
        .zip(controls)
        .map(|(attempt, control)| Row {
            name: attempt.name.to_owned(),
            title: attempt.title.to_owned(),
            limit: attempt.limit.map(|limit| limit.reason().to_owned()),
            control,
            judged: [].into(),
        })
        .collect();
    for &identity in &options.identities {
        let runs = stage.play(Standing::Guarded(identity), &chosen, progress)?;
        for ((attempt, row), run) in chosen.iter().zip(&mut rows).zip(runs) {
            let judged = judge(attempt, identity, &row.control, run);
            row.judged.insert(identity, judged);
        }
    }
    Ok(Report {
        kernel: kernel_release(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rows,
    })
}

fn choose(names: &[String]) -> anyhow::Result<Vec<&'static Attempt>> {
    if names.is_empty() {
        return Ok(attempts::all().collect());
    }
    let find = |name: &String| {
        attempts::by_name(name).with_context(|| {
            format!("there is no attempt `{name}`: `egressctl attempt --list` names them")
        })
    };
    names.iter().map(find).collect()
}

/// Everything that a run stands on. Dropped in this order.
#[derive(Debug)]
struct Stage {
    guard: Guard,
    arena: Arena,
    home: Home,
    egressctl: PathBuf,
}

/// Tells the stages of one process apart.
static STAGES: AtomicU32 = AtomicU32::new(0);

impl Stage {
    fn set(options: &Options) -> anyhow::Result<Self> {
        let program = |name: &str| {
            let path = options.programs.join(name);
            if path.is_file() {
                Ok(path)
            } else {
                bail!(
                    "`{}` is missing: egressd and egressctl are installed together",
                    path.display()
                )
            }
        };
        let (egressd, egressctl) = (program("egressd")?, program("egressctl")?);
        let home = Home::make(STAGES.fetch_add(1, Ordering::Relaxed))?;
        let egressctl = readable_by_all(egressctl, home.path())?;
        let arena = Arena::build()?;
        let guard = Guard::start(&arena, &home, &egressd, options.opens_bait)?;
        Ok(Self {
            guard,
            arena,
            home,
            egressctl,
        })
    }

    /// Makes the chosen attempts one after the other.
    fn play(
        &mut self,
        standing: Standing,
        chosen: &[&'static Attempt],
        progress: &mut dyn FnMut(Progress),
    ) -> anyhow::Result<Vec<Run>> {
        let mut crew = Crew::hire(self, standing)?;
        let mut runs = Vec::with_capacity(chosen.len());
        let early = self.arena.settle()?;
        if !early.is_empty() {
            bail!(
                "something moves before any attempt is made: {}",
                early.join(", ")
            );
        }
        for (done, attempt) in chosen.iter().enumerate() {
            progress(Progress {
                identity: standing.identity(),
                done,
                all: chosen.len(),
                name: attempt.name,
            });
            let end = crew.make(attempt.name)?;
            if crew.is_over() {
                // An attempt may take its driver with it; the next one gets another.
                crew = Crew::hire(self, standing)?;
            }
            let frames = self.arena.settle()?;
            runs.push(Run { end, frames });
        }
        Ok(runs)
    }
}

/// The program itself where every user can execute it, otherwise a copy in `home`.
fn readable_by_all(program: PathBuf, home: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let is_open = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o005 == 0o005)
    };
    if program.ancestors().all(is_open) {
        return Ok(program);
    }
    let copy = home.join("egressctl");
    std::fs::copy(&program, &copy).with_context(|| format!("copy {}", program.display()))?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}
