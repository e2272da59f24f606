//! Sockets whose calls take addresses, options and control messages as plain bytes.
//!
//! Attackers do not keep to what safe wrappers can express: an address of the wrong family, a
//! control message that no library knows, a protocol that it has never heard of.
#![expect(
    unsafe_code,
    reason = "socket calls with addresses, options and control messages as plain bytes"
)]

use std::{
    ffi::c_int,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use crate::escape::{Ground, Outcome, attempt::Tried};

/// How long a blocking call may take, in microseconds: the far side answers within one.
const PATIENCE_US: libc::suseconds_t = 300_000;

/// A socket of any family.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// `what` is the name of the family or protocol, for people.
    pub(super) fn open(
        ground: &Ground,
        what: &str,
        family: c_int,
        kind: c_int,
        protocol: c_int,
    ) -> Tried<Self> {
        // SAFETY: takes numbers only.
        let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
        let error = match check(fd) {
            Ok(fd) => {
                // SAFETY: a descriptor that the kernel has just made, and nobody else knows.
                let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
                socket.be_impatient();
                return Ok(socket);
            }
            Err(error) => error,
        };
        let is_unknown = matches!(
            error.raw_os_error(),
            Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT | libc::EAFNOSUPPORT)
        );
        // Under a guard the same errno may be the guard's; the control run knows.
        if is_unknown && !ground.guarded {
            return Err(Outcome::Absent(format!("this kernel has no {what}")));
        }
        Err(Outcome::Refused(format!("socket for {what}: {error}")))
    }

    pub(super) fn udp4(ground: &Ground) -> Tried<Self> {
        Self::open(ground, "UDP", libc::AF_INET, libc::SOCK_DGRAM, 0)
    }

    pub(super) fn udp6(ground: &Ground) -> Tried<Self> {
        Self::open(ground, "UDP over IPv6", libc::AF_INET6, libc::SOCK_DGRAM, 0)
    }

    pub(super) fn tcp4(ground: &Ground) -> Tried<Self> {
        Self::open(ground, "TCP", libc::AF_INET, libc::SOCK_STREAM, 0)
    }

    pub(super) fn tcp6(ground: &Ground) -> Tried<Self> {
        Self::open(
            ground,
            "TCP over IPv6",
            libc::AF_INET6,
            libc::SOCK_STREAM,
            0,
        )
    }

    /// Limits every blocking call. Families without timeouts do not block on the far side.
    fn be_impatient(&self) {
        let limit = libc::timeval {
            tv_sec: 0,
            tv_usec: PATIENCE_US,
        };
        let size = libc::socklen_t::try_from(size_of_val(&limit)).unwrap_or(0);
        for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
            // SAFETY: a live descriptor, and a value of the size that is named.
            let _without_timeouts = unsafe {
                libc::setsockopt(
                    self.0.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const limit).cast(),
                    size,
                )
            };
        }
    }

    pub(super) fn connect(&self, to: &[u8]) -> Tried {
        // SAFETY: a live descriptor, and a buffer with its length.
        let result = unsafe { libc::connect(self.0.as_raw_fd(), to.as_ptr().cast(), length(to)) };
        done(result, "connect")
    }

    pub(super) fn bind(&self, to: &[u8]) -> Tried {
        // SAFETY: a live descriptor, and a buffer with its length.
        let result = unsafe { libc::bind(self.0.as_raw_fd(), to.as_ptr().cast(), length(to)) };
        done(result, "bind")
    }

    pub(super) fn listen(&self) -> Tried {
        // SAFETY: takes numbers only.
        done(unsafe { libc::listen(self.0.as_raw_fd(), 8) }, "listen")
    }

    pub(super) fn accept(&self) -> Tried<Self> {
        // SAFETY: no buffer is given, and none is wanted.
        let fd = unsafe {
            libc::accept4(
                self.0.as_raw_fd(),
                ptr::null_mut(),
                ptr::null_mut(),
                libc::SOCK_CLOEXEC,
            )
        };
        let fd = check(fd).map_err(Outcome::refused("accept"))?;
        // SAFETY: a descriptor that the kernel has just made, and nobody else knows.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        socket.be_impatient();
        Ok(socket)
    }

    /// Sets an option to plain bytes.
    pub(super) fn set(&self, level: c_int, option: c_int, value: &[u8]) -> Tried {
        // SAFETY: a live descriptor, and a buffer with its length.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                value.as_ptr().cast(),
                length(value),
            )
        };
        done(result, "setsockopt")
    }

    pub(super) fn set_int(&self, level: c_int, option: c_int, value: c_int) -> Tried {
        self.set(level, option, &value.to_ne_bytes())
    }

    /// Sends on a connected socket.
    pub(super) fn send(&self, payload: &[u8]) -> Tried {
        self.send_to(payload, 0, &[])
    }

    /// Sends to an address; an empty one is none.
    pub(super) fn send_to(&self, payload: &[u8], flags: c_int, to: &[u8]) -> Tried {
        let name = if to.is_empty() {
            ptr::null()
        } else {
            to.as_ptr()
        };
        // SAFETY: a live descriptor, and two buffers with their lengths; a null one has length 0.
        let result = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                payload.as_ptr().cast(),
                payload.len(),
                flags | libc::MSG_NOSIGNAL,
                name.cast(),
                length(to),
            )
        };
        done_long(result, "send")
    }

    /// Sends with control messages; an empty address is none.
    pub(super) fn send_with(&self, payload: &[u8], to: &[u8], control: &[u8]) -> Tried {
        let mut part = part(payload);
        let message = message(&mut part, to, control);
        // SAFETY: a live descriptor; the message names buffers that outlive the call.
        let result =
            unsafe { libc::sendmsg(self.0.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        done_long(result, "sendmsg")
    }

    /// Sends one payload to several addresses with one `sendmmsg`. Fails unless all are taken.
    pub(super) fn send_to_all(&self, payload: &[u8], to: &[&[u8]]) -> Tried {
        let mut part = part(payload);
        let mut messages: Vec<_> = to
            .iter()
            .map(|to| libc::mmsghdr {
                msg_hdr: message(&mut part, to, &[]),
                msg_len: 0,
            })
            .collect();
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        // SAFETY: a live descriptor; `count` messages name buffers that outlive the call, and are
        // only read through, though the type asks for pointers that could write.
        let result = unsafe {
            libc::sendmmsg(
                self.0.as_raw_fd(),
                messages.as_mut_ptr(),
                count,
                libc::MSG_NOSIGNAL,
            )
        };
        let sent = check(result).map_err(Outcome::refused("sendmmsg"))?;
        if sent.cast_unsigned() == count {
            Ok(())
        } else {
            Err(Outcome::Refused(format!(
                "sendmmsg: took {sent} of {count} messages"
            )))
        }
    }

    /// Reads once, up to the time limit.
    pub(super) fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0_u8; 4096];
        // SAFETY: a live descriptor, and a buffer with its length.
        let result = unsafe {
            libc::recv(
                self.0.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            )
        };
        let Ok(read) = usize::try_from(result) else {
            return Err(io::Error::last_os_error());
        };
        buffer.truncate(read);
        Ok(buffer)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An `ioctl` that reads or writes a structure of plain bytes.
pub(super) fn control(
    fd: &impl AsFd,
    request: libc::Ioctl,
    argument: &mut [u8; 40],
    call: &'static str,
) -> Tried {
    // SAFETY: a live descriptor, and a buffer as large as `struct ifreq`, which is what every
    // request of this suite takes.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, argument.as_mut_ptr()) };
    done(result, call)
}

fn part(payload: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: payload.as_ptr().cast_mut().cast(),
        iov_len: payload.len(),
    }
}

/// A message header whose pointers hold as long as its three parts do.
fn message(part: &mut libc::iovec, to: &[u8], control: &[u8]) -> libc::msghdr {
    // SAFETY: all zeros are valid: null pointers with length 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    if !to.is_empty() {
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = length(to);
    }
    if !control.is_empty() {
        message.msg_control = control.as_ptr().cast_mut().cast();
        message.msg_controllen = control.len() as _;
    }
    message
}

fn length(bytes: &[u8]) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes.len()).unwrap_or(libc::socklen_t::MAX)
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn done(result: c_int, call: &'static str) -> Tried {
    check(result).map(|_| ()).map_err(Outcome::refused(call))
}

fn done_long(result: isize, call: &'static str) -> Tried {
    if result < 0 {
        Err(Outcome::refused(call)(io::Error::last_os_error()))
    } else {
        Ok(())
    }
}
