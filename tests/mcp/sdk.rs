//! The official SDK on both sides of the guard: what it sees through it is what it sees without
//! it, but for what is denied.

use std::{net::TcpListener, path::PathBuf, sync::OnceLock};

use super::*;

/// What is installed where there is no environment yet.
const PACKAGE: &str = "mcp==2.3.0";

#[test]
fn over_pipes_both_eras_see_the_same() {
    for mode in ["legacy", "auto", "2026-07-28"] {
        let server = [python(), script(), "server".into(), "stdio".into()];
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
        .args([python(), script()])
        .args(["client", mode, transport])
        .args(target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{mode} {transport}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn guard(dir: &Path) -> Vec<PathBuf> {
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
        let child = Command::new(python())
            .arg(script())
            .args(["server", transport, &port.to_string()])
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
struct Proxy {
    child: Child,
    url: String,
}

impl Proxy {
    fn start(dir: &Path, upstream: &str) -> Self {
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

/// A Python that has the SDK: `EGRESS_MCP_PYTHON`, or an environment that is made here once. Where
/// neither can be had, the tests fail.
fn python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let python = PYTHON.get_or_init(|| {
        if let Some(given) = std::env::var_os("EGRESS_MCP_PYTHON") {
            return given.into();
        }
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mcp-sdk");
        let python = home.join("bin/python");
        let has_sdk = || {
            let import = Command::new(&python)
                .args(["-c", "import mcp.client, mcp.server"])
                .output();
            import.is_ok_and(|output| output.status.success())
        };
        if !has_sdk() {
            let made = Command::new("python3")
                .args(["-m", "venv"])
                .arg(&home)
                .status()
                .unwrap();
            assert!(made.success(), "python3 cannot make a virtual environment");
            let pip = [
                &python.to_string_lossy(),
                "-m",
                "pip",
                "install",
                "-q",
                PACKAGE,
            ];
            let installed = Command::new(pip[0]).args(&pip[1..]).status().unwrap();
            assert!(installed.success(), "`{PACKAGE}` cannot be installed");
        }
        assert!(has_sdk(), "the SDK is not there");
        python
    });
    python.clone()
}
