//! Sockets that were made outside: the kernel's hooks belong to the cgroup that made them.

use std::{
    io::{IoSliceMut, Write as _},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use rustix::{
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType, recvmsg,
        sockopt,
    },
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use super::{
    bait::{absent, abstracted, escaped, refused, send_on, unix},
    system::duplicate,
};
use crate::escape::{Attempt, Ground, Outcome, attempt::Tried};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "inherited-socket",
        title: "a socket that was left open when the session began",
        run: |ground| Outcome::of(inherited(ground)),
        limit: None,
    },
    Attempt {
        name: "passed-socket",
        title: "a socket passed by a program outside (SCM_RIGHTS)",
        run: |ground| Outcome::of(unix(&ground.helper_socket).and_then(|stream| passed(&stream))),
        limit: None,
    },
    Attempt {
        name: "passed-socket-abstract",
        title: "the same over an abstract UNIX socket",
        run: |ground| {
            Outcome::of(abstracted(&ground.helper_abstract).and_then(|stream| passed(&stream)))
        },
        limit: None,
    },
    Attempt {
        name: "pidfd-getfd",
        title: "a socket taken from a process outside (pidfd_getfd)",
        run: |ground| Outcome::of(taken(ground)),
        limit: None,
    },
];

/// How far the helper's descriptors are searched.
const LAST: i32 = 64;

fn inherited(ground: &Ground) -> Tried {
    match ground.inherited {
        Some(number) => send_on(duplicate(number)?),
        None if ground.guarded => Err(Outcome::Refused(
            "the descriptor was closed before the command began".to_owned(),
        )),
        None => absent("no socket was left open"),
    }
}

/// Asks for a socket over a UNIX socket, and sends from what comes.
fn passed(mut stream: &UnixStream) -> Tried {
    stream
        .write_all(b"pass\n")
        .map_err(Outcome::refused("write"))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0_u8; 64];
    recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut text)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .map_err(refused("recvmsg"))?;
    let socket = control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        })
        .ok_or_else(|| Outcome::Refused("recvmsg: no descriptor came along".to_owned()))?;
    send_on(socket)
}

/// Searches the helper's descriptors for a socket and copies it.
fn taken(ground: &Ground) -> Tried {
    let helper = i32::try_from(ground.helper_pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Outcome::Absent("there is no helper".to_owned()))?;
    let helper = pidfd_open(helper, PidfdFlags::empty()).map_err(refused("pidfd_open"))?;
    for number in 0..LAST {
        match pidfd_getfd(&helper, number, PidfdGetfdFlags::empty()) {
            Ok(socket) if is_udp(&socket) => return send_on(socket),
            Ok(_) | Err(rustix::io::Errno::BADF) => {}
            Err(errno) => return Err(refused("pidfd_getfd")(errno)),
        }
    }
    // Nothing to send from, but every door is open.
    escaped("took the descriptors of a process outside")
}

fn is_udp(descriptor: &OwnedFd) -> bool {
    sockopt::socket_type(descriptor).is_ok_and(|kind| kind == SocketType::DGRAM)
        && sockopt::socket_domain(descriptor)
            .is_ok_and(|family| family == AddressFamily::INET || family == AddressFamily::INET6)
}
