//! The servers in a configuration, put behind the guard and taken out again, in the text of the
//! file: what others wrote stays as they wrote it. Pure.
//!
//! A server is wrapped by words in front of its own: `command` becomes `egressctl`, and the words
//! of the guard with the old command, as it was spelt, stand before the old arguments. Taking them
//! out is exact, whatever the spelling was.

use std::ops::Range;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{self, Value as Json},
    common::Ranged as _,
    parse_to_ast,
};
use toml_edit::{Document, Item, TableLike};

/// Between the words of the guard and those of the server.
const REST: &str = "--";
/// The configuration had no arguments.
const NO_ARGS: &str = "--no-args";

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Toml,
}

/// What stands before every server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrapping {
    /// The path of egressctl.
    pub(super) program: String,
    /// Options for every guard.
    pub(super) options: Vec<String>,
}

/// A changed text, and what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) text: String,
    /// Names of servers that stand behind the guard, or did.
    pub(super) servers: Vec<String>,
    /// Names of servers that are called by a URL, and are left.
    pub(super) remote: Vec<String>,
}

/// Why a file is left alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it cannot be parsed: {0}")]
    Unparsable(String),
    #[error("`{place}` is not {expected}")]
    Shape {
        place: String,
        expected: &'static str,
    },
    #[error("`{0}` stands there more than once")]
    Twice(String),
    #[error("`{0}` is written with dotted keys and has no `args`: give it `args = []`")]
    Dotted(String),
}

/// Puts every server behind the guard.
pub(super) fn wrap(text: &str, form: Form, wrapping: &Wrapping) -> Result<Changed, Refused> {
    let plain = unwrap(text, form)?.text;
    let mut changed = Changed {
        text: String::new(),
        servers: Vec::new(),
        remote: Vec::new(),
    };
    let mut edits = Vec::new();
    for server in servers(&plain, form)? {
        let Some(command) = &server.command else {
            if server.is_remote {
                changed.remote.push(server.name);
            }
            continue;
        };
        let quote = |word: &str| serde_json::Value::from(word).to_string();
        let mut words = vec![quote("mcp"), quote("--name"), quote(&server.name)];
        words.extend(wrapping.options.iter().map(|option| quote(option)));
        if server.args.is_none() {
            words.push(quote(NO_ARGS));
        }
        words.push(quote(REST));
        words.push(spelling(&plain, &command.range).to_owned());
        let words = words.join(", ");
        if let Some(args) = &server.args {
            let comma = if args.words.is_empty() { "" } else { ", " };
            let at = args.range.start + 1;
            edits.push((at..at, format!("{words}{comma}")));
        } else {
            let (before, after) = match server.style {
                Style::Json => (", \"args\": [", "]"),
                Style::TomlTable => ("\nargs = [", "]"),
                Style::TomlInline => (", args = [", "]"),
                Style::TomlDotted => return Err(Refused::Dotted(server.name)),
            };
            let at = command.range.end;
            edits.push((at..at, format!("{before}{words}{after}")));
        }
        edits.push((command.range.clone(), quote(&wrapping.program)));
        changed.servers.push(server.name);
    }
    changed.text = edited(&plain, edits);
    Ok(changed)
}

/// Takes the guard away from every server.
pub(super) fn unwrap(text: &str, form: Form) -> Result<Changed, Refused> {
    let mut changed = Changed {
        text: String::new(),
        servers: Vec::new(),
        remote: Vec::new(),
    };
    let mut edits = Vec::new();
    for server in servers(text, form)? {
        let (Some(command), Some(args)) = (&server.command, &server.args) else {
            continue;
        };
        let Some(ours) = args.ours(command) else {
            continue;
        };
        let old = spelling(text, &ours.command);
        edits.push((command.range.clone(), old.to_owned()));
        let between = text
            .get(command.range.end..args.range.start)
            .unwrap_or_default();
        if ours.had_no_args && is_only_args(between) && ours.next.is_none() {
            edits.push((command.range.end..args.range.end, String::new()));
        } else {
            let start = ours.start;
            let is_as_written = start == args.range.start + 1;
            let end = match ours.next {
                None => ours.command.end,
                Some(_)
                    if is_as_written
                        && spelling(text, &(ours.command.end..text.len())).starts_with(", ") =>
                {
                    ours.command.end + 2
                }
                Some(next) => next,
            };
            edits.push((start..end, String::new()));
        }
        changed.servers.push(server.name);
    }
    changed.text = edited(text, edits);
    Ok(changed)
}

