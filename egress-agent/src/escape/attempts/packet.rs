//! Packets and frames made by hand.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::place::MARK;

pub(super) const UDP: u8 = 17;
pub(super) const IPV6_ROUTING: u8 = 43;
pub(super) const IPV6_FRAGMENT: u8 = 44;
pub(super) const NO_NEXT_HEADER: u8 = 59;

/// The internet checksum (RFC 1071).
pub(super) fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        let mut pairs = part.chunks_exact(2);
        for pair in &mut pairs {
            sum += pair
                .iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        if let [last] = pairs.remainder() {
            sum += u32::from(*last) << 8;
        }
    }
    // Two folds suffice for fewer than 2^16 words.
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// A UDP datagram without checksum, which IPv4 permits and no capture minds.
pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(source.to_be_bytes());
    datagram.extend(destination.to_be_bytes());
    datagram.extend(length(8 + payload.len()).to_be_bytes());
    datagram.extend([0; 2]);
    datagram.extend(payload);
    datagram
}

/// ICMP or `ICMPv6` echo request with the mark; the kernel corrects the checksum of the latter.
pub(super) fn echo_request(kind: u8) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0, 1, 0, 1];
    message.extend(MARK);
    let sum = checksum([message.as_slice()]);
    message.splice(2..4, sum.to_be_bytes());
    message
}

/// What differs between one IPv4 packet of the suite and another.
#[derive(Clone, Copy, Debug)]
pub(super) struct V4<'a> {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) protocol: u8,
    /// Whether more fragments follow.
    pub(super) more: bool,
    /// Fragment offset in units of eight bytes.
    pub(super) offset: u16,
    /// Options, a multiple of four bytes.
    pub(super) options: &'a [u8],
}

impl V4<'_> {
    pub(super) fn with(&self, payload: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let words = u8::try_from(header / 4).unwrap_or(15);
        let mut packet = vec![0x40 | words, 0];
        packet.extend(length(header + payload.len()).to_be_bytes());
        packet.extend(0xe5c_u16.to_be_bytes());
        packet.extend((u16::from(self.more) << 13 | self.offset).to_be_bytes());
        packet.extend([64, self.protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(self.options);
        let sum = checksum([packet.as_slice()]);
        packet.splice(10..12, sum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

/// An IPv6 packet: `next` is the protocol of what stands first in `payload`.
pub(super) fn v6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length(payload.len()).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// A UDP datagram over IPv6, where the checksum is not optional.
pub(super) fn udp6(source: Ipv6Addr, destination: Ipv6Addr, port: u16) -> Vec<u8> {
    let mut datagram = udp(4000, port, MARK);
    let size = length(datagram.len()).to_be_bytes();
    let sum = checksum([
        source.octets().as_slice(),
        &destination.octets(),
        &size,
        &[0, UDP],
        &datagram,
    ]);
    datagram.splice(6..8, sum.to_be_bytes());
    datagram
}

/// A routing header of any type with one address left to visit (RFC 6275, RFC 5095).
pub(super) fn routing(next: u8, kind: u8, through: Ipv6Addr) -> Vec<u8> {
    let mut header = vec![next, 2, kind, 1, 0, 0, 0, 0];
    header.extend(through.octets());
    header
}

/// A segment routing header (RFC 8754): `first` is visited now, and then `last`.
pub(super) fn segments(next: u8, first: Ipv6Addr, last: Ipv6Addr) -> Vec<u8> {
    let mut header = vec![next, 4, 4, 1, 1, 0, 0, 0];
    header.extend(last.octets());
    header.extend(first.octets());
    header
}

/// Source routing through one address (RFC 791), padded to eight bytes. `kind` is 131 for loose
/// and 137 for strict.
pub(super) fn source_route(kind: u8, through: Ipv4Addr) -> Vec<u8> {
    let mut options = vec![1, kind, 7, 4];
    options.extend(through.octets());
    options
}

/// An Ethernet frame to everyone on the link.
pub(super) fn frame(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 2]);
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    // Short frames are padded by hardware, and refused by nobody else.
    frame.resize(frame.len().max(60), 0);
    frame
}

fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::ground::{ALLOWED_V6, BAIT_V4, BAIT_V6, NEAR_V4, NEAR_V6};

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        let example = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum([example.as_slice()]), !0xddf2);
        assert_eq!(checksum([[0x12].as_slice()]), !0x1200);
        assert_eq!(checksum([]), 0xffff);
    }

    #[test]
    fn a_message_with_its_checksum_sums_to_zero() {
        let packet = V4 {
            source: NEAR_V4,
            destination: BAIT_V4,
            protocol: UDP,
            more: true,
            offset: 3,
            options: &source_route(131, BAIT_V4),
        }
        .with(MARK);
        assert_eq!(packet[0], 0x47);
        assert_eq!(packet[6..8], [0x20, 3]);
        assert_eq!(checksum([&packet[..28]]), 0);
        assert_eq!(checksum([echo_request(8).as_slice()]), 0);
        let datagram = udp6(NEAR_V6, BAIT_V6, 443);
        let pseudo = v6(NEAR_V6, BAIT_V6, UDP, &datagram);
        assert_eq!(checksum([&pseudo[8..], &[0, UDP], &[0, 14]]), 0);
    }

    #[test]
    fn headers_count_their_own_length() {
        // Length in units of eight bytes, without the first eight.
        let header = segments(UDP, BAIT_V6, ALLOWED_V6);
        assert_eq!(header.len(), 8 + usize::from(header[1]) * 8);
        assert_eq!(header[24..40], BAIT_V6.octets());
        let header = routing(UDP, 0, BAIT_V6);
        assert_eq!(header.len(), 8 + usize::from(header[1]) * 8);
        assert_eq!(source_route(137, BAIT_V4).len(), 8);
        assert_eq!(udp(1, 2, MARK)[4..6], [0, 14]);
        assert_eq!(frame(0x0800, &[]).len(), 60);
    }
}
