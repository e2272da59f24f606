//! What a private view shows, as a list of steps. Pure: [`Scene`] in, steps out.
//!
//! Sockets are found in two ways. All of `/run` is new, and only what is known to be needed comes
//! back. Elsewhere each socket that somebody has bound is covered: with an empty directory when it
//! stands among sockets only, so that it stays hidden when it is made again, and else by itself.
//!
//! # Known gaps
//! Outside of `/run`, a socket that is made after the start in a directory that was not there or
//! that holds other files too, is seen. Landlock since ABI 9 holds these.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What is there when a session begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// Directories that hold what programs are told at run time: `/run`, and `/var/run` where that
    /// is a directory of its own, with what stands in them.
    pub(super) run: BTreeMap<PathBuf, Vec<Thing>>,
    /// Files below them that the C library reads to find name servers.
    pub(super) resolver_files: Vec<PathBuf>,
    /// Sockets that are bound to a path, all over the machine.
    pub(super) sockets: Vec<PathBuf>,
    /// Of their directories, those in which nothing else stands.
    pub(super) only_sockets: BTreeSet<PathBuf>,
    /// Sockets that the policy lists, as far as they are there.
    pub(super) listed: Vec<PathBuf>,
    /// The directory of the control socket.
    pub(super) runtime_dir: PathBuf,
    /// Files and directories that must not change.
    pub(super) protected: Vec<(PathBuf, Kind)>,
    /// Directories that must not be looked into.
    pub(super) secret: Vec<PathBuf>,
    /// Mount points of cgroup file systems.
    pub(super) cgroups: Vec<PathBuf>,
    /// Mount points of BPF file systems.
    pub(super) pins: Vec<PathBuf>,
    /// Where the user's own runtime directory is wanted.
    pub(super) xdg: Option<PathBuf>,
    /// Directories that must stay as they are: home and working directory.
    pub(super) kept: Vec<PathBuf>,
    /// Settings of the kernel and block devices, for who owns them: root.
    pub(super) kernel: Vec<PathBuf>,
    pub(super) disks: Vec<PathBuf>,
    /// Configuration that a program checks the owner of, when owners look different inside.
    pub(super) owned: BTreeMap<PathBuf, Vec<PathBuf>>,
}

/// What stands directly in `/run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thing {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link(PathBuf),
    /// Sockets, pipes, devices.
    Other,
}

/// One thing to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An empty file system over a directory, with the owner and mode that the directory has.
    Empty(PathBuf),
    /// An empty file system for the user alone, in a directory that is made.
    Own(PathBuf),
    Link(PathBuf, PathBuf),
    /// What stood there before, again.
    KeepFile(PathBuf),
    KeepDirectory(PathBuf),
    /// An empty file over a socket or a device.
    Cover(PathBuf),
    /// A copy that belongs to the user.
    Copy(PathBuf),
    /// A directory or file that can no longer be written through this path.
    Freeze(PathBuf),
    /// A whole mount that can no longer be written, and what is mounted below it.
    Seal(PathBuf),
    /// A mount that can no longer be written, but for what is mounted below it.
    SealAlone(PathBuf),
}

/// Directories of `/run` that hold no sockets of services, and that programs need.
const NEEDED: &[&str] = &[
    "lock",
    "shm",
    "mount",
    "current-system",
    "booted-system",
    "wrappers",
    "opengl-driver",
    "opengl-driver-32",
];

