//! Writes what a client receives. Decides the size limit and truncation; forwards no foreign byte
//! but the question itself.

use hickory_proto::{
    op::{Message, OpCode, Query},
    rr::{Name as WireName, Record, RecordType},
};

use super::wire::Reader;

/// Largest UDP answer: what every path carries unfragmented (DNS flag day 2020).
pub(super) const UDP_MAX: u16 = 1232;
/// Without EDNS (RFC 1035 4.2.1).
const UDP_MIN: u16 = 512;
const HEADER: usize = 12;

/// A response code, the four bits of the header and the eight of EDNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rcode(pub u16);

impl Rcode {
    pub const NO_ERROR: Self = Self(0);
    pub const FORMAT_ERROR: Self = Self(1);
    pub const SERVER_FAILURE: Self = Self(2);
    pub const NO_SUCH_NAME: Self = Self(3);
    pub const NOT_IMPLEMENTED: Self = Self(4);
    pub const REFUSED: Self = Self(5);
    pub const BAD_VERSION: Self = Self(16);
}

/// An Extended DNS Error code (RFC 8914 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ede(pub(super) u16);

impl Ede {
    pub(super) const OTHER: Self = Self(0);
    pub(super) const PROHIBITED: Self = Self(18);
    pub(super) const NO_REACHABLE_AUTHORITY: Self = Self(22);
}

/// What of a question a reply repeats or depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) id: u16,
    pub(super) opcode: u8,
    pub(super) recursion_desired: bool,
    pub(super) checking_disabled: bool,
    /// The client's UDP size; `None` without EDNS.
    pub(super) edns: Option<u16>,
    /// The question section as it was sent, in the client's own mixture of cases.
    pub(super) question: &'a [u8],
    pub(super) is_tcp: bool,
}

/// A [`Head`] that outlives the datagram.
#[derive(Clone, Debug)]
pub(super) struct OwnedHead {
    id: u16,
    recursion_desired: bool,
    checking_disabled: bool,
    edns: Option<u16>,
    question: Box<[u8]>,
    is_tcp: bool,
}

/// An answer, ready but for header, question and TTLs.
#[derive(Debug)]
pub(super) struct Template {
    rcode: Rcode,
    answers: u16,
    authorities: u16,
    /// The answer and authority sections. Names in it point into the question, which lies in the
    /// same place in every reply.
    body: Box<[u8]>,
    /// Where in `body` a TTL stands.
    ttls: Box<[u16]>,
}

/// An answer cannot be written as a DNS message.
#[derive(Debug, thiserror::Error)]
#[error("the filtered answer cannot be encoded; the client gets SERVFAIL")]
pub(super) struct Unencodable(#[source] Option<hickory_proto::ProtoError>);

impl Head<'_> {
    pub(super) fn to_owned(self) -> OwnedHead {
        OwnedHead {
            id: self.id,
            recursion_desired: self.recursion_desired,
            checking_disabled: self.checking_disabled,
            edns: self.edns,
            question: self.question.into(),
            is_tcp: self.is_tcp,
        }
    }

    fn limit(&self) -> usize {
        usize::from(if self.is_tcp {
            u16::MAX
        } else {
            self.edns
                .map_or(UDP_MIN, |size| size.clamp(UDP_MIN, UDP_MAX))
        })
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        rcode: Rcode,
        truncated: bool,
        answers: u16,
        authorities: u16,
    ) {
        out.clear();
        let [low, _] = rcode.0.to_le_bytes();
        out.extend(self.id.to_be_bytes());
        out.push(
            0x80 | (self.opcode & 0xf) << 3
                | u8::from(truncated) << 1
                | u8::from(self.recursion_desired),
        );
        out.push(0x80 | u8::from(self.checking_disabled) << 4 | low & 0xf);
        out.extend(u16::from(!self.question.is_empty()).to_be_bytes());
        out.extend(answers.to_be_bytes());
        out.extend(authorities.to_be_bytes());
        out.extend(u16::from(self.edns.is_some()).to_be_bytes());
        out.extend(self.question);
    }
}

