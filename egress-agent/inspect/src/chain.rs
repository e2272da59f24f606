//! Calls that are harmless one by one: what a session did shortly before is remembered, and an
//! order of acts that leads somewhere is told.
//!
//! ```text
//!   call ──categories──▶ Chains::note(categories, now) ──patterns──▶ Finding
//! ```
//!
//! A pattern is found when its steps stand in this order among the last 20 calls and 60 seconds,
//! with at most three other calls between two of them. The last call must be its last step: each
//! chain is told once, by the call that ends it.
//!
//! # Known gaps
//!
//! Whoever waits a minute, or does four other things between two steps, is not seen.

use std::collections::VecDeque;
use std::time::Duration;

use self::Category::{
    Environment, Execute, List, Mode, Network, Persist, Read, ReadSensitive, Write,
};
use super::destructive;
use super::{Confidence, Finding, Kind, Severity, View};
use crate::shell::Reach;

/// What a call does, as far as chains care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    List,
    Read,
    /// Reads credentials, keys, or other people's data.
    ReadSensitive,
    Write,
    /// Makes a file executable, or opens it.
    Mode,
    Execute,
    Network,
    Environment,
    /// Makes something run later.
    Persist,
}

/// All that one call does.
pub type Categories = Vec<Category>;

/// Calls that are remembered.
pub const WINDOW: usize = 20;
/// How long they are.
pub const LASTING: Duration = Duration::from_mins(1);
/// Other calls that may stand between two steps.
pub const GAP: usize = 3;

/// What a session did. Time is passed in, from any clock that does not go back.
#[derive(Clone, Debug, Default)]
pub struct Chains {
    calls: VecDeque<(Duration, u16)>,
}

/// The names of what is found.
pub(super) fn ids() -> impl Iterator<Item = &'static str> {
    PATTERNS.iter().map(|pattern| pattern.id)
}

/// An order of acts.
#[derive(Debug)]
struct Pattern {
    id: &'static str,
    steps: &'static [Category],
    severity: Severity,
    confidence: Confidence,
}

impl Chains {
    /// Remembers a call that does `categories` at `now`, and says which chains it ends.
    pub fn note(&mut self, categories: &[Category], now: Duration) -> Vec<Finding> {
        while self
            .calls
            .front()
            .is_some_and(|(then, _)| now.saturating_sub(*then) > LASTING)
            || self.calls.len() >= WINDOW
        {
            self.calls.pop_front();
        }
        let set = categories
            .iter()
            .fold(0, |set, category| set | bit(*category));
        self.calls.push_back((now, set));
        PATTERNS
            .iter()
            .filter(|pattern| self.ends(pattern.steps))
            .map(|pattern| Finding {
                detector: pattern.id.to_owned(),
                kind: Kind::Chain,
                severity: pattern.severity,
                confidence: pattern.confidence,
                view: View::Raw,
                range: 0..0,
            })
            .collect()
    }

    /// Whether the last call is the last step, and the others stand before it.
    fn ends(&self, steps: &[Category]) -> bool {
        let sets: Vec<u16> = self.calls.iter().rev().map(|(_, set)| *set).collect();
        let Some((last, before)) = steps.split_last() else {
            return false;
        };
        if sets.first().is_none_or(|set| set & bit(*last) == 0) {
            return false;
        }
        // Places, counted back from the last call, where the step before may stand.
        let mut places: Vec<usize> = vec![0];
        for step in before.iter().rev() {
            let mut next: Vec<usize> = places
                .iter()
                .flat_map(|place| place + 1..=place + 1 + GAP)
                .filter(|place| sets.get(*place).is_some_and(|set| set & bit(*step) != 0))
                .collect();
            next.sort_unstable();
            next.dedup();
            places = next;
        }
        !places.is_empty()
    }
}

fn bit(category: Category) -> u16 {
    1 << match category {
        List => 0,
        Read => 1,
        ReadSensitive => 2,
        Write => 3,
        Mode => 4,
        Execute => 5,
        Network => 6,
        Environment => 7,
        Persist => 8,
    }
}

