//! Who makes the attempts of one identity: a driver, and the helper of the same user outside.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::fd::{AsRawFd as _, OwnedFd},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

use super::Stage;
use crate::escape::{
    Ground, arena,
    driver::{End, GROUND, LIMIT, Said},
    guard::NOBODY,
    verdict::Identity,
};

/// Where the driver stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Outside of every guard: the control run.
    Free,
    Guarded(Identity),
}

impl Standing {
    pub(super) fn identity(self) -> Option<Identity> {
        match self {
            Self::Free => None,
            Self::Guarded(identity) => Some(identity),
        }
    }

    fn uid(self) -> u32 {
        match self {
            Self::Guarded(Identity::Agent) => NOBODY,
            Self::Free | Self::Guarded(Identity::Root | Identity::Bare) => 0,
        }
    }
}

/// Ends with its processes: both end with their input, and are killed if they do not.
#[derive(Debug)]
pub(super) struct Crew {
    driver: Child,
    names: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
    helper: Child,
    /// Open in this process and, if nobody closes it, in the driver.
    _inherited: OwnedFd,
    log: std::path::PathBuf,
    is_over: bool,
}

/// Past the time limit of an attempt, for starting and ending its process on a slow machine.
const SLACK: Duration = Duration::from_secs(20);
/// For a crew to go by itself.
const FAREWELL: Duration = Duration::from_secs(2);

static CREWS: AtomicU32 = AtomicU32::new(0);

impl Crew {
    pub(super) fn hire(stage: &Stage, standing: Standing) -> anyhow::Result<Self> {
        let number = CREWS.fetch_add(1, Ordering::Relaxed);
        let (home, arena) = (&stage.home, &stage.arena);
        let uid = standing.uid();
        let place = home.directory_of(&format!("helper-{number}"), uid)?;
        let inherited = arena.near(|| {
            // Without CLOEXEC, on purpose: the launcher has to see to it.
            let flags = SocketFlags::empty();
            socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
        })??;
        let mut ground = Ground {
            device: arena::DEVICE.to_owned(),
            scratch: home.directory_of(&format!("scratch-{number}"), uid)?,
            helper_pid: 0,
            helper_socket: place.join("engine.sock"),
            helper_abstract: format!("{}-{number}", home.cgroup().path()),
            helper_port: 0,
            cgroup: home.cgroup().directory().to_owned(),
            guarded: standing != Standing::Free,
            inherited: Some(inherited.as_raw_fd()),
            guard: stage.guard.ground(home),
        };
        let mut helper = start_helper(stage, uid, &ground)?;
        ground.helper_pid = helper.id();
        ground.helper_port = read_port(&mut helper)?;
        let log = home.path().join(format!("driver-{number}.log"));
        let mut driver = start_driver(stage, standing, &ground, &log)?;
        let (names, said) = (driver.stdin.take(), driver.stdout.take());
        Ok(Self {
            driver,
            names,
            said: BufReader::new(said.context("the driver has no output")?),
            helper,
            _inherited: inherited,
            log,
            is_over: false,
        })
    }

    /// Whether the driver is gone.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Has one attempt made, and waits for its end.
    pub(super) fn make(&mut self, name: &str) -> anyhow::Result<End> {
        let asked = self
            .names
            .as_mut()
            .context("the driver has no input")
            .and_then(|names| Ok(writeln!(names, "{name}")?));
        let line = match asked {
            Ok(()) => self.line()?,
            Err(_) => None,
        };
        let Some(line) = line else {
            self.is_over = true;
            let words = fs::read_to_string(&self.log).unwrap_or_default();
            return match words.lines().next_back() {
                // A driver that never started is no attempt's doing.
                Some(words) => bail!("the driver of the attempts is gone: {words}"),
                None => Ok(End::Died("took its driver with it".to_owned())),
            };
        };
        let said: Said = serde_json::from_str(&line)
            .with_context(|| format!("the driver said `{}`", line.trim_end()))?;
        if said.name != name {
            bail!("the driver was asked for `{name}` and made `{}`", said.name);
        }
        Ok(said.end)
    }

    /// One line of the driver; `None` when it is gone or hangs.
    fn line(&mut self) -> anyhow::Result<Option<String>> {
        let wait = Timespec::try_from(LIMIT + SLACK)?;
        let mut polled = [PollFd::new(self.said.get_ref(), PollFlags::IN)];
        if self.said.buffer().is_empty() && poll(&mut polled, Some(&wait))? == 0 {
            return Ok(None);
        }
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok((!line.is_empty()).then_some(line))
    }
}

fn start_helper(stage: &Stage, uid: u32, ground: &Ground) -> anyhow::Result<Child> {
    let mut command = Command::new(&stage.egressctl);
    command
        .args(["attempt", "--helper"])
        .env(GROUND, serde_json::to_string(ground)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if uid != 0 {
        // The supplementary groups of root go with its uid.
        command.gid(uid).uid(uid);
    }
    stage.arena.spawn(command)
}

fn read_port(helper: &mut Child) -> anyhow::Result<u16> {
    let stdout = helper.stdout.take().context("the helper has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    line.trim_end()
        .parse()
        .context("the helper of the attempts did not start")
}

fn start_driver(
    stage: &Stage,
    standing: Standing,
    ground: &Ground,
    log: &std::path::Path,
) -> anyhow::Result<Child> {
    let launched = match standing {
        Standing::Free => None,
        Standing::Guarded(identity) => stage.guard.launcher(&stage.egressctl, identity),
    };
    let mut command = match launched {
        Some(mut launcher) => {
            launcher.arg(&stage.egressctl);
            launcher
        }
        None => Command::new(&stage.egressctl),
    };
    command
        .args(["attempt", "--serve"])
        .env(GROUND, serde_json::to_string(ground)?)
        .current_dir(&ground.scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(log)?);
    let driver = stage.arena.spawn(command)?;
    if standing == Standing::Guarded(Identity::Bare) {
        // It waits for its first line, so nothing has been tried yet.
        let directory = stage.home.cgroup().directory().join("bare");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("cgroup.procs"), driver.id().to_string())
            .context("move the driver into the guarded cgroup")?;
    }
    Ok(driver)
}

impl Drop for Crew {
    fn drop(&mut self) {
        drop(self.names.take());
        drop(self.helper.stdin.take());
        let started = Instant::now();
        for child in [&mut self.driver, &mut self.helper] {
            while started.elapsed() < FAREWELL && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(2));
            }
            // Of one that has ended by itself, nothing is left to kill.
            child.kill().unwrap_or_default();
            drop(child.wait());
        }
    }
}
