//! Decisions over time: buckets that grow wider as the span does, so that there are never many.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Tally;
use crate::audit::record::Time;

/// Decisions over time. Buckets without any are left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Timeline {
    /// Seconds of one bucket.
    pub width: i64,
    pub buckets: Vec<Bucket>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Bucket {
    /// When it begins.
    pub at: Time,
    #[serde(flatten)]
    pub tally: Tally,
}

/// Buckets in the making.
#[derive(Clone, Debug)]
pub(super) struct Growing {
    width: i64,
    most: i64,
    /// By the number of widths since 1970.
    buckets: BTreeMap<i64, Tally>,
}

/// Widths that people read easily; beyond the last one they double.
const WIDTHS: [i64; 13] = [
    1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400,
];

impl Growing {
    pub(super) fn new(most: i64) -> Self {
        Self {
            width: 1,
            most,
            buckets: BTreeMap::new(),
        }
    }

    pub(super) fn at(&mut self, time: Time) -> &mut Tally {
        let second = time.timestamp().as_second();
        while self.length_with(second) > self.most {
            self.widen();
        }
        let at = second.div_euclid(self.width);
        self.buckets.entry(at).or_default()
    }

    pub(super) fn finish(self) -> Timeline {
        let Self { width, buckets, .. } = self;
        let bucket = |(at, tally): (i64, Tally)| {
            let second = Timestamp::from_second(at.saturating_mul(width));
            Bucket {
                at: Time::new(second.unwrap_or(Timestamp::MIN)),
                tally,
            }
        };
        Timeline {
            width,
            buckets: buckets.into_iter().map(bucket).collect(),
        }
    }

    /// Buckets from the first to the last, with one for this second.
    fn length_with(&self, second: i64) -> i64 {
        let at = second.div_euclid(self.width);
        let first = self
            .buckets
            .keys()
            .next()
            .map_or(at, |first| at.min(*first));
        let last = self
            .buckets
            .keys()
            .next_back()
            .map_or(at, |last| at.max(*last));
        last - first + 1
    }

    fn widen(&mut self) {
        let next = WIDTHS.into_iter().find(|width| *width > self.width);
        let width = next.unwrap_or_else(|| self.width.saturating_mul(2));
        let mut buckets: BTreeMap<i64, Tally> = BTreeMap::new();
        for (at, tally) in std::mem::take(&mut self.buckets) {
            let second = at.saturating_mul(self.width);
            buckets
                .entry(second.div_euclid(width))
                .or_default()
                .join(&tally);
        }
        self.width = width;
        self.buckets = buckets;
    }
}

impl Timeline {
    /// Where each bucket stands among all from the first to the last, and how many those are.
    pub fn places(&self) -> (Vec<i64>, i64) {
        let at = |bucket: &Bucket| {
            bucket
                .at
                .timestamp()
                .as_second()
                .div_euclid(self.width.max(1))
        };
        let first = self.buckets.first().map_or(0, at);
        let places: Vec<i64> = self
            .buckets
            .iter()
            .map(|bucket| at(bucket) - first)
            .collect();
        let length = places.last().map_or(0, |last| last + 1);
        (places, length)
    }

    pub fn busiest(&self) -> Option<&Bucket> {
        self.buckets
            .iter()
            .max_by_key(|bucket| bucket.tally.total())
    }
}

impl Tally {
    fn join(&mut self, other: &Self) {
        let Self {
            allowed,
            denied,
            asked,
            redacted,
            observed,
        } = other;
        self.allowed = self.allowed.saturating_add(*allowed);
        self.denied = self.denied.saturating_add(*denied);
        self.asked = self.asked.saturating_add(*asked);
        self.redacted = self.redacted.saturating_add(*redacted);
        self.observed = self.observed.saturating_add(*observed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::record::Verdict;

    fn time(second: i64) -> Time {
        Time::new(Timestamp::from_second(second).unwrap())
    }

    proptest! {
        /// Whatever the clock did, nothing is lost and there are few buckets, in order.
        #[test]
        fn every_event_is_in_a_bucket_that_holds_its_time(
            seconds in prop::collection::vec(prop_oneof![
                0..100_i64,
                -1_000_000_000..9_000_000_000_i64,
                Just(-377_705_023_201_i64),
                Just(253_402_200_000_i64),
            ], 1..40),
        ) {
            let mut growing = Growing::new(24);
            for second in &seconds {
                growing.at(time(*second)).add(Some(Verdict::Deny), None, 1);
            }
            let timeline = growing.finish();
            let (places, length) = timeline.places();
            prop_assert!(length <= 24 && places.is_sorted() && places[0] == 0);
            let denied: u64 = timeline.buckets.iter().map(|bucket| bucket.tally.denied).sum();
            prop_assert_eq!(denied, seconds.len() as u64);
            for bucket in timeline.buckets.iter().skip(1) {
                let from = bucket.at.timestamp().as_second();
                let inside = seconds
                    .iter().filter(|second| (from..from + timeline.width).contains(second));
                prop_assert_eq!(inside.count() as u64, bucket.tally.denied);
            }
        }
    }

    #[test]
    fn an_empty_one_has_no_length() {
        let timeline = Growing::new(10).finish();
        assert_eq!(timeline.places(), (Vec::new(), 0));
        assert_eq!(timeline.busiest(), None);
    }
}
