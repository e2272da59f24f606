//! Real clients under the guard: what the policy names works as if there were no guard; anything
//! else fails at once, by name and by address, over both families, and leaves no packet and no query.
//!
//! Every command that must fail is run once more without the guard, where it must work: so it is the
//! guard that refused it.

use std::{os::unix::fs::PermissionsExt, process::Command, time::Duration};

use serde_json::{Value, json};
use xtask::world::place::{
    ALLOWED_V4, ALLOWED_V6, DENIED_V4, DENIED_V6, NAMELESS_V4, NAMELESS_V6, STRANGER_V4,
    STRANGER_V6,
};

use crate::harness::TestWorld;

#[test]
fn curl() {
    let plain = ["curl", "-sS", "-m", "10"];
    let fetch = |more: &[&str]| words(&plain, more);
    check(
        "curl",
        &[
            works(fetch(&["https://curl.allowed.test/"])),
            works(fetch(&["--http1.1", "https://curl.allowed.test/"])),
            works(fetch(&[
                "--http2",
                "-w",
                "%{http_version}",
                "https://curl.allowed.test/",
            ]))
            .saying("\n2"),
            works(fetch(&["-4", "https://curl.allowed.test/"])),
            works(fetch(&["-6", "https://curl.allowed.test/"])),
            works(fetch(&["http://curl.allowed.test/"])),
            works(fetch(&["https://203.0.113.77/"])),
            works(fetch(&["https://[2001:db8:77::77]/"])),
            name_denied(fetch(&["https://curl.denied.test/"])),
            name_denied(fetch(&["-6", "https://curl.denied.test/"])),
            name_denied(fetch(&["--http1.1", "http://curl.denied.test/"])),
            refused(fetch(&["https://198.51.100.10/"])),
            refused(fetch(&["https://[2001:db8:ff::10]/"])),
            refused(fetch(&["https://curl.allowed.test:8443/"])),
            refused(fetch(&["-6", "https://curl.allowed.test:8443/"])),
            refused(fetch(&["https://203.0.113.77:8443/"])),
        ],
    );
}

#[test]
fn wget() {
    let fetch = |more: &[&str]| {
        let script = r#"wget -t 1 -T 10 -O - --ca-certificate="$SSL_CERT_FILE" "$@""#;
        words(&["sh", "-c", script, "wget"], more)
    };
    check(
        "wget",
        &[
            works(fetch(&["https://wget.allowed.test/"])).saying("hello from wget.allowed.test"),
            works(fetch(&["-6", "http://wget.allowed.test/"])),
            works(fetch(&["http://203.0.113.77/"])),
            works(fetch(&["http://[2001:db8:77::77]/"])),
            name_denied(fetch(&["https://wget.denied.test/"])),
            refused(fetch(&["http://198.51.100.10/"])),
            refused(fetch(&["http://[2001:db8:ff::10]/"])),
            refused(fetch(&["https://wget.allowed.test:8443/"])),
        ],
    );
}

#[test]
fn git_over_https() {
    let clone = |address: &str| {
        let script = r#"directory=$(mktemp -d) && git clone "$0" "$directory/project" && cat "$directory/project/README""#;
        words(&["sh", "-c", script], &[address])
    };
    check(
        "git",
        &[
            works(clone("https://git.allowed.test/git/project.git")).saying("a project"),
            works(clone("https://203.0.113.77/git/project.git")).saying("a project"),
            works(clone("https://[2001:db8:77::77]/git/project.git")).saying("a project"),
            name_denied(clone("https://git.denied.test/git/project.git")),
            refused(clone("https://198.51.100.10/git/project.git")),
            refused(clone("https://[2001:db8:ff::10]/git/project.git")),
            refused(clone("https://git.allowed.test:8443/git/project.git")),
        ],
    );
}

#[test]
fn git_over_ssh() {
    let clone = |address: &str| {
        let script = r#"directory=$(mktemp -d) && git clone "ssh://root@$0$(cat repository)" "$directory/project" && cat "$directory/project/README""#;
        words(&["sh", "-c", script], &[address])
    };
    check(
        "ssh",
        &[
            works(clone("ssh.allowed.test")).saying("a project"),
            works(clone("203.0.113.77")).saying("a project"),
            works(clone("[2001:db8:77::77]")).saying("a project"),
            name_denied(clone("ssh.denied.test")),
            refused(clone("198.51.100.10")),
            refused(clone("[2001:db8:ff::10]")),
            refused(clone("ssh.allowed.test:2222")),
        ],
    );
}

