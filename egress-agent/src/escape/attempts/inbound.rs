//! Connections that the far side makes: an answer is a way out too.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    place::{MARK, v4, v6},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{Attempt, Outcome, attempt::Tried, ground::CALLED_PORT};

pub(super) const ALL: &[Attempt] = &[Attempt {
    name: "inbound-accept",
    title: "a listener in the session that the far side calls",
    run: |ground| {
        Outcome::of(strongest([
            answer(
                Socket::tcp4(ground),
                &v4(Ipv4Addr::UNSPECIFIED, CALLED_PORT),
            ),
            answer(
                Socket::tcp6(ground),
                &v6(Ipv6Addr::UNSPECIFIED, CALLED_PORT, 0),
            ),
        ]))
    },
    limit: None,
}];

/// The far side calls many times a second; see the arena.
fn answer(socket: Tried<Socket>, at: &[u8]) -> Tried {
    let socket = socket?;
    socket.set_int(libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    socket.bind(at)?;
    socket.listen()?;
    socket.accept()?.send(MARK)
}
