//! What the records of this run add up to: by layer and verdict, by reason, by rule and by minute.
//!
//! Pure and bounded: records come in, numbers come out, and the time is the record's own. Nothing
//! that a guarded process chooses, such as a name or an address, becomes a key.

mod hits;
mod timeline;

use std::collections::BTreeMap;

use super::record::{Kind, Layer, Mode, Record, Verdict};

pub use hits::{Hit, Hits};
pub use timeline::{MINUTES, Timeline};

/// Reasons that are counted apart, of all layers.
const REASONS: usize = 256;
/// Where what is beyond the bound goes, and what is no code.
pub const OTHER: &str = "other";
/// The longest word that counts as a code. Bytes.
const CODE: usize = 48;

/// Verdicts in the order in which they are counted.
pub const VERDICTS: [Verdict; 4] = [Verdict::Allow, Verdict::Deny, Verdict::Redact, Verdict::Ask];

/// How often each verdict was given, in the order of [`VERDICTS`].
pub type Counts = [u64; VERDICTS.len()];

/// The sums.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    enforced: [Counts; Layer::ALL.len()],
    observed: [Counts; Layer::ALL.len()],
    reasons: BTreeMap<(Layer, String), u64>,
    timeline: Timeline,
    hits: Hits,
    life: Life,
}

/// What happened to the daemon and its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Life {
    /// Bytes of the log that were written.
    pub bytes: u64,
    pub policies_loaded: u64,
    pub policies_refused: u64,
    pub sessions_begun: u64,
    pub sessions_ended: u64,
    pub guards_lost: u64,
}

impl Tally {
    /// Adds a record that takes this many bytes of the log.
    pub fn add(&mut self, record: &Record, bytes: usize) {
        let add = |counter: &mut u64, count| *counter = counter.saturating_add(count);
        add(&mut self.life.bytes, u64::try_from(bytes).unwrap_or(0));
        match record.event {
            Kind::PolicyLoaded => add(&mut self.life.policies_loaded, 1),
            Kind::PolicyRefused => add(&mut self.life.policies_refused, 1),
            Kind::SessionBegin => add(&mut self.life.sessions_begun, 1),
            Kind::SessionEnd => add(&mut self.life.sessions_ended, 1),
            Kind::GuardLost => add(&mut self.life.guards_lost, 1),
            Kind::Flow
            | Kind::Socket
            | Kind::Question
            | Kind::ToolCall
            | Kind::Message
            | Kind::Request
            | Kind::Start
            | Kind::Stop
            | Kind::GuardAttached
            | Kind::GuardReleased
            | Kind::SettingChanged
            | Kind::GrantAdded
            | Kind::GrantEnded
            | Kind::Approval
            | Kind::Lost
            | Kind::Mended => {}
        }
        let Some(verdict) = record.verdict else {
            return;
        };
        let layers = match record.mode {
            Some(Mode::Observe) => &mut self.observed,
            Some(Mode::Enforce) | None => &mut self.enforced,
        };
        count(layers, record.layer, verdict, record.count);
        if verdict == Verdict::Deny {
            self.add_reason(record);
        }
        self.timeline
            .add(record.time, record.layer, verdict, record.count);
        self.hits.add(record, verdict);
    }

    fn add_reason(&mut self, record: &Record) {
        let reason = record.reason.as_deref().filter(|reason| is_code(reason));
        let key = (record.layer, reason.unwrap_or(OTHER).to_owned());
        let is_known = self.reasons.contains_key(&key);
        let key = if is_known || self.reasons.len() < REASONS {
            key
        } else {
            (record.layer, OTHER.to_owned())
        };
        let counter = self.reasons.entry(key).or_default();
        *counter = counter.saturating_add(record.count);
    }

