//! Rules of level `http`: TLS is opened with the local CA, for real clients that are told of it by
//! the variables of `egressctl run` alone.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use xtask::world::{
    World,
    tls::{MISNAMED, UNTRUSTED},
};

use crate::harness::{Shared, TestWorld};

/// For a refusal that needs no timeout.
const AT_ONCE: Duration = Duration::from_secs(5);

static WORLD: Shared = Shared::new();

fn policy() -> Value {
    json!({
        "version": 1,
        "proxy": { "exempt": ["pinned.allowed.test"] },
        "network": { "allow": [
            {
                "name": "opened",
                "hosts": [
                    "one.allowed.test", "three.allowed.test", "npm.allowed.test",
                    UNTRUSTED, MISNAMED,
                ],
                "ports": ["443/tcp", "80/tcp"],
                "level": "http",
            },
            {
                "name": "pinned",
                "hosts": ["pinned.allowed.test"],
                "ports": ["443/tcp", "80/tcp"],
                "level": "http",
                "requests": [{ "methods": ["GET"] }],
            },
            { "name": "spoken", "hosts": ["h2.allowed.test"], "ports": ["9443/tcp"], "level": "http" },
            { "name": "named", "hosts": ["edge.cdn.test"], "ports": ["443/tcp"] },
        ] },
    })
}

fn world() -> &'static TestWorld {
    WORLD.get(|| TestWorld::build(World::builder().policy(policy()).local_ca()))
}

fn curl<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["curl", "-sS", "-m", "10"], more].concat()
}

#[test]
fn curl_speaks_both_versions_through_tls_that_is_opened() {
    let world = world();
    for (version, said) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let words = curl(&[version, "-v", "-w", "version %{http_version}\n"]);
        let words = [&words[..], &["https://one.allowed.test/"]].concat();
        world
            .run(&words)
            .works()
            .says("hello from one.allowed.test")
            .says(&format!("version {said}"))
            .says("egressd local CA");
    }
}

/// Three requests on one connection, in both versions; a host that speaks HTTP/2 is not asked for
/// it by a client that does not.
#[test]
fn a_connection_carries_several_requests() {
    let world = world();
    for version in ["--http1.1", "--http2"] {
        let address = "https://one.allowed.test/";
        let run = world.run(&curl(&[
            version,
            "-w",
            "%{num_connects}\n",
            address,
            address,
            address,
        ]));
        run.works();
        let answers = run.outcome.stdout.matches("hello from").count();
        let dialled: u32 = run
            .outcome
            .stdout
            .lines()
            .filter_map(|line| line.parse::<u32>().ok())
            .sum();
        run.must(
            (answers, dialled) == (3, 1),
            "should have asked three times on one connection",
        );
    }
}

#[test]
fn much_comes_through_whole() {
    let world = world();
    for version in ["--http1.1", "--http2"] {
        let range = [
            "-r",
            "0-20971519",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
        ];
        let words = [&[version], &range[..], &["https://one.allowed.test/big"]].concat();
        world.run(&curl(&words)).works().says("20971520");
    }
}

/// What was asked for is told by its own name, never by the address alone.
#[test]
fn another_host_is_not_had_inside() {
    let world = world();
    for version in ["--http1.1", "--http2"] {
        let fronted = [
            "-i",
            version,
            "-H",
            "Host: two.allowed.test",
            "https://one.allowed.test/",
        ];
        world
            .run_unguarded(&curl(&fronted))
            .works()
            .says("hello from two.allowed.test");
        world
            .run(&curl(&fronted))
            .works()
            .says(" 403")
            .says("egressd: name-denied");
        // Allowed too, at the same address: it needs a connection of its own.
        let coalesced = [
            "-i",
            version,
            "-H",
            "Host: three.allowed.test",
            "https://one.allowed.test/",
        ];
        world
            .run(&curl(&coalesced))
            .works()
            .says(" 421")
            .says("egressd: name-mismatch");
    }
    world.records_a_denial_of("two.allowed.test");
}

