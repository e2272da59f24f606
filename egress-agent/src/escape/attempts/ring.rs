//! `io_uring`: the same calls, made by the kernel on the sender's behalf.
#![expect(
    unsafe_code,
    reason = "a ring's entries name memory that must outlive them"
)]

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    time::Duration,
};

use io_uring::{
    IoUring, opcode, squeue,
    types::{Fd, SubmitArgs, Timespec},
};

use super::{
    link::{self, device},
    place::{self, MARK, bait4},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{Attempt, Ground, Outcome, attempt::Tried};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "io-uring-connect",
        title: "io_uring: connect",
        run: |ground| Outcome::of(connect(ground)),
        limit: None,
    },
    Attempt {
        name: "io-uring-send",
        title: "io_uring: send and sendmsg to an address",
        run: |ground| Outcome::of(send(ground)),
        limit: None,
    },
    Attempt {
        name: "io-uring-socket",
        title: "io_uring: socket, which no filter of system calls sees",
        run: |ground| Outcome::of(socket(ground)),
        limit: None,
    },
    Attempt {
        name: "io-uring-polled",
        title: "io_uring: a kernel thread takes the entries (SQPOLL)",
        run: |ground| Outcome::of(polled(ground)),
        limit: None,
    },
];

const PATIENCE: Duration = Duration::from_millis(300);

fn ring(ground: &Ground, is_polled: bool) -> Tried<IoUring> {
    let mut builder = IoUring::builder();
    if is_polled {
        builder.setup_sqpoll(50);
    }
    match builder.build(4) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) && !ground.guarded => {
            Err(Outcome::Absent("this kernel has no io_uring".to_owned()))
        }
        Err(error) if is_switched_off(&error) && !ground.guarded => Err(Outcome::Absent(
            "kernel.io_uring_disabled is set on this machine".to_owned(),
        )),
        other => other.map_err(Outcome::refused("io_uring_setup")),
    }
}

fn is_switched_off(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
        && std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
            .is_ok_and(|value| value.trim() != "0")
}

/// Makes one call through the ring.
///
/// # Safety
/// What the entry names must live until this returns; after a time-out, until the process ends.
unsafe fn call(ring: &mut IoUring, entry: &squeue::Entry, name: &'static str) -> Tried<i32> {
    // SAFETY: the caller vouches for the entry.
    let pushed = unsafe { ring.submission().push(entry) };
    pushed.map_err(|full| Outcome::Refused(format!("{name}: {full}")))?;
    let patience = Timespec::from(PATIENCE);
    let arguments = SubmitArgs::new().timespec(&patience);
    let waited = ring.submitter().submit_with_args(1, &arguments);
    let Some(completion) = ring.completion().next() else {
        waited.map_err(Outcome::refused(name))?;
        return Err(Outcome::Refused(format!("{name}: no completion")));
    };
    let result = completion.result();
    if result < 0 {
        return Err(Outcome::refused(name)(io::Error::from_raw_os_error(
            -result,
        )));
    }
    Ok(result)
}

fn connect_through(ring: &mut IoUring, fd: RawFd, to: &'static [u8]) -> Tried<i32> {
    let size = u32::try_from(to.len()).unwrap_or(0);
    let entry = opcode::Connect::new(Fd(fd), to.as_ptr().cast(), size).build();
    // SAFETY: the address lives as long as the process.
    unsafe { call(ring, &entry, "io_uring connect") }
}

fn send_through(
    ring: &mut IoUring,
    fd: RawFd,
    payload: &'static [u8],
    to: &'static [u8],
) -> Tried<i32> {
    let size = u32::try_from(payload.len()).unwrap_or(0);
    let entry = opcode::Send::new(Fd(fd), payload.as_ptr(), size)
        .dest_addr(to.as_ptr().cast())
        .dest_addr_len(u32::try_from(to.len()).unwrap_or(0))
        .build();
    // SAFETY: payload and address live as long as the process.
    unsafe { call(ring, &entry, "io_uring send") }
}

fn send_message_through(ring: &mut IoUring, fd: RawFd, to: &'static [u8]) -> Tried<i32> {
    let part = Box::leak(Box::new(libc::iovec {
        iov_base: MARK.as_ptr().cast_mut().cast(),
        iov_len: MARK.len(),
    }));
    // SAFETY: all zeros are valid: null pointers with length 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = to.as_ptr().cast_mut().cast();
    message.msg_namelen = u32::try_from(to.len()).unwrap_or(0);
    message.msg_iov = part;
    message.msg_iovlen = 1;
    let message = Box::leak(Box::new(message));
    let entry = opcode::SendMsg::new(Fd(fd), message).build();
    // SAFETY: the message and all that it names live as long as the process.
    unsafe { call(ring, &entry, "io_uring sendmsg") }
}

fn socket_through(ring: &mut IoUring, kind: i32) -> Tried<OwnedFd> {
    let entry = opcode::Socket::new(libc::AF_INET, kind, 0).build();
    // SAFETY: the entry names no memory.
    let fd = unsafe { call(ring, &entry, "io_uring socket") }?;
    // SAFETY: a descriptor that the kernel has just made, and nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The bait's address for as long as the process lives, which is as long as the kernel may ask.
fn bait() -> &'static [u8] {
    bait4().leak()
}

fn connect(ground: &Ground) -> Tried {
    let mut ring = ring(ground, false)?;
    strongest([Socket::tcp4(ground), Socket::udp4(ground)].map(|socket| {
        let socket = socket?;
        connect_through(&mut ring, socket.as_fd().as_raw_fd(), bait())?;
        socket.send(MARK)
    }))
}

fn send(ground: &Ground) -> Tried {
    let mut ring = ring(ground, false)?;
    let socket = Socket::udp4(ground)?;
    let fd = socket.as_fd().as_raw_fd();
    strongest([
        send_through(&mut ring, fd, MARK, bait()).map(drop),
        send_message_through(&mut ring, fd, bait()).map(drop),
    ])
}

fn socket(ground: &Ground) -> Tried {
    let mut ring = ring(ground, false)?;
    let datagram = socket_through(&mut ring, libc::SOCK_DGRAM)
        .and_then(|socket| send_through(&mut ring, socket.as_raw_fd(), MARK, bait()).map(drop));
    // A raw socket is made where only `socket` is filtered.
    let entry = opcode::Socket::new(libc::AF_PACKET, libc::SOCK_RAW, 0).build();
    // SAFETY: the entry names no memory.
    let packet = unsafe { call(&mut ring, &entry, "io_uring socket of AF_PACKET") };
    let packet = packet.and_then(|fd| {
        let to = place::link(device(ground)?, 0x0800, [0xff; 6]).leak();
        send_through(&mut ring, fd, link::whole_frame().leak(), to).map(drop)
    });
    strongest([datagram, packet])
}

fn polled(ground: &Ground) -> Tried {
    let mut ring = ring(ground, true)?;
    let socket = Socket::udp4(ground)?;
    let fd = socket.as_fd().as_raw_fd();
    let made = socket_through(&mut ring, libc::SOCK_DGRAM)
        .and_then(|socket| send_through(&mut ring, socket.as_raw_fd(), MARK, bait()).map(drop));
    strongest([send_through(&mut ring, fd, MARK, bait()).map(drop), made])
}
