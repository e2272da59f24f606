//! Whether a text has the shape of a policy, by the schema that is generated from the types.
//!
//! Knows only what that schema uses. It reports every unknown, duplicate or missing key, every
//! wrong type and unknown word, and returns the document without the parts that it refused, so
//! that the meaning of the rest can be checked too.

use std::collections::HashMap;

use jsonc_parser::{
    ast::{Array, Object, ObjectProp, Value},
    common::Ranged as _,
};
use serde_json::{Map, Value as Json};

use super::{
    problem::{Problem, Related, nearest, quote},
    text::{Document, Place, key_text, span, syntax},
};

/// Sections of the format that other parts of egressd will enforce.
const NOT_ENFORCED: &[&str] = &["proxy"];

/// What a document may look like.
#[derive(Debug)]
pub(crate) struct Shape<'s> {
    schema: &'s Json,
    problems: Vec<Problem>,
    thinned: HashMap<usize, Vec<usize>>,
}

impl<'s> Shape<'s> {
    pub(crate) fn new(schema: &'s Json) -> Self {
        Self {
            schema,
            problems: Vec::new(),
            thinned: HashMap::new(),
        }
    }

    /// Checks a whole document. Returns what is left of it, unless nothing is.
    pub(crate) fn check(mut self, root: Value<'_>) -> (Option<Document<'_>>, Vec<Problem>) {
        let kept = self.value(root, self.schema, &Place::ROOT);
        let document = kept.map(|root| Document::new(root, self.thinned));
        (document, self.problems)
    }

    fn value<'a>(
        &mut self,
        value: Value<'a>,
        schema: &'s Json,
        place: &Place<'_>,
    ) -> Option<Value<'a>> {
        let mut doc = description(schema);
        let mut schema = self.resolve(schema);
        doc = doc.or_else(|| description(schema));
        if let Some(options) = schema.get("anyOf").and_then(Json::as_array) {
            let fits = |option: &&Json| is_of_type(&value, self.resolve(option));
            let Some(option) = options.iter().find(fits) else {
                let types: Vec<_> = options.iter().map(|o| wanted(self.resolve(o))).collect();
                self.wrong_type(&value, &types.join(" or "), doc, place);
                return None;
            };
            schema = self.resolve(option);
        }
        if !is_of_type(&value, schema) {
            self.wrong_type(&value, wanted(schema), doc, place);
            return None;
        }
        match value {
            Value::Object(object) => self.object(object, schema, place).map(Value::Object),
            Value::Array(array) => Some(Value::Array(self.array(array, schema, place))),
            Value::StringLit(text) => {
                if let Some(words) = words(schema)
                    && !words.contains(&text.value.as_ref())
                {
                    let message = format!("unknown word {}", quote(&text.value));
                    let help = match nearest(&text.value, words.iter().copied()) {
                        Some(word) => format!("did you mean `{word}`?"),
                        None => format!("expected `{}`", words.join("`, `")),
                    };
                    self.report(
                        &message,
                        text.range.start..text.range.end,
                        Some(&help),
                        place,
                    );
                    return None;
                }
                Some(Value::StringLit(text))
            }
            Value::NumberLit(_) | Value::BooleanLit(_) | Value::NullKeyword(_) => Some(value),
        }
    }

    fn object<'a>(
        &mut self,
        object: Object<'a>,
        schema: &'s Json,
        place: &Place<'_>,
    ) -> Option<Object<'a>> {
        let none = Map::new();
        let known = schema.get("properties").and_then(Json::as_object);
        // What every other key holds, where any key may stand.
        let other = schema
            .get("additionalProperties")
            .filter(|other| other.is_object());
        if known.is_none() && other.is_none() {
            return Some(object);
        }
        let known = known.unwrap_or(&none);
        let whole = object.range;
        let mut first: HashMap<String, std::ops::Range<usize>> = HashMap::new();
        let mut kept = Vec::new();
        for ObjectProp { range, name, value } in object.properties {
            let at = name.range();
            let at = at.start..at.end;
            let key = key_text(&name).to_owned();
            let here = place.key(&key);
            if let Some(first) = first.get(&key) {
                let message = format!("key {} is given twice", quote(&key));
                let help = "keep one of the two";
                let problem = self.report(&message, at, Some(help), &here);
                problem.related = Some(Related {
                    message: "first given here".to_owned(),
                    line: 1,
                    span: first.clone(),
                });
                continue;
            }
            first.insert(key.clone(), at.clone());
            let property = schema.get("properties").and_then(|known| known.get(&key));
            let Some(schema) = property.or(other) else {
                self.unknown_key(&key, at, known.keys().map(String::as_str), &here);
                continue;
            };
            if let Some(value) = self.value(value, schema, &here) {
                kept.push(ObjectProp { range, name, value });
            }
        }
        let required = schema.get("required").and_then(Json::as_array);
        let mut is_whole = true;
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            if first.contains_key(key) {
                is_whole &= kept.iter().any(|property| key_text(&property.name) == key);
                continue;
            }
            let help = known.get(key).and_then(description).map(str::to_owned);
            let message = format!("key `{key}` is missing");
            self.report(
                &message,
                whole.start..whole.start + 1,
                help.as_deref(),
                place,
            );
            is_whole = false;
        }
        is_whole.then_some(Object {
            range: whole,
            properties: kept,
        })
    }

    fn array<'a>(&mut self, array: Array<'a>, schema: &'s Json, place: &Place<'_>) -> Array<'a> {
        let Some(items) = schema.get("items") else {
            return array;
        };
        let length = array.elements.len();
        let elements = array.elements.into_iter().enumerate();
        let (original, elements): (Vec<_>, Vec<_>) = elements
            .filter_map(|(index, element)| {
                let kept = self.value(element, items, &place.index(index))?;
                Some((index, kept))
            })
            .unzip();
        if elements.len() < length {
            self.thinned.insert(array.range.start, original);
        }
        Array {
            range: array.range,
            elements,
        }
    }

    fn unknown_key<'k>(
        &mut self,
        key: &str,
        at: std::ops::Range<usize>,
        known: impl Iterator<Item = &'k str>,
        place: &Place<'_>,
    ) {
        if NOT_ENFORCED.contains(&key) {
            let message = format!("this version of egressd cannot enforce `{key}`");
            let help = "take the section out: nothing that a policy asks for is dropped silently";
            self.report(&message, at, Some(help), place);
            return;
        }
        let mut names: Vec<_> = known.filter(|name| !name.starts_with(['$', '/'])).collect();
        names.sort_unstable();
        let help = match nearest(key, names.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("expected one of `{}`", names.join("`, `")),
        };
        self.report(
            &format!("unknown key {}", quote(key)),
            at,
            Some(&help),
            place,
        );
    }

    fn wrong_type(
        &mut self,
        value: &Value<'_>,
        wanted: &str,
        doc: Option<&str>,
        place: &Place<'_>,
    ) {
        let found = match value {
            Value::StringLit(_) => "text".to_owned(),
            Value::NumberLit(number) => quote(number.value),
            Value::BooleanLit(boolean) => format!("`{}`", boolean.value),
            Value::Object(_) => "an object".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::NullKeyword(_) => "`null`".to_owned(),
        };
        self.report(
            &format!("expected {wanted}, found {found}"),
            span(value),
            doc,
            place,
        );
    }

    fn report(
        &mut self,
        message: &str,
        span: std::ops::Range<usize>,
        help: Option<&str>,
        place: &Place<'_>,
    ) -> &mut Problem {
        let mut problem = syntax(message, span, help);
        problem.path = place.path(&|_, index| index);
        self.problems.push(problem);
        let last = self.problems.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "the problem was pushed just above")]
        &mut self.problems[last]
    }

    fn resolve(&self, schema: &'s Json) -> &'s Json {
        schema
            .get("$ref")
            .and_then(Json::as_str)
            .and_then(|link| self.schema.pointer(link.trim_start_matches('#')))
            .unwrap_or(schema)
    }
}

