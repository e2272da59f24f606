//! The kernel's key service, which resolves names as root and outside of every cgroup, and the
//! other doors to the kernel's calls.

use std::io;

use super::{
    bait::{absent, escaped},
    system::{self, Word},
};
use crate::escape::{Attempt, Ground, Outcome, attempt::Tried, ground::DENIED_NAME};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "request-key",
        title: "a name resolved by the kernel's key service (request_key)",
        run: |_| Outcome::of(request_key(0)),
        limit: None,
    },
    Attempt {
        name: "add-key",
        title: "a key added to the kernel's key service",
        run: |_| Outcome::of(add_key()),
        limit: None,
    },
    Attempt {
        name: "keyctl",
        title: "the key rings of the kernel (keyctl)",
        run: |_| Outcome::of(keyctl()),
        limit: None,
    },
    Attempt {
        name: "request-key-x32",
        title: "request_key by the x32 entry",
        run: |ground| Outcome::of(x32(ground)),
        limit: None,
    },
    Attempt {
        name: "keyctl-i386",
        title: "keyctl by the 32-bit entry (int 0x80)",
        run: |_| Outcome::of(keyctl_i386()),
        limit: None,
    },
    Attempt {
        name: "socket-i386",
        title: "a packet socket by the 32-bit entry (int 0x80)",
        run: |_| Outcome::of(socket_i386()),
        limit: None,
    },
];

/// `KEYCTL_GET_KEYRING_ID` with "make it" of `KEY_SPEC_PROCESS_KEYRING`: the least harmful one.
const GET_KEYRING: [isize; 3] = [0, -2, 1];
/// `__X32_SYSCALL_BIT`.
const X32: i64 = 0x4000_0000;

/// Whether the key service looked at a call: what it then says of the key does not matter.
fn reached(call: &'static str, result: io::Result<usize>) -> Tried {
    match result {
        Ok(_) => escaped(format!("{call} was carried out")),
        Err(error) => match error.raw_os_error() {
            Some(libc::EPERM | libc::ENOSYS) => Err(Outcome::refused(call)(error)),
            _ => escaped(format!("{call} reached the kernel, which said: {error}")),
        },
    }
}

/// Without information for a program outside, so that the control run starts none: whoever may
/// make this call may make the one that does.
fn request_key(door: i64) -> Tried {
    let description = format!("a:{DENIED_NAME}\0");
    let result = system::call(
        libc::SYS_request_key + door,
        vec![
            Word::In(b"dns_resolver\0"),
            Word::In(description.as_bytes()),
            Word::Number(0),
            Word::Number(0),
        ],
    );
    reached("request_key", result)
}

fn add_key() -> Tried {
    let process_keyring = (-2_isize).cast_unsigned();
    let result = system::call(
        libc::SYS_add_key,
        vec![
            Word::In(b"user\0"),
            Word::In(b"egressd-escape\0"),
            Word::In(super::bait::MARK),
            Word::Number(super::bait::MARK.len()),
            Word::Number(process_keyring),
        ],
    );
    reached("add_key", result)
}

fn keyctl() -> Tried {
    reached(
        "keyctl",
        system::plain(libc::SYS_keyctl, &GET_KEYRING.map(isize::cast_unsigned)),
    )
}

fn x32(ground: &Ground) -> Tried {
    if cfg!(not(target_arch = "x86_64")) {
        return absent("this processor has no x32 entry");
    }
    match request_key(X32) {
        Err(Outcome::Refused(_)) if !ground.guarded => absent("this kernel has no x32 entry"),
        tried => tried,
    }
}

fn keyctl_i386() -> Tried {
    const KEYCTL: u32 = 288;
    let arguments =
        GET_KEYRING.map(|argument| i32::try_from(argument).unwrap_or(0).cast_unsigned());
    by_i386("keyctl", KEYCTL, arguments)
}

fn socket_i386() -> Tried {
    const SOCKET: u32 = 359;
    let arguments = [libc::AF_PACKET, libc::SOCK_DGRAM, 0].map(i32::cast_unsigned);
    by_i386("socket", SOCKET, arguments)
}

fn by_i386(call: &'static str, number: u32, arguments: [u32; 3]) -> Tried {
    // A kernel without the entry ends the process that uses it, so another one asks.
    match system::in_child(None, || match system::i386(number, arguments) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            absent("this processor has no 32-bit entry")
        }
        result => reached(call, result.map(|result| result as usize)),
    }) {
        Outcome::Sent => Ok(()),
        outcome @ (Outcome::Refused(_) | Outcome::Absent(_) | Outcome::Escaped(_)) => Err(outcome),
    }
}
