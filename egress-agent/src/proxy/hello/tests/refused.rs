//! Hellos that two servers could read in two ways, and what is no hello at all.

use super::*;

/// What is wrong with a hello is said, and said at the first byte that shows it.
#[test]
fn what_no_two_servers_read_alike_is_refused() {
    use InvalidHello as No;
    let long = [
        b"a".repeat(63),
        b"b".repeat(63),
        b"c".repeat(63),
        b"d".repeat(62),
    ]
    .join(&b'.');
    assert_eq!(long.len(), 254);
    let body = [head(), vector16(&sni(b"a.example"))].concat();
    let good = message(&body);
    let changed = |at: usize, byte: u8| {
        let mut body = body.clone();
        body[at] = byte;
        record(&message(&body))
    };
    let lie = |by: i32| {
        let mut lying = good.clone();
        lying[3] = u8::try_from(i32::from(lying[3]) + by).unwrap();
        lying
    };
    let entries = |entries: &[Vec<u8>]| with(&[extension(0, &vector16(&entries.concat()))]);
    let psk = extension(41, b"x");
    let cases: Vec<(&str, Vec<u8>, No)> = vec![
        ("random bytes", b"\x01\x02\x03".to_vec(), No::NotTls),
        ("a zero byte", vec![0], No::NotTls),
        ("other text", b"hello\n".to_vec(), No::NotTls),
        ("a greeting of mail", b"EHLO.example".to_vec(), No::NotTls),
        (
            "a proxy protocol line",
            b"PROXY TCP4 192.0.2.1".to_vec(),
            No::Http,
        ),
        ("plain HTTP", b"GET / HTTP/1.1\r\n".to_vec(), No::Http),
        ("one letter of HTTP", b"P".to_vec(), No::Http),
        ("HTTP/2 in the clear", b"PRI * HTTP/2.0".to_vec(), No::Http),
        ("SSH", b"SSH-2.0-OpenSSH".to_vec(), No::Ssh),
        ("SSL 2", vec![0x80, 0x2e, 1, 3, 1], No::Sslv2),
        ("a high byte", vec![0x80], No::NotTls),
        ("SSL 3 in the record", vec![22, 3, 0], No::Sslv3),
        ("SSL 3 in the hello", changed(1, 0), No::Sslv3),
        ("TLS 1.3 in the hello", changed(1, 4), No::Version(0x0304)),
        ("DTLS in the hello", changed(0, 0xfe), No::Version(0xfe03)),
        ("no version at all", vec![22, 4], No::NotTls),
        (
            "a version to come",
            vec![22, 3, 4],
            No::RecordVersion(0x0304),
        ),
        ("an alert", vec![21], No::Alert),
        ("application data", vec![23], No::RecordType(23)),
        ("a change of ciphers", vec![20, 3, 1], No::RecordType(20)),
        ("a heartbeat", vec![24], No::RecordType(24)),
        ("an empty record", vec![22, 3, 1, 0, 0], No::RecordLength(0)),
        (
            "a record too long",
            vec![22, 3, 1, 0x40, 1],
            No::RecordLength(16385),
        ),
        (
            "an empty record inside",
            [record(&good[..9]), vec![22, 3, 1, 0, 0]].concat(),
            No::RecordLength(0),
        ),
        (
            "an alert inside",
            [record(&good[..9]), vec![21, 3, 1, 0, 2, 1, 0]].concat(),
            No::RecordType(21),
        ),
        (
            "garbage inside",
            [record(&good[..9]), b"G".to_vec()].concat(),
            No::RecordType(b'G'),
        ),
        (
            "another version inside",
            [record(&good[..9]), vec![22, 2]].concat(),
            No::RecordVersion(0x0200),
        ),
        ("the hello of a server", record(&[2]), No::Message(2)),
        (
            "a request for a hello",
            record(&[0, 0, 0, 0]),
            No::Message(0),
        ),
        ("a hello too long", record(&[1, 1, 0, 0]), No::TooLong),
        (
            "many records",
            (0..80).flat_map(|at| record(&good[at..=at])).collect(),
            No::Records,
        ),
        (
            "a second message",
            record(&[&good[..], &[1, 0, 0, 0]].concat()),
            No::Trailing,
        ),
        (
            "a record that goes on",
            [&[22, 3, 1, 1, 0][..], &good].concat(),
            No::Trailing,
        ),
        ("a message said shorter", record(&lie(-1)), No::Trailing),
        (
            "a hello without a version",
            record(&message(&[3])),
            No::Length("version"),
        ),
        (
            "an empty hello",
            record(&message(&[])),
            No::Length("version"),
        ),
        (
            "half a random",
            record(&message(&body[..20])),
            No::Length("random"),
        ),
        (
            "a session of 33 bytes",
            changed(34, 33),
            No::Length("session"),
        ),
        (
            "nothing after the session",
            record(&message(&body[..67])),
            No::Length("cipher suites"),
        ),
        (
            "no cipher suites",
            changed(68, 0),
            No::Length("cipher suites"),
        ),
        (
            "half a cipher suite",
            changed(68, 3),
            No::Length("cipher suites"),
        ),
        ("compression asked for", changed(74, 1), No::Compression),
        ("no compression methods", changed(73, 0), No::Compression),
        (
            "extensions said longer",
            changed(76, 19),
            No::Length("extensions"),
        ),
        (
            "extensions said shorter",
            changed(76, 17),
            No::Length("extensions"),
        ),
        (
            "a byte behind the extensions",
            record(&message(&[&body[..], &[0]].concat())),
            No::Length("extensions"),
        ),
        (
            "one byte of extensions",
            record(&message(&[&head()[..], &[0]].concat())),
            No::Length("extensions"),
        ),
        (
            "an extension said longer",
            with(&[vec![0, 5, 0, 2, 0]]),
            No::Length("extensions"),
        ),
        (
            "half an extension",
            with(&[vec![0, 5, 0]]),
            No::Length("extensions"),
        ),
        (
            "two server names",
            entries(&[name_entry(0, b"a.example"), name_entry(0, b"b.example")]),
            No::Names,
        ),
        (
            "the same name twice",
            entries(&[name_entry(0, b"a.example"), name_entry(0, b"a.example")]),
            No::Names,
        ),
        (
            "a name and another type",
            entries(&[name_entry(0, b"a.example"), name_entry(1, b"b")]),
            No::Names,
        ),
        (
            "another type and a name",
            entries(&[name_entry(1, b"b"), name_entry(0, b"a.example")]),
            No::Names,
        ),
        (
            "two lists of names",
            with(&[sni(b"a.example"), sni(b"b.example")]),
            No::Repeated(0),
        ),
        (
            "two lists far apart",
            with(&[sni(b"a.example"), alpn(&[b"h2"]), sni(b"a.example")]),
            No::Repeated(0),
        ),
        (
            "two lists of protocols",
            with(&[alpn(&[b"h2"]), alpn(&[b"h2"])]),
            No::Repeated(16),
        ),
        (
            "two unknown extensions",
            with(&[extension(0x5a5a, b""), extension(0x5a5a, b"")]),
            No::Repeated(0x5a5a),
        ),
        (
            "a server name without a list",
            with(&[extension(0, b"")]),
            No::Length("server name"),
        ),
        (
            "an empty list of names",
            entries(&[]),
            No::Length("server name"),
        ),
        (
            "a list said longer",
            with(&[extension(0, &[0, 9, 0, 0, 1, b'a'])]),
            No::Length("server name"),
        ),
        (
            "a list said shorter",
            with(&[extension(0, &[0, 3, 0, 0, 1, b'a'])]),
            No::Length("server name"),
        ),
        (
            "a name said longer",
            with(&[extension(0, &[0, 4, 0, 0, 2, b'a'])]),
            No::Length("server name"),
        ),
        (
            "half a name's length",
            with(&[extension(0, &[0, 2, 0, 0])]),
            No::Length("server name"),
        ),
        ("no name", named(b""), No::NameEmpty),
        ("a NUL", named(b"a.example\0.b.example"), No::NameByte(0)),
        ("a final NUL", named(b"a.example\0"), No::NameByte(0)),
        ("a space", named(b" a.example"), No::NameByte(b' ')),
        ("a line feed", named(b"a.example\nb"), No::NameByte(b'\n')),
        ("a port", named(b"a.example:443"), No::NameByte(b':')),
        ("a path", named(b"a.example/b"), No::NameByte(b'/')),
        ("a star", named(b"*.example"), No::NameByte(b'*')),
        (
            "letters not of ASCII",
            named("bücher.example".as_bytes()),
            No::NameByte(0xc3),
        ),
        ("no UTF-8", named(b"a\xff.example"), No::NameByte(0xff)),
        ("a dot at the end", named(b"a.example."), No::NameDot),
        ("a dot at the start", named(b".example"), No::NameDot),
        ("a dot alone", named(b"."), No::NameDot),
        ("two dots", named(b"a..example"), No::NameDot),
        ("254 characters", named(&long), No::NameTooLong),
        (
            "a label of 64",
            named(&[&b"a".repeat(64)[..], b".example"].concat()),
            No::NameTooLong,
        ),
        ("an address", named(b"192.0.2.1"), No::NameAddress),
        (
            "an address of version 6",
            named(b"2001:db8::1"),
            No::NameAddress,
        ),
        ("one in brackets", named(b"[::1]"), No::NameAddress),
        ("a short address", named(b"127.1"), No::NameAddress),
        (
            "an address as a number",
            named(b"2130706433"),
            No::NameAddress,
        ),
        ("a hexadecimal one", named(b"0x7f000001"), No::NameAddress),
        ("a hexadecimal part", named(b"127.0.0.0X1"), No::NameAddress),
        ("an octal one", named(b"0177.0.0.01"), No::NameAddress),
        (
            "no protocols",
            with(&[extension(16, &[0, 0])]),
            No::Length("protocols"),
        ),
        (
            "protocols without a list",
            with(&[extension(16, b"")]),
            No::Length("protocols"),
        ),
        (
            "an empty protocol",
            with(&[alpn(&[b"h2", b""])]),
            No::Length("protocols"),
        ),
        (
            "a protocol said longer",
            with(&[extension(16, &[0, 2, 2, b'h'])]),
            No::Length("protocols"),
        ),
        (
            "a byte behind the protocols",
            with(&[extension(16, &[0, 2, 1, b'h', 0])]),
            No::Length("protocols"),
        ),
        (
            "a key before the name",
            with(&[psk, sni(b"a.example")]),
            No::KeyNotLast,
        ),
        (
            "an encrypted hello without a payload",
            with(&[extension(0xfe0d, &[0, 0, 1, 0, 1, 42, 0, 0, 0, 0])]),
            No::Length("encrypted hello"),
        ),
        (
            "an empty encrypted hello",
            with(&[extension(0xfe0d, b"")]),
            No::Length("encrypted hello"),
        ),
        (
            "an inner hello with more",
            with(&[extension(0xfe0d, &[1, 1])]),
            No::Length("encrypted hello"),
        ),
        (
            "an encrypted hello of type 2",
            with(&[extension(0xfe0d, &[2])]),
            No::Length("encrypted hello"),
        ),
        (
            "outer extensions",
            with(&[extension(0xfd00, &[2, 0, 0])]),
            No::Ech,
        ),
    ];
    assert!(cases.len() >= 80);
    for (what, bytes, wanted) in &cases {
        assert_eq!(read(bytes), Err(*wanted), "{what}");
        fuzz(bytes);
        assert!(!wanted.to_string().contains('\n'));
        if matches!(
            wanted.code(),
            "tls-not-tls" | "tls-plain-http" | "tls-ssh" | "tls-ssl2"
        ) {
            assert!(read(&bytes[..1]).is_err() || bytes[0] == 22, "{what} waits");
        }
    }
}
