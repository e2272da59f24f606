//! Reads one frame that arrived on the far side: noise, a marker, or one that counts. Pure.
//!
//! Noise is what the near kernel says for itself (ARP, neighbour discovery, refusals of what the
//! far side sent), and what the policy of the guarded run allows. Everything else counts: a frame
//! that nobody understands is a way out as well.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{GATEWAY_V4, MARKER_PORT, answers};
use crate::escape::ground::{
    ALLOWED_PORT, ALLOWED_V4, ALLOWED_V6, MARK, NEAR_V4, NEAR_V6, RESOLVER_V4,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Noise,
    Marker(u64),
    Counted(String),
}

const MAGIC: &[u8; 8] = b"egressd\n";

/// The payload of a marker.
pub(super) fn marker(number: u64) -> Vec<u8> {
    [MAGIC.as_slice(), &number.to_be_bytes()].concat()
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What an IP packet says, over both versions.
struct Packet<'a> {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    /// Of the header and its extensions, what a plain packet would not have.
    oddity: Option<&'static str>,
    payload: &'a [u8],
}

/// Reads one Ethernet frame.
pub(super) fn read(frame: &[u8]) -> Frame {
    let Some((_addresses, rest)) = frame.split_first_chunk::<12>() else {
        return Frame::Counted(format!("a frame of {} bytes", frame.len()));
    };
    let Some((kind, packet)) = rest.split_first_chunk::<2>() else {
        return Frame::Counted("a frame without a type".to_owned());
    };
    let packet = match u16::from_be_bytes(*kind) {
        0x0806 => return Frame::Noise,
        0x0800 => v4(packet),
        0x86dd if is_own_membership(packet) => return Frame::Noise,
        0x86dd => v6(packet),
        other => return Frame::Counted(format!("ethertype {other:#06x}, {} bytes", frame.len())),
    };
    packet.map_or_else(
        || Frame::Counted("a malformed IP packet".to_owned()),
        |packet| judge(&packet),
    )
}

fn judge(packet: &Packet<'_>) -> Frame {
    if let Some(number) = marker_of(packet) {
        return Frame::Marker(number);
    }
    let is_plain = packet.oddity.is_none() && is_near(packet.from);
    // A refusal quotes what the far side sent, marks and all.
    let is_harmless = is_allowed(packet) && !is_marked(packet.payload);
    if is_plain && (is_harmless || is_refusal(packet)) {
        return Frame::Noise;
    }
    Frame::Counted(describe(packet))
}

/// Whether an attempt's own words are in it.
fn is_marked(payload: &[u8]) -> bool {
    payload
        .windows(MARK.len())
        .any(|window| window.eq_ignore_ascii_case(MARK))
}

fn is_near(address: IpAddr) -> bool {
    address == IpAddr::V4(NEAR_V4) || address == IpAddr::V6(NEAR_V6)
}

/// What the policy of the guarded run allows.
fn is_allowed(packet: &Packet<'_>) -> bool {
    let Some((_, port)) = ports(packet) else {
        return false;
    };
    let is_flow = matches!(packet.protocol, TCP | UDP)
        && port == ALLOWED_PORT
        && (packet.to == IpAddr::V4(ALLOWED_V4) || packet.to == IpAddr::V6(ALLOWED_V6));
    is_flow || question(packet).is_some_and(answers::is_harmless)
}

/// The DNS message to the guard resolver's upstream, if it is one.
fn question<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    let is_question = packet.protocol == UDP
        && packet.to == IpAddr::V4(RESOLVER_V4)
        && ports(packet).is_some_and(|(_, port)| port == 53);
    is_question.then(|| packet.payload.get(8..)).flatten()
}

/// The near kernel's own "no" to what the far side sent, or its neighbour discovery. None of it is
/// worded by a process.
fn is_refusal(packet: &Packet<'_>) -> bool {
    let (kind, code) = match packet.payload {
        [kind, code, ..] => (*kind, *code),
        _ => return false,
    };
    match packet.protocol {
        ICMP => (kind, code) == (3, 3),
        ICMPV6 => (kind, code) == (1, 4) || matches!(kind, 135 | 136),
        TCP => {
            let flags = packet.payload.get(13).copied().unwrap_or(0);
            let header = packet.payload.get(12).map_or(0, |word| word >> 4);
            flags & 0x04 != 0 && packet.payload.len() == usize::from(header) * 4
        }
        _ => false,
    }
}

fn marker_of(packet: &Packet<'_>) -> Option<u64> {
    let is_marker = packet.protocol == UDP
        && packet.to == IpAddr::V4(GATEWAY_V4)
        && ports(packet).is_some_and(|(_, port)| port == MARKER_PORT);
    let number = packet.payload.get(8..)?.strip_prefix(MAGIC)?;
    is_marker.then(|| number.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)))?
}

