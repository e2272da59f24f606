//! How the world handles a daemon, with stand-ins for it: shell scripts that do what is said here.
//!
//! Needs root, as the world does.
#![cfg(test)]

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use serde_json::json;
use xtask::world::{World, client::AGENT_UID};

/// Makes the control socket, says that it is ready, and stays.
const READY: &str = r#"exec /usr/bin/python3 -c '
import os, signal, socket, sys
print("arguments:", *sys.argv[1:], flush=True)
directory = sys.argv[sys.argv.index("--runtime-dir") + 1]
control = socket.socket(socket.AF_UNIX)
control.bind(directory + "/control.sock")
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"STATUS=here\nREADY=1", os.environ["NOTIFY_SOCKET"])
signal.pause()
' "$@""#;
/// `egressctl --socket PATH run -- COMMAND` without a guard.
const RUN: &str =
    r#"[ "$1 $3 $4" = "--socket run --" ] || exit 2; test -S "$2" || exit 125; shift 4; exec "$@""#;

#[test]
fn a_daemon_is_started_with_its_policy_and_waited_for() {
    let world = build("ready", READY, RUN).expect("the stand-in says that it is ready");
    let daemon = world.daemon().expect("it has one");
    let log = daemon.log();
    let policy = daemon.files().policy.display().to_string();
    assert!(
        log.contains(&format!("--cgroup {}={policy}", daemon.cgroup())),
        "{log}"
    );
    assert!(
        log.contains(&format!("--pin-dir {}", daemon.files().pins.display())),
        "{log}"
    );
    let written = fs::read_to_string(&policy).expect("the policy is a file");
    assert!(
        written.contains("\"version\": 1") && written.contains("audit.jsonl"),
        "{written}"
    );
}

#[test]
fn a_guarded_command_runs_as_the_agent_through_egressctl() {
    let world = build("agent", READY, RUN).expect("the stand-in says that it is ready");
    let run = world
        .guarded(&["id", "-u"])
        .and_then(|client| client.run())
        .expect("it starts");
    assert_eq!(run.stdout.trim(), AGENT_UID.to_string(), "{run}");
    let here = world
        .unguarded(&["cat", "/proc/self/cgroup"])
        .run()
        .expect("it starts");
    assert!(
        here.stdout
            .contains(&format!("0::/{}/outside", world.cgroup().name())),
        "{here}"
    );
}

#[test]
fn the_pins_have_a_bpf_file_system_of_their_own() {
    let world = build("pins", READY, RUN).expect("the stand-in says that it is ready");
    let pins = world.home().join("bpf").display().to_string();
    let kind = world
        .unguarded(&["stat", "-f", "-c", "%T", &pins])
        .as_root()
        .run()
        .expect("it starts");
    assert_eq!(kind.stdout.trim(), "bpf_fs", "{kind}");
}

#[test]
fn a_daemon_can_be_killed_started_again_and_stopped() {
    let mut world = build("again", READY, RUN).expect("the stand-in says that it is ready");
    world
        .with_daemon(0, |daemon, world| {
            daemon.kill()?;
            assert_eq!(daemon.pid(), None);
            fs::remove_file(&daemon.files().socket)?;
            daemon.start(world)?;
            daemon.stop()
        })
        .expect("each of these works");
}

#[test]
fn a_daemon_that_ends_at_its_start_is_an_error_with_its_log() {
    let error =
        build("broken", "echo the policy is broken >&2; exit 3", RUN).expect_err("it exits with 3");
    let error = format!("{error:#}");
    assert!(
        error.contains("exit status: 3") && error.contains("the policy is broken"),
        "{error}"
    );
}

fn build(name: &str, egressd: &str, egressctl: &str) -> anyhow::Result<World> {
    let programs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&programs).expect("cargo gave a directory");
    for (program, body) in [("egressd", egressd), ("egressctl", egressctl)] {
        let path = programs.join(program);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("the directory is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }
    World::builder()
        .policy(json!({ "version": 1 }))
        .programs(programs)
        .build()
}
