//! What a session has used of the budget of a host. Pure: the time is passed in.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::policy::Budget;

/// Sessions and hosts that are counted at a time.
const MOST: usize = 16_384;
/// What was not used for so long gives way to others when there is no room.
const IDLE: Duration = Duration::from_hours(1);

/// Who asks whom: the session and the host.
pub(super) type Pair = (u64, String);

/// What was used, by session and host.
#[derive(Debug, Default)]
pub(super) struct Spending(HashMap<Pair, Spent>);

#[derive(Clone, Copy, Debug)]
struct Spent {
    begun: Instant,
    last: Instant,
    use_: Use,
}

/// What one thing uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) requests: u64,
    /// Bytes.
    pub(super) up: u64,
    /// Bytes.
    pub(super) down: u64,
}

/// The budget does not hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// What there is too much of, for people.
    pub(super) what: String,
    /// Until the budget begins anew; `None` for never.
    pub(super) again: Option<Duration>,
}

impl Spending {
    /// Takes something from the budget, or nothing when it does not hold it.
    pub(super) fn take(
        &mut self,
        pair: &Pair,
        budget: &Budget,
        more: Use,
        now: Instant,
    ) -> Result<(), Exceeded> {
        if !self.0.contains_key(pair) {
            self.make_room(now)?;
        }
        let fresh = Spent {
            begun: now,
            last: now,
            use_: Use::default(),
        };
        let spent = self.0.entry(pair.clone()).or_insert(fresh);
        let age = now.saturating_duration_since(spent.begun);
        if budget.per.is_some_and(|per| age >= per) {
            *spent = fresh;
        }
        spent.last = now;
        let Use { requests, up, down } = spent.use_;
        let sum = Use {
            requests: requests.saturating_add(more.requests),
            up: up.saturating_add(more.up),
            down: down.saturating_add(more.down),
        };
        let what = [
            (sum.requests, budget.requests, "requests"),
            (sum.up, budget.up, "bytes to it"),
            (sum.down, budget.down, "bytes from it"),
        ]
        .into_iter()
        .find_map(|(used, limit, what)| {
            let limit = limit.filter(|limit| used > *limit)?;
            Some(format!("{limit} {what}"))
        });
        let Some(what) = what else {
            spent.use_ = sum;
            return Ok(());
        };
        let left = |per: Duration| per.saturating_sub(now.saturating_duration_since(spent.begun));
        Err(Exceeded {
            what,
            again: budget.per.map(left),
        })
    }

    fn make_room(&mut self, now: Instant) -> Result<(), Exceeded> {
        if self.0.len() < MOST {
            return Ok(());
        }
        self.0
            .retain(|_, spent| now.saturating_duration_since(spent.last) < IDLE);
        if self.0.len() < MOST {
            return Ok(());
        }
        Err(Exceeded {
            what: format!("{MOST} hosts that have a budget"),
            again: Some(IDLE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Use = Use {
        requests: 1,
        up: 0,
        down: 0,
    };

    fn pair(host: &str) -> Pair {
        (7, host.to_owned())
    }

    fn budget(requests: u64, per: Option<u64>) -> Budget {
        Budget {
            requests: Some(requests),
            up: Some(100),
            down: Some(1000),
            per: per.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_budget_of_a_session_is_used_up_for_good() {
        let (mut spending, now) = (Spending::default(), Instant::now());
        let budget = budget(2, None);
        for _ in 0..2 {
            spending.take(&pair("a"), &budget, ONE, now).unwrap();
        }
        let later = now + Duration::from_hours(100);
        let told = spending.take(&pair("a"), &budget, ONE, later).unwrap_err();
        assert_eq!(told.what, "2 requests");
        assert_eq!(told.again, None);
        spending.take(&pair("b"), &budget, ONE, now).unwrap();
        spending
            .take(&(8, "a".to_owned()), &budget, ONE, now)
            .unwrap();
    }

    #[test]
    fn one_with_a_time_begins_anew_and_says_when() {
        let (mut spending, now) = (Spending::default(), Instant::now());
        let budget = budget(1, Some(60));
        spending.take(&pair("a"), &budget, ONE, now).unwrap();
        let later = now + Duration::from_secs(20);
        let told = spending.take(&pair("a"), &budget, ONE, later).unwrap_err();
        assert_eq!(told.again, Some(Duration::from_secs(40)));
        let later = now + Duration::from_mins(1);
        spending.take(&pair("a"), &budget, ONE, later).unwrap();
    }

    #[test]
    fn bytes_count_in_each_direction_and_a_refusal_takes_nothing() {
        let (mut spending, now) = (Spending::default(), Instant::now());
        let budget = budget(100, None);
        let up = |up| Use { up, ..ONE };
        let down = |down| Use {
            down,
            ..Use::default()
        };
        let mut take = |more| spending.take(&pair("a"), &budget, more, now);
        take(up(60)).unwrap();
        assert_eq!(take(up(60)).unwrap_err().what, "100 bytes to it");
        take(up(40)).unwrap();
        take(down(1000)).unwrap();
        assert_eq!(take(down(1)).unwrap_err().what, "1000 bytes from it");
    }

    #[test]
    fn memory_is_bounded_and_no_count_is_forgotten_to_make_room() {
        let (mut spending, now) = (Spending::default(), Instant::now());
        let budget = budget(1, None);
        for host in 0..MOST {
            let host = host.to_string();
            spending.take(&pair(&host), &budget, ONE, now).unwrap();
        }
        assert!(spending.take(&pair("x"), &budget, ONE, now).is_err());
        let told = spending.take(&pair("0"), &budget, ONE, now);
        assert_eq!(told.unwrap_err().what, "1 requests");
        let later = now + IDLE;
        spending.take(&pair("x"), &budget, ONE, later).unwrap();
        assert_eq!(spending.0.len(), 1);
    }
}
