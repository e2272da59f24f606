//! The namespaces of a view.

use std::{
    fs,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    process,
};

use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, fork},
};
use rustix::thread::UnshareFlags;

use super::ViewError;
use crate::launch::privileges::User;

/// Every user and group, as they are (`user_namespaces(7)`).
const EVERYONE: &str = "0 0 4294967295";

/// The own user and group, and nobody else.
pub(super) fn of_user(user: User) -> Result<(), ViewError> {
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(ViewError::Namespace)?;
    let User { uid, gid } = user;
    for (path, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ] {
        fs::write(path, text).map_err(ViewError::Mounts)?;
    }
    Ok(())
}

/// Everyone as they are, which takes a writer that stays outside. Where the kernel has no user
/// namespaces even for root, a mount namespace alone, and a word that says so.
pub(super) fn of_root() -> Result<String, ViewError> {
    let writer = MapWriter::start().map_err(ViewError::Namespace)?;
    match unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) {
        Ok(()) => {
            writer.finish().map_err(ViewError::Mounts)?;
            Ok(String::new())
        }
        Err(error) => {
            writer.cancel();
            unshare(UnshareFlags::NEWNS).map_err(ViewError::Namespace)?;
            Ok(format!("without a user namespace: {error}"))
        }
    }
}

/// A child that stays outside and writes the maps when it is told to.
struct MapWriter {
    child: nix::unistd::Pid,
    go: PipeWriter,
}

impl MapWriter {
    #[expect(
        unsafe_code,
        reason = "fork(2) is unsafe in a process with several threads"
    )]
    fn start() -> io::Result<Self> {
        let (wait, go) = io::pipe()?;
        let parent = process::id();
        // SAFETY: this process has one thread (see `child::start`), so the child may do anything.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { child, go }),
            ForkResult::Child => {
                drop(go);
                let status = i32::from(write_maps(wait, parent).is_err());
                // SAFETY: ends the child without running what the parent has registered.
                unsafe { libc::_exit(status) }
            }
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.go.write_all(&[1])?;
        if waitpid(self.child, None)? == WaitStatus::Exited(self.child, 0) {
            Ok(())
        } else {
            Err(io::Error::other(
                "the maps of the user namespace were refused",
            ))
        }
    }

    /// Without a word, the child ends by itself.
    fn cancel(self) {
        drop(self.go);
        if let Err(error) = waitpid(self.child, None) {
            tracing::debug!(%error, "the writer of maps was not waited for");
        }
    }
}

fn write_maps(mut wait: PipeReader, of: u32) -> io::Result<()> {
    wait.read_exact(&mut [0])?;
    fs::write(format!("/proc/{of}/uid_map"), EVERYONE)?;
    fs::write(format!("/proc/{of}/gid_map"), EVERYONE)
}

/// The calling thread is the only one: see [`crate::launch::child::start`].
#[expect(unsafe_code, reason = "rustix marks unshare unsafe for CLONE_FILES")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: unsafe only when the table of descriptors is unshared, which is not asked for.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}
