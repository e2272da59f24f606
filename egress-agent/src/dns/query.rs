//! Our own question to an upstream, and whether something is the answer to it.
//!
//! Nothing that the client sent goes into the question but name and type.

use hickory_proto::op::Message;

use super::{reply::UDP_MAX, wire::Reader};
use crate::policy::Name;

/// One question on its way.
#[derive(Clone, Debug)]
pub(super) struct Query {
    id: u16,
    bytes: Vec<u8>,
    /// Where the question section ends.
    end: usize,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Response {
    /// Not an answer to this question; somebody guesses.
    Foreign,
    /// The rest is to be had over TCP.
    Truncated,
    /// It answers this question with what cannot be read.
    Unreadable,
    Answer(Box<Message>),
}

impl Query {
    pub(super) fn new(id: u16, name: &Name, kind: u16) -> Self {
        let mut bytes = Vec::with_capacity(name.len() + 30);
        bytes.extend(id.to_be_bytes());
        // RD; one question; one additional record.
        bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        for label in name.split('.') {
            // INVARIANT: a `Name` has labels of at most 63 bytes.
            bytes.push(u8::try_from(label.len()).unwrap_or(0));
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        let end = bytes.len();
        bytes.extend([0, 0, 41]);
        bytes.extend(UDP_MAX.to_be_bytes());
        bytes.extend([0; 6]);
        Self { id, bytes, end }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// With the length in front, as TCP carries it (RFC 1035 4.2.2).
    pub(super) fn framed(&self) -> Vec<u8> {
        // INVARIANT: a question is shorter than 300 bytes.
        let mut framed = u16::try_from(self.bytes.len())
            .unwrap_or(0)
            .to_be_bytes()
            .to_vec();
        framed.extend(&self.bytes);
        framed
    }

    /// Judges what the connected upstream socket received.
    pub(super) fn judge(&self, message: &[u8]) -> Response {
        match self.is_answered_by(message) {
            None => Response::Foreign,
            Some(true) => Response::Truncated,
            Some(false) => Message::from_vec(message).map_or(Response::Unreadable, |message| {
                Response::Answer(Box::new(message))
            }),
        }
    }

    /// Id and question match, cases aside; then whether the answer is truncated.
    fn is_answered_by(&self, message: &[u8]) -> Option<bool> {
        let mut reader = Reader::new(message);
        let id = reader.u16()?;
        let [high, _] = reader.array()?;
        let questions = reader.u16()?;
        reader.take(6)?;
        let own = self.bytes.get(12..self.end)?;
        let theirs = reader.take(own.len())?;
        let is_response = high & 0xf8 == 0x80;
        (id == self.id && is_response && questions == 1 && theirs.eq_ignore_ascii_case(own))
            .then_some(high & 2 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(query: &Query) -> Vec<u8> {
        let mut bytes = query.bytes[..query.end].to_vec();
        bytes[2] = 0x81;
        bytes[11] = 0;
        bytes
    }

    #[test]
    fn a_question_has_own_id_and_edns_and_nothing_else() {
        let query = Query::new(0x1234, &Name::parse("www.example.com").unwrap(), 28);
        let message = Message::from_vec(query.bytes()).unwrap();
        assert_eq!(message.metadata.id, 0x1234);
        assert!(message.metadata.recursion_desired && !message.metadata.checking_disabled);
        assert_eq!(message.queries[0].name.to_string(), "www.example.com.");
        let edns = message.edns.unwrap();
        assert_eq!(edns.max_payload(), 1232);
        assert!(!edns.flags().dnssec_ok);
        assert!(edns.options().as_ref().is_empty());
        assert_eq!(
            query.framed()[..2],
            [0, u8::try_from(query.bytes().len()).unwrap()]
        );
    }

    #[test]
    fn only_the_answer_to_this_very_question_counts() {
        let query = Query::new(0x1234, &Name::parse("www.example.com").unwrap(), 1);
        let good = answer(&query);
        assert!(matches!(query.judge(&good), Response::Answer(_)));
        let mut upper = good.clone();
        upper[13..16].make_ascii_uppercase();
        assert!(matches!(query.judge(&upper), Response::Answer(_)));
        let mut truncated = good.clone();
        truncated[2] |= 2;
        assert!(matches!(query.judge(&truncated), Response::Truncated));
        let mut cut = good.clone();
        cut[7] = 1;
        assert!(matches!(query.judge(&cut), Response::Unreadable));
        for (at, byte) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (2, 0x91),
            (5, 0),
            (5, 2),
            (13, b'v'),
            (good.len() - 3, 28),
            (good.len() - 1, 3),
        ] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert!(
                matches!(query.judge(&bytes), Response::Foreign),
                "byte {at}"
            );
        }
        assert!(matches!(
            query.judge(&good[..good.len() - 1]),
            Response::Foreign
        ));
        assert!(matches!(query.judge(&[]), Response::Foreign));
    }
}
