//! `AF_VSOCK`: from an emulated machine to whatever runs it, past every IP hook.

use super::{
    place::{MARK, vsock},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{Attempt, Ground, Outcome, attempt::Tried};

pub(super) const ALL: &[Attempt] = &[Attempt {
    name: "vsock-connect",
    title: "AF_VSOCK to the machine that runs this one",
    run: |ground| Outcome::of(talk(ground)),
    limit: None,
}];

/// Set inside emulated kernels: nothing may be said to a host that did not ask for it.
const PERMISSION: &str = "EGRESS_VSOCK";
/// The kernel's own loop, `VMADDR_CID_LOCAL`.
const LOOPBACK: u32 = 1;
const PORT: u32 = 4433;

fn talk(ground: &Ground) -> Tried {
    if std::env::var_os(PERMISSION).is_none_or(|value| value != "1") {
        return Err(Outcome::Absent(format!(
            "tried in emulated kernels only, where {PERMISSION}=1"
        )));
    }
    let listener = Socket::open(ground, "AF_VSOCK", libc::AF_VSOCK, libc::SOCK_STREAM, 0)?;
    // Both ends are here: no capture sees it, so that it went through is the escape.
    listener.bind(&vsock(libc::VMADDR_CID_ANY, PORT))?;
    listener.listen()?;
    let stream = || {
        let socket = Socket::open(ground, "AF_VSOCK", libc::AF_VSOCK, libc::SOCK_STREAM, 0)?;
        socket.connect(&vsock(LOOPBACK, PORT))?;
        socket.send(MARK)?;
        let received = listener.accept()?.receive();
        if received.is_ok_and(|bytes| bytes == MARK) {
            return Err(Outcome::Escaped("the other end read it".to_owned()));
        }
        Ok(())
    };
    let datagram = || {
        let socket = Socket::open(
            ground,
            "AF_VSOCK datagrams",
            libc::AF_VSOCK,
            libc::SOCK_DGRAM,
            0,
        )?;
        socket.send_to(MARK, 0, &vsock(LOOPBACK, PORT))
    };
    strongest([stream(), datagram()])
}
