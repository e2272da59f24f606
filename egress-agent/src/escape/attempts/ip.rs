//! Packets whose headers the sender writes: raw sockets, options, extension headers.

use std::{
    ffi::c_int,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    packet::{self, IPV6_FRAGMENT, IPV6_ROUTING, NO_NEXT_HEADER, UDP, V4},
    place::{COVER, MARK, allowed4, allowed6, bait4, bait6, control, v4, v6},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{
    Attempt, Ground, Outcome,
    attempt::Tried,
    ground::{ALLOWED_PORT, ALLOWED_V4, ALLOWED_V6, BAIT_PORT, BAIT_V4, BAIT_V6, NEAR_V4, NEAR_V6},
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "raw-v4",
        title: "raw IPv4: ICMP, UDP, IP in IP, an unassigned protocol",
        run: |ground| Outcome::of(raw4(ground)),
        limit: None,
    },
    Attempt {
        name: "raw-v6",
        title: "raw IPv6: ICMPv6, UDP, IP in IP, an unassigned protocol",
        run: |ground| Outcome::of(raw6(ground)),
        limit: None,
    },
    Attempt {
        name: "raw-header-v4",
        title: "IP_HDRINCL: the header names another destination than the call",
        run: |ground| Outcome::of(header4(ground)),
        limit: None,
    },
    Attempt {
        name: "raw-header-v6",
        title: "IPV6_HDRINCL: the header names another destination than the call",
        run: |ground| Outcome::of(header6(ground)),
        limit: None,
    },
    Attempt {
        name: "raw-spoofed-source",
        title: "raw packets with a source address that is not ours",
        run: |ground| Outcome::of(spoofed(ground)),
        limit: None,
    },
    Attempt {
        name: "raw-fragments",
        title: "raw fragments: without ports, and over the ports of an earlier one",
        run: |ground| Outcome::of(fragments(ground)),
        limit: None,
    },
    Attempt {
        name: "ipv4-source-route",
        title: "IPv4 source routing (LSRR, SSRR) by socket option",
        run: |ground| Outcome::of(source_route(ground)),
        limit: None,
    },
    Attempt {
        name: "ipv4-source-route-message",
        title: "IPv4 source routing by control message (IP_RETOPTS)",
        run: |ground| Outcome::of(source_route_message(ground)),
        limit: None,
    },
    Attempt {
        name: "ipv6-segment-routing",
        title: "IPv6 segment routing header: an allowed address asked, another on the wire",
        run: |ground| Outcome::of(segment_routing(ground, &SRV6_TO_BAIT)),
        limit: None,
    },
    Attempt {
        name: "ipv6-segment-routing-onward",
        title: "IPv6 segment routing header: an allowed address on the wire, another after it",
        run: |ground| Outcome::of(segment_routing_onward(ground)),
        limit: None,
    },
    Attempt {
        name: "ipv6-routing-other",
        title: "IPv6 routing headers of type 0, 2 and 3",
        run: |ground| Outcome::of(routing_other(ground)),
        limit: None,
    },
    Attempt {
        name: "ipv6-options",
        title: "IPv6 hop-by-hop and destination options",
        run: |ground| Outcome::of(options6(ground)),
        limit: None,
    },
    Attempt {
        name: "ping-sendto",
        title: "ping socket, not connected: no hook sees it",
        run: |ground| {
            Outcome::of(ping(ground, |socket, payload, to| {
                socket.send_to(payload, 0, to)
            }))
        },
        limit: None,
    },
    Attempt {
        name: "ping-connect",
        title: "ping socket, connected",
        run: |ground| {
            Outcome::of(ping(ground, |socket, payload, to| {
                socket.connect(to)?;
                socket.send(payload)
            }))
        },
        limit: None,
    },
];

const ICMP_ECHO: u8 = 8;
const ICMPV6_ECHO: u8 = 128;
/// For experiments (RFC 3692); no kernel has a handler.
const EXPERIMENT: c_int = 253;
const LOOSE: u8 = 131;
const STRICT: u8 = 137;

fn raw(ground: &Ground, family: c_int, protocol: c_int) -> Tried<Socket> {
    Socket::open(ground, "raw IP", family, libc::SOCK_RAW, protocol)
}

/// To the bait from here: the packet that all others change.
fn plain4() -> V4<'static> {
    V4 {
        source: NEAR_V4,
        destination: BAIT_V4,
        protocol: UDP,
        more: false,
        offset: 0,
        options: &[],
    }
}

