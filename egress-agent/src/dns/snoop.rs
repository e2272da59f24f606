//! `dns.mode: snoop`: the machine's resolver stays untouched, and leases come from the answers
//! that pass by.
//!
//! An answer counts only when it comes from a trusted resolver, to the port that asked, with the
//! id and question that were asked within the last ten seconds; the first one does. What it then
//! teaches is decided by [`Engine::observe`](super::Engine::observe), as for the guard's own
//! questions. Truncated and fragmented answers teach nothing.

pub(super) mod packet;

use crate::policy::Name;
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
};

use egress_common::{Address, Client, ClientKey, Protocol};
use hickory_proto::op::{Message, MessageType};

use self::packet::Datagram;
use super::{
    answer::host_name,
    engine::Lookup,
    question::{self, Question},
};

/// Boot time in nanoseconds for which an answer is waited.
const PATIENCE: u64 = 10_000_000_000;
/// Questions that are remembered; the oldest give way.
const MAX_ASKED: usize = 1 << 14;

/// The questions that were seen to be asked.
#[derive(Debug)]
pub struct Snoop {
    trusted: Vec<(Address, u16)>,
    asked: HashMap<Flow, Asked>,
    /// In order of time. What was answered or asked again is still in here.
    order: VecDeque<(u64, Flow)>,
}

/// An answer that counts.
#[derive(Clone, Debug)]
pub struct Seen {
    pub client: Client,
    pub from: ClientKey,
    pub lookup: Lookup,
    pub message: Message,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    client: (Address, u16),
    server: (Address, u16),
    id: u16,
}

#[derive(Debug)]
struct Asked {
    client: Client,
    lookup: Lookup,
    at: u64,
}

