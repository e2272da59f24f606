//! Packs of other tools, in the words of this one.
//!
//! Nothing is dropped silently: a rule is carried so that it fits the same calls, or a little more
//! when it restricts, and every difference is told. What cannot be carried is told apart from
//! that.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Category, Code, Pack, check::RULES};
use crate::policy::{Glob, NamePattern, quote};

/// A translated pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    pub pack: Value,
    /// What is not the same: one line each, with the rule of the other pack.
    pub differences: Vec<String>,
    /// Rules, or parts of rules, that are not there any more.
    pub lost: Vec<String>,
}

/// Why there is nothing to translate.
#[derive(Debug, thiserror::Error)]
pub enum InvalidImport {
    /// The message has line, column and the lines of the text.
    #[error("the file is not a pack of mcp-egress-guard; correct it first: {0}")]
    Yaml(String),
    #[error("the file is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    #[error("the file has more than {RULES} rules; split it")]
    TooMany,
}

/// Bytes of a pack.
const MAX_BYTES: usize = 8 << 20;

/// What the other tool calls a finding, and the detectors that find it here.
const DETECTORS: &[(&str, &[&str])] = &[
    ("aws_access_key", &["aws-access-key"]),
    ("aws_secret_key", &["aws-secret-key"]),
    ("github_pat", &["github-*"]),
    ("bearer_token", &["bearer-token"]),
    ("private_key", &["private-key", "putty-key"]),
    ("pgp_private_key", &["private-key"]),
    ("db_url", &["database-url", "connection-string"]),
    ("stripe_key", &["stripe-*"]),
    ("openai_key", &["openai-*"]),
    ("anthropic_key", &["anthropic-key"]),
    ("google_api_key", &["google-api-key"]),
    ("slack_bot_token", &["slack-token"]),
    ("slack_token", &["slack-*"]),
    (
        "generic_api_key",
        &["secret-assignment", "environment-assignment"],
    ),
    ("jwt_token", &["json-web-token"]),
    ("high_entropy", &["high-entropy"]),
    ("high_entropy_string", &["high-entropy"]),
];

/// A file of mcp-egress-guard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "custom")]
    pack: String,
    version: Option<Scalar>,
    #[serde(default)]
    description: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    id: String,
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default = "hundred")]
    priority: i64,
    decision: Decision,
    #[serde(default)]
    conditions: Conditions,
    policy_code: Option<String>,
    remediation_hint: Option<String>,
    safe_alternative: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
    pack: Option<String>,
    version: Option<Scalar>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Decision {
    Allow,
    Deny,
    Redact,
    Escalate,
    Simulate,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Conditions {
    tool_name_patterns: Vec<String>,
    tool_categories: Vec<String>,
    arg_path_patterns: Vec<String>,
    destination_domains: Vec<String>,
    secret_types: Vec<String>,
    content_patterns: Vec<String>,
    labels: BTreeMap<String, Scalar>,
    environments: Vec<String>,
    min_risk_score: Option<f64>,
}

/// A value that YAML writes without quotes.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }
}

fn custom() -> String {
    "custom".to_owned()
}

fn hundred() -> i64 {
    100
}

fn yes() -> bool {
    true
}

/// Translates a pack of mcp-egress-guard.
pub fn from_meg(text: &str) -> Result<Imported, InvalidImport> {
    if text.len() > MAX_BYTES {
        return Err(InvalidImport::TooLarge);
    }
    let file: File =
        serde_saphyr::from_str(text).map_err(|error| InvalidImport::Yaml(error.to_string()))?;
    let File {
        pack,
        version,
        description,
        rules,
    } = file;
    if rules.len() > RULES {
        return Err(InvalidImport::TooMany);
    }
    let mut import = Import::default();
    if let Some(version) = version {
        let version = quote(&version.text());
        import.tell(format!(
            "version: {version} is dropped; packs have no version of their own"
        ));
    }
    let name = word(&pack);
    if name != pack {
        import.tell(format!("pack: {} is called `{name}`", quote(&pack)));
    }
    let numbers = import.numbers(&rules);
    let mut written = Vec::new();
    for (rule, priority) in rules.into_iter().zip(numbers) {
        import.rule(rule, priority, &mut written);
    }
    let mut pack = json!({ "version": 1, "name": name });
    if let Some(fields) = pack.as_object_mut() {
        if !description.trim().is_empty() {
            fields.insert("description".to_owned(), json!(description));
        }
        fields.insert("rules".to_owned(), Value::Array(written));
    }
    Ok(Imported {
        pack,
        differences: import.differences,
        lost: import.lost,
    })
}

