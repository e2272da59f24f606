//! Reads what a client asks. Decides only whether it is one plain question; refuses the rest.
//!
//! Hand-written, because every question passes here: one walk over the bytes, nothing allocated.
//! Client options (cookies, subnets, padding) are stepped over and never seen again.

use super::{
    reply::{Head, Rcode},
    wire::Reader,
};
use crate::policy::MAX_NAME;

/// Class IN (RFC 1035 3.2.4).
const CLASS_IN: u16 = 1;
const TYPE_OPT: u16 = 41;
const HEADER: usize = 12;
/// Additional records that are looked through for EDNS; a question has one or two.
const MAX_ADDITIONAL: u16 = 8;

/// One question of class IN for a host name.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) head: Head<'a>,
    pub(super) key: Key,
    /// The record type.
    pub(super) kind: u16,
}

/// Why there is no question to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadQuestion<'a> {
    /// Not even a header, or itself a response: an answer could start a loop.
    Silent,
    Reply(Head<'a>, Rcode, &'static str),
}

/// Name and type as one byte string, to look up without allocating.
#[derive(Clone, Copy)]
pub(super) struct Key {
    bytes: [u8; MAX_NAME + 2],
    length: usize,
}

impl Key {
    pub(super) fn new(name: &str, kind: u16) -> Option<Self> {
        let mut key = Self {
            bytes: [0; MAX_NAME + 2],
            length: 0,
        };
        for byte in name.bytes().chain(kind.to_be_bytes()) {
            key.push(byte)?;
        }
        Some(key)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Lower case, without the final dot; empty for the root.
    pub(super) fn name(&self) -> &str {
        let end = self.length.saturating_sub(2);
        // INVARIANT: only bytes that `is_name_byte` accepts and dots are pushed before the type.
        str::from_utf8(self.bytes.get(..end).unwrap_or_default()).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.length)? = byte;
        self.length += 1;
        Some(())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.name()).finish()
    }
}

/// Reads one message of a client. `is_tcp` lifts the size limit of the reply.
pub(super) fn parse(message: &[u8], is_tcp: bool) -> Result<Question<'_>, BadQuestion<'_>> {
    let mut reader = Reader::new(message);
    let (Some(id), Some([high, low]), Some(counts)) =
        (reader.u16(), reader.array::<2>(), reader.array::<8>())
    else {
        return Err(BadQuestion::Silent);
    };
    if high & 0x80 != 0 {
        return Err(BadQuestion::Silent);
    }
    let mut head = Head {
        id,
        opcode: high >> 3 & 0xf,
        recursion_desired: high & 1 != 0,
        checking_disabled: low & 0x10 != 0,
        edns: None,
        question: &[],
        is_tcp,
    };
    if head.opcode != 0 {
        return Err(BadQuestion::Reply(
            head,
            Rcode::NOT_IMPLEMENTED,
            "only plain queries are answered",
        ));
    }
    let [q0, q1, n0, n1, s0, s1, r0, r1] = counts;
    let additional = u16::from_be_bytes([r0, r1]);
    if [q0, q1] != [0, 1] || [n0, n1, s0, s1] != [0; 4] || additional > MAX_ADDITIONAL {
        return Err(BadQuestion::Reply(
            head,
            Rcode::FORMAT_ERROR,
            "ask exactly one question",
        ));
    }
    let Some((name, kind, class)) = section(&mut reader) else {
        return Err(BadQuestion::Reply(
            head,
            Rcode::FORMAT_ERROR,
            "the question cannot be read",
        ));
    };
    let length = message.len() - reader.rest().len() - HEADER;
    head.question = message.get(HEADER..HEADER + length).unwrap_or_default();
    match edns(&mut reader, additional) {
        Some(Edns::None) => {}
        Some(Edns::Size(size)) => head.edns = Some(size),
        Some(Edns::UnknownVersion) => {
            head.edns = Some(0);
            return Err(BadQuestion::Reply(
                head,
                Rcode::BAD_VERSION,
                "only EDNS version 0 is known",
            ));
        }
        None => {
            return Err(BadQuestion::Reply(
                head,
                Rcode::FORMAT_ERROR,
                "the records after the question cannot be read",
            ));
        }
    }
    if class != CLASS_IN {
        return Err(BadQuestion::Reply(
            head,
            Rcode::REFUSED,
            "only class IN is answered",
        ));
    }
    let Some(key) = name else {
        return Err(BadQuestion::Reply(head, Rcode::REFUSED, "not a host name"));
    };
    Ok(Question { head, key, kind })
}

