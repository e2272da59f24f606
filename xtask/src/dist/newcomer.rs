//! The package in the hands of a new user: a clean Debian in the small internet, an agent that asks
//! its hook, and the guide of `policy/README.md` from its first line to its last. Then what a purge
//! leaves: nothing, or what `egressctl uninstall` still needs.
//!
//! Nothing but systemd is missing: the daemon is started by hand, as its unit does it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::{
    guide::{self, Line, MAKEFILE, START},
    program::run as output,
    world::{World, place::RESOLVER_V4, wait_for},
};

use super::root::Root;
use crate::workspace::root;

/// What a person who develops has; the rest is Debian's smallest.
const TOOLS: &str = "ca-certificates,curl,make,sudo";
const USER: &str = "alice";
const SETTINGS: &str = "{\n  // mine\n  \"model\": \"opus\"\n}\n";
/// Stands in for Claude Code: asks the hook of its settings about a command, as Claude Code does
/// before each, says the answer, and runs it all the same, as only an agent with orders would.
const AGENT: &str = r#"#!/bin/sh
hook=$(sed -n 's/.*"command": "\(.* hook claude.*\)".*/\1/p' ~/.claude/settings.json | head -n 1)
printf '{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"%s"}}' "$*" | $hook
exec "$@"
"#;
/// Not chroot(8): the kernel makes no user namespace for a process in one, and a session needs that.
const INSIDE: &str = r#"cd "$0" && pivot_root . mnt && cd / && umount -l /mnt && exec "$@""#;
const AGENT_RUNS: &str = "egressctl run -- claude curl -sS https://example.com/";

pub(super) fn check(package: &Path) -> Result<()> {
    println!("dist: a new user, from `init` to `uninstall`");
    let lines = guide::lines()?;
    let world = World::builder().build()?;
    let machine = Machine::new(&world, package)?;
    let before = machine.snapshot()?;

    machine
        .root("dpkg -i /opt/checks/0.deb")?
        .says("egressctl init")?;
    // What the project and the home show is found without a word.
    let proposed = machine.user("sudo egressctl init --dry-run")?;
    for says in [
        "profile:claude-code",
        "profile:python",
        "Nothing was changed",
    ] {
        proposed.says(says)?;
    }
    ensure!(machine.snapshot()? != before, "the package brought nothing");
    let mut daemon = None;
    for line in lines {
        if line.text == START {
            daemon = Some(machine.start()?);
            println!("dist: ok {START}: by hand");
            let stranger = machine.user("egressctl status")?;
            stranger.ends(2)?.says("usermod -aG egressd")?;
            continue;
        }
        machine.user(&line.command())?.does(line)?;
        match line.text {
            "egressctl status" => machine.agent_is_denied()?,
            // Under the policy that it has taught by now.
            "egressctl run --session second -- make deps" => machine.agent_is_denied()?,
            "sudo egressctl report --html report.html" => {
                let report = machine
                    .root("cat /home/alice/site/report.html; rm /home/alice/site/report.html")?;
                report.says("example.com")?.says("files.example.net")?;
            }
            _ => {}
        }
    }
    machine.settings_are_as_they_were()?;
    machine.root("dpkg -P egressd")?.ends(0)?;
    if let Some(mut daemon) = daemon {
        daemon.wait().context("waiting for egressd")?;
    }
    machine.is_as(&before)?;

    // Removed in one go, with the hooks still in.
    machine.root("dpkg -i /opt/checks/0.deb")?.ends(0)?;
    machine.user("sudo egressctl init --yes")?.ends(0)?;
    let purged = machine.root("dpkg -P egressd")?;
    purged
        .ends(0)?
        .says("hooks in the settings")?
        .says("/var/lib/egressd stays")?;
    machine
        .user("grep 'hook claude' ~/.claude/settings.json")?
        .ends(0)?;
    machine.root("dpkg -i /opt/checks/0.deb")?.ends(0)?;
    machine.user("sudo egressctl uninstall --yes")?.ends(0)?;
    machine.settings_are_as_they_were()?;
    machine.root("dpkg -P egressd")?.ends(0)?;
    machine.is_as(&before)?;
    println!("dist: ok a purge with hooks in place, and they are taken back after it");
    Ok(())
}

/// The clean Debian on the machine of a world.
struct Machine<'world> {
    world: &'world World,
    root: Root,
}

