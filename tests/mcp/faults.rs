//! Servers and clients that die, hang, flood, lie and stammer.

use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

#[test]
fn what_is_harmless_goes_on_byte_for_byte() {
    let more = r#"
def call(m, name, arguments):
    raw(b'  {"result" :{"content":[ {"type":"text","text":"\\u006fk"}]}, "jsonrpc":"2.0","id":' + str(m["id"]).encode() + b' }\r\n')
seen = open("SEEN", "wb")
class Tee:
    def __init__(self, inner): self.inner = inner
    def __iter__(self):
        for line in self.inner:
            seen.write(line); seen.flush(); yield line
class In: buffer = Tee(sys.stdin.buffer)
sys.stdin = In()
"#;
    let dir = tempfile::tempdir().unwrap();
    let seen = dir.path().join("seen");
    let more = more.replace("SEEN", seen.to_str().unwrap());
    let mut guarded = Guarded::start_in(dir, &more, &[]);
    let list = b"\t{\"id\":0 ,\"method\":\"tools\\/list\",\"jsonrpc\":\"2.0\"}\r\n";
    guarded.write(list);
    guarded.next();
    let call = b"{\"params\":{\"arguments\":{\"n\":1.50,\"s\":\"\\u00e4\"},\"name\":\"add\"},\"id\":1,\"method\":\"tools/call\",\"jsonrpc\":\"2.0\"}\n";
    guarded.write(call);
    assert_eq!(
        guarded.line().unwrap(),
        b"  {\"result\" :{\"content\":[ {\"type\":\"text\",\"text\":\"\\u006fk\"}]}, \"jsonrpc\":\"2.0\",\"id\":1 }\r\n"
    );
    assert_eq!(std::fs::read(&seen).unwrap(), [&list[..], call].concat());
    assert!(guarded.end().0.success());
}

#[test]
fn a_denied_call_never_reaches_the_server() {
    let more = r#"
TOOLS.append({"name": "bad"})
def call(m, name, arguments):
    sys.stderr.write("called " + name + "\n"); sys.stderr.flush(); answer(m, "ok")
"#;
    let mut guarded = Guarded::listed(more, &[]);
    let denied = guarded.ask(&call(1, "bad", &json!({})));
    assert_eq!(
        (&denied["error"]["code"], code(&denied)),
        (&json!(-32001), "hard-deny")
    );
    assert_eq!(denied["error"]["data"]["rule"], "mcp__t__bad");
    let token = format!("ghp_{}", "a1".repeat(18));
    let denied = guarded.ask(&call(2, "add", &json!({ "t": token })));
    assert_eq!(code(&denied), "secret");
    let denied = guarded.ask(&call(3, "unheard", &json!({})));
    assert_eq!(code(&denied), "unknown-tool");
    guarded.works(4);
    let (status, said) = guarded.end();
    assert!(status.success());
    assert!(
        !said.contains("called bad") && !said.contains(&token),
        "{said}"
    );
    assert!(
        said.contains("called add"),
        "standard error is passed on: {said}"
    );
    assert!(
        said.contains("blocked tools/call bad of the agent"),
        "{said}"
    );
}

