//! `egressctl mcp` between real processes: servers that behave and servers that do not.

mod bridge;
mod excess;
mod faults;
mod http;
mod install;
mod latency;
mod node;
mod oauth;
mod sdk;
mod tls;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const EGRESSCTL: &str = env!("CARGO_BIN_EXE_egressctl");
/// For one message; machines that build at the same time are slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server in Python; `call` is what its tools do.
const SERVER: &str = r#"
import json, os, signal, sys, time
def raw(data):
    sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
def say(value):
    raw(json.dumps(value).encode() + b"\n")
def answer(m, text):
    say({"jsonrpc": "2.0", "id": m["id"], "result": {"content": [{"type": "text", "text": text}]}})
def call(m, name, arguments):
    answer(m, "ok")
TOOLS = [{"name": "add", "description": "adds", "inputSchema": {"type": "object"}}]
#MORE#
for line in sys.stdin.buffer:
    m = json.loads(line)
    method = m.get("method")
    if method == "initialize":
        say({"jsonrpc": "2.0", "id": m["id"], "result": {"protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"}}})
    elif method == "tools/list":
        say({"jsonrpc": "2.0", "id": m["id"], "result": {"tools": TOOLS}})
    elif method == "tools/call":
        call(m, m["params"]["name"], m["params"].get("arguments"))
"#;

/// A guard with a server behind it.
struct Guarded {
    child: Child,
    input: Option<ChildStdin>,
    /// Lines as they come; a client that does not read lets them wait in the pipe.
    output: Receiver<Vec<u8>>,
    said: thread::JoinHandle<String>,
    dir: TempDir,
}

impl Guarded {
    /// Behind a policy that allows what is harmless; `more` goes into the server.
    fn start(more: &str, options: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more, options)
    }

    fn start_in(dir: TempDir, more: &str, options: &[&str]) -> Self {
        let policy = dir.path().join("policy.json");
        std::fs::write(
            &policy,
            r#"{ "version": 1, "tools": { "deny": ["mcp__t__bad"] } }"#,
        )
        .unwrap();
        let script = SERVER.replace("#MORE#", more);
        let mut command = Command::new(EGRESSCTL);
        command
            .args(["mcp", "--name", "t", "--policy"])
            .arg(&policy)
            .arg("--state")
            .arg(state(dir.path()))
            .args(options)
            .args(["--", "python3", "-c", &script]);
        Self::spawn(dir, &mut command)
    }

    /// Any guard whose files are in `dir`.
    fn spawn(dir: TempDir, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, output) = sync_channel(1);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                let read = lines.read_until(b'\n', &mut line).unwrap();
                if read == 0 || sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let said = thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            input: child.stdin.take(),
            child,
            output,
            said,
            dir,
        }
    }

    /// As [`Self::start`], and the tools have been listed.
    fn listed(more: &str, options: &[&str]) -> Self {
        let mut guarded = Self::start(more, options);
        guarded.list();
        guarded
    }

    fn list(&mut self) -> Vec<String> {
        let listed = self.ask(&json!({ "jsonrpc": "2.0", "id": 0, "method": "tools/list" }));
        let tools = listed["result"]["tools"].as_array().expect("a list");
        tools
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes());
    }

    /// The next line, as it is; `None` at the end.
    #[track_caller]
    fn line(&self) -> Option<Vec<u8>> {
        match self.output.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the guard says nothing"),
        }
    }

    #[track_caller]
    fn next(&self) -> Value {
        let line = self.line().expect("another line");
        serde_json::from_slice(&line).expect("standard output is protocol only")
    }

    #[track_caller]
    fn ask(&mut self, message: &Value) -> Value {
        self.send(message);
        self.next()
    }

    #[track_caller]
    fn call(&mut self, id: u32) -> Value {
        self.ask(&call(id, "add", &json!({})))
    }

    /// The text of a result.
    #[track_caller]
    fn works(&mut self, id: u32) {
        let answer = self.call(id);
        assert_eq!(
            (&answer["id"], text(&answer)),
            (&json!(id), "ok"),
            "{answer}"
        );
    }

    /// Closes the input; the status, and all that was said on standard error.
    fn end(mut self) -> (ExitStatus, String) {
        drop(self.input.take());
        let begun = Instant::now();
        while self.line().is_some() {}
        let status = self.child.wait().unwrap();
        assert!(begun.elapsed() < PATIENCE);
        (status, self.said.join().unwrap())
    }

    /// The most memory that the guard has had, in bytes.
    fn most_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        let number = line.split_whitespace().nth(1).unwrap();
        number.parse::<u64>().unwrap() << 10
    }
}

fn call(id: u32, tool: &str, arguments: &Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments },
    })
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
}

fn code(answer: &Value) -> &str {
    answer["error"]["data"]["code"].as_str().unwrap_or_default()
}

/// The directories must be nobody else's: a temporary one is this user's alone.
fn state(dir: &Path) -> std::path::PathBuf {
    dir.join("state/t.json")
}