pub(super) fn plan(scene: &Scene) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut emptied: Vec<&Path> = Vec::new();
    let mut kept: Vec<&Path> = Vec::new();
    for (run, things) in &scene.run {
        steps.push(Step::Empty(run.clone()));
        emptied.push(run);
        for thing in things {
            let is_needed = thing
                .path
                .file_name()
                .is_some_and(|name| NEEDED.iter().any(|needed| name == *needed));
            match &thing.kind {
                Kind::Link(target) => steps.push(Step::Link(thing.path.clone(), target.clone())),
                Kind::File => steps.push(Step::KeepFile(thing.path.clone())),
                Kind::Directory if is_needed => {
                    kept.push(&thing.path);
                    steps.push(Step::KeepDirectory(thing.path.clone()));
                }
                Kind::Directory | Kind::Other => {}
            }
        }
    }
    let is_in_run = |path: &Path| scene.run.keys().any(|run| path.starts_with(run));
    for file in scene.resolver_files.iter().filter(|file| is_in_run(file)) {
        steps.push(Step::KeepFile(file.clone()));
    }
    if let Some(xdg) = &scene.xdg
        && is_in_run(xdg)
    {
        steps.push(Step::Own(xdg.clone()));
    }
    if is_in_run(&scene.runtime_dir) {
        kept.push(&scene.runtime_dir);
        steps.push(Step::KeepDirectory(scene.runtime_dir.clone()));
    }

    for socket in &scene.sockets {
        let is_gone = emptied.iter().any(|place| socket.starts_with(place))
            && !kept.iter().any(|place| socket.starts_with(place));
        if is_gone || socket.starts_with(&scene.runtime_dir) {
            continue;
        }
        match socket.parent() {
            Some(parent) if scene.only_sockets.contains(parent) && may_empty(scene, parent) => {
                steps.push(Step::Empty(parent.to_path_buf()));
                emptied.push(parent);
            }
            _ if scene.listed.contains(socket) => {}
            _ => steps.push(Step::Cover(socket.clone())),
        }
    }
    for socket in &scene.listed {
        let is_gone = emptied.iter().any(|place| socket.starts_with(place))
            && !kept.iter().any(|place| socket.starts_with(place));
        if is_gone {
            steps.push(Step::KeepFile(socket.clone()));
        }
    }

    for (directory, files) in &scene.owned {
        if !files.is_empty() {
            steps.push(Step::Empty(directory.clone()));
            steps.extend(files.iter().cloned().map(Step::Copy));
        }
    }
    steps.extend(scene.disks.iter().cloned().map(Step::Cover));
    steps.extend(scene.kernel.iter().cloned().map(Step::Freeze));
    for secret in &scene.secret {
        steps.push(Step::Empty(secret.clone()));
        emptied.push(secret);
    }
    for pins in &scene.pins {
        steps.push(Step::Empty(pins.clone()));
        steps.push(Step::Seal(pins.clone()));
    }
    steps.extend(scene.cgroups.iter().cloned().map(Step::Seal));
    for (place, _) in &scene.protected {
        let is_gone = emptied.iter().any(|emptied| place.starts_with(emptied))
            && !kept.iter().any(|kept| place.starts_with(kept));
        let is_pinned = scene.pins.iter().any(|pins| place.starts_with(pins));
        if !is_gone && !is_pinned {
            steps.push(Step::Freeze(place.clone()));
        }
    }
    steps.extend(scene.run.keys().cloned().map(Step::SealAlone));
    steps
}

