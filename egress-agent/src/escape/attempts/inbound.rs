//! Connections that the far side makes: an answer is a way out too.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    place::{MARK, allowed4, v4, v6},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{Attempt, Ground, Outcome, attempt::Tried};

pub(super) const ALL: &[Attempt] = &[Attempt {
    name: "inbound-accept",
    title: "a listener in the session that the far side calls",
    run: |ground| {
        Outcome::of(strongest([
            answer(ground, Socket::tcp4(ground), &v4(Ipv4Addr::UNSPECIFIED, 0)),
            answer(
                ground,
                Socket::tcp6(ground),
                &v6(Ipv6Addr::UNSPECIFIED, 0, 0),
            ),
        ]))
    },
    limit: None,
}];

/// The allowed place is on the other side too, and asks the bait to call.
fn answer(ground: &Ground, socket: Tried<Socket>, at: &[u8]) -> Tried {
    let socket = socket?;
    socket.bind(at)?;
    socket.listen()?;
    let port = socket.port()?;
    let accomplice = Socket::tcp4(ground)?;
    accomplice.connect(&allowed4())?;
    accomplice.send(format!("call {port}\n").as_bytes())?;
    socket.accept()?.send(MARK)
}