impl OwnedHead {
    pub(super) fn head(&self) -> Head<'_> {
        Head {
            id: self.id,
            opcode: 0,
            recursion_desired: self.recursion_desired,
            checking_disabled: self.checking_disabled,
            edns: self.edns,
            question: &self.question,
            is_tcp: self.is_tcp,
        }
    }
}

impl Template {
    /// Encodes an answer for the question (`name`, `kind`), which must be in lower case as the
    /// records' names are.
    pub(super) fn new(
        name: &WireName,
        kind: u16,
        rcode: Rcode,
        answers: Vec<Record>,
        authorities: Vec<Record>,
    ) -> Result<Self, Unencodable> {
        let mut message = Message::response(0, OpCode::Query);
        message.add_query(Query::query(name.clone(), RecordType::from(kind)));
        message.answers = answers;
        message.authorities = authorities;
        let bytes = message.to_vec().map_err(|error| Unencodable(Some(error)))?;
        Self::read(&bytes, rcode).ok_or(Unencodable(None))
    }

    /// Takes a message apart again: counts, body, places of the TTLs.
    fn read(bytes: &[u8], rcode: Rcode) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        reader.take(2)?;
        let [high, _] = reader.array()?;
        // The encoder leaves out what makes a message too long, and says so.
        if high & 2 != 0 {
            return None;
        }
        reader.take(2)?;
        let answers = reader.u16()?;
        let authorities = reader.u16()?;
        reader.take(2)?;
        reader.skip_name()?;
        reader.take(4)?;
        let body = reader.rest();
        let mut ttls = Vec::new();
        for _ in 0..u32::from(answers) + u32::from(authorities) {
            reader.skip_name()?;
            reader.take(4)?;
            ttls.push(u16::try_from(body.len() - reader.rest().len()).ok()?);
            reader.u32()?;
            let length = reader.u16()?;
            reader.take(usize::from(length))?;
        }
        reader.is_empty().then_some(Self {
            rcode,
            answers,
            authorities,
            body: body.into(),
            ttls: ttls.into(),
        })
    }

    pub(super) fn rcode(&self) -> Rcode {
        self.rcode
    }

    /// Bytes held, for the cache's bound.
    pub(super) fn weight(&self) -> usize {
        self.body.len() + 2 * self.ttls.len()
    }
}

/// Writes an answer whose records all live for `ttl` seconds; cut to nothing, with TC set, when
/// the client cannot take it whole (RFC 2181 9).
pub(super) fn answer(out: &mut Vec<u8>, head: &Head<'_>, template: &Template, ttl: u32) {
    let opt = if head.edns.is_some() { 11 } else { 0 };
    if HEADER + head.question.len() + template.body.len() + opt > head.limit() {
        head.write(out, template.rcode, true, 0, 0);
    } else {
        head.write(
            out,
            template.rcode,
            false,
            template.answers,
            template.authorities,
        );
        let start = out.len();
        out.extend(&template.body);
        if let Some(body) = out.get_mut(start..) {
            for at in &template.ttls {
                let at = usize::from(*at);
                if let Some(place) = body.get_mut(at..at + 4) {
                    place.copy_from_slice(&ttl.to_be_bytes());
                }
            }
        }
    }
    if head.edns.is_some() {
        opt_record(out, template.rcode, &[]);
    }
}

/// Writes a reply without records. The extended error goes only to a client that speaks EDNS; its
/// text is left out when it does not fit.
pub(super) fn error(out: &mut Vec<u8>, head: &Head<'_>, rcode: Rcode, ede: Option<(Ede, &str)>) {
    head.write(out, rcode, false, 0, 0);
    if head.edns.is_none() {
        return;
    }
    let mut options = Vec::new();
    if let Some((Ede(code), text)) = ede {
        let room = head.limit().saturating_sub(out.len() + 11 + 6);
        let text = if text.len() <= room { text } else { "" };
        // INVARIANT: `room` is below 65,536, so the length fits.
        let length = u16::try_from(text.len()).unwrap_or(0);
        options.extend(15_u16.to_be_bytes());
        options.extend((length + 2).to_be_bytes());
        options.extend(code.to_be_bytes());
        options.extend(text.as_bytes());
    }
    opt_record(out, rcode, &options);
}

