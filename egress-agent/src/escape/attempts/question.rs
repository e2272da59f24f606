//! DNS questions as bytes, with everything in them that a client may not say.

use super::place::MARK;
use crate::escape::ground::{ALLOWED_NAME, DENIED_NAME, WILDCARD};

pub(super) const A: u16 = 1;
/// RFC 6891.
const OPT: u16 = 41;
const INTERNET: u16 = 1;

/// A message with one question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) kind: u16,
    /// Options of an EDNS record: code and content. No record without one.
    pub(super) options: Vec<(u16, Vec<u8>)>,
    /// Bytes behind the end of the message.
    pub(super) behind: Vec<u8>,
}

impl Question {
    pub(super) fn new(name: &str, kind: u16) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            options: Vec::new(),
            behind: Vec::new(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut message = vec![0x0e, 0x5c, 1, 0, 0, 1, 0, 0, 0, 0, 0];
        message.push(u8::from(!self.options.is_empty()));
        message.extend(name(&self.name));
        message.extend(self.kind.to_be_bytes());
        message.extend(INTERNET.to_be_bytes());
        if !self.options.is_empty() {
            message.push(0);
            message.extend(OPT.to_be_bytes());
            message.extend(1232_u16.to_be_bytes());
            message.extend([0; 4]);
            let options: Vec<u8> = self.options.iter().flat_map(option).collect();
            message.extend(length(options.len()));
            message.extend(options);
        }
        message.extend(&self.behind);
        message
    }

    /// As a stream carries it.
    pub(super) fn to_stream(&self) -> Vec<u8> {
        let message = self.to_bytes();
        let mut stream = length(message.len()).to_vec();
        stream.extend(message);
        stream
    }
}

/// The name that must not be asked, with the mark in front of it.
pub(super) fn secret_name() -> String {
    format!("{}.{DENIED_NAME}", String::from_utf8_lossy(MARK))
}

/// The question for it.
pub(super) fn secret() -> Vec<u8> {
    Question::new(&secret_name(), A).to_bytes()
}

/// A name that the wildcard admits.
pub(super) fn below_wildcard(label: &str) -> String {
    format!("{label}{}", WILDCARD.trim_start_matches('*'))
}

/// A question for an allowed name that carries the mark beside the name.
pub(super) fn with_option(kind: u16, code: u16, content: &[u8]) -> Question {
    Question {
        options: vec![(code, content.to_vec())],
        ..Question::new(ALLOWED_NAME, kind)
    }
}

/// What the answer to a message says: response code, and how many records it brings.
pub(super) fn answer(message: &[u8]) -> Option<(u8, u16)> {
    let [_, _, _, flags, _, _, high, low, ..] = message else {
        return None;
    };
    Some((flags & 0x0f, u16::from_be_bytes([*high, *low])))
}

fn option((code, content): &(u16, Vec<u8>)) -> Vec<u8> {
    let mut option = code.to_be_bytes().to_vec();
    option.extend(length(content.len()));
    option.extend(content);
    option
}

fn name(text: &str) -> Vec<u8> {
    let mut name = Vec::new();
    for label in text.split('.') {
        let label = label.as_bytes();
        name.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        name.extend(label);
    }
    name.push(0);
    name
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::{
        op::Message,
        rr::{RecordType, rdata::opt::EdnsCode},
    };

    #[test]
    fn a_foreign_parser_reads_the_question() {
        let mut question = with_option(16, 65001, MARK);
        question.name = secret_name();
        let message = Message::from_vec(&question.to_bytes()).unwrap();
        let asked = &message.queries[0];
        assert_eq!(asked.name().to_ascii(), "ESCAPE.secret.bait.example.");
        assert_eq!(asked.query_type(), RecordType::TXT);
        let edns = message.edns.unwrap();
        assert!(edns.options().get(EdnsCode::Unknown(65001)).is_some());
    }

    #[test]
    fn a_stream_begins_with_the_length() {
        let question = Question::new("a.example", A);
        let stream = question.to_stream();
        assert_eq!(stream[..2], [0, 27]);
        assert_eq!(stream[2..], question.to_bytes());
    }

    #[test]
    fn an_answer_tells_code_and_count() {
        let message = [0, 0, 0x81, 0x85, 0, 1, 0, 2, 0, 0, 0, 0];
        assert_eq!(answer(&message), Some((5, 2)));
        assert_eq!(answer(&message[..7]), None);
    }

    #[test]
    fn the_mark_fits_below_the_wildcard() {
        assert_eq!(below_wildcard("x"), "x.wild.example");
    }
}