/// How a line ended.
struct Ended {
    line: String,
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl<'world> Machine<'world> {
    fn new(world: &'world World, package: &Path) -> Result<Self> {
        let debian = Root::new("newcomer", TOOLS)?;
        debian.take(&[package])?;
        let at = |path: &str| debian.directory().join(path);
        let authority = fs::read_to_string(&world.tls().ca).context("reading the authority")?;
        let bundle = at("etc/ssl/certs/ca-certificates.crt");
        let trusted = fs::read_to_string(&bundle).context("reading who is trusted")?;
        for (path, content) in [
            (bundle, trusted + &authority),
            (at("etc/resolv.conf"), format!("nameserver {RESOLVER_V4}\n")),
            (
                at("etc/sudoers.d/alice"),
                format!("{USER} ALL=(ALL) NOPASSWD: ALL\n"),
            ),
            (at("usr/local/bin/claude"), AGENT.to_owned()),
        ] {
            fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        let furnish = root().join("xtask/src/dist/root/furnish.sh");
        output(world.command("sh").arg(furnish).arg(debian.directory()))?;
        let machine = Self {
            world,
            root: debian,
        };
        let home = format!(
            "chmod 755 /usr/local/bin/claude
            useradd --create-home --shell /bin/bash {USER}
            cd /home/{USER}
            mkdir .claude site
            printf '%s' '{SETTINGS}' >.claude/settings.json
            printf '%s' '{MAKEFILE}' >site/Makefile
            echo requests >site/requirements.txt
            chown -R {USER}: ."
        );
        machine.root(&format!("set -e; {home}"))?.ends(0)?;
        Ok(machine)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.world.command("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", INSIDE])
            .arg(self.root.directory())
            .args([
                "env",
                "-i",
                "LC_ALL=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive",
            ])
            .args(["HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(words)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str, words: &[&str]) -> Result<Ended> {
        let output = self
            .command(words)
            .output()
            .context("cannot start `unshare`")?;
        Ok(Ended {
            line: line.to_owned(),
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn root(&self, line: &str) -> Result<Ended> {
        self.run(line, &["sh", "-c", line])
    }

    /// As the person types it in the project, in a login of its own.
    fn user(&self, line: &str) -> Result<Ended> {
        let there = format!("cd site && {line}");
        self.run(line, &["runuser", "-l", USER, "-c", &there])
    }

    fn start(&self) -> Result<Child> {
        let cgroup = self.world.cgroup().name();
        let line = format!(
            "exec egressd run --cgroup {cgroup}/agent.slice --policy /etc/egressd/policy.json >/tmp/egressd.log 2>&1"
        );
        let daemon = self
            .command(&["sh", "-c", &line])
            .spawn()
            .context("starting egressd")?;
        let answers = || {
            self.root("egressctl status")
                .is_ok_and(|said| said.status == Some(0))
        };
        wait_for("egressd", Duration::from_secs(10), answers).with_context(|| {
            self.root("cat /tmp/egressd.log")
                .map_or_else(|_| String::new(), |log| log.stdout)
        })?;
        Ok(daemon)
    }

    fn agent_is_denied(&self) -> Result<()> {
        let agent = self.user(AGENT_RUNS)?;
        // The hook says so, and the network when the hook is not heeded.
        agent.ends(6)?.says(r#""deny""#)?.says("name-denied")?;
        println!("dist: ok {AGENT_RUNS}: denied by its hook, and by the network");
        Ok(())
    }

    fn settings_are_as_they_were(&self) -> Result<()> {
        let settings = self.root(&format!("cat /home/{USER}/.claude/settings.json"))?;
        ensure!(
            settings.stdout == SETTINGS,
            "the settings of the agent are not as they were: {settings}"
        );
        Ok(())
    }

    /// Every file, its kind, mode and owner.
    fn snapshot(&self) -> Result<String> {
        let found = self.root("sh /opt/checks/snapshot.sh")?;
        found.ends(0)?;
        Ok(found.stdout)
    }

    fn is_as(&self, before: &str) -> Result<()> {
        let now = self.snapshot()?;
        let more = now
            .lines()
            .filter(|line| !before.contains(line))
            .map(|line| format!("+ {line}"));
        let less = before
            .lines()
            .filter(|line| !now.contains(line))
            .map(|line| format!("- {line}"));
        let differs: Vec<String> = more.chain(less).collect();
        ensure!(
            differs.is_empty() && now == before,
            "a purge should leave nothing:\n{}",
            differs.join("\n")
        );
        Ok(())
    }
}

impl Ended {
    fn ends(&self, status: i32) -> Result<&Self> {
        ensure!(
            self.status == Some(status),
            "should have ended with {status}: {self}"
        );
        Ok(self)
    }

    fn says(&self, word: &str) -> Result<&Self> {
        let is_said = self.stdout.contains(word) || self.stderr.contains(word);
        ensure!(is_said, "should have said `{word}`: {self}");
        Ok(self)
    }

    fn does(&self, line: &Line) -> Result<()> {
        let status = self.status.unwrap_or(-1);
        if !line.holds(status, &self.stdout, &self.stderr) {
            bail!("{}: {self}", line.wanted());
        }
        println!("dist: ok {}", line.text);
        Ok(())
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            line,
            status,
            stdout,
            stderr,
        } = self;
        writeln!(
            f,
            "$ {line}\nstatus {status:?}\n--- stdout\n{stdout}--- stderr\n{stderr}"
        )
    }
}
