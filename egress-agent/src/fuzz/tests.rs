//! Replays the committed corpus.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{TARGETS, attack, processor_time};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz")
}

/// Every file of a target's corpus, with its name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = home().join("corpus").join(target);
    let entries = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("no corpus {}: {error}", directory.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Every seed, and every seed cut short or with one byte changed: what a fuzzer finds first.
#[track_caller]
fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = corpus(name);
    assert!(
        seeds.len() >= 3,
        "the corpus of {name} has {} files",
        seeds.len()
    );
    for (file, bytes) in seeds {
        let spoken = format!("{name}/{file}");
        let guarded = |bytes: &[u8], what: &str| {
            let held = std::panic::catch_unwind(|| target.attack(bytes));
            assert!(held.is_ok(), "{spoken}, {what}: does not hold");
        };
        guarded(&bytes, "as it is");
        let step = bytes.len() / 40 + 1;
        for at in (0..bytes.len()).step_by(step) {
            guarded(&bytes[..at], &format!("cut at {at}"));
            for byte in [0, 0xff, b'"', bytes[at] ^ 1] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                guarded(&changed, &format!("byte {at} set to {byte}"));
            }
        }
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*

        #[test]
        fn every_target_is_replayed_and_has_its_program() {
            let replayed = BTreeSet::from([$(stringify!($name)),*]);
            let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(replayed, targets);
            for name in targets {
                let program = home().join(format!("fuzz_targets/{name}.rs"));
                let text = fs::read_to_string(program).unwrap();
                assert!(text.contains(&format!("attack(\"{name}\", bytes)")), "{name}: {text}");
            }
        }
    };
}

replays! {
    audit_log
    control_reply
    control_request
    dns_answer
    dns_question
    dns_snoop
    event_stream
    foreign_pack
    hook_event
    journal
    kernel_event
    mcp_message
    mountinfo
    pack
    packet
    policy
    proxy_chunks
    proxy_decode
    proxy_hello
    proxy_multipart
    proxy_request
    proxy_websocket
    resolv_conf
    shell
}

#[test]
#[should_panic(expected = "no target is called")]
fn a_target_that_is_misspelt_is_no_target() {
    attack("dns-question", b"");
}

/// Shapes that cost most, at two sizes: four times the bytes may cost some four times the time.
#[test]
fn hostile_shapes_cost_linear_time() {
    type Shape = (&'static str, fn(usize) -> Vec<u8>);
    let shapes: [Shape; 22] = [
        ("policy", |n| b"[".repeat(n)),
        ("policy", |n| b"{\"a\":".repeat(n / 5)),
        ("policy", |n| {
            [b"[", &b"0,".repeat(n / 2)[..], b"0]"].concat()
        }),
        ("policy", |n| keys(n, "{")),
        ("policy", |n| keys(n, "{\"version\":1,")),
        ("policy", |n| hosts(n, "a.example.com")),
        ("policy", |n| hosts(n, "*")),
        ("policy", |n| hosts(n, "xn--")),
        ("pack", |n| b"[".repeat(n)),
        ("pack", |n| keys(n, "{\"version\":1,\"name\":\"p\",")),
        ("pack", |n| rules(n, "{}")),
        ("pack", |n| {
            rules(
                n,
                "{\"name\":\"r\",\"priority\":1,\"decision\":\"deny\",\"when\":{\"kinds\":[\"x\"]}}",
            )
        }),
        ("pack", |n| {
            rules(
                n,
                "{\"name\":\"r\",\"priority\":1,\"decision\":\"ask\",\"when\":{\"content\":[\"(\"]}}",
            )
        }),
        ("foreign_pack", |n| b"[".repeat(n)),
        ("foreign_pack", |n| b"rules:\n".repeat(n / 7)),
        ("foreign_pack", |n| {
            [
                b"rules:\n",
                &b"- {id: a, name: a, decision: DENY}\n".repeat(n / 35)[..],
            ]
            .concat()
        }),
        ("control_request", |n| b"[".repeat(n)),
        ("control_request", |n| {
            keys(n, "{\"v\":1,\"op\":\"status\",")
        }),
        ("control_reply", |n| keys(n, "{\"v\":1,")),
        ("audit_log", |n| b"{}\n".repeat(n / 3)),
        ("resolv_conf", |n| b"nameserver ::1\n".repeat(n / 15)),
        ("mountinfo", |n| b" - \n".repeat(n / 4)),
    ];
    for (name, shape) in shapes {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        let time = |bytes: Vec<u8>| {
            let once = || {
                let before = processor_time();
                target.attack(&bytes);
                processor_time() - before
            };
            (0..3).map(|_| once()).min().unwrap()
        };
        let (small, large) = (time(shape(1 << 13)), time(shape(1 << 15)));
        assert!(
            large < 8 * small + 3_000_000,
            "{name}: {small} ns, and {large} ns for four times {:?}…",
            String::from_utf8_lossy(&shape(30))
        );
    }
}

fn keys(bytes: usize, start: &str) -> Vec<u8> {
    let keys: Vec<_> = (0..bytes / 12).map(|n| format!("\"k{n:06}\":1")).collect();
    format!("{start}{}}}", keys.join(",")).into_bytes()
}

fn hosts(bytes: usize, host: &str) -> Vec<u8> {
    let hosts = vec![format!("\"{host}\""); bytes / (host.len() + 3)];
    format!(
        "{{\"version\":1,\"network\":{{\"allow\":[{{\"name\":\"x\",\"ports\":[\"1/tcp\"],\"hosts\":[{}]}}]}}}}",
        hosts.join(",")
    )
    .into_bytes()
}

fn rules(bytes: usize, rule: &str) -> Vec<u8> {
    let rules = vec![rule; bytes / (rule.len() + 1)];
    format!(
        "{{\"version\":1,\"name\":\"p\",\"rules\":[{}]}}",
        rules.join(",")
    )
    .into_bytes()
}
