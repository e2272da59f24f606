//! How often tools may be called. Pure.

use std::{num::NonZeroUsize, time::Duration};

use lru::LruCache;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{gate::Block, session::Limits};

/// Different calls that are remembered.
const MOST: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// What has been used up.
#[derive(Debug)]
pub struct Budget {
    calls: u64,
    begun: Option<Duration>,
    /// How often a call was made, by the digest of its tool and arguments.
    made: LruCache<[u8; 32], u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            calls: 0,
            begun: None,
            made: LruCache::new(MOST),
        }
    }
}

impl Budget {
    /// Takes one call from the budget, or says what is used up. Denied calls count: whoever
    /// repeats them shall come to an end too.
    pub fn spend(
        &mut self,
        limits: &Limits,
        tool: &str,
        arguments: &Value,
        now: Duration,
    ) -> Option<Block> {
        let begun = *self.begun.get_or_insert(now);
        self.calls = self.calls.saturating_add(1);
        let hint = "stop here, and tell the person what is left to do";
        if limits.calls.is_some_and(|most| self.calls > most) {
            let reason = format!("the {} calls of this session are used up", self.calls - 1);
            return Some(Block::new("budget-calls", reason, hint));
        }
        if let Some(most) = limits.wall_clock
            && now.saturating_sub(begun) > most
        {
            let reason = format!("the {} s of this session are over", most.as_secs());
            return Some(Block::new("budget-time", reason, hint));
        }
        let most = limits.repeats?;
        let mut digest = Sha256::new();
        digest.update(Value::from(tool).to_string());
        digest.update(arguments.to_string());
        let made = self.made.get_or_insert_mut(digest.finalize().into(), || 0);
        *made = made.saturating_add(1);
        (*made > most).then(|| {
            let reason = format!("the same call was made {most} times");
            Block::new("budget-repeats", reason, "do something else")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn codes(limits: &Limits, calls: &[(&str, Value, u64)]) -> Vec<String> {
        let mut budget = Budget::default();
        calls
            .iter()
            .map(|(tool, arguments, second)| {
                let now = START + Duration::from_secs(*second);
                let block = budget.spend(limits, tool, arguments, now);
                block.map_or_else(String::new, |block| block.code.into_owned())
            })
            .collect()
    }

    #[test]
    fn calls_are_counted_denied_ones_too() {
        let limits = Limits {
            calls: Some(2),
            ..Limits::default()
        };
        let call = || ("a", json!({}), 0);
        let codes = codes(&limits, &[call(), call(), call(), call()]);
        assert_eq!(codes, ["", "", "budget-calls", "budget-calls"]);
    }

    #[test]
    fn only_the_same_call_with_the_same_arguments_is_a_repeat() {
        let limits = Limits {
            repeats: Some(2),
            ..Limits::default()
        };
        let calls = [
            ("a", json!({ "x": 1 }), 0),
            ("a", json!({ "x": 2 }), 0),
            ("b", json!({ "x": 1 }), 0),
            ("a", json!({ "x": 1 }), 0),
            ("a", json!({ "x": 1 }), 0),
        ];
        assert_eq!(codes(&limits, &calls), ["", "", "", "", "budget-repeats"]);
    }

    #[test]
    fn time_counts_from_the_first_call() {
        let limits = Limits {
            wall_clock: Some(Duration::from_mins(1)),
            ..Limits::default()
        };
        let calls = [
            ("a", json!({}), 0),
            ("a", json!({}), 60),
            ("a", json!({}), 61),
        ];
        assert_eq!(codes(&limits, &calls), ["", "", "budget-time"]);
    }
}