/// A directory is not emptied when the session works in it or below.
fn may_empty(scene: &Scene, directory: &Path) -> bool {
    let needed = scene.kept.iter().chain([&scene.runtime_dir]);
    let protected = scene.protected.iter().map(|(place, _)| place);
    !needed
        .chain(protected)
        .any(|place| place.starts_with(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(path: &str, kind: Kind) -> Thing {
        Thing {
            path: path.into(),
            kind,
        }
    }

    fn scene() -> Scene {
        let run = vec![
            thing("/run/docker.sock", Kind::Other),
            thing("/run/dbus", Kind::Directory),
            thing("/run/lock", Kind::Directory),
            thing("/run/shm", Kind::Link("/dev/shm".into())),
            thing("/run/utmp", Kind::File),
            thing("/run/egressd", Kind::Directory),
        ];
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Scene {
            run: BTreeMap::from([("/run".into(), run)]),
            resolver_files: paths(&["/run/systemd/resolve/stub-resolv.conf"]),
            sockets: paths(&[
                "/run/docker.sock",
                "/run/dbus/system_bus_socket",
                "/run/egressd/control.sock",
                "/run/lock/odd.sock",
                "/run/user/7/bus",
                "/tmp/tmux-7/default",
                "/tmp/tmux-7/other",
                "/home/u/w/dev.sock",
                "/home/u/agent.sock",
            ]),
            only_sockets: ["/tmp/tmux-7", "/run/dbus", "/home/u"]
                .map(PathBuf::from)
                .into(),
            runtime_dir: "/run/egressd".into(),
            protected: vec![
                ("/run/egressd".into(), Kind::Directory),
                ("/sys/fs/bpf/egressd".into(), Kind::Directory),
                ("/etc/egressd/policy.json".into(), Kind::File),
            ],
            cgroups: paths(&["/sys/fs/cgroup"]),
            pins: paths(&["/sys/fs/bpf"]),
            xdg: Some("/run/user/7".into()),
            kept: paths(&["/home/u", "/home/u/w"]),
            ..Scene::default()
        }
    }

    #[test]
    fn run_is_new_and_what_is_needed_comes_back() {
        let path = PathBuf::from;
        let steps = plan(&scene());
        let expected = [
            Step::Empty(path("/run")),
            Step::KeepDirectory(path("/run/lock")),
            Step::Link(path("/run/shm"), path("/dev/shm")),
            Step::KeepFile(path("/run/utmp")),
            Step::KeepFile(path("/run/systemd/resolve/stub-resolv.conf")),
            Step::Own(path("/run/user/7")),
            Step::KeepDirectory(path("/run/egressd")),
            Step::Cover(path("/run/lock/odd.sock")),
            Step::Empty(path("/tmp/tmux-7")),
            Step::Cover(path("/home/u/w/dev.sock")),
            Step::Cover(path("/home/u/agent.sock")),
            Step::Empty(path("/sys/fs/bpf")),
            Step::Seal(path("/sys/fs/bpf")),
            Step::Seal(path("/sys/fs/cgroup")),
            Step::Freeze(path("/run/egressd")),
            Step::Freeze(path("/etc/egressd/policy.json")),
            Step::SealAlone(path("/run")),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn what_is_listed_is_reached_wherever_it_is() {
        let mut scene = scene();
        let listed = [
            "/run/user/7/bus",
            "/tmp/tmux-7/default",
            "/home/u/agent.sock",
        ];
        scene.listed = listed.map(PathBuf::from).into();
        let steps = plan(&scene);
        let at = |step: Step| steps.iter().position(|one| *one == step);
        let path = PathBuf::from;
        assert!(at(Step::Own(path("/run/user/7"))) < at(Step::KeepFile(path("/run/user/7/bus"))));
        assert!(
            at(Step::Empty(path("/tmp/tmux-7"))) < at(Step::KeepFile(path("/tmp/tmux-7/default")))
        );
        assert!(at(Step::KeepFile(path("/run/user/7/bus"))).is_some());
        assert!(at(Step::KeepFile(path("/tmp/tmux-7/default"))).is_some());
        assert_eq!(at(Step::KeepFile(path("/tmp/tmux-7/other"))), None);
        assert_eq!(at(Step::Cover(path("/home/u/agent.sock"))), None);
    }

    #[test]
    fn nothing_hidden_is_listed_by_accident() {
        let steps = plan(&scene());
        for socket in [
            "/run/docker.sock",
            "/run/dbus/system_bus_socket",
            "/run/user/7/bus",
        ] {
            assert!(!steps.contains(&Step::KeepFile(socket.into())), "{socket}");
        }
    }

    #[test]
    fn root_finds_no_disk_and_cannot_set_what_the_kernel_starts() {
        let mut scene = scene();
        scene.kernel = vec!["/proc/sys".into(), "/sys".into()];
        scene.disks = vec!["/dev/vda".into()];
        let steps = plan(&scene);
        let at = |step: Step| steps.iter().position(|one| *one == step);
        let sealed = at(Step::Seal("/sys/fs/cgroup".into()));
        assert!(at(Step::Cover("/dev/vda".into())).is_some());
        assert!(at(Step::Freeze("/proc/sys".into())).is_some());
        // A bind of all of /sys would lie over what is sealed below it.
        assert!(at(Step::Freeze("/sys".into())) < sealed);
    }

    #[test]
    fn configuration_is_copied_where_owners_look_different() {
        let mut scene = scene();
        scene.owned = BTreeMap::from([("/etc/d".into(), vec!["/etc/d/a.conf".into()])]);
        let steps = plan(&scene);
        let empty = steps
            .iter()
            .position(|one| *one == Step::Empty("/etc/d".into()));
        let copy = steps
            .iter()
            .position(|one| *one == Step::Copy("/etc/d/a.conf".into()));
        assert!(empty.is_some() && empty < copy);
    }
}
