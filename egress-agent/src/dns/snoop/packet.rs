//! UDP datagrams in raw IP packets. Fragments, options of IPv6 and anything that does not add up
//! are no datagrams; checksums are the kernel's business.

use egress_common::Address;

use crate::dns::wire::Reader;

const UDP: u8 = 17;

/// One UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dns) struct Datagram<'a> {
    /// Address and port, host order.
    pub(in crate::dns) source: (Address, u16),
    pub(in crate::dns) destination: (Address, u16),
    pub(in crate::dns) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a packet that begins with its IP header; bytes after the packet are padding.
    pub(in crate::dns) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (source, destination, rest) = match packet.first()? >> 4 {
            4 => v4(packet)?,
            6 => v6(packet)?,
            _ => return None,
        };
        let mut reader = Reader::new(rest);
        let source_port = reader.u16()?;
        let destination_port = reader.u16()?;
        let length = usize::from(reader.u16()?);
        reader.take(2)?;
        Some(Self {
            source: (source, source_port),
            destination: (destination, destination_port),
            payload: reader.take(length.checked_sub(8)?)?,
        })
    }
}

/// RFC 791 3.1.
fn v4(packet: &[u8]) -> Option<(Address, Address, &[u8])> {
    let mut reader = Reader::new(packet);
    let header = usize::from(reader.u8()? & 0xf) * 4;
    reader.u8()?;
    let total = usize::from(reader.u16()?);
    reader.take(2)?;
    let fragment = reader.u16()?;
    reader.u8()?;
    let protocol = reader.u8()?;
    reader.take(2)?;
    let source = Address::from_v4(reader.array()?);
    let destination = Address::from_v4(reader.array()?);
    // More fragments, or not the first one.
    if fragment & 0x3fff != 0 || protocol != UDP || header < 20 {
        return None;
    }
    Some((source, destination, packet.get(header..total)?))
}

/// RFC 8200 3.
fn v6(packet: &[u8]) -> Option<(Address, Address, &[u8])> {
    let mut reader = Reader::new(packet);
    reader.take(4)?;
    let length = usize::from(reader.u16()?);
    let next = reader.u8()?;
    reader.u8()?;
    let source = Address::from_v6(reader.array()?);
    let destination = Address::from_v6(reader.array()?);
    // On the wire a mapped address is no IPv4 address.
    if next != UDP || source.as_v4().is_some() || destination.as_v4().is_some() {
        return None;
    }
    Some((source, destination, reader.take(length)?))
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A well-formed packet of this payload.
    pub(in crate::dns::snoop) fn packet(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let udp = u16::try_from(payload.len() + 8).unwrap();
        let mut packet = match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                let mut header = vec![0x45, 0];
                header.extend((udp + 20).to_be_bytes());
                header.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
                header.extend(from.ip().octets());
                header.extend(to.ip().octets());
                header
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                let mut header = vec![0x60, 0, 0, 0];
                header.extend(udp.to_be_bytes());
                header.extend([17, 64]);
                header.extend(from.ip().octets());
                header.extend(to.ip().octets());
                header
            }
            _ => panic!("two families"),
        };
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend(udp.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn a_datagram_is_read_from_either_family_and_padding_left_out() {
        for (from, to) in [
            ("10.0.0.2:4000", "192.0.2.53:53"),
            ("[2001:db8::2]:4000", "[2001:db8::53]:53"),
        ] {
            let mut bytes = packet(from, to, b"payload");
            bytes.extend([0; 6]);
            let datagram = Datagram::parse(&bytes).unwrap();
            assert_eq!(datagram.payload, b"payload");
            let socket = |(address, port)| {
                SocketAddr::new(std::net::IpAddr::from(address), port).to_string()
            };
            assert_eq!(
                (socket(datagram.source), socket(datagram.destination)),
                (from.to_owned(), to.to_owned())
            );
        }
        let mut options = packet("10.0.0.2:4000", "192.0.2.53:53", b"payload");
        options[0] = 0x46;
        options[3] += 4;
        options.splice(20..20, [1, 1, 1, 1]);
        assert_eq!(Datagram::parse(&options).unwrap().payload, b"payload");
    }

    #[test]
    fn what_is_no_whole_datagram_is_none() {
        let v4 = packet("10.0.0.2:4000", "192.0.2.53:53", b"payload");
        let v6 = packet("[2001:db8::2]:4000", "[2001:db8::53]:53", b"payload");
        for good in [&v4, &v6] {
            assert!(Datagram::parse(good).is_some());
            for length in 0..good.len() {
                assert!(Datagram::parse(&good[..length]).is_none(), "{length}");
            }
        }
        for (good, at, byte) in [
            (&v4, 0, 0x55),
            (&v4, 0, 0x44),
            (&v4, 0, 0x4f),
            (&v4, 3, 19),
            (&v4, 6, 0x20),
            (&v4, 7, 1),
            (&v4, 9, 6),
            (&v4, 25, 7),
            (&v4, 25, 200),
            (&v6, 5, 3),
            (&v6, 6, 44),
            (&v6, 6, 0),
            (&v6, 45, 200),
        ] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert!(Datagram::parse(&bytes).is_none(), "{at} {byte}");
        }
        let mapped = packet("[::ffff:192.0.2.53]:53", "[2001:db8::2]:4000", b"payload");
        assert!(Datagram::parse(&mapped).is_none());
    }
}
