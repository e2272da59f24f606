//! Upstreams that are dead, slow, lying, truncating or far too talkative.

use std::rc::Rc;

use egress_common::Reason;
use hickory_proto::op::ResponseCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
};

use super::*;
use crate::dns::fake::{SESSION, a, message};

/// What a stub sends for a question, one after the other; each after a pause.
type Script = Rc<dyn Fn(&[u8]) -> Vec<(Duration, Vec<u8>)>>;

/// An upstream that answers by script over UDP, and over TCP what `over_tcp` says.
async fn stub(script: Script, over_tcp: Option<Script>) -> SocketAddr {
    let socket = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = socket.local_addr().unwrap();
    if let Some(over_tcp) = over_tcp {
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let length = stream.read_u16().await.unwrap();
                let mut question = vec![0; usize::from(length)];
                stream.read_exact(&mut question).await.unwrap();
                for (pause, reply) in over_tcp(&question) {
                    tokio::time::sleep(pause).await;
                    stream
                        .write_u16(u16::try_from(reply.len()).unwrap())
                        .await
                        .unwrap();
                    stream.write_all(&reply).await.unwrap();
                }
            }
        });
    }
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let replies = script(&buffer[..length]);
            let socket = Rc::clone(&socket);
            tokio::task::spawn_local(async move {
                for (pause, reply) in replies {
                    tokio::time::sleep(pause).await;
                    // Nobody may listen any more.
                    drop(socket.send_to(&reply, from).await);
                }
            });
        }
    });
    address
}

/// The honest answer to a question for www.example.com.
fn honest(question: &[u8], address: &str) -> Vec<u8> {
    let mut reply = message(
        "www.example.com",
        1,
        ResponseCode::NoError,
        vec![a("www.example.com", 60, address)],
    );
    reply.metadata.id = u16::from_be_bytes([question[0], question[1]]);
    reply.to_vec().unwrap()
}

fn says(code: ResponseCode) -> Script {
    Rc::new(move |question| {
        let mut reply = message("www.example.com", 1, code, vec![]);
        reply.metadata.id = u16::from_be_bytes([question[0], question[1]]);
        vec![(Duration::ZERO, reply.to_vec().unwrap())]
    })
}

fn silence() -> Script {
    Rc::new(|_| vec![])
}

fn truth(address: &'static str, pause: Duration) -> Script {
    Rc::new(move |question| vec![(pause, honest(question, address))])
}

fn dead() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

async fn ask(server: &Server<FakeHost>, port: u16, upstreams: &[SocketAddr]) -> (String, Duration) {
    server.set_upstreams(upstreams);
    let began = tokio::time::Instant::now();
    let (text, _) = dig(port, "@127.0.0.1 www.example.com A").await;
    (text, began.elapsed())
}

#[test]
fn the_next_upstream_answers_for_one_that_is_dead_silent_or_fails() {
    with_server(&[], async |server, port| {
        let good = stub(truth("203.0.113.1", Duration::ZERO), None).await;
        let failing = stub(says(ResponseCode::ServFail), None).await;
        for (first, at_least) in [
            (dead(), 0),
            (failing, 0),
            (stub(silence(), None).await, 750),
        ] {
            server.host().pass(1000);
            let (text, took) = ask(&server, port, &[first, good]).await;
            assert!(text.contains("203.0.113.1"), "{text}");
            assert!(
                took >= Duration::from_millis(at_least)
                    && took < Duration::from_millis(at_least + 700),
                "{took:?}"
            );
        }
    });
}

#[test]
fn a_slow_upstream_is_still_listened_to() {
    with_server(&[], async |server, port| {
        let slow = stub(truth("203.0.113.1", Duration::from_millis(1500)), None).await;
        let (text, took) = ask(&server, port, &[slow]).await;
        assert!(text.contains("203.0.113.1"), "{text}");
        assert!(took < Duration::from_millis(2200), "{took:?}");
    });
}

