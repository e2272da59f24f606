//! TCP in all its dresses.

use std::ffi::c_int;

use super::{
    place::{MARK, allowed4, as_family, bait_mapped, bait4, bait6, nowhere, v4, v6},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{
    Attempt, Ground, Outcome,
    attempt::Tried,
    ground::{ALLOWED_PORT, ALLOWED_V4, ALLOWED_V6, BAIT_PORT},
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "tcp-connect",
        title: "TCP connect to an address that no rule allows",
        run: |ground| Outcome::of(talk(&Socket::tcp4(ground), &bait4())),
        limit: None,
    },
    Attempt {
        name: "tcp-connect-v6",
        title: "the same over IPv6",
        run: |ground| Outcome::of(talk(&Socket::tcp6(ground), &bait6())),
        limit: None,
    },
    Attempt {
        name: "tcp-connect-mapped",
        title: "TCP to an IPv4 address from an IPv6 socket",
        run: |ground| Outcome::of(talk(&Socket::tcp6(ground), &bait_mapped())),
        limit: None,
    },
    Attempt {
        name: "tcp-unlisted-port",
        title: "TCP to an allowed address on ports that no rule names",
        run: |ground| Outcome::of(unlisted_port(ground)),
        limit: None,
    },
    Attempt {
        name: "tcp-reconnect",
        title: "TCP socket connected to an allowed place, dissolved, connected again",
        run: |ground| Outcome::of(reconnect(ground)),
        limit: None,
    },
    Attempt {
        name: "tcp-fast-open",
        title: "TCP Fast Open by MSG_FASTOPEN: data with the first packet, no connect",
        run: |ground| Outcome::of(fast_open(ground)),
        limit: None,
    },
    Attempt {
        name: "tcp-fast-open-connect",
        title: "TCP Fast Open by TCP_FASTOPEN_CONNECT",
        run: |ground| Outcome::of(fast_open_connect(ground)),
        limit: None,
    },
    Attempt {
        name: "mptcp-connect",
        title: "Multipath TCP, both families",
        run: |ground| {
            Outcome::of(strongest([
                talk(&mptcp(ground, libc::AF_INET), &bait4()),
                talk(&mptcp(ground, libc::AF_INET6), &bait6()),
                talk(&mptcp(ground, libc::AF_INET6), &bait_mapped()),
            ]))
        },
        limit: None,
    },
    Attempt {
        name: "mptcp-fast-open",
        title: "Multipath TCP with data in the first packet",
        run: |ground| {
            Outcome::of(strongest([
                send_first(mptcp(ground, libc::AF_INET), &bait4()),
                send_first(mptcp(ground, libc::AF_INET6), &bait6()),
            ]))
        },
        limit: None,
    },
];

/// Connects and sends the mark. The connection counts, whether or not the far side listens.
fn talk(socket: &Tried<Socket>, to: &[u8]) -> Tried {
    let socket = socket.as_ref().map_err(Clone::clone)?;
    socket.connect(to)?;
    socket.send(MARK)
}

fn mptcp(ground: &Ground, family: c_int) -> Tried<Socket> {
    Socket::open(
        ground,
        "MPTCP",
        family,
        libc::SOCK_STREAM,
        libc::IPPROTO_MPTCP,
    )
}

fn unlisted_port(ground: &Ground) -> Tried {
    let tries = [80, 444, 22, BAIT_PORT].map(|port| {
        strongest([
            talk(&Socket::tcp4(ground), &v4(ALLOWED_V4, port)),
            talk(&Socket::tcp6(ground), &v6(ALLOWED_V6, port, 0)),
            talk(
                &Socket::tcp6(ground),
                &v6(ALLOWED_V4.to_ipv6_mapped(), port, 0),
            ),
        ])
    });
    strongest(tries)
}

fn reconnect(ground: &Ground) -> Tried {
    let v4 = || {
        let socket = Socket::tcp4(ground)?;
        socket.connect(&allowed4())?;
        socket.connect(&nowhere())?;
        talk(&Ok(socket), &bait4())
    };
    // An IPv6 socket that was connected to an IPv4 address has become half an IPv4 one.
    let mapped = || {
        let socket = Socket::tcp6(ground)?;
        socket.connect(&v6(ALLOWED_V4.to_ipv6_mapped(), ALLOWED_PORT, 0))?;
        socket.connect(&as_family(libc::AF_UNSPEC, bait6()))?;
        talk(&Ok(socket), &bait_mapped())
    };
    strongest([v4(), mapped()])
}

/// Sends without a connect: the kernel connects with the data.
fn send_first(socket: Tried<Socket>, to: &[u8]) -> Tried {
    socket?.send_to(MARK, libc::MSG_FASTOPEN, to)
}

fn fast_open(ground: &Ground) -> Tried {
    strongest([
        send_first(Socket::tcp4(ground), &bait4()),
        send_first(Socket::tcp6(ground), &bait6()),
        send_first(Socket::tcp6(ground), &bait_mapped()),
        // Family 0 is taken for IPv4 by some calls.
        send_first(Socket::tcp4(ground), &as_family(libc::AF_UNSPEC, bait4())),
    ])
}

fn fast_open_connect(ground: &Ground) -> Tried {
    let late = |socket: Tried<Socket>, to: &[u8]| {
        let socket = socket?;
        socket.set_int(libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1)?;
        talk(&Ok(socket), to)
    };
    strongest([
        late(Socket::tcp4(ground), &bait4()),
        late(Socket::tcp6(ground), &bait6()),
        late(Socket::tcp6(ground), &bait_mapped()),
    ])
}
