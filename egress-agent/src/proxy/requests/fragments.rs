//! Texts that follow each other in the same place of several requests: a secret that is sent in
//! pieces is whole in them. Pure: the time is passed in.
//!
//! ```text
//!   GET /?d=ghp_abc   GET /?d=def…   ──▶ "query d": ghp_abc|def…   looked at around each seam
//! ```
//!
//! # Known gaps
//!
//! Pieces that are sent in another order, by several sessions, to several hosts, coded piece by
//! piece, or more slowly than [`WINDOW`].

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::budget::Pair;

/// How long a piece is remembered.
const WINDOW: Duration = Duration::from_mins(5);
/// Bytes that are remembered of one place of one host.
const TAIL: usize = 8 << 10;
/// Bytes of one host: eight places that are full.
const HOST: usize = 64 << 10;
/// Places of one host.
const PLACES: usize = 64;
/// Hosts of all sessions.
const HOSTS: usize = 512;
/// Longer names of places are cut.
const NAME: usize = 64;

/// A piece of text and the place where it stands, such as `query d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) place: String,
    pub(super) text: Vec<u8>,
}

/// What was sent before, by session and host.
#[derive(Debug, Default)]
pub(super) struct Fragments(HashMap<Pair, Trail>);

#[derive(Debug, Default)]
struct Trail {
    /// The place that was used last comes last.
    tails: Vec<(String, Tail)>,
}

#[derive(Debug, Default)]
struct Tail {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

/// What came before, and the piece behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seam {
    pub(super) text: Vec<u8>,
    /// Where the piece begins.
    pub(super) at: usize,
}

impl Fragments {
    /// Adds a piece. `Some` is what is to be looked at: a secret across [`Seam::at`] was split.
    pub(super) fn add(&mut self, pair: &Pair, piece: &Piece, now: Instant) -> Option<Seam> {
        if piece.text.is_empty() {
            return None;
        }
        self.make_room(pair, now);
        let trail = self.0.entry(pair.clone()).or_default();
        let name: String = piece.place.chars().take(NAME).collect();
        let known = trail.tails.iter().position(|(place, _)| *place == name);
        let mut tail = known.map_or_else(Tail::default, |at| trail.tails.remove(at).1);
        let is_old = |(then, _): &(Instant, Vec<u8>)| now.saturating_duration_since(*then) > WINDOW;
        while tail.pieces.front().is_some_and(is_old) {
            tail.drop_first();
        }
        // What is always the same carries nothing.
        let is_same = tail
            .pieces
            .back()
            .is_some_and(|(_, last)| *last == piece.text);
        let seam = (!is_same && !tail.pieces.is_empty()).then(|| {
            let mut text: Vec<u8> = tail
                .pieces
                .iter()
                .flat_map(|(_, text)| text)
                .copied()
                .collect();
            let at = text.len();
            text.extend(piece.text.iter().take(TAIL));
            Seam { text, at }
        });
        if !is_same {
            let from = piece.text.len().saturating_sub(TAIL);
            let kept = piece.text.get(from..).unwrap_or_default().to_vec();
            tail.bytes += kept.len();
            tail.pieces.push_back((now, kept));
            while tail.bytes > TAIL && tail.pieces.len() > 1 {
                tail.drop_first();
            }
        }
        trail.tails.push((name, tail));
        let held = |trail: &Trail| {
            trail
                .tails
                .iter()
                .map(|(_, tail)| tail.bytes)
                .sum::<usize>()
        };
        while trail.tails.len() > PLACES || held(trail) > HOST {
            trail.tails.remove(0);
        }
        seam
    }

    /// Makes the one that was silent for the longest give way.
    fn make_room(&mut self, pair: &Pair, now: Instant) {
        if self.0.len() < HOSTS || self.0.contains_key(pair) {
            return;
        }
        self.0
            .retain(|_, trail| trail.last().is_some_and(|then| now - then <= WINDOW));
        if self.0.len() >= HOSTS {
            let oldest = self.0.iter().min_by_key(|(_, trail)| trail.last());
            if let Some(pair) = oldest.map(|(pair, _)| pair.clone()) {
                self.0.remove(&pair);
            }
        }
    }
}

impl Trail {
    fn last(&self) -> Option<Instant> {
        let (_, tail) = self.tails.last()?;
        tail.pieces.back().map(|(then, _)| *then)
    }
}

impl Tail {
    fn drop_first(&mut self) {
        if let Some((_, text)) = self.pieces.pop_front() {
            self.bytes -= text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Pair {
        (1, "a".to_owned())
    }

    fn piece(place: &str, text: &str) -> Piece {
        Piece {
            place: place.to_owned(),
            text: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn pieces_in_one_place_are_joined_and_others_are_not() {
        let (mut fragments, now) = (Fragments::default(), Instant::now());
        let mut add = |place, text| {
            let seam = fragments.add(&pair(), &piece(place, text), now);
            seam.map(|seam| (String::from_utf8(seam.text).unwrap(), seam.at))
        };
        assert_eq!(add("query d", "one"), None);
        assert_eq!(add("query e", "x"), None);
        assert_eq!(add("query d", "two"), Some(("onetwo".to_owned(), 3)));
        assert_eq!(add("query d", "two"), None);
        assert_eq!(add("query d", "3"), Some(("onetwo3".to_owned(), 6)));
        assert_eq!(add("query d", ""), None);
    }

    #[test]
    fn hosts_and_sessions_stay_apart() {
        let (mut fragments, now) = (Fragments::default(), Instant::now());
        let text = piece("path", "x");
        assert_eq!(fragments.add(&pair(), &text, now), None);
        let others = [(2, "a".to_owned()), (1, "b".to_owned())];
        for other in others {
            assert_eq!(fragments.add(&other, &piece("path", "y"), now), None);
        }
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let (mut fragments, now) = (Fragments::default(), Instant::now());
        fragments.add(&pair(), &piece("path", "one"), now);
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(fragments.add(&pair(), &piece("path", "two"), later), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut fragments, now) = (Fragments::default(), Instant::now());
        for place in 0..1000 {
            let text = format!("{place}{}", "x".repeat(3 * TAIL));
            fragments.add(&pair(), &piece(&place.to_string(), &text), now);
        }
        let trail = &fragments.0[&pair()];
        let bytes: usize = trail.tails.iter().map(|(_, tail)| tail.bytes).sum();
        assert!(bytes <= HOST, "{bytes}");
        for host in 0..2 * HOSTS {
            let pair = (1, host.to_string());
            fragments.add(&pair, &piece("path", "x"), now);
        }
        assert!(fragments.0.len() <= HOSTS);
        for _ in 0..100 {
            fragments.add(&pair(), &piece("p", &"y".repeat(1000)), now);
            fragments.add(&pair(), &piece("p", &"z".repeat(1000)), now);
        }
        let seam = fragments.add(&pair(), &piece("p", "end"), now).unwrap();
        assert!(seam.text.len() <= 2 * TAIL);
    }
}
