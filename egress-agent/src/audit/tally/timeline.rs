//! Counts of each minute of the last hours: a ring that time moves.

use std::collections::VecDeque;

use super::{Counts, count};
use crate::audit::record::{Layer, Time, Verdict};

/// Minutes that are kept: six hours.
pub const MINUTES: usize = 360;
const SECONDS: i64 = 60;

type Minute = [Counts; Layer::ALL.len()];

/// The ring. Its last element is the latest minute that anything was counted in.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Minutes since 1970 of the last element.
    latest: i64,
    minutes: VecDeque<Minute>,
    /// Counted for a time before all that is kept: the clock was set back.
    earlier: u64,
}

impl Timeline {
    pub(super) fn add(&mut self, time: Time, layer: Layer, verdict: Verdict, by: u64) {
        let minute = time.timestamp().as_second().div_euclid(SECONDS);
        self.reach(minute);
        let back = usize::try_from(self.latest.saturating_sub(minute)).unwrap_or(usize::MAX);
        let index = self
            .minutes
            .len()
            .checked_sub(1)
            .and_then(|last| last.checked_sub(back));
        let Some(counts) = index.and_then(|index| self.minutes.get_mut(index)) else {
            self.earlier = self.earlier.saturating_add(by);
            return;
        };
        count(counts, layer, verdict, by);
    }

    /// Moves on to `minute`, if that is later than the latest.
    fn reach(&mut self, minute: i64) {
        if self.minutes.is_empty() {
            self.latest = minute;
            self.minutes.resize(MINUTES, Minute::default());
        }
        let ahead = usize::try_from(minute.saturating_sub(self.latest)).unwrap_or(0);
        for _ in 0..ahead.min(MINUTES) {
            self.minutes.pop_front();
            self.minutes.push_back(Minute::default());
        }
        self.latest = self.latest.max(minute);
    }

    /// Each minute that is kept, oldest first: its first second since 1970, and the counts of each
    /// layer in the order of [`Layer::ALL`].
    pub fn minutes(&self) -> impl Iterator<Item = (i64, Minute)> + '_ {
        let kept = i64::try_from(self.minutes.len()).unwrap_or(i64::MAX);
        let first = self.latest.saturating_sub(kept).saturating_add(1);
        let numbers = (0_i64..).map(move |index| first.saturating_add(index));
        let seconds = numbers.map(|minute| minute.saturating_mul(SECONDS));
        seconds.zip(self.minutes.iter().copied())
    }

    pub const fn earlier(&self) -> u64 {
        self.earlier
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Time {
        Time::new(Timestamp::from_second(second).unwrap())
    }

    fn deny(timeline: &mut Timeline, second: i64) {
        timeline.add(at(second), Layer::Kernel, Verdict::Deny, 1);
    }

    /// Start and number of each minute that is not empty.
    fn seen(timeline: &Timeline) -> Vec<(i64, u64)> {
        let minutes = timeline.minutes();
        let sums = minutes.map(|(second, layers)| (second, layers.iter().flatten().sum()));
        sums.filter(|(_, sum)| *sum > 0).collect()
    }

    #[test]
    fn counts_stand_in_their_minute() {
        let mut timeline = Timeline::default();
        for second in [6_000, 6_059, 6_060, 6_000] {
            deny(&mut timeline, second);
        }
        assert_eq!(seen(&timeline), [(6_000, 3), (6_060, 1)]);
        assert_eq!(timeline.minutes().count(), MINUTES);
    }

    #[test]
    fn what_is_older_than_the_ring_goes() {
        let mut timeline = Timeline::default();
        let minutes = i64::try_from(MINUTES).unwrap();
        deny(&mut timeline, 0);
        deny(&mut timeline, 60 * (minutes - 1));
        assert_eq!(seen(&timeline).len(), 2);
        deny(&mut timeline, 60 * minutes);
        assert_eq!(seen(&timeline).len(), 2);
        deny(&mut timeline, 1_000_000_000);
        assert_eq!(seen(&timeline), [(1_000_000_000 / 60 * 60, 1)]);
    }

    #[test]
    fn a_clock_that_is_set_back_costs_nothing_that_was_counted() {
        let mut timeline = Timeline::default();
        deny(&mut timeline, 100_000_000);
        deny(&mut timeline, 5);
        deny(&mut timeline, 100_000_000 - 60);
        assert_eq!(timeline.earlier(), 1);
        assert_eq!(seen(&timeline).len(), 2);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_without_a_word_and_nothing_grows(
            seconds in prop::collection::vec(-10_000_i64..10_000, 0..200),
        ) {
            let mut timeline = Timeline::default();
            let count = seconds.len() as u64;
            for second in seconds {
                deny(&mut timeline, second);
            }
            let kept: u64 = seen(&timeline).iter().map(|(_, sum)| sum).sum();
            prop_assert_eq!(kept + timeline.earlier(), count);
            prop_assert!(timeline.minutes.len() <= MINUTES);
        }
    }
}
