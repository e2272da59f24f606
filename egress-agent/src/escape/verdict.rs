//! From what happened to what it means. Pure.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Attempt, driver::End};

/// Who makes the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// An unprivileged user, started by `egressctl run`.
    Agent,
    /// uid 0 without capabilities, started by `egressctl run --allow-root`.
    Root,
    /// Root with every capability, moved into the guarded cgroup by hand: what the kernel programs
    /// hold alone.
    Bare,
}

/// One attempt, made once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub end: End,
    /// What arrived on the far side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The way is open on this machine, and the guard closed it.
    Held,
    /// It got out, and may not.
    NotHeld,
    /// It got out, and that is a published limit.
    Limit,
    /// The way is not open on this machine, guard or not.
    NotApplicable,
}

/// What one guarded run of a row came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub verdict: Verdict,
    /// Why, in a few words: what refused it, what got out, what is missing.
    pub reason: String,
    pub run: Run,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The same attempt by root with every capability, without a guard.
    pub control: Run,
    pub judged: BTreeMap<Identity, Judged>,
}

/// The whole table of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// As `uname -r` says.
    pub kernel: String,
    pub version: String,
    pub rows: Vec<Row>,
}

impl Run {
    /// What shows that it got out.
    pub fn escape(&self) -> Option<String> {
        match (self.frames.as_slice(), self.end.escaped()) {
            ([], None) => None,
            ([], Some(what)) => Some(what.to_owned()),
            ([only], _) => Some(only.clone()),
            ([first, rest @ ..], _) => Some(format!("{first} and {} more", rest.len())),
        }
    }
}

/// Judges a guarded run of `who` by the same attempt without a guard.
pub fn judge(attempt: &Attempt, who: Identity, control: &Run, run: Run) -> Judged {
    let limit = attempt.limit.and_then(|limit| limit.of(who));
    let (verdict, reason) = match (run.escape(), limit) {
        (Some(_), Some(limit)) => (Verdict::Limit, limit.to_owned()),
        (Some(what), None) => (Verdict::NotHeld, what),
        (None, _) if control.escape().is_some() => (Verdict::Held, held(&run.end)),
        (None, _) => (Verdict::NotApplicable, closed(&control.end)),
    };
    Judged {
        verdict,
        reason,
        run,
    }
}

/// Why nothing got out of a guarded run.
fn held(end: &End) -> String {
    match end {
        End::Said(super::Outcome::Sent) => "every call succeeded, and no packet left".to_owned(),
        End::Said(_) => end.describe(),
        End::Died(_) | End::TimedOut => format!("no packet left; {}", end.describe()),
    }
}

/// Why nothing got out of the control run.
fn closed(end: &End) -> String {
    match end {
        End::Said(super::Outcome::Sent) => "sent without a guard, and nothing arrived".to_owned(),
        End::Said(_) | End::Died(_) | End::TimedOut => end.describe(),
    }
}

