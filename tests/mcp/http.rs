//! The reverse proxy: statuses, streams, sessions, and servers that fail.

use std::{
    net::TcpStream,
    sync::{Arc, Mutex},
};

use super::*;

/// A server over HTTP that does what the name of its tool says.
pub(super) const UPSTREAM: &str = r#"
import json, ssl, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
LOG = []
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def reply(self, status, body, kind="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items(): self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
    def stream(self, *events):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(event.encode()); self.wfile.flush()
        self.close_connection = True
    def do_POST(self):
        m = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        LOG.append({"path": self.path, "message": m, "session": self.headers.get("Mcp-Session-Id"),
                    "authorization": self.headers.get("Authorization"), "origin": self.headers.get("Origin")})
        method, id = m.get("method"), m.get("id")
        ok = lambda result: {"jsonrpc": "2.0", "id": id, "result": result}
        if method == "initialize":
            return self.reply(200, ok({"protocolVersion": "2025-11-25", "capabilities": {}}), Mcp_Session_Id="s1")
        if method == "tools/list":
            names = ["json", "stream", "hang", "redirect", "html", "gzip", "fail", "empty", "cut", "log", "locked", "pretty", "forget", "later"]
            return self.reply(200, ok({"tools": [{"name": name} for name in names]}))
        if method != "tools/call":
            return self.reply(202, b"")
        tool = m["params"]["name"]
        text = lambda text: ok({"content": [{"type": "text", "text": text}]})
        secret = "ghp_" + "a1" * 18
        if tool == "json": self.reply(200, text("ok"))
        if tool == "pretty": self.reply(200, json.dumps(text("ok"), indent=1).replace("\n", "\r\n").encode())
        if tool == "forget": self.reply(404, b"")
        if tool == "later":
            Handler.later = text("came later")
            self.stream("retry: 10\nid: 41\ndata:\n\n")
        if tool == "locked": self.reply(401, b'{"error":"invalid_token"}', WWW_Authenticate=
            'Bearer resource_metadata="http://%s/.well-known/oauth-protected-resource/mcp"' % self.headers["Host"])
        if tool == "log": self.reply(200, text(json.dumps(LOG)))
        if tool == "hang": time.sleep(5)
        if tool == "redirect": self.reply(302, b"", Location="http://evil.test/")
        if tool == "html": self.reply(200, b"<p>", kind="text/html")
        if tool == "gzip": self.reply(200, text("ok"), Content_Encoding="gzip")
        if tool == "fail": self.reply(500, b"stack trace", kind="text/plain")
        if tool == "empty": self.reply(200, b"")
        if tool == "cut": self.stream("data: " + json.dumps(text("ok"))[:20])
        if tool == "stream":
            say = lambda value: "data: " + json.dumps(value) + "\r\n\r\n"
            log = lambda text: {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": text}}
            ask = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {"message": "m",
                "requestedSchema": {"type": "object", "properties": {"password": {"type": "string"}}}}}
            self.stream("id: 7\r\ndata:\r\n\r\n", ": comment\r\n\r\n", "event: message\r\nid: 8\r\n" + say(log("fine")),
                        "id: 9\r\n" + say(log(secret)), say(ask), say("noise"), say(text(secret)))
    def do_GET(self):
        here = "http://" + self.headers["Host"]
        if self.path == "/.well-known/oauth-protected-resource/mcp":
            return self.reply(200, {"resource": here + "/mcp", "authorization_servers": [here]})
        if self.path == "/.well-known/oauth-authorization-server":
            return self.reply(200, b'{"issuer":  "x"}')
        if self.path == "/.well-known/openid-configuration":
            return self.reply(200, {"issuer": "ghp_" + "a1" * 18})
        if self.path.startswith("/.well-known/"):
            return self.reply(200, b"<p>", kind="text/html") if "html" in self.path else self.reply(404, b"")
        last = self.headers.get("Last-Event-ID")
        if last == "41" and hasattr(Handler, "later"):
            return self.stream("id: 42\ndata: " + json.dumps(Handler.later) + "\n\n")
        if self.headers.get("Accept") != "text/event-stream":
            return self.reply(405, b"")
        value = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": last}}
        self.stream("id: 1\ndata: " + json.dumps(value) + "\n\n")
    def do_DELETE(self): self.reply(200, b"")
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

pub(super) struct World {
    upstream: Child,
    guard: Child,
    pub(super) port: u16,
    /// What the guard has said on standard error.
    said: Arc<Mutex<String>>,
    _dir: TempDir,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

/// A server, and its address.
pub(super) fn upstream() -> (Child, String) {
    let mut upstream = Command::new("python3")
        .args(["-c", UPSTREAM])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(upstream.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (upstream, format!("http://127.0.0.1:{}/mcp", line.trim()))
}

impl World {
    fn start() -> Self {
        let (upstream, url) = upstream();
        Self::before(upstream, &url)
    }

    fn before(upstream: Child, url: &str) -> Self {
        Self::before_with(upstream, url, &[])
    }

    pub(super) fn before_with(upstream: Child, url: &str, variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("policy.json");
        std::fs::write(&policy, r#"{ "version": 1 }"#).unwrap();
        let mut guard = Command::new(EGRESSCTL)
            .args(["mcp", "--name", "t", "--answer-timeout", "2", "--policy"])
            .arg(&policy)
            .arg("--state")
            .arg(state(dir.path()))
            .args(["--listen", "127.0.0.1:0", "--upstream", url])
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(guard.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for line in lines.lines() {
                let mut heard = heard.lock().unwrap();
                *heard += &line.unwrap();
                *heard += "\n";
            }
        });
        let port = line
            .trim_end()
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .unwrap();
        Self {
            upstream,
            guard,
            port: port.parse().unwrap(),
            said,
            _dir: dir,
        }
    }

    /// What the guard says on standard error: it has said something, or says it soon.
    pub(super) fn said(&self) -> String {
        let begun = Instant::now();
        loop {
            let said = self.said.lock().unwrap().clone();
            if !said.is_empty() || begun.elapsed() > PATIENCE {
                return said;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The tools have been listed.
    fn listed() -> Self {
        let world = Self::start();
        let listed = world.post(&json!({ "jsonrpc": "2.0", "id": 0, "method": "tools/list" }));
        assert_eq!(listed.status, 200, "{}", listed.body);
        world
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let has = |name: &str| {
            headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        let mut head = vec![
            format!("{method} {path} HTTP/1.1"),
            "connection: close".to_owned(),
        ];
        if !has("host") {
            head.push(format!("host: localhost:{}", self.port));
        }
        if !has("content-length") {
            head.push(format!("content-length: {}", body.len()));
        }
        for (name, value) in headers {
            head.push(format!("{name}: {value}"));
        }
        let head = head.join("\r\n") + "\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let head = head.to_ascii_lowercase();
        let body = if head.contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body }
    }

    pub(super) fn post(&self, message: &Value) -> Answer {
        self.post_with(message, &[])
    }

    fn post_with(&self, message: &Value, more: &[(&str, &str)]) -> Answer {
        let headers = [&JSON[..], more].concat();
        self.send("POST", "/mcp", &headers, message.to_string().as_bytes())
    }

    pub(super) fn call(&self, tool: &str) -> Answer {
        self.post(&call(1, tool, &json!({})))
    }
}

const JSON: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
    ("mcp-protocol-version", "2025-11-25"),
];

impl Answer {
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub(super) fn code(&self) -> String {
        code(&self.value()).to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in [&mut self.guard, &mut self.upstream] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn unchunked(mut body: &str) -> String {
    let mut all = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        let (chunk, rest) = rest.split_at(size);
        all += chunk;
        body = rest.strip_prefix("\r\n").unwrap_or_default();
    }
    all
}

#[test]
fn a_call_and_its_answer_pass_and_a_denied_one_does_not() {
    let world = World::listed();
    let answer = world.call("json");
    assert_eq!((answer.status, text(&answer.value())), (200, "ok"));
    assert!(
        answer.head.contains("content-type: application/json"),
        "{}",
        answer.head
    );
    let answer = world.post(&call(1, "unheard", &json!({})));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (200, "unknown-tool")
    );
    let token = format!("ghp_{}", "a1".repeat(18));
    let answer = world.post(&call(1, "json", &json!({ "t": token })));
    assert_eq!((answer.status, answer.code().as_str()), (200, "secret"));
    let note =
        json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "t": token } });
    assert_eq!(world.post(&note).status, 400);
    let log = world.call("log").body;
    assert!(!log.contains("unheard") && !log.contains("a1a1"), "{log}");
}

#[test]
fn requests_that_should_not_come_are_refused_with_the_right_status() {
    let world = World::listed();
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let json = JSON[0];
    for (method, path, headers, body, status) in [
        (
            "POST",
            "/mcp",
            &[json, ("host", "evil.test")][..],
            &ping[..],
            403,
        ),
        (
            "POST",
            "/mcp",
            &[json, ("origin", "http://evil.test")],
            ping,
            403,
        ),
        ("GET", "/mcp", &[("origin", "null")], b"", 403),
        ("POST", "/elsewhere", &[json], ping, 404),
        (
            "GET",
            "/.well-known/oauth-protected-resource/other",
            &[],
            b"",
            404,
        ),
        ("PUT", "/mcp", &[json], ping, 405),
        ("OPTIONS", "/mcp", &[], b"", 405),
        ("POST", "/mcp", &[("content-type", "text/plain")], ping, 415),
        (
            "POST",
            "/mcp",
            &[json, ("content-encoding", "gzip")],
            ping,
            415,
        ),
        (
            "POST",
            "/mcp",
            &[json, ("content-length", "100000000")],
            b"",
            413,
        ),
        ("POST", "/mcp", &[json], b"", 400),
        ("POST", "/mcp", &[json], b"nonsense", 400),
        (
            "POST",
            "/mcp",
            &[json],
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"method\":\"ping\"}",
            400,
        ),
        (
            "POST",
            "/mcp",
            &[json, ("mcp-protocol-version", "2031-01-01")],
            ping,
            400,
        ),
        (
            "POST",
            "/mcp",
            &[json, ("mcp-method", "tools/call")],
            ping,
            400,
        ),
    ] {
        let answer = world.send(method, path, headers, body);
        assert_eq!(
            answer.status, status,
            "{method} {path} {headers:?}: {}",
            answer.body
        );
        assert!(answer.body.is_empty() || answer.value()["error"].is_object());
    }
    let mismatch = world
        .send("POST", "/", &[json, ("mcp-method", "x")], ping)
        .value();
    assert_eq!(
        (&mismatch["error"]["code"], &mismatch["id"]),
        (&json!(-32020), &json!(1))
    );
    let param = ("mcp-param-t", format!("ghp_{}", "a1".repeat(18)));
    let answer = world.post_with(&call(1, "json", &json!({})), &[(param.0, &param.1)]);
    assert_eq!(answer.code(), "secret", "headers carry arguments too");
    let batch = json!([{ "jsonrpc": "2.0", "id": 1, "method": "ping" }]);
    let answer = world.post(&batch);
    assert_eq!(
        (answer.status, answer.value()[0]["id"].clone()),
        (400, json!(1))
    );
}

#[test]
fn servers_that_fail_are_told_with_the_right_status() {
    let world = World::listed();
    for (tool, status, expected) in [
        ("hang", 504, "no-answer"),
        ("redirect", 502, "redirect"),
        ("html", 502, "unreadable-answer"),
        ("gzip", 502, "unreadable-answer"),
        ("empty", 502, "unreadable-answer"),
    ] {
        let answer = world.call(tool);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, expected),
            "{tool}"
        );
        assert_eq!(answer.value()["id"], 1, "{tool}");
    }
    let failed = world.call("fail");
    assert_eq!(
        (failed.status, failed.body.as_str()),
        (500, ""),
        "the trace is not for the agent"
    );
    let cut = world.call("cut");
    assert!(
        cut.body.contains("ended before its answer") && cut.body.contains("\"id\":1"),
        "{}",
        cut.body
    );
    let idle = Command::new("sleep").arg("100").spawn().unwrap();
    let gone = World::before(idle, "http://127.0.0.1:1/mcp");
    let answer = gone.post(&json!({ "jsonrpc": "2.0", "id": 5, "method": "ping" }));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "server-gone")
    );
    assert_eq!(answer.value()["id"], 5);
}

