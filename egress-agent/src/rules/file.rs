//! A pack as it is written: the shape of its text and nothing more.
//!
//! The JSON Schema is written from these types, and the check of the shape reads that schema.
//! What the texts in it mean is decided in `check`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    policy::{Comment, distinct, given},
    schema::PACK,
};

/// Rules about the content of tool calls. Of the rules that fit a call, the one with the lowest priority number decides.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "egressd pack of content rules, version 1")]
pub(crate) struct File {
    /// Where an editor finds the schema of this file. Ignored by egressd.
    #[serde(
        rename = "$schema",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) schema: Option<String>,
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// Version of the format: 1.
    #[schemars(extend("const" = 1))]
    pub(crate) version: u64,
    /// Name of the pack in records and messages: letters, digits, `_`, `.` and `-`.
    pub(crate) name: String,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Whether its rules only record what they would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) shadow: bool,
    /// The rules, in any order.
    pub(crate) rules: Vec<Rule>,
}

/// One rule: when it fits, and what happens then.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Name of the rule in records, unique in the pack: letters, digits, `_`, `.` and `-`.
    pub(crate) name: String,
    /// Of the rules that fit, the lowest number decides: 0 to 1000000. Rules that decide differently may not share one.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) priority: u64,
    /// What happens: `allow`, `deny`, `redact` takes the findings out, or what `content` fits when no finding is named, `ask` asks a person, `simulate` records that the rule fits and decides nothing.
    pub(crate) decision: Decision,
    /// When it fits: every condition that is written must hold.
    pub(crate) when: When,
    /// A stable code for machines, such as `destructive-command`; without it `content-rule`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) code: Option<String>,
    /// How bad it is when the rule fits; without it `medium`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Severity")]
    pub(crate) severity: Option<Severity>,
    /// Why, for whoever meets the rule.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) reason: Option<String>,
    /// What to do now.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) hint: Option<String>,
    /// A way that is safe.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) alternative: Option<String>,
    /// `false` takes the rule out without removing it; without the key `true`.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(crate) enabled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    Allow,
    Deny,
    Redact,
    Ask,
    Simulate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum On {
    #[default]
    Call,
    Result,
    Description,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confidence {
    Low,
    Medium,
    High,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Secret,
    Personal,
    Destructive,
    Code,
    Injection,
    Poisoning,
    Destination,
    Chain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Category {
    Shell,
    Filesystem,
    Git,
    Http,
    Upload,
    Network,
    Database,
    Messaging,
    Other,
}

/// Conditions: all that are written must hold, and of a list one entry.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct When {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// What the rule looks at: `call`, the arguments before it runs; `result`, what a tool gave back or a server sends; `description`, what a server says of a tool, a prompt or a resource. Without it `call`.
    #[serde(default, skip_serializing_if = "is_call")]
    pub(crate) on: On,
    /// `true` for a rule without conditions: it fits every call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) any: bool,
    /// Patterns of tool names: literal text in which `*` stands for any text.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) tools: Option<Vec<String>>,
    /// What the tool does by its name: `shell`, `filesystem`, `git`, `http`, `upload`, `network`, `database`, `messaging`, or `other` for none of them.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<Category>")]
    pub(crate) categories: Option<Vec<Category>>,
    /// Where the call goes, as far as its arguments say.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Destinations")]
    pub(crate) destinations: Option<Destinations>,
    /// Members of the arguments that must be there.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<Argument>")]
    pub(crate) arguments: Option<Vec<Argument>>,
    /// Patterns of detectors that must have found something, such as `aws-access-key` or `github-*`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) findings: Option<Vec<String>>,
    /// Kinds of findings: `secret`, `personal`, `destructive`, `code`, `injection`, `poisoning`, `destination`, `chain`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<Kind>")]
    pub(crate) kinds: Option<Vec<Kind>>,
    /// The least severity of a finding: `info`, `low`, `medium`, `high`, `critical`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Severity")]
    pub(crate) min_risk: Option<Severity>,
    /// The least confidence of a finding: `low`, `medium`, `high`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Confidence")]
    pub(crate) min_confidence: Option<Confidence>,
    /// Regular expressions without look-around and back-references, tried on every text of the arguments and on all values joined by spaces.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) content: Option<Vec<String>>,
    /// Marks that the agent must have, such as `{ "team": "core" }`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "distinct"
    )]
    pub(crate) labels: BTreeMap<String, String>,
    /// Environments, in any case, such as `production`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) environments: Option<Vec<String>>,
}

/// Destinations: hosts and ranges that fit, less those under `not`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Destinations {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Host names: `github.com`, `*.github.com` for one label below, `**.github.com` for one or more.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) hosts: Option<Vec<String>>,
    /// Addresses and ranges: `10.20.0.0/16`, `2001:db8::/32`, `10.0.0.5`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) cidrs: Option<Vec<String>>,
    /// Host names and ranges that do not fit. Alone: every destination but these.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) not: Option<Vec<String>>,
}

/// A member of the arguments.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Argument {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Where it stands: keys with dots between them, `*` for any one level, `[0]` and `[*]` for elements of lists.
    pub(crate) path: String,
    /// Its value as text: `true` and `3` for what is written without quotes. Without it any value fits.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) equals: Option<String>,
}

/// The JSON Schema of a pack, as `policy/packs/pack.schema.json` holds it.
pub fn schema() -> serde_json::Value {
    PACK.value()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn is_call(on: &On) -> bool {
    *on == On::Call
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn is_true(value: &bool) -> bool {
    *value
}