/// What a call does, by the tool's name, and for a shell by what its command reaches.
///
/// `texts` are the strings of its arguments: paths among them tell sensitive reads and writes that
/// start something later.
pub fn categories<'a>(
    tool: &str,
    texts: impl IntoIterator<Item = &'a str>,
    reach: Option<&Reach>,
) -> Categories {
    let mut found: Categories = by_name(tool);
    let reads = found.contains(&Read);
    let writes = found.contains(&Write);
    for text in texts {
        if text.len() > 4096 {
            continue;
        }
        if reads && destructive::is_credential(text) {
            found.push(ReadSensitive);
        }
        if writes && destructive::is_started_later(text) {
            found.push(Persist);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            found.push(Network);
        }
    }
    if let Some(reach) = reach {
        found.extend(of_reach(reach));
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn by_name(tool: &str) -> Categories {
    let mut found = Categories::new();
    for word in words(tool) {
        let category = match word.as_str() {
            "list" | "ls" | "glob" | "dir" | "directory" | "tree" | "find" | "search"
            | "browse" | "enumerate" | "grep" => List,
            "read" | "cat" | "view" | "open" | "load" | "get" | "show" | "download" | "query"
            | "select" | "retrieve" => Read,
            "write" | "edit" | "create" | "save" | "update" | "append" | "put" | "patch"
            | "insert" | "replace" | "multiedit" | "move" | "copy" | "notebook" => Write,
            "chmod" | "chown" | "permission" | "permissions" | "mode" => Mode,
            "exec" | "execute" | "run" | "bash" | "shell" | "terminal" | "eval" | "command"
            | "script" | "spawn" | "process" | "python" | "repl" => Execute,
            "fetch" | "http" | "https" | "web" | "webfetch" | "websearch" | "request" | "post"
            | "send" | "upload" | "curl" | "email" | "mail" | "slack" | "discord" | "webhook"
            | "publish" | "push" | "socket" | "browser" | "navigate" | "tweet" | "message" => {
                Network
            }
            "env" | "environ" | "environment" | "getenv" | "printenv" | "variables" => Environment,
            "cron" | "crontab" | "schedule" | "service" | "systemd" | "startup" | "autostart"
            | "daemon" | "hook" | "install" | "persist" => Persist,
            "secret" | "secrets" | "credential" | "credentials" | "password" | "keychain"
            | "vault" | "token" | "tokens" => ReadSensitive,
            _ => continue,
        };
        found.push(category);
    }
    found
}

/// The words of a tool's name: `mcp__fs__readFile` has mcp, fs, read and file.
fn words(tool: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut before_is_lower = false;
    for letter in tool.chars().take(256) {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && before_is_lower) {
            found.push(std::mem::take(&mut word));
        }
        before_is_lower = letter.is_lowercase();
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
    }
    found.push(word);
    found.retain(|word| !word.is_empty());
    found
}

fn of_reach(reach: &Reach) -> Categories {
    let mut found = Categories::new();
    let mut add = |holds: bool, category| {
        if holds {
            found.push(category);
        }
    };
    let programs = || {
        reach
            .commands
            .iter()
            .filter_map(|it| it.words.first())
            .map(|it| it.rsplit('/').next().unwrap_or_default())
    };
    let any = |names: &[&str]| programs().any(|it| names.contains(&it));
    add(
        any(&["ls", "find", "tree", "fd", "dir", "locate", "grep", "rg"]),
        List,
    );
    add(
        !reach.reads.is_empty() && !any(&["ls", "find", "tree"]),
        Read,
    );
    add(
        reach.reads.iter().any(|it| destructive::is_credential(it)),
        ReadSensitive,
    );
    add(!reach.writes.is_empty(), Write);
    add(any(&["chmod", "chown", "chgrp", "setfacl"]), Mode);
    add(
        reach.executes_download.is_some()
            || !reach.code.is_empty()
            || reach.commands.iter().any(|it| {
                it.words.first().is_some_and(|it| {
                    it.starts_with("./") || it.starts_with('/') || it.starts_with("~/")
                })
            })
            || any(&[
                "sh", "bash", "zsh", "python", "python3", "node", "perl", "ruby", "php", "source",
                ".",
            ]),
        Execute,
    );
    add(
        !reach.contacts.is_empty() || !reach.remotes.is_empty(),
        Network,
    );
    add(reach.reads_environment, Environment);
    add(
        reach
            .writes
            .iter()
            .any(|it| destructive::is_started_later(it))
            || destructive::findings(0, reach)
                .iter()
                .any(|it| it.detector == "persistence"),
        Persist,
    );
    found
}

const PATTERNS: &[Pattern] = &[
    pattern(
        "read-execute",
        &[Read, Execute],
        Severity::Low,
        Confidence::Low,
    ),
    pattern(
        "read-write-network",
        &[Read, Write, Network],
        Severity::High,
        Confidence::Medium,
    ),
    pattern(
        "environment-network",
        &[Environment, Network],
        Severity::High,
        Confidence::Medium,
    ),
    pattern(
        "list-list-read",
        &[List, List, Read],
        Severity::Low,
        Confidence::Low,
    ),
    pattern(
        "write-execute",
        &[Write, Execute],
        Severity::Medium,
        Confidence::Low,
    ),
    pattern(
        "write-mode-execute",
        &[Write, Mode, Execute],
        Severity::High,
        Confidence::Medium,
    ),
    pattern(
        "read-sensitive-write",
        &[ReadSensitive, Write],
        Severity::High,
        Confidence::Medium,
    ),
    pattern(
        "read-sensitive-network",
        &[ReadSensitive, Network],
        Severity::Critical,
        Confidence::Medium,
    ),
    pattern(
        "execute-burst",
        &[Execute, Execute, Execute, Execute],
        Severity::Low,
        Confidence::Low,
    ),
    pattern(
        "write-persist",
        &[Write, Persist],
        Severity::High,
        Confidence::Medium,
    ),
    pattern(
        "persist-network",
        &[Persist, Network],
        Severity::High,
        Confidence::Medium,
    ),
];

const fn pattern(
    id: &'static str,
    steps: &'static [Category],
    severity: Severity,
    confidence: Confidence,
) -> Pattern {
    Pattern {
        id,
        steps,
        severity,
        confidence,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shell::reach;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One call each second; the chains that the last one ends.
    #[track_caller]
    fn check(calls: &[&[Category]], expected: &[&str]) {
        let mut chains = Chains::default();
        let mut found = Vec::new();
        for (second, call) in (0..).zip(calls) {
            found = chains.note(call, at(second));
        }
        let ids: Vec<&str> = found.iter().map(|it| it.detector.as_str()).collect();
        assert_eq!(ids, expected, "{calls:?}");
    }

    #[test]
    fn each_pattern_is_found_by_the_call_that_ends_it() {
        for pattern in PATTERNS {
            let calls: Vec<&[Category]> = pattern.steps.iter().map(std::slice::from_ref).collect();
            let mut chains = Chains::default();
            for ((count, call), second) in calls.iter().enumerate().zip(0..) {
                let found = chains.note(call, at(second));
                let ended = found.iter().any(|it| it.detector == pattern.id);
                assert_eq!(ended, count + 1 == calls.len(), "{}", pattern.id);
            }
        }
    }

    #[test]
    fn other_calls_may_stand_between_but_not_many() {
        let other: &[Category] = &[];
        check(
            &[&[Environment], other, other, other, &[Network]],
            &["environment-network"],
        );
        check(
            &[&[Environment], other, other, other, other, &[Network]],
            &[],
        );
        check(&[&[Network], &[Environment]], &[]);
        // The nearest step is not always the one that leads on.
        check(
            &[
                &[Read],
                &[Write],
                other,
                other,
                &[Write],
                other,
                other,
                other,
                &[Network],
            ],
            &["read-write-network"],
        );
    }

    #[test]
    fn a_minute_is_forgotten() {
        let mut chains = Chains::default();
        assert!(chains.note(&[Environment], at(0)).is_empty());
        assert!(chains.note(&[Network], at(61)).is_empty());
        chains.note(&[Environment], at(100));
        assert_eq!(chains.note(&[Network], at(160)).len(), 1);
    }

    #[test]
    fn tools_and_commands_are_told_apart() {
        #[track_caller]
        fn check(tool: &str, texts: &[&str], expected: &[Category]) {
            assert_eq!(
                categories(tool, texts.iter().copied(), None),
                expected,
                "{tool}"
            );
        }
        check("Read", &["/home/a/x"], &[Read]);
        check(
            "Read",
            &["/home/a/.aws/credentials"],
            &[Read, ReadSensitive],
        );
        check(
            "mcp__fs__writeFile",
            &["/home/a/.bashrc"],
            &[Write, Persist],
        );
        check("list_directory", &[], &[List]);
        check("WebFetch", &[], &[Network]);
        check("get_weather", &["https://x.example"], &[Read, Network]);
        check("thing", &[], &[]);
        for (command, expected) in [
            ("cat ~/.ssh/id_rsa", ReadSensitive),
            ("env", Environment),
            ("curl https://x.example", Network),
            ("echo x > a", Write),
            ("chmod +x a", Mode),
            ("./a", Execute),
            ("crontab jobs", Persist),
            ("ls -R", List),
        ] {
            let reach = reach(command, None);
            let found = categories("", [], Some(&reach));
            assert!(found.contains(&expected), "{command}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_nothing_panics(
            calls in proptest::collection::vec((0u16..512, 0u64..100), 0..200),
            tool in any::<String>(),
        ) {
            let all = [List, Read, ReadSensitive, Write, Mode, Execute, Network, Environment, Persist];
            let mut chains = Chains::default();
            for (set, seconds) in calls {
                let call: Vec<Category> = all.into_iter().filter(|it| set & bit(*it) != 0).collect();
                chains.note(&call, at(seconds));
                prop_assert!(chains.calls.len() <= WINDOW);
            }
            categories(&tool, [tool.as_str()], None);
        }
    }
}
