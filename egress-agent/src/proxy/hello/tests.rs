mod refused;

use std::sync::Arc;

use proptest::{prelude::*, strategy::ValueTree as _};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, crypto::ring, pki_types::ServerName,
    server::Acceptor,
};

use super::*;

const CAPTURED: [(&str, &[u8], bool, &[&str]); 11] = [
    (
        "openssl",
        include_bytes!("captured/openssl.bin"),
        true,
        &["h2", "http/1.1"],
    ),
    (
        "openssl_tls12",
        include_bytes!("captured/openssl_tls12.bin"),
        true,
        &[],
    ),
    (
        "openssl_noname",
        include_bytes!("captured/openssl_noname.bin"),
        false,
        &[],
    ),
    (
        "curl",
        include_bytes!("captured/curl.bin"),
        true,
        &["h2", "http/1.1"],
    ),
    (
        "curl_http11",
        include_bytes!("captured/curl_http11.bin"),
        true,
        &["http/1.1"],
    ),
    (
        "curl_address",
        include_bytes!("captured/curl_address.bin"),
        false,
        &["h2", "http/1.1"],
    ),
    (
        "git",
        include_bytes!("captured/git.bin"),
        true,
        &["h2", "http/1.1"],
    ),
    ("python", include_bytes!("captured/python.bin"), true, &[]),
    (
        "node",
        include_bytes!("captured/node.bin"),
        true,
        &["h2", "http/1.1"],
    ),
    (
        "java",
        include_bytes!("captured/java.bin"),
        true,
        &["h2", "http/1.1"],
    ),
    ("wget", include_bytes!("captured/wget.bin"), true, &[]),
];

/// The hello that rustls writes.
fn rustls_hello(name: &str, protocols: &[&str]) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// What rustls reads: `None` when it refuses or wants more.
fn rustls_reads(bytes: &[u8]) -> Option<(Option<String>, Vec<Vec<u8>>)> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    loop {
        if acceptor.read_tls(&mut rest).ok()? == 0 {
            return None;
        }
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            let name = hello.server_name().map(str::to_owned);
            let protocols = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec);
            return Some((name, protocols.collect()));
        }
    }
}

fn whole(bytes: &[u8]) -> Hello {
    match read(bytes) {
        Ok(Progress::Hello(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

/// Ours and rustls see the same, or one of them sees nothing.
fn agree(bytes: &[u8]) -> bool {
    let Ok(Progress::Hello(ours)) = read(bytes) else {
        return false;
    };
    let Some((name, protocols)) = rustls_reads(bytes) else {
        return false;
    };
    let lower = |name: &Option<String>| name.as_deref().map(str::to_ascii_lowercase);
    assert_eq!(lower(&ours.name), lower(&name));
    assert_eq!(ours.protocols, protocols);
    true
}

fn vector8(body: &[u8]) -> Vec<u8> {
    [&[u8::try_from(body.len()).unwrap()], body].concat()
}

fn vector16(body: &[u8]) -> Vec<u8> {
    [&u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(body)].concat()
}

fn name_entry(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind], &vector16(name)[..]].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&name_entry(0, name)))
}

fn alpn(names: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| vector8(name)).collect();
    extension(16, &vector16(&list))
}

/// The parts of a hello before its extensions.
fn head() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(vector8(&[9; 32]));
    body.extend(vector16(&[0x13, 1, 0x13, 2]));
    body.extend(vector8(&[0]));
    body
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], body].concat()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1], &vector16(fragment)[..]].concat()
}

fn with(extensions: &[Vec<u8>]) -> Vec<u8> {
    record(&message(&[head(), vector16(&extensions.concat())].concat()))
}

fn named(name: &[u8]) -> Vec<u8> {
    with(&[sni(name)])
}

fn ech_outer() -> Vec<u8> {
    let mut body = vec![0, 0, 1, 0, 1, 42];
    body.extend(vector16(&[3; 32]));
    body.extend(vector16(&[4; 144]));
    extension(0xfe0d, &body)
}

#[test]
fn hellos_of_real_clients_are_read_as_rustls_reads_them() {
    for (client, bytes, has_name, protocols) in CAPTURED {
        let hello = whole(bytes);
        let name = if client == "wget" {
            "localhost"
        } else {
            "api.example.com"
        };
        assert_eq!(hello.name.as_deref(), has_name.then_some(name), "{client}");
        let said: Vec<_> = hello
            .protocols
            .iter()
            .map(|name| str::from_utf8(name).unwrap())
            .collect();
        assert_eq!(said, protocols, "{client}");
        assert_eq!((hello.ech, hello.length), (None, bytes.len()), "{client}");
        assert!(agree(bytes), "{client}");
    }
    for name in [
        "a.example",
        "UPPER.Example",
        "xn--bcher-kva.example",
        "a_b.example",
    ] {
        let bytes = rustls_hello(name, &["h2"]);
        assert!(whole(&bytes).name.unwrap().eq_ignore_ascii_case(name));
        assert!(agree(&bytes), "{name}");
    }
    assert_eq!(whole(&rustls_hello("192.0.2.1", &[])).name, None);
}

#[test]
fn a_hello_is_the_same_however_it_comes() {
    for (client, bytes, ..) in CAPTURED {
        for at in 0..bytes.len() {
            assert_eq!(read(&bytes[..at]), Ok(Progress::More), "{client} at {at}");
        }
        // Early data and change_cipher_spec may come right behind it.
        let more = [bytes, &[20, 3, 3, 0, 1, 1], b"anything"].concat();
        assert_eq!(whole(&more), whole(bytes));
    }
}