#[test]
fn without_a_daemon_and_a_policy_no_call_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let script = SERVER.replace("#MORE#", "");
    let mut child = Command::new(EGRESSCTL)
        .args([
            "--socket",
            "/nonexistent/s",
            "mcp",
            "--name",
            "t",
            "--state",
        ])
        .arg(state(dir.path()))
        .args(["--", "python3", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |message: &Value| {
        writeln!(input, "{message}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let denied = ask(&json!({ "jsonrpc": "2.0", "id": 0, "method": "tools/list" }));
    assert_eq!(code(&denied), "no-judgement", "{denied}");
    assert!(
        denied.to_string().contains("systemctl start egressd"),
        "{denied}"
    );
    // Of a list that did not come no tool is known.
    let denied = ask(&call(1, "add", &json!({})));
    assert_eq!(code(&denied), "unknown-tool", "{denied}");
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_server_that_dies_leaves_nobody_waiting_and_its_status() {
    let more = "def call(m, name, arguments): os._exit(7)";
    let mut guarded = Guarded::listed(more, &[]);
    let told = guarded.call(1);
    assert_eq!(
        (&told["error"]["code"], code(&told)),
        (&json!(-32000), "server-gone")
    );
    assert_eq!(guarded.end().0.code(), Some(7));
    let more = "def call(m, name, arguments): raw(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"re'); os.kill(os.getpid(), 9)";
    let mut guarded = Guarded::listed(more, &[]);
    let told = guarded.call(1);
    assert_eq!(told["id"], 1, "half an answer is none: {told}");
    assert!(told["error"].is_object());
    let (status, _) = guarded.end();
    assert_eq!((status.code(), status.signal()), (Some(137), None));
}

#[test]
fn a_server_that_hangs_is_waited_for_and_then_stopped() {
    let more = r#"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def call(m, name, arguments):
    if arguments: answer(m, "ok")
"#;
    let mut guarded = Guarded::listed(more, &["--answer-timeout", "1"]);
    let told = guarded.call(1);
    assert_eq!(
        (&told["error"]["code"], code(&told)),
        (&json!(-32000), "no-answer")
    );
    let answer = guarded.ask(&call(2, "add", &json!({ "a": 1 })));
    assert_eq!(text(&answer), "ok", "it goes on");
    guarded.end();
    let more = "import threading\ndef call(m, name, arguments):\n    time.sleep(1000)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)";
    let mut guarded = Guarded::listed(more, &[]);
    guarded.send(&call(1, "add", &json!({})));
    let begun = Instant::now();
    let (status, _) = guarded.end();
    assert_eq!(status.code(), Some(137), "it does not end by itself");
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_server_that_floods_fills_no_memory() {
    let more = r#"
def call(m, name, arguments):
    noise = json.dumps({"jsonrpc": "2.0", "method": "notifications/message"}).encode() + b" " * 10000 + b"\n"
    for _ in range(50):
        raw(noise * 100)
    answer(m, "ok")
"#;
    let mut guarded = Guarded::listed(more, &[]);
    guarded.send(&call(1, "add", &json!({})));
    // A client that does not read: 50 MB wait where they are.
    thread::sleep(Duration::from_secs(2));
    let memory = guarded.most_memory();
    assert!(memory < 64 << 20, "{memory} bytes");
    let mut notifications = 0;
    let answer = loop {
        let message = guarded.next();
        if message["id"] == 1 {
            break message;
        }
        notifications += 1;
    };
    assert_eq!((notifications, text(&answer)), (5_000, "ok"));
    assert!(guarded.most_memory() < 64 << 20);
    guarded.end();
}

#[test]
fn a_server_that_answers_twice_or_unasked_is_heard_once() {
    let more = r#"
def call(m, name, arguments):
    answer({"id": 99}, "unasked"); answer({"id": str(m["id"])}, "not a number")
    answer(m, "ok"); answer(m, "again")
"#;
    let mut guarded = Guarded::listed(more, &[]);
    guarded.works(1);
    guarded.works(2);
    let (_, said) = guarded.end();
    assert_eq!(said.matches("unknown-id").count(), 6, "{said}");
}

#[test]
fn a_line_of_100_mb_is_told_and_the_conversation_goes_on() {
    let more = r#"
def call(m, name, arguments):
    if arguments: return answer(m, "ok")
    raw(b'{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"')
    for _ in range(100): raw(b"x" * 1000000)
    raw(b'"}]},"id":' + str(m["id"]).encode() + b'}\n')
"#;
    let mut guarded = Guarded::listed(more, &[]);
    let told = guarded.call(1);
    assert_eq!((&told["id"], code(&told)), (&json!(1), "too-long"));
    guarded.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"");
    for _ in 0..100 {
        guarded.write(&vec![b'x'; 1_000_000]);
    }
    guarded.write(b"\"},\"id\":2}\n");
    let told = guarded.next();
    assert_eq!((&told["id"], code(&told)), (&json!(2), "too-long"));
    let answer = guarded.ask(&call(3, "add", &json!({ "a": 1 })));
    assert_eq!(text(&answer), "ok");
    let memory = guarded.most_memory();
    assert!(memory < 100 << 20, "{memory} bytes");
    guarded.end();
}

#[test]
fn noise_of_the_server_goes_nowhere() {
    let more = r#"
def call(m, name, arguments):
    raw(b"Server listening on port 80\n\x00\xff\xfe\x80\n" + b"[" * 10000 + b"\n")
    raw(b'{"jsonrpc":"2.0","method":"notifications/message","params":' + b'[' * 10000 + b']' * 10000 + b'}\n')
    raw(b'{"jsonrpc":"2.0","id":' + str(m["id"]).encode() + b',"result":{"content":[{"type":"text","text":"\xff"}]}}\n')
"#;
    let mut guarded = Guarded::listed(more, &[]);
    for id in 1..4 {
        let told = guarded.call(id);
        assert_eq!(
            (&told["id"], code(&told)),
            (&json!(id), "not-utf8"),
            "{told}"
        );
    }
    guarded.end();
}

#[test]
fn noise_of_the_client_is_answered_and_not_forwarded() {
    let mut guarded = Guarded::listed("", &[]);
    for (line, id, expected) in [
        (&b"nonsense\n"[..], json!(null), "not-json"),
        (b"\x00\xff\xfe\n", json!(null), "not-utf8"),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\",\"id\":6}\n",
            json!(null),
            "duplicate-key",
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\",\"params\":{\"a\":1,\"a\":2}}\n",
            json!(5),
            "duplicate-key",
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"\xff\"}\n",
            json!(6),
            "not-utf8",
        ),
    ] {
        guarded.write(line);
        let told = guarded.next();
        assert_eq!((&told["id"], code(&told)), (&id, expected), "{told}");
    }
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":{}1{}}}\n",
        "{\"a\":".repeat(10_000),
        "}".repeat(10_000)
    );
    guarded.write(deep.as_bytes());
    let told = guarded.next();
    assert_eq!((&told["id"], code(&told)), (&json!(7), "too-deep"));
    guarded.works(8);
    guarded.end();
}

#[test]
fn signals_reach_the_server() {
    let more = r#"
def stop(number, frame):
    sys.stderr.write("stopped by %d\n" % number); sys.stderr.flush(); os._exit(9)
signal.signal(signal.SIGTERM, stop); signal.signal(signal.SIGINT, stop)
"#;
    for signal in [Signal::TERM, Signal::INT] {
        let mut guarded = Guarded::listed(more, &[]);
        guarded.works(1);
        let pid = Pid::from_raw(i32::try_from(guarded.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert!(guarded.line().is_none());
        let (status, said) = guarded.end();
        assert_eq!(status.code(), Some(9));
        assert!(
            said.contains(&format!("stopped by {}", signal.as_raw())),
            "{said}"
        );
    }
}

#[test]
fn a_secret_in_a_result_is_taken_out() {
    let more = "def call(m, name, arguments): answer(m, 'before ghp_' + 'a1' * 18 + ' after')";
    let mut guarded = Guarded::listed(more, &[]);
    let answer = guarded.call(1);
    assert_eq!(answer["result"]["isError"], true);
    assert!(text(&answer).contains("removed the result"), "{answer}");
    assert!(!answer.to_string().contains("a1a1") && !answer.to_string().contains("before"));
    guarded.end();
}

#[test]
fn budgets_hold() {
    let mut guarded = Guarded::listed("", &["--max-calls", "3", "--max-repeats", "2"]);
    guarded.works(1);
    guarded.works(2);
    assert_eq!(code(&guarded.call(3)), "budget-repeats");
    let other = guarded.ask(&call(4, "add", &json!({ "a": 1 })));
    assert_eq!(code(&other), "budget-calls");
    guarded.end();
}

#[test]
fn a_tool_that_changes_is_hidden_until_a_person_accepts_it() {
    let mut guarded = Guarded::start("", &[]);
    assert_eq!(guarded.list(), ["add"]);
    let dir = std::mem::replace(&mut guarded.dir, tempfile::tempdir().unwrap());
    guarded.end();
    let more = "TOOLS[0]['description'] = 'adds, and tells'; TOOLS.append({'name': 'new'})";
    let mut guarded = Guarded::start_in(dir, more, &[]);
    assert!(guarded.list().is_empty());
    assert_eq!(code(&guarded.call(1)), "tool-changed");
    let accept = |more: &[&str]| {
        let output = Command::new(EGRESSCTL)
            .args(["mcp", "accept", "t", "--state"])
            .arg(state(guarded.dir.path()))
            .args(more)
            .env_remove("EGRESSD_SESSION")
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (status, said) = accept(&["--dry-run"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("add: has another description"), "{said}");
    assert!(said.contains("new: was not there"), "{said}");
    assert_eq!(accept(&[]).0, Some(0));
    guarded.works(2);
    assert_eq!(guarded.list(), ["add", "new"]);
    guarded.end();
}

#[test]
fn a_session_cannot_accept_tools() {
    let output = Command::new(EGRESSCTL)
        .args(["mcp", "accept", "t"])
        .env("EGRESSD_SESSION", "s")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_command_that_cannot_be_started_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(EGRESSCTL)
        .args(["mcp", "--name", "t", "--state"])
        .arg(state(dir.path()))
        .args(["--", "/nonexistent/server"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/server"));
}

#[test]
fn a_server_whose_session_cannot_be_entered_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.json");
    std::fs::write(&policy, r#"{ "version": 1 }"#).unwrap();
    let mut child = Command::new(EGRESSCTL)
        .args(["--socket", "/nonexistent/s", "mcp", "--run", "--name", "t"])
        .arg("--policy")
        .arg(policy)
        .arg("--state")
        .arg(state(dir.path()))
        .args(["--", "python3", "-c", "print('started')"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    writeln!(input, "{ping}").unwrap();
    let output = child.wait_with_output().unwrap();
    drop(input);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), code(&told)),
        (Some(125), "server-gone")
    );
    assert!(!output.stderr.is_empty());
}