/// A client that uses a connection for every name of its certificate is sent to one of its own.
#[test]
fn a_client_that_coalesces_is_told_to_connect_again() {
    let world = world();
    let client = r"
        const { connect } = require('http2');
        const get = (session, host) => new Promise((done, failed) => {
          const r = session.request({ ':path': '/', ':authority': host });
          let body = '';
          r.on('response', (head) => { r.status = head[':status']; });
          r.on('data', (data) => { body += data; });
          r.on('end', () => done(`${host} ${r.status} ${body.trim()}`));
          r.on('error', failed);
        });
        (async () => {
          const one = connect('https://one.allowed.test');
          console.log(await get(one, 'one.allowed.test'));
          console.log(await get(one, 'three.allowed.test'));
          console.log(await get(one, 'one.allowed.test'));
          const three = connect('https://three.allowed.test');
          console.log(await get(three, 'three.allowed.test'));
          one.close(); three.close();
        })();
    ";
    world
        .run_unguarded(&["node", "-e", client])
        .works()
        .says("three.allowed.test 200 hello from three.allowed.test");
    let run = world.run(&["node", "-e", client]);
    run.works()
        .says("three.allowed.test 421 egressd: name-mismatch")
        .says("three.allowed.test 200 hello from three.allowed.test");
    let same = run
        .outcome
        .stdout
        .matches("one.allowed.test 200 hello from one");
    run.must(same.count() == 2, "should have gone on with its own host");
}

#[test]
fn a_host_whose_certificate_cannot_be_trusted_is_502_with_the_reason() {
    let world = world();
    for (host, why) in [
        (UNTRUSTED, "an issuer that this system does not trust"),
        (MISNAMED, "its certificate is for other names"),
    ] {
        for version in ["--http1.1", "--http2"] {
            let address = format!("https://{host}/");
            world
                .run(&curl(&["-i", version, &address]))
                .works()
                .says(" 502")
                .says("egressd: tls-failed")
                .says(why);
        }
        world.records_a_denial_of(host);
    }
}

/// It is told the truth about the certificate, and goes no further.
#[test]
fn a_client_that_does_not_trust_the_local_ca_fails() {
    let world = world();
    let before = format!("CURL_CA_BUNDLE={}", world.tls().ca.display());
    let words = ["env", &before];
    let run = world.run(&[&words[..], &curl(&["https://one.allowed.test/"])].concat());
    run.fails_within(AT_ONCE);
    world.records_a_denial_of("does not trust the local CA for one.allowed.test");
}

#[test]
fn an_exempt_host_is_not_opened_and_status_says_so() {
    let world = world();
    let before = format!("CURL_CA_BUNDLE={}", world.tls().ca.display());
    let words = [
        &["env", &before],
        &curl(&["-v", "https://pinned.allowed.test/"])[..],
    ]
    .concat();
    world
        .run(&words)
        .works()
        .says("hello from pinned.allowed.test")
        .says("egressd test authority");
    let fronted = [
        "--connect-to",
        "two.allowed.test:443:pinned.allowed.test:443",
        "https://two.allowed.test/",
    ];
    world.run(&curl(&fronted)).fails_within(AT_ONCE);
    world
        .ctl(&["status"])
        .says("proxy.exempt: TLS is not opened for pinned.allowed.test");
    // What is not in TLS needs no opening, and is judged as that of any other host.
    let plain = "http://pinned.allowed.test/";
    world.run(&curl(&[plain])).works();
    world
        .run(&curl(&["-i", "-X", "DELETE", plain]))
        .works()
        .says(" 403")
        .says("egressd: request-denied");
}