impl Report {
    /// Every verdict of the table.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Row, Identity, &Judged)> {
        self.rows.iter().flat_map(|row| {
            row.judged
                .iter()
                .map(move |(who, judged)| (row, *who, judged))
        })
    }

    /// How many have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.verdicts()
            .filter(|(_, _, judged)| judged.verdict == verdict)
            .count()
    }

    /// What should have been held and was not. What gets past the kernel programs alone, without the
    /// launcher and with every capability, is told and does not count.
    fn open(&self) -> impl Iterator<Item = (&Row, Identity, &Judged)> {
        self.verdicts()
            .filter(|(_, who, judged)| *who != Identity::Bare && judged.verdict == Verdict::NotHeld)
    }

    /// Whether everything is held that should be.
    pub fn is_held(&self) -> bool {
        self.open().next().is_none()
    }

    /// Frames of launched runs that no limit explains.
    pub fn stray_frames(&self) -> usize {
        self.open()
            .map(|(_, _, judged)| judged.run.frames.len())
            .sum()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Held => "held",
            Self::NotHeld => "NOT HELD",
            Self::Limit => "limit",
            Self::NotApplicable => "not applicable",
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Agent => "agent",
            Self::Root => "root",
            Self::Bare => "bare",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::{Outcome, attempt::Limit};

    fn row(limit: Option<&'static str>) -> Attempt {
        Attempt {
            name: "row",
            title: "a row",
            run: |_| Outcome::Sent,
            limit: limit.map(Limit::Everyone),
        }
    }

    fn run(end: End, frames: &[&str]) -> Run {
        Run {
            end,
            frames: frames.iter().map(|&line| line.to_owned()).collect(),
        }
    }

    fn sent(frames: &[&str]) -> Run {
        run(End::Said(Outcome::Sent), frames)
    }

    #[track_caller]
    fn check(limit: Option<&'static str>, control: &Run, guarded: Run, expected: (Verdict, &str)) {
        let judged = judge(&row(limit), Identity::Agent, control, guarded);
        assert_eq!((judged.verdict, judged.reason.as_str()), expected);
    }

    #[test]
    fn held_needs_a_control_that_got_out() {
        let refused = || run(End::Said(Outcome::Refused("connect: no".to_owned())), &[]);
        check(
            None,
            &sent(&["UDP"]),
            refused(),
            (Verdict::Held, "connect: no"),
        );
        check(
            None,
            &sent(&["UDP"]),
            sent(&[]),
            (Verdict::Held, "every call succeeded, and no packet left"),
        );
        check(
            None,
            &sent(&["UDP"]),
            run(End::TimedOut, &[]),
            (Verdict::Held, "no packet left; not done after 3 s"),
        );
        check(
            None,
            &sent(&[]),
            refused(),
            (
                Verdict::NotApplicable,
                "sent without a guard, and nothing arrived",
            ),
        );
        let absent = run(End::Said(Outcome::Absent("no SCTP".to_owned())), &[]);
        check(
            None,
            &absent,
            refused(),
            (Verdict::NotApplicable, "no SCTP"),
        );
    }

    #[test]
    fn what_got_out_is_never_held() {
        let reached = || run(End::Said(Outcome::Escaped("process 17".to_owned())), &[]);
        check(
            None,
            &sent(&["UDP"]),
            sent(&["UDP a > b", "x", "y"]),
            (Verdict::NotHeld, "UDP a > b and 2 more"),
        );
        check(
            None,
            &sent(&[]),
            sent(&["UDP a > b"]),
            (Verdict::NotHeld, "UDP a > b"),
        );
        check(
            None,
            &reached(),
            reached(),
            (Verdict::NotHeld, "process 17"),
        );
        check(None, &reached(), sent(&[]), {
            (Verdict::Held, "every call succeeded, and no packet left")
        });
        check(
            Some("as published"),
            &reached(),
            reached(),
            (Verdict::Limit, "as published"),
        );
        check(
            Some("as published"),
            &reached(),
            sent(&[]),
            (Verdict::Held, "every call succeeded, and no packet left"),
        );
    }

    #[test]
    fn a_limit_of_root_is_none_for_the_agent() {
        let attempt = Attempt {
            limit: Some(Limit::Root("as published")),
            ..row(None)
        };
        for (who, expected) in [
            (Identity::Agent, Verdict::NotHeld),
            (Identity::Root, Verdict::Limit),
            (Identity::Bare, Verdict::Limit),
        ] {
            let judged = judge(&attempt, who, &sent(&["UDP"]), sent(&["UDP"]));
            assert_eq!(judged.verdict, expected, "{who}");
        }
    }

    #[test]
    fn only_frames_without_a_limit_are_stray() {
        let judged = |limit| {
            judge(
                &row(limit),
                Identity::Agent,
                &sent(&["a"]),
                sent(&["a", "b"]),
            )
        };
        let row = |judged: Judged| Row {
            name: "row".to_owned(),
            title: "a row".to_owned(),
            limit: None,
            control: sent(&["a"]),
            judged: [(Identity::Agent, judged)].into(),
        };
        let report = Report {
            kernel: "6.18".to_owned(),
            version: "0".to_owned(),
            rows: vec![row(judged(None)), row(judged(Some("limit")))],
        };
        assert_eq!(
            (report.stray_frames(), report.count(Verdict::Limit)),
            (2, 1)
        );
    }
}
