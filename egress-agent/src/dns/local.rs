//! Names that the guard answers by itself, whatever the policy says: nothing leaves the machine.

use std::net::IpAddr;

use egress_common::Address;
use hickory_proto::rr::{
    RData, Record,
    rdata::{A, AAAA, PTR},
};

use super::{
    answer::{TYPE_A, TYPE_AAAA, wire_name},
    leases::Leases,
    reply::{Rcode, Template},
};

pub(super) const TYPE_PTR: u16 = 12;
/// Seconds for which a client may keep such an answer.
pub(super) const TTL: u32 = 30;
/// Names that are given for one address.
const MAX_NAMES: usize = 8;

/// What the guard itself knows about a question.
#[derive(Debug)]
pub(super) enum Local {
    /// The policy decides.
    Unknown,
    Answer(Template),
    /// The session holds no lease for the address whose name it asks.
    NoSuchLease,
    /// It would make clients leave the guard (RFC 9462).
    Designation,
}

/// Looks at one question of `session`.
pub(super) fn answer(name: &str, kind: u16, session: u64, leases: &Leases, now: u64) -> Local {
    if name == "localhost" || name.ends_with(".localhost") {
        let data = match kind {
            TYPE_A => Some(RData::A(A::new(127, 0, 0, 1))),
            TYPE_AAAA => Some(RData::AAAA(AAAA::new(0, 0, 0, 0, 0, 0, 0, 1))),
            _ => None,
        };
        return template(name, kind, Rcode::NO_ERROR, data.into_iter().collect());
    }
    // Firefox turns its own DNS over HTTPS off when this name does not exist.
    if name == "use-application-dns.net" {
        return template(name, kind, Rcode::NO_SUCH_NAME, Vec::new());
    }
    if name == "resolver.arpa" || name.ends_with(".resolver.arpa") {
        return Local::Designation;
    }
    match reverse(name) {
        Some(address) if kind == TYPE_PTR => pointers(name, address, session, leases, now),
        _ => Local::Unknown,
    }
}

/// The names that lead the session to the address; the most recent first.
fn pointers(name: &str, address: IpAddr, session: u64, leases: &Leases, now: u64) -> Local {
    let address = Address::from(address);
    if address.is_resolver() {
        return template(
            name,
            TYPE_PTR,
            Rcode::NO_ERROR,
            pointer("localhost").into_iter().collect(),
        );
    }
    let names: Vec<_> = leases
        .names(session, address)
        .iter()
        .filter(|held| now < held.expires)
        .take(MAX_NAMES)
        .filter_map(|held| pointer(held.name))
        .collect();
    if names.is_empty() {
        return Local::NoSuchLease;
    }
    template(name, TYPE_PTR, Rcode::NO_ERROR, names)
}

fn pointer(name: &str) -> Option<RData> {
    Some(RData::PTR(PTR(wire_name(name)?)))
}

fn template(name: &str, kind: u16, rcode: Rcode, data: Vec<RData>) -> Local {
    let Some(owner) = wire_name(name) else {
        return Local::Unknown;
    };
    let records = data
        .into_iter()
        .map(|data| Record::from_rdata(owner.clone(), 0, data))
        .collect();
    Template::new(&owner, kind, rcode, records, Vec::new()).map_or(Local::Unknown, Local::Answer)
}

/// The address whose reverse name (RFC 1035 3.5, RFC 3596 2.5) this is.
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0_u8; 4];
        let mut parts = labels.split('.').rev();
        for octet in &mut octets {
            let part = parts.next()?;
            *octet = part
                .parse()
                .ok()
                .filter(|number: &u8| number.to_string() == part)?;
        }
        return parts.next().is_none().then(|| octets.into());
    }
    let mut nibbles = name.strip_suffix(".ip6.arpa")?.split('.').rev();
    let mut octets = [0_u8; 16];
    for octet in &mut octets {
        *octet = nibble(nibbles.next()?)? << 4 | nibble(nibbles.next()?)?;
    }
    nibbles.next().is_none().then(|| octets.into())
}

fn nibble(label: &str) -> Option<u8> {
    let [digit] = label.as_bytes() else {
        return None;
    };
    u8::try_from(char::from(*digit).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverse_name_is_one_address_in_one_spelling() {
        let v6 = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        for (name, expected) in [
            ("7.113.0.203.in-addr.arpa", Some("203.0.113.7")),
            ("07.113.0.203.in-addr.arpa", None),
            ("113.0.203.in-addr.arpa", None),
            ("1.7.113.0.203.in-addr.arpa", None),
            ("256.113.0.203.in-addr.arpa", None),
            ("in-addr.arpa", None),
            (&v6, Some("2001:db8::1")),
            (v6.trim_start_matches("1."), None),
            ("example.com", None),
        ] {
            assert_eq!(
                reverse(name),
                expected.map(|text| text.parse().unwrap()),
                "{name}"
            );
        }
    }
}
