//! The world itself, without a guard: what the other tests take for granted.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use xtask::world::{
    dns,
    place::{
        ALLOWED_V4, ALLOWED_V6, DENIED_V4, DENIED_V6, INTRANET_V4, METADATA_V4, NAMELESS_V4,
        NAMELESS_V6,
    },
    wait_for, web,
};

use crate::harness::{Shared, TestWorld};

static WORLD: Shared = Shared::new();

#[test]
fn names_resolve_through_the_machines_resolv_conf() {
    let world = world();
    for (name, address) in [
        ("web.allowed.test", ALLOWED_V4.to_string()),
        ("web.allowed.test", ALLOWED_V6.to_string()),
        ("web.denied.test", DENIED_V4.to_string()),
        ("anything.wild.test", "203.0.113.100".to_owned()),
        ("alias.chain.test", "edge.cdn.test".to_owned()),
        ("private.rebind.test", INTRANET_V4.to_string()),
        ("loopback.rebind.test", "127.0.0.1".to_owned()),
    ] {
        world
            .run_unguarded(&["getent", "ahosts", name])
            .works()
            .says(&address);
    }
    world
        .run_unguarded(&["getent", "ahosts", "no.such.name.example"])
        .fails_within(Duration::from_secs(3));
}

#[test]
fn names_with_one_family_have_no_other() {
    let world = world();
    let v4 = world.run_unguarded(&["dig", "+short", "AAAA", "v4.single.test"]);
    v4.works().must(
        v4.outcome.stdout.trim().is_empty(),
        "should have had no AAAA",
    );
    let v6 = world.run_unguarded(&["dig", "+short", "A", "v6.single.test"]);
    v6.works()
        .must(v6.outcome.stdout.trim().is_empty(), "should have had no A");
}

#[test]
fn a_long_answer_is_truncated_and_then_fetched_over_tcp() {
    let world = world();
    world
        .run_unguarded(&[
            "dig",
            "+ignore",
            "+noall",
            "+comments",
            "TXT",
            "big.allowed.test",
        ])
        .works()
        .says("flags: qr aa tc");
    world
        .run_unguarded(&["dig", "TXT", "big.allowed.test"])
        .works()
        .says("(TCP)");
}

#[test]
fn the_resolver_writes_down_what_it_was_asked() {
    let world = world();
    world
        .run_unguarded(&["dig", "+short", "TXT", "written.down.wild.test"])
        .works();
    world
        .resolver()
        .wait_for_query("written.down.wild.test")
        .expect("the query is in the log");
    assert!(
        world
            .resolver()
            .queries()
            .contains(&"TXT written.down.wild.test".to_owned())
    );
    assert!(!world.resolver().saw("never.asked.wild.test"));
}

#[test]
fn many_names_have_addresses_that_answer() {
    let world = TestWorld::build(xtask::world::World::builder().bulk_names(2_000));
    let (name, v4, v6) = dns::bulk_name(1_999);
    world
        .run_unguarded(&["dig", "+short", "A", &name])
        .works()
        .says(&v4.to_string());
    world
        .run_unguarded(&["dig", "+short", "AAAA", &name])
        .works()
        .says(&v6.to_string());
    for family in ["-4", "-6"] {
        world
            .run_unguarded(&["curl", "-sS", family, &format!("http://{name}/")])
            .works()
            .says("hello from");
    }
}

#[test]
fn the_web_speaks_tls_and_http2_over_both_families() {
    let world = world();
    for name in ["web.allowed.test", "web.denied.test"] {
        for family in ["-4", "-6"] {
            world
                .run_unguarded(&[
                    "curl",
                    "-sS",
                    family,
                    "-w",
                    "%{http_version}",
                    &format!("https://{name}/"),
                ])
                .works()
                .says(&format!("hello from {name}\n2"));
            world
                .run_unguarded(&[
                    "curl",
                    "-sS",
                    family,
                    "-w",
                    "%{http_version}",
                    &format!("http://{name}/"),
                ])
                .works()
                .says("\n1.1");
        }
    }
}

