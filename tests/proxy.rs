//! The egress proxy, steered to by the kernel: no variable is set in the agent.
//!
//! Every name of `*.allowed.test` leads to one address, as on a shared server; the policy allows
//! one of them.

mod clients;
mod requests;
mod robust;
mod rows;

use std::time::Duration;

use serde_json::{Value, json};
use xtask::world::place::{ALLOWED_V4, ALLOWED_V6};

use crate::harness::TestWorld;

/// For a denial that needs no timeout.
const AT_ONCE: Duration = Duration::from_secs(5);

fn policy() -> Value {
    json!({
        "version": 1,
        "network": { "allow": [
            { "name": "one", "hosts": ["one.allowed.test"], "ports": ["443/tcp", "80/tcp"] },
            { "name": "edge", "hosts": ["edge.cdn.test"], "ports": ["443/tcp", "80/tcp"] },
            { "name": "raw", "hosts": ["raw.allowed.test"], "ports": ["9000/tcp"] },
        ] },
    })
}

fn curl<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["curl", "-sS", "-m", "10"], more].concat()
}

#[test]
fn a_name_that_is_allowed_passes_untouched_and_shows_its_own_address() {
    let world = TestWorld::guarded(policy());
    for family in ["-4", "-6"] {
        world
            .run(&curl(&[family, "https://one.allowed.test/"]))
            .works()
            .says("hello from one.allowed.test");
    }
    let program = "import socket, ssl\n\
        s = socket.create_connection(('one.allowed.test', 443))\n\
        t = ssl.create_default_context().wrap_socket(s, server_hostname='one.allowed.test')\n\
        print('peer', t.getpeername()[:2])";
    let run = world.run(&["/usr/bin/python3", "-c", program]);
    run.works();
    let peers = [
        format!("peer ('{ALLOWED_V4}', 443)"),
        format!("peer ('{ALLOWED_V6}', 443)"),
    ];
    run.must(
        peers.iter().any(|peer| run.outcome.stdout.contains(peer)),
        "should have seen the server's address",
    );
}

/// The lease is for one.allowed.test; the very same server answers to other names too.
#[test]
fn a_name_that_is_not_allowed_is_not_had_by_the_address_of_one_that_is() {
    let world = TestWorld::guarded(policy());
    let fronted = curl(&[
        "--connect-to",
        "two.allowed.test:443:one.allowed.test:443",
        "https://two.allowed.test/",
    ]);
    world
        .run_unguarded(&fronted)
        .works()
        .says("hello from two.allowed.test");
    let run = world.run(&fronted);
    run.fails_within(AT_ONCE);
    run.says("alert");
    world.records_a_denial_of("two.allowed.test");
}

/// Both names are allowed, and resolved; their addresses are not each other's.
#[test]
fn an_allowed_name_is_not_had_at_the_address_of_another() {
    let world = TestWorld::guarded(policy());
    let script = "getent hosts edge.cdn.test one.allowed.test >/dev/null; \
        curl -sS -m 10 --connect-to one.allowed.test:443:edge.cdn.test:443 https://one.allowed.test/";
    let run = world.run(&["sh", "-c", script]);
    run.fails_within(AT_ONCE);
    let records = world.ctl(&["log", "--denied", "--json"]);
    records.works().says("name-mismatch");
}

#[test]
fn a_client_that_names_no_host_is_refused() {
    let world = TestWorld::guarded(policy());
    let connect = [
        "openssl",
        "s_client",
        "-noservername",
        "-connect",
        "one.allowed.test:443",
    ];
    world.run_unguarded(&connect).works();
    let run = world.run(&connect);
    run.fails_within(AT_ONCE);
    let records = world.ctl(&["log", "--denied", "--json"]);
    records.works().says("no-server-name");
}

