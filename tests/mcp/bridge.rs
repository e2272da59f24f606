//! A client on pipes, and a server that listens: what goes wrong, and what is sent besides.

use super::{http::upstream, *};

/// A server, and a guard between it and two pipes.
struct World {
    guard: Guarded,
    _upstream: Upstream,
    /// Messages on the stream that no request asked for.
    listened: usize,
}

struct Upstream(Child);

impl World {
    fn start() -> Self {
        let (upstream, url) = upstream();
        let dir = tempfile::tempdir().unwrap();
        let mut command = command(dir.path(), &url);
        command
            .args(["--header", "Authorization", "--header", "X-Other"])
            .env("EGRESSCTL_HEADER_Authorization", "Bearer sesame")
            .env("EGRESSCTL_HEADER_X-Other", "1");
        let mut world = Self {
            guard: Guarded::spawn(dir, &mut command),
            _upstream: Upstream(upstream),
            listened: 0,
        };
        let start = json!({ "jsonrpc": "2.0", "id": "i", "method": "initialize", "params": { "protocolVersion": "2025-11-25" } });
        let answer = world.guard.ask(&start);
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        world.guard.send(&note);
        let list = json!({ "jsonrpc": "2.0", "id": 0, "method": "tools/list" });
        let listed = world.ask(&list);
        assert!(listed["result"]["tools"].is_array(), "{listed}");
        world
    }

    /// The next message that is not of the stream to which nobody asks anything.
    #[track_caller]
    fn next(&mut self) -> Value {
        loop {
            let message = self.guard.next();
            let data = &message["params"]["data"];
            if message["method"] != "notifications/message" || data == "fine" {
                return message;
            }
            assert!(data.is_null() || data == "1", "{message}");
            self.listened += 1;
        }
    }

    #[track_caller]
    fn ask(&mut self, message: &Value) -> Value {
        self.guard.send(message);
        self.next()
    }

    #[track_caller]
    fn call(&mut self, id: u32, tool: &str) -> Value {
        let answer = self.ask(&call(id, tool, &json!({})));
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn command(dir: &Path, url: &str) -> Command {
    let policy = dir.join("policy.json");
    std::fs::write(&policy, r#"{ "version": 1 }"#).unwrap();
    let mut command = Command::new(EGRESSCTL);
    command
        .args(["mcp", "--name", "t", "--answer-timeout", "2", "--policy"])
        .arg(&policy)
        .arg("--state")
        .arg(state(dir))
        .args(["--upstream", url]);
    command
}

#[test]
fn calls_are_judged_and_their_answers_are_lines() {
    let mut world = World::start();
    for (tool, said) in [("json", "ok"), ("pretty", "ok"), ("later", "came later")] {
        let answer = world.call(1, tool);
        assert_eq!(text(&answer), said, "{tool}: {answer}");
    }
    world.guard.send(&call(2, "stream", &json!({})));
    let (note, result) = (world.next(), world.next());
    assert_eq!(note["params"]["data"], "fine", "{note}");
    assert_eq!(
        (&result["id"], &result["result"]["isError"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(code(&world.call(3, "unheard")), "unknown-tool");
    let token = format!("ghp_{}", "a1".repeat(18));
    let answer = world.ask(&call(4, "json", &json!({ "t": token })));
    assert_eq!(code(&answer), "secret", "{answer}");
    world.guard.write(b"nonsense\n\n");
    assert_eq!(world.next()["id"], Value::Null);
    assert_eq!(text(&world.call(5, "json")), "ok");
    while world.listened < 2 {
        let message = world.guard.next();
        assert_eq!(message["method"], "notifications/message", "{message}");
        world.listened += 1;
    }
    let (status, said) = world.guard.end();
    assert!(status.success(), "{said}");
    assert!(
        said.contains("blocked tools/call unheard of the agent"),
        "{said}"
    );
}

#[test]
fn headers_come_from_variables_and_the_session_from_the_server() {
    let mut world = World::start();
    let log: Value = serde_json::from_str(text(&world.call(1, "log"))).unwrap();
    let last = log.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["session"], &last["authorization"], &last["path"]),
        (&json!("s1"), &json!("Bearer sesame"), &json!("/mcp"))
    );
    let words = std::fs::read(format!("/proc/{}/cmdline", world.guard.child.id())).unwrap();
    let words = String::from_utf8(words).unwrap();
    assert!(
        words.contains("Authorization") && !words.contains("sesame"),
        "{words}"
    );
}

#[test]
fn a_server_that_fails_is_told_in_an_answer() {
    let mut world = World::start();
    for (tool, expected) in [
        ("fail", "server-failed"),
        ("locked", "no-access"),
        ("hang", "no-answer"),
        ("html", "unreadable-answer"),
        ("redirect", "redirect"),
    ] {
        assert_eq!(code(&world.call(1, tool)), expected, "{tool}");
    }
    let answer = world.call(2, "forget");
    assert_eq!(code(&answer), "session-gone", "{answer}");
    // Whoever started it starts it again.
    while let Some(line) = world.guard.line() {
        let message: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(message["method"], "notifications/message", "{message}");
    }
}

#[test]
fn a_guard_without_its_headers_or_its_server_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for (header, value, says) in [
        ("X-Key", None, "set EGRESSCTL_HEADER_X-Key"),
        ("X-Key", Some("a\nb"), "look for line feeds"),
        ("Host", Some("a"), "written by the guard itself"),
    ] {
        let mut command = command(dir.path(), "http://127.0.0.1:1/");
        command.args(["--header", header]);
        if let Some(value) = value {
            command.env(format!("EGRESSCTL_HEADER_{header}"), value);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says) && said.lines().count() == 1, "{said}");
    }
    let mut command = command(dir.path(), "http://127.0.0.1:1/");
    let mut guard = Guarded::spawn(dir, &mut command);
    let ping = json!({ "jsonrpc": "2.0", "id": 7, "method": "ping" });
    let answer = guard.ask(&ping);
    assert_eq!((code(&answer), &answer["id"]), ("server-gone", &json!(7)));
    assert!(guard.end().0.success());
}
