//! egressd on the machine of the world.

use std::{
    fs,
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{World, client::AGENT_GID, wait_for};
use crate::program;

const START: Duration = Duration::from_secs(10);

/// Files and cgroup of one egressd. Dropping it kills the process; the janitor does the rest.
#[derive(Debug)]
pub struct Daemon {
    files: Files,
    /// The guarded cgroup, below the cgroup2 mount.
    cgroup: String,
    child: Option<Child>,
    launch: Launch,
}

/// Where a daemon of a world keeps what.
#[derive(Clone, Debug)]
pub struct Files {
    pub policy: PathBuf,
    /// The local CA, unless the policy names one itself.
    pub ca: PathBuf,
    /// The audit log, unless the policy names one itself.
    pub audit: PathBuf,
    /// The diagnostic log, of every start.
    pub log: PathBuf,
    pub socket: PathBuf,
    /// Below the BPF file system of the machine: seen from elsewhere through `World::machine().path()`.
    pub pins: PathBuf,
}

/// The command line without its program, as it is used for each start.
#[derive(Debug)]
struct Launch {
    arguments: Vec<String>,
    notify: PathBuf,
}

impl Daemon {
    /// Writes the policy and prepares the start; nothing runs yet.
    pub(super) fn prepare(
        world: &World,
        name: &str,
        policy: &Value,
        extra: &[String],
    ) -> Result<Self> {
        let directory = world.home().join(name);
        let runtime = directory.join("run");
        fs::create_dir_all(&runtime).with_context(|| format!("making {}", runtime.display()))?;
        let files = Files {
            policy: directory.join("policy.json"),
            ca: world.local_ca(),
            audit: directory.join("audit.jsonl"),
            log: directory.join("egressd.log"),
            socket: runtime.join("control.sock"),
            pins: world.home().join("bpf").join(name),
        };
        write_policy(&files, policy)?;
        let cgroup = format!("{}/{name}", world.cgroup().name());
        let mut arguments = vec!["run".to_owned()];
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("--cgroup", format!("{cgroup}={}", files.policy.display()));
        option("--runtime-dir", runtime.display().to_string());
        option("--pin-dir", files.pins.display().to_string());
        arguments.extend_from_slice(extra);
        let launch = Launch {
            arguments,
            notify: directory.join("notify"),
        };
        Ok(Self {
            files,
            cgroup,
            child: None,
            launch,
        })
    }

    /// More words for the command line, from the next start on.
    pub fn add_arguments(&mut self, words: &[&str]) {
        let words = words.iter().map(|&word| word.to_owned());
        self.launch.arguments.extend(words);
    }

    /// Starts egressd and waits until it says that it is ready (`sd_notify(3)`).
    pub fn start(&mut self, world: &World) -> Result<()> {
        fs::remove_file(&self.launch.notify).ok();
        let ready = UnixDatagram::bind(&self.launch.notify)
            .with_context(|| format!("binding {}", self.launch.notify.display()))?;
        ready.set_read_timeout(Some(Duration::from_millis(50)))?;
        let mut child = self.spawn(world)?;
        let started = Instant::now();
        loop {
            let mut message = [0; 4096];
            match ready.recv(&mut message) {
                Ok(length) => {
                    let message =
                        String::from_utf8_lossy(message.get(..length).unwrap_or_default())
                            .into_owned();
                    if message.lines().any(|line| line == "READY=1") {
                        break;
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error).context("waiting for READY=1"),
            }
            if let Some(status) = child.try_wait()? {
                bail!("egressd ended at its start ({status}):\n{}", self.log());
            }
            if started.elapsed() > START {
                child.kill().ok();
                child.wait().ok();
                bail!(
                    "egressd did not say READY=1 within {START:?}:\n{}",
                    self.log()
                );
            }
        }
        self.child = Some(child);
        // The agents' user must be able to ask for a session; the socket is for a group to open.
        std::os::unix::fs::chown(&self.files.socket, None, Some(AGENT_GID)).with_context(|| {
            format!(
                "giving {} to the agents' group",
                self.files.socket.display()
            )
        })
    }

    /// Starts egressd and does not wait for anything.
    pub fn spawn(&self, world: &World) -> Result<Child> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.files.log)
            .context("opening egressd.log")?;
        world
            .command(world.home().join("bin/egressd"))
            .args(&self.launch.arguments)
            .env("NOTIFY_SOCKET", &self.launch.notify)
            // What this machine trusts.
            .env("SSL_CERT_FILE", &world.tls().ca)
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "info,egress_agent=debug")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting egressd")
    }

    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The guarded cgroup, as `--cgroup` has it.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// The process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("killing egressd")?;
            child.wait().context("waiting for egressd")?;
        }
        Ok(())
    }

    /// Sends a signal by its name (`TERM`, `HUP`).
    pub fn signal(&self, name: &str) -> Result<()> {
        let Some(pid) = self.pid() else {
            bail!("egressd does not run")
        };
        program::run(Command::new("kill").args(["-s", name, &pid.to_string()])).map(drop)
    }

    /// SIGTERM, and waits for the clean end.
    pub fn stop(&mut self) -> Result<()> {
        self.signal("TERM")?;
        if let Some(mut child) = self.child.take() {
            let mut ended = false;
            let waited = wait_for("the end of egressd", START, || {
                ended = matches!(child.try_wait(), Ok(Some(_)));
                ended
            });
            if !ended {
                self.child = Some(child);
            }
            waited?;
        }
        Ok(())
    }

    /// Replaces the policy file; egressd reads it at the next reload.
    pub fn write_policy(&self, policy: &Value) -> Result<()> {
        write_policy(&self.files, policy)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.files.log).unwrap_or_default()
    }

    /// The records of the audit log, oldest first.
    pub fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.files.audit).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// All that helps when a test fails: status, the ends of the audit log and of the log.
    pub fn report(&self, world: &World) -> String {
        let status = match world.egressctl_of(self, &["status"]) {
            Ok(outcome) => outcome.said(),
            Err(error) => format!("{error:#}\n"),
        };
        let audit = fs::read_to_string(&self.files.audit).unwrap_or_default();
        format!(
            "=== egressctl status\n{status}=== audit log, last records\n{}\n=== egressd's log, last lines\n{}",
            tail(&audit, 15),
            tail(&self.log(), 60),
        )
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

/// The audit log goes to the world's own file, and TLS is opened with the world's own CA, unless the
/// policy says otherwise.
fn write_policy(files: &Files, policy: &Value) -> Result<()> {
    let mut policy = policy.clone();
    if let Some(fields) = policy.as_object_mut() {
        fields
            .entry("audit")
            .or_insert_with(|| json!({ "file": files.audit }));
        let proxy = fields.entry("proxy").or_insert_with(|| json!({}));
        if let Some(proxy) = proxy.as_object_mut().filter(|_| files.ca.exists()) {
            proxy.entry("ca").or_insert_with(|| json!(files.ca));
        }
    }
    let text = serde_json::to_string_pretty(&policy).context("writing the policy as JSON")?;
    replace(&files.policy, &text)
}

/// Never half a file: whoever reads it sees the old or the new one.
fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("writing {}", path.display()))
}

fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_short_text_is_the_text() {
        assert_eq!(tail("a\nb", 5), "a\nb");
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("", 2), "");
    }
}
