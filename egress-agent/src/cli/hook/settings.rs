//! The hooks in an agent's settings: found, added and removed in the text of the file, so that
//! what others wrote stays as they wrote it. Pure.
//!
//! Both agents keep the same shape: `hooks`, an event, groups with a matcher, handlers with a
//! command. An entry is ours when its command is `egressctl hook`, wherever egressctl is.

use std::path::PathBuf;

use jsonc_parser::{
    ParseOptions,
    cst::{CstArray, CstInputValue, CstNode, CstObject, CstRootNode},
    json,
};

use crate::tools::protocol::Dialect;

/// Seconds that an agent waits for the hook: more than it ever takes.
const TIMEOUT: u32 = 10;
// A matcher with anything but letters and bars is a regular expression to both agents.
const CLAUDE: &str = "Bash|WebFetch|WebSearch|Write|Edit|MultiEdit|NotebookEdit|mcp__.*";
const CODEX: &str = "Bash|apply_patch|WebFetch|WebSearch|Write|Edit|mcp__.*";
/// Whatever a tool gives back, the model reads. Both agents take this for all tools.
const RAN: &str = "*";

/// One group of hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    event: &'static str,
    matcher: &'static str,
    command: String,
    /// Whether the call, or its result, is blocked when the hook cannot be started or is too slow.
    blocks: bool,
}

/// Why a file is left alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it cannot be parsed: {0}")]
    NotJson(String),
    #[error("`{place}` is not {expected}")]
    Shape {
        place: String,
        expected: &'static str,
    },
    #[error("`{0}` stands there more than once")]
    Twice(String),
}

/// What is written for an agent; `command` is what it runs.
pub(super) fn entries(dialect: Dialect, command: &str) -> Vec<Entry> {
    let entry = |event, matcher, blocks| Entry {
        event,
        matcher,
        command: command.to_owned(),
        blocks,
    };
    match dialect {
        Dialect::Claude => vec![
            entry("PreToolUse", CLAUDE, true),
            entry("PostToolUse", RAN, true),
            entry("PostToolUseFailure", RAN, false),
        ],
        Dialect::Codex => vec![
            entry("PreToolUse", CODEX, true),
            entry("PostToolUse", RAN, true),
        ],
    }
}

/// The text with exactly these entries of ours; the same text when it has them.
pub(super) fn with(text: &str, wanted: &[Entry]) -> Result<String, Refused> {
    let file = File::parse(text)?;
    if file.has(wanted)? {
        return Ok(text.to_owned());
    }
    file.remove()?;
    file.add(wanted)?;
    Ok(file.root.to_string())
}

/// The text without any entry of ours; the same text when it has none.
pub(super) fn without(text: &str) -> Result<String, Refused> {
    let file = File::parse(text)?;
    if file.ours()?.is_empty() {
        return Ok(text.to_owned());
    }
    file.remove()?;
    Ok(file.root.to_string())
}

/// What our hooks run, in the order in which they stand there.
pub(super) fn commands(text: &str) -> Result<Vec<String>, Refused> {
    let ours = File::parse(text)?.ours()?;
    let commands = ours.iter().map(|ours| string(&ours.handler, "command"));
    Ok(commands.flatten().collect())
}

/// The program that a command starts.
pub(super) fn program(command: &str) -> Option<PathBuf> {
    let (program, _) = parted(command);
    (!program.is_empty()).then(|| PathBuf::from(program))
}

/// The program of a command and what stands behind it.
fn parted(command: &str) -> (&str, &str) {
    let command = command.trim_start();
    match command.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'').unwrap_or((quoted, "")),
        None => command.split_once([' ', '\t']).unwrap_or((command, "")),
    }
}

/// Whether a command is a hook of egressctl: `/usr/bin/egressctl hook claude`, quoted or not.
fn is_ours(command: &str) -> bool {
    let (program, rest) = parted(command);
    let name = program.rsplit('/').next().unwrap_or_default();
    name == "egressctl" && rest.split_ascii_whitespace().next() == Some("hook")
}

/// A file of settings, checked as far as hooks go.
struct File {
    root: CstRootNode,
    object: CstObject,
}

/// A handler of ours and where it stands.
struct Ours {
    event: String,
    group: CstObject,
    handler: CstObject,
}

