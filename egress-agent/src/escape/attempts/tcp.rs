//! TCP in all its dresses.

use std::net::{SocketAddr, TcpStream};

use crate::escape::{Attempt, Ground, Outcome, attempt::Tried, ground};

pub(super) const ALL: &[Attempt] = &[Attempt {
    name: "tcp-connect",
    title: "TCP connect to an address that no rule allows",
    run: |ground| Outcome::of(connect(ground)),
    limit: None,
}];

fn connect(_: &Ground) -> Tried {
    let bait = SocketAddr::from((ground::BAIT_V4, ground::BAIT_PORT));
    TcpStream::connect_timeout(&bait, std::time::Duration::from_millis(500))
        .map(drop)
        .map_err(Outcome::refused("connect"))
}
