//! resolv.conf(5): which upstream servers the machine uses.

use std::net::{IpAddr, SocketAddr};

/// resolv.conf(5) MAXNS.
const MAX_SERVERS: usize = 3;
const PORT: u16 = 53;

/// The `nameserver` lines in their order, at most three, without duplicates. The zone of a
/// link-local address is ignored; a line that names no address is too.
pub fn resolv_conf(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("nameserver"), Some(server)) = (words.next(), words.next()) else {
            continue;
        };
        let address = server
            .split_once('%')
            .map_or(server, |(address, _zone)| address);
        let Ok(address) = address.parse::<IpAddr>() else {
            continue;
        };
        let server = SocketAddr::new(address, PORT);
        if servers.len() < MAX_SERVERS && !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let expected: Vec<SocketAddr> = expected
            .iter()
            .map(|server| server.parse().unwrap())
            .collect();
        assert_eq!(resolv_conf(text), expected);
    }

    #[test]
    fn only_nameserver_lines_count_and_only_three() {
        check("", &[]);
        check(
            "# nameserver 192.0.2.1\n;nameserver 192.0.2.1\nsearch example.com\noptions edns0\n",
            &[],
        );
        check(
            "nameserver 127.0.0.53\r\n\tnameserver\t2001:db8::1 # why\n",
            &["127.0.0.53:53", "[2001:db8::1]:53"],
        );
        check(
            "nameserver fe80::1%eth0\nnameserver not-an-address\nnameserver\n",
            &["[fe80::1]:53"],
        );
        check("nameservers 192.0.2.1\nNameserver 192.0.2.1\n", &[]);
        check(
            "nameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4",
            &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
        );
    }
}
