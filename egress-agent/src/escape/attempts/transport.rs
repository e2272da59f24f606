//! Transports that no connect hook knows, and families that make IP packets of their own.

use std::ffi::c_int;

use super::{
    place::{MARK, allowed4, as_family, bait4, bait6, v4},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{
    Attempt, Ground, Outcome,
    attempt::Tried,
    ground::{ALLOWED_V4, BAIT_PORT, BAIT_V4, NEAR_V4},
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "udp-lite-sendto",
        title: "UDP-Lite datagram from an unconnected socket",
        run: |ground| {
            Outcome::of(strongest([
                send_to(udp_lite(ground, libc::AF_INET), &bait4()),
                send_to(udp_lite(ground, libc::AF_INET6), &bait6()),
            ]))
        },
        limit: None,
    },
    Attempt {
        name: "udp-lite-connect",
        title: "UDP-Lite connected: no hook sees the connect",
        run: |ground| {
            Outcome::of(strongest([
                talk(udp_lite(ground, libc::AF_INET), &bait4()),
                talk(udp_lite(ground, libc::AF_INET6), &bait6()),
                // The allowed port, over a protocol that the rule does not name.
                talk(udp_lite(ground, libc::AF_INET), &allowed4()),
            ]))
        },
        limit: None,
    },
    Attempt {
        name: "sctp",
        title: "SCTP, one-to-one and one-to-many",
        run: |ground| {
            Outcome::of(strongest([
                talk(sctp(ground, libc::AF_INET, libc::SOCK_STREAM), &bait4()),
                talk(sctp(ground, libc::AF_INET6, libc::SOCK_STREAM), &bait6()),
                send_to(sctp(ground, libc::AF_INET, libc::SOCK_SEQPACKET), &bait4()),
                send_to(sctp(ground, libc::AF_INET6, libc::SOCK_SEQPACKET), &bait6()),
                talk(sctp(ground, libc::AF_INET, libc::SOCK_STREAM), &allowed4()),
            ]))
        },
        limit: None,
    },
    Attempt {
        name: "dccp",
        title: "DCCP connect",
        run: |ground| {
            Outcome::of(strongest([
                talk(dccp(ground, libc::AF_INET), &bait4()),
                talk(dccp(ground, libc::AF_INET6), &bait6()),
            ]))
        },
        limit: None,
    },
    Attempt {
        name: "smc-connect",
        title: "SMC sockets, which fall back to TCP inside the kernel",
        run: |ground| {
            Outcome::of(strongest([
                talk(smc(ground, SMCPROTO_SMC), &bait4()),
                talk(smc(ground, SMCPROTO_SMC6), &bait6()),
            ]))
        },
        limit: None,
    },
    Attempt {
        name: "rxrpc",
        title: "AF_RXRPC: the kernel sends UDP of its own for any user",
        run: |ground| Outcome::of(rxrpc(ground)),
        limit: None,
    },
    Attempt {
        name: "rds",
        title: "AF_RDS: a kernel thread connects TCP for any user",
        run: |ground| Outcome::of(rds(ground)),
        limit: None,
    },
    Attempt {
        name: "l2tp-over-udp",
        title: "PPP over L2TP: the kernel sends through a UDP socket that is not the packet's own",
        run: |ground| Outcome::of(l2tp(ground)),
        limit: None,
    },
];

/// `include/linux/socket.h`.
const AF_SMC: c_int = 43;
/// `include/net/smc.h`.
const SMCPROTO_SMC: c_int = 0;
const SMCPROTO_SMC6: c_int = 1;
/// `net/dccp/dccp.h`; gone since Linux 6.16.
const SOCK_DCCP: c_int = 6;
const SOL_DCCP: c_int = 269;
const DCCP_SOCKOPT_SERVICE: c_int = 2;
/// `include/linux/socket.h`.
const SOL_RXRPC: c_int = 272;
/// `include/uapi/linux/rxrpc.h`.
const RXRPC_USER_CALL_ID: c_int = 1;
/// `include/uapi/linux/if_pppox.h`.
const PX_PROTO_OL2TP: c_int = 1;

fn talk(socket: Tried<Socket>, to: &[u8]) -> Tried {
    let socket = socket?;
    socket.connect(to)?;
    socket.send(MARK)
}