/// A `ClientHello` whose outer name is allowed and whose inner one cannot be read (RFC 9849,
/// section 5).
const ENCRYPTED_HELLO: &str = r"
import socket, struct
def counted(b): return struct.pack('>H', len(b)) + b
def extension(number, body): return struct.pack('>H', number) + counted(body)
name = extension(0, counted(b'\0' + counted(b'one.allowed.test')))
versions = extension(43, b'\2\3\4')
hidden = extension(0xfe0d, b'\0\0\1\0\1\x2a' + counted(b'\5' * 32) + counted(b'\6' * 128))
def ask(extensions):
    body = b'\3\3' + b'\7' * 32 + b'\0\0\2\x13\1\1\0' + counted(extensions)
    s = socket.create_connection(('one.allowed.test', 443))
    s.settimeout(10)
    s.sendall(b'\x16\3\1' + counted(b'\1\0' + counted(body)))
    return s.recv(7)
print('hidden', ask(name + versions + hidden))
print('shown', ask(name + versions))
";

#[test]
fn a_name_that_may_hide_another_is_refused_with_an_alert() {
    let world = TestWorld::guarded(policy());
    let run = world.run(&["/usr/bin/python3", "-c", ENCRYPTED_HELLO]);
    // access_denied (RFC 8446, section 6); without the extension the server's own word comes back.
    run.works().says(r"hidden b'\x15\x03\x03\x00\x02\x021'");
    run.must(
        !run.outcome
            .stdout
            .contains(r"shown b'\x15\x03\x03\x00\x02\x021'"),
        "should have reached the server",
    );
    let records = world.ctl(&["log", "--denied", "--json"]);
    records.works().says("encrypted-hello");
}

#[test]
fn what_is_no_tls_is_refused_on_a_port_for_it() {
    let world = TestWorld::guarded(policy());
    let talk = "echo SSH-2.0-x | timeout 5 nc one.allowed.test 443";
    world.run(&["sh", "-c", talk]);
    let records = world.ctl(&["log", "--denied", "--json"]);
    records.works().says("unreadable-request");
}

/// What the rule leaves to the kernel does not meet the proxy.
#[test]
fn another_port_is_not_looked_at() {
    let world = TestWorld::guarded(policy());
    let talk = "echo over and out | nc -N raw.allowed.test 9000";
    world.run(&["sh", "-c", talk]).works().says("over and out");
}

/// A daemon that is gone opens nothing.
#[test]
fn without_a_daemon_nothing_passes() {
    let mut world = TestWorld::guarded(policy());
    let get = curl(&["https://one.allowed.test/"]);
    world.run(&get).works();
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("the daemon can be killed");
    let direct = curl(&[
        "--resolve",
        "one.allowed.test:443:203.0.113.10",
        "https://one.allowed.test/",
    ]);
    let packets = world.packets_of(ALLOWED_V4, || {
        world.run(&direct).fails_within(AT_ONCE);
    });
    assert!(packets.is_empty(), "{packets:#?}");
}

/// The first letter of a method is all that tells HTTP from TLS.
#[test]
fn plain_http_passes_for_the_host_that_was_resolved_and_for_no_other() {
    let world = TestWorld::guarded(policy());
    world
        .run(&curl(&["http://one.allowed.test/"]))
        .works()
        .says("hello from one.allowed.test");
    let fronted = curl(&[
        "-i",
        "-H",
        "Host: two.allowed.test",
        "http://one.allowed.test/",
    ]);
    world
        .run_unguarded(&fronted)
        .works()
        .says("hello from two.allowed.test");
    world
        .run(&fronted)
        .works()
        .says("403 Forbidden")
        .says("name-denied")
        .says("do not retry");
    world.records_a_denial_of("two.allowed.test");
    // One connection, two hosts: each request is judged.
    let both = curl(&[
        "--connect-to",
        "two.allowed.test:80:one.allowed.test:80",
        "http://one.allowed.test/",
        "http://two.allowed.test/",
    ]);
    let run = world.run(&both);
    run.says("hello from one.allowed.test")
        .says("egressd: name-denied");
}

/// The proxy of the only guard, as `status` tells it.
fn proxy_address(world: &TestWorld) -> String {
    let status = world.ctl(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.works().outcome.stdout).expect("JSON");
    format!("http://127.0.0.1:{}", status["guards"][0]["proxy"]["port"])
}

