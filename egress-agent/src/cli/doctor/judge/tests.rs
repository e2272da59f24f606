//! The whole screen for machines that were made up, 80 columns wide.

use std::{fs, path::Path, time::Duration};

use super::*;
use crate::cli::{
    doctor::{
        facts::{
            Bpf, Clock, Confinement, Disk, Groups, Kernel, Landlock, Loads, Names, NoDaemon,
            PolicyFile, UnitFile, Units,
        },
        row::print,
    },
    home::{Agent, Found, SeenHook},
    table::tests::Written,
};

fn well() -> Facts {
    Facts {
        kernel: Kernel {
            release: "6.18.5".to_owned(),
            refused: None,
            chooses_errno: true,
            config: None,
            tells_types: true,
            filters_calls: true,
        },
        groups: Groups {
            mount: Ok("/sys/fs/cgroup".into()),
            mounts: "1 2 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n".to_owned(),
        },
        bpf: Bpf {
            loads: Loads::Yes,
            pins: None,
            has_filesystem: true,
        },
        confinement: Confinement {
            modules: Some("capability,landlock,bpf\n".to_owned()),
            landlock: Landlock::Abi(7),
            lsm: None,
            most_namespaces: "1000".to_owned(),
            clone_switch: None,
            apparmor: None,
        },
        names: Names {
            nsswitch: Some("hosts: files resolve [!UNAVAIL=return] dns\n".to_owned()),
            resolv: Ok("nameserver 127.0.0.53\n".to_owned()),
        },
        daemon: Ok(Box::new(service::tests::a_status())),
        version: "1.0".to_owned(),
        policies: vec![PolicyFile {
            file: "/etc/egressd/policy.json".into(),
            read: Ok(("d1".to_owned(), 0)),
            in_force: Some(("agent.slice".to_owned(), "d1".to_owned())),
        }],
        hooks: Ok(vec![SeenHook {
            agent: Agent::ClaudeCode,
            file: Some("/home/dev/.claude/settings.json".into()),
            found: Found::Current,
            changes: Vec::new(),
        }]),
        clock: Clock {
            now: "2026-11-26T10:00:00Z".parse().unwrap(),
            is_kept: Some(true),
            boot: Duration::from_hours(2),
            awake: Duration::from_hours(2),
            offsets: None,
        },
        disk: Some(Disk {
            file: "/var/log/egressd/audit.jsonl".into(),
            free: 9000 << 20,
            wanted: 576 << 20,
        }),
        units: Units {
            systemd: true,
            files: vec![UnitFile {
                name: "egressd.service",
                at: Some("/usr/lib/systemd/system/egressd.service".into()),
                is_current: true,
            }],
            is_enabled: true,
        },
        has_group: true,
        is_root: true,
    }
}

/// A container: an old kernel, no daemon, nothing set up.
fn bare() -> Facts {
    Facts {
        kernel: Kernel {
            release: "5.10.0".to_owned(),
            refused: Some("Linux 5.10.0 is too old: egressd needs 5.15 or newer".to_owned()),
            config: Some("CONFIG_BPF_SYSCALL=y\nCONFIG_INET=y\n".to_owned()),
            ..Kernel::default()
        },
        groups: Groups {
            mount: Err("no cgroup2 file system is mounted".to_owned()),
            mounts: String::new(),
        },
        bpf: Bpf {
            loads: Loads::No("Operation not permitted (os error 1)".to_owned()),
            pins: Some("/sys/fs/bpf/egressd is not on a BPF file system".to_owned()),
            has_filesystem: true,
        },
        confinement: Confinement {
            modules: Some("capability\n".to_owned()),
            landlock: Landlock::Absent,
            lsm: Some("the kernel refuses LSM programs".to_owned()),
            most_namespaces: "0".to_owned(),
            clone_switch: None,
            apparmor: None,
        },
        names: Names {
            nsswitch: Some("hosts: files mdns4_minimal [NOTFOUND=return] dns\n".to_owned()),
            resolv: Err("No such file or directory (os error 2)".to_owned()),
        },
        daemon: Err(NoDaemon::Absent(
            "egressd is not running, or `/run/egressd/control.sock` cannot be reached".to_owned(),
        )),
        policies: vec![PolicyFile {
            file: "/etc/egressd/policy.json".into(),
            read: Err(
                "cannot read the policy `/etc/egressd/policy.json`: No such file or directory"
                    .to_owned(),
            ),
            in_force: None,
        }],
        hooks: Ok(vec![
            SeenHook {
                agent: Agent::Codex,
                file: Some("/home/dev/.codex/hooks.json".into()),
                found: Found::Absent,
                changes: Vec::new(),
            },
            SeenHook {
                agent: Agent::GeminiCli,
                file: None,
                found: Found::NoHook,
                changes: Vec::new(),
            },
        ]),
        clock: Clock {
            now: "1970-01-01T00:02:00Z".parse().unwrap(),
            is_kept: Some(false),
            boot: Duration::from_mins(2),
            awake: Duration::from_mins(2),
            offsets: None,
        },
        disk: Some(Disk {
            file: "/var/log/egressd/audit.jsonl".into(),
            free: 3 << 20,
            wanted: 576 << 20,
        }),
        units: Units {
            systemd: true,
            files: vec![UnitFile {
                name: "egressd.service",
                at: None,
                is_current: false,
            }],
            is_enabled: false,
        },
        has_group: false,
        ..well()
    }
}

#[track_caller]
fn check(name: &str, facts: &Facts) {
    let written = Written::default();
    let rows = judge(facts);
    print(&rows, &mut written.screen(false, false)).unwrap();
    let text = written.text();
    let long = |line: &&str| line.chars().count() > 80 && !line.contains("mend: ");
    assert_eq!(text.lines().find(long), None, "more than 80 columns");
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/doctor/judge");
    let expected = fs::read_to_string(place.join(name)).unwrap_or_default();
    assert_eq!(text, expected, "{name} is\n{text}");
}

#[test]
fn a_machine_that_is_well() {
    check("well.txt", &well());
    assert!(crate::cli::doctor::is_well(&judge(&well())));
}

#[test]
fn a_machine_where_nothing_is_right() {
    check("bare.txt", &bare());
    assert!(!crate::cli::doctor::is_well(&judge(&bare())));
}