impl File {
    fn parse(text: &str) -> Result<Self, Refused> {
        let text = if text.trim().is_empty() { "{}\n" } else { text };
        let options = ParseOptions {
            allow_comments: true,
            allow_trailing_commas: true,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let root = CstRootNode::parse(text, &options)
            .map_err(|error| Refused::NotJson(error.to_string()))?;
        let object = root
            .value()
            .and_then(|value| value.as_object())
            .ok_or_else(|| shape("the file", "an object"))?;
        let file = Self { root, object };
        file.ours()?;
        Ok(file)
    }

    fn hooks(&self) -> Result<Option<CstObject>, Refused> {
        member(&self.object, "hooks", "hooks")?
            .map(|value| object(&value, "hooks"))
            .transpose()
    }

    /// Every handler of ours; an error when the hooks have not the shape that the agents read.
    fn ours(&self) -> Result<Vec<Ours>, Refused> {
        let mut ours = Vec::new();
        let Some(hooks) = self.hooks()? else {
            return Ok(ours);
        };
        for property in hooks.properties() {
            let event = property.decoded_name().unwrap_or_default();
            let place = format!("hooks.{event}");
            let Some(groups) = member(&hooks, &event, &place)? else {
                continue;
            };
            for group in array(&groups, &place)?.elements() {
                let group = object(&group, &format!("{place}[]"))?;
                let inner = format!("{place}[].hooks");
                let Some(handlers) = member(&group, "hooks", &inner)? else {
                    continue;
                };
                for handler in array(&handlers, &inner)?.elements() {
                    let handler = object(&handler, &format!("{inner}[]"))?;
                    if string(&handler, "command").is_some_and(|command| is_ours(&command)) {
                        ours.push(Ours {
                            event: event.clone(),
                            group: group.clone(),
                            handler,
                        });
                    }
                }
            }
        }
        Ok(ours)
    }

    fn has(&self, wanted: &[Entry]) -> Result<bool, Refused> {
        let ours = self.ours()?;
        Ok(ours.len() == wanted.len()
            && wanted.iter().all(|entry| {
                ours.iter()
                    .any(|ours| ours.event == entry.event && ours.is(entry))
            }))
    }

    /// Takes our handlers out, and what they alone had filled.
    fn remove(&self) -> Result<(), Refused> {
        for Ours {
            event,
            group,
            handler,
        } in self.ours()?
        {
            handler.remove();
            let is_empty = group
                .array_value("hooks")
                .is_some_and(|handlers| handlers.elements().is_empty());
            if !is_empty {
                continue;
            }
            group.remove();
            let Some(hooks) = self.hooks()? else {
                continue;
            };
            if let Some(groups) = hooks.get(&event)
                && groups
                    .array_value()
                    .is_some_and(|groups| groups.elements().is_empty())
            {
                groups.remove();
            }
            if hooks.properties().is_empty()
                && let Some(hooks) = self.object.get("hooks")
            {
                hooks.remove();
            }
        }
        Ok(())
    }

    fn add(&self, wanted: &[Entry]) -> Result<(), Refused> {
        let hooks = match self.hooks()? {
            Some(hooks) => hooks,
            None => self.object.object_value_or_set("hooks"),
        };
        for entry in wanted {
            let groups: CstArray = hooks.array_value_or_set(entry.event);
            groups.append(entry.value());
        }
        Ok(())
    }
}

impl Ours {
    /// Whether it is an entry as it would be written.
    fn is(&self, entry: &Entry) -> bool {
        let Entry {
            event: _,
            matcher,
            command,
            blocks,
        } = entry;
        let timeout = self.handler.get("timeout").and_then(|found| found.value());
        let timeout = timeout.map(|timeout| timeout.to_string());
        string(&self.group, "matcher").as_deref() == Some(matcher)
            && string(&self.handler, "type").as_deref() == Some("command")
            && string(&self.handler, "command").as_deref() == Some(command)
            && timeout == Some(TIMEOUT.to_string())
            && (string(&self.handler, "onFailure").as_deref() == Some("block")) == *blocks
    }
}

impl Entry {
    fn value(&self) -> CstInputValue {
        let Self {
            event: _,
            matcher,
            command,
            blocks,
        } = self;
        let mut handler: Vec<(String, CstInputValue)> = vec![
            ("type".to_owned(), json!("command")),
            ("command".to_owned(), CstInputValue::String(command.clone())),
            (
                "timeout".to_owned(),
                CstInputValue::Number(TIMEOUT.to_string()),
            ),
        ];
        if *blocks {
            handler.push(("onFailure".to_owned(), json!("block")));
        }
        CstInputValue::Object(vec![
            (
                "matcher".to_owned(),
                CstInputValue::String((*matcher).to_owned()),
            ),
            (
                "hooks".to_owned(),
                CstInputValue::Array(vec![CstInputValue::Object(handler)]),
            ),
        ])
    }
}

/// A member that must not stand there twice: agents would read the last, and this the first.
fn member(object: &CstObject, name: &str, place: &str) -> Result<Option<CstNode>, Refused> {
    let properties = object.properties();
    let mut found = properties
        .iter()
        .filter(|property| property.decoded_name().as_deref() == Some(name));
    let first = found.next();
    if found.next().is_some() {
        return Err(Refused::Twice(place.to_owned()));
    }
    Ok(first.and_then(jsonc_parser::cst::CstObjectProp::value))
}

fn object(node: &CstNode, place: &str) -> Result<CstObject, Refused> {
    node.as_object().ok_or_else(|| shape(place, "an object"))
}

fn array(node: &CstNode, place: &str) -> Result<CstArray, Refused> {
    node.as_array().ok_or_else(|| shape(place, "a list"))
}

fn string(object: &CstObject, name: &str) -> Option<String> {
    let value = object.get(name)?.value()?;
    value.as_string_lit()?.decoded_value().ok()
}

fn shape(place: &str, expected: &'static str) -> Refused {
    Refused::Shape {
        place: place.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests;
