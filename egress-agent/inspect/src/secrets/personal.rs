//! Numbers of people and names of machines.

use super::{Detector, Edge, Search, TOKEN, check};
use std::ops::Range;

use crate::{
    finding::{Confidence, Kind, Severity},
    view::words::is_alnum,
};

pub(super) const ALL: &[Detector] = &[CARD, IBAN, ABA, SSN, SSN_NEAR, HOST];

/// *What it does*: finds numbers of payment cards in the ranges of their issuers (ISO/IEC 7812),
/// whose Luhn digit is right. *Why it matters*: a number, a date and a code pay. *Known gaps*:
/// other groupings than four by four and 4-6-5. *Example*: `4` and 15 digits, the last of which is
/// a checksum.
const CARD: Detector = Detector {
    id: "payment-card",
    what: "the number of a payment card",
    kind: Kind::Personal,
    severity: Severity::High,
    keywords: &[],
    search: Search::Word(card),
    check: Some(card_worth),
    positive: &["<card:4>", "card <card:5> ok", "<card:37>", "<grouped>"],
    negative: &["4111111111111112", "1234567890123456"],
    ..TOKEN
};

/// *What it does*: finds account numbers of the countries in the IBAN registry, whose check digits
/// are right. *Why it matters*: it names a person's account, and some banks debit it. *Known
/// gaps*: lower case. *Example*: `DE`, two check digits and 18 digits, also in groups of four.
const IBAN: Detector = Detector {
    id: "iban",
    what: "an IBAN",
    kind: Kind::Personal,
    severity: Severity::Medium,
    keywords: &[],
    search: Search::Word(iban),
    positive: &["<iban>", "pay to <iban> now", "<iban:4>"],
    negative: &["DE00123456789012345678"],
    ..TOKEN
};

/// *What it does*: finds routing numbers beside a word for them; the check digit makes it certain.
/// *Why it matters*: with an account number it debits. *Known gaps*: numbers without such a word
/// near them. *Example*: `routing number: ` and nine digits.
const ABA: Detector = Detector {
    id: "us-routing-number",
    what: "a US routing number",
    kind: Kind::Personal,
    severity: Severity::Medium,
    keywords: &["routing", "aba ", "aba:", "aba_", "rtn"],
    search: Search::Pattern(
        r#"(?i:routing|aba|rtn)(?i:[ _-]?(?:transit[ _-]?)?(?:number|no\.?|num|code)?)["']{0,2}\s{0,3}[:=#]?\s{0,3}["']?([0-9]{9})\b"#,
    ),
    check: Some(check::aba),
    positive: &["routing number: <aba>", "ABA: <aba>", "rtn=<aba>"],
    negative: &["routing number: 123456789", "routing table"],
    ..TOKEN
};

/// *What it does*: finds social security numbers that the administration could have given. *Why it
/// matters*: it opens accounts in a person's name. *Known gaps*: numbers without dashes unless a
/// word for them stands near. *Example*: three digits, two, four, with dashes.
const SSN: Detector = Detector {
    id: "us-ssn",
    what: "a US social security number",
    kind: Kind::Personal,
    severity: Severity::High,
    confidence: Confidence::Medium,
    keywords: &[],
    search: Search::Word(ssn),
    positive: &["<ssn>", "ssn <ssn>."],
    negative: &[
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "123-00-4567",
        "123-45-0000",
        "1234-56-7890",
    ],
    ..TOKEN
};

/// *What it does*: finds nine digits beside a word for social security numbers. *Why it matters*:
/// it opens accounts in a person's name. *Known gaps*: other words. *Example*: `ssn: ` and nine
/// digits.
const SSN_NEAR: Detector = Detector {
    id: "us-ssn-number",
    what: "a US social security number",
    kind: Kind::Personal,
    severity: Severity::High,
    confidence: Confidence::Medium,
    keywords: &["ssn", "social security"],
    search: Search::Pattern(
        r#"(?i:ssn|social security(?: (?:number|no\.?))?)["']{0,2}\s{0,3}[:=#]?\s{0,3}["']?([0-8][0-9]{8})\b"#,
    ),
    positive: &[
        "ssn: <ssn:9>",
        r#""ssn": "<ssn:9>""#,
        "Social Security number <ssn:9>",
    ],
    negative: &["ssn: none", "classname"],
    ..TOKEN
};

/// *What it does*: finds names under suffixes that are never public (RFC 6762, RFC 8375, ICANN's
/// `.internal`). *Why it matters*: it tells how a network is built. *Known gaps*: names under a
/// public domain; give those as internal domains. *Example*: `db1.corp` behind `https://`.
const HOST: Detector = Detector {
    id: "internal-host",
    what: "the name of an internal host",
    kind: Kind::Personal,
    severity: Severity::Low,
    keywords: &[
        ".internal",
        ".corp",
        ".intranet",
        ".lan",
        ".local",
        ".home.arpa",
        ".private",
        ".svc",
    ],
    search: Search::Hand(host),
    edge: Edge::Any,
    check: Some(host_worth),
    positive: &[
        "https://db1.prod.internal/x",
        "psql -h pg-<dig:2>.corp.internal",
        "http://wiki.intranet",
    ],
    negative: &["self.internal_name", "threading.local()"],
    ..TOKEN
};