/// Both ports of the protocols that begin with them.
fn ports(packet: &Packet<'_>) -> Option<(u16, u16)> {
    let [a, b, c, d, ..] = packet.payload else {
        return None;
    };
    // TCP, UDP, DCCP, SCTP, UDP-Lite; a later fragment has none.
    let has_ports = matches!(packet.protocol, TCP | UDP | 33 | 132 | 136);
    (has_ports && packet.oddity != Some("later fragment"))
        .then(|| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
}

/// `UDP 192.0.2.2:4000 > 203.0.113.10:4433`.
fn describe(packet: &Packet<'_>) -> String {
    let mut line = match packet.protocol {
        ICMP => "ICMP".to_owned(),
        2 => "IGMP".to_owned(),
        4 => "IPIP".to_owned(),
        TCP => "TCP".to_owned(),
        UDP => "UDP".to_owned(),
        33 => "DCCP".to_owned(),
        41 => "IPv6 in IP".to_owned(),
        47 => "GRE".to_owned(),
        ICMPV6 => "ICMPv6".to_owned(),
        132 => "SCTP".to_owned(),
        136 => "UDP-Lite".to_owned(),
        other => format!("protocol {other}"),
    };
    let ends = match ports(packet) {
        Some((from, to)) => format!(
            " {} > {}",
            SocketAddr::new(packet.from, from),
            SocketAddr::new(packet.to, to)
        ),
        None => format!(" {} > {}", packet.from, packet.to),
    };
    line.push_str(&ends);
    let is_question = packet.protocol == UDP && ports(packet).is_some_and(|(_, port)| port == 53);
    let question = packet.payload.get(8..).filter(|_| is_question);
    let notes = [
        packet.oddity.map(str::to_owned),
        question.and_then(answers::describe),
    ];
    for note in notes.into_iter().flatten() {
        // Writing to a string cannot fail.
        write!(line, " ({note})").unwrap_or_default();
    }
    line
}

fn v4(packet: &[u8]) -> Option<Packet<'_>> {
    let (header, _) = packet.split_first_chunk::<20>()?;
    let (fields, addresses) = header.split_first_chunk::<12>()?;
    let (from, to) = addresses.split_first_chunk::<4>()?;
    let [version, _, l0, l1, _, _, f0, f1, _, protocol, _, _] = *fields;
    let length = usize::from(version & 0x0f) * 4;
    // A short frame is padded: only the packet's own length says where it ends.
    let end = usize::from(u16::from_be_bytes([l0, l1])).clamp(length, packet.len().max(length));
    let fragment = u16::from_be_bytes([f0, f1]);
    let oddity = if fragment & 0x1fff != 0 {
        Some("later fragment")
    } else if fragment & 0x2000 != 0 {
        Some("first fragment")
    } else if length > 20 {
        Some("IPv4 options")
    } else {
        None
    };
    Some(Packet {
        from: Ipv4Addr::from(*from).into(),
        to: Ipv4Addr::from(*to.first_chunk::<4>()?).into(),
        protocol,
        oddity,
        payload: packet.get(length..end)?,
    })
}

fn v6(packet: &[u8]) -> Option<Packet<'_>> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let (_, addresses) = header.split_first_chunk::<8>()?;
    let (from, to) = addresses.split_first_chunk::<16>()?;
    let &[_, _, _, _, l0, l1, mut protocol, ..] = header;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let mut payload = rest.get(..length).unwrap_or(rest);
    let mut oddity = None;
    // The first extension names the packet; the rest is walked to the protocol behind it.
    while let Some(extension) = extension(protocol) {
        let &[next, words, at_high, at_low, ..] = payload.first_chunk::<8>()?;
        let is_fragment = protocol == 44;
        let is_later = is_fragment && u16::from_be_bytes([at_high, at_low]) >> 3 != 0;
        oddity = Some(if is_later {
            "later fragment"
        } else {
            oddity.unwrap_or(extension)
        });
        let length = if is_fragment {
            8
        } else {
            (usize::from(words) + 1) * 8
        };
        protocol = next;
        payload = payload.get(length..).unwrap_or_default();
        if is_later {
            break;
        }
    }
    Some(Packet {
        from: Ipv6Addr::from(*from).into(),
        to: Ipv6Addr::from(*to.first_chunk::<16>()?).into(),
        protocol,
        oddity,
        payload,
    })
}

fn extension(header: u8) -> Option<&'static str> {
    match header {
        0 => Some("IPv6 hop-by-hop options"),
        43 => Some("IPv6 routing header"),
        44 => Some("IPv6 fragment"),
        60 => Some("IPv6 destination options"),
        _ => None,
    }
}

/// A report of the near kernel that it listens to the group of its own addresses (`MLDv2`, RFC 3810
/// 5.2), and to nothing else: it says so by itself when an address comes.
fn is_own_membership(packet: &[u8]) -> bool {
    const OWN_GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2);
    let Some(report) = packet.get(48..) else {
        return false;
    };
    let is_report = packet.get(6) == Some(&0) && packet.get(40) == Some(&58);
    let [143, _, _, _, _, _, count_high, count_low, records @ ..] = report else {
        return false;
    };
    let count = usize::from(u16::from_be_bytes([*count_high, *count_low]));
    let groups = records.chunks_exact(20);
    is_report
        && groups.remainder().is_empty()
        && groups.len() == count
        && groups.into_iter().all(|record| {
            record.get(1..4) == Some(&[0, 0, 0]) && record.get(4..) == Some(&OWN_GROUP.octets())
        })
}

#[cfg(test)]
mod tests;