#[test]
fn a_stream_passes_event_by_event_and_what_is_blocked_does_not() {
    let world = World::listed();
    let answer = world.call("stream");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/event-stream"));
    let start = "id: 7\r\ndata:\r\n\r\n: comment\r\n\r\nevent: message\r\nid: 8\r\ndata: {\"jsonrpc\": \"2.0\", \"method\": \"notifications/message\", \"params\": {\"data\": \"fine\"}}\r\n\r\n";
    let rest = answer.body.strip_prefix(start).expect("byte for byte");
    let rest = rest
        .strip_prefix("id: 9\n\n")
        .expect("the place in the stream is kept");
    let result: Value = serde_json::from_str(rest.trim().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(
        (&result["id"], &result["result"]["isError"]),
        (&json!(1), &json!(true))
    );
    assert!(
        !answer.body.contains("a1a1") && !answer.body.contains("password"),
        "{}",
        answer.body
    );
    let log = world.call("log").value();
    let log: Value = serde_json::from_str(text(&log)).unwrap();
    let told = &log
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["message"]["error"].is_object());
    let told = told.expect("the server is told that it must not ask");
    assert_eq!(told["message"]["error"]["data"]["code"], "elicits-secret");
}

#[test]
fn sessions_and_credentials_are_passed_on_and_streams_resumed() {
    let world = World::start();
    let start = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": { "protocolVersion": "2025-11-25" } });
    let answer = world.post(&start);
    assert!(
        answer.head.contains("mcp-session-id: s1"),
        "{}",
        answer.head
    );
    let session = [
        ("mcp-session-id", "s1"),
        ("authorization", "Bearer t"),
        ("origin", "http://localhost:9"),
    ];
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(world.post_with(&list, &session).status, 200);
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let answer = world.post_with(&note, &session);
    assert_eq!((answer.status, answer.body.as_str()), (202, ""));
    let log = world
        .post_with(&call(2, "log", &json!({})), &session)
        .value();
    let log: Value = serde_json::from_str(text(&log)).unwrap();
    let last = log.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["session"], &last["authorization"], &last["origin"]),
        (&json!("s1"), &json!("Bearer t"), &json!(null))
    );
    let stream = [
        ("accept", "text/event-stream"),
        ("last-event-id", "41"),
        ("mcp-session-id", "s1"),
    ];
    let answer = world.send("GET", "/mcp", &stream, b"");
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.contains("{\"data\": \"41\"}"),
        "{}",
        answer.body
    );
    assert_eq!(world.send("GET", "/mcp", &[], b"").status, 405);
    assert_eq!(world.send("DELETE", "/mcp", &session, b"").status, 200);
}

