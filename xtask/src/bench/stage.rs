//! Where the benchmarks run: a world, load in cgroups of its machine, servers on its internet.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::{
    program,
    world::{World, cgroup::Cgroup, place::NAMELESS_V4, wait_for},
};

use super::guard::Guard;

/// Where the load connects and sends to; the world's own servers leave these ports alone.
pub(crate) const SERVE_PORT: u16 = 4000;
pub(crate) const SINK_PORT: u16 = 4001;

/// Fields are dropped in this order: the servers before their namespaces.
#[derive(Debug)]
pub(crate) struct Stage {
    servers: Vec<Server>,
    world: World,
    programs: PathBuf,
    /// Less of everything.
    pub(crate) quick: bool,
    cores: usize,
}

/// A process that ends with its handle.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Stage {
    /// Builds the world and starts the servers. `programs` is the directory of the release builds.
    pub(crate) fn build(programs: PathBuf, quick: bool, cores: usize) -> Result<Self> {
        let world = World::builder().build().context("building the world")?;
        let mut stage = Self {
            servers: Vec::new(),
            world,
            programs,
            quick,
            cores,
        };
        for (verb, port) in [("serve", SERVE_PORT), ("sink", SINK_PORT)] {
            let mut command = stage.world.internet().network_command("taskset");
            command
                .args(["-c", &stage.server_cpu().to_string()])
                .arg(stage.programs.join("xtask"))
                .args(["load", verb, &format!("0.0.0.0:{port}")]);
            stage.servers.push(Server::start(command)?);
            let listening = || {
                let ask = ["-Hltn", "sport", "=", &format!(":{port}")];
                program::run(stage.world.internet().network_command("ss").args(ask))
                    .is_ok_and(|said| !said.trim().is_empty())
            };
            wait_for(&format!("`load {verb}`"), Duration::from_secs(5), listening)?;
        }
        Ok(stage)
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// `full` rounds, or a few of them for a first look.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.quick { 3 } else { full }
    }

    /// Load runs on the first processor, and what it talks to on the last.
    pub(crate) fn server_cpu(&self) -> usize {
        self.cores.saturating_sub(1)
    }

    pub(crate) fn guard(&self, name: &str, policy: &Value, cpu: Option<usize>) -> Result<Guard> {
        let egressd = self.programs.join("egressd");
        Guard::start(&self.world, &egressd, name, policy, cpu)
    }

    /// A cgroup beside the guarded ones.
    pub(crate) fn unguarded(&self, name: &str) -> Result<Cgroup> {
        self.world.cgroup().child(name)
    }

    /// A command of load in `cgroup`, as it is told on the command line.
    pub(crate) fn load_command(&self, cgroup: &Cgroup, words: &[&str]) -> Command {
        let mut command = cgroup.join(self.world.machine().command("sh"));
        command
            .args(["taskset", "-c", "0"])
            .arg(self.programs.join("xtask"))
            .arg("load")
            .args(words);
        command
    }

    /// Runs load to its end and returns its numbers.
    pub(crate) fn load<const N: usize>(&self, cgroup: &Cgroup, words: &[&str]) -> Result<[f64; N]> {
        let said = program::run(&mut self.load_command(cgroup, words))?;
        let numbers: Vec<f64> = said
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let numbers = numbers.try_into().ok();
        numbers.with_context(|| format!("`load {}` said `{}`", words.join(" "), said.trim()))
    }

    /// A program of the release build.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    pub(crate) fn egressctl(&self, guard: &Guard, words: &[&str]) -> Command {
        let mut command = self.world.command(self.programs.join("egressctl"));
        command.arg("--socket").arg(guard.socket()).args(words);
        command
    }
}

impl Server {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let name = program::spoken(&command);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))?;
        Ok(Self(child))
    }

    /// One that is there for as long as its standard input is.
    pub(crate) fn with_input(command: &mut Command) -> Result<Self> {
        let name = program::spoken(command);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))?;
        Ok(Self(child))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The address that CIDR rules are about.
pub(crate) fn served(port: u16) -> String {
    SocketAddr::new(IpAddr::V4(NAMELESS_V4), port).to_string()
}

/// Processor time of a process and its threads, in nanoseconds.
pub(crate) fn cpu_nanos(pid: u32) -> Result<f64> {
    let mut nanos = 0.0;
    for entry in fs::read_dir(format!("/proc/{pid}/task")).context("reading the threads")? {
        // The first number is the time on a processor (Documentation/scheduler/sched-stats.rst).
        let text = fs::read_to_string(entry?.path().join("schedstat")).unwrap_or_default();
        let first = text.split(' ').next().unwrap_or_default();
        nanos += first.parse::<f64>().unwrap_or(0.0);
    }
    Ok(nanos)
}
