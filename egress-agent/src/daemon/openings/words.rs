//! What is said of grants, and what is read of wishes. But for the clocks, pure.

use jiff::{SignedDuration, Timestamp};

use super::super::grants::{By, Granted};
use crate::{
    audit::record::Time,
    control::{
        grants::Grant,
        message::{Code, Failure},
        status,
    },
    kernel::boot,
    policy::{Host, Policy, Rule},
};

/// Longer than this is for the policy file. Seconds.
const LONGEST: u64 = 30 * 24 * 3600;
/// Letters of what people write about a grant.
const LONGEST_TEXT: usize = 400;
const SECOND: u64 = 1_000_000_000;

/// A rule as it would be written.
pub(super) fn written(rule: &Rule, host: &Host, name: &str) -> serde_json::Value {
    let key = match host {
        Host::Name(_) => "hosts",
        Host::Address(_) => "cidrs",
    };
    let ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
    serde_json::json!({ "name": name, key: [host.to_string()], "ports": ports })
}

pub(super) fn read(policy: &Policy, written: &serde_json::Value) -> Result<Rule, Failure> {
    policy.read_rule(written).map_err(|invalid| {
        let Some(problem) = invalid.problems().first() else {
            return bad(invalid.to_string());
        };
        let failure = bad(problem.message.clone());
        match &problem.help {
            Some(help) if help.contains("multi_tenant") => {
                failure.with_help("name the host, or say `--multi-tenant` if it is meant")
            }
            Some(help) => failure.with_help(help.clone()),
            None => failure,
        }
    })
}

/// When a grant ends that begins now.
pub(super) fn until(seconds: Option<u64>) -> Result<u64, Failure> {
    match seconds {
        None => Ok(u64::MAX),
        Some(seconds) if (1..=LONGEST).contains(&seconds) => {
            Ok(boot::now().saturating_add(seconds * SECOND))
        }
        Some(_) => Err(bad("a grant lasts from 1 s to 30 days")
            .with_help("what is to stay open longer belongs into the policy file")),
    }
}

pub(super) fn from_now(seconds: u64) -> Option<Time> {
    let seconds = i64::try_from(seconds).ok()?;
    let then = Timestamp::now().checked_add(SignedDuration::from_secs(seconds));
    then.ok().map(Time::new)
}

pub(super) fn told(id: u64, granted: &Granted, now: u64) -> Grant {
    let left = (granted.until != u64::MAX).then(|| granted.until.saturating_sub(now));
    Grant {
        id,
        guard: granted.guard.clone(),
        session: granted.session.as_ref().map(|(_, name)| name.clone()),
        rule: granted.written.clone(),
        since: granted.since,
        until: left.and_then(|left| from_now(left / SECOND)),
        left_ms: left.map(|left| left / 1_000_000),
        uid: granted.by.uid,
        claimed: granted.by.claimed.clone(),
        why: granted.by.why.clone(),
    }
}

/// What stands behind a grant, for people.
pub(super) fn because(granted: &Granted) -> String {
    let end = if granted.until == u64::MAX {
        "until the session ends".to_owned()
    } else {
        let left = granted.until.saturating_sub(boot::now()) / SECOND;
        let then = from_now(left).map_or_else(String::new, |then| then.to_string());
        format!("until {then}")
    };
    let why = granted.by.why.as_ref();
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("granted by {} {end}{why}", who(&granted.by))
}

pub(super) fn who(by: &By) -> String {
    match &by.claimed {
        Some(claimed) => format!("uid {} (says: {claimed})", by.uid),
        None => format!("uid {}", by.uid),
    }
}

pub(super) fn place(rule: &Rule) -> status::Rule {
    status::Rule {
        name: rule.name.clone(),
        file: Some(rule.source.to_string()),
        line: Some(rule.line),
    }
}

pub(super) fn denied(rule: Option<&status::Rule>) -> Failure {
    let place = rule.map_or_else(String::new, |rule| {
        let file = rule.file.as_deref().unwrap_or_default();
        format!(" `{}` ({file}:{})", rule.name, rule.line.unwrap_or(0))
    });
    Failure::new(
        Code::Forbidden,
        format!("the rule{place} denies it, and deny beats allow"),
    )
    .with_help("change that rule in the policy file")
}

pub(super) fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Code::BadRequest, message)
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}
