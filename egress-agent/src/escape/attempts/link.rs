//! Below IP: frames put on the link by hand, and packets that a device of our own brings in.

use std::{
    ffi::c_int,
    fs::{self, OpenOptions},
    io::Write as _,
    net::Ipv4Addr,
};

use super::{
    packet::{self, UDP, V4},
    place::{self, MARK, as_family},
    raw::{self, Socket},
    variants::strongest,
    xdp,
};
use crate::escape::{
    Attempt, Ground, Outcome,
    attempt::Tried,
    ground::{BAIT_PORT, BAIT_V4, NEAR_V4},
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "packet-raw",
        title: "AF_PACKET: a whole frame put on the link",
        run: |ground| Outcome::of(packet_raw(ground)),
        limit: None,
    },
    Attempt {
        name: "packet-datagram",
        title: "AF_PACKET: a packet, the kernel writes the link header",
        run: |ground| Outcome::of(packet_datagram(ground)),
        limit: None,
    },
    Attempt {
        name: "xdp-socket",
        title: "AF_XDP: a frame by way of a shared ring",
        run: |ground| Outcome::of(xdp::send(ground, &whole_frame())),
        limit: None,
    },
    Attempt {
        name: "pppoe-session",
        title: "PPPoE session frames, which any user may send",
        run: |ground| Outcome::of(pppoe(ground)),
        limit: None,
    },
    Attempt {
        name: "tun-forwarding",
        title: "TUN device of our own, whose packets the kernel forwards",
        run: |ground| Outcome::of(tun(ground)),
        limit: None,
    },
    Attempt {
        name: "other-families",
        title: "sockets of families that leave by other ways than IP (Bluetooth, CAN, TIPC, LLC)",
        run: |ground| Outcome::of(other_families(ground)),
        limit: None,
    },
];

const EVERYONE: [u8; 6] = [0xff; 6];
const ETHER_TYPE_IPV4: u16 = 0x0800;
/// Assigned to nobody but local experiments (IEEE 802).
const ETHER_TYPE_LOCAL: u16 = 0x88b5;

fn to_bait(source: Ipv4Addr) -> Vec<u8> {
    V4 {
        source,
        destination: BAIT_V4,
        protocol: UDP,
        more: false,
        offset: 0,
        options: &[],
    }
    .with(&packet::udp(4000, BAIT_PORT, MARK))
}

pub(super) fn whole_frame() -> Vec<u8> {
    packet::frame(ETHER_TYPE_IPV4, &to_bait(NEAR_V4))
}

/// The device's number. Asked of any socket, as a session may see neither `/sys` nor netlink.
pub(super) fn device(ground: &Ground) -> Tried<u32> {
    let socket = Socket::udp4(ground)?;
    rustix::net::netdevice::name_to_index(&socket, &ground.device)
        .map_err(|errno| Outcome::refused("SIOCGIFINDEX")(errno.into()))
}

fn packet_raw(ground: &Ground) -> Tried {
    let device = device(ground)?;
    // Protocol 0 receives nothing, which is enough to send.
    let socket = Socket::open(ground, "AF_PACKET", libc::AF_PACKET, libc::SOCK_RAW, 0)?;
    let send = |ether_type| {
        let to = place::link(device, ether_type, EVERYONE);
        socket.send_to(&packet::frame(ether_type, &to_bait(NEAR_V4)), 0, &to)
    };
    strongest([send(ETHER_TYPE_IPV4), send(ETHER_TYPE_LOCAL)])
}

/// `include/linux/net.h`; deprecated since Linux 2.0, and still there.
const SOCK_PACKET: c_int = 10;

fn packet_datagram(ground: &Ground) -> Tried {
    let to = place::link(device(ground)?, ETHER_TYPE_IPV4, EVERYONE);
    let packet = to_bait(NEAR_V4);
    let datagram = Socket::open(ground, "AF_PACKET", libc::AF_PACKET, libc::SOCK_DGRAM, 0)
        .and_then(|socket| socket.send_to(&packet, 0, &to));
    // SOCK_PACKET is the oldest way of all: the address is the device's name.
    let oldest =
        Socket::open(ground, "SOCK_PACKET", libc::AF_PACKET, SOCK_PACKET, 0).and_then(|socket| {
            let mut name = as_family(libc::AF_PACKET, vec![0; 2]);
            name.extend(ground.device.as_bytes());
            name.resize(16, 0);
            name.extend(ETHER_TYPE_IPV4.to_be_bytes());
            socket.send_to(&whole_frame(), 0, &name)
        });
    strongest([datagram, oldest])
}

/// `include/uapi/linux/if_pppox.h`.
const PX_PROTO_OE: c_int = 0;

fn pppoe(ground: &Ground) -> Tried {
    let socket = Socket::open(
        ground,
        "PPPoE",
        libc::AF_PPPOX,
        libc::SOCK_STREAM,
        PX_PROTO_OE,
    )?;
    let mut name = as_family(libc::AF_PPPOX, vec![0; 2]);
    name.extend(PX_PROTO_OE.to_ne_bytes());
    name.extend(1_u16.to_be_bytes());
    name.extend([2, 0, 0, 0, 0, 1]);
    name.extend(ground.device.as_bytes());
    name.resize(30, 0);
    socket.connect(&name)?;
    socket.send(MARK)
}

