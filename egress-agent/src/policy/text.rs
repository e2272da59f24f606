//! The text of a policy with every place in it.
//!
//! The parser of the data knows no places; this gives the ranges, so that a problem found in the data can
//! point at its bytes. A place is followed only when there is something to say about it.

use std::{collections::HashMap, fmt::Write as _, ops::Range};

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, ObjectPropName, Value},
    common::Ranged as _,
    parse_to_ast,
};

use super::problem::{Problem, Related, Severity};

/// The way from the root of the document to one value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'p> {
    parent: Option<&'p Self>,
    step: Step<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl<'p> Place<'p> {
    pub(crate) const ROOT: Self = Self {
        parent: None,
        step: Step::Root,
    };

    pub(crate) fn key(&'p self, key: &'p str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    pub(crate) fn index(&'p self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    /// `network.allow[2].ports`; `original` turns the index of an element into the one to show.
    pub(crate) fn path(&self, original: &dyn Fn(&Self, usize) -> usize) -> String {
        let Some(parent) = self.parent else {
            return String::new();
        };
        let mut path = parent.path(original);
        match self.step {
            Step::Root => {}
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Step::Index(index) => {
                // INVARIANT: writing to a String does not fail.
                let _always_ok = write!(path, "[{}]", original(parent, index));
            }
        }
        path
    }
}

/// A document whose shape is right, with the place of every value.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    root: Value<'a>,
    /// For a list that lost elements, by its first byte: the original index of each that is left.
    thinned: HashMap<usize, Vec<usize>>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(root: Value<'a>, thinned: HashMap<usize, Vec<usize>>) -> Self {
        Self { root, thinned }
    }

    pub(crate) fn root(&self) -> &Value<'a> {
        &self.root
    }

    /// The bytes of a place; of the nearest place above it when it is not in the text.
    pub(crate) fn range(&self, place: &Place<'_>) -> Range<usize> {
        match (self.find(place), place.parent) {
            (Some(value), _) => span(value),
            (None, Some(parent)) => self.range(parent),
            (None, None) => span(&self.root),
        }
    }

    /// `network.allow[2].ports`, as it stands in the text.
    pub(crate) fn path(&self, place: &Place<'_>) -> String {
        place.path(&|parent, index| {
            let start = self.find(parent).map(|list| list.range().start);
            let original = start.and_then(|start| self.thinned.get(&start)?.get(index));
            original.copied().unwrap_or(index)
        })
    }

    fn find<'v>(&'v self, place: &Place<'_>) -> Option<&'v Value<'a>> {
        let Some(parent) = place.parent else {
            return Some(&self.root);
        };
        let parent = self.find(parent)?;
        match place.step {
            Step::Root => Some(parent),
            Step::Key(key) => property(parent.as_object()?, key),
            Step::Index(index) => parent.as_array()?.elements.get(index),
        }
    }
}

pub(crate) fn span(value: &Value<'_>) -> Range<usize> {
    let range = value.range();
    range.start..range.end
}

pub(crate) fn key_text<'v>(name: &'v ObjectPropName<'_>) -> &'v str {
    match name {
        ObjectPropName::String(text) => &text.value,
        ObjectPropName::Word(word) => word.value,
    }
}

/// Whether every object of the format is one in the text, where it is there at all.
pub(crate) fn has_objects(root: &Value<'_>) -> bool {
    let Some(file) = root.as_object() else {
        return false;
    };
    let is_object = |inside: &Object<'_>, key: &str| {
        property(inside, key).is_none_or(|value| value.as_object().is_some())
    };
    let network = property(file, "network").and_then(Value::as_object);
    let tools = property(file, "tools").and_then(Value::as_object);
    let inspect = property(file, "inspect").and_then(Value::as_object);
    let are_objects = |section: Option<&Object<'_>>, key: &str| {
        let list = section
            .and_then(|section| property(section, key))
            .and_then(Value::as_array);
        list.is_none_or(|list| list.elements.iter().all(|one| one.as_object().is_some()))
    };
    let rules = ["allow", "deny"].iter().flat_map(|key| {
        let list = network
            .and_then(|network| property(network, key))
            .and_then(Value::as_array);
        list.into_iter().flat_map(|list| &list.elements)
    });
    [
        "network", "dns", "proxy", "audit", "session", "tools", "inspect",
    ]
    .iter()
    .all(|key| is_object(file, key))
        && network.is_none_or(|network| is_object(network, "loopback"))
        && rules.filter_map(Value::as_object).all(|rule| {
            are_objects(Some(rule), "requests")
                && is_object(rule, "budget")
                && is_object(rule, "credential")
                && requests_are_objects(rule)
        })
        && ["allow", "deny"]
            .iter()
            .all(|key| are_objects(network, key))
        && ["connectors", "owner_scopes"]
            .iter()
            .all(|key| are_objects(tools, key))
        && inspect
            .is_none_or(|inspect| is_object(inspect, "labels") && is_object(inspect, "redaction"))
        && tools.is_none_or(|tools| {
            ["git", "sensitive_paths", "shell"]
                .iter()
                .all(|key| is_object(tools, key))
        })
}

