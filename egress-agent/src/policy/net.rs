//! Address ranges of a rule, and the addresses that no wide range opens.
//!
//! A range is written canonically: host bits zero, IPv4 as IPv4. Ranges that the decision never
//! looks up (loopback, multicast, addresses that carry another address) are refused with what to
//! write instead, so that no rule stands in a policy without effect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The addresses where clouds answer with credentials. Only a CIDR rule for exactly one of them
/// opens it.
pub const METADATA: &[IpAddr] = &[
    // EC2, GCE, Azure, OpenStack and others.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // ECS task roles.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    // EKS pod identity.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure's wire server.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // EC2 and EKS over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

/// Why a text is not a range that a rule can name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    #[error("not an IP address or CIDR")]
    Shape { is_name: bool },
    #[error("bits are set after the prefix")]
    HostBits { right: IpNet },
    #[error("IPv4 in IPv6 spelling")]
    Mapped { right: IpNet },
    #[error("loopback addresses have their own rule")]
    Loopback,
    #[error("multicast and broadcast are always denied")]
    Multicast,
    #[error("the unspecified address means loopback")]
    Unspecified,
    #[error("an address that carries an IPv4 address is judged by the address inside")]
    Embedded { right: IpNet },
    #[error("6to4 addresses are always denied")]
    SixToFour,
}

/// Reads a CIDR; a bare address is one of full length.
pub fn parse(text: &str) -> Result<IpNet, InvalidNetwork> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(std::net::AddrParseError { .. }) => {
            text.parse::<IpNet>()
                .map_err(|_no_detail| InvalidNetwork::Shape {
                    is_name: super::NamePattern::parse(text).is_ok(),
                })?
        }
    };
    if network.addr() != network.network() {
        let right = network.trunc();
        return Err(match right {
            IpNet::V6(v6) => match unmap(v6) {
                Some(right) => InvalidNetwork::Mapped { right },
                None => InvalidNetwork::HostBits { right },
            },
            IpNet::V4(_) => InvalidNetwork::HostBits { right },
        });
    }
    refuse_special(network)?;
    Ok(network)
}

impl InvalidNetwork {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Shape { is_name: true } => "host names belong in `hosts`".to_owned(),
            Self::Shape { is_name: false } => {
                "write `10.20.0.0/16`, `2001:db8::/32` or a single address".to_owned()
            }
            Self::HostBits { right } | Self::Mapped { right } | Self::Embedded { right } => {
                format!("write `{}`", spell(right))
            }
            Self::Loopback | Self::Unspecified => {
                "list the ports in `network.loopback.allow`".to_owned()
            }
            Self::Multicast | Self::SixToFour => "take it out".to_owned(),
        }
    }
}

/// A range as a policy writes it: a single address without its length.
pub(crate) fn spell(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn refuse_special(network: IpNet) -> Result<(), InvalidNetwork> {
    let first = network.network();
    match network {
        IpNet::V4(v4) => {
            let is_host = v4.prefix_len() == 32;
            if first.is_loopback() && v4.prefix_len() >= 8 {
                return Err(InvalidNetwork::Loopback);
            }
            if (first.is_multicast() && v4.prefix_len() >= 4)
                || (is_host && v4.addr().is_broadcast())
            {
                return Err(InvalidNetwork::Multicast);
            }
            if is_host && first.is_unspecified() {
                return Err(InvalidNetwork::Unspecified);
            }
        }
        IpNet::V6(v6) => {
            if let Some(right) = unmap(v6) {
                return Err(InvalidNetwork::Mapped { right });
            }
            if let Some(right) = unwrap_embedded(v6) {
                return Err(InvalidNetwork::Embedded { right });
            }
            if v6.addr().segments().starts_with(&[0x2002]) && v6.prefix_len() >= 16 {
                return Err(InvalidNetwork::SixToFour);
            }
            if first.is_multicast() && v6.prefix_len() >= 8 {
                return Err(InvalidNetwork::Multicast);
            }
            if first.is_loopback() {
                return Err(InvalidNetwork::Loopback);
            }
            if first.is_unspecified() && v6.prefix_len() == 128 {
                return Err(InvalidNetwork::Unspecified);
            }
        }
    }
    Ok(())
}

/// The IPv4 range that lies within `::ffff:0:0/96`.
fn unmap(network: Ipv6Net) -> Option<IpNet> {
    let bits = network.prefix_len().checked_sub(96)?;
    let v4 = network.network().to_ipv4_mapped()?;
    Ipv4Net::new(v4, bits).ok().map(IpNet::V4)
}

/// The IPv4 range that lies within the well-known NAT64 prefix (RFC 6052).
fn unwrap_embedded(network: Ipv6Net) -> Option<IpNet> {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = network.network().segments();
    if [s0, s1, s2, s3, s4, s5] != [0x64, 0xff9b, 0, 0, 0, 0] {
        return None;
    }
    let inner = Ipv4Addr::from((u32::from(s6) << 16) | u32::from(s7));
    let bits = network.prefix_len().checked_sub(96)?;
    Ipv4Net::new(inner, bits)
        .ok()
        .map(|net| IpNet::V4(net.trunc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap().to_string(), expected);
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = parse(text).unwrap_err();
        assert_eq!(format!("{error}: {}", error.help()), expected, "{text}");
    }

    #[test]
    fn ranges_are_read() {
        check("10.20.0.0/16", "10.20.0.0/16");
        check("10.0.0.5", "10.0.0.5/32");
        check("2001:db8::/32", "2001:db8::/32");
        check("2001:DB8:0::1", "2001:db8::1/128");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("::/0", "::/0");
        check("169.254.169.254", "169.254.169.254/32");
        check("64:ff9b:1::/48", "64:ff9b:1::/48");
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_right_spelling() {
        refused(
            "10.0.0.5/8",
            "bits are set after the prefix: write `10.0.0.0/8`",
        );
        refused(
            "2001:db8::1/32",
            "bits are set after the prefix: write `2001:db8::/32`",
        );
        refused(
            "::ffff:10.0.0.0/104",
            "IPv4 in IPv6 spelling: write `10.0.0.0/8`",
        );
        refused("::ffff:10.0.0.5", "IPv4 in IPv6 spelling: write `10.0.0.5`");
        refused(
            "::ffff:10.0.0.5/104",
            "IPv4 in IPv6 spelling: write `10.0.0.0/8`",
        );
        let loopback = "loopback addresses have their own rule: list the ports in \
                        `network.loopback.allow`";
        refused("127.0.0.0/8", loopback);
        refused("127.1.2.3", loopback);
        refused("::1", loopback);
        let unspecified = "the unspecified address means loopback: list the ports in \
                           `network.loopback.allow`";
        refused("0.0.0.0", unspecified);
        refused("::", unspecified);
        let multicast = "multicast and broadcast are always denied: take it out";
        for text in ["224.0.0.0/4", "239.1.1.1", "255.255.255.255", "ff02::/16"] {
            refused(text, multicast);
        }
        let embedded = "an address that carries an IPv4 address is judged by the address inside: \
                        write `10.0.0.0/8`";
        refused("64:ff9b::a00:0/104", embedded);
        refused(
            "2002:a00::/24",
            "6to4 addresses are always denied: take it out",
        );
        refused(
            "github.com",
            "not an IP address or CIDR: host names belong in `hosts`",
        );
        let shape = "not an IP address or CIDR: write `10.20.0.0/16`, `2001:db8::/32` or a \
                     single address";
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "fe80::1%eth0",
            "010.0.0.1",
            "10.0.0.0/-1",
        ] {
            refused(text, shape);
        }
    }
}