#[test]
fn without_any_upstream_the_client_is_told_so_in_time() {
    with_server(&[], async |server, port| {
        let failing = stub(says(ResponseCode::Refused), None).await;
        for (upstreams, within) in [
            (vec![], 500),
            (vec![dead()], 500),
            (vec![dead(), failing], 500),
            (vec![stub(silence(), None).await], 4600),
        ] {
            let (text, took) = ask(&server, port, &upstreams).await;
            assert!(
                text.contains("status: SERVFAIL") && text.contains("EDE: 22"),
                "{text}"
            );
            assert!(text.contains("egressd: upstream-failed: "), "{text}");
            assert!(took < Duration::from_millis(within), "{took:?}");
            assert_eq!(server.host().last().reason, Some(Reason::UpstreamFailed));
        }
        assert!(server.host().kernel.borrow().is_empty());
    });
}

#[test]
fn a_lie_is_ignored_and_counted_and_the_truth_still_heard() {
    with_server(&[], async |server, port| {
        let liar = stub(
            Rc::new(|question| {
                let wrong_id = honest(&[question[0] ^ 1, question[1]], "203.0.113.66");
                let mut wrong_name = honest(question, "203.0.113.66");
                wrong_name[13] = b'v';
                let mut no_answer = honest(question, "203.0.113.66");
                no_answer[2] &= 0x7f;
                let truth = honest(question, "203.0.113.1");
                [
                    wrong_id,
                    wrong_name,
                    no_answer,
                    b"garbage".to_vec(),
                    vec![],
                    truth,
                ]
                .into_iter()
                .map(|reply| (Duration::ZERO, reply))
                .collect()
            }),
            None,
        )
        .await;
        let (text, _) = ask(&server, port, &[liar]).await;
        assert!(
            text.contains("203.0.113.1") && !text.contains("203.0.113.66"),
            "{text}"
        );
        assert_eq!(server.foreign_answers(), 5);
        assert!(server.host().grants(SESSION, "203.0.113.66").is_empty());
    });
}

#[test]
fn an_answer_that_cannot_be_read_moves_on_to_the_next() {
    with_server(&[], async |server, port| {
        let broken = stub(
            Rc::new(|question| {
                let mut reply = honest(question, "203.0.113.66");
                reply.truncate(reply.len() - 2);
                vec![(Duration::ZERO, reply)]
            }),
            None,
        )
        .await;
        let good = stub(truth("203.0.113.1", Duration::ZERO), None).await;
        let (text, took) = ask(&server, port, &[broken, good]).await;
        assert!(
            text.contains("203.0.113.1") && took < Duration::from_millis(700),
            "{text}"
        );
    });
}

#[test]
fn four_thousand_records_over_tcp_are_cut_to_what_may_be_leased() {
    fn truncated(question: &[u8]) -> Vec<u8> {
        let mut reply = message("www.example.com", 1, ResponseCode::NoError, vec![]);
        reply.metadata.id = u16::from_be_bytes([question[0], question[1]]);
        reply.metadata.truncation = true;
        reply.to_vec().unwrap()
    }
    with_server(&[], async |server, port| {
        let talkative: Script = Rc::new(|question| {
            // By hand: hickory compresses the first hundreds of names only.
            let mut reply = honest(question, "203.0.113.0");
            reply[6..8].copy_from_slice(&4000_u16.to_be_bytes());
            for number in 1..4000_u32 {
                reply.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04");
                reply.extend((0xcb00_7100 + number).to_be_bytes());
            }
            vec![(Duration::ZERO, reply)]
        });
        let cutting: Script = Rc::new(|question| vec![(Duration::ZERO, truncated(question))]);
        let upstream = stub(Rc::clone(&cutting), Some(talkative)).await;
        let (text, _) = ask(&server, port, &[upstream]).await;
        assert!(text.contains("ANSWER: 200,"), "{text}");
        assert_eq!(server.host().kernel.borrow().len(), 200);

        server.host().pass(1000);
        let without_tcp = stub(cutting, None).await;
        let (text, _) = ask(&server, port, &[without_tcp]).await;
        assert!(text.contains("status: SERVFAIL"), "{text}");
    });
}
