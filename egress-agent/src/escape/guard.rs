//! A real egressd for the guarded runs: policy, daemon, and the words that start a session.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};

use super::{
    arena::{Arena, home::Home},
    ground::{
        ALLOWED_NAME, ALLOWED_PORT, ALLOWED_V4, ALLOWED_V6, BAIT_V4, BAIT_V6, RESOLVER_V4, WILDCARD,
    },
    verdict::Identity,
};
use crate::{
    control::{client::Client, message::Request},
    escape,
};

/// How long a daemon may take to answer; emulated machines are slow.
const START: Duration = Duration::from_mins(1);
/// The user that most machines keep for processes that own nothing.
pub const NOBODY: u32 = 65_534;

/// The daemon; it is killed with this.
#[derive(Debug)]
pub struct Guard {
    daemon: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Guard {
    /// Starts egressd on the near side. `opens_bait` makes a guard that holds nothing: it shows
    /// that the suite would notice.
    pub fn start(
        arena: &Arena,
        home: &Home,
        egressd: &Path,
        opens_bait: bool,
    ) -> anyhow::Result<Self> {
        // Apart from where attempts make their files: the launcher makes this one read-only.
        fs::create_dir(state(home))?;
        let at = |name: &str| state(home).join(name);
        let policy = at("policy.json");
        fs::write(
            &policy,
            policy_text(&at("audit.jsonl"), opens_bait).to_string(),
        )?;
        let resolv_conf = at("resolv.conf");
        fs::write(&resolv_conf, format!("nameserver {RESOLVER_V4}\n"))?;
        let pins = at("bpf");
        fs::create_dir(&pins)?;
        let place = pins.clone();
        arena
            .near(move || mount("bpf", &place, "bpf", MountFlags::empty(), None))?
            .context("mount a BPF file system")?;
        let log = at("egressd.log");
        let mut command = Command::new(egressd);
        command
            .arg("run")
            .arg("--cgroup")
            .arg(home.cgroup().path())
            .arg("--policy")
            .arg(&policy)
            .arg("--runtime-dir")
            .arg(at("run"))
            .arg("--pin-dir")
            .arg(pins.join("egressd"))
            .arg("--resolv-conf")
            .arg(&resolv_conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .env_remove("NOTIFY_SOCKET")
            .env_remove("RUST_LOG");
        let mut guard = Self {
            daemon: arena.spawn(command)?,
            socket: at("run").join("control.sock"),
            log,
        };
        guard.wait_until_ready()?;
        Ok(guard)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let answers = |socket: &Path| {
            Client::connect(socket)
                .and_then(|mut client| client.request(&Request::Status { session: None }))
        };
        while let Err(error) = answers(&self.socket) {
            if let Some(status) = self.daemon.try_wait()? {
                bail!(
                    "egressd ended at its start ({status}): {}",
                    self.last_words()
                );
            }
            if started.elapsed() > START {
                bail!("egressd does not answer ({error}): {}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The end of the daemon's log on one line.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines()
            .next_back()
            .unwrap_or("it said nothing")
            .to_owned()
    }

    /// What attempts try to change.
    pub fn ground(&self, home: &Home) -> escape::Guard {
        let at = |name: &str| state(home).join(name);
        escape::Guard {
            control: Some(self.socket.clone()),
            daemon: i32::try_from(self.daemon.id()).ok(),
            pins: Some(at("bpf").join("egressd")),
            files: ["policy.json", "run", "audit.jsonl", "resolv.conf"]
                .map(at)
                .into(),
        }
    }

    /// A command that starts a session and becomes what is appended to it; `None` for who is not
    /// started by the launcher.
    pub fn launcher(&self, egressctl: &Path, identity: Identity) -> Option<Command> {
        let mut command = Command::new(egressctl);
        command
            .arg("--socket")
            .arg(&self.socket)
            .args(["run", "--quiet"])
            .env_remove("SUDO_UID")
            .env_remove("SUDO_GID");
        match identity {
            Identity::Agent => command.args(["--user", &NOBODY.to_string()]),
            Identity::Root => command.args(["--allow-root", "--user", "0"]),
            Identity::Bare => return None,
        };
        command.arg("--");
        Some(command)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about it then.
        self.daemon.kill().unwrap_or_default();
        drop(self.daemon.wait());
    }
}

/// The directory of everything that is the daemon's.
fn state(home: &Home) -> PathBuf {
    home.path().join("guard")
}

fn policy_text(audit: &Path, opens_bait: bool) -> Value {
    let ports = [format!("{ALLOWED_PORT}/tcp"), format!("{ALLOWED_PORT}/udp")];
    let mut allow = vec![
        json!({ "name": "names", "hosts": [ALLOWED_NAME, WILDCARD], "ports": ports }),
        json!({ "name": "addresses", "cidrs": [ALLOWED_V4, ALLOWED_V6], "ports": ports }),
    ];
    if opens_bait {
        let all = ["1-65535/tcp", "1-65535/udp"];
        allow.push(json!({ "name": "bait", "cidrs": [BAIT_V4, BAIT_V6], "ports": all }));
    }
    json!({
        "version": 1,
        "network": { "allow": allow },
        "audit": { "file": audit },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn both_policies_are_valid() {
        for opens_bait in [false, true] {
            let text = policy_text(Path::new("/tmp/audit.jsonl"), opens_bait).to_string();
            let policy = Policy::parse(&text, "policy.json");
            assert!(policy.is_ok(), "{policy:?}");
        }
    }
}