fn raw4(ground: &Ground) -> Tried {
    let datagram = packet::udp(4000, BAIT_PORT, MARK);
    let inner = plain4().with(&datagram);
    let allowed = packet::udp(4000, ALLOWED_PORT, MARK);
    let (bait, covered) = (v4(BAIT_V4, 0), v4(ALLOWED_V4, 0));
    let send = |protocol, payload: &[u8], to: &[u8]| {
        raw(ground, libc::AF_INET, protocol)?.send_to(payload, 0, to)
    };
    strongest([
        send(libc::IPPROTO_ICMP, &packet::echo_request(ICMP_ECHO), &bait),
        send(libc::IPPROTO_UDP, &datagram, &bait),
        send(libc::IPPROTO_IPIP, &inner, &bait),
        send(EXPERIMENT, MARK, &bait),
        // To the allowed address: only its protocol, or what is inside, is not allowed.
        send(
            libc::IPPROTO_ICMP,
            &packet::echo_request(ICMP_ECHO),
            &covered,
        ),
        send(libc::IPPROTO_IPIP, &inner, &covered),
        send(libc::IPPROTO_UDP, &allowed, &covered),
    ])
}

fn raw6(ground: &Ground) -> Tried {
    let inner = plain4().with(&packet::udp(4000, BAIT_PORT, MARK));
    let datagram = packet::udp6(NEAR_V6, BAIT_V6, BAIT_PORT);
    let (bait, covered) = (v6(BAIT_V6, 0, 0), v6(ALLOWED_V6, 0, 0));
    let send = |protocol, payload: &[u8], to: &[u8]| {
        raw(ground, libc::AF_INET6, protocol)?.send_to(payload, 0, to)
    };
    strongest([
        send(
            libc::IPPROTO_ICMPV6,
            &packet::echo_request(ICMPV6_ECHO),
            &bait,
        ),
        send(libc::IPPROTO_UDP, &datagram, &bait),
        send(libc::IPPROTO_IPIP, &inner, &bait),
        send(EXPERIMENT, MARK, &bait),
        send(
            libc::IPPROTO_ICMPV6,
            &packet::echo_request(ICMPV6_ECHO),
            &covered,
        ),
        send(libc::IPPROTO_IPIP, &inner, &covered),
    ])
}

/// Sends whole IPv4 packets; the call names `to`.
fn send_packets4(ground: &Ground, to: &[u8], packets: &[Vec<u8>]) -> Tried {
    let socket = raw(ground, libc::AF_INET, libc::IPPROTO_RAW)?;
    for packet in packets {
        socket.send_to(packet, 0, to)?;
    }
    Ok(())
}

/// Sends whole IPv6 packets; the call names `to`.
fn send_packets6(ground: &Ground, to: &[u8], packets: &[Vec<u8>]) -> Tried {
    // A raw socket of this protocol has IPV6_HDRINCL on from the start.
    let socket = raw(ground, libc::AF_INET6, libc::IPPROTO_RAW)?;
    for packet in packets {
        socket.send_to(packet, 0, to)?;
    }
    Ok(())
}

fn header4(ground: &Ground) -> Tried {
    let datagram = packet::udp(4000, BAIT_PORT, MARK);
    let packet = [plain4().with(&datagram)];
    strongest([
        send_packets4(ground, &v4(BAIT_V4, 0), &packet),
        send_packets4(ground, &v4(ALLOWED_V4, 0), &packet),
        send_packets4(ground, &v4(Ipv4Addr::LOCALHOST, 0), &packet),
    ])
}

fn header6(ground: &Ground) -> Tried {
    let packet = [packet::v6(
        NEAR_V6,
        BAIT_V6,
        UDP,
        &packet::udp6(NEAR_V6, BAIT_V6, BAIT_PORT),
    )];
    strongest([
        send_packets6(ground, &v6(BAIT_V6, 0, 0), &packet),
        send_packets6(ground, &v6(ALLOWED_V6, 0, 0), &packet),
    ])
}

fn spoofed(ground: &Ground) -> Tried {
    let datagram = packet::udp(4000, ALLOWED_PORT, MARK);
    let forged = |source, destination| {
        V4 {
            source,
            destination,
            ..plain4()
        }
        .with(&datagram)
    };
    let foreign6 = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
    strongest([
        send_packets4(
            ground,
            &v4(BAIT_V4, 0),
            &[forged(Ipv4Addr::new(198, 51, 100, 1), BAIT_V4)],
        ),
        // A source that is our own loopback, to an allowed place.
        send_packets4(
            ground,
            &allowed4(),
            &[forged(Ipv4Addr::LOCALHOST, ALLOWED_V4)],
        ),
        send_packets6(
            ground,
            &v6(BAIT_V6, 0, 0),
            &[packet::v6(
                foreign6,
                BAIT_V6,
                UDP,
                &packet::udp6(foreign6, BAIT_V6, BAIT_PORT),
            )],
        ),
    ])
}