#[test]
fn a_client_may_ask_the_proxy_by_itself() {
    let world = TestWorld::guarded(policy());
    let proxy = proxy_address(&world);
    let by_proxy = |more: &[&str]| {
        let words = curl(&[&["-x", &proxy], more].concat())
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        world.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for address in ["https://one.allowed.test/", "http://one.allowed.test/"] {
        by_proxy(&[address])
            .works()
            .says("hello from one.allowed.test");
    }
    by_proxy(&["-p", "http://one.allowed.test/"]).works();
    by_proxy(&["http://two.allowed.test/"])
        .works()
        .says("egressd: name-denied");
    by_proxy(&["https://two.allowed.test/"]).says("403");
    // What CONNECT names and what TLS names are one.
    let fronted = [
        "--connect-to",
        "two.allowed.test:443:one.allowed.test:443",
        "https://two.allowed.test/",
    ];
    by_proxy(&fronted).says("alert");
    by_proxy(&["https://one.allowed.test:8443/"]).says("403");
    by_proxy(&["http://169.254.169.254/latest"])
        .works()
        .says("egressd: no-rule");
    by_proxy(&["http://2852039166/latest"]).says("egressd");
    assert!(!world.resolver().saw("two.allowed.test"));
}

/// HTTP/3 would pass the proxy by: its first packet fails at once, so that clients fall back.
#[test]
fn udp_to_the_web_is_refused_at_once_unless_a_rule_allows_it() {
    let mut quick = policy();
    quick["network"]["allow"]
        .as_array_mut()
        .expect("rules")
        .push(json!({ "name": "quick", "hosts": ["edge.cdn.test"], "ports": ["443/udp"] }));
    let world = TestWorld::guarded(quick);
    let send = |host: &str| {
        let program = format!(
            "import socket\n\
             for f, _, _, _, a in socket.getaddrinfo('{host}', 443, type=socket.SOCK_DGRAM):\n\
             \x20 s = socket.socket(f, socket.SOCK_DGRAM)\n\
             \x20 try: s.sendto(b'initial', a); print('sent')\n\
             \x20 except PermissionError: print('refused')"
        );
        world.run(&["/usr/bin/python3", "-c", &program])
    };
    let refused = send("one.allowed.test");
    refused.works().says("refused");
    refused.must(
        !refused.outcome.stdout.contains("sent"),
        "should have sent nothing",
    );
    let sent = send("edge.cdn.test");
    sent.works().says("sent");
    world.records_a_denial_of("443");
    world
        .run(&curl(&["https://one.allowed.test/"]))
        .works()
        .says("hello from one.allowed.test");
}

#[test]
fn the_proxy_serves_nobody_outside_the_guard() {
    let world = TestWorld::guarded(policy());
    let proxy = proxy_address(&world);
    world
        .run_unguarded(&curl(&["-x", &proxy, "http://one.allowed.test/"]))
        .fails_within(AT_ONCE);
}

/// The proxy dials from outside the guard: what the kernel holds of an address, it has to hold too.
#[test]
fn a_name_opens_no_address_that_a_rule_denies_and_no_loopback() {
    let mut denying = policy();
    denying["network"]["deny"] = json!([
        { "name": "that-net", "cidrs": ["203.0.113.0/28", "2001:db8:10::/48"] },
    ]);
    denying["network"]["allow"]
        .as_array_mut()
        .expect("rules")
        .push(json!({ "name": "back", "hosts": ["loopback.rebind.test"], "ports": ["80/tcp", "9000/tcp"] }));
    denying["dns"] = json!({ "private": ["loopback.rebind.test"] });
    let world = TestWorld::guarded(denying);
    let proxy = proxy_address(&world);
    let by_proxy = |address: &str| world.run(&curl(&["-x", &proxy, address]));
    by_proxy("http://one.allowed.test/")
        .works()
        .says("egressd: denied-by-rule");
    by_proxy("https://one.allowed.test/").says("403");
    by_proxy("http://loopback.rebind.test/")
        .works()
        .says("egressd: loopback");
    by_proxy("https://loopback.rebind.test:9000/").says("403");
    let direct = world.run(&curl(&["http://one.allowed.test/"]));
    direct.is_refused_within(AT_ONCE);
    world.records_a_denial_of("that-net");
}