/// One server as it stands in the text.
#[derive(Debug)]
struct Server {
    name: String,
    command: Option<Word>,
    args: Option<Args>,
    is_remote: bool,
    style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Json,
    TomlTable,
    TomlInline,
    TomlDotted,
}

#[derive(Clone, Debug)]
struct Word {
    text: String,
    /// With its quotes.
    range: Range<usize>,
}

#[derive(Debug)]
struct Args {
    words: Vec<Word>,
    /// With its brackets.
    range: Range<usize>,
}

/// The words of a guard among the arguments.
struct Ours {
    start: usize,
    /// The old command.
    command: Range<usize>,
    /// Where the first of the old arguments begins.
    next: Option<usize>,
    had_no_args: bool,
}

impl Args {
    fn ours(&self, command: &Word) -> Option<Ours> {
        let program = command.text.rsplit('/').next().unwrap_or_default();
        let first = self.words.first()?;
        if program != "egressctl" || first.text != "mcp" {
            return None;
        }
        let rest = self.words.iter().position(|word| word.text == REST)?;
        let old = self.words.get(rest + 1)?;
        let options = self.words.get(..rest).unwrap_or_default();
        Some(Ours {
            start: first.range.start,
            command: old.range.clone(),
            next: self.words.get(rest + 2).map(|word| word.range.start),
            had_no_args: options.iter().any(|word| word.text == NO_ARGS),
        })
    }
}

/// Whether nothing but the name of the arguments stands between a command and them.
fn is_only_args(between: &str) -> bool {
    let letters: String = between
        .chars()
        .filter(|char| !char.is_whitespace())
        .collect();
    ["\"args\":", ",\"args\":", "args=", ",args="].contains(&letters.as_str())
}

fn spelling<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap_or_default()
}

fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut result = String::new();
    let mut at = 0;
    for (range, new) in edits {
        result.push_str(spelling(text, &(at..range.start)));
        result.push_str(&new);
        at = range.end;
    }
    result.push_str(spelling(text, &(at..text.len())));
    result
}

fn servers(text: &str, form: Form) -> Result<Vec<Server>, Refused> {
    match form {
        Form::Json => json_servers(text),
        Form::Toml => toml_servers(text),
    }
}

fn json_servers(text: &str) -> Result<Vec<Server>, Refused> {
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
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options)
        .map_err(|error| Refused::Unparsable(error.to_string()))?;
    let Some(Json::Object(root)) = parsed.value else {
        return Err(shape("the file", "an object"));
    };
    let mut servers = Vec::new();
    // The agents write `mcpServers`; editors write `servers`.
    for key in ["mcpServers", "servers"] {
        if let Some(list) = object_at(&root, key, key)? {
            json_list(list, key, &mut servers)?;
        }
    }
    // What Claude Code keeps for one project only.
    if let Some(projects) = object_at(&root, "projects", "projects")? {
        for project in &projects.properties {
            let place = format!("projects.{}", project.name.as_str());
            if let Json::Object(project) = &project.value
                && let Some(list) = object_at(project, "mcpServers", &place)?
            {
                json_list(list, &place, &mut servers)?;
            }
        }
    }
    Ok(servers)
}

fn json_list(
    list: &ast::Object<'_>,
    place: &str,
    servers: &mut Vec<Server>,
) -> Result<(), Refused> {
    for property in &list.properties {
        let name = property.name.as_str();
        let place = format!("{place}.{name}");
        if list
            .properties
            .iter()
            .filter(|other| other.name.as_str() == name)
            .count()
            > 1
        {
            return Err(Refused::Twice(place));
        }
        let Json::Object(server) = &property.value else {
            return Err(shape(&place, "an object"));
        };
        let command = match value_at(server, "command", &place)? {
            None => None,
            Some(value) => Some(json_word(value, &format!("{place}.command"))?),
        };
        let args = match value_at(server, "args", &place)? {
            None => None,
            Some(Json::Array(list)) => {
                let place = format!("{place}.args[]");
                let words = list.elements.iter().map(|word| json_word(word, &place));
                let range = list.range();
                Some(Args {
                    words: words.collect::<Result<_, _>>()?,
                    range: range.start..range.end,
                })
            }
            Some(_) => return Err(shape(&format!("{place}.args"), "a list")),
        };
        servers.push(Server {
            name: name.to_owned(),
            command,
            args,
            is_remote: value_at(server, "url", &place)?.is_some(),
            style: Style::Json,
        });
    }
    Ok(())
}