fn fragments(ground: &Ground) -> Tried {
    let datagram = packet::udp(4000, BAIT_PORT, MARK);
    let tail = V4 {
        offset: 3,
        ..plain4()
    }
    .with(MARK);
    // The first says port 443; the second writes another port over it.
    let allowed = V4 {
        destination: ALLOWED_V4,
        ..plain4()
    };
    let head = V4 {
        more: true,
        ..allowed
    }
    .with(&packet::udp(4000, ALLOWED_PORT, &[0; 16]));
    let over = allowed.with(&datagram);
    let tail6 = |destination| {
        let mut payload = vec![UDP, 0, 0, 3 << 3, 0, 0, 0, 9];
        payload.extend(MARK);
        packet::v6(NEAR_V6, destination, IPV6_FRAGMENT, &payload)
    };
    strongest([
        send_packets4(ground, &v4(BAIT_V4, 0), &[tail]),
        send_packets4(ground, &v4(ALLOWED_V4, 0), &[head, over]),
        send_packets6(ground, &v6(BAIT_V6, 0, 0), &[tail6(BAIT_V6)]),
        send_packets6(ground, &v6(ALLOWED_V6, 0, 0), &[tail6(ALLOWED_V6)]),
    ])
}

fn source_route(ground: &Ground) -> Tried {
    // The call names the last stop; the first one is what stands in the packet's header.
    let routed = |kind, through, to: &[u8]| {
        let socket = Socket::udp4(ground)?;
        let options = packet::source_route(kind, through);
        socket.set(libc::IPPROTO_IP, libc::IP_OPTIONS, &options)?;
        socket.send_to(MARK, 0, to)
    };
    let stream = |through, to: &[u8]| {
        let socket = Socket::tcp4(ground)?;
        let options = packet::source_route(LOOSE, through);
        socket.set(libc::IPPROTO_IP, libc::IP_OPTIONS, &options)?;
        socket.connect(to)
    };
    let late = || {
        // The connection is there, and then it takes another way.
        let socket = Socket::tcp4(ground)?;
        socket.connect(&allowed4())?;
        let options = packet::source_route(LOOSE, BAIT_V4);
        socket.set(libc::IPPROTO_IP, libc::IP_OPTIONS, &options)?;
        socket.send(MARK)
    };
    strongest([
        routed(LOOSE, BAIT_V4, &allowed4()),
        routed(STRICT, BAIT_V4, &allowed4()),
        routed(LOOSE, ALLOWED_V4, &bait4()),
        stream(BAIT_V4, &allowed4()),
        late(),
        hand_made_route(ground),
    ])
}

/// The allowed address in the header, and the bait after it in the option.
fn hand_made_route(ground: &Ground) -> Tried {
    let options = packet::source_route(LOOSE, BAIT_V4);
    let packet = V4 {
        destination: ALLOWED_V4,
        options: &options,
        ..plain4()
    }
    .with(&packet::udp(4000, ALLOWED_PORT, MARK));
    send_packets4(ground, &v4(ALLOWED_V4, 0), &[packet])
}

fn source_route_message(ground: &Ground) -> Tried {
    let routed = |kind, through, to: &[u8]| {
        let options = packet::source_route(kind, through);
        let message = control(libc::IPPROTO_IP, libc::IP_RETOPTS, &options);
        Socket::udp4(ground)?.send_with(MARK, to, &message)
    };
    strongest([
        routed(LOOSE, BAIT_V4, &allowed4()),
        routed(STRICT, BAIT_V4, &allowed4()),
        routed(LOOSE, ALLOWED_V4, &bait4()),
    ])
}

/// What is sent through a segment routing header: where it goes first, and what the call names.
struct Srv6 {
    first: Ipv6Addr,
    asked: fn() -> Vec<u8>,
}

const SRV6_TO_BAIT: Srv6 = Srv6 {
    first: BAIT_V6,
    asked: allowed6,
};

