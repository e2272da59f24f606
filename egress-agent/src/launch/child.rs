//! The child's side: enter, give up, become the command.

use std::{
    convert::Infallible, ffi::OsString, io, os::unix::process::CommandExt as _, path::Path,
    process::Command,
};

use caps::CapSet;
use rustix::{
    process::{Gid, Uid},
    thread,
};

use super::descriptors::{self, OpenSocket};
use crate::{
    control::{client::Client, message::Request},
    kernel::Hierarchy,
};

/// Why the command was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0:#}")]
    Control(anyhow::Error),
    #[error(
        "asked to be put into the cgroup `{wanted}` and found itself in `{found}`; the command was not started"
    )]
    NotInside { wanted: String, found: String },
    #[error("{step}: {source}; the command was not started")]
    Step {
        step: &'static str,
        source: io::Error,
    },
    #[error("{step}: {source}; the command was not started")]
    Capabilities {
        step: &'static str,
        source: caps::errors::CapsError,
    },
    #[error(
        "this would run as root, and root inside the guard can move itself out of its cgroup; run as another user, name one with `--user`, or accept it with `--allow-root`"
    )]
    Root,
    #[error(transparent)]
    OpenSocket(#[from] OpenSocket),
    #[error("cannot execute `{command}`: {source}")]
    Exec { command: String, source: io::Error },
}

/// What the child is asked to do.
#[derive(Debug)]
pub struct Start<'a> {
    pub socket: &'a Path,
    pub guard: Option<String>,
    pub session: String,
    pub user: Option<User>,
    pub allow_root: bool,
    pub command: &'a [OsString],
}

/// Whom to become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// Enters the session and becomes the command. Returns only when that failed.
///
/// Must run in a process with one thread: user and groups are set for the thread.
pub fn start(start: &Start<'_>) -> Result<Infallible, StartError> {
    let becomes_root = start
        .user
        .map_or_else(|| thread_uid() == 0, |user| user.uid == 0);
    if becomes_root && !start.allow_root {
        return Err(StartError::Root);
    }
    descriptors::check_standard_streams()?;
    enter(start)?;
    close_descriptors_on_exec()?;
    drop_privileges(start.user)?;
    become_command(start.command)
}

/// Asks the daemon for the session, and does not believe it: the kernel says where we are.
fn enter(start: &Start<'_>) -> Result<(), StartError> {
    let mut client =
        Client::connect(start.socket).map_err(|error| StartError::Control(error.into()))?;
    let reply = client
        .request(&Request::Enter {
            guard: start.guard.clone(),
            session: Some(start.session.clone()),
            command: start
                .command
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect(),
        })
        .map_err(|error| StartError::Control(error.into()))?;
    let wanted = reply
        .into_entered()
        .ok_or_else(|| StartError::Control(anyhow::anyhow!("egressd answered something else")))?
        .cgroup;
    let found = Hierarchy::of_self().map_err(step("read the own cgroup"))?;
    if found == wanted {
        Ok(())
    } else {
        Err(StartError::NotInside { wanted, found })
    }
}

/// A descriptor that was opened outside the guard keeps what it had: only 0, 1 and 2 go along.
#[expect(unsafe_code, reason = "no safe wrapper of close_range(2) is at hand")]
fn close_descriptors_on_exec() -> Result<(), StartError> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: marks descriptors; closes none, so no owner in this process is left with a dead one.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(step("mark descriptors for closing")(
            io::Error::last_os_error(),
        ))
    }
}

/// Gives up user, capabilities and every way to get them back.
fn drop_privileges(user: Option<User>) -> Result<(), StartError> {
    // The bounding set can be emptied only by who still holds CAP_SETPCAP. For everyone else,
    // no_new_privs below keeps it from ever mattering.
    if caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP).unwrap_or(false) {
        caps::clear(None, CapSet::Bounding).map_err(capability_step("empty the bounding set"))?;
    }
    if let Some(user) = user {
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        thread::set_thread_groups(&[gid]).map_err(errno_step("set the groups"))?;
        thread::set_thread_res_gid(gid, gid, gid).map_err(errno_step("set the group"))?;
        thread::set_thread_res_uid(uid, uid, uid).map_err(errno_step("set the user"))?;
    }
    for (set, name) in [
        (CapSet::Ambient, "empty the ambient set"),
        (CapSet::Inheritable, "empty the inheritable set"),
        (CapSet::Effective, "empty the effective set"),
        (CapSet::Permitted, "empty the permitted set"),
    ] {
        caps::clear(None, set).map_err(capability_step(name))?;
    }
    thread::set_no_new_privs(true).map_err(errno_step("set no_new_privs"))?;
    let left = caps::read(None, CapSet::Permitted).map_err(capability_step("read capabilities"))?;
    if left.is_empty() && thread::no_new_privs().unwrap_or(false) {
        Ok(())
    } else {
        Err(step("check that privileges are gone")(io::Error::other(
            "the kernel still shows some",
        )))
    }
}

fn become_command(command: &[OsString]) -> Result<Infallible, StartError> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(StartError::Exec {
            command: String::new(),
            source: io::Error::from(io::ErrorKind::NotFound),
        });
    };
    let source = Command::new(program).args(arguments).exec();
    Err(StartError::Exec {
        command: program.to_string_lossy().into_owned(),
        source,
    })
}

impl StartError {
    /// The exit status that says what went wrong.
    pub fn status(&self) -> u8 {
        match self {
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                super::status::NOT_FOUND
            }
            Self::Exec { .. } => super::status::NOT_EXECUTABLE,
            Self::Control(_)
            | Self::NotInside { .. }
            | Self::Step { .. }
            | Self::Capabilities { .. }
            | Self::OpenSocket(_)
            | Self::Root => super::status::NOT_STARTED,
        }
    }
}

fn thread_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn step(step: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Step { step, source }
}

fn errno_step(name: &'static str) -> impl FnOnce(rustix::io::Errno) -> StartError {
    move |errno| step(name)(errno.into())
}

fn capability_step(step: &'static str) -> impl FnOnce(caps::errors::CapsError) -> StartError {
    move |source| StartError::Capabilities { step, source }
}