/// Collects what is not the same.
#[derive(Debug, Default)]
struct Import {
    differences: Vec<String>,
    lost: Vec<String>,
    /// Names that are given, and how often each was asked for.
    names: BTreeMap<String, u32>,
}

impl Import {
    fn tell(&mut self, line: impl Into<String>) {
        self.differences.push(line.into());
    }

    fn lose(&mut self, line: impl Into<String>) {
        self.lost.push(line.into());
    }

    /// The priority of each rule. There, of equals the first in the file decides; where equals
    /// decide differently, the order is written out.
    fn numbers(&mut self, rules: &[Rule]) -> Vec<u64> {
        let mut decisions: BTreeMap<i64, Decision> = BTreeMap::new();
        let enabled = rules.iter().filter(|rule| rule.enabled);
        let is_mixed = enabled.fold(false, |is_mixed, rule| {
            let first = *decisions.entry(rule.priority).or_insert(rule.decision);
            is_mixed || first != rule.decision
        });
        let fits = |rule: &Rule| u64::try_from(rule.priority).is_ok_and(|it| it <= 1_000_000);
        if !is_mixed && rules.iter().all(fits) {
            let numbers = rules.iter().map(|rule| u64::try_from(rule.priority));
            return numbers.map(Result::unwrap_or_default).collect();
        }
        self.tell(
            "priorities: rules that decide differently share a number there, or a number cannot \
             stand here; they are numbered anew in the order in which they decided",
        );
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_by_key(|index| rules.get(*index).map(|rule| rule.priority));
        let mut numbers = vec![0; rules.len()];
        for (rank, index) in (1_u64..).zip(order) {
            if let Some(number) = numbers.get_mut(index) {
                *number = rank * 10;
            }
        }
        numbers
    }

    fn rule(&mut self, rule: Rule, priority: u64, written: &mut Vec<Value>) {
        let Rule {
            id,
            name,
            description,
            priority: _,
            decision,
            conditions,
            policy_code,
            remediation_hint,
            safe_alternative,
            enabled,
            pack,
            version,
            tags,
        } = rule;
        let shown = quote(&id);
        for (key, is_there) in [
            ("pack", pack.is_some()),
            ("version", version.is_some()),
            ("tags", !tags.is_empty()),
        ] {
            if is_there {
                self.tell(format!("{shown}.{key}: dropped; it decides nothing"));
            }
        }
        if decision == Decision::Simulate {
            self.tell(format!(
                "{shown}: a rule that simulates ends the search there; here it is recorded, and \
                 the rules behind it decide"
            ));
        }
        let whens = match self.conditions(&shown, decision, &conditions) {
            Ok(whens) => whens,
            Err(why) => {
                self.lose(format!("{shown}: {why}"));
                return;
            }
        };
        let code = self.code(&shown, policy_code.as_deref());
        let description = match description.as_deref().map(str::trim) {
            None | Some("") => name,
            Some(description) => format!("{}: {description}", name.trim()),
        };
        for (suffix, when) in whens {
            let mut rule = json!({
                "name": self.name(&id, suffix),
                "description": description,
                "priority": priority,
                "decision": match decision {
                    Decision::Allow => "allow",
                    Decision::Deny => "deny",
                    Decision::Redact => "redact",
                    Decision::Escalate => "ask",
                    Decision::Simulate => "simulate",
                },
                "when": when,
                "code": code,
            });
            let Some(fields) = rule.as_object_mut() else {
                continue;
            };
            for (key, text) in [
                ("hint", &remediation_hint),
                ("alternative", &safe_alternative),
            ] {
                let text = text.as_deref().map(one_line).unwrap_or_default();
                if !text.is_empty() {
                    fields.insert(key.to_owned(), json!(text));
                }
            }
            if !enabled {
                fields.insert("enabled".to_owned(), json!(false));
            }
            // What is printed must be what can be read.
            let alone = json!({ "version": 1, "name": "x", "rules": [rule.clone()] }).to_string();
            match Pack::parse(&alone, "x", None) {
                Ok(_) => written.push(rule),
                Err(invalid) => {
                    let first = invalid.problems().first();
                    let why = first.map(|problem| problem.message.clone());
                    self.lose(format!("{shown}: {}", why.unwrap_or_default()));
                }
            }
        }
    }