#[test]
fn pip() {
    let install = |host: &str| {
        let script = r#"directory=$(mktemp -d) && /usr/bin/python3 -m pip -vv --isolated --disable-pip-version-check --no-cache-dir \
            --retries 0 --timeout 10 install --no-deps --target "$directory" --index-url "https://$0/simple/" tinypkg && cat "$directory/tinypkg.py""#;
        words(&["sh", "-c", script], &[host])
    };
    check(
        "pip",
        &[
            works(install("pip.allowed.test")).saying("word = 'tiny'"),
            works(install("203.0.113.77")).saying("word = 'tiny'"),
            works(install("[2001:db8:77::77]")).saying("word = 'tiny'"),
            name_denied(install("pip.denied.test")),
            refused(install("198.51.100.10")),
            refused(install("[2001:db8:ff::10]")),
            refused(install("pip.allowed.test:8443")),
        ],
    );
}

#[test]
fn npm() {
    let install = |host: &str| {
        let script = r#"directory=$(mktemp -d) && cd "$directory" && npm --no-audit --no-fund --no-update-notifier --fetch-retries=0 \
            --fetch-timeout=10000 --registry "https://$0/npm/" install tinypkg && cat node_modules/tinypkg/index.js"#;
        words(&["sh", "-c", script], &[host])
    };
    check(
        "npm",
        &[
            works(install("npm.allowed.test")).saying("'tiny'"),
            works(install("203.0.113.77")).saying("'tiny'"),
            // npm takes a literal IPv6 address for a name.
            works(install("v6.single.test")).saying("'tiny'"),
            name_denied(install("npm.denied.test")),
            refused(install("198.51.100.10")),
            refused(install("v6.single.test:8443")),
            refused(install("npm.allowed.test:8443")),
        ],
    );
}

#[test]
fn python_requests() {
    let get = |address: &str| {
        let program = "import requests, sys\nprint(requests.get(sys.argv[1], timeout=10).text)";
        words(&["/usr/bin/python3", "-c", program], &[address])
    };
    check(
        "requests",
        &[
            works(get("https://requests.allowed.test/")).saying("hello from requests.allowed.test"),
            works(get("https://203.0.113.77/")),
            works(get("https://[2001:db8:77::77]/")),
            name_denied(get("https://requests.denied.test/")),
            refused(get("https://198.51.100.10/")),
            refused(get("https://[2001:db8:ff::10]/")),
            refused(get("https://requests.allowed.test:8443/")),
        ],
    );
}

#[test]
fn node_fetch() {
    let fetch = |address: &str| {
        let program = "fetch(process.argv[1]).then(async answer => console.log(await answer.text()))\
                       .catch(error => { console.error(error.cause ?? error); process.exitCode = 1 })";
        words(&["node", "-e", program], &[address])
    };
    check(
        "node",
        &[
            works(fetch("https://node.allowed.test/")).saying("hello from node.allowed.test"),
            works(fetch("https://203.0.113.77/")),
            works(fetch("https://[2001:db8:77::77]/")),
            name_denied(fetch("https://node.denied.test/")),
            refused(fetch("https://198.51.100.10/")),
            refused(fetch("https://[2001:db8:ff::10]/")),
            refused(fetch("https://node.allowed.test:8443/")),
        ],
    );
}

