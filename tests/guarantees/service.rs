//! An egressd of the test's own, with a command line of the test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use xtask::world::{client::AGENT_GID, wait_for};

use crate::harness::{Run, TestWorld};

/// Files of one egressd, and the process when it runs.
pub(crate) struct Service {
    pub(crate) directory: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) audit: PathBuf,
    pub(crate) pins: PathBuf,
    child: Option<Child>,
}

impl Service {
    /// Nothing runs yet.
    #[track_caller]
    pub(crate) fn new(world: &TestWorld, name: &str) -> Self {
        let directory = world.home().join(name);
        fs::create_dir_all(&directory).expect("the world is root's");
        Self {
            socket: directory.join("run/control.sock"),
            audit: directory.join("audit.jsonl"),
            pins: world.home().join("bpf").join(name),
            directory,
            child: None,
        }
    }

    /// Writes a policy whose audit log is this service's own; returns its path.
    #[track_caller]
    pub(crate) fn policy(&self, name: &str, policy: &Value) -> String {
        let mut policy = policy.clone();
        if let Some(fields) = policy.as_object_mut() {
            fields
                .entry("audit")
                .or_insert_with(|| json!({ "file": self.audit }));
        }
        self.write(name, &policy.to_string())
    }

    #[track_caller]
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        fs::write(&path, text).expect("the directory is ours");
        path.display().to_string()
    }

    /// The command line: where everything goes, and `more`.
    pub(crate) fn words(&self, more: &[&str]) -> Vec<String> {
        let runtime = self.directory.join("run").display().to_string();
        let pins = self.pins.display().to_string();
        [
            "egressd",
            "run",
            "--runtime-dir",
            &runtime,
            "--pin-dir",
            &pins,
        ]
        .iter()
        .chain(more)
        .map(|&word| word.to_owned())
        .collect()
    }

    /// Runs egressd to its end.
    #[track_caller]
    pub(crate) fn ends<'world>(&self, world: &'world TestWorld, more: &[&str]) -> Run<'world> {
        let words = self.words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let client = world
            .unguarded(&words)
            .as_root()
            .within(Duration::from_secs(10));
        world.finish(client.env("NO_COLOR", "1").run())
    }

    /// Starts egressd, which must answer soon.
    #[track_caller]
    pub(crate) fn start(&mut self, world: &TestWorld, more: &[&str]) {
        let log = fs::File::create(self.directory.join("log")).expect("the directory is ours");
        let words = self.words(more);
        let child = world
            .command(world.home().join("bin/egressd"))
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("egressd starts");
        self.child = Some(child);
        let started = wait_for("an answer of egressd", Duration::from_secs(10), || {
            let status = self.ctl(world, &["status"]);
            // 1: it runs and something is not enforced.
            [0, 1].contains(&status.outcome.status)
        });
        assert!(started.is_ok(), "{started:?}\n{}", self.report());
        std::os::unix::fs::chown(&self.socket, None, Some(AGENT_GID)).expect("it is ours");
    }

    #[track_caller]
    pub(crate) fn ctl<'world>(&self, world: &'world TestWorld, words: &[&str]) -> Run<'world> {
        let socket = self.socket.display().to_string();
        let words = [&["egressctl", "--socket", &socket], words].concat();
        world.finish(world.unguarded(&words).as_root().run())
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        records(&self.audit)
    }

    pub(crate) fn report(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The records of a log.
pub(crate) fn records(audit: &Path) -> Vec<Value> {
    let text = fs::read_to_string(audit).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
