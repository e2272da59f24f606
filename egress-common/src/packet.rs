//! Reads the flow of one outbound IP packet.
//!
//! The packet hook runs before fragmentation and segmentation, so a packet that a session may
//! send always carries its whole transport header right behind a plain IP header. Anything else
//! is denied: IPv4 options and IPv6 extension headers can name another destination than the
//! address field, and a fragment hides its ports.

use crate::{Address, Flow, Protocol, Reason};

/// The first bytes of a packet: as many as [`parse`] needs for its family.
#[derive(Clone, Copy, Debug)]
pub enum Headers<'a> {
    V4(&'a [u8; 24]),
    V6(&'a [u8; 44]),
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
    }
}

#[inline(always)]
fn parse_v4(b: &[u8; 24]) -> Result<Packet, (Reason, Flow)> {
    let protocol = Protocol(b[9]);
    let source = Address::from_v4([b[12], b[13], b[14], b[15]]);
    let destination = Address::from_v4([b[16], b[17], b[18], b[19]]);
    let known = Flow::new(protocol, destination, 0);
    if b[0] >> 4 != 4 || b[0] & 0x0f < 5 {
        return Err((Reason::Malformed, known));
    }
    if b[0] & 0x0f != 5 {
        return Err((Reason::IpOptions, known));
    }
    // More-fragments, or an offset. The reserved bit is not ours to judge; don't-fragment is fine.
    if b[6] & 0x3f != 0 || b[7] != 0 {
        return Err((Reason::Fragment, known));
    }
    if protocol != Protocol::TCP && protocol != Protocol::UDP {
        return Err((Reason::UnsupportedProtocol, known));
    }
    Ok(Packet {
        flow: Flow::new(protocol, destination, u16::from_be_bytes([b[22], b[23]])),
        source,
        source_port: u16::from_be_bytes([b[20], b[21]]),
    })
}

#[inline(always)]
fn parse_v6(b: &[u8; 44]) -> Result<Packet, (Reason, Flow)> {
    let protocol = Protocol(b[6]);
    let source = Address::from_v6(array16(b, 8));
    let destination = Address::from_v6(array16(b, 24));
    let known = Flow::new(protocol, destination, 0);
    if b[0] >> 4 != 6 {
        return Err((Reason::Malformed, known));
    }
    match protocol {
        Protocol::TCP | Protocol::UDP => {}
        Protocol(44) => return Err((Reason::Fragment, known)),
        // RFC 8200 section 4 and the IANA list of extension header types.
        Protocol(0 | 43 | 50 | 51 | 60 | 135 | 139 | 140) => {
            return Err((Reason::ExtensionHeader, known));
        }
        Protocol(_) => return Err((Reason::UnsupportedProtocol, known)),
    }
    Ok(Packet {
        flow: Flow::new(protocol, destination, u16::from_be_bytes([b[42], b[43]])),
        source,
        source_port: u16::from_be_bytes([b[40], b[41]]),
    })
}

#[inline(always)]
fn array16(b: &[u8; 44], at: usize) -> [u8; 16] {
    let mut out = [0; 16];
    let mut i = 0;
    while i < 16 {
        out[i] = b[at + i];
        i += 1;
    }
    out
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
        parse(&Headers::V4(&bytes)).map_err(|(reason, _)| reason)
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
        parse(&Headers::V6(&bytes)).map_err(|(reason, _)| reason)
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
