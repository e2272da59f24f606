//! A client that logs in with OAuth, through the guard: the official SDK's client, server and
//! authorization server.

use std::net::TcpListener;

use super::{
    sdk::{Proxy, sdk},
    *,
};

#[test]
fn a_client_logs_in_through_the_guard() {
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(dir.path(), &server.url("mcp"));
    let root = proxy.url.strip_suffix("mcp").unwrap();
    for (url, document) in [
        (
            proxy.url.as_str(),
            "/.well-known/oauth-protected-resource/mcp",
        ),
        (root, "/.well-known/oauth-protected-resource"),
    ] {
        let seen = client(url);
        assert_eq!(seen["tools"], json!(["resources"]), "{seen:#}");
        // The client asks for access to what it calls.
        let resources = seen["resources"].as_array().unwrap();
        assert_eq!(resources.last(), Some(&json!(url)), "{seen:#}");
        let asked = seen["asked"].as_array().unwrap();
        let guard = proxy.url.split('/').nth(2).unwrap();
        let own = server.address();
        for (place, path) in [
            (guard, document),
            (&own, "/.well-known/oauth-authorization-server"),
            (&own, "/token"),
        ] {
            assert!(asked.contains(&json!([place, path])), "{path}: {seen:#}");
        }
        let calls = asked.iter().filter(|it| it[1] == "/mcp" || it[1] == "/");
        assert!(calls.clone().count() > 2, "{seen:#}");
        assert!(calls.into_iter().all(|it| it[0] == guard), "{seen:#}");
    }
}

/// What the README says cannot work: the token is for the guard, and the server knows it.
#[test]
fn a_server_that_takes_only_tokens_for_itself_lets_nobody_in_through_the_guard() {
    let server = Server::start(&["strict"]);
    let direct = client(&server.url("mcp"));
    assert_eq!(direct["tools"], json!(["resources"]), "{direct:#}");
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(dir.path(), &server.url("mcp"));
    let seen = client(&proxy.url);
    assert_eq!(seen["logged in"], true, "{seen:#}");
    assert!(seen["failed"].is_string(), "{seen:#}");
}

#[track_caller]
fn client(url: &str) -> Value {
    let output = program().args(["client", url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn program() -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["60", "/usr/bin/python3"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mcp/oauth.py"))
        .env("PYTHONPATH", sdk("python"));
    command
}

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(more: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = program()
            .args(["server", &port.to_string()])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the server does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        Self { child, port }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // `timeout` passes it on to the server.
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}
