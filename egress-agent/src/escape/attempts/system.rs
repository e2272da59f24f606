//! System calls that no crate wraps, and processes of an attempt's own.
#![expect(
    unsafe_code,
    reason = "attackers use calls that safe wrappers refuse to make"
)]

use std::{
    ffi::{c_int, c_long},
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use crate::escape::{Outcome, attempt::Tried};

use super::bait::refused;

/// An argument of a system call.
#[derive(Debug)]
pub(super) enum Word<'a> {
    Number(usize),
    In(&'a [u8]),
    Out(&'a mut [u8]),
}

/// Makes a system call that touches no memory but the buffers it is given. Not for calls that
/// change the address space.
pub(super) fn call(number: c_long, arguments: Vec<Word<'_>>) -> io::Result<usize> {
    let mut words = [0_usize; 6];
    for (word, argument) in words.iter_mut().zip(arguments) {
        *word = match argument {
            Word::Number(number) => number,
            Word::In(bytes) => bytes.as_ptr().addr(),
            Word::Out(bytes) => bytes.as_mut_ptr().addr(),
        };
    }
    let [first, second, third, fourth, fifth, sixth] = words;
    // SAFETY: pointers are buffers that are borrowed until the call has returned; by the contract
    // above the call reads and writes nothing else.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    usize::try_from(result).map_err(|_negative| io::Error::last_os_error())
}

/// A call with numbers only.
pub(super) fn plain(number: c_long, arguments: &[usize]) -> io::Result<usize> {
    call(
        number,
        arguments.iter().copied().map(Word::Number).collect(),
    )
}

/// A copy of a descriptor that is known by its number only: the number may be wrong, and what
/// another part owns stays open.
pub(super) fn duplicate(number: i32) -> Tried<OwnedFd> {
    // SAFETY: takes numbers only.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(Outcome::refused("fcntl")(io::Error::last_os_error()));
    }
    // SAFETY: a descriptor that the kernel has just made, and nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Leaves namespaces. The process has one thread, and no descriptor table is unshared.
pub(super) fn unshare(flags: rustix::thread::UnshareFlags) -> Tried {
    // SAFETY: `flags` never has FILES, which is all that the callee warns of.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(refused("unshare"))
}

/// Runs `body` in a child process, in the given cgroup if there is one, and gives its outcome.
pub(super) fn in_child(cgroup: Option<BorrowedFd<'_>>, body: impl FnOnce() -> Tried) -> Outcome {
    let (reader, writer) = match io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return Outcome::refused("pipe")(error),
    };
    let child = match cgroup {
        None => fork(),
        Some(directory) => fork_into(directory),
    };
    let child = match child {
        Ok(child) => child,
        Err(outcome) => return outcome,
    };
    if child == 0 {
        let outcome = Outcome::of(body());
        if let Ok(text) = serde_json::to_vec(&outcome) {
            File::from(OwnedFd::from(writer))
                .write_all(&text)
                .unwrap_or_default();
        }
        // SAFETY: ends this process, and runs nothing of the parent's that was copied into it.
        unsafe { libc::_exit(0) };
    }
    drop(writer);
    let mut text = Vec::new();
    let read = File::from(OwnedFd::from(reader)).read_to_end(&mut text);
    // SAFETY: a child of this process; no status is asked for.
    let _reaped = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    match read
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_slice(&text))
    {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Refused("the child was killed before it could tell".to_owned()),
    }
}

fn fork() -> Tried<c_int> {
    // SAFETY: the process has one thread, so the child finds every lock free.
    let child = unsafe { libc::fork() };
    if child < 0 {
        Err(Outcome::refused("fork")(io::Error::last_os_error()))
    } else {
        Ok(child)
    }
}

/// A child that begins its life in another cgroup: `clone3` with `CLONE_INTO_CGROUP`.
fn fork_into(cgroup: BorrowedFd<'_>) -> Tried<c_int> {
    /// `struct clone_args` up to `cgroup`.
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let arguments = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        cgroup: u64::from(cgroup.as_raw_fd().cast_unsigned()),
        ..CloneArgs::default()
    };
    // SAFETY: without a stack and CLONE_VM this is a fork of a process with one thread.
    let child = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<CloneArgs>(),
        )
    };
    c_int::try_from(child)
        .ok()
        .filter(|child| *child >= 0)
        .ok_or_else(|| Outcome::refused("clone3")(io::Error::last_os_error()))
}

/// Makes a call of the 32-bit kernel interface, as any 64-bit process can. Numbers only, and only
/// calls that touch no memory.
#[cfg(target_arch = "x86_64")]
pub(super) fn i386(number: u32, arguments: [u32; 3]) -> io::Result<u32> {
    let [first, second, third] = arguments.map(u64::from);
    let mut result = number;
    // SAFETY: the call touches no memory. The entry keeps every register but rax and r8-r11, and
    // rbx, which the compiler keeps for itself, is put back.
    unsafe {
        core::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) first => _,
            inout("eax") result,
            in("rcx") second,
            in("rdx") third,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    let errno = result.cast_signed();
    if (-4095..0).contains(&errno) {
        Err(io::Error::from_raw_os_error(-errno))
    } else {
        Ok(result)
    }
}

/// Other processors have no such entry.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn i386(_: u32, _: [u32; 3]) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Pushes a letter into a terminal's input, as if it had been typed.
pub(super) fn push_into_terminal(terminal: &OwnedFd) -> Tried {
    let letter = b"x";
    // SAFETY: a live descriptor; the call reads one byte of a buffer that has one.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSTI, letter.as_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(Outcome::refused("TIOCSTI")(io::Error::last_os_error()))
    }
}