#[test]
fn nc() {
    let talk = |options: &[&str], host: &str, port: &str| {
        let script = r#"echo over and out | nc "$@""#;
        words(
            &["sh", "-c", script, "nc", "-v"],
            &[options, &[host, port]].concat(),
        )
    };
    // Connecting UDP to an allowed address sends nothing and is let through; the send is not.
    let send = "import socket, sys\n\
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                s.connect((sys.argv[1], int(sys.argv[2])))\ns.send(b'over and out')";
    check(
        "nc",
        &[
            works(talk(&["-N"], "nc.allowed.test", "9000")).saying("over and out"),
            works(talk(&["-N", "-6"], "nc.allowed.test", "9000")).saying("over and out"),
            works(talk(&["-N"], "203.0.113.77", "9000")).saying("over and out"),
            works(talk(&["-N"], "2001:db8:77::77", "9000")).saying("over and out"),
            works(talk(&["-u", "-w", "1"], "nc.allowed.test", "9000")).saying("over and out"),
            works(talk(&["-u", "-w", "1"], "2001:db8:77::77", "9000")).saying("over and out"),
            name_denied(talk(&["-N"], "nc.denied.test", "9000")),
            refused(talk(&["-N"], "198.51.100.10", "9000")),
            refused(talk(&["-N"], "2001:db8:ff::10", "9000")),
            refused(talk(&["-N"], "nc.allowed.test", "5432")),
            refused(talk(&["-u", "-w", "1"], "198.51.100.10", "9000")),
            refused(talk(&["-u", "-w", "1"], "2001:db8:ff::10", "9000")),
            // nc says nothing of a write that failed.
            refused(words(
                &["/usr/bin/python3", "-c", send],
                &["203.0.113.77", "5432"],
            )),
        ],
    );
}

#[test]
fn openssl_s_client() {
    let connect = |address: &str| {
        words(
            &["openssl", "s_client", "-verify_return_error", "-connect"],
            &[address],
        )
    };
    check(
        "openssl",
        &[
            works(connect("openssl.allowed.test:443")).saying("Verification: OK"),
            works(connect("203.0.113.77:443")).saying("Verification: OK"),
            works(connect("[2001:db8:77::77]:443")).saying("Verification: OK"),
            name_denied(connect("openssl.denied.test:443")),
            refused(connect("198.51.100.10:443")),
            refused(connect("[2001:db8:ff::10]:443")),
            refused(connect("openssl.allowed.test:8443")),
        ],
    );
}

/// Linked without shared objects. Its own wget dies of a null pointer before it does anything
/// (1.35.0-4+deb12u1), so nc speaks the little HTTP that is needed.
#[test]
fn static_busybox() {
    let fetch = |host: &str, port: &str| {
        let script = r#"printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' "$0" | busybox nc "$@""#;
        words(&["sh", "-c", script, host, host, port], &[])
    };
    let look_up = |more: &[&str]| words(&["busybox", "nslookup"], more);
    check(
        "busybox",
        &[
            works(fetch("busybox.allowed.test", "80")).saying("hello from busybox.allowed.test"),
            works(fetch("203.0.113.77", "80")).saying("hello from"),
            works(fetch("2001:db8:77::77", "80")).saying("hello from"),
            works(look_up(&["busybox.allowed.test"])).saying(&ALLOWED_V4.to_string()),
            works(look_up(&["busybox.allowed.test", "198.51.100.53"]))
                .saying(&ALLOWED_V6.to_string()),
            name_denied(fetch("busybox.denied.test", "80")),
            name_denied(look_up(&["busybox.denied.test"])),
            refused(fetch("198.51.100.10", "80")),
            refused(fetch("2001:db8:ff::10", "80")),
            refused(fetch("busybox.allowed.test", "8080")),
        ],
    );
}

/// Another C library, with a resolver of its own.
#[test]
fn static_musl() {
    let program = MuslClient::build();
    let fetch = |host: &str, port: &str| words(&[&program.path], &[host, port]);
    check(
        "musl",
        &[
            works(fetch("musl.allowed.test", "80")).saying("hello from musl.allowed.test"),
            works(fetch("v6.single.test", "80")).saying("hello from v6.single.test"),
            works(fetch("203.0.113.77", "80")),
            works(fetch("2001:db8:77::77", "80")),
            refused(fetch("198.51.100.10", "80")),
            refused(fetch("2001:db8:ff::10", "80")),
            refused(fetch("musl.allowed.test", "8080")),
        ],
    );
}

/// musl's resolver takes no notice of an answer that says REFUSED: it goes on waiting for a better
/// one until its own timeout, 5 s by default (`__res_msend_rc` in musl's `res_msend.c`).
#[test]
fn known_gap_musl_waits_for_its_timeout_when_a_name_is_refused() {
    let program = MuslClient::build();
    let world = TestWorld::guarded(policy());
    let run = world.run(&[&program.path, "musl.denied.test", "80"]);
    run.fails_within(Duration::from_secs(10));
    run.must(
        run.outcome.took > Duration::from_secs(4),
        "should have waited, unless this gap is closed",
    );
    world.records_a_denial_of("musl.denied.test");
    world
        .run_unguarded(&["getent", "hosts", "after.denied.test"])
        .works();
    world
        .resolver()
        .wait_for_query("after.denied.test")
        .expect("what is asked without the guard is in the log");
    assert!(!world.resolver().saw("musl.denied.test"));
}

