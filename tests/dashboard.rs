//! The dashboard: what it answers to whom, and the page in a real browser.

mod browser;
mod http;
mod listener;
mod metrics;
mod page;

use std::{fs, net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::world::World;

use crate::harness::TestWorld;

/// A world with a dashboard at a free port, and a socket for metrics.
struct Watched {
    world: TestWorld,
    address: SocketAddr,
    token: String,
    metrics: PathBuf,
    _home: TempDir,
}

impl Watched {
    #[track_caller]
    fn start(policy: Value) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let metrics = home.path().join("metrics.sock");
        let socket = metrics.display().to_string();
        let arguments = ["--dashboard", "127.0.0.1:0", "--metrics-socket", &socket];
        let builder = World::builder().policy(policy);
        let world = TestWorld::build(builder.daemon_arguments(&arguments));
        let (address, token) = link(&world);
        Self {
            world,
            address,
            token,
            metrics,
            _home: home,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// With the right host and token.
    #[track_caller]
    fn get(&self, path: &str) -> http::Answer {
        let line = format!("GET {path} HTTP/1.1");
        let host = format!("Host: {}", self.address);
        let bearer = format!("Authorization: Bearer {}", self.token);
        http::ask(&self.world, self.address, &[&line, &host, &bearer])
    }

    /// The token's file.
    fn token_file(&self) -> PathBuf {
        let daemon = self.world.daemon().expect("a daemon");
        daemon.files().socket.with_file_name("dashboard.token")
    }
}

/// What `egressctl dashboard` prints.
#[track_caller]
fn link(world: &TestWorld) -> (SocketAddr, String) {
    let said = world.ctl(&["dashboard", "--json"]);
    let link: Value = serde_json::from_str(&said.works().outcome.stdout).expect("JSON");
    let url = link["url"].as_str().expect("a URL");
    let host = url
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix('/'));
    let address = host.expect("a host").parse().expect("an address");
    (address, link["token"].as_str().expect("a token").to_owned())
}

/// A policy that allows one name and denies the rest.
fn policy() -> Value {
    json!({
        "version": 1,
        "name": "watched",
        "network": {
            "allow": [{ "name": "web", "hosts": ["www.allowed.test"], "ports": ["443/tcp"] }],
            "deny": [{ "name": "never", "hosts": ["never.denied.test"], "reason": "Ask the owner." }],
        },
    })
}

/// Where pictures go, for people.
fn pictures() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/dashboard");
    fs::create_dir_all(&directory).expect("a directory");
    directory
}
