//! What is left of a world whose process was killed: nothing.
//!
//! Needs root, as the world does.
#![cfg(test)]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use xtask::world::{cgroup, home, wait_for};

#[test]
fn a_killed_world_is_swept() {
    let (mut child, place) = start();
    let id = place
        .file_name()
        .expect("a world has a name")
        .to_string_lossy()
        .into_owned();
    let group = cgroup::mount_point()
        .expect("there is a cgroup2")
        .join(format!("egressd-world-{id}"));
    assert!(place.is_dir() && group.is_dir());
    child.kill().expect("it runs");
    child.wait().expect("it was our child");
    swept(&place, &group);
}

#[test]
fn an_interrupted_world_is_swept() {
    let (mut child, place) = start();
    let id = place
        .file_name()
        .expect("a world has a name")
        .to_string_lossy()
        .into_owned();
    let group = cgroup::mount_point()
        .expect("there is a cgroup2")
        .join(format!("egressd-world-{id}"));
    let interrupted = Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status();
    assert!(interrupted.expect("kill starts").success());
    child.wait().expect("it was our child");
    swept(&place, &group);
}

#[test]
fn cleaning_leaves_the_worlds_of_living_processes_alone() {
    let (mut child, place) = start();
    home::clean().expect("everything dead can be removed");
    assert!(place.is_dir(), "{}", place.display());
    child.kill().expect("it runs");
    child.wait().expect("it was our child");
}

/// A world that waits; its directory.
fn start() -> (Child, PathBuf) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["world", "run", "--", "sleep", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    let output = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let place = output
        .lines()
        .find_map(|line| line.ok()?.strip_prefix("world: ").map(PathBuf::from));
    (child, place.expect("it says where the world is"))
}

fn swept(place: &Path, group: &Path) {
    wait_for("the end of the sweep", Duration::from_secs(10), || {
        !place.exists() && !group.exists()
    })
    .expect("it is swept");
}