    /// How often a layer gave a verdict.
    pub fn decisions(&self) -> impl Iterator<Item = (Layer, Verdict, Mode, u64)> + '_ {
        let modes = [
            (Mode::Enforce, &self.enforced),
            (Mode::Observe, &self.observed),
        ];
        modes.into_iter().flat_map(|(mode, layers)| {
            let layers = Layer::ALL.into_iter().zip(layers);
            layers.flat_map(move |(layer, counts)| {
                let counts = VERDICTS.into_iter().zip(counts);
                counts.map(move |(verdict, count)| (layer, verdict, mode, *count))
            })
        })
    }

    /// Denials by layer and reason.
    pub fn reasons(&self) -> impl Iterator<Item = (Layer, &str, u64)> {
        let reasons = self.reasons.iter();
        reasons.map(|((layer, reason), count)| (*layer, reason.as_str(), *count))
    }

    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub const fn hits(&self) -> &Hits {
        &self.hits
    }

    pub const fn life(&self) -> Life {
        self.life
    }
}

fn count(layers: &mut [Counts; Layer::ALL.len()], layer: Layer, verdict: Verdict, by: u64) {
    let found = Layer::ALL.into_iter().zip(layers);
    for (_, counts) in found.filter(|(other, _)| *other == layer) {
        for (_, counter) in VERDICTS
            .into_iter()
            .zip(&mut *counts)
            .filter(|(other, _)| *other == verdict)
        {
            *counter = counter.saturating_add(by);
        }
    }
}

/// Lower case, digits and hyphens: what egressd calls its reasons.
fn is_code(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= CODE && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::tests::denial;

    fn of(tally: &Tally, layer: Layer, verdict: Verdict, mode: Mode) -> u64 {
        let mut decisions = tally.decisions();
        let found = decisions.find(|found| (found.0, found.1, found.2) == (layer, verdict, mode));
        found.unwrap().3
    }

    #[test]
    fn a_record_counts_for_as_many_as_it_stands_for() {
        let mut tally = Tally::default();
        let mut record = denial(1, "192.0.2.1");
        record.count = 5;
        tally.add(&record, 100);
        record.mode = Some(Mode::Observe);
        tally.add(&record, 100);
        let layer = record.layer;
        assert_eq!(of(&tally, layer, Verdict::Deny, Mode::Enforce), 5);
        assert_eq!(of(&tally, layer, Verdict::Deny, Mode::Observe), 5);
        assert_eq!(of(&tally, layer, Verdict::Allow, Mode::Enforce), 0);
        assert_eq!(tally.life().bytes, 200);
        let reasons: Vec<_> = tally.reasons().collect();
        assert_eq!(reasons, [(layer, record.reason.as_deref().unwrap(), 10)]);
    }

    #[test]
    fn what_is_no_code_and_what_is_beyond_the_bound_counts_as_other() {
        let mut tally = Tally::default();
        let mut record = denial(1, "192.0.2.1");
        for reason in ["<img src=x>", "", "\u{202e}x", "Upper", &"x".repeat(49)] {
            record.reason = Some(reason.to_owned().into());
            tally.add(&record, 0);
        }
        let reasons: Vec<_> = tally.reasons().collect();
        assert_eq!(reasons, [(record.layer, OTHER, 5)]);
        for number in 0..2 * REASONS {
            record.reason = Some(format!("r{number}").into());
            tally.add(&record, 0);
        }
        assert_eq!(tally.reasons().count(), REASONS);
        let sum: u64 = tally.reasons().map(|(_, _, count)| count).sum();
        assert_eq!(sum, 5 + 2 * REASONS as u64);
    }

    #[test]
    fn the_life_of_the_daemon_is_no_decision() {
        let mut tally = Tally::default();
        let time = denial(1, "::").time;
        for kind in [Kind::PolicyLoaded, Kind::PolicyRefused, Kind::SessionBegin] {
            tally.add(&Record::new(time, Layer::Daemon, kind), 1);
        }
        let life = tally.life();
        assert_eq!((life.policies_loaded, life.policies_refused), (1, 1));
        assert_eq!((life.sessions_begun, life.sessions_ended), (1, 0));
        assert!(tally.decisions().all(|(_, _, _, count)| count == 0));
        assert!(
            tally
                .timeline()
                .minutes()
                .all(|(_, layers)| layers.iter().flatten().all(|count| *count == 0))
        );
    }
}
