//! Real clients before a real upstream.

use std::io::{Read as _, Write as _};

use egress_common::Reason;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use super::*;
use crate::dns::fake::{SESSION, query};

fn numbered(prefix: &str, count: usize) -> Vec<String> {
    let mut addresses: Vec<_> = (1..=count).map(|last| format!("{prefix}{last}")).collect();
    addresses.sort();
    addresses
}

#[test]
fn dig_resolves_what_is_allowed_over_both_families_and_transports() {
    let dnsmasq = Dnsmasq::start();
    with_server(&[dnsmasq.address], async |server, port| {
        for transport in ["+notcp", "+tcp", "+noedns", "+cookie", "+dnssec"] {
            assert_eq!(
                short(port, &format!("www.example.com A {transport}")).await,
                ["203.0.113.1"]
            );
            assert_eq!(
                short(port, &format!("v6.example.com AAAA {transport}")).await,
                ["2001:db8::1"]
            );
            let (text, _) = dig(port, &format!("@::1 +short www.example.com A {transport}")).await;
            assert_eq!(text, "203.0.113.1\n");
        }
        assert_eq!(
            short(port, "alias.example.com A").await,
            ["203.0.113.2", "edge.example.org.", "mid.example.net."]
        );
        assert_eq!(short(port, "text.example.com TXT").await, ["\"hello\""]);
        assert!(short(port, "www.example.com AAAA").await.is_empty());
        let host = server.host();
        assert_eq!(host.grants(SESSION, "203.0.113.1"), [(1, 70)]);
        assert_eq!(host.grants(SESSION, "2001:db8::1"), [(1, 70)]);
        assert_eq!(host.grants(SESSION, "203.0.113.2"), [(2, 70)]);
        let (text, _) = dig(port, "@127.0.0.1 -x 203.0.113.2 +short").await;
        assert_eq!(text, "alias.example.com.\n");
        let (text, _) = dig(port, "@127.0.0.1 missing.example.com").await;
        assert!(text.contains("status: NXDOMAIN"), "{text}");
    });
}

#[test]
fn a_denied_name_is_refused_and_never_seen_upstream() {
    let dnsmasq = Dnsmasq::start();
    with_server(&[dnsmasq.address], async |server, port| {
        for arguments in [
            "evil.example.com A",
            "evil.example.com A +tcp",
            "evil.example.com TXT +noedns",
            "x.evil.example.com HTTPS",
            "evil.example.com AXFR",
        ] {
            let (text, _) = dig(port, &format!("@127.0.0.1 {arguments}")).await;
            assert!(
                text.contains("status: REFUSED") || text.contains("Transfer failed"),
                "{arguments}: {text}"
            );
        }
        let (text, _) = dig(port, "@127.0.0.1 evil.example.com A").await;
        assert!(
            text.contains(
                "EDE: 18 (Prohibited): (egressd: name-denied: evil.example.com is in no allow rule)"
            ),
            "{text}"
        );
        let (text, _) = dig(port, "@127.0.0.1 rebind.example.com A").await;
        assert!(
            text.contains("status: REFUSED") && text.contains("private-answer"),
            "{text}"
        );
        assert!(server.host().kernel.borrow().is_empty());
        let reasons: Vec<_> = server
            .host()
            .records
            .borrow()
            .iter()
            .filter_map(|kept| kept.reason)
            .collect();
        assert_eq!(
            reasons
                .iter()
                .filter(|reason| **reason == Reason::NameDenied)
                .count(),
            6
        );
        assert_eq!(reasons.last(), Some(&Reason::PrivateAnswer));
    });
    assert_eq!(dnsmasq.seen("evil"), 0);
    assert_eq!(dnsmasq.seen("rebind"), 1);
}

#[test]
fn large_answers_are_truncated_for_whom_they_do_not_fit_and_whole_over_tcp() {
    let dnsmasq = Dnsmasq::start();
    with_server(&[dnsmasq.address], async |server, port| {
        let (text, _) = dig(port, "@127.0.0.1 big.example.com A +noedns +ignore").await;
        assert!(
            text.contains(" tc ") && text.contains("ANSWER: 0"),
            "{text}"
        );
        assert_eq!(
            short(port, "big.example.com A +noedns").await,
            numbered("203.0.113.", 60)
        );
        assert_eq!(
            short(port, "big.example.com A +notcp +ignore").await,
            numbered("203.0.113.", 60)
        );
        // dnsmasq itself truncates this one, so it is fetched over TCP.
        assert_eq!(
            short(port, "huge.example.com A").await,
            numbered("198.51.100.", 150)
        );
        assert_eq!(server.host().kernel.borrow().len(), 210);
    });
}