    /// The conditions of the rule, or of several where one has to become several.
    fn conditions(
        &mut self,
        rule: &str,
        decision: Decision,
        conditions: &Conditions,
    ) -> Result<Vec<(&'static str, Value)>, String> {
        let Conditions {
            tool_name_patterns,
            tool_categories,
            arg_path_patterns,
            destination_domains,
            secret_types,
            content_patterns,
            labels,
            environments,
            min_risk_score,
        } = conditions;
        let mut when = Map::new();
        if !tool_name_patterns.is_empty() {
            when.insert(
                "tools".to_owned(),
                self.tools(rule, decision, tool_name_patterns)?,
            );
        }
        if !tool_categories.is_empty() {
            when.insert(
                "categories".to_owned(),
                self.categories(rule, tool_categories)?,
            );
        }
        if !arg_path_patterns.is_empty() {
            let paths = arg_path_patterns
                .iter()
                .map(|path| match path.split_once('=') {
                    Some((path, value)) => json!({ "path": path, "equals": value }),
                    None => json!({ "path": path }),
                });
            when.insert("arguments".to_owned(), paths.collect());
        }
        if !secret_types.is_empty() {
            when.insert("findings".to_owned(), self.findings(rule, secret_types)?);
        }
        if let Some(score) = *min_risk_score {
            when.insert(
                "min_risk".to_owned(),
                json!(self.risk(rule, decision, score)?),
            );
            if !secret_types.is_empty() {
                self.tell(format!(
                    "{rule}.min_risk_score: asked of any finding there; here of a finding that \
                     `secret_types` names"
                ));
            }
        }
        if decision == Decision::Redact && secret_types.is_empty() && min_risk_score.is_none() {
            return Err(
                "it redacts without saying what; here a rule that redacts names \
                        findings"
                    .to_owned(),
            );
        }
        if !content_patterns.is_empty() {
            when.insert("content".to_owned(), self.content(rule, content_patterns));
        }
        if !labels.is_empty() {
            let labels: Map<_, _> = labels
                .iter()
                .map(|(key, value)| (key.clone(), json!(value.text())))
                .collect();
            when.insert("labels".to_owned(), Value::Object(labels));
        }
        if !environments.is_empty() {
            when.insert("environments".to_owned(), json!(environments));
        }
        if !destination_domains.is_empty() {
            return self.destinations(rule, decision, when, destination_domains);
        }
        if when.is_empty() {
            when.insert("any".to_owned(), json!(true));
        }
        Ok(vec![("", Value::Object(when))])
    }

    /// There, `*` is any text, `?` one character, `[…]` one of a set, and case is the same. Here,
    /// `*` is any text, and a pattern in small letters fits names in any case when it restricts.
    fn tools(
        &mut self,
        rule: &str,
        decision: Decision,
        patterns: &[String],
    ) -> Result<Value, String> {
        let mut tools = Vec::new();
        for pattern in patterns {
            let lower = pattern.to_lowercase();
            if let Err(error) = Glob::parse(&lower) {
                return Err(format!(
                    "tool_name_patterns: {} cannot be written here: {error}",
                    quote(pattern)
                ));
            }
            tools.push(lower);
        }
        if decision == Decision::Allow {
            self.tell(format!(
                "{rule}.tool_name_patterns: any case there; here a rule that allows fits names in \
                 small letters only"
            ));
        }
        Ok(json!(tools))
    }

