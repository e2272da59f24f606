//! A network namespace that lives as long as its keeper.
//!
//! The keeper is a process that waits for the end of its standard input. This process holds the other
//! end, so however it ends, the keeper ends, and the kernel takes the namespace down. The internet's
//! keeper is the first process of a PID namespace too: every server in there dies with it.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead as _, BufReader},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::program;

#[derive(Debug)]
pub struct Namespace {
    keeper: Child,
    processes: bool,
}

impl Namespace {
    /// Own network and mounts. Processes stay those of the machine.
    pub fn new() -> Result<Self> {
        Self::start(false)
    }

    /// Own network, mounts and processes.
    pub fn with_processes() -> Result<Self> {
        Self::start(true)
    }

    fn start(processes: bool) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private"]);
        if processes {
            command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        // A session of its own and deaf to ^C: it goes when the pipe closes, after those inside.
        command.args([
            "setsid",
            "sh",
            "-c",
            "trap '' INT TERM HUP; echo ready; exec cat >/dev/null",
        ]);
        let mut keeper = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `unshare` (package util-linux)")?;
        let mut line = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        ensure!(
            line == "ready\n",
            "cannot make a network namespace; this needs root (CAP_SYS_ADMIN)"
        );
        Ok(Self { keeper, processes })
    }

    /// For `ip link … netns PID`.
    pub fn pid(&self) -> u32 {
        self.keeper.id()
    }

    /// A command that runs `program` in here.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let pid = self.pid();
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{pid}/ns/net"))
            .arg(format!("--mount=/proc/{pid}/ns/mnt"));
        if self.processes {
            command.arg(format!("--pid=/proc/{pid}/ns/pid_for_children"));
        }
        command.arg("--").arg(program);
        command
    }

    /// A command that runs `program` in this network alone, with the processes and files of the
    /// machine.
    pub fn network_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.pid()))
            .arg("--")
            .arg(program);
        command
    }

    /// Runs lines of `ip` commands, all or none of them understood.
    pub fn ip(&self, lines: &str) -> Result<()> {
        program::run_with_input(self.command("ip").args(["-batch", "-"]), lines).map(drop)
    }

    /// Moves the calling thread into this network. Sockets that it makes from then on belong here.
    pub fn enter(&self) -> Result<()> {
        let path = format!("/proc/{}/ns/net", self.pid());
        let file = File::open(&path).with_context(|| format!("opening {path}"))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("setns({path})"))
    }

    /// Runs `work` on a thread of its own in this network.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let entered = || {
            self.enter()?;
            work()
        };
        match thread::scope(|scope| scope.spawn(entered).join()) {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// A file as it is seen in here.
    pub fn path(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").unwrap_or(path);
        Path::new(&format!("/proc/{}/root", self.pid())).join(inside)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}
