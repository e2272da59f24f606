//! Namespaces: new ones, where an agent is root, and those of processes outside.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::Path,
};

use rustix::{
    mount::{MountFlags, MountPropagationFlags, UnmountFlags},
    process::{Pid, PidfdFlags, pidfd_open},
    thread::{
        LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags, move_into_link_name_space,
        move_into_thread_name_spaces,
    },
};

use super::{
    bait::{MARK, ask, escaped, refused, send, unix},
    system,
};
use crate::escape::{Attempt, Ground, Outcome, attempt::Tried};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "user-namespace",
        title: "sending as root of a new user namespace",
        run: |_| Outcome::of(become_root_of(UnshareFlags::empty()).and_then(|()| send())),
        limit: None,
    },
    Attempt {
        name: "network-namespace-relay",
        title: "sending for a child in a network namespace of its own",
        run: |_| Outcome::of(relay()),
        limit: None,
    },
    Attempt {
        name: "network-namespace-join",
        title: "joining the network namespace of a process outside",
        run: |ground| Outcome::of(join(ground, "net", LinkNameSpaceType::Network)),
        limit: None,
    },
    Attempt {
        name: "mount-namespace-join",
        title: "joining the mount namespace of a process outside",
        run: |ground| Outcome::of(join_mounts(ground)),
        limit: None,
    },
    Attempt {
        name: "every-namespace-join",
        title: "joining all namespaces of a process outside (pidfd)",
        run: |ground| Outcome::of(join_all(ground)),
        limit: None,
    },
    Attempt {
        name: "view-unmounted",
        title: "unmounting what hides the sockets outside",
        run: |ground| Outcome::of(uncover(ground)),
        limit: None,
    },
    Attempt {
        name: "mount-over-etc",
        title: "mounting over /etc, as root of a new namespace",
        run: |_| Outcome::of(mount_over()),
        limit: None,
    },
    Attempt {
        name: "mount-by-new-calls",
        title: "the same by the new mount calls (fsopen)",
        run: |_| Outcome::of(mount_by_new_calls()),
        limit: None,
    },
];

/// Makes a user namespace and others that belong to it: in these this process has every capability.
pub(super) fn become_root_of(others: UnshareFlags) -> Tried {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    system::unshare(UnshareFlags::NEWUSER | others)?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {} 1", uid.as_raw())),
        ("gid_map", format!("0 {} 1", gid.as_raw())),
    ] {
        fs::write(Path::new("/proc/self").join(file), text)
            .map_err(Outcome::refused("map the user"))?;
    }
    Ok(())
}

/// What slirp4netns and pasta do: a child that is cut off hands its data to one that is not.
fn relay() -> Tried {
    let (mut near, mut far) = UnixStream::pair().map_err(Outcome::refused("socketpair"))?;
    let child = system::in_child(None, move || {
        become_root_of(UnshareFlags::NEWNET)?;
        far.write_all(MARK).map_err(Outcome::refused("write"))
    });
    Err(match child {
        Outcome::Sent => {
            let mut text = vec![0; MARK.len()];
            near.read_exact(&mut text)
                .map_err(Outcome::refused("read"))?;
            return send();
        }
        failed @ (Outcome::Refused(_) | Outcome::Absent(_) | Outcome::Escaped(_)) => failed,
    })
}

fn join(ground: &Ground, name: &'static str, kind: LinkNameSpaceType) -> Tried {
    enter(ground, name, kind)?;
    send()
}

fn enter(ground: &Ground, name: &'static str, kind: LinkNameSpaceType) -> Tried {
    let link = File::open(format!("/proc/{}/ns/{name}", ground.helper_pid))
        .map_err(Outcome::refused("open /proc/PID/ns"))?;
    move_into_link_name_space(link.as_fd(), Some(kind)).map_err(refused("setns"))
}

fn join_mounts(ground: &Ground) -> Tried {
    enter(ground, "mnt", LinkNameSpaceType::Mount)?;
    escaped("stands in the mount namespace of a process outside")
}

fn join_all(ground: &Ground) -> Tried {
    let helper = i32::try_from(ground.helper_pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Outcome::Absent("there is no helper".to_owned()))?;
    let helper = pidfd_open(helper, PidfdFlags::empty()).map_err(refused("pidfd_open"))?;
    let all = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::CONTROL_GROUP;
    move_into_thread_name_spaces(helper.as_fd(), all).map_err(refused("setns"))?;
    send()?;
    escaped("stands in the namespaces of a process outside")
}

/// Takes away, in a namespace of the own, every mount above the helper's socket, and asks it.
fn uncover(ground: &Ground) -> Tried {
    if ground.guarded {
        if system::unshare(UnshareFlags::NEWNS).is_err() {
            become_root_of(UnshareFlags::NEWNS)?;
        }
        make_private()?;
        let mut refusal = None;
        for place in ground.helper_socket.ancestors() {
            if place == Path::new("/") {
                break;
            }
            // Several mounts may lie on one another.
            while rustix::mount::unmount(place, UnmountFlags::DETACH)
                .map_err(|errno| refusal = Some(errno))
                .is_ok()
            {}
        }
        return match (unix(&ground.helper_socket), refusal) {
            (Ok(stream), _) => ask(stream),
            (Err(_), Some(errno)) => Err(refused("umount")(errno)),
            (Err(outcome), None) => Err(outcome),
        };
    }
    // Nothing hides it from the control run, whose mounts are the machine's own.
    unix(&ground.helper_socket).and_then(ask)
}

fn mount_over() -> Tried {
    become_root_of(UnshareFlags::NEWNS)?;
    make_private()?;
    rustix::mount::mount("none", "/etc", "tmpfs", MountFlags::empty(), None)
        .map_err(refused("mount"))?;
    // Names go through the guard resolver whatever resolv.conf says; the guard is still one
    // mount weaker than it was.
    escaped("mounted over /etc")
}

fn mount_by_new_calls() -> Tried {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsmount,
        fsopen, move_mount,
    };
    become_root_of(UnshareFlags::NEWNS)?;
    make_private()?;
    let file_system = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(refused("fsopen"))?;
    fsconfig_create(&file_system).map_err(refused("fsconfig"))?;
    let mount = fsmount(
        &file_system,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .map_err(refused("fsmount"))?;
    move_mount(
        &mount,
        "",
        rustix::fs::CWD,
        "/etc",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(refused("move_mount"))?;
    escaped("mounted over /etc")
}

/// Nothing that is mounted here may show outside.
pub(super) fn make_private() -> Tried {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(refused("mount --make-rprivate"))
}