    fn categories(&mut self, rule: &str, categories: &[String]) -> Result<Value, String> {
        for category in categories {
            if !Category::ALL.iter().any(|known| known.code() == category) {
                return Err(format!(
                    "tool_categories: {} is no category that a tool can have",
                    quote(category)
                ));
            }
        }
        self.tell(format!(
            "{rule}.tool_categories: there a tool has the first category of a fixed order that its \
             name contains; here it has every one that its words tell"
        ));
        Ok(json!(categories))
    }

    fn findings(&mut self, rule: &str, types: &[String]) -> Result<Value, String> {
        let mut detectors: Vec<&str> = Vec::new();
        for name in types {
            let known = DETECTORS.iter().find(|(foreign, _)| foreign == name);
            let Some((_, ours)) = known else {
                return Err(format!(
                    "secret_types: {} has no detector here",
                    quote(name)
                ));
            };
            for detector in *ours {
                if !detectors.contains(detector) {
                    detectors.push(detector);
                }
            }
        }
        self.tell(format!(
            "{rule}.secret_types: found by {} here, decoded forms included",
            detectors.join(", ")
        ));
        Ok(json!(detectors))
    }

    /// A score becomes the severity below it for a rule that restricts, and the one above it for a
    /// rule that allows.
    fn risk(&mut self, rule: &str, decision: Decision, score: f64) -> Result<&'static str, String> {
        if !(0.0..=1.0).contains(&score) {
            return Err(format!("min_risk_score: {score} is not between 0 and 1"));
        }
        let steps = [
            (0.95, "critical"),
            (0.7, "high"),
            (0.4, "medium"),
            (0.2, "low"),
            (0.0, "info"),
        ];
        let severity = if decision == Decision::Allow {
            let above = steps.iter().rev().find(|(step, _)| *step >= score);
            above.map_or("critical", |(_, severity)| *severity)
        } else {
            let below = steps.iter().find(|(step, _)| *step <= score);
            below.map_or("info", |(_, severity)| *severity)
        };
        self.tell(format!(
            "{rule}.min_risk_score: {score} becomes the severity `{severity}`; detectors here have \
             no scores"
        ));
        Ok(severity)
    }

    fn content(&mut self, rule: &str, patterns: &[String]) -> Value {
        if patterns.iter().any(|pattern| pattern.contains(['^', '$'])) {
            self.tell(format!(
                "{rule}.content_patterns: `^` and `$` are the ends of all values there, and of \
                 every single one here too"
            ));
        }
        let patterns = patterns.iter();
        patterns
            .map(|pattern| json!(format!("(?i){pattern}")))
            .collect()
    }

    /// There, patterns are tried on whole texts, so that few of them ever fit; here, on hosts.
    fn destinations(
        &mut self,
        rule: &str,
        decision: Decision,
        when: Map<String, Value>,
        patterns: &[String],
    ) -> Result<Vec<(&'static str, Value)>, String> {
        let (mut hosts, mut not, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for pattern in patterns {
            match (pattern.strip_prefix('!'), pattern) {
                (Some(negated), _) => match as_hosts(negated) {
                    Some(patterns) => not.extend(patterns),
                    None => {
                        return Err(format!(
                            "destination_domains: {} is no pattern of hosts",
                            quote(pattern)
                        ));
                    }
                },
                (None, pattern) => match as_hosts(pattern) {
                    Some(patterns) => hosts.extend(patterns),
                    None => texts.push(as_regex(pattern)?),
                },
            }
        }
        self.tell(format!(
            "{rule}.destination_domains: read as hosts here: a scheme, a path, a port and case make \
             no difference, and `*name` is the name and everything below it, not what ends alike"
        ));
        if hosts.is_empty() && texts.is_empty() && !not.is_empty() {
            self.tell(format!(
                "{rule}.destination_domains: negations alone never fit there; here they mean every \
                 destination but these"
            ));
        }
        if !texts.is_empty() && (!not.is_empty() || when.contains_key("content")) {
            return Err(
                "destination_domains: a pattern with a path cannot stand beside negations \
                        or `content_patterns` here"
                    .to_owned(),
            );
        }
        let mut whens = Vec::new();
        if !hosts.is_empty() || !not.is_empty() {
            let mut destinations = Map::new();
            if !hosts.is_empty() {
                destinations.insert("hosts".to_owned(), json!(hosts));
            }
            if !not.is_empty() {
                destinations.insert("not".to_owned(), json!(not));
            }
            let mut when = when.clone();
            when.insert("destinations".to_owned(), Value::Object(destinations));
            whens.push(("", Value::Object(when)));
        }
        if !texts.is_empty() {
            self.tell(format!(
                "{rule}.destination_domains: patterns that are no hosts are tried on whole texts, \
                 as there{}",
                if hosts.is_empty() {
                    ""
                } else {
                    ", in a second rule"
                }
            ));
            let mut when = when;
            when.insert("content".to_owned(), json!(texts));
            let suffix = if whens.is_empty() { "" } else { "-text" };
            whens.push((suffix, Value::Object(when)));
        }
        if decision == Decision::Allow {
            self.tell(format!(
                "{rule}.destination_domains: here a rule that allows must name every destination of \
                 the call"
            ));
        }
        Ok(whens)
    }

    fn code(&mut self, rule: &str, code: Option<&str>) -> String {
        let Some(code) = code else {
            return Code::default().to_string();
        };
        if let Some(known) = Code::from_foreign(code) {
            return known.to_string();
        }
        let kebab = code.to_lowercase().replace('_', "-");
        let (made, what) = match Code::parse(&kebab) {
            Ok(made) => (made, "written"),
            Err(_) => (Code::default(), "dropped; it becomes"),
        };
        self.tell(format!(
            "{rule}.policy_code: {} is {what} `{made}`",
            quote(code)
        ));
        made.to_string()
    }

    /// A name that no rule before has.
    fn name(&mut self, id: &str, suffix: &str) -> String {
        let base = format!("{}{suffix}", word(id));
        let mut name = base.clone();
        while let Some(count) = self.names.get_mut(&name) {
            *count += 1;
            name = format!("{base}-{count}");
        }
        if name != id && suffix.is_empty() {
            self.tell(format!("{}: is called `{name}`", quote(id)));
        }
        self.names.insert(name.clone(), 1);
        name
    }
}

/// `*name` and `name` as patterns of hosts; nothing for what is none.
fn as_hosts(pattern: &str) -> Option<Vec<String>> {
    let parse = |text: String| NamePattern::parse(&text).ok().map(|_| text);
    let lower = pattern.to_lowercase();
    if let Some(base) = lower.strip_prefix("*.") {
        return Some(vec![parse(format!("**.{base}"))?]);
    }
    if let Some(base) = lower.strip_prefix('*') {
        return Some(vec![parse(base.to_owned())?, parse(format!("**.{base}"))?]);
    }
    Some(vec![parse(lower)?])
}

/// The regular expression of a pattern of Python's `fnmatch`, in any case.
fn as_regex(pattern: &str) -> Result<String, String> {
    let mut regex = String::from("(?is)^");
    for c in pattern.chars() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => {
                return Err(format!(
                    "destination_domains: {} has a set of characters, which is not translated",
                    quote(pattern)
                ));
            }
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    Ok(regex)
}

/// A name of the other tool with the signs that a name may have here.
fn word(text: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let word: String = text
        .chars()
        .map(|c| if good(c) { c } else { '-' })
        .take(100)
        .collect();
    if word.is_empty() { custom() } else { word }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
