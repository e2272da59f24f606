//! Questions that wait for a person: they are asked anew when there is an answer, or when the time
//! is up. Pure; `R` is whatever leads a reply back to its client.

use std::collections::BTreeMap;

use egress_common::ClientKey;

use crate::policy::Name;

/// Questions of one session.
const PER_SESSION: usize = 64;
/// Questions of all sessions.
const TOTAL: usize = 1024;
/// A question that waits has no more bytes: a name, a type and an EDNS record need some 300.
const LONGEST: usize = 1024;

/// A session and the name that it asks for.
pub(super) type About = (u64, Name);

/// One question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct One<R> {
    pub(super) from: ClientKey,
    pub(super) message: Vec<u8>,
    pub(super) reply_to: R,
}

/// All questions that wait.
#[derive(Debug)]
pub(super) struct Held<R> {
    about: BTreeMap<About, Together<R>>,
    total: usize,
    last: u64,
}

/// Questions that one answer of a person settles.
#[derive(Debug)]
struct Together<R> {
    /// Tells it from what waits for the same name later.
    serial: u64,
    questions: Vec<One<R>>,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The first about this: whoever keeps the time has its serial.
    First(u64),
    /// Others wait for the same.
    Joined,
}

impl<R> Default for Held<R> {
    fn default() -> Self {
        Self {
            about: BTreeMap::new(),
            total: 0,
            last: 0,
        }
    }
}

impl<R> Held<R> {
    /// Whether there is room for one more question of this length.
    pub(super) fn has_room(&self, session: u64, length: usize) -> bool {
        let of_session = self.about.iter().filter(|((of, _), _)| *of == session);
        let waiting: usize = of_session.map(|(_, one)| one.questions.len()).sum();
        length <= LONGEST && waiting < PER_SESSION && self.total < TOTAL
    }

    /// Keeps a question. The same one again, from the same client, takes the place of the first:
    /// a client that hears nothing asks again, and wants one reply.
    pub(super) fn keep(&mut self, about: About, one: One<R>) -> Kept {
        let last = &mut self.last;
        let mut kept = Kept::Joined;
        let together = self.about.entry(about).or_insert_with(|| {
            *last += 1;
            kept = Kept::First(*last);
            Together {
                serial: *last,
                questions: Vec::new(),
            }
        });
        let questions = &mut together.questions;
        let again = |known: &&mut One<R>| known.from == one.from && known.message == one.message;
        if let Some(known) = questions.iter_mut().find(again) {
            *known = one;
        } else {
            questions.push(one);
            self.total += 1;
        }
        kept
    }

    /// Takes out what waits for this; with a serial only if it is still the same.
    pub(super) fn take(&mut self, about: &About, serial: Option<u64>) -> Vec<One<R>> {
        let is_meant = |one: &Together<R>| serial.is_none_or(|serial| serial == one.serial);
        if !self.about.get(about).is_some_and(is_meant) {
            return Vec::new();
        }
        let questions = self.about.remove(about).map(|one| one.questions);
        let questions = questions.unwrap_or_default();
        self.total = self.total.saturating_sub(questions.len());
        questions
    }

    /// The session is over: nobody waits in it.
    pub(super) fn end(&mut self, session: u64) {
        self.about.retain(|(of, _), _| *of != session);
        self.total = self.about.values().map(|one| one.questions.len()).sum();
    }

    /// Questions that wait.
    pub(super) fn len(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use egress_common::{Address, Protocol};

    use super::*;

    fn name(number: usize) -> Name {
        Name::parse(&format!("n{number}.test")).unwrap()
    }

    fn one(port: u16, id: u8) -> One<u16> {
        One {
            from: ClientKey::new(Protocol::UDP, Address::from_v4([127, 0, 0, 1]), port),
            message: vec![id],
            reply_to: port,
        }
    }

    #[test]
    fn questions_for_a_name_wait_together_and_a_repeated_one_waits_once() {
        let mut held = Held::default();
        assert_eq!(held.keep((1, name(1)), one(1, 1)), Kept::First(1));
        assert_eq!(held.keep((1, name(1)), one(1, 1)), Kept::Joined);
        assert_eq!(held.keep((1, name(1)), one(1, 2)), Kept::Joined);
        assert_eq!(held.keep((1, name(1)), one(2, 1)), Kept::Joined);
        assert_eq!(held.keep((2, name(1)), one(1, 1)), Kept::First(2));
        assert_eq!(held.len(), 4);
        assert!(held.take(&(1, name(1)), Some(2)).is_empty());
        assert_eq!(held.take(&(1, name(1)), Some(1)).len(), 3);
        assert!(held.take(&(1, name(1)), None).is_empty());
        // The time of those that waited before is not the time of these.
        assert_eq!(held.keep((1, name(1)), one(1, 1)), Kept::First(3));
        assert!(held.take(&(1, name(1)), Some(1)).is_empty());
        held.end(1);
        assert_eq!(held.len(), 1);
        assert_eq!(held.take(&(2, name(1)), None).len(), 1);
        assert_eq!(held.len(), 0);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut held = Held::default();
        let mut keep = |session: u64, number: usize| {
            let has_room = held.has_room(session, 40);
            if has_room {
                held.keep((session, name(number)), one(1, 1));
            }
            has_room
        };
        for number in 0..2 * PER_SESSION {
            assert_eq!(keep(1, number), number < PER_SESSION, "{number}");
        }
        for session in 2..2 * TOTAL as u64 {
            let waiting = PER_SESSION + usize::try_from(session).unwrap() - 2;
            assert_eq!(keep(session, 1), waiting < TOTAL, "{session}");
        }
        assert_eq!(held.len(), TOTAL);
        held.end(1);
        assert!(held.has_room(1, LONGEST) && !held.has_room(1, LONGEST + 1));
    }
}
