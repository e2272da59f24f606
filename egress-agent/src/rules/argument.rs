//! Members of the arguments: where they stand and what they hold.

use std::borrow::Cow;

use serde_json::Value;

/// Longer paths are no paths of arguments.
const STEPS: usize = 32;

/// `options.headers.*`, `files[0].path`, `items[*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    /// Any member of an object, any element of a list.
    Any,
    Index(usize),
    /// Any element of a list.
    Element,
}

/// A member that must be there, and perhaps its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub path: Path,
    /// As text.
    pub equals: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error("it is empty")]
    Empty,
    #[error("it has an empty step")]
    EmptyStep,
    #[error("it has more than {STEPS} steps")]
    TooLong,
    #[error("`*` stands for one whole level")]
    Star,
    #[error("`[` and `]` hold a number or `*`")]
    Bracket,
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        if text.is_empty() {
            return Err(InvalidPath::Empty);
        }
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            // `[0].x` begins with an element.
            match key {
                "" if rest.is_empty() => return Err(InvalidPath::EmptyStep),
                "" if steps.is_empty() => {}
                "" => return Err(InvalidPath::EmptyStep),
                "*" => steps.push(Step::Any),
                key if key.contains('*') => return Err(InvalidPath::Star),
                key if key.contains(']') => return Err(InvalidPath::Bracket),
                key => steps.push(Step::Key(key.to_owned())),
            }
            while !rest.is_empty() {
                let inner = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let (inner, after) = inner.ok_or(InvalidPath::Bracket)?;
                steps.push(match inner {
                    "*" => Step::Element,
                    number => match number.parse() {
                        Ok(index) if number.bytes().all(|b| b.is_ascii_digit()) => {
                            Step::Index(index)
                        }
                        Ok(_) | Err(_) => return Err(InvalidPath::Bracket),
                    },
                });
                rest = after;
            }
            if steps.len() > STEPS {
                return Err(InvalidPath::TooLong);
            }
        }
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Every value that stands there. Each value of the arguments is visited once.
    fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        let mut here = vec![root];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in here {
                match (step, value) {
                    (Step::Key(key), Value::Object(members)) => next.extend(members.get(key)),
                    (Step::Any, Value::Object(members)) => next.extend(members.values()),
                    (Step::Any | Step::Element, Value::Array(list)) => next.extend(list),
                    (Step::Index(index), Value::Array(list)) => next.extend(list.get(*index)),
                    (
                        Step::Key(_) | Step::Any | Step::Element | Step::Index(_),
                        Value::Null
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::String(_)
                        | Value::Array(_)
                        | Value::Object(_),
                    ) => {}
                }
            }
            here = next;
        }
        here
    }
}

impl Argument {
    pub fn is_in(&self, arguments: &Value) -> bool {
        let found = self.path.find(arguments);
        match &self.equals {
            None => !found.is_empty(),
            Some(equals) => found
                .iter()
                .any(|value| scalar(value).is_some_and(|text| text == *equals)),
        }
    }
}

/// A value as text; nothing for lists, objects and `null`.
pub(super) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, equals: Option<&str>, expected: bool) {
        let arguments = json!({
            "url": "https://a.example",
            "options": { "public": true, "retries": 3, "headers": { "X-Token": "t" } },
            "files": [{ "path": "a" }, { "path": "b" }],
            "matrix": [[1, 2], [3]],
            "none": null,
        });
        let argument = Argument {
            path: Path::parse(path).unwrap(),
            equals: equals.map(str::to_owned),
        };
        assert_eq!(argument.is_in(&arguments), expected, "{path} {equals:?}");
    }

    #[test]
    fn a_path_leads_level_by_level() {
        check("url", None, true);
        check("options.public", None, true);
        check("options.public", Some("true"), true);
        check("options.public", Some("false"), false);
        check("options.retries", Some("3"), true);
        check("options.*.X-Token", Some("t"), true);
        check("*.public", None, true);
        check("*", None, true);
        check("*.*.*.*", None, false);
        check("files[*].path", Some("b"), true);
        check("files.*.path", Some("b"), true);
        check("files[1].path", Some("b"), true);
        check("files[1].path", Some("a"), false);
        check("files[2]", None, false);
        check("options[*]", None, false);
        check("matrix[0][1]", Some("2"), true);
        check("matrix[*][*]", Some("3"), true);
        check("none", None, true);
        check("none", Some("null"), false);
        check("public", None, false);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for (text, error) in [
            ("", InvalidPath::Empty),
            ("a..b", InvalidPath::EmptyStep),
            (".a", InvalidPath::EmptyStep),
            ("a.", InvalidPath::EmptyStep),
            ("a.[0]", InvalidPath::EmptyStep),
            ("a*", InvalidPath::Star),
            ("**", InvalidPath::Star),
            ("a[", InvalidPath::Bracket),
            ("a[x]", InvalidPath::Bracket),
            ("a[+1]", InvalidPath::Bracket),
            ("a]", InvalidPath::Bracket),
            ("a[0]b", InvalidPath::Bracket),
        ] {
            assert_eq!(Path::parse(text), Err(error), "{text}");
        }
        assert_eq!(Path::parse(&"a.".repeat(40)), Err(InvalidPath::TooLong));
    }
}
