//! Names that the guard resolver has answered a moment ago, for the next flow of the same session:
//! asking it takes a turn of another thread.
//!
//! What stands here is worth as much as the answer: no longer than it said (RFC 1035, section
//! 3.2.1), and only under the policy that it was given under.

use std::{net::IpAddr, num::NonZeroUsize, time::Duration};

use lru::LruCache;
use tokio::time::Instant;

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
    until: Instant,
}

impl Known {
    pub(super) fn get(&mut self, session: u64, name: &Name, now: Instant) -> Option<Vec<IpAddr>> {
        let answer = self.0.get(&(session, name.clone()))?;
        (now < answer.until).then(|| answer.addresses.clone())
    }

    pub(super) fn add(&mut self, session: u64, name: Name, answer: &Addresses, now: Instant) {
        let addresses = answer.addresses.clone();
        let until = now + answer.ttl.min(LONGEST);
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
        let now = Instant::now();
        known.add(1, name(1), &answer(30), now);
        known.add(1, name(2), &answer(0), now);
        let later = now + Duration::from_secs(29);
        assert_eq!(known.get(1, &name(1), later), Some(answer(30).addresses));
        assert_eq!(known.get(2, &name(1), later), None);
        assert_eq!(known.get(1, &name(2), now), None);
        assert_eq!(known.get(1, &name(1), now + Duration::from_secs(30)), None);
        known.clear();
        assert_eq!(known.get(1, &name(1), later), None);
    }

    #[test]
    fn it_does_not_grow_beyond_its_bound() {
        let mut known = Known::default();
        let now = Instant::now();
        for number in 0..=MOST.get() {
            known.add(1, name(number), &answer(30), now);
        }
        assert_eq!(known.0.len(), MOST.get());
        assert_eq!(known.get(1, &name(0), now), None);
        assert!(known.get(1, &name(MOST.get()), now).is_some());
    }
}
