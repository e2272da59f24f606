//! What the rules say about one call.
//!
//! Of the rules that fit, the one with the lowest priority number decides; of several with the
//! same number, which all decide alike, the first by name is told. Rules that simulate and rules
//! in shadow are told and decide nothing. The order in which rules stand never matters.

use std::{cmp::Reverse, collections::BTreeSet, fmt};

use serde::Serialize;

use super::{
    content::Texts,
    rule::{Decision, Question, Rule},
};
use crate::policy::quote;

/// A rule of a set, and whether it is enforced.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'r> {
    pub rule: &'r Rule,
    /// Its pack only records.
    pub is_shadow: bool,
}

/// A rule that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit<'r> {
    pub rule: &'r Rule,
    /// It would decide if it came first. Rules in shadow and those that simulate never do.
    pub is_enforced: bool,
    /// The findings that it is about, by index into those of the question.
    pub findings: Vec<usize>,
}

/// What the rules say about a call.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a decision that is not carried out is a hole"]
pub struct Outcome<'r> {
    /// Every rule that fits; the one that comes first before the others.
    pub hits: Vec<Hit<'r>>,
}

/// An outcome for records and for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// `allow`, `deny`, `redact`, `ask`, or `none` when no rule decides.
    pub decision: &'static str,
    /// What would have been decided without shadows: `would-deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would: Option<String>,
    /// `PACK/RULE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<crate::inspect::Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Every rule that fits, the deciding one included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
}

/// A rule that fits, for records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Match {
    pub rule: String,
    pub priority: u32,
    /// `deny`; `would-deny` for a rule in shadow; `simulate`.
    pub decision: String,
    pub code: String,
    pub file: String,
    pub line: u32,
}

/// What `rules` say about a call. Disabled rules say nothing.
pub fn decide<'r>(
    rules: impl IntoIterator<Item = Standing<'r>>,
    question: &Question<'_>,
) -> Outcome<'r> {
    let rules: Vec<_> = rules
        .into_iter()
        .filter(|standing| standing.rule.is_enabled)
        .collect();
    let reads = |standing: &Standing<'_>| standing.rule.when.content.is_some();
    let texts = if rules.iter().any(reads) {
        Texts::new(question.arguments)
    } else {
        Texts::default()
    };
    let fits = |Standing { rule, is_shadow }| {
        let findings = rule.fits(question, &texts)?;
        Some(Hit {
            rule,
            is_enforced: !is_shadow && rule.decision != Decision::Simulate,
            findings,
        })
    };
    let mut hits: Vec<_> = rules.into_iter().filter_map(fits).collect();
    hits.sort_by_key(|hit| {
        let Rule {
            priority,
            decision,
            pack,
            name,
            ..
        } = hit.rule;
        (*priority, Reverse(*decision), pack, name)
    });
    Outcome { hits }
}

impl<'r> Outcome<'r> {
    /// The rule that decides; `None` when none does.
    pub fn decided(&self) -> Option<&Hit<'r>> {
        self.hits.iter().find(|hit| hit.is_enforced)
    }

    /// The decision; `None` when no rule decides.
    pub fn decision(&self) -> Option<Decision> {
        self.decided().map(|hit| hit.rule.decision)
    }

    /// The rule in shadow that would decide, were it enforced.
    pub fn would(&self) -> Option<&Hit<'r>> {
        let mut decisive = self.hits.iter();
        decisive
            .find(|hit| hit.rule.decision != Decision::Simulate)
            .filter(|hit| !hit.is_enforced)
    }

    /// The findings to take out when the decision is to redact: those of every enforced rule that
    /// redacts.
    pub fn redacted(&self) -> BTreeSet<usize> {
        if self.decision() != Some(Decision::Redact) {
            return BTreeSet::new();
        }
        let hits = self.hits.iter();
        hits.filter(|hit| hit.is_enforced && hit.rule.decision == Decision::Redact)
            .flat_map(|hit| hit.findings.iter().copied())
            .collect()
    }

    /// One line for the agent and its person: what happened, why, what to do.
    pub fn text(&self) -> Option<String> {
        self.decided().map(ToString::to_string)
    }

    pub fn told(&self) -> Told {
        let decided = self.decided();
        let would = self.would();
        let rule = decided.or(would).map(|hit| hit.rule);
        Told {
            decision: self.decision().map_or("none", Decision::code),
            would: would.map(Hit::word),
            rule: rule.map(Rule::full_name),
            code: rule.map(|rule| rule.code.to_string()),
            severity: rule.map(|rule| rule.severity),
            text: decided.or(would).map(ToString::to_string),
            matches: self.hits.iter().map(Hit::told).collect(),
        }
    }
}

impl Hit<'_> {
    /// `deny`, or `would-deny` in shadow; `simulate`.
    pub fn word(&self) -> String {
        let code = self.rule.decision.code();
        if self.is_enforced || self.rule.decision == Decision::Simulate {
            return code.to_owned();
        }
        format!("would-{code}")
    }

    fn told(&self) -> Match {
        Match {
            rule: self.rule.full_name(),
            priority: self.rule.priority,
            decision: self.word(),
            code: self.rule.code.to_string(),
            file: self.rule.source.to_string(),
            line: self.rule.line,
        }
    }
}

impl fmt::Display for Hit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule {
            code,
            reason,
            hint,
            alternative,
            ..
        } = self.rule;
        let what = match (self.is_enforced, self.rule.decision) {
            (_, Decision::Simulate) => "fits, and only simulates",
            (true, Decision::Allow) => "allows it",
            (true, Decision::Redact) => "takes out what was found",
            (true, Decision::Ask) => "asks a person",
            (true, Decision::Deny) => "denies it",
            (false, Decision::Allow) => "would allow it",
            (false, Decision::Redact) => "would take out what was found",
            (false, Decision::Ask) => "would ask a person",
            (false, Decision::Deny) => "would deny it",
        };
        let name = quote(&self.rule.full_name());
        write!(f, "the content rule {name} {what} ({code})")?;
        if let Some(reason) = reason {
            write!(f, ": {reason}")?;
        }
        if let Some(hint) = hint {
            write!(f, "; {hint}")?;
        }
        if let Some(alternative) = alternative {
            write!(f, "; instead: {alternative}")?;
        }
        Ok(())
    }
}