/// Whether the headers of every request are one.
fn requests_are_objects(rule: &Object<'_>) -> bool {
    let requests = property(rule, "requests").and_then(Value::as_array);
    requests.is_none_or(|list| {
        let requests = list.elements.iter().filter_map(Value::as_object);
        requests
            .filter_map(|request| property(request, "headers"))
            .all(|headers| headers.as_object().is_some())
    })
}

fn property<'v, 'a>(object: &'v Object<'a>, key: &str) -> Option<&'v Value<'a>> {
    object
        .properties
        .iter()
        .find(|property| key_text(&property.name) == key)
        .map(|property| &property.value)
}

/// Reads strict JSON with the place of every value, duplicate keys included.
pub(crate) fn parse(text: &str) -> Result<Value<'_>, Box<Problem>> {
    // A byte order mark would be skipped here and refused by serde_json.
    if text.starts_with('\u{feff}') {
        let help = "save the file as UTF-8 without a byte order mark";
        return Err(Box::new(syntax(
            "the text begins with a byte order mark",
            0..3,
            Some(help),
        )));
    }
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict);
    match parsed.map(|result| result.value) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => {
            let help = "the smallest policy is `{ \"version\": 1 }`; it allows nothing";
            Err(Box::new(syntax(
                "the file is empty",
                0..text.len(),
                Some(help),
            )))
        }
        Err(error) => {
            use jsonc_parser::errors::ParseErrorKind;
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "the parser's own list of errors, of which few need help"
            )]
            let help = match error.kind() {
                ParseErrorKind::CommentsNotAllowed => {
                    Some("JSON has no comments; write a `\"//\"` key")
                }
                ParseErrorKind::TrailingCommasNotAllowed => Some("take out the last comma"),
                ParseErrorKind::SingleQuotedStringsNotAllowed
                | ParseErrorKind::ExpectedStringObjectProperty => Some("put it in double quotes"),
                _ => None,
            };
            let range = error.range();
            let message = error.kind().to_string();
            let mut chars = message.chars();
            let message: String = chars
                .next()
                .map(|first| first.to_ascii_lowercase())
                .into_iter()
                .chain(chars)
                .collect();
            Err(Box::new(syntax(&message, range.start..range.end, help)))
        }
    }
}

/// A problem about the text itself.
pub(crate) fn syntax(message: &str, span: Range<usize>, help: Option<&str>) -> Problem {
    Problem {
        severity: Severity::Error,
        message: message.to_owned(),
        help: help.map(str::to_owned),
        line: 1,
        column: 1,
        path: String::new(),
        related: None,
        span,
    }
}

/// Offsets at which the lines of a text begin.
#[derive(Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let after = |(index, byte): (usize, u8)| (byte == b'\n').then_some(index + 1);
        Self(text.bytes().enumerate().filter_map(after).collect())
    }

    /// Counted from 1.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        let before = self.0.partition_point(|start| *start <= offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }
}

/// Puts problems into the order of the text and gives each its line and column, in one pass.
pub(crate) fn locate(problems: &mut [Problem], text: &str) {
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    let lines = Lines::new(text);
    let mut rest = text.char_indices().peekable();
    let (mut line, mut column) = (1, 1);
    for problem in problems {
        while let Some((_, c)) = rest.next_if(|(index, _)| *index < problem.span.start) {
            if c == '\n' {
                (line, column) = (line + 1, 1);
            } else {
                column += 1;
            }
        }
        (problem.line, problem.column) = (line, column);
        if let Some(Related { line, span, .. }) = &mut problem.related {
            *line = lines.line(span.start);
        }
    }
}
