//! Names that the guard resolver has answered a moment ago, for the next flow of the same session:
//! asking it takes a turn of another thread.
//!
//! What stands here is worth as much as the answer: no longer than it said (RFC 1035, section
//! 3.2.1) on the clock of leases ([`crate::kernel::boot`]), and only under the policy that it was
//! given under.

use std::{net::IpAddr, num::NonZeroUsize, time::Duration};

use lru::LruCache;

use crate::{dns::Addresses, policy::Name};

/// Answers that are kept. Whoever asks for more names asks the resolver again.
const MOST: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
/// However long they are good for.
const LONGEST: Duration = Duration::from_hours(1);

/// By session and name.
#[derive(Debug)]
pub(super) struct Known(LruCache<(u64, Name), Answer>);

#[derive(Debug)]
struct Answer {
    addresses: Vec<IpAddr>,
    /// Boot time in nanoseconds.
    until: u64,
}

impl Known {
    /// `now` is boot time in nanoseconds.
    pub(super) fn get(&mut self, session: u64, name: &Name, now: u64) -> Option<Vec<IpAddr>> {
        let answer = self.0.get(&(session, name.clone()))?;
        (now < answer.until).then(|| answer.addresses.clone())
    }

    pub(super) fn add(&mut self, session: u64, name: Name, answer: &Addresses, now: u64) {
        let addresses = answer.addresses.clone();
        let good_for = u64::try_from(answer.ttl.min(LONGEST).as_nanos()).unwrap_or(0);
        let until = now.saturating_add(good_for);
        self.0.put((session, name), Answer { addresses, until });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Default for Known {
    fn default() -> Self {
        Self(LruCache::new(MOST))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn answer(seconds: u64) -> Addresses {
        Addresses {
            addresses: vec![Ipv4Addr::new(192, 0, 2, 1).into()],
            ttl: Duration::from_secs(seconds),
        }
    }

    fn name(number: usize) -> Name {
        Name::parse(&format!("n{number}.test")).expect("a name")
    }

    #[test]
    fn an_answer_is_worth_as_long_as_it_says_and_for_its_session() {
        let mut known = Known::default();
        let now = 7;
        known.add(1, name(1), &answer(30), now);
        known.add(1, name(2), &answer(0), now);
        let later = now + 29 * SECOND;
        assert_eq!(known.get(1, &name(1), later), Some(answer(30).addresses));
        assert_eq!(known.get(2, &name(1), later), None);
        assert_eq!(known.get(1, &name(2), now), None);
        assert_eq!(known.get(1, &name(1), now + 30 * SECOND), None);
        known.clear();
        assert_eq!(known.get(1, &name(1), later), None);
    }

    #[test]
    fn it_does_not_grow_beyond_its_bound() {
        let mut known = Known::default();
        let now = 7;
        for number in 0..=MOST.get() {
            known.add(1, name(number), &answer(30), now);
        }
        assert_eq!(known.0.len(), MOST.get());
        assert_eq!(known.get(1, &name(0), now), None);
        assert!(known.get(1, &name(MOST.get()), now).is_some());
    }
}
