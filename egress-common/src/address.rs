//! One address type for both families.

use crate::{Reason, Verdict};

/// An IP address: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d`.
///
/// An `AF_INET6` socket reaches IPv4 hosts through the mapped form, so one representation means
/// that no rule can be dodged by changing the socket's family.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address([u8; 16]);

const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/// RFC 6052 well-known prefix.
const NAT64: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

impl Address {
    /// `::`, which stands for "none" in notes and events.
    pub const UNSPECIFIED: Self = Self([0; 16]);

    #[inline(always)]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    #[inline(always)]
    pub const fn from_v6(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// All 16 bytes, network order.
    #[inline(always)]
    pub const fn octets(&self) -> [u8; 16] {
        self.0
    }

    /// The four octets, when this is an IPv4 address.
    #[inline(always)]
    pub fn as_v4(&self) -> Option<[u8; 4]> {
        let [prefix @ .., a, b, c, d] = self.0;
        if prefix == MAPPED {
            Some([a, b, c, d])
        } else {
            None
        }
    }

    #[inline(always)]
    pub fn is_loopback(&self) -> bool {
        match self.as_v4() {
            Some([first, ..]) => first == 127,
            None => self.0 == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        }
    }

    /// One of the two addresses that the guard resolver listens on.
    #[inline(always)]
    pub fn is_resolver(&self) -> bool {
        match self.as_v4() {
            Some(octets) => octets == [127, 0, 0, 1],
            None => self.is_loopback(),
        }
    }

    /// Multicast of either family, or the limited broadcast address.
    #[inline(always)]
    pub fn is_multicast(&self) -> bool {
        match self.as_v4() {
            Some(octets) => octets[0] & 0xf0 == 0xe0 || octets == [255; 4],
            None => self.0[0] == 0xff,
        }
    }

    /// The address that a packet to this one really reaches.
    ///
    /// The kernel sends `0.0.0.0` and `::` to the loopback device. A NAT64 (RFC 6052, well-known
    /// prefix) or 6to4 (RFC 3056) address is judged by the IPv4 address inside; one that hides
    /// an address which no translator should carry is denied.
    #[inline(always)]
    pub fn canonical(self) -> Result<Self, Verdict> {
        let b = self.0;
        if let Some(v4) = self.as_v4() {
            return Ok(if v4 == [0; 4] {
                Self::from_v4([127, 0, 0, 1])
            } else {
                self
            });
        }
        if b == [0; 16] {
            return Ok(Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
        }
        let [prefix @ .., _, _, _, _] = b;
        let inner = if prefix == NAT64 {
            [b[12], b[13], b[14], b[15]]
        } else if b[0] == 0x20 && b[1] == 0x02 {
            [b[2], b[3], b[4], b[5]]
        } else {
            return Ok(self);
        };
        let inner_address = Self::from_v4(inner);
        if inner[0] == 0 || inner_address.is_loopback() || inner_address.is_multicast() {
            return Err(Verdict::deny(Reason::EmbeddedAddress));
        }
        Ok(inner_address)
    }
}

#[cfg(feature = "user")]
impl From<std::net::IpAddr> for Address {
    fn from(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            std::net::IpAddr::V6(v6) => Self::from_v6(v6.octets()),
        }
    }
}

#[cfg(feature = "user")]
impl From<Address> for std::net::IpAddr {
    /// A mapped address becomes the IPv4 address that it stands for.
    fn from(address: Address) -> Self {
        match address.as_v4() {
            Some(v4) => Self::V4(v4.into()),
            None => Self::V6(address.0.into()),
        }
    }
}

#[cfg(feature = "user")]
impl core::fmt::Display for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        std::net::IpAddr::from(*self).fmt(f)
    }
}

impl core::fmt::Debug for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.as_v4() {
            Some(v4) => core::net::Ipv4Addr::from(v4).fmt(f),
            None => core::net::Ipv6Addr::from(self.0).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str) -> Address {
        Address::from_v6(text.parse::<core::net::Ipv6Addr>().unwrap().octets())
    }

    #[track_caller]
    fn check(from: &str, to: Result<&str, Reason>) {
        let got = v6(from).canonical().map_err(|verdict| match verdict {
            Verdict::Deny(reason, _) => reason,
            Verdict::Allow(_) => panic!("an error that allows"),
        });
        assert_eq!(got, to.map(v6), "{from}");
    }

    #[test]
    fn an_address_is_judged_by_where_its_packet_goes() {
        check("::ffff:0.0.0.0", Ok("::ffff:127.0.0.1"));
        check("::", Ok("::1"));
        check("::1", Ok("::1"));
        check("64:ff9b::203.0.113.7", Ok("::ffff:203.0.113.7"));
        check("2002:cb00:7107::1", Ok("::ffff:203.0.113.7"));
        check("64:ff9b::127.0.0.1", Err(Reason::EmbeddedAddress));
        check("64:ff9b::0.0.0.0", Err(Reason::EmbeddedAddress));
        check("64:ff9b::224.0.0.1", Err(Reason::EmbeddedAddress));
        check("2002:7f00:1::", Err(Reason::EmbeddedAddress));
        check("64:ff9b:1::7f00:1", Ok("64:ff9b:1::7f00:1"));
        check("2001:db8::1", Ok("2001:db8::1"));
    }
}
