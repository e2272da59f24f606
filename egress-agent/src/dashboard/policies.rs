//! The policy in force of each guard: its rules as egressd has them in memory, how often each
//! decided, and its text where the file still says the same.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use egress_common::Mode as PolicyMode;
use serde::Serialize;

use crate::{
    audit::{
        record::Mode,
        tally::{Hit, Hits},
    },
    policy::{Effect, Level, Policy, PortRange, Rule},
};

/// Bytes of one file that are shown.
const LONGEST: u64 = 256 << 10;
/// Files of one policy that are shown.
const FILES: usize = 16;
/// Rules of one policy that are shown, and hosts, networks and ports of one rule.
const RULES: usize = 2_000;
const ENTRIES: usize = 200;

/// What one guard goes by.
#[derive(Clone, Debug, Serialize)]
pub struct InForce {
    pub guard: String,
    pub name: String,
    pub digest: String,
    pub mode: Mode,
    /// Whether connections that are allowed are recorded, and so counted.
    pub counts_allowed: bool,
    pub rules: Vec<RuleInForce>,
    pub rules_total: usize,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    files: Vec<PathBuf>,
}

/// One rule, as a person reads it.
#[derive(Clone, Debug, Serialize)]
pub struct RuleInForce {
    pub name: String,
    pub effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub file: String,
    pub line: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    pub ports: Vec<String>,
    /// How closely flows to 443 and 80 are looked at.
    pub level: &'static str,
    /// What of the lists above is left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// The answer of `/api/policy`, for one guard.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    policy: InForce,
    /// By rule; what no rule decided is last and has no name.
    hits: Vec<ShownHit>,
    /// Of rules of this and other guards for which there was no room.
    hits_beyond: u64,
    /// What the hits count, and what they do not.
    counted: &'static str,
    text: Text,
}

#[derive(Debug, Serialize)]
struct ShownHit {
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(flatten)]
    hit: Hit,
}

/// The text behind the rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Text {
    /// What the files say is what is in force.
    Current(Vec<Source>),
    /// It is not, or it cannot be read: why, and what to do.
    Missing(String),
}

#[derive(Debug, Serialize)]
pub(super) struct Source {
    file: String,
    text: String,
    /// There is more of it.
    cut: bool,
}

impl InForce {
    pub fn new(guard: &str, path: PathBuf, policy: &Policy) -> Self {
        let mut rules = policy.rules().iter();
        Self {
            guard: guard.to_owned(),
            name: policy.name().to_owned(),
            digest: policy.digest().to_owned(),
            mode: match policy.mode() {
                PolicyMode::Enforce => Mode::Enforce,
                PolicyMode::Observe => Mode::Observe,
            },
            counts_allowed: policy.audit().allowed,
            rules: rules.by_ref().take(RULES).map(RuleInForce::new).collect(),
            rules_total: policy.rules().len(),
            path,
            files: policy.files().iter().take(FILES).cloned().collect(),
        }
    }

    /// Adds the hits and the text. Reads files.
    pub(super) fn show(self, hits: &Hits) -> Shown {
        let mut found: Vec<ShownHit> = hits
            .of(&self.guard)
            .map(|(rule, hit)| ShownHit {
                rule: rule.map(str::to_owned),
                hit,
            })
            .collect();
        found.sort_by(|one, other| {
            (one.rule.is_none(), &one.rule).cmp(&(other.rule.is_none(), &other.rule))
        });
        Shown {
            hits: found,
            hits_beyond: hits.beyond(),
            counted: if self.counts_allowed {
                "since egressd started: every denial that was recorded, and everything that was allowed"
            } else {
                "since egressd started: every denial that was recorded, and names that were allowed to resolve; allowed connections are counted where the policy has `audit.allowed`, and this one has not"
            },
            text: self.text(),
            policy: self,
        }
    }

    /// What was read counts only when the policy that it makes is the one in force.
    fn text(&self) -> Text {
        let sources: io::Result<Vec<Source>> = self.files.iter().map(Source::read).collect();
        let sources = match sources {
            Ok(sources) => sources,
            Err(error) => return Text::Missing(format!("the file cannot be read: {error}")),
        };
        match Policy::load(&self.path) {
            Ok(policy) if policy.digest() == self.digest => Text::Current(sources),
            Ok(_) => Text::Missing(
                "the file was changed since it was loaded: `egressctl reload` brings it into force"
                    .to_owned(),
            ),
            Err(_) => Text::Missing(format!(
                "the file was changed since it was loaded, and is not valid now: see `egressctl policy check {}`",
                self.path.display()
            )),
        }
    }
}

