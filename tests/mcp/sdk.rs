//! The official SDK for Python on both sides of the guard: what it sees through it is what it sees
//! without it, but for what is denied.

use std::{net::TcpListener, path::PathBuf};

use super::*;

#[test]
fn over_pipes_both_eras_see_the_same() {
    for mode in ["legacy", "auto", "2026-07-28"] {
        let server = server("stdio");
        let direct = client(mode, "stdio", &server);
        let dir = tempfile::tempdir().unwrap();
        let mut guarded: Vec<PathBuf> = guard(dir.path());
        guarded.push("--".into());
        guarded.extend(server);
        check(&direct, &client(mode, "stdio", &guarded), mode);
    }
}

#[test]
fn over_http_both_eras_see_the_same() {
    for (transport, modes) in [
        ("http", &["legacy", "auto", "2026-07-28"][..]),
        ("stateless", &["legacy", "auto"]),
        ("sse", &["legacy"]),
    ] {
        let server = Server::start(transport);
        let dir = tempfile::tempdir().unwrap();
        let proxy = Proxy::start(dir.path(), &server.url);
        for mode in modes {
            let direct = client(mode, transport, &[server.url.clone().into()]);
            let through = client(mode, transport, &[proxy.url.clone().into()]);
            check(&direct, &through, &format!("{transport} {mode}"));
        }
    }
}

/// A client that only starts its servers speaks to one that listens.
#[test]
fn over_a_bridge_both_eras_see_the_same() {
    for (transport, modes) in [
        ("http", &["legacy", "auto", "2026-07-28"][..]),
        ("stateless", &["legacy", "auto"]),
        ("sse", &["legacy"]),
    ] {
        let server = Server::start(transport);
        for mode in modes {
            let direct = client(mode, transport, &[server.url.clone().into()]);
            let dir = tempfile::tempdir().unwrap();
            let mut guarded: Vec<PathBuf> = guard(dir.path());
            guarded.extend(["--upstream".into(), server.url.clone().into()]);
            let through = client(mode, transport, &guarded);
            check(&direct, &through, &format!("{transport} {mode}"));
        }
    }
}

/// All is the same but for the three calls that are denied or lose their result.
#[track_caller]
fn check(direct: &Value, through: &Value, what: &str) {
    let mut expected = direct.clone();
    let removed = &through["leak"];
    assert_eq!(removed["error"], true, "{what}: {removed}");
    let text = removed["text"].as_str().unwrap();
    assert!(
        text.starts_with("egressd removed the result"),
        "{what}: {text}"
    );
    expected["leak"] = removed.clone();
    expected["fetch"] = json!({ "failed": -32001, "code": "network-name" });
    expected["unknown"] = json!({ "failed": -32001, "code": "unknown-tool" });
    assert_eq!(through, &expected, "{what}");
    assert_eq!(direct["add"]["text"], "3", "{what}");
    assert_eq!(direct["many"].as_array().unwrap().len(), 20, "{what}");
}

fn client(mode: &str, transport: &str, target: &[PathBuf]) -> Value {
    let output = Command::new("timeout")
        .arg("60")
        .args(python())
        .args(["client", mode, transport])
        .args(target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{mode} {transport}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The words of a guard, without a server.
pub(super) fn guard(dir: &Path) -> Vec<PathBuf> {
    let policy = dir.join("policy.json");
    std::fs::write(&policy, r#"{ "version": 1 }"#).unwrap();
    let words: [PathBuf; 8] = [
        EGRESSCTL.into(),
        "mcp".into(),
        "--name".into(),
        "sdk".into(),
        "--policy".into(),
        policy,
        "--state".into(),
        state(dir),
    ];
    words.into()
}

/// A server of the SDK that listens.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(transport: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let words = server(transport);
        let child = Command::new(&words[0])
            .args(&words[1..])
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the server does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        let path = if transport == "sse" { "sse" } else { "mcp" };
        Self {
            child,
            url: format!("http://127.0.0.1:{port}/{path}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A guard that listens.
pub(super) struct Proxy {
    child: Child,
    pub(super) url: String,
}

impl Proxy {
    pub(super) fn start(dir: &Path, upstream: &str) -> Self {
        let words = guard(dir);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--listen", "127.0.0.1:0", "--upstream", upstream])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let address = line.split("http://").nth(1).expect("an address").trim();
        let path = upstream.rsplit('/').next().unwrap();
        Self {
            child,
            url: format!("http://{address}{path}"),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mcp/sdk.py")
}

/// The words of a server.
fn server(transport: &str) -> Vec<PathBuf> {
    let words = python().into_iter();
    words.chain(["server".into(), transport.into()]).collect()
}

/// The script and who runs it, with the SDK that `cargo xtask setup` installs. Clients clear the
/// environment of their servers: the path stands in the words.
fn python() -> [PathBuf; 4] {
    let mut path = std::ffi::OsString::from("PYTHONPATH=");
    path.push(sdk("python"));
    [
        "env".into(),
        path.into(),
        "/usr/bin/python3".into(),
        script(),
    ]
}

/// Where an SDK is. Without it the tests fail.
#[track_caller]
pub(super) fn sdk(which: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sdk");
    let home = home.join(which);
    assert!(
        home.join(".version").exists(),
        "the SDK is missing in {}: run `cargo xtask setup`",
        home.display()
    );
    home.canonicalize().unwrap()
}
