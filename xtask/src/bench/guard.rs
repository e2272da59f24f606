//! An egressd of the benchmark's own: as a service would run it, with its usual verbosity, and with
//! the times of its start.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use xtask::{
    program,
    world::{World, cgroup::Cgroup},
};

use crate::load::monotonic;

/// The start with the largest policy on a slow machine.
const START: Duration = Duration::from_mins(1);

/// Dropping it kills the daemon; what it has pinned goes with the world.
#[derive(Debug)]
pub(crate) struct Guard {
    child: Child,
    cgroup: Cgroup,
    policy: PathBuf,
    audit: PathBuf,
    socket: PathBuf,
    notify: UnixDatagram,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    started: u64,
    ready: Duration,
}

impl Guard {
    /// Starts egressd on one processor, or on all.
    pub(crate) fn start(
        world: &World,
        egressd: &Path,
        name: &str,
        policy: &Value,
        cpu: Option<usize>,
    ) -> Result<Self> {
        let directory = world.home().join(name);
        let runtime = directory.join("run");
        fs::create_dir_all(&runtime).with_context(|| format!("making {}", runtime.display()))?;
        let cgroup = world.cgroup().child(name)?;
        let audit = directory.join("audit.jsonl");
        let file = directory.join("policy.json");
        write_policy(&file, policy, &audit)?;
        let address = directory.join("notify");
        let notify = UnixDatagram::bind(&address)
            .with_context(|| format!("binding {}", address.display()))?;
        let log = fs::File::create(directory.join("egressd.log")).context("making egressd.log")?;
        let mut command = world.command("env");
        command.arg(format!("NOTIFY_SOCKET={}", address.display()));
        if let Some(cpu) = cpu {
            command.args(["taskset", "-c", &cpu.to_string()]);
        }
        command
            .arg(egressd)
            .args(["run", "--cgroup", cgroup.name(), "--policy"])
            .arg(&file)
            .arg("--runtime-dir")
            .arg(&runtime)
            .arg("--pin-dir")
            .arg(world.home().join("bpf").join(name))
            .arg("--resolv-conf")
            .arg(world.home().join("resolv.conf"));
        let started = monotonic();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting egressd")?;
        let mut guard = Self {
            child,
            cgroup,
            policy: file,
            audit,
            socket: runtime.join("control.sock"),
            notify,
            started,
            ready: Duration::ZERO,
        };
        guard.wait_until_ready(&directory.join("egressd.log"))?;
        guard.ready = Duration::from_nanos(monotonic().saturating_sub(started));
        Ok(guard)
    }

    /// When the process was started: `CLOCK_MONOTONIC` in nanoseconds.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// From the start of the process to READY=1.
    pub(crate) fn ready(&self) -> Duration {
        self.ready
    }

    pub(crate) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Replaces the policy and times `SIGHUP` to the READY=1 that follows.
    pub(crate) fn reload(&mut self, policy: &Value) -> Result<Duration> {
        write_policy(&self.policy, policy, &self.audit)?;
        let log = self.policy.with_file_name("egressd.log");
        let started = Instant::now();
        program::run(Command::new("kill").args(["-s", "HUP", &self.child.id().to_string()]))?;
        self.wait_until_ready(&log)?;
        Ok(started.elapsed())
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<()> {
        self.notify
            .set_read_timeout(Some(Duration::from_millis(50)))?;
        let started = Instant::now();
        loop {
            let mut message = [0; 4096];
            let length = self.notify.recv(&mut message).unwrap_or(0);
            let message = message.get(..length).unwrap_or_default();
            if message
                .split(|&byte| byte == b'\n')
                .any(|line| line == b"READY=1")
            {
                return Ok(());
            }
            let said = || fs::read_to_string(log).unwrap_or_default();
            if let Some(status) = self.child.try_wait()? {
                bail!("egressd ended ({status}):\n{}", said());
            }
            if started.elapsed() > START {
                bail!("egressd did not say READY=1 within {START:?}:\n{}", said());
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn write_policy(file: &Path, policy: &Value, audit: &Path) -> Result<()> {
    let mut policy = policy.clone();
    if let Some(fields) = policy.as_object_mut() {
        fields
            .entry("audit")
            .or_insert_with(|| json!({ "file": audit }));
    }
    fs::write(file, policy.to_string()).with_context(|| format!("writing {}", file.display()))
}