#[test]
fn python_node_and_git_need_no_setting_of_their_own() {
    let world = world();
    let requests = "import requests; print(requests.get('https://one.allowed.test/').text)";
    let urllib = "import urllib.request as u; print(u.urlopen('https://one.allowed.test/').read())";
    for program in [requests, urllib] {
        world
            .run(&["/usr/bin/python3", "-c", program])
            .works()
            .says("hello from one.allowed.test");
    }
    let fetch = "fetch('https://one.allowed.test/').then(r => r.text()).then(console.log)";
    world
        .run(&["node", "-e", fetch])
        .works()
        .says("hello from one.allowed.test");
    let h2 = "const c = require('http2').connect('https://one.allowed.test'); \
        const r = c.request({':path': '/'}); r.on('data', d => console.log(String(d))); \
        r.on('end', () => c.close())";
    world
        .run(&["node", "-e", h2])
        .works()
        .says("hello from one.allowed.test");
    let clone = "rm -rf cloned; git clone -q https://one.allowed.test/git/project.git cloned && cat cloned/README";
    world.run(&["sh", "-c", clone]).works().says("a project");
    let install = "rm -rf pip; pip3 install -q --no-input --target pip --index-url https://one.allowed.test/simple/ tinypkg && cat pip/tinypkg.py";
    world.run(&["sh", "-c", install]).works().says("tiny");
}

#[test]
fn the_key_is_for_root_alone_and_the_session_has_the_certificate() {
    let world = world();
    let key = world.local_ca().join("ca.key").display().to_string();
    world.run(&["cat", &key]).fails_within(AT_ONCE);
    let look = "test $(grep -c BEGIN.CERTIFICATE $SSL_CERT_FILE) -ge 2 && echo enough; \
        (echo x >>$SSL_CERT_FILE) 2>/dev/null || echo frozen";
    world
        .run(&["sh", "-c", look])
        .works()
        .says("enough")
        .says("frozen");
    let socket = world
        .daemon()
        .expect("a daemon")
        .files()
        .socket
        .display()
        .to_string();
    let as_root = [
        "egressctl",
        "--socket",
        &socket,
        "run",
        "--allow-root",
        "--",
        "cat",
        &key,
    ];
    let run = world.finish(world.unguarded(&as_root).as_root().run());
    run.must(
        !run.outcome.said().contains("PRIVATE KEY"),
        "should have shown no key",
    );
}

#[test]
fn a_policy_that_opens_tls_without_a_ca_is_refused() {
    let programs = Path::new(env!("CARGO_BIN_EXE_egressd"));
    let mut policy = policy();
    policy["proxy"]["ca"] = json!("/nowhere/egressd/ca");
    let built = World::builder()
        .policy(policy)
        .programs(programs.parent().expect("a directory"))
        .build();
    let error = format!("{:#}", built.expect_err("there is no CA"));
    assert!(
        error.contains("egressctl ca init --dir /nowhere/egressd/ca"),
        "{error}"
    );
}

/// A server of HTTP/1 and HTTP/2 that says what it was sent, with trailers, and web sockets.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(world: &TestWorld) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        let mut child = world
            .internet()
            .command("node")
            .arg(tests.join("proxy_tls/server.mjs"))
            .arg(&world.tls().certificate)
            .arg(&world.tls().key)
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut ready = String::new();
        let out = child.stdout.as_mut().expect("its output");
        BufReader::new(out).read_line(&mut ready).expect("a line");
        assert_eq!(ready, "ready\n");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A request is judged whole, so its body is sent when it has ended; the answer streams, and has its