#[test]
fn a_hello_may_be_split_over_records() {
    let one = rustls_hello("split.example", &["h2", "http/1.1"]);
    let hello = whole(&one);
    for size in [7, 13, 100, one.len()] {
        let many: Vec<u8> = one[5..].chunks(size).flat_map(record).collect();
        let split = whole(&many);
        assert_eq!(
            (&split.name, &split.protocols),
            (&hello.name, &hello.protocols)
        );
        assert_eq!(split.length, many.len());
        assert!(agree(&many), "{size}");
    }
    let single: Vec<u8> = one[5..].chunks(1).flat_map(record).collect();
    assert_eq!(read(&single), Err(InvalidHello::Records));
}

#[test]
fn what_is_odd_and_clear_is_read() {
    let long = [
        b"a".repeat(63),
        b"b".repeat(63),
        b"c".repeat(63),
        b"d".repeat(61),
    ]
    .join(&b'.');
    let same = |bytes: Vec<u8>, name: &str| {
        assert_eq!(whole(&bytes).name.as_deref(), Some(name));
    };
    same(named(&long), str::from_utf8(&long).unwrap());
    same(named(b"A.Example"), "A.Example");
    same(named(b"_a._tcp.example"), "_a._tcp.example");
    same(named(b"localhost"), "localhost");
    same(named(b"1.2.3.4.example"), "1.2.3.4.example");
    same(named(b"xn--bcher-kva.example"), "xn--bcher-kva.example");
    same(
        with(&[extension(21, &[0; 9000]), sni(b"a.example")]),
        "a.example",
    );
    same(
        with(&[sni(b"a.example"), extension(42, b""), extension(41, b"x")]),
        "a.example",
    );
    assert_eq!(whole(&record(&message(&head()))).name, None);
    assert_eq!(whole(&with(&[])).name, None);
    // Three records, the longest that there may be.
    let padded = message(
        &[
            head(),
            vector16(&[extension(21, &vec![0; 40000]), sni(b"a.example")].concat()),
        ]
        .concat(),
    );
    same(
        padded.chunks(LONGEST_RECORD).flat_map(record).collect(),
        "a.example",
    );
}

#[test]
fn encrypted_hellos_are_named() {
    let with_ech = |extension| whole(&with(&[sni(b"a.example"), extension])).ech;
    assert_eq!(with_ech(ech_outer()), Some(Ech::Outer));
    assert_eq!(with_ech(extension(0xfe0d, &[1])), Some(Ech::Inner));
    for kind in [0xffce, 0xff02, 0xfe08, 0xfe0a, 0xfe0c] {
        assert_eq!(with_ech(extension(kind, b"x")), Some(Ech::Draft));
    }
    assert_eq!(with_ech(extension(0xfafa, b"x")), None);
}

/// A client of rustls says what the alert says.
#[test]
fn clients_understand_the_alerts() {
    let all = [
        Alert::UnexpectedMessage,
        Alert::RecordOverflow,
        Alert::HandshakeFailure,
        Alert::IllegalParameter,
        Alert::AccessDenied,
        Alert::DecodeError,
        Alert::ProtocolVersion,
        Alert::InternalError,
        Alert::UnrecognizedName,
    ];
    for alert in all {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.enable_sni = true;
        let name = ServerName::try_from("a.example").unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        client.write_tls(&mut Vec::new()).unwrap();
        client.read_tls(&mut &alert.record()[..]).unwrap();
        let said = client.process_new_packets().unwrap_err();
        let rustls::Error::AlertReceived(said) = said else {
            panic!("{said}");
        };
        assert_eq!(u8::from(said), alert as u8);
    }
    assert_eq!(Alert::CloseNotify.record(), [21, 3, 3, 0, 2, 1, 0]);
}

fn hellos() -> impl Strategy<Value = Vec<u8>> {
    let name = "[a-zA-Z0-9_.-]{1,12}(\\.[a-z]{2,5})?";
    // What rustls asks of a hello: versions, groups, schemes, and a share.
    let asked = [
        extension(43, &[2, 3, 4]),
        extension(10, &vector16(&[0, 29])),
        extension(13, &vector16(&[4, 3])),
        extension(51, &vector16(&[&[0, 29][..], &vector16(&[5; 32])].concat())),
    ];
    let name = name.prop_map(|name: String| sni(name.as_bytes()));
    let names = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 1..4)
        .prop_map(|names| alpn(&names.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    let option = |part| prop::option::weighted(0.7, part);
    (
        option(name.clone().boxed()),
        option(names.boxed()),
        prop::option::weighted(0.1, name),
        any::<bool>(),
    )
        .prop_map(move |(name, protocols, second, has_ech)| {
            let ech = has_ech.then(ech_outer);
            let parts = asked
                .iter()
                .cloned()
                .chain(name)
                .chain(protocols)
                .chain(second)
                .chain(ech);
            parts.collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|parts| with(&parts))
}

#[test]
fn the_comparison_compares() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut compared = 0;
    for _ in 0..200 {
        let bytes = hellos().new_tree(&mut runner).unwrap().current();
        compared += u32::from(agree(&bytes));
    }
    assert!(compared > 100, "{compared}");
}

proptest! {
    #[test]
    fn built_hellos_are_read_as_rustls_reads_them(bytes in hellos(), size in 30_usize..400) {
        fuzz(&bytes);
        agree(&bytes);
        let split: Vec<u8> = bytes[5..].chunks(size).flat_map(record).collect();
        if let Ok(Progress::Hello(hello)) = read(&bytes) {
            prop_assert_eq!(whole(&split).name, hello.name);
            agree(&split);
        }
    }

    #[test]
    fn a_changed_hello_has_one_name_or_none(
        which in 0..CAPTURED.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = CAPTURED[which].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz(&bytes);
        agree(&bytes);
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&bytes);
        fuzz(&[&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], &bytes[..]].concat());
    }
}
