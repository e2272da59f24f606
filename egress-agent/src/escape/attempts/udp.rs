//! UDP, by every order of calls.

use super::{
    place::{
        COVER, MARK, allowed_mapped, allowed4, allowed6, as_family, bait_mapped, bait4, bait6,
        control, nowhere, v4, v6,
    },
    raw::Socket,
    variants::strongest,
};
use crate::escape::{
    Attempt, Ground, Outcome,
    attempt::Tried,
    ground::{ALLOWED_V4, ALLOWED_V6, BAIT_PORT},
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "udp-sendto",
        title: "UDP datagram from an unconnected socket",
        run: |ground| {
            Outcome::of(strongest([
                send_to(Socket::udp4(ground), &bait4()),
                send_to(Socket::udp6(ground), &bait6()),
            ]))
        },
        limit: None,
    },
    Attempt {
        name: "udp-connect",
        title: "UDP datagram from a connected socket",
        run: |ground| {
            Outcome::of(strongest([
                connect_and_send(Socket::udp4(ground), &bait4()),
                connect_and_send(Socket::udp6(ground), &bait6()),
            ]))
        },
        limit: None,
    },
    Attempt {
        name: "udp-mapped",
        title: "UDP to an IPv4 address from an IPv6 socket, in every hook",
        run: |ground| Outcome::of(mapped(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-address-form",
        title: "IPv6 socket that is turned into an IPv4 one (IPV6_ADDRFORM)",
        run: |ground| Outcome::of(address_form(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-connected-sendto",
        title: "UDP socket connected to an allowed place that sends to another",
        run: |ground| Outcome::of(connected_send_to(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-reconnect",
        title: "UDP socket connected to an allowed place, dissolved, connected again",
        run: |ground| Outcome::of(reconnect(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-family-unspec",
        title: "UDP datagram to an address of family 0",
        run: |ground| Outcome::of(family_unspec(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-sendmmsg",
        title: "UDP datagrams to an allowed place and another in one call",
        run: |ground| Outcome::of(many(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-corked",
        title: "UDP datagram held back (MSG_MORE, UDP_CORK) while its destination changes",
        run: |ground| Outcome::of(corked(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-control-messages",
        title: "UDP with control messages (TOS, traffic class, segment size, source)",
        run: |ground| Outcome::of(control_messages(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-segmented",
        title: "UDP with segmentation in the kernel (GSO)",
        run: |ground| Outcome::of(segmented(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-large",
        title: "UDP datagram so large that the kernel cuts it into fragments",
        run: |ground| Outcome::of(large(ground)),
        limit: None,
    },
    Attempt {
        name: "udp-unlisted-port",
        title: "UDP to an allowed address on ports that no rule names",
        run: |ground| Outcome::of(unlisted_port(ground)),
        limit: None,
    },
];

fn send_to(socket: Tried<Socket>, to: &[u8]) -> Tried {
    socket?.send_to(MARK, 0, to)
}

fn connect_and_send(socket: Tried<Socket>, to: &[u8]) -> Tried {
    let socket = socket?;
    socket.connect(to)?;
    socket.send(MARK)
}

fn mapped(ground: &Ground) -> Tried {
    strongest([
        send_to(Socket::udp6(ground), &bait_mapped()),
        send_to(Socket::udp6(ground), &bait4()),
        connect_and_send(Socket::udp6(ground), &bait_mapped()),
        connect_and_send(Socket::udp6(ground), &bait4()),
    ])
}

/// The socket keeps its notes, and its calls go through other hooks than before.
fn address_form(ground: &Ground) -> Tried {
    let turned = |socket: Tried<Socket>| {
        let socket = socket?;
        socket.connect(&allowed_mapped())?;
        socket.set_int(libc::IPPROTO_IPV6, libc::IPV6_ADDRFORM, libc::AF_INET)?;
        Ok(socket)
    };
    strongest([
        turned(Socket::udp6(ground)).and_then(|socket| socket.send_to(MARK, 0, &bait4())),
        turned(Socket::udp6(ground)).and_then(|socket| {
            socket.connect(&bait4())?;
            socket.send(MARK)
        }),
        turned(Socket::tcp6(ground)).and_then(|socket| {
            socket.connect(&nowhere())?;
            socket.connect(&bait4())?;
            socket.send(MARK)
        }),
    ])
}

fn connected_send_to(ground: &Ground) -> Tried {
    let from_to = |socket: Tried<Socket>, first: &[u8], then: &[u8]| {
        let socket = socket?;
        socket.connect(first)?;
        socket.send_to(MARK, 0, then)
    };
    strongest([
        from_to(Socket::udp4(ground), &allowed4(), &bait4()),
        from_to(Socket::udp6(ground), &allowed6(), &bait6()),
        from_to(Socket::udp6(ground), &allowed_mapped(), &bait_mapped()),
        from_to(Socket::udp6(ground), &allowed_mapped(), &bait4()),
        from_to(Socket::udp6(ground), &allowed6(), &bait_mapped()),
    ])
}

fn reconnect(ground: &Ground) -> Tried {
    let dissolved = |socket: Tried<Socket>, first: &[u8], then: &[u8]| {
        let socket = socket?;
        socket.connect(first)?;
        socket.send(COVER)?;
        socket.connect(&nowhere())?;
        socket.connect(then)?;
        socket.send(MARK)
    };
    // A second connect needs no first one dissolved. Its failure leaves a socket to try.
    let replaced = |socket: Tried<Socket>, first: &[u8], then: &[u8]| {
        let socket = socket?;
        socket.connect(first)?;
        let connected = socket.connect(then);
        // If the refusal left half of the new peer behind, the datagram goes there.
        socket.send(if connected.is_ok() { MARK } else { COVER })?;
        connected
    };
    strongest([
        dissolved(Socket::udp4(ground), &allowed4(), &bait4()),
        dissolved(Socket::udp6(ground), &allowed6(), &bait6()),
        dissolved(Socket::udp6(ground), &allowed_mapped(), &bait_mapped()),
        replaced(Socket::udp4(ground), &allowed4(), &bait4()),
        replaced(Socket::udp6(ground), &allowed6(), &bait_mapped()),
    ])
}

fn family_unspec(ground: &Ground) -> Tried {
    strongest([
        send_to(Socket::udp4(ground), &as_family(libc::AF_UNSPEC, bait4())),
        send_to(Socket::udp6(ground), &as_family(libc::AF_UNSPEC, bait6())),
    ])
}

fn many(ground: &Ground) -> Tried {
    // The payload is the same for all, so the allowed place is asked on a port of its own.
    let (closed4, closed6) = (v4(ALLOWED_V4, BAIT_PORT), v6(ALLOWED_V6, BAIT_PORT, 0));
    strongest([
        Socket::udp4(ground)
            .and_then(|socket| socket.send_to_all(MARK, &[&bait4(), &closed4, &bait4()])),
        Socket::udp6(ground)
            .and_then(|socket| socket.send_to_all(MARK, &[&bait6(), &bait_mapped(), &closed6])),
        // The first message of the call is allowed and the second is not.
        Socket::udp4(ground).and_then(|socket| socket.send_to_all(COVER, &[&allowed4(), &bait4()])),
    ])
}

fn corked(ground: &Ground) -> Tried {
    // The kernel keeps the first destination of a datagram that is not complete; all orders are
    // tried, in case one kernel does not.
    let switched = |socket: Tried<Socket>, first: &[u8], then: &[u8]| {
        let socket = socket?;
        socket.send_to(COVER, libc::MSG_MORE, first)?;
        socket.send_to(COVER, 0, then)
    };
    // What began towards the allowed place may well have gone there: that is no escape.
    let kept = |tried: Tried| {
        tried.and_then(|()| {
            Err(Outcome::Refused(
                "the datagram keeps its first destination".to_owned(),
            ))
        })
    };
    let uncorked = || {
        let socket = Socket::udp4(ground)?;
        socket.set_int(libc::IPPROTO_UDP, libc::UDP_CORK, 1)?;
        socket.connect(&allowed4())?;
        socket.send(COVER)?;
        socket.connect(&nowhere())?;
        let connected = socket.connect(&bait4());
        socket.set_int(libc::IPPROTO_UDP, libc::UDP_CORK, 0)?;
        connected
    };
    strongest([
        kept(switched(Socket::udp4(ground), &allowed4(), &bait4())),
        switched(Socket::udp4(ground), &bait4(), &allowed4()),
        kept(switched(Socket::udp6(ground), &allowed6(), &bait6())),
        switched(Socket::udp6(ground), &bait6(), &allowed6()),
        kept(switched(Socket::udp6(ground), &allowed6(), &bait_mapped())),
        kept(switched(Socket::udp6(ground), &allowed_mapped(), &bait6())),
        uncorked(),
    ])
}

fn control_messages(ground: &Ground) -> Tried {
    let tos = control(libc::IPPROTO_IP, libc::IP_TOS, &1_i32.to_ne_bytes());
    let class = control(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &1_i32.to_ne_bytes());
    let segment = control(libc::IPPROTO_UDP, libc::UDP_SEGMENT, &3_u16.to_ne_bytes());
    let addressed =
        |socket: Tried<Socket>, to: &[u8], control: &[u8]| socket?.send_with(MARK, to, control);
    // The hook of a send without an address sees zeros and cannot judge: what connect admitted is
    // all that may go. On an allowed address without an allowed port connect admits nothing.
    let unaddressed = |socket: Tried<Socket>, to: &[u8], control: &[u8]| {
        let socket = socket?;
        socket.connect(to)?;
        socket.send_with(MARK, &[], control)
    };
    let (closed4, closed6) = (v4(ALLOWED_V4, BAIT_PORT), v6(ALLOWED_V6, BAIT_PORT, 0));
    strongest([
        addressed(Socket::udp4(ground), &bait4(), &tos),
        addressed(Socket::udp4(ground), &bait4(), &segment),
        addressed(Socket::udp6(ground), &bait6(), &class),
        addressed(Socket::udp6(ground), &bait_mapped(), &tos),
        unaddressed(Socket::udp4(ground), &bait4(), &tos),
        unaddressed(Socket::udp6(ground), &bait6(), &class),
        unaddressed(Socket::udp4(ground), &closed4, &tos),
        unaddressed(Socket::udp4(ground), &closed4, &segment),
        unaddressed(Socket::udp6(ground), &closed6, &class),
    ])
}

fn segmented(ground: &Ground) -> Tried {
    let cut = |socket: Tried<Socket>, to: &[u8]| {
        let socket = socket?;
        let size = c_len(MARK.len());
        socket.set_int(libc::IPPROTO_UDP, libc::UDP_SEGMENT, size)?;
        socket.send_to(&MARK.repeat(4), 0, to)
    };
    strongest([
        cut(Socket::udp4(ground), &bait4()),
        cut(Socket::udp6(ground), &bait6()),
    ])
}

fn c_len(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn large(ground: &Ground) -> Tried {
    let payload = MARK.repeat(1000);
    let cut = |socket: Tried<Socket>, to: &[u8]| {
        let socket = socket?;
        // Without this the kernel may refuse instead of cutting.
        socket.set_int(
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_DONT,
        )?;
        socket.send_to(&payload, 0, to)
    };
    strongest([
        cut(Socket::udp4(ground), &bait4()),
        cut(Socket::udp6(ground), &bait_mapped()),
        Socket::udp6(ground).and_then(|socket| socket.send_to(&payload, 0, &bait6())),
    ])
}

fn unlisted_port(ground: &Ground) -> Tried {
    let tries = [80, 444, 4500, BAIT_PORT].map(|port| {
        let (to4, to6) = (v4(ALLOWED_V4, port), v6(ALLOWED_V6, port, 0));
        strongest([
            send_to(Socket::udp4(ground), &to4),
            send_to(Socket::udp6(ground), &to6),
            // Connecting is let pass, since it sends nothing: what follows must not.
            connect_and_send(Socket::udp4(ground), &to4),
            connect_and_send(Socket::udp6(ground), &to6),
        ])
    });
    strongest(tries)
}