fn json_word(value: &Json<'_>, place: &str) -> Result<Word, Refused> {
    let Json::StringLit(text) = value else {
        return Err(shape(place, "a text"));
    };
    Ok(Word {
        text: text.value.to_string(),
        range: text.range.start..text.range.end,
    })
}

fn object_at<'a, 'b>(
    object: &'a ast::Object<'b>,
    key: &str,
    place: &str,
) -> Result<Option<&'a ast::Object<'b>>, Refused> {
    match value_at(object, key, place)? {
        None => Ok(None),
        Some(Json::Object(object)) => Ok(Some(object)),
        Some(_) => Err(shape(key, "an object")),
    }
}

/// A member that must not stand there twice: agents would read the last.
fn value_at<'a, 'b>(
    object: &'a ast::Object<'b>,
    key: &str,
    place: &str,
) -> Result<Option<&'a Json<'b>>, Refused> {
    let mut found = object
        .properties
        .iter()
        .filter(|property| property.name.as_str() == key);
    let first = found.next();
    if found.next().is_some() {
        return Err(Refused::Twice(format!("{place}.{key}")));
    }
    Ok(first.map(|property| &property.value))
}

fn toml_servers(text: &str) -> Result<Vec<Server>, Refused> {
    let document =
        Document::parse(text).map_err(|error| Refused::Unparsable(error.message().to_owned()))?;
    let Some(list) = document.as_table().get("mcp_servers") else {
        return Ok(Vec::new());
    };
    let list = list
        .as_table_like()
        .ok_or_else(|| shape("mcp_servers", "a table"))?;
    let mut servers = Vec::new();
    for (name, server) in list.iter() {
        let place = format!("mcp_servers.{name}");
        let style = match server {
            Item::Table(table) if table.is_dotted() => Style::TomlDotted,
            Item::Table(_) => Style::TomlTable,
            Item::Value(_) => Style::TomlInline,
            Item::None | Item::ArrayOfTables(_) => return Err(shape(&place, "a table")),
        };
        let server = server
            .as_table_like()
            .ok_or_else(|| shape(&place, "a table"))?;
        let command = match server.get("command") {
            None => None,
            Some(item) => Some(toml_word(item.as_value(), &format!("{place}.command"))?),
        };
        servers.push(Server {
            name: name.to_owned(),
            command,
            args: toml_args(server, &place)?,
            is_remote: server.get("url").is_some(),
            style,
        });
    }
    Ok(servers)
}

fn toml_args(server: &dyn TableLike, place: &str) -> Result<Option<Args>, Refused> {
    let Some(item) = server.get("args") else {
        return Ok(None);
    };
    let place = format!("{place}.args");
    let list = item.as_array().and_then(|list| Some((list, list.span()?)));
    let (list, range) = list.ok_or_else(|| shape(&place, "a list"))?;
    let words = list.iter().map(|word| toml_word(Some(word), &place));
    Ok(Some(Args {
        words: words.collect::<Result<_, _>>()?,
        range,
    }))
}

fn toml_word(value: Option<&toml_edit::Value>, place: &str) -> Result<Word, Refused> {
    let word = value.and_then(|value| Some((value.as_str()?, value.span()?)));
    let (text, range) = word.ok_or_else(|| shape(place, "a text"))?;
    Ok(Word {
        text: text.to_owned(),
        range,
    })
}