#[test]
fn only_loopback_is_listened_on_unless_somebody_says_otherwise() {
    let output = Command::new(EGRESSCTL)
        .args([
            "mcp",
            "--listen",
            "0.0.0.0:0",
            "--upstream",
            "http://127.0.0.1:1/",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--allow-remote"));
}

#[test]
fn who_is_not_let_in_is_told_where_to_ask() {
    let world = World::listed();
    let here = format!("http://localhost:{}", world.port);
    let document = "/.well-known/oauth-protected-resource";
    let locked = world.call("locked");
    assert_eq!((locked.status, locked.body.as_str()), (401, ""));
    let challenge = format!("www-authenticate: bearer resource_metadata=\"{here}{document}/mcp\"");
    assert!(locked.head.contains(&challenge), "{}", locked.head);
    for (path, resource) in [("/mcp", "/mcp"), ("", "/")] {
        let answer = world.send("GET", &format!("{document}{path}"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.value()["resource"], format!("{here}{resource}"));
        let issuers = &answer.value()["authorization_servers"][0];
        assert!(!issuers.as_str().unwrap().contains(&here), "{issuers}");
    }
    let get = |path: &str| world.send("GET", path, &[], b"");
    let answer = get("/.well-known/oauth-authorization-server");
    assert_eq!(answer.body, "{\"issuer\":  \"x\"}", "as it came");
    assert_eq!(
        get("/.well-known/oauth-authorization-server/no").status,
        404
    );
    let answer = get("/.well-known/oauth-authorization-server/html");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "unreadable-answer")
    );
    let answer = get("/.well-known/openid-configuration");
    assert_eq!((answer.status, answer.code().as_str()), (502, "secret"));
    let posted = world.send("POST", document, &JSON, b"{}");
    assert_eq!(posted.status, 404);
}
