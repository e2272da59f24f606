use super::*;

/// An Ethernet frame around `packet`.
fn frame(kind: u16, packet: &[u8]) -> Vec<u8> {
    [&[2; 12], &kind.to_be_bytes()[..], packet].concat()
}

/// An IPv4 packet from the near side.
fn packet(protocol: u8, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    packet_of(NEAR_V4, protocol, to, payload, 0)
}

fn packet_of(from: Ipv4Addr, protocol: u8, to: Ipv4Addr, payload: &[u8], fragment: u16) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let [f0, f1] = fragment.to_be_bytes();
    let head = [
        0x45, 0, length[0], length[1], 0, 0, f0, f1, 64, protocol, 0, 0,
    ];
    [&head[..], &from.octets(), &to.octets(), payload].concat()
}

fn packet6(next: u8, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [0x60, 0, 0, 0, length[0], length[1], next, 64];
    [&head[..], &NEAR_V6.octets(), &to.octets(), payload].concat()
}

fn udp(from: u16, to: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap();
    let words = [from, to, length, 0].map(u16::to_be_bytes).concat();
    [&words[..], data].concat()
}

fn tcp(from: u16, to: u16, flags: u8, data: &[u8]) -> Vec<u8> {
    let ports = [from, to].map(u16::to_be_bytes).concat();
    let rest = [0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0];
    [&ports[..], &rest, data].concat()
}

#[track_caller]
fn counts(frame: &[u8], line: &str) {
    assert_eq!(read(frame), Frame::Counted(line.to_owned()));
}

#[track_caller]
fn is_noise(frame: &[u8]) {
    assert_eq!(read(frame), Frame::Noise);
}

const BAIT: Ipv4Addr = crate::escape::ground::BAIT_V4;
const BAIT6: Ipv6Addr = crate::escape::ground::BAIT_V6;

#[test]
fn what_no_rule_allows_counts() {
    counts(
        &frame(0x0800, &packet(UDP, BAIT, &udp(4000, 4433, b"x"))),
        "UDP 192.0.2.2:4000 > 203.0.113.10:4433",
    );
    counts(
        &frame(0x0800, &packet(132, BAIT, &udp(9, 4433, b""))),
        "SCTP 192.0.2.2:9 > 203.0.113.10:4433",
    );
    counts(
        &frame(0x86dd, &packet6(TCP, BAIT6, &tcp(9, 4433, 2, b""))),
        "TCP [2001:db8::2]:9 > [2001:db8:113::10]:4433",
    );
    counts(
        &frame(0x0800, &packet(ICMP, BAIT, &[8, 0, 0, 0])),
        "ICMP 192.0.2.2 > 203.0.113.10",
    );
    counts(&frame(0x88b5, b"own"), "ethertype 0x88b5, 17 bytes");
}

#[test]
fn what_the_policy_allows_is_noise_and_nothing_beside_it() {
    let allowed = |protocol, payload: &[u8]| frame(0x0800, &packet(protocol, ALLOWED_V4, payload));
    is_noise(&allowed(TCP, &tcp(9, 443, 2, b"")));
    is_noise(&allowed(UDP, &udp(9, 443, b"x")));
    is_noise(&frame(0x86dd, &packet6(UDP, ALLOWED_V6, &udp(9, 443, b""))));
    counts(
        &allowed(UDP, &udp(9, 444, b"x")),
        "UDP 192.0.2.2:9 > 203.0.113.20:444",
    );
    counts(
        &allowed(136, &udp(9, 443, b"x")),
        "UDP-Lite 192.0.2.2:9 > 203.0.113.20:443",
    );
    counts(
        &allowed(UDP, &udp(9, 443, b"an escape of data")),
        "UDP 192.0.2.2:9 > 203.0.113.20:443",
    );
    let spoofed = packet_of(BAIT, UDP, ALLOWED_V4, &udp(9, 443, b""), 0);
    counts(
        &frame(0x0800, &spoofed),
        "UDP 203.0.113.10:9 > 203.0.113.20:443",
    );
}