impl RuleInForce {
    fn new(rule: &Rule) -> Self {
        let Rule {
            id: _,
            name,
            effect,
            reason,
            source,
            line,
            hosts,
            networks,
            ports,
            levels,
            http: _,
            description: _,
            is_shared: _,
            deadline: _,
        } = rule;
        let every = *ports == PortRange::EVERY;
        let ports: Vec<String> = if every {
            vec!["every port".to_owned()]
        } else {
            ports
                .iter()
                .take(ENTRIES)
                .map(ToString::to_string)
                .collect()
        };
        let left_out = |length: usize| length.saturating_sub(ENTRIES);
        Self {
            name: name.clone(),
            effect: match effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
                Effect::Ask => "ask",
            },
            reason: reason.clone(),
            file: source.to_string(),
            line: *line,
            hosts: hosts
                .iter()
                .take(ENTRIES)
                .map(ToString::to_string)
                .collect(),
            networks: networks
                .iter()
                .take(ENTRIES)
                .map(ToString::to_string)
                .collect(),
            more: left_out(hosts.len()) + left_out(networks.len()) + left_out(rule.ports.len()),
            ports,
            level: level(levels.http),
        }
    }
}

impl Source {
    fn read(path: &PathBuf) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut file = File::open(path)?.take(LONGEST + 1);
        file.read_to_end(&mut bytes)?;
        let length = usize::try_from(LONGEST).unwrap_or(usize::MAX);
        let cut = bytes.len() > length;
        bytes.truncate(length);
        Ok(Self {
            file: path.display().to_string(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            cut,
        })
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Address => "address",
        Level::Name => "name",
        Level::Http => "http",
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{
        record::{Layer, Rule as Decided, Verdict, tests::denial},
        tally::Tally,
    };

    const TEXT: &str = r#"{ "version": 1, "name": "n", "network": { "allow": [
        { "name": "forge", "hosts": ["forge.test"], "ports": ["443/tcp", "22/tcp"] }
    ], "deny": [{ "name": "gists", "hosts": ["gist.forge.test"], "reason": "No." }] } }"#;

    fn shown(path: &std::path::Path, policy: &Policy) -> serde_json::Value {
        let mut tally = Tally::default();
        let mut record = denial(1, "192.0.2.1");
        record.guard = Some("agent.slice".to_owned());
        tally.add(&record, 0);
        record.rule = Some(Decided {
            name: "forge".to_owned(),
            line: Some(2),
        });
        record.layer = Layer::Dns;
        record.verdict = Some(Verdict::Allow);
        tally.add(&record, 0);
        let in_force = InForce::new("agent.slice", path.to_owned(), policy);
        serde_json::to_value(in_force.show(tally.hits())).unwrap()
    }

    #[test]
    fn rules_come_with_their_hits_and_the_text_behind_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.json");
        std::fs::write(&path, TEXT).unwrap();
        let policy = Policy::load(&path).unwrap();
        let shown_now = shown(&path, &policy);
        assert_eq!(shown_now["rules"][0]["name"], "forge");
        assert_eq!(
            shown_now["rules"][0]["ports"],
            serde_json::json!(["443/tcp", "22/tcp"])
        );
        assert_eq!(shown_now["rules"][1]["effect"], "deny");
        assert_eq!(shown_now["rules"][1]["ports"][0], "every port");
        assert_eq!(shown_now["hits"][0]["rule"], "forge");
        assert_eq!(shown_now["hits"][0]["allowed"], 1);
        assert_eq!(shown_now["hits"][1]["rule"], serde_json::Value::Null);
        assert_eq!(shown_now["hits"][1]["denied"], 1);
        assert_eq!(shown_now["text"]["current"][0]["text"], TEXT);
        // A file that was changed is not shown as what is in force.
        std::fs::write(&path, TEXT.replace("No.", "Yes.")).unwrap();
        let missing = shown(&path, &policy)["text"]["missing"].to_string();
        assert!(missing.contains("egressctl reload"), "{missing}");
        std::fs::write(&path, "{").unwrap();
        let missing = shown(&path, &policy)["text"]["missing"].to_string();
        assert!(missing.contains("policy check"), "{missing}");
        std::fs::remove_file(&path).unwrap();
        let missing = shown(&path, &policy)["text"]["missing"].to_string();
        assert!(missing.contains("cannot be read"), "{missing}");
    }
}
