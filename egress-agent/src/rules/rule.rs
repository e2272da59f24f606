//! A rule that cannot be wrong, and whether it fits a call.
//!
//! Of the entries of one condition one is enough, and every condition must hold. A rule that lets
//! a call through is held to more: every destination and every finding of the call must be one
//! that it names, because it would let the others through too.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    argument::Argument,
    category::Category,
    code::Code,
    content::{Content, Texts},
    destination::Destinations,
    file,
};
use crate::{
    inspect::{Confidence, Finding, Kind, Severity},
    policy::{Globs, Host},
};

/// What a rule decides. Greater is stricter for the call as a whole: whoever asks a person still
/// takes out what another rule takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// That the rule fits is recorded; it decides nothing.
    Simulate,
    Allow,
    /// What was found is taken out, and the rest goes on.
    Redact,
    /// A person decides.
    Ask,
    Deny,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// The arguments of a call, before it runs.
    #[default]
    Call,
    /// What a tool gave back, and whatever else a server sends.
    Result,
    /// What a server says of a tool, a prompt or a resource.
    Description,
}

/// One rule of a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The name of its pack.
    pub pack: Arc<str>,
    /// Unique in its pack.
    pub name: String,
    /// The lowest decides.
    pub priority: u32,
    pub decision: Decision,
    pub when: Condition,
    pub code: Code,
    pub severity: Severity,
    /// Why, for whoever meets the rule.
    pub reason: Option<String>,
    /// What to do now.
    pub hint: Option<String>,
    /// A way that is safe.
    pub alternative: Option<String>,
    pub is_enabled: bool,
    /// The file of the pack.
    pub source: Arc<str>,
    /// Counted from 1.
    pub line: u32,
}

/// When a rule fits. What is absent holds for every call; one without any condition holds for none
/// unless it says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// Not a condition by itself: what the others are asked of.
    pub on: On,
    pub any: bool,
    pub tools: Option<Globs>,
    pub categories: Option<Vec<Category>>,
    pub destinations: Option<Destinations>,
    pub arguments: Option<Vec<Argument>>,
    pub findings: Option<FindingTest>,
    pub content: Option<Content>,
    pub labels: BTreeMap<String, String>,
    /// In lower case.
    pub environments: Option<Vec<String>>,
}

/// What a finding must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingTest {
    /// Patterns of detectors.
    pub detectors: Option<Globs>,
    pub kinds: Option<Vec<Kind>>,
    pub min_risk: Severity,
    pub min_confidence: Confidence,
}

/// One tool call, or a text that comes back, with all that is known of it.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    pub on: On,
    pub tool: &'q str,
    /// [`Category::of`] the tool.
    pub categories: &'q [Category],
    pub destinations: &'q [Host],
    /// The arguments name a destination that could not be read: it may be any.
    pub is_unreadable: bool,
    /// Of a result the result, of a description what it says.
    pub arguments: &'q Value,
    /// What was found in the arguments. Whether the inspection was complete is the caller's to
    /// know: an incomplete one is no ground to let a call through.
    pub findings: &'q [Finding],
    pub labels: &'q BTreeMap<String, String>,
    pub environment: Option<&'q str>,
}

impl Decision {
    pub const fn code(self) -> &'static str {
        match self {
            Self::Simulate => "simulate",
            Self::Allow => "allow",
            Self::Redact => "redact",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl On {
    pub const fn code(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Result => "result",
            Self::Description => "description",
        }
    }

    /// Whether findings of a kind are made there.
    pub(super) const fn finds(self, kind: Kind) -> bool {
        match (self, kind) {
            (_, Kind::Secret | Kind::Personal)
            | (Self::Call, _)
            | (Self::Result | Self::Description, Kind::Injection)
            | (Self::Description, Kind::Poisoning) => true,
            (
                Self::Result,
                Kind::Destructive | Kind::Code | Kind::Poisoning | Kind::Destination | Kind::Chain,
            )
            | (
                Self::Description,
                Kind::Destructive | Kind::Code | Kind::Destination | Kind::Chain,
            ) => false,
        }
    }
}

impl From<file::On> for On {
    fn from(written: file::On) -> Self {
        match written {
            file::On::Call => Self::Call,
            file::On::Result => Self::Result,
            file::On::Description => Self::Description,
        }
    }
}

impl From<file::Decision> for Decision {
    fn from(written: file::Decision) -> Self {
        match written {
            file::Decision::Allow => Self::Allow,
            file::Decision::Deny => Self::Deny,
            file::Decision::Redact => Self::Redact,
            file::Decision::Ask => Self::Ask,
            file::Decision::Simulate => Self::Simulate,
        }
    }
}

impl Rule {
    /// `PACK/RULE`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.pack, self.name)
    }