/// The question section. The name is `None` when it is well formed and no host name.
fn section(reader: &mut Reader<'_>) -> Option<(Option<Key>, u16, u16)> {
    let mut key = Key {
        bytes: [0; MAX_NAME + 2],
        length: 0,
    };
    let mut is_host = true;
    let mut octets = 1_usize;
    loop {
        let length = reader.u8()?;
        if length == 0 {
            break;
        }
        // A pointer has nothing before it to point at.
        if length > 63 {
            return None;
        }
        octets += usize::from(length) + 1;
        if octets > 255 {
            return None;
        }
        if key.length > 0 {
            key.push(b'.')?;
        }
        for byte in reader.take(usize::from(length))? {
            is_host &= is_name_byte(*byte);
            key.push(byte.to_ascii_lowercase())?;
        }
    }
    let kind = reader.u16()?;
    let class = reader.u16()?;
    for byte in kind.to_be_bytes() {
        key.push(byte)?;
    }
    Some((is_host.then_some(key), kind, class))
}

enum Edns {
    None,
    Size(u16),
    UnknownVersion,
}

/// The records after the question; `None` when they cannot be read or are two OPT (RFC 6891 6.1.1).
fn edns(reader: &mut Reader<'_>, records: u16) -> Option<Edns> {
    let mut found = Edns::None;
    for _ in 0..records {
        let is_root = reader.rest().first() == Some(&0);
        reader.skip_name()?;
        let kind = reader.u16()?;
        let class = reader.u16()?;
        let [_, version, _, _] = reader.array()?;
        let length = reader.u16()?;
        reader.take(usize::from(length))?;
        if kind == TYPE_OPT {
            if !is_root || !matches!(found, Edns::None) {
                return None;
            }
            found = if version == 0 {
                Edns::Size(class)
            } else {
                Edns::UnknownVersion
            };
        }
    }
    reader.is_empty().then_some(found)
}

/// Whether the byte may stand in a label: other bytes are legal in DNS and in no host name.
pub(super) const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::fake::{query, query_edns};

    #[track_caller]
    fn refused(bytes: &[u8], expected: Option<Rcode>) {
        match parse(bytes, false) {
            Err(BadQuestion::Silent) => assert_eq!(None, expected),
            Err(BadQuestion::Reply(_, rcode, _)) => assert_eq!(Some(rcode), expected),
            Ok(question) => panic!("read {question:?}"),
        }
    }

    #[test]
    fn a_question_is_read_in_lower_case_and_repeated_as_sent() {
        let bytes = query_edns("WwW.Example.com", 28, 4096, 0, &[0, 10, 0, 2, 1, 2]);
        let question = parse(&bytes, false).unwrap();
        assert_eq!(question.key.name(), "www.example.com");
        assert_eq!(question.kind, 28);
        assert_eq!(question.head.id, 7);
        assert_eq!(question.head.edns, Some(4096));
        assert_eq!(question.head.question, &bytes[12..33]);
        assert_eq!(
            question.key.as_bytes(),
            Key::new("www.example.com", 28).unwrap().as_bytes()
        );
        assert_eq!(parse(&query("", 2), false).unwrap().key.name(), "");
    }

    #[test]
    fn what_is_not_one_plain_question_is_turned_away() {
        let good = query("example.com", 1);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        refused(&good[..11], None);
        refused(&with(2, 0x81), None);
        refused(&with(2, 0x11), Some(Rcode::NOT_IMPLEMENTED));
        refused(&with(2, 0x29), Some(Rcode::NOT_IMPLEMENTED));
        refused(&with(5, 0), Some(Rcode::FORMAT_ERROR));
        refused(&with(5, 2), Some(Rcode::FORMAT_ERROR));
        refused(&with(7, 1), Some(Rcode::FORMAT_ERROR));
        refused(&with(9, 1), Some(Rcode::FORMAT_ERROR));
        refused(&with(11, 1), Some(Rcode::FORMAT_ERROR));
        refused(&with(11, 9), Some(Rcode::FORMAT_ERROR));
        refused(&with(12, 0xc0), Some(Rcode::FORMAT_ERROR));
        refused(&with(12, 0x47), Some(Rcode::FORMAT_ERROR));
        refused(&good[..good.len() - 1], Some(Rcode::FORMAT_ERROR));
        refused(&with(good.len() - 1, 3), Some(Rcode::REFUSED));
        refused(&with(14, b' '), Some(Rcode::REFUSED));
        refused(&with(14, b'.'), Some(Rcode::REFUSED));
        refused(&with(14, 0xff), Some(Rcode::REFUSED));
        refused(
            &query_edns("example.com", 1, 1232, 1, &[]),
            Some(Rcode::BAD_VERSION),
        );
        let mut trailing = good.clone();
        trailing.push(0);
        refused(&trailing, Some(Rcode::FORMAT_ERROR));
        let mut two = query_edns("example.com", 1, 1232, 0, &[]);
        let opt = two[two.len() - 11..].to_vec();
        two[11] = 2;
        two.extend(opt);
        refused(&two, Some(Rcode::FORMAT_ERROR));
        refused(&query(&"abcdefg.".repeat(32), 1), Some(Rcode::FORMAT_ERROR));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes, false));
        }

        #[test]
        fn no_mutation_panics(at in 0_usize..44, byte: u8, cut in 0_usize..60) {
            let mut bytes = query_edns("www.example.com", 1, 1232, 0, &[0, 8, 0, 0]);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut);
            drop(parse(&bytes, true));
        }
    }
}
