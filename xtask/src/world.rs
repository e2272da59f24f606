//! The world of the tests: a machine with agents on it and a small internet, made of two network
//! namespaces that are joined to each other and to nothing else.
//!
//! ```text
//!   machine                                     internet
//!   egressd, agents (nobody) ── uplink ──────── dnsmasq, nginx (TLS, h2, git, PyPI, npm), sshd, echo
//!   192.0.2.2, 2001:db8::2                      203.0.113.0/24, 198.51.100.0/24, 2001:db8::/32, 10.20.0.0/16
//!   own resolv.conf, BPF file system, cgroup
//! ```
//!
//! Everything is real but the addresses ([`place`]). Worlds can run side by side, and nothing of one
//! stays behind, however the process ends ([`home`]).

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

pub mod capture;
pub mod cgroup;
pub mod client;
pub mod daemon;
pub mod dns;
pub mod echo;
pub mod home;
pub mod namespace;
pub mod place;
pub mod ssh;
pub mod tls;
pub mod web;

use self::{
    capture::Capture,
    cgroup::Cgroup,
    client::{Client, Outcome},
    daemon::Daemon,
    dns::Resolver,
    echo::Echo,
    home::Home,
    namespace::Namespace,
    place::LINK,
    ssh::Ssh,
    tls::Tls,
};
use crate::program;

/// Fields are dropped in this order: the daemon first, the janitor last.
#[derive(Debug)]
pub struct World {
    daemons: Vec<Daemon>,
    _echo: Echo,
    resolver: Resolver,
    tls: Tls,
    ssh: Ssh,
    internet: Namespace,
    machine: Namespace,
    outside: Cgroup,
    home: Home,
}

/// What a world shall have.
#[must_use]
#[derive(Debug, Default)]
pub struct Builder {
    agents: Vec<(String, Value)>,
    programs: Option<PathBuf>,
    arguments: Vec<String>,
    bulk: u32,
    upstreams: Option<String>,
    has_ca: bool,
}

impl Builder {
    /// Guards the agents with `policy`.
    pub fn policy(self, policy: Value) -> Self {
        self.agent("agent", policy)
    }

    /// Adds an egressd of its own with its own cgroup.
    pub fn agent(mut self, name: &str, policy: Value) -> Self {
        self.agents.push((name.to_owned(), policy));
        self
    }

    /// The directory of `egressd` and `egressctl`.
    pub fn programs(mut self, directory: impl Into<PathBuf>) -> Self {
        self.programs = Some(directory.into());
        self
    }

    /// More words for the command line of `egressd run`.
    pub fn daemon_arguments(mut self, words: &[&str]) -> Self {
        self.arguments
            .extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// Gives the resolver this many names ([`dns::bulk_name`]).
    pub fn bulk_names(mut self, count: u32) -> Self {
        self.bulk = count;
        self
    }

    /// The text of resolv.conf; the resolver's IPv4 address otherwise.
    pub fn resolv_conf(mut self, text: &str) -> Self {
        self.upstreams = Some(text.to_owned());
        self
    }

    /// Makes the local CA that the policies open TLS with.
    pub fn local_ca(mut self) -> Self {
        self.has_ca = true;
        self
    }

    /// Builds the world and starts what was asked for; everything is ready when this returns.
    pub fn build(self) -> Result<World> {
        let Self {
            agents,
            programs,
            arguments,
            bulk,
            upstreams,
            has_ca,
        } = self;
        let root = rustix::process::geteuid().is_root();
        ensure!(
            root,
            "the world needs root: it makes network namespaces, cgroups and BPF mounts; use sudo"
        );
        ensure!(
            agents.is_empty() || programs.is_some(),
            "a world with agents needs the directory of egressd"
        );
        home::clean().context("removing what dead worlds have left")?;
        let home = Home::make()?;
        let internet = Namespace::with_processes()?;
        let machine = Namespace::new()?;
        join(&machine, &internet)?;
        let path = home.path();
        let upstreams = upstreams.unwrap_or_else(|| format!("nameserver {}\n", place::RESOLVER_V4));
        fs::write(path.join("resolv.conf"), upstreams).context("writing resolv.conf")?;
        client::make_home(&path.join("home"))?;
        client::mount(&machine, path, programs.as_deref())?;
        let (resolver, tls, ssh) = thread::scope(|scope| {
            let web = scope.spawn(|| {
                let tls = Tls::make(path)?;
                web::start(&internet, path, &tls)?;
                anyhow::Ok(tls)
            });
            let ssh = scope.spawn(|| Ssh::start(&internet, path));
            let resolver = Resolver::start(&internet, path, bulk);
            anyhow::Ok((resolver?, joined(web)?, joined(ssh)?))
        })?;
        let echo = Echo::start(&internet)?;
        if let Some(programs) = programs.as_deref().filter(|_| has_ca) {
            let mut command = Command::new(programs.join("egressctl"));
            command.args(["ca", "init", "--dir"]).arg(path.join("ca"));
            program::run(&mut command)?;
        }
        let outside = home.cgroup().child("outside")?;
        let mut world = World {
            daemons: Vec::new(),
            _echo: echo,
            resolver,
            tls,
            ssh,
            internet,
            machine,
            outside,
            home,
        };
        for (name, policy) in agents {
            let mut daemon = Daemon::prepare(&world, &name, &policy, &arguments)?;
            daemon.start(&world)?;
            world.daemons.push(daemon);
        }
        Ok(world)
    }
}

impl World {
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A command as the agents' user, under the guard of the first daemon, in a session of its own.
    pub fn guarded(&self, words: &[&str]) -> Result<Client<'_>> {
        let daemon = self.daemons.first().context("this world has no egressd")?;
        Ok(self.guarded_by(daemon, words))
    }

