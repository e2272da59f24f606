//! Becoming the user, and giving up what could bring anything back.

use std::{ffi::CString, io};

use caps::{CapSet, Capability, errors::CapsError};
use rustix::{
    process::{Gid, Uid},
    thread,
};

/// Whom to become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// Why privileges are still there.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    #[error("{step}")]
    Io {
        step: &'static str,
        source: io::Error,
    },
    #[error("{step}")]
    Capabilities {
        step: &'static str,
        source: CapsError,
    },
}

/// Groups whose members can become root or start what is not guarded: a session that root starts
/// for a user does not get them. A user's own groups cannot be taken away without root.
const STRONG: &[&str] = &[
    "admin",
    "disk",
    "docker",
    "incus",
    "incus-admin",
    "kmem",
    "libvirt",
    "lxd",
    "microk8s",
    "podman",
    "root",
    "shadow",
    "staff",
    "sudo",
    "sys",
    "systemd-journal",
    "wheel",
];

/// Becomes another user, with that user's groups but the strong ones.
pub fn become_user(user: User) -> Result<(), PrivilegeError> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = groups(user).into_iter().map(Gid::from_raw).collect();
    // The bounding set can be emptied only by who still holds CAP_SETPCAP.
    empty_bounding_set()?;
    thread::set_thread_groups(&groups).map_err(errno("set the groups"))?;
    thread::set_thread_res_gid(gid, gid, gid).map_err(errno("set the group"))?;
    thread::set_thread_res_uid(uid, uid, uid).map_err(errno("set the user"))
}

/// Gives up every capability, and every way to get one by executing a file.
pub fn drop_all() -> Result<(), PrivilegeError> {
    empty_bounding_set()?;
    for (set, step) in [
        (CapSet::Ambient, "empty the ambient set"),
        (CapSet::Inheritable, "empty the inheritable set"),
        (CapSet::Effective, "empty the effective set"),
        (CapSet::Permitted, "empty the permitted set"),
    ] {
        caps::clear(None, set).map_err(capabilities(step))?;
    }
    thread::set_no_new_privs(true).map_err(errno("set no_new_privs"))?;
    let left = caps::read(None, CapSet::Permitted).map_err(capabilities("read capabilities"))?;
    if left.is_empty() && thread::no_new_privs().unwrap_or(false) {
        Ok(())
    } else {
        Err(PrivilegeError::Io {
            step: "check that privileges are gone",
            source: io::Error::other("the kernel still shows some"),
        })
    }
}

/// For who does not hold `CAP_SETPCAP`, `no_new_privs` keeps the set from ever mattering.
fn empty_bounding_set() -> Result<(), PrivilegeError> {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        caps::clear(None, CapSet::Bounding).map_err(capabilities("empty the bounding set"))?;
    }
    Ok(())
}

/// The groups that a user gets; a number without an entry in passwd(5) has its one group.
fn groups(user: User) -> Vec<u32> {
    let entry = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(user.uid));
    let listed = entry.ok().flatten().and_then(|entry| {
        let name = CString::new(entry.name).ok()?;
        nix::unistd::getgrouplist(&name, nix::unistd::Gid::from_raw(user.gid)).ok()
    });
    let named = listed.unwrap_or_default().into_iter().map(|gid| {
        let group = nix::unistd::Group::from_gid(gid).ok().flatten();
        (gid.as_raw(), group.map(|group| group.name))
    });
    keep(user.gid, named)
}

/// The primary group, and of the others those that are known not to be strong.
fn keep(primary: u32, others: impl Iterator<Item = (u32, Option<String>)>) -> Vec<u32> {
    let mut kept = vec![primary];
    for (gid, name) in others {
        let is_weak = name.is_some_and(|name| !STRONG.contains(&name.as_str()));
        if is_weak && gid != 0 && !kept.contains(&gid) {
            kept.push(gid);
        }
    }
    kept
}

fn errno(step: &'static str) -> impl FnOnce(rustix::io::Errno) -> PrivilegeError {
    move |errno| PrivilegeError::Io {
        step,
        source: errno.into(),
    }
}

fn capabilities(step: &'static str) -> impl FnOnce(CapsError) -> PrivilegeError {
    move |source| PrivilegeError::Capabilities { step, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_and_unknown_groups_are_not_kept() {
        let others = [
            (1000, Some("me")),
            (27, Some("sudo")),
            (998, Some("docker")),
            (44, Some("video")),
            (4242, None),
            (0, Some("roots")),
        ];
        let others = others.map(|(gid, name)| (gid, name.map(str::to_owned)));
        assert_eq!(keep(1000, others.into_iter()), [1000, 44]);
    }
}
