//! Leaving the guarded cgroup.

use std::{
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use rustix::{mount::MountFlags, thread::UnshareFlags};

use super::{
    bait::{refused, send},
    namespace::{become_root_of, make_private},
    system,
};
use crate::{
    escape::{Attempt, Ground, Outcome, attempt::Tried},
    kernel::Hierarchy,
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "cgroup-child",
        title: "sending from a cgroup made below the own one",
        run: |ground| Outcome::of(below(ground)),
        limit: None,
    },
    Attempt {
        name: "cgroup-to-root",
        title: "moving to the root cgroup",
        run: |ground| Outcome::of(move_to(&root_of(ground))),
        limit: None,
    },
    Attempt {
        name: "cgroup-to-parent",
        title: "moving to the cgroup above the guarded one",
        run: |ground| Outcome::of(move_to(&parent_of(ground))),
        limit: None,
    },
    Attempt {
        name: "cgroup-to-sibling",
        title: "moving to a new cgroup beside the guarded one",
        run: |ground| Outcome::of(beside(ground)),
        limit: None,
    },
    Attempt {
        name: "cgroup-through-root",
        title: "moving through /proc/PID/root of a process outside",
        run: |ground| Outcome::of(through_helper(ground)),
        limit: None,
    },
    Attempt {
        name: "cgroup-clone-into",
        title: "starting a child in the root cgroup (clone3)",
        run: |ground| clone_into(ground),
        limit: None,
    },
    Attempt {
        name: "cgroup-namespace",
        title: "moving out of a new cgroup namespace",
        run: |ground| Outcome::of(from_namespace(ground)),
        limit: None,
    },
    Attempt {
        name: "cgroup-mount",
        title: "moving through a fresh mount of the hierarchy",
        run: |ground| Outcome::of(through_mount(ground)),
        limit: None,
    },
];

/// Moves, and sends from a socket that is made there.
fn move_to(directory: &Path) -> Tried {
    enter(directory)?;
    send()
}

fn enter(directory: &Path) -> Tried {
    fs::write(directory.join("cgroup.procs"), "0").map_err(Outcome::refused("write cgroup.procs"))
}

/// The guard holds below its cgroup too.
fn below(ground: &Ground) -> Tried {
    let own = root_of(ground)
        .join(Hierarchy::of_self().map_err(Outcome::refused("read the own cgroup"))?);
    from_new(&own, &own)
}

fn beside(ground: &Ground) -> Tried {
    let back = root_of(ground)
        .join(Hierarchy::of_self().map_err(Outcome::refused("read the own cgroup"))?);
    from_new(&parent_of(ground), &back)
}

/// Makes a cgroup, sends from it, goes back and removes it.
fn from_new(parent: &Path, back: &Path) -> Tried {
    let child = parent.join(format!("escape-{}", std::process::id()));
    fs::create_dir(&child).map_err(Outcome::refused("mkdir"))?;
    let sent = enter(&child).and_then(|()| send());
    enter(back).unwrap_or_default();
    fs::remove_dir(&child).unwrap_or_default();
    sent
}

/// Where the view is private, the helper's is not.
fn through_helper(ground: &Ground) -> Tried {
    let root = root_of(ground);
    let root = root.strip_prefix("/").unwrap_or(&root);
    let theirs = PathBuf::from(format!("/proc/{}/root", ground.helper_pid)).join(root);
    move_to(&theirs)
}

fn clone_into(ground: &Ground) -> Outcome {
    let directory = match fs::File::open(root_of(ground)) {
        Ok(directory) => directory,
        Err(error) => return Outcome::refused("open the root cgroup")(error),
    };
    system::in_child(Some(directory.as_fd()), send)
}

fn from_namespace(ground: &Ground) -> Tried {
    become_root_of(UnshareFlags::NEWCGROUP)?;
    move_to(&root_of(ground))
}

/// A mount that no view has made read-only. Its root is the root of the cgroup namespace.
fn through_mount(ground: &Ground) -> Tried {
    become_root_of(UnshareFlags::NEWNS | UnshareFlags::NEWCGROUP)?;
    make_private()?;
    let place = ground
        .scratch
        .join(format!("cgroup-{}", std::process::id()));
    fs::create_dir(&place).map_err(Outcome::refused("mkdir"))?;
    let mounted = rustix::mount::mount("none", &place, "cgroup2", MountFlags::empty(), None)
        .map_err(refused("mount cgroup2"));
    let sent = mounted.and_then(|()| {
        enter(&place)?;
        send()
    });
    // The mount goes with the namespace; only the directory is left to remove.
    rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH).unwrap_or_default();
    fs::remove_dir(&place).unwrap_or_default();
    sent
}

fn parent_of(ground: &Ground) -> PathBuf {
    ground
        .cgroup
        .parent()
        .map_or_else(|| ground.cgroup.clone(), Path::to_owned)
}

/// The mount, found from the guarded cgroup upwards: the root alone has no `cgroup.type`.
fn root_of(ground: &Ground) -> PathBuf {
    ground
        .cgroup
        .ancestors()
        .find(|directory| is_root(directory).unwrap_or(false))
        .map_or_else(|| parent_of(ground), Path::to_owned)
}

fn is_root(directory: &Path) -> io::Result<bool> {
    Ok(directory.join("cgroup.procs").try_exists()?
        && !directory.join("cgroup.type").try_exists()?)
}
