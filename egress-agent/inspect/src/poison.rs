//! Tools that order or deceive, as `tools/list` tells them. Whether one has changed since it was
//! first seen is the MCP guard's to know.
//!
//! ```text
//!   tool ──every string and key──▶ orders (injection), poison, parameter names ──▶ Located
//! ```
//!
//! # Known gaps
//!
//! A description that tells the truth about a harmful tool; a tool that behaves otherwise than it
//! says.

mod detectors;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use serde_json::Value;

use super::injection::{self, Detector, Engine};
use super::{Confidence, Finding, Kind, Severity, View};

/// A finding and the text of the tool in which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// A JSON pointer (RFC 6901) into the tool: `/description`. For a parameter's name it points to
    /// the parameter.
    pub pointer: String,
    /// Its range is one of the text there, or of the name.
    pub finding: Finding,
}

/// The detectors of poison, beside those of [`injection::detectors`].
pub fn detectors() -> &'static [Detector] {
    detectors::ALL
}

/// What is wrong with a tool.
pub fn findings(tool: &Value) -> Vec<Located> {
    let mut found = Vec::new();
    let mut rest: Vec<(String, &Value)> = vec![(String::new(), tool)];
    while let Some((pointer, value)) = rest.pop() {
        match value {
            Value::String(text) => found.extend(in_text(text).into_iter().map(|finding| Located {
                pointer: pointer.clone(),
                finding,
            })),
            Value::Array(items) => rest.extend(
                items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| (format!("{pointer}/{at}"), item)),
            ),
            Value::Object(fields) => {
                let are_parameters = pointer.ends_with("/properties");
                for (key, item) in fields {
                    let escaped = key.replace('~', "~0").replace('/', "~1");
                    let inner = format!("{pointer}/{escaped}");
                    let mut of_key = in_text(key);
                    if are_parameters {
                        of_key.extend(parameter(key));
                    }
                    found.extend(of_key.into_iter().map(|finding| Located {
                        pointer: inner.clone(),
                        finding,
                    }));
                    rest.push((inner, item));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found.sort_by(|a, b| {
        (&a.pointer, a.finding.range.start, &a.finding.detector).cmp(&(
            &b.pointer,
            b.finding.range.start,
            &b.finding.detector,
        ))
    });
    found
}

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(detectors::ALL));

/// Blanks in a row that push text out of a window.
const PADDING: usize = 100;

fn in_text(text: &str) -> Vec<Finding> {
    let mut found = injection::findings(text);
    found.extend(injection::read(&ENGINE, text, Kind::Poisoning));
    for finding in &mut found {
        finding.kind = Kind::Poisoning;
    }
    found.extend(padding(text));
    found
}

/// *What it does*: finds long runs of blanks with text behind them. *Why it matters*: whoever
/// approves the tool sees only what stands before. *Known gaps*: many short runs. *Example*: a
/// description, two hundred blanks, and an order.
fn padding(text: &str) -> Option<Finding> {
    let mut start = 0;
    let mut count = 0;
    for (at, letter) in text.char_indices() {
        if letter.is_whitespace() {
            if count == 0 {
                start = at;
            }
            count += 1;
        } else {
            if count >= PADDING {
                return Some(Finding {
                    detector: "hidden-by-blanks".to_owned(),
                    kind: Kind::Poisoning,
                    severity: Severity::High,
                    confidence: Confidence::High,
                    view: View::Raw,
                    range: start..at,
                });
            }
            count = 0;
        }
    }
    None
}

/// *What it does*: finds parameters whose names ask for what the tool has no use for: the
/// conversation, the prompt, the environment. *Why it matters*: models fill them in unasked.
/// *Known gaps*: a harmless name with a description that asks. *Example*: `sidenote`,
/// `conversation_history`.
fn parameter(name: &str) -> Option<Finding> {
    let words = words(name);
    let has = |any: &[&str]| words.iter().any(|word| any.contains(&word.as_str()));
    let joined = words.concat();
    let asks = joined.contains("sidenote")
        || joined.contains("exfil")
        || joined.contains("chainofthought")
        || (has(&["system", "developer", "initial", "hidden"])
            && has(&["prompt", "prompts", "message", "instructions"]))
        || (has(&[
            "conversation",
            "chat",
            "message",
            "messages",
            "dialog",
            "session",
            "prompt",
            "tool",
            "toolcall",
        ]) && has(&[
            "history",
            "log",
            "logs",
            "dump",
            "transcript",
            "context",
            "calls",
        ]))
        || (has(&[
            "full", "entire", "all", "complete", "whole", "previous", "raw",
        ]) && has(&[
            "context",
            "conversation",
            "history",
            "prompt",
            "messages",
            "memory",
            "files",
            "chat",
            "env",
            "environment",
            "tools",
            "results",
        ]))
        || (has(&["env", "environment"])
            && has(&["vars", "variables", "dump", "values", "secrets"]))
        || (has(&["private", "ssh", "signing"]) && has(&["key", "keys"]))
        || (has(&["memory", "context", "credential", "credentials"])
            && has(&["dump", "contents", "content", "file"]))
        || (has(&["secret", "secrets", "credentials", "passwords"])
            && words.len() > 1
            && !has(&["name", "id", "ref"]));
    let could = has(&[
        "password",
        "passwd",
        "token",
        "apikey",
        "secret",
        "secrets",
        "credentials",
        "notes",
        "metadata",
        "debug",
    ]) || (has(&["api", "access"]) && has(&["key"]))
        || (has(&["model", "user"]) && has(&["name", "details", "profile"]));
    let (severity, confidence) = if asks {
        (Severity::High, Confidence::Medium)
    } else if could {
        (Severity::Low, Confidence::Low)
    } else {
        return None;
    };
    Some(Finding {
        detector: "exfiltration-parameter".to_owned(),
        kind: Kind::Poisoning,
        severity,
        confidence,
        view: View::Folded,
        range: 0..name.len(),
    })
}

/// The words of a name, folded: `chatHistory`, `chat_history` and `CHAT-HISTORY` are the same.
fn words(name: &str) -> Vec<String> {
    let folded = super::fold::fold(name);
    let mut found = Vec::new();
    let mut word = String::new();
    let mut before_is_lower = false;
    for letter in folded.text.chars() {
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