    /// The same under the guard of `daemon`.
    pub fn guarded_by(&self, daemon: &Daemon, words: &[&str]) -> Client<'_> {
        self.unguarded(words).guarded_by(&daemon.files().socket)
    }

    /// A command as the agents' user, without any guard.
    pub fn unguarded(&self, words: &[&str]) -> Client<'_> {
        Client::new(self, words)
    }

    /// A bare command as root on the machine; it ends with the world.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.outside.join(self.machine.command("sh"));
        command.arg(program);
        command
    }

    /// Runs `egressctl` as root, outside the guard.
    pub fn egressctl(&self, words: &[&str]) -> Result<Outcome> {
        self.egressctl_of(
            self.daemons.first().context("this world has no egressd")?,
            words,
        )
    }

    pub fn egressctl_of(&self, daemon: &Daemon, words: &[&str]) -> Result<Outcome> {
        let socket = daemon.files().socket.display().to_string();
        let words: Vec<&str> = ["egressctl", "--socket", &socket]
            .iter()
            .chain(words)
            .copied()
            .collect();
        self.unguarded(&words).as_root().run()
    }

    /// Records what arrives at the internet and fits `filter` (pcap-filter(7)).
    pub fn capture(&self, filter: &str) -> Result<Capture> {
        Capture::start(&self.internet, &self.outside, filter)
    }

    /// Every packet that `capture` saw of what was sent before this call, one line each.
    pub fn packets(&self, capture: &Capture) -> Result<Vec<String>> {
        capture.packets(&self.machine)
    }

    pub fn daemon(&self) -> Option<&Daemon> {
        self.daemons.first()
    }

    pub fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    /// Does something to the `n`th daemon that needs the world as well: `world.with_daemon(0, Daemon::start)`.
    pub fn with_daemon<T>(
        &mut self,
        n: usize,
        work: impl FnOnce(&mut Daemon, &Self) -> Result<T>,
    ) -> Result<T> {
        ensure!(
            n < self.daemons.len(),
            "this world has no egressd number {n}"
        );
        let mut daemon = self.daemons.remove(n);
        let result = work(&mut daemon, self);
        self.daemons.insert(n, daemon);
        result
    }

    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    pub fn ssh(&self) -> &Ssh {
        &self.ssh
    }

    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    pub fn machine(&self) -> &Namespace {
        &self.machine
    }

    pub fn internet(&self) -> &Namespace {
        &self.internet
    }

    /// The cgroup of the world; each daemon guards the child that bears its name.
    pub fn cgroup(&self) -> &Cgroup {
        self.home.cgroup()
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The directory of the local CA, if there is one.
    pub fn local_ca(&self) -> PathBuf {
        self.home().join("ca")
    }

    /// Belongs to the agents' user.
    pub fn agent_home(&self) -> PathBuf {
        self.home().join("home")
    }

    /// All that helps when a test fails.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for daemon in &self.daemons {
            report.push_str(&daemon.report(self));
        }
        report.push_str("\n=== queries that reached the upstream resolver, last ones\n");
        let queries = self.resolver.queries();
        report.push_str(
            &queries
                .get(queries.len().saturating_sub(20)..)
                .unwrap_or_default()
                .join("\n"),
        );
        report
    }
}

/// Waits for `event`, which is looked for every few milliseconds, until `deadline`.
pub fn wait_for(what: &str, deadline: Duration, mut event: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !event() {
        ensure!(
            started.elapsed() < deadline,
            "{what} did not come within {deadline:?}"
        );
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn join(machine: &Namespace, internet: &Namespace) -> Result<()> {
    let (near, far) = (machine.pid(), internet.pid());
    let line = format!("link add {LINK} netns {near} type veth peer name {LINK} netns {far}");
    program::run(Command::new("ip").args(line.split(' ')))?;
    machine.ip(&place::machine_links())?;
    internet.ip(&place::internet_links())?;
    // A gateway that forwards is one that answers for what it cannot reach.
    let forward =
        "echo 1 >/proc/sys/net/ipv4/ip_forward && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
    program::run(internet.command("sh").args(["-c", forward])).map(drop)
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
