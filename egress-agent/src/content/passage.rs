//! What is said about a text on its way: a message of the Model Context Protocol, the result of a
//! tool, the description of one. Ranges are bytes of its JSON, so that what must not pass can be
//! taken out of it as it stands.

use std::ops::Range;

use serde_json::Value;

use super::{Content, MOST_FINDINGS, Opinion, Passage, Source, acts, by_rules, place};
use crate::{
    inspect::{Finding, Redaction, Tokens, redact::redact_json},
    policy::Action,
    rules::{Decision, On, Seen},
    tools::{Call, Class, Judgement, Verdict},
};

/// What is to be done about a passage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a ruling that nobody follows is a hole"]
pub struct Ruling {
    pub action: Action,
    /// It lets through what goes on without its matter.
    pub judgement: Judgement,
    /// As in [`Opinion::matter`].
    pub matter: Vec<Finding>,
    /// One line for the agent, when something was found that the settings speak of.
    pub notice: Option<String>,
}

impl Ruling {
    /// What is to be taken out before the passage goes on.
    pub fn redacted(&self) -> &[Finding] {
        match self.action {
            Action::Redact => &self.matter,
            Action::Allow | Action::Warn | Action::Ask | Action::Deny => &[],
        }
    }

    /// The passage without its matter, as JSON; `None` when there is none, or it goes on as it is.
    pub fn rest(&self, json: &[u8], redaction: &Redaction, tokens: &Tokens) -> Option<Value> {
        if self.matter.is_empty() || self.action <= Action::Warn {
            return None;
        }
        let rest = redact_json(json, &self.matter, redaction, tokens);
        serde_json::from_slice(&rest).ok()
    }
}

impl Content {
    /// What is to be done about a message. `tool` is the one that it came from, by the name that
    /// policies know; the MCP guard may know the server alone (`mcp__SERVER`), and does when a
    /// message goes there.
    pub fn judge_passage(&self, tool: &str, passage: &Passage) -> Ruling {
        self.judge_json(passage.source, tool, passage.text.as_bytes())
    }

    /// As [`Self::judge_passage`], of bytes that are elsewhere.
    pub fn judge_json(&self, source: Source, tool: &str, json: &[u8]) -> Ruling {
        if self.is_partial {
            return Opinion::incomplete(Vec::new()).into();
        }
        let mut opinion = match source {
            Source::Agent => self.leaving(tool, json),
            Source::Server | Source::Result => {
                let opinion = self.look(source, json);
                self.coming(On::Result, source, tool, json, opinion)
            }
            Source::Description => {
                let opinion = match serde_json::from_slice(json) {
                    Ok(described) => self.describe(&described),
                    Err(_) => self.look(source, json),
                };
                self.coming(On::Description, source, tool, json, opinion)
            }
        };
        if source == Source::Result {
            opinion.text += &place::of_first(json, &opinion.matter);
        }
        Ruling::from(opinion)
    }

    /// The arguments of a call without what is to be taken out of them; `None` when that is
    /// nothing, or not what is to be done.
    pub fn amend(&self, call: &Call, tokens: &Tokens) -> Option<Value> {
        if self.is_partial || !self.redacts() {
            return None;
        }
        let json = call.input.to_string();
        let opinion = self.look(Source::Agent, json.as_bytes());
        let opinion = self.ask(call, json.as_bytes(), 0..json.len(), opinion);
        let ruling = Ruling::from(opinion);
        if ruling.redacted().is_empty() {
            return None;
        }
        ruling.rest(json.as_bytes(), &self.settings.redaction, tokens)
    }

    /// What the settings say of a message to a server and, when it calls a tool, what the rules
    /// take out of the arguments. Everything else that they say, they say of the call.
    fn leaving(&self, server: &str, json: &[u8]) -> Opinion {
        let opinion = self.look(Source::Agent, json);
        let has_rule = self
            .rules
            .has(|rule| rule.when.on == On::Call && rule.decision == Decision::Redact);
        if opinion.action == Action::Deny || !has_rule {
            return opinion;
        }
        match called(server, json) {
            Some((call, arguments)) => self.ask(&call, json, arguments, opinion),
            None => opinion,
        }
    }