/// A value without its places.
pub(crate) fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::StringLit(text) => Json::String(text.value.to_string()),
        Value::NumberLit(number) => number.value.parse().map_or(Json::Null, Json::Number),
        Value::BooleanLit(boolean) => Json::Bool(boolean.value),
        Value::NullKeyword(_) => Json::Null,
        Value::Array(array) => array.elements.iter().map(to_json).collect(),
        Value::Object(object) => object
            .properties
            .iter()
            .map(|property| {
                (
                    key_text(&property.name).to_owned(),
                    to_json(&property.value),
                )
            })
            .collect(),
    }
}

fn description(schema: &Json) -> Option<&str> {
    schema.get("description").and_then(Json::as_str)
}

fn words(schema: &Json) -> Option<Vec<&str>> {
    let words = schema.get("enum")?.as_array()?;
    Some(words.iter().filter_map(Json::as_str).collect())
}

fn is_of_type(value: &Value<'_>, schema: &Json) -> bool {
    let Some(wanted) = schema.get("type").and_then(Json::as_str) else {
        return true;
    };
    match value {
        Value::StringLit(_) => wanted == "string",
        Value::NumberLit(number) => wanted == "integer" && number.value.parse::<u64>().is_ok(),
        Value::BooleanLit(_) => wanted == "boolean",
        Value::Object(_) => wanted == "object",
        Value::Array(_) => wanted == "array",
        Value::NullKeyword(_) => false,
    }
}

fn wanted(schema: &Json) -> &'static str {
    match schema.get("type").and_then(Json::as_str) {
        Some("string") => "text",
        Some("integer") => "a whole number",
        Some("boolean") => "true or false",
        Some("object") => "an object",
        Some("array") => "a list",
        _ => "another value",
    }
}