/// trailers, as gRPC needs it.
#[test]
fn bodies_trailers_and_websockets_pass() {
    let world = world();
    let _server = Server::start(world);
    let client = r"
        const c = require('http2').connect('https://h2.allowed.test:9443');
        const r = c.request({':method': 'POST', ':path': '/talk', te: 'trailers'});
        r.on('response', h => console.log('status', h[':status'], h['x-version']));
        r.on('data', d => console.log('got', String(d)));
        r.on('trailers', h => console.log('trailers', h['grpc-status']));
        r.on('close', () => c.close());
        r.write('piece');
        r.end();
    ";
    world
        .run(&["node", "-e", client])
        .works()
        .says("status 200 2.0")
        .says("got echo piece")
        .says("trailers 0");
    for (version, said) in [("--http1.1", "1.1"), ("--http2", "2.0")] {
        let upload = format!(
            "head -c 3000000 /dev/zero | curl -sS -m 10 {version} --data-binary @- https://h2.allowed.test:9443/count"
        );
        world
            .run(&["sh", "-c", &upload])
            .works()
            .says(&format!("3000000 by {said}"));
    }
    world
        .run(&["/usr/bin/python3", "-c", WEBSOCKET])
        .works()
        .says("101 Switching Protocols")
        .says("back first")
        .says("back second");
}

/// Two short words over a WebSocket, and what comes back.
const WEBSOCKET: &str = r"
import os, socket, ssl
s = socket.create_connection(('h2.allowed.test', 9443))
s = ssl.create_default_context().wrap_socket(s, server_hostname='h2.allowed.test')
s.sendall(b'GET /ws HTTP/1.1\r\nHost: h2.allowed.test:9443\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
          b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
head = b''
while b'\r\n\r\n' not in head: head += s.recv(1)
print(head.split(b'\r\n')[0].decode())
for word in (b'first', b'second'):
    mask = os.urandom(4)
    s.sendall(bytes([0x81, 0x80 | len(word)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(word)))
    first, length = s.recv(1), s.recv(1)[0]
    print(s.recv(length).decode())
";

/// A client that asks the proxy by itself finds the same inside its tunnel.
#[test]
fn a_tunnel_that_was_asked_for_is_opened_too() {
    let world = world();
    let status = world.ctl(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.outcome.stdout).expect("JSON");
    let proxy = format!("http://127.0.0.1:{}", status["guards"][0]["proxy"]["port"]);
    for version in ["--http1.1", "--http2"] {
        world
            .run(&curl(&[
                "-x",
                &proxy,
                "-v",
                version,
                "https://one.allowed.test/",
            ]))
            .works()
            .says("hello from one.allowed.test")
            .says("egressd local CA");
    }
}

/// What passed unread under the old policy does not go on so under one that wants to read.
#[test]
fn a_reload_that_opens_tls_ends_what_passed_unread() {
    let mut named = policy();
    named["network"]["allow"][0]["level"] = json!("name");
    let world = TestWorld::build(World::builder().policy(named).local_ca());
    let slow = [
        "curl",
        "-sS",
        "-m",
        "20",
        "-o",
        "/dev/null",
        "https://one.allowed.test/slow",
    ];
    std::thread::scope(|scope| {
        let inner: &World = &world;
        let running = scope.spawn(|| inner.guarded(&slow).and_then(|client| client.run()));
        std::thread::sleep(Duration::from_secs(3));
        let daemon = world.daemon().expect("a daemon");
        daemon.write_policy(&policy()).expect("it can be written");
        world.ctl(&["reload"]).works();
        let ended = running.join().expect("no panic");
        world.finish(ended).fails_within(Duration::from_secs(15));
    });
    world
        .run(&curl(&["-v", "https://one.allowed.test/"]))
        .works()
        .says("egressd local CA");
}

#[test]
fn the_ca_is_made_once_and_shown() {
    let world = world();
    let directory = world.local_ca().display().to_string();
    let again = world.ctl(&["ca", "init", "--dir", &directory]);
    again.fails_within(AT_ONCE);
    again.says("is there already");
    let shown = world.ctl(&["ca", "show", "--dir", &directory, "--json"]);
    let shown: Value = serde_json::from_str(&shown.works().outcome.stdout).expect("JSON");
    let subject = shown["subject"].as_str().expect("a text");
    assert!(subject.contains("egressd local CA"), "{subject}");
    let run = world.run_unguarded(&["egressctl", "ca", "init", "--dir", "/tmp/nobodys-ca"]);
    run.fails_within(AT_ONCE);
    run.says("run it with sudo");
}
