//! Who is where: the addresses and names of the small internet.
//!
//! All addresses are documentation ranges (RFC 5737, RFC 3849), apart from the intranet and the
//! metadata service, which stand for the private space that a public name must not lead to.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The link between the machine and the internet has this name on both ends.
pub const LINK: &str = "uplink";

pub const MACHINE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const MACHINE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// The resolver that the machine's resolv.conf names.
pub const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
pub const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 0x53);
/// A resolver that answers as well, but that the machine never chose.
pub const STRANGER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);
pub const STRANGER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0x53);

/// The whole of `*.allowed.test` is on these, apart from the names that say otherwise.
pub const ALLOWED_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub const ALLOWED_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x10);
/// The whole of `*.denied.test`.
pub const DENIED_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
pub const DENIED_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0x10);
/// Has no name: for rules about addresses.
pub const NAMELESS_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
pub const NAMELESS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x77);
/// The end of the alias chain, and everything below `wild.test`.
pub const EDGE_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 100);
pub const EDGE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0x64);
/// `db.intranet.test`.
pub const INTRANET_V4: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 5);
/// The metadata service of a cloud.
pub const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

pub const V4: [Ipv4Addr; 8] = [
    RESOLVER_V4,
    STRANGER_V4,
    ALLOWED_V4,
    DENIED_V4,
    NAMELESS_V4,
    EDGE_V4,
    INTRANET_V4,
    METADATA_V4,
];
pub const V6: [Ipv6Addr; 6] = [
    RESOLVER_V6,
    STRANGER_V6,
    ALLOWED_V6,
    DENIED_V6,
    NAMELESS_V6,
    EDGE_V6,
];

/// Ports on which every address answers with what it was sent, over TCP and over UDP.
pub const ECHO_PORTS: [u16; 5] = [7, 5432, 8000, 9000, 9001];
/// Where the echo also counts as a mark in a capture; see [`super::capture`].
pub(super) const MARK_PORT: u16 = 9001;

/// The `ip` commands of the machine's side.
pub(super) fn machine_links() -> String {
    format!(
        "link set lo up\n\
         link set {LINK} up\n\
         addr add {MACHINE_V4}/24 dev {LINK}\n\
         addr add {MACHINE_V6}/64 dev {LINK} nodad\n\
         route add default via {GATEWAY_V4}\n\
         route add default via {GATEWAY_V6}\n"
    )
}

/// The `ip` commands of the internet's side. The two documentation networks are local as a whole, so
/// that any of their addresses answers on TCP; for every other address the gateway says at once that it
/// is unreachable.
pub(super) fn internet_links() -> String {
    let mut lines = format!(
        "link set lo up\n\
         link set {LINK} up\n\
         addr add {GATEWAY_V4}/24 dev {LINK}\n\
         addr add {GATEWAY_V6}/64 dev {LINK} nodad\n\
         route add local 203.0.113.0/24 dev lo\n\
         route add local 198.51.100.0/24 dev lo\n\
         route add local 10.20.0.0/16 dev lo\n\
         route add local 2001:db8:b000::/36 dev lo\n\
         route add unreachable default\n\
         route add unreachable ::/0\n"
    );
    let v4 = V4.map(|address| format!("addr add {address}/32 dev lo\n"));
    let v6 = V6.map(|address| format!("addr add {address}/128 dev lo nodad\n"));
    lines.extend(v4.into_iter().chain(v6));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_and_denied_addresses_share_no_prefix_that_a_rule_could_name() {
        assert_ne!(ALLOWED_V4.octets()[..3], DENIED_V4.octets()[..3]);
        assert_ne!(ALLOWED_V6.segments()[..3], DENIED_V6.segments()[..3]);
    }

    #[test]
    fn every_address_of_the_internet_is_in_its_links() {
        let lines = internet_links();
        for address in V4
            .map(|a| format!("{a}/32 "))
            .into_iter()
            .chain(V6.map(|a| format!("{a}/128 ")))
        {
            assert!(lines.contains(&address), "{address}");
        }
    }
}
