//! Commands that run on the machine of the world, and how they ended.

use std::{
    fmt, fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{World, namespace::Namespace};
use crate::program;

/// Agents run as nobody: ssh wants a user that passwd(5) knows.
pub const AGENT_UID: u32 = 65534;
pub const AGENT_GID: u32 = 65534;

/// The exit status that timeout(1) gives to a command that it had to end.
const TIMED_OUT: i32 = 124;

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line.
    pub command: String,
    /// The exit status; 128 and the signal when a signal ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    /// The time that it took, the start under the guard included.
    pub took: Duration,
}

impl Outcome {
    pub fn succeeded(&self) -> bool {
        self.status == 0
    }

    /// Whether it was still running at its deadline.
    pub fn timed_out(&self) -> bool {
        self.status == TIMED_OUT
    }

    /// Both outputs.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}", self.command)?;
        writeln!(f, "exit status {} after {:.2?}", self.status, self.took)?;
        writeln!(f, "--- stdout\n{}", self.stdout.trim_end())?;
        writeln!(f, "--- stderr\n{}", self.stderr.trim_end())
    }
}

/// A command that waits to be run.
#[must_use]
#[derive(Debug)]
pub struct Client<'world> {
    world: &'world World,
    words: Vec<String>,
    environment: Vec<(String, String)>,
    guard: Option<String>,
    deadline: Duration,
    root: bool,
}

impl<'world> Client<'world> {
    pub(super) fn new(world: &'world World, words: &[&str]) -> Self {
        Self {
            world,
            words: words.iter().map(|&word| word.to_owned()).collect(),
            environment: Vec::new(),
            guard: None,
            deadline: Duration::from_secs(20),
            root: false,
        }
    }

    /// Starts it through `egressctl run`, under the daemon whose socket this is.
    pub(super) fn guarded_by(mut self, socket: &Path) -> Self {
        self.guard = Some(socket.display().to_string());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// The time after which it is killed; 20 s otherwise.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// As root, not as the agent's user.
    pub fn as_root(mut self) -> Self {
        self.root = true;
        self
    }

    /// The words that a person would type.
    pub fn spoken(&self) -> String {
        let Some((first, rest)) = self.words.split_first() else {
            return String::new();
        };
        program::spoken(Command::new(first).args(rest))
    }

    /// The command itself, for those who want to hold its process.
    pub fn command(&self) -> Command {
        let Self {
            world,
            words,
            environment,
            guard,
            deadline,
            root,
        } = self;
        let mut command = world.command("timeout");
        // timeout(1) ends the whole group; what leaves the group is the janitor's.
        command.args(["--kill-after=2", &format!("{}", deadline.as_secs_f64())]);
        if !root {
            command.arg("setpriv").args([
                format!("--reuid={AGENT_UID}"),
                format!("--regid={AGENT_GID}"),
                "--clear-groups".to_owned(),
            ]);
        }
        let home = world.agent_home();
        command
            .arg("env")
            .arg(format!("--chdir={}", home.display()))
            .args(["-i", "LANG=C.UTF-8", "TERM=dumb"]);
        command
            .arg(format!("TMPDIR={}", home.display()))
            .arg(format!("HOME={}", home.display()))
            .arg(format!("PATH={}", search_path(world)));
        command.args(trust(&world.tls.ca));
        command.args(
            environment
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        if let Some(socket) = guard {
            command.args(["egressctl", "--socket", socket, "run", "--"]);
        }
        command.args(words);
        command
    }

    /// Runs it to its end.
    pub fn run(&self) -> Result<Outcome> {
        let started = Instant::now();
        let output = self
            .command()
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{}`", self.spoken()))?;
        let signal = output.status.signal().map(|signal| 128 + signal);
        Ok(Outcome {
            command: self.spoken(),
            status: output.status.code().or(signal).unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: started.elapsed(),
        })
    }
}

/// Makes the home directory of the agent.
pub(super) fn make_home(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
    std::os::unix::fs::chown(path, Some(AGENT_UID), Some(AGENT_GID))
        .with_context(|| format!("giving {} to the agent", path.display()))
}

/// The machine's own mounts: its resolv.conf and nsswitch.conf, the BPF file system, our programs.
pub(super) fn mount(machine: &Namespace, home: &Path, programs: Option<&Path>) -> Result<()> {
    let bin = home.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("making {}", bin.display()))?;
    fs::create_dir_all(home.join("bpf")).context("making the directory of the pins")?;
    fs::write(home.join("nsswitch.conf"), NSSWITCH).context("writing nsswitch.conf")?;
    let mut binds = vec![
        (home.join("resolv.conf"), PathBuf::from("/etc/resolv.conf")),
        (
            home.join("nsswitch.conf"),
            PathBuf::from("/etc/nsswitch.conf"),
        ),
    ];
    for name in ["egressd", "egressctl"] {
        if let Some(program) = programs.map(|directory| directory.join(name)) {
            fs::write(bin.join(name), "")
                .with_context(|| format!("making {name} in {}", bin.display()))?;
            binds.push((program, bin.join(name)));
        }
    }
    for (from, to) in binds {
        program::run(machine.command("mount").arg("--bind").arg(from).arg(to))?;
    }
    program::run(
        machine
            .command("mount")
            .args(["-t", "bpf", "bpf"])
            .arg(home.join("bpf")),
    )
    .map(drop)
}

/// What getaddrinfo(3) does is the same on every machine: hosts from files, then plain DNS.
const NSSWITCH: &str =
    "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n";

fn search_path(world: &World) -> String {
    format!(
        "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        world.home().join("bin").display()
    )
}

/// What makes the usual clients trust the authority of the world.
fn trust(ca: &Path) -> Vec<String> {
    let names = [
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "GIT_SSL_CAINFO",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
        "NODE_EXTRA_CA_CERTS",
        "npm_config_cafile",
    ];
    names
        .iter()
        .map(|name| format!("{name}={}", ca.display()))
        .collect()
}