/// The way out of the gap: `dns.refusal`.
#[test]
fn musl_fails_at_once_when_a_denied_name_does_not_exist() {
    let program = MuslClient::build();
    let mut policy = policy();
    policy["dns"]["refusal"] = "NXDOMAIN".into();
    let world = TestWorld::guarded(policy);
    let run = world.run(&[&program.path, "musl.denied.test", "80"]);
    run.fails_within(Duration::from_secs(3));
    world.records_a_denial_of("musl.denied.test");
    assert!(!world.resolver().saw("musl.denied.test"));
}

#[test]
fn getent() {
    check(
        "getent",
        &[
            works(words(&["getent", "hosts"], &["getent.allowed.test"]))
                .saying(&ALLOWED_V6.to_string()),
            works(words(&["getent", "ahosts"], &["getent.allowed.test"]))
                .saying(&ALLOWED_V4.to_string()),
            works(words(&["getent", "ahostsv4"], &["getent.allowed.test"]))
                .saying(&ALLOWED_V4.to_string()),
            works(words(&["getent", "ahostsv6"], &["getent.allowed.test"]))
                .saying(&ALLOWED_V6.to_string()),
            name_denied(words(&["getent", "hosts"], &["getent.denied.test"])),
            name_denied(words(&["getent", "ahosts"], &["getent.denied.test"])),
            name_denied(words(&["getent", "ahostsv6"], &["getent.denied.test"])),
        ],
    );
}

/// dig succeeds when it was answered, whatever the answer.
#[test]
fn dig() {
    let world = TestWorld::guarded(policy());
    let capture = world.capture(&format!("host {STRANGER_V4} or host {STRANGER_V6}"));
    let servers = ["@203.0.113.53", "@198.51.100.53", "@2001:db8:ff::53"];
    let ways: [&[&str]; 5] = [
        &[],
        &["+tcp"],
        &["+noedns"],
        &["+bufsize=4096"],
        &["+dnssec", "+cookie"],
    ];
    for server in servers {
        for way in ways {
            let ask = |more: &[&str]| {
                world.run(&words_of(&words(
                    &["dig", "+tries=1", "+time=5", server],
                    &[way, more].concat(),
                )))
            };
            ask(&["A", "dig.allowed.test"])
                .works()
                .says("status: NOERROR")
                .says(&ALLOWED_V4.to_string());
            ask(&["AAAA", "dig.allowed.test"])
                .works()
                .says("status: NOERROR")
                .says(&ALLOWED_V6.to_string());
            let denied = ask(&["A", "dig.denied.test"]);
            denied.works().says("status: REFUSED");
            denied.must(
                denied.outcome.took < Duration::from_secs(1),
                "should have been answered at once",
            );
            if !way.contains(&"+noedns") {
                denied.says("EDE: ");
            }
        }
    }
    let seen = world.packets(&capture);
    assert!(
        seen.is_empty(),
        "only the machine's own resolver may be asked: {seen:#?}"
    );
    world
        .resolver()
        .wait_for_query("dig.allowed.test")
        .expect("the allowed name was asked for");
    assert!(
        !world.resolver().saw("dig.denied.test"),
        "{:#?}",
        world.resolver().queries()
    );
    world
        .run_unguarded(&["dig", "dig.denied.test"])
        .works()
        .says(&DENIED_V4.to_string());
}

/// `clients/musl.c`, compiled where the agents may execute it.
struct MuslClient {
    path: String,
    _directory: tempfile::TempDir,
}

impl MuslClient {
    fn build() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("egressd-musl-")
            .tempdir_in("/var/lib")
            .expect("the tests run as root");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))
            .expect("it is ours");
        let program = directory.path().join("fetch");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/clients/musl.c");
        let compiled = Command::new("musl-gcc")
            .args(["-static", "-O1", "-o"])
            .arg(&program)
            .arg(source)
            .status()
            .expect("musl-gcc is there (cargo xtask setup)");
        assert!(compiled.success(), "musl-gcc could not compile {source}");
        Self {
            path: program.display().to_string(),
            _directory: directory,
        }
    }
}

