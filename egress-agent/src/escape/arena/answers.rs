//! What the far side's DNS server answers, and which questions carry nothing. Pure.

use std::net::IpAddr;

use hickory_proto::{
    op::{Message, OpCode, Query, ResponseCode},
    rr::{
        RData, Record, RecordType,
        rdata::{A, AAAA},
    },
};

use crate::escape::ground::{
    ALLOWED_NAME, ALLOWED_V4, ALLOWED_V6, BAIT_V4, BAIT_V6, DENIED_NAME, WILDCARD,
};

const TTL: u32 = 60;
/// A label of a host below the wildcard; longer ones may carry data, and count.
const PLAIN_LABEL: usize = 16;
/// The lengths of a question's parts (RFC 1035 4.1, RFC 6891 6.1.2: without options).
const HEADER: usize = 12;
/// The empty label at the end of a name, which `Name::len` leaves out.
const ROOT: usize = 1;
const TYPE_AND_CLASS: usize = 4;
const EDNS: usize = 11;
/// What the guard resolver asks for on its own behalf.
const PLAIN_TYPES: [RecordType; 4] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::HTTPS,
];

/// The answer to one message; `None` for what is no question.
pub(super) fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?;
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(query.clone());
    match addresses(&name_of(query)) {
        Some(addresses) => {
            let data = addresses
                .into_iter()
                .filter_map(|address| data(address, query.query_type()));
            let record = |data| Record::from_rdata(query.name().clone(), TTL, data);
            reply.answers.extend(data.map(record));
        }
        None => reply.metadata.response_code = ResponseCode::NXDomain,
    }
    reply.to_vec().ok()
}

/// Whether a question is one that the guard resolver asks about allowed names, with nothing else
/// in it, beside it or behind it.
pub(super) fn is_harmless(question: &[u8]) -> bool {
    let Ok(message) = Message::from_vec(question) else {
        return false;
    };
    let [query] = message.queries.as_slice() else {
        return false;
    };
    let is_allowed = match name_of(query).as_str() {
        ALLOWED_NAME => true,
        name => below_wildcard(name)
            .is_some_and(|label| label.len() <= PLAIN_LABEL && !label.contains('.')),
    };
    let extra = if message.edns.is_some() { EDNS } else { 0 };
    is_allowed
        && PLAIN_TYPES.contains(&query.query_type())
        && question.len() == HEADER + query.name().len() + ROOT + TYPE_AND_CLASS + extra
}

/// `secret.bait.example TXT`, for people.
pub(super) fn describe(question: &[u8]) -> Option<String> {
    let message = Message::from_vec(question).ok()?;
    let query = message.queries.first()?;
    Some(format!("{} {}", name_of(query), query.query_type()))
}

fn name_of(query: &Query) -> String {
    let name = query.name().to_lowercase().to_ascii();
    name.trim_end_matches('.').to_owned()
}

fn below_wildcard(name: &str) -> Option<&str> {
    let zone = WILDCARD.strip_prefix('*')?;
    name.strip_suffix(zone).filter(|label| !label.is_empty())
}

fn addresses(name: &str) -> Option<[IpAddr; 2]> {
    if name == ALLOWED_NAME || below_wildcard(name).is_some() {
        return Some([ALLOWED_V4.into(), ALLOWED_V6.into()]);
    }
    // Data is carried below the bait's zone too.
    let zone = DENIED_NAME.split_once('.').map_or("", |(_, zone)| zone);
    let is_bait = name == zone || name.ends_with(&format!(".{zone}"));
    is_bait.then(|| [BAIT_V4.into(), BAIT_V6.into()])
}

fn data(address: IpAddr, kind: RecordType) -> Option<RData> {
    match (address, kind) {
        (IpAddr::V4(address), RecordType::A) => Some(RData::A(A(address))),
        (IpAddr::V6(address), RecordType::AAAA) => Some(RData::AAAA(AAAA(address))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::Edns,
        rr::{
            Name,
            rdata::opt::{EdnsCode, EdnsOption},
        },
    };

    use super::*;

    fn question(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.id = 7;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    #[track_caller]
    fn check(name: &str, kind: RecordType, harmless: bool, answers: Option<usize>) {
        let bytes = question(name, kind).to_vec().unwrap();
        assert_eq!(is_harmless(&bytes), harmless, "{name}");
        let reply = Message::from_vec(&answer(&bytes).unwrap()).unwrap();
        let got =
            (reply.metadata.response_code == ResponseCode::NoError).then_some(reply.answers.len());
        assert_eq!((got, reply.metadata.id), (answers, 7), "{name}");
    }

    #[test]
    fn allowed_names_are_answered_and_are_noise() {
        check("allowed.example.", RecordType::A, true, Some(1));
        check("Allowed.Example.", RecordType::AAAA, true, Some(1));
        check("host.wild.example.", RecordType::A, true, Some(1));
    }

    #[test]
    fn what_may_carry_data_counts() {
        check("secret.bait.example.", RecordType::A, false, Some(1));
        check("x.y.bait.example.", RecordType::TXT, false, Some(0));
        check("allowed.example.", RecordType::TXT, false, Some(0));
        check(
            "0123456789abcdef0.wild.example.",
            RecordType::A,
            false,
            Some(1),
        );
        check("a.b.wild.example.", RecordType::A, false, Some(1));
        check("wild.example.", RecordType::A, false, None);
        check("nowhere.example.", RecordType::A, false, None);
        assert!(!is_harmless(b"no message"));
        assert_eq!(answer(b"no message"), None);
    }

    #[test]
    fn an_option_and_what_stands_behind_the_question_may_carry_data() {
        let mut message = question("allowed.example.", RecordType::A);
        let mut edns = Edns::new();
        message.edns = Some(edns.clone());
        let plain = message.to_vec().unwrap();
        assert!(is_harmless(&plain));
        assert!(!is_harmless(&[&plain[..], b"data"].concat()));
        let option = EdnsOption::Unknown(u16::from(EdnsCode::Unknown(65001)), b"data".to_vec());
        edns.options_mut().insert(option);
        message.edns = Some(edns);
        assert!(!is_harmless(&message.to_vec().unwrap()));
    }
}