/// RFC 6891 6.1.2.
fn opt_record(out: &mut Vec<u8>, rcode: Rcode, options: &[u8]) {
    out.extend([0, 0, 41]);
    out.extend(UDP_MAX.to_be_bytes());
    let [_, extended] = (rcode.0 >> 4).to_be_bytes();
    out.extend([extended, 0, 0, 0]);
    // INVARIANT: the caller's options are one of at most 64 KiB less header and question.
    out.extend(u16::try_from(options.len()).unwrap_or(0).to_be_bytes());
    out.extend(options);
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{RData, rdata};

    use super::*;
    use crate::dns::{fake, question};

    fn template(records: u8) -> Template {
        let name = WireName::from_ascii("www.example.com.").unwrap();
        let answers = (0..records)
            .map(|last| {
                Record::from_rdata(name.clone(), 99, RData::A(rdata::A::new(203, 0, 113, last)))
            })
            .collect();
        Template::new(&name, 1, Rcode::NO_ERROR, answers, vec![]).unwrap()
    }

    fn reply(question: &[u8], records: u8, is_tcp: bool) -> Message {
        let question = question::parse(question, is_tcp).unwrap();
        let mut out = Vec::new();
        answer(&mut out, &question.head, &template(records), 42);
        assert!(out.len() <= question.head.limit());
        Message::from_vec(&out).unwrap()
    }

    #[test]
    fn an_answer_repeats_the_question_and_carries_the_ttl() {
        let message = reply(
            &fake::query_edns("wWw.example.COM", 1, 1232, 0, &[]),
            2,
            false,
        );
        assert_eq!(message.metadata.id, 7);
        assert!(message.metadata.recursion_available && message.metadata.recursion_desired);
        assert_eq!(message.queries[0].name.to_string(), "wWw.example.COM.");
        assert_eq!(message.answers.len(), 2);
        assert!(message.answers.iter().all(|record| record.ttl == 42));
        assert_eq!(message.edns.unwrap().max_payload(), 1232);
    }

    #[test]
    fn what_does_not_fit_is_cut_to_nothing_and_says_so() {
        let plain = fake::query("www.example.com", 1);
        let edns = |size| fake::query_edns("www.example.com", 1, size, 0, &[]);
        // 33 + 16 a record: 29 records take 497 bytes, 30 take 513.
        for (question, records, is_tcp, whole) in [
            (&plain, 29, false, true),
            (&plain, 30, false, false),
            (&plain, 200, true, true),
            (&edns(100), 29, false, true),
            (&edns(100), 30, false, false),
            (&edns(1232), 60, false, true),
            (&edns(4096), 100, false, false),
        ] {
            let message = reply(question, records, is_tcp);
            assert_eq!(message.metadata.truncation, !whole, "{records} records");
            assert_eq!(
                message.answers.len(),
                if whole { usize::from(records) } else { 0 }
            );
        }
    }

    #[test]
    fn an_extended_error_goes_only_to_those_who_speak_edns_and_must_fit() {
        let mut out = Vec::new();
        let plain = fake::query("example.com", 1);
        let head = question::parse(&plain, false).unwrap().head;
        error(
            &mut out,
            &head,
            Rcode::REFUSED,
            Some((Ede::PROHIBITED, "why")),
        );
        assert_eq!(out.len(), plain.len());
        assert_eq!(out[3] & 0xf, 5);

        let edns = fake::query_edns("example.com", 1, 512, 0, &[]);
        let head = question::parse(&edns, false).unwrap().head;
        error(
            &mut out,
            &head,
            Rcode::REFUSED,
            Some((Ede::PROHIBITED, "why")),
        );
        assert!(out.ends_with(b"\x00\x0f\x00\x05\x00\x12why"));
        error(
            &mut out,
            &head,
            Rcode::BAD_VERSION,
            Some((Ede::PROHIBITED, &"x".repeat(500))),
        );
        assert!(
            out.ends_with(b"\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x06\x00\x0f\x00\x02\x00\x12")
        );
        Message::from_vec(&out).unwrap();
    }
}