#[test]
fn every_slot_answers_on_one_port_of_both_families_and_preferred_ports_are_kept() {
    let dnsmasq = Dnsmasq::start();
    let sockets = bind([0; 4]).unwrap();
    let ports = sockets.ports();
    let mut distinct = ports.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4);
    assert!(!distinct.contains(&0));
    let taken = bind(ports).unwrap().ports();
    assert!(
        taken.iter().all(|port| !ports.contains(port)),
        "a port in use is not waited for"
    );
    drop(sockets);
    assert_eq!(bind(ports).unwrap().ports(), ports);
    with_server(&[dnsmasq.address], async |server, _| {
        let sockets = bind([0; 4]).unwrap();
        let ports = sockets.ports();
        let running = server.clone();
        let task = tokio::task::spawn_local(async move { running.run(sockets).await });
        for port in ports {
            for question in [
                "@127.0.0.1 +notcp",
                "@127.0.0.1 +tcp",
                "@::1 +notcp",
                "@::1 +tcp",
            ] {
                let (text, _) = dig(port, &format!("{question} +short www.example.com")).await;
                assert_eq!(text, "203.0.113.1\n");
            }
        }
        task.abort();
    });
}

#[test]
fn fresh_names_asked_all_at_once_are_leased_when_their_answer_comes() {
    let dnsmasq = Dnsmasq::start();
    with_server(&[dnsmasq.address], async |server, port| {
        for round in 0..10 {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.connect(("127.0.0.1", port)).await.unwrap();
            for number in 0..100 {
                socket
                    .send(&query(&format!("n{round}-{number}.wild.example.com"), 1))
                    .await
                    .unwrap();
            }
            for _ in 0..100 {
                let mut buffer = [0; 512];
                let length = socket.recv(&mut buffer).await.unwrap();
                let reply = hickory_proto::op::Message::from_vec(&buffer[..length]).unwrap();
                assert_eq!(reply.answers.len(), 1, "{reply:?}");
                let name = reply.queries[0].name.to_string();
                let is_held = server.with_engine(|engine, _| {
                    let held = engine
                        .leases()
                        .names(SESSION, egress_common::Address::from_v4([203, 0, 113, 77]));
                    held.iter().any(|held| format!("{}.", held.name) == name)
                });
                assert!(is_held, "{name}");
            }
        }
        assert_eq!(server.host().grants(SESSION, "203.0.113.77"), [(7, 70)]);
    });
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    framed
}

async fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

#[test]
fn a_connection_takes_many_questions_and_a_client_that_closes_first_gets_its_answers() {
    let dnsmasq = Dnsmasq::start();
    with_server(&[dnsmasq.address], async |_, port| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut all = Vec::new();
        for (id, name) in ["www.example.com", "evil.example.com", "alias.example.com"]
            .into_iter()
            .enumerate()
        {
            let mut question = query(name, 1);
            question[1] = u8::try_from(id).unwrap();
            all.extend(frame(&question));
        }
        let (first, second) = all.split_at(20);
        stream.write_all(first).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(second).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut ids = Vec::new();
        while let Ok(message) = read_frame(&mut stream).await {
            ids.push((message[1], message[3] & 0xf));
        }
        ids.sort_unstable();
        assert_eq!(ids, [(0, 0), (1, 5), (2, 0)]);
    });
}

#[test]
fn a_session_has_eight_connections_and_gets_its_place_back() {
    with_server(&[], async |_, port| {
        let question = frame(&query("localhost", 1));
        let ask = async || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let written = stream.write_all(&question).await;
            let answer = match written {
                Ok(()) => read_frame(&mut stream).await,
                Err(error) => Err(error),
            };
            (stream, answer.is_ok())
        };
        let mut open = Vec::new();
        for _ in 0..8 {
            open.push(ask().await);
        }
        assert!(open.iter().all(|(_, is_answered)| *is_answered));
        assert!(!ask().await.1, "the ninth is closed");
        drop(open);
        while !ask().await.1 {}
    });
}

#[test]
fn garbage_harms_nobody() {
    with_server(&[], async |_, port| {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(("127.0.0.1", port)).await.unwrap();
        let mut bytes = query("localhost", 1);
        for at in 0..bytes.len() {
            bytes[at] = bytes[at].wrapping_mul(31).wrapping_add(17);
            socket.send(&bytes).await.unwrap();
            socket.send(&bytes[..at]).await.unwrap();
        }
        socket.send(&[0xff; 9000]).await.unwrap();
        let long = vec![0xff; 70_000];
        for garbage in [
            &b""[..],
            b"\x00",
            b"\x00\x00",
            b"\xff\xff",
            b"GET / HTTP/1.1\r\n\r\n",
            &long,
        ] {
            let garbage = garbage.to_vec();
            tokio::task::spawn_blocking(move || {
                let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                // The server may close before it has read everything.
                drop(stream.write_all(&garbage));
                drop(stream.shutdown(std::net::Shutdown::Write));
                let mut rest = Vec::new();
                drop(stream.read_to_end(&mut rest));
            })
            .await
            .unwrap();
        }
        assert_eq!(short(port, "localhost A").await, ["127.0.0.1"]);
        assert_eq!(short(port, "localhost A +tcp").await, ["127.0.0.1"]);
    });
}