    /// What the rule is about where it names no findings: what its patterns fit.
    pub fn content_alone(&self) -> Option<&Content> {
        let content = self.when.content.as_ref();
        content.filter(|_| self.when.findings.is_none())
    }

    /// Whether the rule fits, and the findings that it is about, by index.
    pub(super) fn fits(&self, question: &Question<'_>, texts: &Texts<'_>) -> Option<Vec<usize>> {
        let Condition {
            on,
            any,
            tools,
            categories,
            destinations,
            arguments,
            findings,
            content,
            labels,
            environments,
        } = &self.when;
        if *on != question.on || (self.when.is_empty() && !any) {
            return None;
        }
        let is_permissive = self.decision == Decision::Allow;
        let holds = tools.as_ref().is_none_or(|tools| {
            // Servers write their names as they like: `HTTP_post` is no other tool.
            tools.is_match(question.tool)
                || (!is_permissive && tools.is_match(&question.tool.to_lowercase()))
        })
            && categories.as_ref().is_none_or(|categories| {
                let mut of_tool = question.categories.iter();
                if is_permissive {
                    of_tool.all(|category| categories.contains(category))
                } else {
                    of_tool.any(|category| categories.contains(category))
                }
            })
            && destinations
                .as_ref()
                .is_none_or(|wanted| goes_there(wanted, question, is_permissive))
            && arguments
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|one| one.is_in(question.arguments)))
            && labels
                .iter()
                .all(|(key, value)| question.labels.get(key) == Some(value))
            && environments.as_ref().is_none_or(|environments| {
                let here = question.environment.map(str::to_lowercase);
                here.is_some_and(|here| environments.contains(&here))
            })
            // The dearest question is asked last.
            && content.as_ref().is_none_or(|content| content.is_in(texts));
        if !holds {
            return None;
        }
        let Some(test) = findings else {
            return Some(Vec::new());
        };
        let found = question.findings.iter().enumerate();
        let found: Vec<_> = found
            .filter(|(_, finding)| test.fits(finding))
            .map(|(index, _)| index)
            .collect();
        let is_enough = !is_permissive || found.len() == question.findings.len();
        (!found.is_empty() && is_enough).then_some(found)
    }
}

fn goes_there(wanted: &Destinations, question: &Question<'_>, is_permissive: bool) -> bool {
    let mut destinations = question.destinations.iter();
    if is_permissive {
        return !question.is_unreadable
            && !question.destinations.is_empty()
            && destinations.all(|host| wanted.covers(host));
    }
    // What cannot be read is another destination than those that are named.
    let is_other = question.is_unreadable && wanted.of.is_none();
    is_other || destinations.any(|host| wanted.covers(host))
}

impl Condition {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        let Self {
            on: _,
            any: _,
            tools,
            categories,
            destinations,
            arguments,
            findings,
            content,
            labels,
            environments,
        } = self;
        tools.is_none()
            && categories.is_none()
            && destinations.is_none()
            && arguments.is_none()
            && findings.is_none()
            && content.is_none()
            && labels.is_empty()
            && environments.is_none()
    }

    /// What is asked for, in the words of the file.
    pub fn keys(&self) -> Vec<&'static str> {
        let keys = [
            ("on", self.on != On::Call),
            ("any", self.any),
            ("tools", self.tools.is_some()),
            ("categories", self.categories.is_some()),
            ("destinations", self.destinations.is_some()),
            ("arguments", self.arguments.is_some()),
            ("findings", self.findings.is_some()),
            ("content", self.content.is_some()),
            ("labels", !self.labels.is_empty()),
            ("environments", self.environments.is_some()),
        ];
        let keys = keys.into_iter();
        keys.filter(|(_, is_there)| *is_there)
            .map(|(key, _)| key)
            .collect()
    }
}

impl FindingTest {
    pub fn fits(&self, finding: &Finding) -> bool {
        let Self {
            detectors,
            kinds,
            min_risk,
            min_confidence,
        } = self;
        detectors
            .as_ref()
            .is_none_or(|globs| globs.is_match(&finding.detector))
            && kinds
                .as_ref()
                .is_none_or(|kinds| kinds.contains(&finding.kind))
            && finding.severity >= *min_risk
            && finding.confidence >= *min_confidence
    }
}