#[test]
fn oddities_of_the_header_count_even_to_an_allowed_address() {
    let first = packet_of(NEAR_V4, UDP, ALLOWED_V4, &udp(9, 443, b""), 0x2000);
    counts(
        &frame(0x0800, &first),
        "UDP 192.0.2.2:9 > 203.0.113.20:443 (first fragment)",
    );
    let later = packet_of(NEAR_V4, UDP, ALLOWED_V4, &udp(9, 443, b""), 3);
    counts(
        &frame(0x0800, &later),
        "UDP 192.0.2.2 > 203.0.113.20 (later fragment)",
    );
    let routed = [&[UDP, 0, 4, 0, 0, 0, 0, 0][..], &udp(9, 443, b"")].concat();
    counts(
        &frame(0x86dd, &packet6(43, ALLOWED_V6, &routed)),
        "UDP [2001:db8::2]:9 > [2001:db8:113::20]:443 (IPv6 routing header)",
    );
    let mut optioned = packet(UDP, ALLOWED_V4, &udp(9, 443, b""));
    optioned[0] = 0x46;
    optioned.splice(20..20, [1, 1, 1, 0]);
    optioned[3] += 4;
    counts(
        &frame(0x0800, &optioned),
        "UDP 192.0.2.2:9 > 203.0.113.20:443 (IPv4 options)",
    );
}

#[test]
fn the_kernels_own_words_are_noise() {
    is_noise(&frame(0x0806, &[0; 28]));
    is_noise(&frame(0x86dd, &packet6(58, BAIT6, &[135, 0, 0, 0])));
    is_noise(&frame(0x0800, &packet(TCP, BAIT, &tcp(9, 4433, 0x14, b""))));
    is_noise(&frame(
        0x0800,
        &packet(ICMP, ALLOWED_V4, &[3, 3, 0, 0, 0, 0, 0, 0]),
    ));
    // A reset with data in it was worded by someone.
    counts(
        &frame(0x0800, &packet(TCP, BAIT, &tcp(9, 4433, 0x14, b"data"))),
        "TCP 192.0.2.2:9 > 203.0.113.10:4433",
    );
}

#[test]
fn a_report_of_the_own_group_is_noise_and_of_another_is_not() {
    let report = |group: Ipv6Addr| {
        let record = [&[4, 0, 0, 0][..], &group.octets()].concat();
        let listener = [&[143, 0, 0, 0, 0, 0, 0, 1][..], &record].concat();
        let hop_by_hop = [&[58, 0, 5, 2, 0, 0, 1, 0][..], &listener].concat();
        frame(0x86dd, &packet6(0, BAIT6, &hop_by_hop))
    };
    is_noise(&report("ff02::1:ff00:2".parse().unwrap()));
    counts(
        &report("ff02::1234".parse().unwrap()),
        "ICMPv6 2001:db8::2 > 2001:db8:113::10 (IPv6 hop-by-hop options)",
    );
}

#[test]
fn markers_are_read() {
    let marked = packet(UDP, GATEWAY_V4, &udp(9, MARKER_PORT, &marker(77)));
    assert_eq!(read(&frame(0x0800, &marked)), Frame::Marker(77));
    let unmarked = packet(UDP, GATEWAY_V4, &udp(9, MARKER_PORT, b"data"));
    counts(&frame(0x0800, &unmarked), "UDP 192.0.2.2:9 > 192.0.2.1:9");
}

#[test]
fn what_cannot_be_read_counts() {
    counts(b"", "a frame of 0 bytes");
    counts(&frame(0x0800, b"\x45"), "a malformed IP packet");
    counts(&frame(0x86dd, b"\x60"), "a malformed IP packet");
    // The length of its header passes its end.
    let mut short = packet(UDP, BAIT, b"");
    short[0] = 0x4f;
    counts(&frame(0x0800, &short), "a malformed IP packet");
}