fn shape(place: &str, expected: &'static str) -> Refused {
    Refused::Shape {
        place: place.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapping() -> Wrapping {
        Wrapping {
            program: "/usr/bin/egressctl".to_owned(),
            options: vec!["--policy".to_owned(), "/etc/p.json".to_owned()],
        }
    }

    #[track_caller]
    fn check(form: Form, text: &str, wrapped: &str) {
        let found = wrap(text, form, &wrapping()).unwrap();
        assert_eq!(found.text, wrapped);
        let again = wrap(wrapped, form, &wrapping()).unwrap();
        assert_eq!(again.text, wrapped, "the second time nothing changes");
        assert_eq!(unwrap(wrapped, form).unwrap().text, text, "and back");
    }

    #[test]
    fn a_server_of_claude_code_is_put_behind_the_guard_and_taken_out() {
        check(
            Form::Json,
            r#"{
  // mine
  "other": [1,2],
  "mcpServers": {
    "git": { "type": "stdio", "command": "n\u0070x", "args": [
        "-y", // yes
        "server-git" ], "env": { "A": "b" } },
    "bare": {"command":"run-it"},
    "none": { "command": "x", "args": [ ] },
    "web": { "type": "http", "url": "https://x.test/mcp" },
  },
  "projects": { "/src": { "mcpServers": { "db": { "args": ["a"], "command": "/opt/db" } } } }
}
"#,
            r#"{
  // mine
  "other": [1,2],
  "mcpServers": {
    "git": { "type": "stdio", "command": "/usr/bin/egressctl", "args": ["mcp", "--name", "git", "--policy", "/etc/p.json", "--", "n\u0070x", 
        "-y", // yes
        "server-git" ], "env": { "A": "b" } },
    "bare": {"command":"/usr/bin/egressctl", "args": ["mcp", "--name", "bare", "--policy", "/etc/p.json", "--no-args", "--", "run-it"]},
    "none": { "command": "/usr/bin/egressctl", "args": ["mcp", "--name", "none", "--policy", "/etc/p.json", "--", "x" ] },
    "web": { "type": "http", "url": "https://x.test/mcp" },
  },
  "projects": { "/src": { "mcpServers": { "db": { "args": ["mcp", "--name", "db", "--policy", "/etc/p.json", "--", "/opt/db", "a"], "command": "/usr/bin/egressctl" } } } }
}
"#,
        );
    }

    #[test]
    fn a_server_of_codex_is_put_behind_the_guard_and_taken_out() {
        check(
            Form::Toml,
            "model = \"x\" # mine\n\n[mcp_servers.git]\ncommand = 'npx' # starter\nargs = [ \"-y\",\n  'git' ]\n\n[mcp_servers.bare]\ncommand = \"run-it\" # c\n\n[mcp_servers.bare.env]\nA = \"b\"\n\n[mcp_servers.web]\nurl = \"https://x.test\"\n",
            "model = \"x\" # mine\n\n[mcp_servers.git]\ncommand = \"/usr/bin/egressctl\" # starter\nargs = [\"mcp\", \"--name\", \"git\", \"--policy\", \"/etc/p.json\", \"--\", 'npx',  \"-y\",\n  'git' ]\n\n[mcp_servers.bare]\ncommand = \"/usr/bin/egressctl\"\nargs = [\"mcp\", \"--name\", \"bare\", \"--policy\", \"/etc/p.json\", \"--no-args\", \"--\", \"run-it\"] # c\n\n[mcp_servers.bare.env]\nA = \"b\"\n\n[mcp_servers.web]\nurl = \"https://x.test\"\n",
        );
        check(
            Form::Toml,
            "mcp_servers = { a = { command = \"x\" }, b = { command = \"y\", args = [] } }\n",
            "mcp_servers = { a = { command = \"/usr/bin/egressctl\", args = [\"mcp\", \"--name\", \"a\", \"--policy\", \"/etc/p.json\", \"--no-args\", \"--\", \"x\"] }, b = { command = \"/usr/bin/egressctl\", args = [\"mcp\", \"--name\", \"b\", \"--policy\", \"/etc/p.json\", \"--\", \"y\"] } }\n",
        );
    }

    #[test]
    fn servers_are_told_by_name() {
        let text = r#"{ "mcpServers": { "a": { "command": "x" }, "b": { "url": "https://x" } } }"#;
        let found = wrap(text, Form::Json, &wrapping()).unwrap();
        assert_eq!(
            (found.servers, found.remote),
            (vec!["a".to_owned()], vec!["b".to_owned()])
        );
        let none = wrap("{}", Form::Json, &wrapping()).unwrap();
        assert_eq!(none.text, "{}");
    }

    /// An agent writes its file anew as it likes.
    #[test]
    fn what_another_program_has_rewritten_is_taken_out_too() {
        let text = r#"{ "mcpServers": { "a": { "command": "npx", "args": ["-y", "b"] }, "c": { "command": "d" }, "e": { "command": "f", "args": [] } } }"#;
        let wrapped = wrap(text, Form::Json, &wrapping()).unwrap().text;
        let value: serde_json::Value = serde_json::from_str(&wrapped).unwrap();
        for rewritten in [format!("{value:#}"), value.to_string()] {
            let back = unwrap(&rewritten, Form::Json).unwrap().text;
            let back: serde_json::Value = serde_json::from_str(&back).unwrap();
            assert_eq!(
                back,
                serde_json::from_str::<serde_json::Value>(text).unwrap()
            );
        }
    }

    #[test]
    fn a_guard_with_other_options_is_replaced() {
        let text = r#"{ "mcpServers": { "a": { "command": "npx", "args": ["b"] } } }"#;
        let old = Wrapping {
            program: "/old/egressctl".to_owned(),
            options: vec!["--run".to_owned()],
        };
        let wrapped = wrap(text, Form::Json, &old).unwrap().text;
        let renewed = wrap(&wrapped, Form::Json, &wrapping()).unwrap().text;
        assert_eq!(renewed, wrap(text, Form::Json, &wrapping()).unwrap().text);
    }

    #[track_caller]
    fn check_refused(form: Form, text: &str, says: &str) {
        let refused = wrap(text, form, &wrapping()).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }

    #[test]
    fn a_file_that_is_not_understood_is_left_alone() {
        check_refused(Form::Json, "{", "cannot be parsed");
        check_refused(Form::Json, "[]", "`the file` is not an object");
        check_refused(
            Form::Json,
            r#"{"mcpServers":[]}"#,
            "`mcpServers` is not an object",
        );
        check_refused(
            Form::Json,
            r#"{"mcpServers":{"a":{"command":7}}}"#,
            "`mcpServers.a.command` is not a text",
        );
        check_refused(
            Form::Json,
            r#"{"mcpServers":{"a":{"command":"x","args":[7]}}}"#,
            "args[]` is not a text",
        );
        check_refused(
            Form::Json,
            r#"{"mcpServers":{},"mcpServers":{}}"#,
            "more than once",
        );
        check_refused(
            Form::Json,
            r#"{"mcpServers":{"a":{"command":"x"},"a":{}}}"#,
            "more than once",
        );
        check_refused(
            Form::Json,
            r#"{"mcpServers":{"a":{"command":"x","command":"y"}}}"#,
            "more than once",
        );
        check_refused(Form::Toml, "a = ", "cannot be parsed");
        check_refused(
            Form::Toml,
            "mcp_servers = 1",
            "`mcp_servers` is not a table",
        );
        check_refused(Form::Toml, "mcp_servers.a.command = \"x\"\n", "dotted keys");
    }

    proptest! {
        #[test]
        fn taking_out_is_exact_whatever_the_spelling(
            command in "\"[a-z/ ]{1,8}\"",
            args in prop::option::of(prop::collection::vec("[ \n]{0,2}\"[a-z,\\[\\]-]{0,6}\"[ \n]{0,2}", 0..4)),
            space in "[ \n]{0,2}",
            first in any::<bool>(),
        ) {
            let command = format!("{space}\"command\":{space}{command}{space}");
            let args = args.map(|args| format!("{space}\"args\"{space}:[{space}{}{space}]", args.join(",")));
            let members = match args {
                None => command,
                Some(args) if first => format!("{args},{command}"),
                Some(args) => format!("{command},{args}"),
            };
            let text = format!("{{{space}\"mcpServers\":{{\"a\":{{{members}}}}}}}{space}");
            let wrapped = wrap(&text, Form::Json, &wrapping()).unwrap().text;
            prop_assert!(wrapped.contains("egressctl"));
            prop_assert_eq!(unwrap(&wrapped, Form::Json).unwrap().text, text);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,80}") {
            drop(wrap(&text, Form::Json, &wrapping()));
            drop(wrap(&text, Form::Toml, &wrapping()));
        }
    }
}