    /// Asks the rules about the arguments of a call, which stand in a part of `json`.
    fn ask(&self, call: &Call, json: &[u8], arguments: Range<usize>, opinion: Opinion) -> Opinion {
        let is_inside = |finding: &&Finding| {
            arguments.start <= finding.range.start && finding.range.end <= arguments.end
        };
        let inside = opinion.findings.iter().filter(is_inside).cloned();
        let inside: Vec<_> = inside.collect();
        let mut all = inside.clone();
        all.extend(acts(call));
        let seen = Seen::with(call, all, true);
        let environment = self.settings.environment.as_deref();
        let question = seen.question(call, &self.settings.labels, environment);
        let outcome = self.rules.decide(&question);
        match outcome.decision() {
            // What a command does is no part of the message: the call is denied for it.
            Some(Decision::Redact) => {
                by_rules(&outcome, opinion, &inside, Some((json, &arguments)))
            }
            Some(Decision::Deny) => by_rules(&outcome, opinion, &inside, None),
            Some(Decision::Allow | Decision::Ask | Decision::Simulate) | None => opinion,
        }
    }

    /// Asks the rules about what comes back.
    fn coming(&self, on: On, source: Source, tool: &str, json: &[u8], opinion: Opinion) -> Opinion {
        if opinion.action == Action::Deny || !self.rules.has(|rule| rule.when.on == on) {
            return opinion;
        }
        let Ok(value) = serde_json::from_slice::<Value>(json) else {
            return Opinion {
                text: "it is no JSON that rules can read".to_owned(),
                ..Opinion::incomplete(opinion.findings)
            };
        };
        let call = came(source, tool, value);
        let seen = Seen::coming(on, &call, opinion.findings.clone(), true);
        let environment = self.settings.environment.as_deref();
        let question = seen.question(&call, &self.settings.labels, environment);
        let outcome = self.rules.decide(&question);
        let whole = 0..json.len();
        let place = Some((json, &whole));
        by_rules(&outcome, opinion, &seen.findings, place)
    }
}

/// The call that a message makes, and where its arguments stand.
fn called(server: &str, json: &[u8]) -> Option<(Call, Range<usize>)> {
    let arguments = place::member(json, &["params", "arguments"])?;
    let message: Value = serde_json::from_slice(json).ok()?;
    if message.get("method")?.as_str()? != "tools/call" {
        return None;
    }
    let params = message.get("params")?;
    let tool = params.get("name")?.as_str()?;
    let input = params.get("arguments")?.clone();
    Some((Call::new(format!("{server}__{tool}"), input), arguments))
}

/// What comes back, as rules see it: the result of a message, or what it asks; a description under
/// the name of its tool.
fn came(source: Source, tool: &str, mut value: Value) -> Call {
    match source {
        Source::Server => {
            let inner = ["result", "error", "params"].iter().find_map(|key| {
                let inner = value.get_mut(key)?;
                Some(inner.take())
            });
            Call::new(tool, inner.unwrap_or(value))
        }
        Source::Description => {
            let name = value.get("name").and_then(Value::as_str);
            let tool = name.map_or_else(|| tool.to_owned(), |name| format!("{tool}__{name}"));
            Call::new(tool, value)
        }
        Source::Agent | Source::Result => Call::new(tool, value),
    }
}

impl From<Opinion> for Ruling {
    fn from(opinion: Opinion) -> Self {
        let told = opinion.to_string();
        let Opinion {
            action,
            code,
            rule,
            text: _,
            hint: _,
            mut findings,
            matter,
        } = opinion;
        findings.truncate(MOST_FINDINGS);
        let verdict = match action {
            Action::Allow | Action::Warn | Action::Redact => Verdict::Allow,
            Action::Ask => Verdict::Ask,
            Action::Deny => Verdict::Deny,
        };
        let is_let_through = verdict == Verdict::Allow;
        Self {
            action,
            judgement: Judgement {
                verdict,
                class: Class::Content,
                reason: (!is_let_through).then_some(code),
                text: if is_let_through {
                    String::new()
                } else {
                    told.clone()
                },
                hosts: Vec::new(),
                rule: rule.filter(|_| action >= Action::Ask),
                unclear: Vec::new(),
                findings,
            },
            matter,
            notice: (action != Action::Allow).then_some(told),
        }
    }
}
