//! Reads the flow of one outbound IP packet.
//!
//! The packet hook runs before fragmentation and segmentation, so a packet that a session may
//! send always carries its whole transport header right behind a plain IP header. Anything else
//! is denied: IPv4 options and IPv6 extension headers can name another destination than the
//! address field, and a fragment hides its ports.
//!
//! One header is the kernel's own: a TCP buffer of more than 65,535 bytes has its length in a
//! hop-by-hop option (RFC 2675), which is gone again when the buffer has been cut into packets
//! (`ip6_xmit` and `ipv6_gso_segment` in Linux, from 5.19 on).

use crate::{Address, Flow, Protocol, Reason};

/// The first words of a packet, as they lie in memory: as many as [`parse`] needs for its family.
#[derive(Clone, Copy, Debug)]
pub enum Headers<'a> {
    /// 24 bytes: the header without options, and the ports.
    V4(&'a [u32; 6]),
    /// 44 bytes: the fixed header, and the ports.
    V6(&'a [u32; 11]),
    /// 52 bytes, where [`is_jumbogram`] says so: with the option between them.
    Jumbogram(&'a [u32; 13]),
}

/// What a packet says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    pub flow: Flow,
    pub source: Address,
    /// Host order.
    pub source_port: u16,
}

/// Reads one packet. The error carries what is known of the flow, for the record.
#[inline(always)]
pub fn parse(headers: &Headers<'_>) -> Result<Packet, (Reason, Flow)> {
    match headers {
        Headers::V4(bytes) => parse_v4(bytes),
        Headers::V6(bytes) => parse_v6(bytes),
        Headers::Jumbogram(bytes) => parse_jumbogram(bytes),
    }
}

/// Whether an IPv6 packet has no length, and behind its header a hop-by-hop one that holds a length
/// and is followed by TCP.
#[inline(always)]
pub const fn is_jumbogram(words: &[u32; 11]) -> bool {
    let [_, second, .., option] = *words;
    let length_and_next = u32::from_be(second) >> 8;
    length_and_next == 0 && option == JUMBO_PAYLOAD.to_be()
}

/// TCP next, no further 8 bytes, option 194 of 4 bytes (RFC 8200 4.3, RFC 2675 2).
const JUMBO_PAYLOAD: u32 = 0x0600_c204;
/// What a length of 16 bits can say; a jumbogram is longer (RFC 2675 3).
const LONGEST_PLAIN: u32 = 0xffff;

#[inline(always)]
fn parse_v4(words: &[u32; 6]) -> Result<Packet, (Reason, Flow)> {
    let [first, second, third, source, destination, ports] = *words;
    let protocol = Protocol((u32::from_be(third) >> 16 & 0xff) as u8);
    let destination = Address::from_v4_word(destination);
    let known = Flow::new(protocol, destination, 0);
    let version_and_length = u32::from_be(first) >> 24;
    if version_and_length >> 4 != 4 || version_and_length & 0x0f < 5 {
        return Err((Reason::Malformed, known));
    }
    if version_and_length != 0x45 {
        return Err((Reason::IpOptions, known));
    }
    // More-fragments, or an offset. The reserved bit is not ours to judge; don't-fragment is fine.
    if u32::from_be(second) & 0x3fff != 0 {
        return Err((Reason::Fragment, known));
    }
    if !protocol.is_tcp_or_udp() {
        return Err((Reason::UnsupportedProtocol, known));
    }
    Ok(Packet {
        flow: Flow::new(protocol, destination, low_half(ports)),
        source: Address::from_v4_word(source),
        source_port: (u32::from_be(ports) >> 16) as u16,
    })
}

#[inline(always)]
fn parse_v6(words: &[u32; 11]) -> Result<Packet, (Reason, Flow)> {
    let [first, second, s0, s1, s2, s3, d0, d1, d2, d3, ports] = *words;
    let protocol = Protocol((u32::from_be(second) >> 8 & 0xff) as u8);
    let destination = Address::from_words([d0, d1, d2, d3]);
    let known = Flow::new(protocol, destination, 0);
    if u32::from_be(first) >> 28 != 6 {
        return Err((Reason::Malformed, known));
    }
    if !protocol.is_tcp_or_udp() {
        let reason = match protocol {
            Protocol(44) => Reason::Fragment,
            // RFC 8200 section 4 and the IANA list of extension header types.
            Protocol(0 | 43 | 50 | 51 | 60 | 135 | 139 | 140) => Reason::ExtensionHeader,
            Protocol(_) => Reason::UnsupportedProtocol,
        };
        return Err((reason, known));
    }
    Ok(Packet {
        flow: Flow::new(protocol, destination, low_half(ports)),
        source: Address::from_words([s0, s1, s2, s3]),
        source_port: (u32::from_be(ports) >> 16) as u16,
    })
}

/// As if the option were not there.
#[inline(always)]
fn parse_jumbogram(words: &[u32; 13]) -> Result<Packet, (Reason, Flow)> {
    let [
        first,
        second,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
        option,
        length,
        ports,
    ] = *words;
    let fixed = [first, second, s0, s1, s2, s3, d0, d1, d2, d3, option];
    if !is_jumbogram(&fixed) || u32::from_be(length) <= LONGEST_PLAIN {
        return parse_v6(&fixed);
    }
    let next_is_tcp = second | (u32::from(Protocol::TCP.0) << 8).to_be();
    parse_v6(&[first, next_is_tcp, s0, s1, s2, s3, d0, d1, d2, d3, ports])
}

/// The second of two 16-bit fields in a word as it lies in memory.
#[inline(always)]
const fn low_half(word: u32) -> u16 {
    (u32::from_be(word) & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(change: impl FnOnce(&mut [u8; 24])) -> Result<Packet, Reason> {
        let mut bytes = [
            0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 203, 0, 113, 7, 0x80, 0, 1,
            0xbb,
        ];
        change(&mut bytes);
        let mut words = [0; 6];
        fill(&mut words, &bytes);
        parse(&Headers::V4(&words)).map_err(|(reason, _)| reason)
    }

    fn v6(change: impl FnOnce(&mut [u8; 44])) -> Result<Packet, Reason> {
        let mut bytes = [0; 44];
        bytes[0] = 0x60;
        bytes[6] = 17;
        bytes[23] = 1;
        bytes[24] = 0x20;
        bytes[39] = 9;
        bytes[42] = 0;
        bytes[43] = 53;
        change(&mut bytes);
        let mut words = [0; 11];
        fill(&mut words, &bytes);
        parse(&Headers::V6(&words)).map_err(|(reason, _)| reason)
    }

    /// The first bytes of a buffer of 86,240 bytes that Linux 6.18 made for `::1`.
    fn jumbogram(change: impl FnOnce(&mut [u8; 52])) -> Result<Packet, Reason> {
        let mut bytes = [0; 52];
        bytes[0] = 0x60;
        bytes[7] = 64;
        bytes[23] = 1;
        bytes[39] = 9;
        bytes[40..52].copy_from_slice(&[6, 0, 0xc2, 4, 0, 1, 0x50, 0xb8, 0xa3, 0x9e, 3, 0xfe]);
        change(&mut bytes);
        let (mut words, mut fixed) = ([0; 13], [0; 11]);
        fill(&mut words, &bytes);
        fill(&mut fixed, &bytes[..44]);
        let long = parse(&Headers::Jumbogram(&words));
        if !is_jumbogram(&fixed) {
            assert_eq!(long, parse(&Headers::V6(&fixed)));
        }
        long.map_err(|(reason, _)| reason)
    }

    fn fill(words: &mut [u32], bytes: &[u8]) {
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes(bytes.try_into().unwrap());
        }
    }

    #[test]
    fn a_plain_packet_is_read() {
        let packet = v4(|_| {}).unwrap();
        assert_eq!(
            packet.flow,
            Flow::new(Protocol::TCP, Address::from_v4([203, 0, 113, 7]), 443)
        );
        assert_eq!(packet.source_port, 0x8000);
        let packet = v6(|_| {}).unwrap();
        assert_eq!(packet.flow.port, 53);
        assert_eq!(packet.flow.protocol, Protocol::UDP);
        assert_eq!(packet.flow.destination.octets()[15], 9);
    }

    #[test]
    fn the_length_of_a_jumbogram_is_no_header_that_hides_something() {
        let packet = jumbogram(|_| {}).unwrap();
        assert_eq!(packet.flow.protocol, Protocol::TCP);
        assert_eq!((packet.source_port, packet.flow.port), (0xa39e, 0x3fe));
        assert_eq!(packet.flow.destination.octets()[15], 9);
        // Another length, next header, size, option or version; a length that a plain header could say.
        for (at, value) in [
            (4, 1),
            (5, 1),
            (40, 17),
            (40, 43),
            (41, 1),
            (42, 5),
            (43, 2),
            (45, 0),
        ] {
            assert_eq!(
                jumbogram(|b| b[at] = value),
                Err(Reason::ExtensionHeader),
                "{at}"
            );
        }
        assert_eq!(
            jumbogram(|b| b[45..48].fill(0xff)).map(|it| it.flow.port),
            Ok(0x3fe)
        );
        assert_eq!(
            jumbogram(|b| b[44..48].copy_from_slice(&[0, 0, 0xff, 0xff])),
            Err(Reason::ExtensionHeader)
        );
        assert_eq!(jumbogram(|b| b[0] = 0x40), Err(Reason::Malformed));
        assert_eq!(jumbogram(|b| b[6] = 43), Err(Reason::ExtensionHeader));
    }

    #[test]
    fn whatever_can_hide_a_destination_is_refused() {
        assert_eq!(v4(|b| b[0] = 0x46), Err(Reason::IpOptions));
        assert_eq!(v4(|b| b[0] = 0x44), Err(Reason::Malformed));
        assert_eq!(v4(|b| b[0] = 0x65), Err(Reason::Malformed));
        assert_eq!(v4(|b| b[6] = 0x20), Err(Reason::Fragment));
        assert_eq!(v4(|b| b[7] = 1), Err(Reason::Fragment));
        assert_eq!(v4(|b| b[9] = 1), Err(Reason::UnsupportedProtocol));
        assert_eq!(v4(|b| b[9] = 136), Err(Reason::UnsupportedProtocol));
        assert_eq!(v6(|b| b[0] = 0x40), Err(Reason::Malformed));
        for next in [0, 43, 50, 51, 60, 135, 139, 140] {
            assert_eq!(v6(|b| b[6] = next), Err(Reason::ExtensionHeader));
        }
        assert_eq!(v6(|b| b[6] = 44), Err(Reason::Fragment));
        assert_eq!(v6(|b| b[6] = 58), Err(Reason::UnsupportedProtocol));
    }
}