fn send_to(socket: Tried<Socket>, to: &[u8]) -> Tried {
    socket?.send_to(MARK, 0, to)
}

fn udp_lite(ground: &Ground, family: c_int) -> Tried<Socket> {
    Socket::open(
        ground,
        "UDP-Lite",
        family,
        libc::SOCK_DGRAM,
        libc::IPPROTO_UDPLITE,
    )
}

fn sctp(ground: &Ground, family: c_int, kind: c_int) -> Tried<Socket> {
    Socket::open(ground, "SCTP", family, kind, libc::IPPROTO_SCTP)
}

fn dccp(ground: &Ground, family: c_int) -> Tried<Socket> {
    let socket = Socket::open(ground, "DCCP", family, SOCK_DCCP, libc::IPPROTO_DCCP)?;
    socket.set_int(SOL_DCCP, DCCP_SOCKOPT_SERVICE, 1)?;
    Ok(socket)
}

fn smc(ground: &Ground, protocol: c_int) -> Tried<Socket> {
    Socket::open(ground, "SMC", AF_SMC, libc::SOCK_STREAM, protocol)
}

/// A call to a service of the bait: the first packet carries the request.
fn rxrpc(ground: &Ground) -> Tried {
    let socket = Socket::open(
        ground,
        "AF_RXRPC",
        libc::AF_RXRPC,
        libc::SOCK_DGRAM,
        libc::AF_INET,
    )?;
    socket.bind(&rxrpc_name(0, &v4(NEAR_V4, 0)))?;
    let call = super::place::control(SOL_RXRPC, RXRPC_USER_CALL_ID, &1_usize.to_ne_bytes());
    socket.send_with(MARK, &rxrpc_name(1, &bait4()), &call)
}

/// `struct sockaddr_rxrpc` around an IPv4 address.
fn rxrpc_name(service: u16, transport: &[u8]) -> Vec<u8> {
    let mut name = as_family(libc::AF_RXRPC, vec![0; 2]);
    name.extend(service.to_ne_bytes());
    name.extend(2_u16.to_ne_bytes());
    name.extend(16_u16.to_ne_bytes());
    name.extend(transport);
    // The union is as large as its IPv6 member.
    name.resize(36, 0);
    name
}

/// Binding chooses TCP as the transport; sending makes a kernel thread connect.
fn rds(ground: &Ground) -> Tried {
    let socket = Socket::open(ground, "AF_RDS", libc::AF_RDS, libc::SOCK_SEQPACKET, 0)?;
    socket.bind(&v4(NEAR_V4, 4000))?;
    socket.send_to(MARK, 0, &v4(BAIT_V4, BAIT_PORT))
}

/// The kernel hands the packet hook the tunnel's socket, but the packet belongs to the session's
/// own socket, so the hook may not run at all (`net/l2tp/l2tp_core.c`). What the UDP socket may
/// connect to is all that holds this.
fn l2tp(ground: &Ground) -> Tried {
    strongest([
        tunnel(ground, &bait4()),
        tunnel(ground, &v4(ALLOWED_V4, BAIT_PORT)),
    ])
}

fn tunnel(ground: &Ground, to: &[u8]) -> Tried {
    use std::os::fd::{AsFd as _, AsRawFd as _};

    let pppox = || {
        Socket::open(
            ground,
            "PPP over L2TP",
            libc::AF_PPPOX,
            libc::SOCK_DGRAM,
            PX_PROTO_OL2TP,
        )
    };
    let carrier = Socket::udp4(ground)?;
    let manager = pppox()?;
    let session = pppox()?;
    carrier.connect(to)?;
    let fd = carrier.as_fd().as_raw_fd();
    manager.connect(&l2tp_name(fd, to, 0))?;
    session.connect(&l2tp_name(fd, to, 1))?;
    session.send(MARK)
}

/// `struct sockaddr_pppol2tp`, packed.
fn l2tp_name(carrier: c_int, to: &[u8], session: u16) -> Vec<u8> {
    let mut name = as_family(libc::AF_PPPOX, vec![0; 2]);
    name.extend(PX_PROTO_OL2TP.to_ne_bytes());
    name.extend(0_i32.to_ne_bytes());
    name.extend(carrier.to_ne_bytes());
    name.extend(to);
    for number in [1, session, 1, session] {
        name.extend(u16::to_ne_bytes(number));
    }
    name
}
