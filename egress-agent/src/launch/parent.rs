//! The parent's side: starts the child, forwards signals, waits, and says how it ended.

use std::{ffi::OsString, io, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use super::child::Start;
use crate::programs::{self, Program};
use rustix::process::{DumpableBehavior, Pid, Signal, kill_process, set_dumpable_behavior};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

/// The arguments with which egressd and egressctl start themselves as the child.
pub fn enter_arguments(start: &Start<'_>) -> Vec<OsString> {
    let Start {
        socket,
        guard,
        session,
        user,
        allow_root,
        tells_holds,
        sets_proxy,
        observes,
        command,
    } = start;
    let mut arguments: Vec<OsString> = vec!["enter".into(), "--socket".into(), socket.into()];
    arguments.extend(["--session".into(), session.into()]);
    if let Some(guard) = guard {
        arguments.extend(["--guard".into(), guard.into()]);
    }
    if let Some(user) = user {
        arguments.extend(["--uid".into(), user.uid.to_string().into()]);
        arguments.extend(["--gid".into(), user.gid.to_string().into()]);
    }
    if *allow_root {
        arguments.push("--allow-root".into());
    }
    if *tells_holds {
        arguments.push("--tell-holds".into());
    }
    if *sets_proxy {
        arguments.push("--set-proxy".into());
    }
    if *observes {
        arguments.push("--observe".into());
    }
    arguments.push("--".into());
    arguments.extend(command.iter().cloned());
    arguments
}

/// Starts this program with `arguments` as the child that will enter the session.
///
/// This process becomes undumpable first: a guarded process of the same user can then neither
/// trace it nor take its descriptors (`ptrace(2)`, `pidfd_getfd(2)`).
pub fn spawn(arguments: &[OsString]) -> io::Result<Child> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Command::from(programs::again(Program::Egressctl))
        .args(arguments)
        .spawn()
}

/// Waits for the child, forwarding what a terminal or a supervisor sends to this process alone.
///
/// SIGINT and SIGQUIT of a terminal reach the child by themselves, as it is in the same process
/// group; here they are only survived.
pub async fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut user1 = signal(SignalKind::user_defined1())?;
    let mut user2 = signal(SignalKind::user_defined2())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    loop {
        let forwarded = tokio::select! {
            status = child.wait() => return status,
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
            _ = user1.recv() => Signal::USR1,
            _ = user2.recv() => Signal::USR2,
            _ = interrupt.recv() => continue,
            _ = quit.recv() => continue,
        };
        if let Some(pid) = pid {
            // A child that has just ended cannot be reached; `wait` says so next.
            kill_process(pid, forwarded).unwrap_or_default();
        }
    }
}

/// The exit code of a child, as a shell gives it: 128 and the signal for one that was killed.
pub fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or_else(|| i32::from(super::status::NOT_STARTED));
    u8::try_from(code).unwrap_or(u8::MAX)
}