/// Digits from a word on, alone or in the groups that cards are printed in.
fn card(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let before = word.start.checked_sub(1).and_then(|at| bytes.get(at));
    if before.is_some_and(|byte| matches!(byte, b'.' | b'/' | b'+' | b'#' | b'$')) {
        return None;
    }
    let rest = bytes.get(word.start..bytes.len().min(word.start + 24))?;
    if !matches!(rest.first()?, b'2'..=b'6') {
        return None;
    }
    let mut groups = Vec::new();
    let mut at = 0;
    loop {
        let group = rest
            .get(at..)?
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if group == 0 {
            return None;
        }
        groups.push(group);
        at += group;
        let is_split = matches!(rest.get(at), Some(b' ' | b'-'))
            && rest.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !is_split || groups.len() == 5 {
            break;
        }
        at += 1;
    }
    let is_end = rest
        .get(at)
        .is_none_or(|byte| !is_alnum(*byte) && !matches!(byte, b'_' | b'-'));
    let is_card = matches!(groups.as_slice(), [14..=16] | [4, 4, 4, 4] | [4, 6, 4 | 5]);
    (is_end && is_card).then(|| word.start..word.start + at)
}

fn card_worth(number: &[u8]) -> Option<Confidence> {
    let digits: Vec<u8> = number.iter().copied().filter(u8::is_ascii_digit).collect();
    let prefix = |length: usize| {
        let digits = str::from_utf8(digits.get(..length)?).ok()?;
        digits.parse::<u32>().ok()
    };
    let is_issued = matches!(
        (digits.len(), prefix(2)?, prefix(4)?),
        (16, 40..=49 | 51..=55 | 62 | 64 | 65, _)
            | (16, _, 2221..=2720 | 3528..=3589 | 6011)
            | (15, 34 | 37, _)
            | (14, 36 | 38 | 39 | 30, _)
    );
    let is_varied = check::entropy(&digits) > 1.2;
    let is_printed = is_varied && number.len() > digits.len();
    match (is_issued && check::luhn(&digits), is_printed) {
        (true, true) => Some(Confidence::High),
        (true, false) => Some(Confidence::Medium),
        (false, _) => None,
    }
}

/// Countries and the lengths of their account numbers (the IBAN registry of SWIFT).
const COUNTRIES: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

fn iban(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let rest = bytes.get(word.start..bytes.len().min(word.start + 42))?;
    let [first, second, b'0'..=b'9', b'0'..=b'9', ..] = rest else {
        return None;
    };
    let (_, length) = COUNTRIES
        .iter()
        .find(|(country, _)| **country == [*first, *second])?;
    let mut signs = Vec::new();
    let mut end = 0;
    for (at, byte) in rest.iter().enumerate() {
        if signs.len() == *length {
            break;
        }
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' => signs.push(*byte),
            b' ' if signs.len() % 4 == 0 => continue,
            _ => break,
        }
        end = at + 1;
    }
    let is_end = rest.get(end).is_none_or(|byte| !is_alnum(*byte));
    (is_end && signs.len() == *length && check::mod97(&signs)).then(|| word.start..word.start + end)
}

fn ssn(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let number = bytes.get(word.clone())?;
    if number.len() != 11 || number.get(3) != Some(&b'-') || number.get(6) != Some(&b'-') {
        return None;
    }
    let part = |range: Range<usize>| {
        let digits = str::from_utf8(number.get(range)?).ok()?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse::<u32>().ok())?
    };
    let is_given = !matches!(part(0..3)?, 0 | 666 | 900..) && part(4..6)? > 0 && part(7..11)? > 0;
    is_given.then(|| word.clone())
}

/// Walks back over the labels before the suffix, and on over those after it.
fn host(bytes: &[u8], suffix: usize) -> Option<Range<usize>> {
    let is_label = |byte: &&u8| is_alnum(**byte) || matches!(byte, b'-' | b'.');
    let before = bytes
        .get(..suffix)?
        .iter()
        .rev()
        .take(200)
        .take_while(is_label)
        .count();
    let after = bytes
        .get(suffix + 1..)?
        .iter()
        .take(60)
        .take_while(is_label)
        .count();
    let start = suffix - before;
    let end = suffix + 1 + after;
    let name = bytes.get(start..end)?;
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_end = bytes
        .get(end)
        .is_none_or(|byte| !matches!(byte, b'_' | b'(' | b'='));
    let last = name
        .rsplit(|byte| *byte == b'.')
        .next()?
        .to_ascii_lowercase();
    let is_private = matches!(
        last.as_slice(),
        b"internal" | b"corp" | b"intranet" | b"lan" | b"local" | b"arpa" | b"private" | b"svc"
    );
    (is_private && is_end && before > 0 && is_alnum(*name.first()?))
        .then(|| start..start + name.len())
}

/// Three labels and a number are more than a field of a variable.
fn host_worth(name: &[u8]) -> Option<Confidence> {
    let mut labels = name.split(|byte| *byte == b'.');
    let first = labels.next()?;
    let has_mark = name
        .iter()
        .any(|byte| byte.is_ascii_digit() || *byte == b'-');
    Some(if !first.is_empty() && labels.count() >= 2 && has_mark {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