impl Snoop {
    /// `trusted`: the resolvers whose answers count, with their port.
    pub fn new(trusted: &[SocketAddr]) -> Self {
        Self {
            trusted: trusted
                .iter()
                .map(|server| (server.ip().into(), server.port()))
                .collect(),
            asked: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whose packet this is, for a look-up of the session behind it: the sender of a question to a
    /// trusted resolver. `None` for any other packet.
    pub fn asker(&self, packet: &[u8]) -> Option<ClientKey> {
        let datagram = Datagram::parse(packet)?;
        self.is_trusted(datagram.destination)
            .then(|| ClientKey::new(Protocol::UDP, datagram.source.0, datagram.source.1))
    }

    /// Remembers a question of `client`. Says whether the packet is one, to a trusted resolver.
    pub fn observe_query(&mut self, packet: &[u8], client: Client, now: u64) -> bool {
        self.forget(now);
        let Some(datagram) =
            Datagram::parse(packet).filter(|datagram| self.is_trusted(datagram.destination))
        else {
            return false;
        };
        let Ok(Question { head, key, kind }) = question::parse(datagram.payload, false) else {
            return false;
        };
        let Ok(name) = Name::parse(key.name()) else {
            return false;
        };
        let flow = Flow {
            client: datagram.source,
            server: datagram.destination,
            id: head.id,
        };
        self.asked.insert(
            flow,
            Asked {
                client,
                lookup: Lookup { name, kind },
                at: now,
            },
        );
        self.order.push_back((now, flow));
        true
    }

    /// The answer in this packet, if it is the one that was waited for.
    pub fn observe_answer(&mut self, packet: &[u8], now: u64) -> Option<Seen> {
        self.forget(now);
        let datagram =
            Datagram::parse(packet).filter(|datagram| self.is_trusted(datagram.source))?;
        let id = u16::from_be_bytes(*datagram.payload.first_chunk()?);
        let flow = Flow {
            client: datagram.destination,
            server: datagram.source,
            id,
        };
        let asked = self.asked.get(&flow)?;
        let message = Message::from_vec(datagram.payload).ok()?;
        if !is_answer(&message, &asked.lookup) {
            return None;
        }
        let Asked {
            client,
            lookup,
            at: _,
        } = self.asked.remove(&flow)?;
        Some(Seen {
            client,
            from: ClientKey::new(Protocol::UDP, flow.client.0, flow.client.1),
            lookup,
            message,
        })
    }

    /// The session is over.
    pub fn end(&mut self, session: u64) {
        self.asked
            .retain(|_, asked| asked.client.session != session);
    }

    fn is_trusted(&self, server: (Address, u16)) -> bool {
        self.trusted.contains(&server)
    }

    /// Drops what is too old, and the oldest when there is too much.
    fn forget(&mut self, now: u64) {
        while let Some((at, flow)) = self.order.front().copied() {
            if now.saturating_sub(at) < PATIENCE && self.order.len() < MAX_ASKED {
                return;
            }
            self.order.pop_front();
            if self.asked.get(&flow).is_some_and(|asked| asked.at == at) {
                self.asked.remove(&flow);
            }
        }
    }
}

fn is_answer(message: &Message, lookup: &Lookup) -> bool {
    let [question] = message.queries.as_slice() else {
        return false;
    };
    message.metadata.message_type == MessageType::Response
        && !message.metadata.truncation
        && u16::from(question.query_type) == lookup.kind
        && question.query_class == hickory_proto::rr::DNSClass::IN
        && host_name(&question.name).is_some_and(|name| name == lookup.name)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::ResponseCode;
    use proptest::prelude::*;

    use super::{packet::tests::packet, *};
    use crate::dns::fake::{self, SECOND, a, message};

    const CLIENT: &str = "10.0.0.2:4000";
    const SERVER: &str = "192.0.2.53:53";

    fn question(name: &str) -> Vec<u8> {
        fake::query(name, 1)
    }

    fn answer(name: &str) -> Vec<u8> {
        let answers = vec![a(name, 60, "203.0.113.1")];
        message(name, 1, ResponseCode::NoError, answers)
            .to_vec()
            .unwrap()
    }

    fn snoop() -> Snoop {
        let mut snoop = Snoop::new(&[
            SERVER.parse().unwrap(),
            "[2001:db8::53]:53".parse().unwrap(),
        ]);
        let client = Client {
            session: 42,
            ..Client::default()
        };
        let asked = packet(CLIENT, SERVER, &question("www.example.com"));
        assert_eq!(snoop.asker(&asked).map(|key| key.port), Some(4000));
        assert!(snoop.observe_query(&asked, client, SECOND));
        snoop
    }

    #[test]
    fn the_answer_to_a_question_that_was_asked_counts_once() {
        let mut snoop = snoop();
        let reply = packet(SERVER, CLIENT, &answer("WWW.example.com"));
        let seen = snoop.observe_answer(&reply, 2 * SECOND).unwrap();
        assert_eq!(
            (seen.client.session, seen.from.port, &*seen.lookup.name),
            (42, 4000, "www.example.com")
        );
        assert_eq!(seen.message.answers.len(), 1);
        assert!(snoop.observe_answer(&reply, 2 * SECOND).is_none());
    }

    #[test]
    fn a_name_that_begins_with_a_hyphen_is_heard_like_any_other() {
        let mut snoop = snoop();
        let name = "-cdn.example.com";
        let asked = packet(CLIENT, SERVER, &question(name));
        assert!(snoop.observe_query(&asked, Client::default(), SECOND));
        let seen = snoop.observe_answer(&packet(SERVER, CLIENT, &answer(name)), SECOND);
        assert_eq!(
            seen.map(|seen| seen.lookup.name.to_string()).as_deref(),
            Some(name)
        );
    }

    #[test]
    fn both_families_are_heard() {
        let mut snoop = snoop();
        let (client, server) = ("[2001:db8::2]:4000", "[2001:db8::53]:53");
        assert!(snoop.observe_query(
            &packet(client, server, &question("www.example.com")),
            Client::default(),
            SECOND
        ));
        assert!(
            snoop
                .observe_answer(&packet(server, client, &answer("www.example.com")), SECOND)
                .is_some()
        );
    }

    #[test]
    fn any_other_answer_teaches_nothing() {
        let mut other_id = answer("www.example.com");
        other_id[1] = 8;
        let mut truncated = answer("www.example.com");
        truncated[2] |= 2;
        let mut other_type = fake::query("www.example.com", 28);
        other_type[2] |= 0x80;
        let good = answer("www.example.com");
        for (from, to, payload) in [
            ("192.0.2.54:53", CLIENT, &good),
            ("192.0.2.53:54", CLIENT, &good),
            (SERVER, "10.0.0.2:4001", &good),
            (SERVER, "10.0.0.3:4000", &good),
            (SERVER, CLIENT, &other_id),
            (SERVER, CLIENT, &truncated),
            (SERVER, CLIENT, &other_type),
            (SERVER, CLIENT, &answer("api.example.com")),
            (SERVER, CLIENT, &question("www.example.com")),
            (SERVER, CLIENT, &good[..good.len() - 1].to_vec()),
        ] {
            let mut snoop = snoop();
            assert!(
                snoop
                    .observe_answer(&packet(from, to, payload), SECOND)
                    .is_none(),
                "{from} {to}"
            );
            assert!(
                snoop
                    .observe_answer(&packet(SERVER, CLIENT, &good), SECOND)
                    .is_some(),
                "the true one still counts"
            );
        }
        let mut snoop = snoop();
        assert!(
            snoop
                .observe_answer(&packet(SERVER, CLIENT, &good), 12 * SECOND)
                .is_none(),
            "too late"
        );
    }

    #[test]
    fn only_questions_to_trusted_resolvers_are_remembered_and_only_so_many() {
        let mut snoop = snoop();
        let stray = packet(CLIENT, "198.51.100.1:53", &question("www.example.com"));
        assert!(!snoop.observe_query(&stray, Client::default(), SECOND));
        assert_eq!(snoop.asker(&stray), None);
        for port in 1000..1000 + u16::try_from(MAX_ASKED).unwrap() {
            let asked = packet(
                &format!("10.0.0.9:{port}"),
                SERVER,
                &question("www.example.com"),
            );
            assert!(snoop.observe_query(&asked, Client::default(), SECOND));
        }
        assert!(snoop.asked.len() <= MAX_ASKED && snoop.order.len() <= MAX_ASKED);
        assert!(
            snoop
                .observe_answer(&packet(SERVER, CLIENT, &answer("www.example.com")), SECOND)
                .is_none()
        );
        snoop.end(0);
        assert!(snoop.asked.is_empty());
    }

    proptest! {
        #[test]
        fn no_packet_panics(bytes in prop::collection::vec(any::<u8>(), 0..120), at in 0_usize..90, byte: u8) {
            let mut snoop = snoop();
            snoop.observe_query(&bytes, Client::default(), SECOND);
            snoop.observe_answer(&bytes, SECOND);
            let mut reply = packet(SERVER, CLIENT, &answer("www.example.com"));
            let at = at % reply.len();
            reply[at] = byte;
            snoop.observe_query(&reply, Client::default(), SECOND);
            snoop.observe_answer(&reply, SECOND);
        }
    }
}
