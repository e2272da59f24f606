//! What can be told of a line without reading it as JSON. Pure.
//!
//! Every answer here is on the safe side: a line is left out only when a full parse could not have
//! found a record in it that is wanted. The tests compare the two.

use std::sync::LazyLock;

use memchr::{memchr, memmem::Finder};

use super::{
    chain::Hash,
    filter::Filter,
    record::{Time, Verdict},
};

/// Number and time of a line that begins as the log itself writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Front<'a> {
    pub(super) seq: u64,
    /// `2026-03-01T10:20:30.000250Z`: such texts are ordered as their times are.
    time: &'a [u8],
    /// What stands behind the time.
    rest: &'a [u8],
}

/// What the chain has put around a record, in a line that begins and ends as the log itself writes
/// it, and where none of it can be there twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame<'a> {
    pub(super) front: Front<'a>,
    pub(super) prev: Hash,
    pub(super) hash: Hash,
}

/// Members that a [`Frame`] speaks of, or that say more about the chain than it does.
static MEMBERS: LazyLock<[Finder<'static>; 8]> = LazyLock::new(|| {
    [
        r#""v""#,
        r#""seq""#,
        r#""time""#,
        r#""lost""#,
        r#""gap""#,
        r#""before""#,
        r#""prev""#,
        r#""hash""#,
    ]
    .map(Finder::new)
});

/// Leaves out lines that cannot be wanted.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    since: Option<String>,
    until: Option<String>,
    /// Strings that a wanted record has, with their quotes.
    words: Vec<Finder<'static>>,
}

impl<'a> Front<'a> {
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(br#"{"v":1,"seq":"#)?;
        // 19 digits and less fit into 64 bits.
        let digits = rest
            .iter()
            .take(20)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = rest.split_at_checked(digits)?;
        let is_number = matches!(digits, [b'1'..=b'9', ..]) && digits.len() < 20;
        let seq = digits.iter().fold(0_u64, |seq, digit| {
            seq.wrapping_mul(10)
                .wrapping_add(u64::from(digit.wrapping_sub(b'0')))
        });
        let rest = rest.strip_prefix(br#","time":""#)?;
        let (time, rest) = rest.split_at_checked(SHAPE.len())?;
        let rest = rest.strip_prefix(b"\"")?;
        (is_number && is_time(time)).then_some(Self { seq, time, rest })
    }

    pub(super) fn time(&self) -> Option<Time> {
        let text = str::from_utf8(self.time).ok()?;
        text.parse().ok().map(Time::new)
    }
}

impl<'a> Frame<'a> {
    /// Of a line without its newline. `None` says nothing about the line: it has to be read whole.
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        let front = Front::of(line)?;
        let (rest, hash) = last_hash(front.rest.strip_suffix(b"}")?, br#","hash":""#)?;
        let (record, prev) = last_hash(rest, br#","prev":""#)?;
        // A name can be written in another way only with a backslash.
        let is_plain = memchr(b'\\', record).is_none()
            && MEMBERS.iter().all(|member| member.find(record).is_none());
        is_plain.then_some(Self { front, prev, hash })
    }
}

/// What stands before the last member, and that one, which is called so.
fn last_hash<'a>(text: &'a [u8], name: &[u8]) -> Option<(&'a [u8], Hash)> {
    let text = text.strip_suffix(b"\"")?;
    let (text, hash) = text.split_at_checked(text.len().checked_sub(Hash::DIGITS)?)?;
    Some((text.strip_suffix(name)?, Hash::read(hash)?))
}

impl Sieve {
    pub(super) fn new(filter: &Filter) -> Self {
        let Filter {
            denied,
            session,
            host: _,
            since,
            until,
            layer,
        } = filter;
        let bound = |time: &Option<Time>| {
            let text = time.map(|time| time.to_string());
            text.filter(|text| is_time(text.as_bytes()))
        };
        let denied = denied.then(|| Verdict::Deny.code());
        let layer = layer.map(super::record::Layer::code);
        let words = [denied, session.as_deref(), layer];
        let words = words.into_iter().flatten().filter(|word| is_plain(word));
        Self {
            since: bound(since),
            until: bound(until),
            words: words
                .map(|word| Finder::new(&format!("\"{word}\"")).into_owned())
                .collect(),
        }
    }

    /// Whether no record that is wanted can stand in `line`.
    pub(super) fn is_out(&self, line: &[u8]) -> bool {
        self.is_out_of_time(line) || self.lacks_a_word(line)
    }

    fn is_out_of_time(&self, line: &[u8]) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return false;
        }
        let Some(front) = Front::of(line) else {
            return false;
        };
        let is_before = |bound: &String| front.time < bound.as_bytes();
        let is_after = |bound: &String| front.time > bound.as_bytes();
        self.since.as_ref().is_some_and(is_before) || self.until.as_ref().is_some_and(is_after)
    }

    /// A string can be written in another way only with a backslash.
    fn lacks_a_word(&self, line: &[u8]) -> bool {
        self.words.iter().any(|word| word.find(line).is_none()) && memchr(b'\\', line).is_none()
    }
}

/// Whether JSON can write `word` in one way only, escapes aside, and bytes that are no UTF-8 do
/// not become part of it.
fn is_plain(word: &str) -> bool {
    let is_other = |c: char| c.is_control() || matches!(c, '"' | '\\' | '\u{fffd}');
    !word.contains(is_other)
}

const SHAPE: &[u8] = b"0000-00-00T00:00:00.000000Z";

fn is_time(text: &[u8]) -> bool {
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == shape,
    };
    // An hour 24 would be the next day's first.
    text.len() == SHAPE.len()
        && text.iter().zip(SHAPE).all(fits)
        && text.get(11..13).is_some_and(|hour| hour < b"24".as_slice())
}

#[cfg(test)]
mod tests;
