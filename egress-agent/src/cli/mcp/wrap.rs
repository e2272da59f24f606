//! The servers in a configuration, put behind the guard and taken out again, in the text of the
//! file: what others wrote stays as they wrote it. Pure.
//!
//! A server is wrapped by words in front of its own: `command` becomes `egressctl`, and the words
//! of the guard with the old command, as it was spelt, stand before the old arguments. Taking them
//! out is exact, whatever the spelling was. Servers that are called by a URL: [`remote`].

use std::ops::Range;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{self, Value as Json},
    common::Ranged as _,
    parse_to_ast,
};
use toml_edit::{Document, Item, Key, TableLike};

use super::remote::{self, Remote};

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
    /// Options for guards that start a server.
    pub(super) of_commands: Vec<String>,
    /// Servers that are called by a URL become commands, too.
    pub(super) wraps_urls: bool,
}

/// A changed text, and what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) text: String,
    /// Names of servers that stand behind the guard, or did.
    pub(super) servers: Vec<String>,
    /// Those of them that are called by a URL without the guard.
    pub(super) urls: Vec<String>,
    /// Names of servers that are left, and why.
    pub(super) left: Vec<(String, String)>,
}

/// A change of a text.
pub(super) type Edit = (Range<usize>, String);

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
    let Changed {
        text: plain, urls, ..
    } = unwrap(text, form)?;
    let mut changed = Changed::default();
    let mut edits = Vec::new();
    for server in servers(&plain, form)? {
        let Some(command) = &server.command else {
            if let Some(remote) = &server.remote {
                // What stands behind the guard stays there.
                let is_wanted = wrapping.wraps_urls || urls.contains(&server.name);
                match remote::wrap(&plain, &server, remote, wrapping, is_wanted) {
                    Ok(more) => {
                        edits.extend(more);
                        changed.servers.push(server.name);
                    }
                    Err(why) => changed.left.push((server.name, why)),
                }
            }
            continue;
        };
        let mut words = vec![quote("mcp"), quote("--name"), quote(&server.name)];
        let options = wrapping.options.iter().chain(&wrapping.of_commands);
        words.extend(options.map(|option| quote(option)));
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
    let mut changed = Changed::default();
    let mut edits = Vec::new();
    for server in servers(text, form)? {
        if let Some(more) = remote::unwrap(text, &server) {
            edits.extend(more);
            changed.urls.push(server.name.clone());
            changed.servers.push(server.name);
            continue;
        }
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
pub(super) struct Server {
    pub(super) name: String,
    pub(super) command: Option<Word>,
    pub(super) args: Option<Args>,
    /// The kind of the server, where the configuration says it.
    pub(super) kind: Option<Word>,
    pub(super) env: Option<Names>,
    pub(super) remote: Option<Remote>,
    pub(super) style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    TomlTable,
    TomlInline,
    TomlDotted,
}

#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    /// With its quotes.
    pub(super) range: Range<usize>,
    /// The name of the member that it is the value of.
    pub(super) key: Range<usize>,
}

#[derive(Debug)]
pub(super) struct Args {
    pub(super) words: Vec<Word>,
    /// With its brackets.
    pub(super) range: Range<usize>,
    pub(super) key: Range<usize>,
}

/// The members of an object: variables, or headers.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) key: Range<usize>,
    pub(super) words: Vec<Word>,
    /// All of it is an object of texts.
    pub(super) are_texts: bool,
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
    /// Whether they are the words of a guard.
    pub(super) fn are_ours(&self, command: &Word) -> bool {
        let program = command.text.rsplit('/').next().unwrap_or_default();
        let first = self.words.first();
        program == "egressctl" && first.is_some_and(|first| first.text == "mcp")
    }

    fn ours(&self, command: &Word) -> Option<Ours> {
        let first = self.words.first()?;
        if !self.are_ours(command) {
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
pub(super) fn is_only_args(between: &str) -> bool {
    let letters: String = between
        .chars()
        .filter(|char| !char.is_whitespace())
        .collect();
    ["\"args\":", ",\"args\":", "args=", ",args="].contains(&letters.as_str())
}

pub(super) fn quote(word: &str) -> String {
    serde_json::Value::from(word).to_string()
}

pub(super) fn spelling<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap_or_default()
}

fn edited(text: &str, mut edits: Vec<Edit>) -> String {
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
        let word = |key: &str| match member_at(server, key, &place)? {
            None => Ok(None),
            Some((at, value)) => json_word(at, value, &format!("{place}.{key}")).map(Some),
        };
        let args = match member_at(server, "args", &place)? {
            None => None,
            Some((key, Json::Array(list))) => {
                let place = format!("{place}.args[]");
                let words = list.elements.iter();
                let words = words.map(|word| json_word(key.clone(), word, &place));
                let range = list.range();
                Some(Args {
                    words: words.collect::<Result<_, _>>()?,
                    range: range.start..range.end,
                    key,
                })
            }
            Some(_) => return Err(shape(&format!("{place}.args"), "a list")),
        };
        let names = |key| member_at(server, key, &place).map(|found| found.map(json_names));
        let remote = match word("url")? {
            None => None,
            Some(url) => Some(Remote {
                url,
                headers: names("headers")?,
                members: server
                    .properties
                    .iter()
                    .map(|it| it.name.as_str().to_owned())
                    .collect(),
            }),
        };
        servers.push(Server {
            name: name.to_owned(),
            command: word("command")?,
            args,
            kind: word("type")?,
            env: names("env")?,
            remote,
            style: Style::Json,
        });
    }
    Ok(())
}

fn json_word(key: Range<usize>, value: &Json<'_>, place: &str) -> Result<Word, Refused> {
    let Json::StringLit(text) = value else {
        return Err(shape(place, "a text"));
    };
    Ok(Word {
        text: text.value.to_string(),
        range: text.range.start..text.range.end,
        key,
    })
}

/// The names of an object.
fn json_names((key, value): (Range<usize>, &Json<'_>)) -> Names {
    let mut found = Names {
        key: key.clone(),
        words: Vec::new(),
        are_texts: false,
    };
    let Json::Object(object) = value else {
        return found;
    };
    found.are_texts = object
        .properties
        .iter()
        .all(|property| matches!(property.value, Json::StringLit(_)));
    found.words.extend(object.properties.iter().map(|property| {
        let range = property.name.range();
        Word {
            text: property.name.as_str().to_owned(),
            range: range.start..range.end,
            key: key.clone(),
        }
    }));
    found
}

fn object_at<'a, 'b>(
    object: &'a ast::Object<'b>,
    key: &str,
    place: &str,
) -> Result<Option<&'a ast::Object<'b>>, Refused> {
    match member_at(object, key, place)? {
        None => Ok(None),
        Some((_, Json::Object(object))) => Ok(Some(object)),
        Some(_) => Err(shape(key, "an object")),
    }
}

/// A member that must not stand there twice: agents would read the last. Its name and its value.
fn member_at<'a, 'b>(
    object: &'a ast::Object<'b>,
    key: &str,
    place: &str,
) -> Result<Option<(Range<usize>, &'a Json<'b>)>, Refused> {
    let mut found = object
        .properties
        .iter()
        .filter(|property| property.name.as_str() == key);
    let first = found.next();
    if found.next().is_some() {
        return Err(Refused::Twice(format!("{place}.{key}")));
    }
    Ok(first.map(|property| {
        let name = property.name.range();
        (name.start..name.end, &property.value)
    }))
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
        let word = |key: &str| match server.get_key_value(key) {
            None => Ok(None),
            Some((name, item)) => {
                let at = name.span().unwrap_or_default();
                toml_word(at, item.as_value(), &format!("{place}.{key}")).map(Some)
            }
        };
        let remote = word("url")?.map(|url| Remote {
            url,
            headers: server.get_key_value("http_headers").map(toml_names),
            members: server.iter().map(|(key, _)| key.to_owned()).collect(),
        });
        servers.push(Server {
            name: name.to_owned(),
            command: word("command")?,
            args: toml_args(server, &place)?,
            kind: None,
            env: server.get_key_value("env").map(toml_names),
            remote,
            style,
        });
    }
    Ok(servers)
}

fn toml_args(server: &dyn TableLike, place: &str) -> Result<Option<Args>, Refused> {
    let Some((key, item)) = server.get_key_value("args") else {
        return Ok(None);
    };
    let key = key.span().unwrap_or_default();
    let place = format!("{place}.args");
    let list = item.as_array().and_then(|list| Some((list, list.span()?)));
    let (list, range) = list.ok_or_else(|| shape(&place, "a list"))?;
    let words = list.iter();
    let words = words.map(|word| toml_word(key.clone(), Some(word), &place));
    Ok(Some(Args {
        words: words.collect::<Result<_, _>>()?,
        range,
        key: key.clone(),
    }))
}

fn toml_word(
    key: Range<usize>,
    value: Option<&toml_edit::Value>,
    place: &str,
) -> Result<Word, Refused> {
    let word = value.and_then(|value| Some((value.as_str()?, value.span()?)));
    let (text, range) = word.ok_or_else(|| shape(place, "a text"))?;
    Ok(Word {
        text: text.to_owned(),
        range,
        key,
    })
}

/// As [`json_names`]. With dotted keys the name stands there more than once.
fn toml_names((key, item): (&Key, &Item)) -> Names {
    let mut found = Names {
        key: key.span().unwrap_or_default(),
        words: Vec::new(),
        are_texts: false,
    };
    let is_dotted = item.as_table().is_some_and(toml_edit::Table::is_dotted);
    let Some(table) = item.as_table_like().filter(|_| !is_dotted) else {
        return found;
    };
    found.are_texts = table.iter().all(|(_, item)| item.is_str());
    let keys = table
        .iter()
        .filter_map(|(name, _)| table.get_key_value(name));
    let key = found.key.clone();
    found.words.extend(keys.map(|(name, _)| Word {
        text: name.get().to_owned(),
        range: name.span().unwrap_or_default(),
        key: key.clone(),
    }));
    found
}

fn shape(place: &str, expected: &'static str) -> Refused {
    Refused::Shape {
        place: place.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests;
