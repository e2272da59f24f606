//! The official SDK for JavaScript on both sides of the guard: a client that uses all of the
//! protocol writes down the same with the guard and without it, but for a tool that nobody listed.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use super::{
    sdk::{Proxy, guard, sdk},
    *,
};

/// What the server says of a tool that it has not, and what the guard says.
const UNKNOWN: [&str; 2] = ["unknown: -32603\n", "unknown: -32001\n"];

#[test]
fn over_pipes_a_client_sees_the_same() {
    let home = Home::new();
    let server: [PathBuf; 2] = ["node".into(), home.file("server.mjs")];
    let direct = home.client("stdio", &server);
    let guarded = [guard(home.path()), vec!["--".into()], server.into()].concat();
    check(&direct, &home.client("stdio", &guarded));
}

#[test]
fn over_http_a_client_sees_the_same() {
    let home = Home::new();
    let server = Server::start(&home);
    let direct = home.client("http", &[server.url.clone().into()]);
    let proxy = Proxy::start(home.path(), &server.url);
    check(&direct, &home.client("http", &[proxy.url.clone().into()]));
}

#[test]
fn over_a_bridge_a_client_sees_the_same() {
    let home = Home::new();
    let server = Server::start(&home);
    let direct = home.client("http", &[server.url.clone().into()]);
    let bridge = ["--upstream".into(), server.url.clone().into()];
    let guarded = [guard(home.path()), bridge.into()].concat();
    check(&direct, &home.client("stdio", &guarded));
}

#[track_caller]
fn check(direct: &str, through: &str) {
    let [says, guard_says] = UNKNOWN;
    assert_eq!(direct.matches(says).count(), 1, "{direct}");
    assert!(direct.ends_with("many: 1000\nend: true\n"), "{direct}");
    assert_eq!(through, direct.replace(says, guard_says));
}

/// A directory in which the two programs find the SDK.
struct Home(TempDir);

impl Home {
    #[track_caller]
    fn new() -> Self {
        let modules = sdk("node").join("node_modules");
        let home = Self(tempfile::tempdir().unwrap());
        symlink(modules, home.file("node_modules")).unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mcp");
        for file in ["client.mjs", "server.mjs"] {
            fs::copy(sources.join(file), home.file(file)).unwrap();
        }
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// What a client writes down.
    #[track_caller]
    fn client(&self, transport: &str, target: &[PathBuf]) -> String {
        let output = Command::new("timeout")
            .args(["100", "node"])
            .arg(self.file("client.mjs"))
            .arg(transport)
            .args(target)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{transport}: {seen}\n{said}");
        seen
    }
}

/// A server that listens.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(home: &Home) -> Self {
        let mut child = Command::new("node")
            .arg(home.file("server.mjs"))
            .arg("http")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Self {
            child,
            url: format!("http://127.0.0.1:{}/mcp", port.trim()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
