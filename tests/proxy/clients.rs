//! The clients that agents use, each with its defaults, through each door: led there by the kernel,
//! asked by the client, and with TLS opened.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use xtask::{program, world::World};

use super::proxy_address;
use crate::{
    harness::{Run, TestWorld},
    proxy_tls::Server,
};

/// The slowest compiles itself first.
const PATIENCE: Duration = Duration::from_mins(1);
const ALLOWED: &str = "npm.allowed.test";
/// At the same address.
const DENIED: &str = "two.allowed.test";

struct Client {
    name: &'static str,
    /// What a shell is told: `HOST` is the host, `HERE` a directory of its own, `FILES` that of the
    /// programs.
    line: &'static str,
    /// Part of what stands there.
    says: &'static str,
    /// Whether it can ask a proxy.
    asks: bool,
}

const fn client(name: &'static str, line: &'static str, says: &'static str) -> Client {
    Client {
        name,
        line,
        says,
        asks: true,
    }
}

const CLIENTS: [Client; 12] = [
    client(
        "curl, HTTP/1.1",
        "curl -sS -m 20 --http1.1 -w 'HTTP/%{http_version}' https://HOST/",
        "HTTP/1.1",
    ),
    client(
        "curl, HTTP/2",
        "curl -sS -m 20 --http2 -w 'HTTP/%{http_version}' https://HOST/",
        "HTTP/2",
    ),
    // It knows no variable for whom it trusts.
    client(
        "wget",
        "wget -q -t 1 -T 20 --ca-certificate=$CURL_CA_BUNDLE -O - https://HOST/",
        "hello from",
    ),
    client(
        "git",
        "git clone -q https://HOST/git/project.git HERE/project && cat HERE/project/README",
        "a project",
    ),
    client(
        "pip",
        "pip3 install -q --no-input --retries 0 --timeout 20 --disable-pip-version-check --no-cache-dir \
         --target HERE/pip --index-url https://HOST/simple/ tinypkg && cat HERE/pip/tinypkg.py",
        "tiny",
    ),
    client(
        "npm",
        "npm install --silent --no-audit --no-fund --fetch-retries 0 --cache HERE/cache --prefix HERE/npm \
         --registry https://HOST/npm/ tinypkg && ls HERE/npm/node_modules",
        "tinypkg",
    ),
    client(
        "requests",
        "/usr/bin/python3 -c 'import requests; print(requests.get(\"https://HOST/\", timeout=20).text)'",
        "hello from",
    ),
    client(
        "httpx",
        "/usr/bin/python3 FILES/client.py https://HOST/",
        "HTTP/2 200",
    ),
    Client {
        asks: false,
        ..client(
            "fetch",
            "node -e 'fetch(\"https://HOST/\").then(r => r.text()).then(console.log)'",
            "hello from",
        )
    },
    client(
        "ws",
        "NODE_PATH=/usr/share/nodejs node FILES/socket.cjs wss://HOST:9443/ws",
        "back word",
    ),
    client(
        "Go",
        "FILES/client https://HOST/",
        "HTTP/2.0 200 hello from",
    ),
    client(
        "Java",
        "java -Djavax.net.ssl.trustStore=FILES/trust.p12 -Djavax.net.ssl.trustStorePassword=changeit \
         FILES/Client.java https://HOST/",
        "HTTP_2 200 hello from",
    ),
];

fn policy(level: &str) -> Value {
    json!({
        "version": 1,
        "network": { "allow": [{
            "name": "web",
            "hosts": [ALLOWED],
            "ports": ["443/tcp", "9443/tcp"],
            "level": level,
        }] },
    })
}

/// Programs that are written here, compiled where that is their way, and who they trust.
fn files(world: &TestWorld, authorities: &[&Path]) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/proxy/clients");
    let files = world.agent_home().join("clients");
    fs::create_dir_all(&files).expect("a directory");
    for name in ["client.py", "socket.cjs", "Client.java"] {
        fs::copy(sources.join(name), files.join(name)).expect("a program");
    }
    let mut go = Command::new("go");
    go.env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=mod")
        .env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go"))
        .args(["build", "-o"])
        .arg(files.join("client"))
        .arg(sources.join("client.go"));
    program::run(&mut go).expect("Go compiles it");
    for (number, authority) in authorities.iter().enumerate() {
        let mut keytool = Command::new("keytool");
        keytool
            .args(["-importcert", "-noprompt", "-storepass", "changeit"])
            .args(["-storetype", "PKCS12", "-alias", &number.to_string()])
            .arg("-keystore")
            .arg(files.join("trust.p12"))
            .arg("-file")
            .arg(authority);
        program::run(&mut keytool).expect("Java trusts it");
    }
    files
}

/// Asks for a host.
fn get<'w>(
    world: &'w TestWorld,
    (client, files): (&Client, &Path),
    proxy: Option<&str>,
    host: &str,
) -> Run<'w> {
    let line = client
        .line
        .replace("HOST", host)
        .replace("FILES", &files.display().to_string())
        .replace("HERE", "$here");
    let proxy = proxy.map_or_else(String::new, |proxy| {
        format!("export HTTPS_PROXY={proxy} https_proxy={proxy}; ")
    });
    let line = format!("here=$(mktemp -d); {proxy}{line}");
    let run = world.guarded(&["sh", "-c", &line]).expect("a guard");
    world.finish(run.within(PATIENCE).run())
}

/// Each has what is allowed, and none what is denied, though it stands at the same address.
#[track_caller]
fn have_what_is_allowed(world: &TestWorld, files: &Path, proxy: Option<&str>) {
    for client in CLIENTS
        .iter()
        .filter(|client| proxy.is_none() || client.asks)
    {
        let run = get(world, (client, files), proxy, ALLOWED);
        run.must(
            run.outcome.succeeded() && run.outcome.stdout.contains(client.says),
            &format!("{} should have had it", client.name),
        );
        let run = get(world, (client, files), proxy, DENIED);
        run.must(
            !run.outcome.succeeded(),
            &format!("{} should not have had it", client.name),
        );
    }
    world.records_a_denial_of(DENIED);
}

#[test]
fn clients_are_led_to_the_proxy_without_any_setting() {
    let world = TestWorld::guarded(policy("name"));
    let _server = Server::start(&world);
    let files = files(&world, &[&world.tls().ca]);
    have_what_is_allowed(&world, &files, None);
}

#[test]
fn clients_ask_the_proxy_where_they_are_told_to() {
    let world = TestWorld::guarded(policy("name"));
    let _server = Server::start(&world);
    let files = files(&world, &[&world.tls().ca]);
    have_what_is_allowed(&world, &files, Some(&proxy_address(&world)));
}

#[test]
fn clients_have_their_tls_opened() {
    let world = TestWorld::build(World::builder().policy(policy("http")).local_ca());
    let _server = Server::start(&world);
    let files = files(&world, &[&world.tls().ca, &world.local_ca().join("ca.pem")]);
    have_what_is_allowed(&world, &files, None);
}