/// Network of the device of our own: for documentation, and on no other link here.
const TUN_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const TUN_PEER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const TUN_NAME: &[u8] = b"egress-escape";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// A packet written to the device comes in as if from a link, and belongs to no socket.
fn tun(ground: &Ground) -> Tried {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    let mut device = match device {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !ground.guarded => {
            return Err(Outcome::Absent("there is no /dev/net/tun".to_owned()));
        }
        other => other.map_err(Outcome::refused("open /dev/net/tun"))?,
    };
    let mut request = request(&(libc::IFF_TUN | libc::IFF_NO_PI).to_ne_bytes());
    raw::control(
        &device,
        libc::TUNSETIFF as libc::Ioctl,
        &mut request,
        "TUNSETIFF",
    )?;
    let mut address = self::request(&place::v4(TUN_ADDRESS, 0));
    let socket = Socket::udp4(ground)?;
    raw::control(
        &socket,
        libc::SIOCSIFADDR as libc::Ioctl,
        &mut address,
        "SIOCSIFADDR",
    )?;
    let mut mask = self::request(&place::v4(Ipv4Addr::new(255, 255, 255, 0), 0));
    raw::control(
        &socket,
        libc::SIOCSIFNETMASK as libc::Ioctl,
        &mut mask,
        "SIOCSIFNETMASK",
    )?;
    let mut up = self::request(&(libc::IFF_UP | libc::IFF_RUNNING).to_ne_bytes());
    raw::control(
        &socket,
        libc::SIOCSIFFLAGS as libc::Ioctl,
        &mut up,
        "SIOCSIFFLAGS",
    )?;
    let before = fs::read(FORWARDING).map_err(Outcome::refused("read ip_forward"))?;
    fs::write(FORWARDING, "1").map_err(Outcome::refused("write ip_forward"))?;
    let sent = device.write_all(&to_bait(TUN_PEER));
    // Forwarding is done in a moment of its own.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let restored = fs::write(FORWARDING, before);
    sent.map_err(Outcome::refused("write to the device"))?;
    restored.map_err(Outcome::refused("restore ip_forward"))
}

/// `struct ifreq` for our device.
fn request(value: &[u8]) -> [u8; 40] {
    let mut request = [0; 40];
    for (field, bytes) in request.chunks_mut(16).zip([TUN_NAME, value]) {
        for (to, from) in field.iter_mut().zip(bytes) {
            *to = *from;
        }
    }
    request
}

/// Families that reach other machines, by radio or wire, with packets that are not IP. `AF_VSOCK`
/// has a row of its own.
const OTHER_FAMILIES: &[(&str, c_int)] = &[
    ("AX.25", libc::AF_AX25),
    ("IPX", libc::AF_IPX),
    ("AppleTalk", libc::AF_APPLETALK),
    ("NET/ROM", libc::AF_NETROM),
    ("X.25", libc::AF_X25),
    ("ROSE", libc::AF_ROSE),
    ("LLC", libc::AF_LLC),
    ("CAN", libc::AF_CAN),
    ("TIPC", libc::AF_TIPC),
    ("Bluetooth", libc::AF_BLUETOOTH),
    ("ISDN", libc::AF_ISDN),
    ("Phonet", libc::AF_PHONET),
    ("IEEE 802.15.4", libc::AF_IEEE802154),
    ("CAIF", 37),
    ("NFC", libc::AF_NFC),
    ("QRTR", 42),
    ("MCTP", 45),
];

/// No capture sees what these send: a socket that may be made is the escape.
fn other_families(ground: &Ground) -> Tried {
    let kinds = [
        libc::SOCK_DGRAM,
        libc::SOCK_RAW,
        libc::SOCK_STREAM,
        libc::SOCK_SEQPACKET,
    ];
    let mut open = Vec::new();
    let mut outcomes = Vec::new();
    for (name, family) in OTHER_FAMILIES {
        let tries = kinds.map(|kind| Socket::open(ground, name, *family, kind, 0).map(drop));
        let outcome = strongest(tries);
        if outcome.is_ok() {
            open.push(*name);
        }
        outcomes.push(outcome);
    }
    if open.is_empty() {
        return strongest(outcomes).map_err(|outcome| match outcome {
            Outcome::Absent(_) => Outcome::Absent("this kernel has none of them".to_owned()),
            other @ (Outcome::Sent | Outcome::Refused(_) | Outcome::Escaped(_)) => other,
        });
    }
    Err(Outcome::Escaped(format!(
        "sockets for {} may be made",
        open.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_device_first() {
        let request = request(&[1, 2, 3]);
        assert_eq!(request.len(), size_of::<libc::ifreq>());
        assert_eq!(&request[..13], TUN_NAME);
        assert_eq!(request[13..20], [0, 0, 0, 1, 2, 3, 0]);
    }
}