#[test]
fn the_web_answers_on_literal_addresses() {
    let world = world();
    for address in [
        NAMELESS_V4.into(),
        NAMELESS_V6.into(),
        DENIED_V4.into(),
        IpAddr::from(DENIED_V6),
    ] {
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        world
            .run_unguarded(&["curl", "-sS", &format!("https://{host}/")])
            .works()
            .says("hello from");
    }
    for address in [INTRANET_V4, METADATA_V4] {
        world
            .run_unguarded(&["curl", "-sS", &format!("http://{address}/")])
            .works()
            .says("hello from");
    }
}

#[test]
fn the_big_file_is_big_and_the_slow_one_is_slow() {
    let world = world();
    let size = web::BIG.to_string();
    world
        .run_unguarded(&["curl", "-sSI", "https://web.allowed.test/big"])
        .works()
        .says(&size);
    let slow = world.run_unguarded(&[
        "curl",
        "-sS",
        "-m",
        "1",
        "-o",
        "/dev/null",
        "https://web.allowed.test/slow",
    ]);
    slow.says("timed out");
}

#[test]
fn the_echo_answers_over_tcp_and_udp() {
    let world = world();
    for address in [
        ALLOWED_V4.to_string(),
        ALLOWED_V6.to_string(),
        INTRANET_V4.to_string(),
    ] {
        for command in ["nc -N", "nc -u -w 1"] {
            let line = format!("echo over and out | {command} {address} 9000");
            world
                .run_unguarded(&["sh", "-c", &line])
                .works()
                .says("over and out");
        }
    }
}

#[test]
fn a_capture_has_the_packets_that_were_sent_and_no_others() {
    let world = world();
    let fetch = |address: &str| {
        world
            .run_unguarded(&[
                "curl",
                "-sS",
                "-o",
                "/dev/null",
                &format!("http://{address}/"),
            ])
            .works();
    };
    let seen = world.packets_of(NAMELESS_V4, || fetch("203.0.113.77"));
    assert!(
        seen.iter()
            .any(|line| line.contains("203.0.113.77.80: Flags [S]")),
        "{seen:#?}"
    );
    let unseen = world.packets_of(ALLOWED_V4, || fetch("203.0.113.77"));
    let others: Vec<_> = unseen
        .iter()
        .filter(|line| line.contains("203.0.113.77"))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn nothing_leads_out_of_the_world() {
    let world = world();
    let links = world.run_unguarded(&["ip", "-o", "link"]);
    assert_eq!(
        links.works().outcome.stdout.lines().count(),
        2,
        "{}",
        links.outcome
    );
    let route = world.run_unguarded(&["curl", "-sS", "http://192.88.99.1/"]);
    route.fails_within(Duration::from_secs(3));
}

#[test]
fn a_command_that_hangs_is_ended() {
    let world = world();
    let client = world
        .unguarded(&["sleep", "60"])
        .within(Duration::from_millis(300));
    let run = world.finish(client.run());
    run.must(run.outcome.timed_out(), "should have been ended");
}

#[test]
fn a_dropped_world_leaves_nothing() {
    let world = TestWorld::unguarded();
    let (directory, cgroup) = (world.home().to_owned(), world.cgroup().path().to_owned());
    let machine = PathBuf::from(format!("/proc/{}", world.machine().pid()));
    assert!(directory.exists() && cgroup.exists() && machine.exists());
    let mut left_behind = world
        .unguarded(&["sleep", "600"])
        .within(Duration::from_mins(10))
        .command();
    let mut left_behind = left_behind.spawn().expect("sleep starts");
    wait_for("the process in the cgroup", Duration::from_secs(5), || {
        world.cgroup().pids().is_ok_and(|pids| !pids.is_empty())
    })
    .expect("sleep has joined the cgroup of the world");
    drop(world);
    assert!(!directory.exists() && !cgroup.exists() && !machine.exists());
    assert!(
        !left_behind.wait().expect("it was our child").success(),
        "it should have been killed"
    );
}

fn world() -> &'static TestWorld {
    WORLD.get(TestWorld::unguarded)
}
