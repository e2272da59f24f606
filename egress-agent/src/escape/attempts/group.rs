//! Many receivers at once: multicast, broadcast, link-local, and joining a group.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    link::device,
    place::{MARK, v4, v6},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{
    Attempt, Ground, Outcome,
    attempt::Tried,
    ground::{BAIT_PORT, NEAR_V4},
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "multicast-v4",
        title: "IPv4 multicast, sent to and connected",
        run: |ground| Outcome::of(multicast4(ground)),
        limit: None,
    },
    Attempt {
        name: "multicast-v6",
        title: "IPv6 multicast of every scope",
        run: |ground| Outcome::of(multicast6(ground)),
        limit: None,
    },
    Attempt {
        name: "broadcast",
        title: "broadcast: 255.255.255.255 and that of the network",
        run: |ground| Outcome::of(broadcast(ground)),
        limit: None,
    },
    Attempt {
        name: "link-local",
        title: "link-local addresses, IPv6 with scope and 169.254.169.254",
        run: |ground| Outcome::of(link_local(ground)),
        limit: None,
    },
    Attempt {
        name: "igmp-join",
        title: "joining an IPv4 group whose number carries data",
        run: |ground| Outcome::of(join4(ground)),
        limit: None,
    },
    Attempt {
        name: "igmp-source-join",
        title: "joining an IPv4 group with sources whose numbers carry data",
        run: |ground| Outcome::of(join_sources4(ground)),
        limit: None,
    },
    Attempt {
        name: "mld-join",
        title: "joining an IPv6 group whose number carries data",
        run: |ground| Outcome::of(join6(ground)),
        limit: None,
    },
];

/// Administratively scoped: nobody's.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 69, 83, 67);

/// Sets `struct ip_mreqn`: the group, an address of ours, the device.
fn membership(group: Ipv4Addr, device: u32) -> Vec<u8> {
    let mut request = group.octets().to_vec();
    request.extend(NEAR_V4.octets());
    request.extend(device.to_ne_bytes());
    request
}

fn multicast4(ground: &Ground) -> Tried {
    let device = device(ground)?;
    let socket = || {
        let socket = Socket::udp4(ground)?;
        let outgoing = membership(Ipv4Addr::UNSPECIFIED, device);
        socket.set(libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &outgoing)?;
        Ok(socket)
    };
    let groups = [GROUP_V4, Ipv4Addr::new(224, 0, 0, 1)];
    strongest(groups.map(|group| {
        let to = v4(group, BAIT_PORT);
        let mapped = v6(group.to_ipv6_mapped(), BAIT_PORT, 0);
        strongest([
            socket().and_then(|socket| socket.send_to(MARK, 0, &to)),
            socket().and_then(|socket| {
                socket.connect(&to)?;
                socket.send(MARK)
            }),
            Socket::udp6(ground).and_then(|socket| socket.send_to(MARK, 0, &mapped)),
        ])
    }))
}

fn multicast6(ground: &Ground) -> Tried {
    let device = device(ground)?;
    // Link, site, organisation and global scope.
    strongest([0xff02, 0xff05, 0xff08, 0xff0e].map(|scope| {
        let group = Ipv6Addr::new(scope, 0, 0, 0, 0, 0, 0x45, 0x5343);
        let to = v6(group, BAIT_PORT, device);
        let socket = || {
            let socket = Socket::udp6(ground)?;
            let outgoing = device.cast_signed();
            socket.set_int(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, outgoing)?;
            Ok(socket)
        };
        strongest([
            socket().and_then(|socket| socket.send_to(MARK, 0, &to)),
            socket().and_then(|socket| {
                socket.connect(&to)?;
                socket.send(MARK)
            }),
        ])
    }))
}

fn broadcast(ground: &Ground) -> Tried {
    let everywhere = [Ipv4Addr::BROADCAST, Ipv4Addr::new(192, 0, 2, 255)];
    strongest(everywhere.map(|address| {
        let to = v4(address, BAIT_PORT);
        let socket = || {
            let socket = Socket::udp4(ground)?;
            socket.set_int(libc::SOL_SOCKET, libc::SO_BROADCAST, 1)?;
            bind_to_device(&socket, ground)?;
            Ok(socket)
        };
        strongest([
            socket().and_then(|socket| socket.send_to(MARK, 0, &to)),
            socket().and_then(|socket| {
                socket.connect(&to)?;
                socket.send(MARK)
            }),
        ])
    }))
}

/// Makes the socket's packets leave by the device that leads to the far side.
pub(super) fn bind_to_device(socket: &Socket, ground: &Ground) -> Tried {
    socket.set(
        libc::SOL_SOCKET,
        libc::SO_BINDTODEVICE,
        ground.device.as_bytes(),
    )
}

fn link_local(ground: &Ground) -> Tried {
    let device = device(ground)?;
    let far = v6(crate::escape::ground::FAR_LINK_LOCAL, BAIT_PORT, device);
    let metadata = v4(Ipv4Addr::new(169, 254, 169, 254), 80);
    strongest([
        Socket::udp6(ground).and_then(|socket| socket.send_to(MARK, 0, &far)),
        Socket::udp6(ground).and_then(|socket| {
            socket.connect(&far)?;
            socket.send(MARK)
        }),
        Socket::tcp6(ground).and_then(|socket| socket.connect(&far)),
        Socket::udp4(ground).and_then(|socket| socket.send_to(MARK, 0, &metadata)),
        Socket::tcp4(ground).and_then(|socket| socket.connect(&metadata)),
    ])
}

/// The kernel reports a group some time after it was joined, and after it was left: both within
/// the interval that the arena sets.
fn hold(socket: Socket) {
    std::thread::sleep(REPORT);
    drop(socket);
    std::thread::sleep(REPORT);
}

const REPORT: std::time::Duration = std::time::Duration::from_millis(200);

fn join4(ground: &Ground) -> Tried {
    let socket = Socket::udp4(ground)?;
    let group = membership(GROUP_V4, device(ground)?);
    socket.set(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &group)?;
    hold(socket);
    Ok(())
}

fn join_sources4(ground: &Ground) -> Tried {
    let socket = Socket::udp4(ground)?;
    for last in 1..=4 {
        // `struct ip_mreq_source`: group, an address of ours, the source.
        let mut request = GROUP_V4.octets().to_vec();
        request.extend(NEAR_V4.octets());
        request.extend([203, 0, 113, last]);
        socket.set(libc::IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP, &request)?;
    }
    hold(socket);
    Ok(())
}

fn join6(ground: &Ground) -> Tried {
    let socket = Socket::udp6(ground)?;
    let group = Ipv6Addr::new(0xff02, 0, 0, 0x4553, 0x4341, 0x5045, 0, 1);
    let mut request = group.octets().to_vec();
    request.extend(device(ground)?.to_ne_bytes());
    socket.set(libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request)?;
    hold(socket);
    Ok(())
}
