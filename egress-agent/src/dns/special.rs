//! Address ranges that a public name has no business to point at.
//!
//! The list is the IANA special-purpose registries' private, loopback, link-local, shared,
//! benchmarking, multicast and transition space. Documentation space stays out: nothing answers
//! there, and tests live in it.

use egress_common::Address;

/// Whether an answer of this address is kept from a name that may not lead into private space.
pub fn is_special(address: &Address) -> bool {
    match address.as_v4() {
        Some(octets) => is_special_v4(octets),
        None => is_special_v6(address.octets()),
    }
}

const fn is_special_v4([a, b, c, _]: [u8; 4]) -> bool {
    match a {
        0 | 10 | 127 => true,
        100 => b & 0xc0 == 64,
        169 => b == 254,
        172 => b & 0xf0 == 16,
        192 => b == 168 || (b == 0 && c == 0),
        198 => b & 0xfe == 18,
        _ => a >= 224,
    }
}

fn is_special_v6(octets: [u8; 16]) -> bool {
    let [first, second, ..] = octets;
    let starts_zero = octets.starts_with(&[0; 10]);
    // ::, ::1, IPv4-compatible and IPv4-mapped forms.
    (starts_zero && (octets.starts_with(&[0; 12]) || octets.get(10..12) == Some(&[0xff, 0xff])))
        // 64:ff9b::/96 (RFC 6052) and the local 64:ff9b:1::/48 (RFC 8215).
        || octets.starts_with(&[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0])
        || octets.starts_with(&[0, 0x64, 0xff, 0x9b, 0, 1])
        // 2002::/16, 6to4.
        || [first, second] == [0x20, 0x02]
        // fc00::/7, unique local.
        || first & 0xfe == 0xfc
        // fe80::/10 link-local and fec0::/10 site-local.
        || (first == 0xfe && second & 0x80 == 0x80)
        || first == 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_space_is_special_up_to_its_edges() {
        for (text, expected) in [
            ("0.0.0.0", true),
            ("0.255.255.255", true),
            ("1.0.0.0", false),
            ("10.0.0.1", true),
            ("11.0.0.0", false),
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("100.127.255.255", true),
            ("100.128.0.0", false),
            ("127.0.0.1", true),
            ("169.253.255.255", false),
            ("169.254.169.254", true),
            ("169.255.0.0", false),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.0.0.8", true),
            ("192.0.1.0", false),
            ("192.0.2.1", false),
            ("192.168.0.1", true),
            ("198.17.255.255", false),
            ("198.18.0.0", true),
            ("198.19.255.255", true),
            ("198.20.0.0", false),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("223.255.255.255", false),
            ("224.0.0.1", true),
            ("240.0.0.1", true),
            ("255.255.255.255", true),
            ("::", true),
            ("::1", true),
            ("::192.168.0.1", true),
            ("64:ff9b::808:808", true),
            ("64:ff9b:1::808:808", true),
            ("64:ff9b:2::", false),
            ("2001:db8::1", false),
            ("2002:808:808::1", true),
            ("fbff::", false),
            ("fc00::", true),
            ("fdff::1", true),
            ("fe00::", false),
            ("fe80::1", true),
            ("fec0::1", true),
            ("feff::1", true),
            ("ff02::1", true),
            ("2606:4700::1", false),
        ] {
            let address: std::net::IpAddr = text.parse().unwrap();
            assert_eq!(is_special(&address.into()), expected, "{text}");
        }
    }
}
