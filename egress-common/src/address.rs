//! One address type for both families.

use crate::{Reason, Verdict};

/// An IP address: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d`.
///
/// An `AF_INET6` socket reaches IPv4 hosts through the mapped form, so one representation means
/// that no rule can be dodged by changing the socket's family.
///
/// Held as four words in memory order: hook contexts and packets offer words, and a program that
/// takes them apart into bytes pays for each.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Address([u32; 4]);

const MAPPED: u32 = 0x0000_ffff_u32.to_be();
/// RFC 6052 well-known prefix, `64:ff9b::/96`.
const NAT64: u32 = 0x0064_ff9b_u32.to_be();
/// First two bytes of `2002::/16`.
const SIX_TO_FOUR: u32 = 0x2002;

impl Address {
    /// `::`, which stands for "none" in notes and events.
    pub const UNSPECIFIED: Self = Self([0; 4]);
    pub const LOOPBACK_V4: Self = Self::from_v4([127, 0, 0, 1]);
    pub const LOOPBACK_V6: Self = Self([0, 0, 0, 1_u32.to_be()]);

    #[inline(always)]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        Self::from_v4_word(u32::from_ne_bytes(octets))
    }

    /// From an IPv4 address as it lies in memory.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    /// From an IPv6 address as it lies in memory.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self(words)
    }

    pub const fn from_v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u32::from_ne_bytes([m, n, o, p]),
        ])
    }

    /// The four words, as they lie in memory.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        self.0
    }

    /// All 16 bytes, network order.
    pub const fn octets(&self) -> [u8; 16] {
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = [
            self.0[0].to_ne_bytes(),
            self.0[1].to_ne_bytes(),
            self.0[2].to_ne_bytes(),
            self.0[3].to_ne_bytes(),
        ];
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == MAPPED
    }

    /// The IPv4 address as it lies in memory, when this is one.
    #[inline(always)]
    pub const fn v4_word(&self) -> Option<u32> {
        if self.is_v4() { Some(self.0[3]) } else { None }
    }

    /// The four octets, when this is an IPv4 address.
    #[inline(always)]
    pub const fn as_v4(&self) -> Option<[u8; 4]> {
        match self.v4_word() {
            Some(word) => Some(word.to_ne_bytes()),
            None => None,
        }
    }

    /// 127.0.0.0/8 or `::1`.
    #[inline(always)]
    pub const fn is_loopback(&self) -> bool {
        match self.v4_word() {
            Some(word) => u32::from_be(word) >> 24 == 127,
            None => self.is(&Self::LOOPBACK_V6),
        }
    }

    /// One of the two addresses that the guard resolver listens on.
    #[inline(always)]
    pub const fn is_resolver(&self) -> bool {
        self.is(&Self::LOOPBACK_V4) || self.is(&Self::LOOPBACK_V6)
    }

    /// Equality that a program can use: four compares, no call to `memcmp`.
    #[inline(always)]
    pub const fn is(&self, other: &Self) -> bool {
        self.0[0] == other.0[0]
            && self.0[1] == other.0[1]
            && self.0[2] == other.0[2]
            && self.0[3] == other.0[3]
    }

    /// Multicast of either family, or the limited broadcast address.
    #[inline(always)]
    pub const fn is_multicast(&self) -> bool {
        match self.v4_word() {
            Some(word) => u32::from_be(word) >> 28 == 0xe || word == u32::MAX,
            None => u32::from_be(self.0[0]) >> 24 == 0xff,
        }
    }

    /// The address that a packet to this one really reaches.
    ///
    /// The kernel sends `0.0.0.0` and `::` to the loopback device. A NAT64 address (RFC 6052,
    /// well-known prefix) is judged by the IPv4 address inside; one that hides an address which no
    /// translator should carry is denied. A 6to4 address (RFC 3056) always is: the IPv4 address
    /// inside is only where a tunnel ends, and whoever stands behind it receives the packet.
    #[inline(always)]
    pub const fn canonical(self) -> Result<Self, Verdict> {
        let [a, b, c, d] = self.0;
        if let Some(word) = self.v4_word() {
            return Ok(if word == 0 { Self::LOOPBACK_V4 } else { self });
        }
        if self.is(&Self::UNSPECIFIED) {
            return Ok(Self::LOOPBACK_V6);
        }
        if u32::from_be(a) >> 16 == SIX_TO_FOUR {
            return Err(Verdict::deny(Reason::EmbeddedAddress));
        }
        if a != NAT64 || b != 0 || c != 0 {
            return Ok(self);
        }
        let address = Self::from_v4_word(d);
        if u32::from_be(d) >> 24 == 0 || address.is_loopback() || address.is_multicast() {
            return Err(Verdict::deny(Reason::EmbeddedAddress));
        }
        Ok(address)
    }
}

impl Ord for Address {
    /// Network order.
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.octets().cmp(&other.octets())
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
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
            None => Self::V6(address.octets().into()),
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
            None => core::net::Ipv6Addr::from(self.octets()).fmt(f),
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
        check("2002:cb00:7107::1", Err(Reason::EmbeddedAddress));
        check("2003:cb00:7107::1", Ok("2003:cb00:7107::1"));
        check("64:ff9b::127.0.0.1", Err(Reason::EmbeddedAddress));
        check("64:ff9b::0.0.0.0", Err(Reason::EmbeddedAddress));
        check("64:ff9b::224.0.0.1", Err(Reason::EmbeddedAddress));
        check("2002:7f00:1::", Err(Reason::EmbeddedAddress));
        check("64:ff9b:1::7f00:1", Ok("64:ff9b:1::7f00:1"));
        check("2001:db8::1", Ok("2001:db8::1"));
    }
}