/// The kernel wants both segments given, and puts the address of the call in place of the last.
fn segment_routing(ground: &Ground, way: &Srv6) -> Tried {
    let header = packet::segments(0, way.first, Ipv6Addr::UNSPECIFIED);
    let to = (way.asked)();
    let with_header = |socket: Tried<Socket>| {
        let socket = socket?;
        socket.set(libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &header)?;
        Ok(socket)
    };
    // The option comes after the connect was judged.
    let late = |socket: Tried<Socket>| {
        let socket = socket?;
        socket.connect(&to)?;
        with_header(Ok(socket))?.send(MARK)
    };
    let message = || {
        let message = control(libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &header);
        Socket::udp6(ground)?.send_with(MARK, &to, &message)
    };
    strongest([
        with_header(Socket::udp6(ground)).and_then(|socket| socket.send_to(MARK, 0, &to)),
        with_header(Socket::udp6(ground)).and_then(|socket| {
            socket.connect(&to)?;
            socket.send(MARK)
        }),
        with_header(Socket::tcp6(ground)).and_then(|socket| socket.connect(&to)),
        late(Socket::udp6(ground)),
        late(Socket::tcp6(ground)),
        message(),
    ])
}

fn segment_routing_onward(ground: &Ground) -> Tried {
    let by_hand = || {
        let mut payload = packet::segments(UDP, ALLOWED_V6, BAIT_V6);
        payload.extend(packet::udp6(NEAR_V6, BAIT_V6, ALLOWED_PORT));
        let packet = packet::v6(NEAR_V6, ALLOWED_V6, IPV6_ROUTING, &payload);
        send_packets6(ground, &v6(ALLOWED_V6, 0, 0), &[packet])
    };
    strongest([
        segment_routing(
            ground,
            &Srv6 {
                first: ALLOWED_V6,
                asked: bait6,
            },
        ),
        by_hand(),
    ])
}

fn routing_other(ground: &Ground) -> Tried {
    let by_option = |kind| {
        let socket = Socket::udp6(ground)?;
        let header = packet::routing(0, kind, BAIT_V6);
        socket.set(libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &header)?;
        socket.send_to(MARK, 0, &allowed6())
    };
    let by_hand = |kind| {
        let mut payload = packet::routing(UDP, kind, BAIT_V6);
        payload.extend(packet::udp6(NEAR_V6, BAIT_V6, ALLOWED_PORT));
        let packet = packet::v6(NEAR_V6, ALLOWED_V6, IPV6_ROUTING, &payload);
        send_packets6(ground, &v6(ALLOWED_V6, 0, 0), &[packet])
    };
    strongest([0, 2, 3].map(|kind| strongest([by_option(kind), by_hand(kind)])))
}

fn options6(ground: &Ground) -> Tried {
    // One experimental option of six bytes, to be skipped where it is not known: the mark.
    let mut header = vec![0, 1, 0x1e, 6];
    header.extend(MARK);
    header.resize(16, 0);
    header.splice(10..12, [1, 4]);
    // Only the option carries the mark: without a routing header some are left out by the kernel,
    // and what remains is a datagram that may go.
    let stuck = |option, to: &[u8]| {
        let socket = Socket::udp6(ground)?;
        socket.set(libc::IPPROTO_IPV6, option, &header)?;
        socket.send_to(COVER, 0, to)
    };
    let passed = |option, to: &[u8]| {
        let message = control(libc::IPPROTO_IPV6, option, &header);
        Socket::udp6(ground)?.send_with(COVER, to, &message)
    };
    let nothing_follows = || {
        let packet = packet::v6(NEAR_V6, ALLOWED_V6, NO_NEXT_HEADER, MARK);
        send_packets6(ground, &v6(ALLOWED_V6, 0, 0), &[packet])
    };
    let tries = [
        libc::IPV6_HOPOPTS,
        libc::IPV6_DSTOPTS,
        libc::IPV6_RTHDRDSTOPTS,
    ]
    .map(|option| {
        strongest([
            stuck(option, &bait6()),
            stuck(option, &allowed6()),
            passed(option, &bait6()),
            passed(option, &allowed6()),
        ])
    });
    strongest([strongest(tries), nothing_follows()])
}

/// Both families, to the bait and to the allowed address, which no rule allows to be pinged.
fn ping(ground: &Ground, send: impl Fn(&Socket, &[u8], &[u8]) -> Tried) -> Tried {
    let socket =
        |family, protocol| Socket::open(ground, "ping sockets", family, libc::SOCK_DGRAM, protocol);
    let ping4 = |to| {
        let socket = socket(libc::AF_INET, libc::IPPROTO_ICMP)?;
        send(&socket, &packet::echo_request(ICMP_ECHO), &v4(to, 0))
    };
    let ping6 = |to| {
        let socket = socket(libc::AF_INET6, libc::IPPROTO_ICMPV6)?;
        send(&socket, &packet::echo_request(ICMPV6_ECHO), &v6(to, 0, 0))
    };
    strongest([
        ping4(BAIT_V4),
        ping4(ALLOWED_V4),
        ping6(BAIT_V6),
        ping6(ALLOWED_V6),
    ])
}