struct Case {
    words: Vec<String>,
    expected: Expected,
    said: String,
}

enum Expected {
    Works,
    /// The resolver refuses the name; nobody upstream hears of it.
    NameDenied,
    /// The kernel refuses the destination.
    Refused,
}

impl Case {
    fn new(words: Vec<String>, expected: Expected) -> Self {
        Self {
            words,
            expected,
            said: String::new(),
        }
    }

    fn saying(mut self, word: &str) -> Self {
        word.clone_into(&mut self.said);
        self
    }
}

fn works(words: Vec<String>) -> Case {
    Case::new(words, Expected::Works)
}

fn name_denied(words: Vec<String>) -> Case {
    Case::new(words, Expected::NameDenied)
}

fn refused(words: Vec<String>) -> Case {
    Case::new(words, Expected::Refused)
}

/// Runs every case in a world of its own. The names are `NAME.allowed.test` and `NAME.denied.test`.
#[track_caller]
fn check(name: &str, cases: &[Case]) {
    let world = TestWorld::guarded(policy());
    std::fs::write(world.agent_home().join("repository"), repository(&world))
        .expect("the agent has a home");
    // Denied addresses, and the ports that are denied on the others.
    let capture = world.capture(&format!(
        "host {DENIED_V4} or host {DENIED_V6} or port 8443 or port 8080 or port 2222 or port 5432"
    ));
    // What a denial may take: as long as the client takes when all is well, and a little more.
    let mut limit = Duration::from_secs(1);
    for case in cases {
        let client = world
            .guarded(&words_of(&case.words))
            .expect("there is an egressd");
        let run = world.finish(client.env("GIT_SSH_COMMAND", world.ssh().command()).run());
        match case.expected {
            Expected::Works => {
                run.works();
                limit = limit.max(run.outcome.took + Duration::from_secs(1));
            }
            Expected::NameDenied => run.fails_within(limit),
            Expected::Refused => run.is_refused_within(limit),
        }
        run.says(&case.said);
    }
    let seen = world.packets(&capture);
    assert!(
        seen.is_empty(),
        "packets to what is denied: {seen:#?}\n{}",
        world.report()
    );
    let (allowed, denied) = (
        format!("{name}.allowed.test"),
        format!("{name}.denied.test"),
    );
    world
        .resolver()
        .wait_for_query(&allowed)
        .expect("the allowed name was asked for");
    assert!(
        !world.resolver().saw(&denied),
        "{:#?}",
        world.resolver().queries()
    );
    let mut recorded = Vec::new();
    if cases
        .iter()
        .any(|case| matches!(case.expected, Expected::NameDenied))
    {
        recorded.push(denied);
    }
    if cases
        .iter()
        .any(|case| matches!(case.expected, Expected::Refused))
    {
        recorded.push(DENIED_V4.to_string());
    }
    for word in &recorded {
        world.records_a_denial_of(word);
    }
    for case in cases {
        let client = world
            .unguarded(&words_of(&case.words))
            .within(Duration::from_secs(20));
        world
            .finish(client.env("GIT_SSH_COMMAND", world.ssh().command()).run())
            .works();
    }
}

fn policy() -> Value {
    json!({
        "version": 1,
        "name": "clients",
        "network": {
            "allow": [
                { "name": "allowed", "hosts": ["*.allowed.test", "v6.single.test"], "ports": ["22/tcp", "80/tcp", "443/tcp", "9000/tcp", "9000/udp"] },
                { "name": "nameless", "cidrs": [NAMELESS_V4, NAMELESS_V6], "ports": ["22/tcp", "80/tcp", "443/tcp", "9000/tcp", "9000/udp"] },
            ],
        },
    })
}

fn repository(world: &TestWorld) -> String {
    world
        .home()
        .join("web/git/project.git")
        .display()
        .to_string()
}

fn words(first: &[&str], more: &[&str]) -> Vec<String> {
    first
        .iter()
        .chain(more)
        .map(|&word| word.to_owned())
        .collect()
}

fn words_of(words: &[impl AsRef<str>]) -> Vec<&str> {
    words.iter().map(AsRef::as_ref).collect()
}
