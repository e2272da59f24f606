//! From the text of a pack to its rules, or to everything that is wrong with it.
//!
//! One problem refuses the whole pack. The shape is checked by the machinery of the policy file:
//! unknown and repeated keys, wrong types and unknown words have their place and the nearest word.

use std::{collections::HashMap, sync::Arc};

use super::{
    Pack,
    argument::{Argument, Path},
    category::Category,
    code::Code,
    content::Content,
    destination::{Destinations, Pattern},
    file::{self, File},
    rule::{Condition, Decision, FindingTest, On, Rule},
};
use crate::{
    inspect::{Confidence, Kind, Severity},
    policy::{
        Checker, Glob, Globs, Invalid, Place, Problem, Shape, locate, nearest, parse_text, quote,
        syntax, to_json,
    },
};

/// Rules of one pack.
pub(super) const RULES: usize = 10_000;
/// Entries of one condition.
const ENTRIES: usize = 1_000;
const HIGHEST_PRIORITY: u32 = 1_000_000;
/// Bytes of a name.
const LONGEST_NAME: usize = 128;
/// Bytes of a text for people.
const LONGEST_TEXT: usize = 1_000;
const NO_CONDITION: &str = "a rule without conditions fits no call";
const NO_ENTRY: &str = "an empty list fits no call";
const NO_FINDING: &str = "a rule that redacts must say what";
const NO_DESTINATION: &str = "the entry names no destination";
/// Bytes of a value, a label, an environment.
const LONGEST_VALUE: usize = 1_000;

/// Checks one pack. `detectors` are the names of all detectors, where they are known.
pub(super) fn check(text: &str, source: &str, detectors: Option<&[&str]>) -> Result<Pack, Invalid> {
    let mut problems = Vec::new();
    let pack = try_check(text, source, detectors, &mut problems);
    locate(&mut problems, text);
    match pack {
        Some(pack) if problems.is_empty() => Ok(pack),
        _ => Err(Invalid::new(source, text, problems)),
    }
}

fn try_check(
    text: &str,
    source: &str,
    detectors: Option<&[&str]>,
    problems: &mut Vec<Problem>,
) -> Option<Pack> {
    if text.trim().is_empty() {
        let help = "the smallest pack is `{ \"version\": 1, \"name\": \"mine\", \"rules\": [] }`";
        problems.push(syntax("the file is empty", 0..text.len(), Some(help)));
        return None;
    }
    let root = parse_text(text)
        .map_err(|problem| problems.push(*problem))
        .ok()?;
    let schema = file::schema();
    let (document, mut shape) = Shape::new(&schema).check(root);
    problems.append(&mut shape);
    let document = document?;
    // As text again, which is the input that policies are read from: one derived reader for both.
    let file: File = match serde_json::from_str(&to_json(document.root()).to_string()) {
        Ok(file) => file,
        Err(error) => {
            // What the shape explains already, or a number that JSON can write and nobody can hold.
            if problems.is_empty() {
                let message = error.to_string();
                // A place in the text that was made here says nothing.
                let message = message.split(" at line ").next().unwrap_or_default();
                problems.push(syntax(message, 0..0, None));
            }
            return None;
        }
    };
    let known = problems.len();
    let mut check = Check {
        c: Checker::new(document, text, source, problems),
        detectors,
    };
    let pack = check.pack(file);
    suppress_echoes(problems, known);
    Some(pack)
}

/// Drops problems about something missing where what is there was refused already.
fn suppress_echoes(problems: &mut Vec<Problem>, known: usize) {
    let (before, after) = problems.split_at(known.min(problems.len()));
    let mut starts: Vec<_> = before.iter().map(|problem| problem.span.start).collect();
    starts.sort_unstable();
    let is_echo = |problem: &Problem| {
        let is_missing = [NO_CONDITION, NO_ENTRY, NO_FINDING, NO_DESTINATION]
            .iter()
            .any(|message| problem.message == *message);
        let inside = starts.partition_point(|start| *start <= problem.span.start);
        let inside = starts.get(inside);
        is_missing && inside.is_some_and(|start| *start < problem.span.end)
    };
    let kept: Vec<_> = after
        .iter()
        .filter(|problem| !is_echo(problem))
        .cloned()
        .collect();
    problems.truncate(known);
    problems.extend(kept);
}

struct Check<'c, 'd> {
    c: Checker<'c>,
    detectors: Option<&'d [&'d str]>,
}

impl Check<'_, '_> {
    fn pack(&mut self, file: File) -> Pack {
        let root = Place::ROOT;
        if file.version != 1 {
            let message = format!("version {} of the format is not known", file.version);
            self.c
                .error(&root.key("version"), message, Some("write `1`"));
        }
        self.name(&file.name, &root.key("name"));
        let name: Arc<str> = file.name.into();
        let list = root.key("rules");
        if file.rules.len() > RULES {
            let message = format!("the pack has more than {RULES} rules");
            self.c
                .error(&list, message, Some("split it over several packs"));
        }
        let mut rules = Vec::with_capacity(file.rules.len());
        for (index, rule) in file.rules.into_iter().enumerate() {
            let rule = self.rule(rule, &name, &list.index(index));
            rules.push(rule);
        }
        self.names(&rules, &list);
        self.priorities(&rules, &list);
        Pack {
            name,
            source: self.c.source(),
            is_shadow: file.shadow,
            rules,
        }
    }

    fn rule(&mut self, written: file::Rule, pack: &Arc<str>, place: &Place<'_>) -> Rule {
        let file::Rule {
            comment: _,
            description: _,
            name,
            priority,
            decision,
            when,
            code,
            severity,
            reason,
            hint,
            alternative,
            enabled,
        } = written;
        self.name(&name, &place.key("name"));
        let priority = u32::try_from(priority)
            .ok()
            .filter(|priority| *priority <= HIGHEST_PRIORITY)
            .unwrap_or_else(|| {
                let message = format!("`{priority}` is beyond {HIGHEST_PRIORITY}");
                let help = "the lowest number decides; write 0 to 1000000";
                self.c.error(&place.key("priority"), message, Some(help));
                HIGHEST_PRIORITY
            });
        let decision = Decision::from(decision);
        let code = code.map_or_else(Code::default, |code| self.code(&code, &place.key("code")));
        for (key, text) in [
            ("reason", &reason),
            ("hint", &hint),
            ("alternative", &alternative),
        ] {
            self.text(text.as_deref(), &place.key(key));
        }
        let at = place.key("when");
        let has_content = when.content.is_some();
        let when = self.condition(when, &at);
        if decision == Decision::Redact && when.findings.is_none() && !has_content {
            let help = "add `findings`, `kinds` or `content`: what they find is what is taken out";
            self.c.error(&at, NO_FINDING, Some(help));
        }
        if decision == Decision::Redact && when.on == On::Description {
            let message = "a description without a part of it is no longer the server's";
            let help = "write `deny`, which hides it from the agent";
            self.c.error(&place.key("decision"), message, Some(help));
        }
        Rule {
            pack: Arc::clone(pack),
            name,
            priority,
            decision,
            when,
            code,
            severity: severity.map_or(Severity::Medium, Severity::from),
            reason,
            hint,
            alternative,
            is_enabled: enabled,
            source: self.c.source(),
            line: self.c.line(place),
        }
    }

    fn condition(&mut self, when: file::When, place: &Place<'_>) -> Condition {
        let file::When {
            comment: _,
            description: _,
            on,
            any,
            tools,
            categories,
            destinations,
            arguments,
            findings,
            kinds,
            min_risk,
            min_confidence,
            content,
            labels,
            environments,
        } = when;
        let has_content = content.is_some();
        let on = On::from(on);
        if let Some(kinds) = &kinds
            && !kinds.is_empty()
            && !kinds.iter().any(|kind| on.finds(Kind::from(*kind)))
        {
            let message = format!("no finding of these kinds is made in a {}", on.code());
            let help = "a call has every kind but `poisoning`, a result `secret`, `personal` and \
                        `injection`, a description those and `poisoning`";
            self.c.error(&place.key("kinds"), message, Some(help));
        }
        let condition = Condition {
            on,
            any,
            tools: tools.map(|list| self.globs(&list, &place.key("tools"))),
            categories: categories.map(|list| {
                self.entries(list.len(), &place.key("categories"));
                list.into_iter().map(Category::from).collect()
            }),
            destinations: destinations
                .map(|written| self.destinations(&written, &place.key("destinations"))),
            arguments: arguments.map(|list| self.arguments(list, &place.key("arguments"))),
            findings: self.findings(findings, kinds, min_risk, min_confidence, place),
            content: content.and_then(|list| self.content(&list, &place.key("content"))),
            labels,
            environments: environments.map(|list| {
                let at = place.key("environments");
                self.entries(list.len(), &at);
                self.values(list.iter(), &at);
                list.iter().map(|word| word.to_lowercase()).collect()
            }),
        };
        let at = place.key("labels");
        for (key, value) in &condition.labels {
            self.values([key, value].into_iter(), &at);
        }
        if condition.is_empty() && !has_content && !any {
            let help = "write a condition, or `\"any\": true` for every call";
            self.c.error(place, NO_CONDITION, Some(help));
        }
        if !condition.is_empty() && any {
            let help = "take out `any`, or every other condition";
            self.c.error(
                &place.key("any"),
                "`any` stands for no other condition",
                Some(help),
            );
        }
        condition
    }

    fn destinations(&mut self, written: &file::Destinations, place: &Place<'_>) -> Destinations {
        let file::Destinations {
            comment: _,
            description: _,
            hosts,
            cidrs,
            not,
        } = written;
        if hosts.is_none() && cidrs.is_none() && not.is_none() {
            let help = "add `hosts`, `cidrs` or `not`";
            self.c.error(place, NO_DESTINATION, Some(help));
        }
        let mut read = |list: &Option<Vec<String>>, key: &str, range: bool| {
            list.as_ref().map(|list| {
                let at = place.key(key);
                self.entries(list.len(), &at);
                self.patterns(list, range, &at)
            })
        };
        let hosts = read(hosts, "hosts", false);
        let cidrs = read(cidrs, "cidrs", true);
        let not = read(not, "not", false);
        let of = match (hosts, cidrs) {
            (None, None) => None,
            (hosts, cidrs) => {
                let mut of = hosts.unwrap_or_default();
                of.extend(cidrs.unwrap_or_default());
                Some(of)
            }
        };
        Destinations {
            of,
            not: not.unwrap_or_default(),
        }
    }

    fn patterns(&mut self, list: &[String], is_range: bool, place: &Place<'_>) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for (index, text) in list.iter().enumerate() {
            let read = if is_range {
                Pattern::range(text)
            } else {
                Pattern::parse(text)
            };
            match read {
                Ok(pattern) => patterns.push(pattern),
                Err((error, help)) => {
                    let message = format!("{}: {error}", quote(text));
                    self.c.error(&place.index(index), message, help.as_deref());
                }
            }
        }
        patterns
    }

    fn arguments(&mut self, list: Vec<file::Argument>, place: &Place<'_>) -> Vec<Argument> {
        self.entries(list.len(), place);
        let mut arguments = Vec::new();
        for (index, written) in list.into_iter().enumerate() {
            let at = place.index(index);
            self.values(written.equals.iter(), &at.key("equals"));
            match Path::parse(&written.path) {
                Ok(path) => arguments.push(Argument {
                    path,
                    equals: written.equals,
                }),
                Err(error) => {
                    let message = format!("{}: {error}", quote(&written.path));
                    let help = "write keys with dots between them, such as `options.headers.*` or \
                                `files[*].path`";
                    self.c.error(&at.key("path"), message, Some(help));
                }
            }
        }
        arguments
    }

    fn findings(
        &mut self,
        detectors: Option<Vec<String>>,
        kinds: Option<Vec<file::Kind>>,
        min_risk: Option<file::Severity>,
        min_confidence: Option<file::Confidence>,
        place: &Place<'_>,
    ) -> Option<FindingTest> {
        if detectors.is_none() && kinds.is_none() && min_risk.is_none() && min_confidence.is_none()
        {
            return None;
        }
        let at = place.key("findings");
        let detectors = detectors.map(|list| {
            let globs = self.globs(&list, &at);
            self.known(&list, &at);
            globs
        });
        let kinds = kinds.map(|list| {
            self.entries(list.len(), &place.key("kinds"));
            list.into_iter().map(Kind::from).collect()
        });
        Some(FindingTest {
            detectors,
            kinds,
            min_risk: min_risk.map_or(Severity::Info, Severity::from),
            min_confidence: min_confidence.map_or(Confidence::Low, Confidence::from),
        })
    }

    /// A pattern that fits no detector would look as if it did something.
    fn known(&mut self, list: &[String], place: &Place<'_>) {
        let Some(known) = self.detectors else {
            return;
        };
        for (index, text) in list.iter().enumerate() {
            let Ok(glob) = Glob::parse(text) else {
                continue;
            };
            if known.iter().any(|detector| glob.is_match(detector)) {
                continue;
            }
            let help = match nearest(text, known.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => "`kinds` asks for every finding of a kind".to_owned(),
            };
            let message = format!("no detector is called {}", quote(text));
            self.c.error(&place.index(index), message, Some(&help));
        }
    }

    fn content(&mut self, list: &[String], place: &Place<'_>) -> Option<Content> {
        self.entries(list.len(), place);
        let content = match Content::new(list) {
            Ok(content) => content,
            Err(error) => {
                self.patterns_alone(list, &error, place);
                return None;
            }
        };
        let void = content.void();
        for index in &void {
            let pattern = list.get(*index).map(String::as_str).unwrap_or_default();
            let help = "ask for at least one character, or take it out";
            let message = format!("{} fits every text", quote(pattern));
            self.c.error(&place.index(*index), message, Some(help));
        }
        void.is_empty().then_some(content)
    }

    /// Says which of the patterns is wrong, or that they are too large together.
    fn patterns_alone(&mut self, list: &[String], together: &str, place: &Place<'_>) {
        let mut is_told = false;
        for (index, pattern) in list.iter().enumerate() {
            if let Err(error) = Content::check(pattern) {
                is_told = true;
                let message = format!("{} is no regular expression: {error}", quote(pattern));
                let help = "the syntax is that of https://docs.rs/regex; write `\\\\` for each `\\` in JSON";
                self.c.error(&place.index(index), message, Some(help));
            }
        }
        if !is_told {
            let message = format!("the patterns do not fit into one rule: {together}");
            self.c.error(place, message, Some("split the rule"));
        }
    }

    fn globs(&mut self, list: &[String], place: &Place<'_>) -> Globs {
        self.entries(list.len(), place);
        let mut globs = Vec::new();
        for (index, text) in list.iter().enumerate() {
            match Glob::parse(text) {
                Ok(glob) => globs.push(glob),
                Err(error) => {
                    let message = format!("{}: {error}", quote(text));
                    let help = "write literal text; `*` stands for any text";
                    self.c.error(&place.index(index), message, Some(help));
                }
            }
        }
        globs.into_iter().collect()
    }

    fn entries(&mut self, count: usize, place: &Place<'_>) {
        if count == 0 {
            let help = "name something, or take the condition out";
            self.c.error(place, NO_ENTRY, Some(help));
        }
        if count > ENTRIES {
            let message = format!("the list has more than {ENTRIES} entries");
            self.c.error(place, message, Some("split the rule"));
        }
    }

    fn values<'v>(&mut self, values: impl Iterator<Item = &'v String>, place: &Place<'_>) {
        for value in values {
            if value.len() > LONGEST_VALUE {
                let message = format!("{} is longer than {LONGEST_VALUE} bytes", quote(value));
                self.c.error(place, message, None);
            }
        }
    }

    fn name(&mut self, name: &str, place: &Place<'_>) {
        let is_stray = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(is_stray) {
            let message = format!("{} is no name", quote(name));
            let help = format!("write one to {LONGEST_NAME} letters, digits, `_`, `.` and `-`");
            self.c.error(place, message, Some(&help));
        }
    }

    fn code(&mut self, text: &str, place: &Place<'_>) -> Code {
        Code::parse(text).unwrap_or_else(|error| {
            let help = match Code::from_foreign(text) {
                Some(code) => format!("write `{code}`"),
                None => match nearest(text, Code::known()) {
                    Some(code) => format!("did you mean `{code}`?"),
                    None => "write a code such as `destructive-command`".to_owned(),
                },
            };
            self.c
                .error(place, format!("{}: {error}", quote(text)), Some(&help));
            Code::default()
        })
    }

    fn text(&mut self, text: Option<&str>, place: &Place<'_>) {
        let Some(text) = text else {
            return;
        };
        if text.len() > LONGEST_TEXT || text.trim().is_empty() || text.chars().any(char::is_control)
        {
            let help = format!("write one line of at most {LONGEST_TEXT} bytes");
            self.c.error(place, "the text is not one line", Some(&help));
        }
    }

    fn names(&mut self, rules: &[Rule], list: &Place<'_>) {
        let mut first: HashMap<&str, usize> = HashMap::new();
        for (index, rule) in rules.iter().enumerate() {
            let Some(other) = first.insert(&rule.name, index) else {
                continue;
            };
            let message = format!("the name {} is given twice", quote(&rule.name));
            self.second(
                list,
                (other, index),
                "name",
                &message,
                "rename one of the two",
            );
        }
    }

    /// Rules that decide differently may not share a number: nobody could see which comes first.
    fn priorities(&mut self, rules: &[Rule], list: &Place<'_>) {
        let mut first: HashMap<u32, usize> = HashMap::new();
        for (index, rule) in rules.iter().enumerate() {
            if !super::is_deciding(rule) {
                continue;
            }
            let other = *first.entry(rule.priority).or_insert(index);
            let Some(before) = rules
                .get(other)
                .filter(|other| other.decision != rule.decision)
            else {
                continue;
            };
            let message = format!(
                "priority {} is that of {}, which decides `{}` and not `{}`",
                rule.priority,
                quote(&before.name),
                before.decision.code(),
                rule.decision.code()
            );
            let help = "give one of the two another number; the lower one decides";
            self.second(list, (other, index), "priority", &message, help);
        }
    }

    /// A problem of the second of two rules.
    fn second(
        &mut self,
        list: &Place<'_>,
        (first, second): (usize, usize),
        key: &str,
        message: &str,
        help: &str,
    ) {
        let at = list.index(first);
        let first = self.c.document().range(&at.key(key));
        let at = list.index(second);
        self.c.error(&at.key(key), message, Some(help));
        self.c.relate("the first is here", first);
    }
}

impl From<file::Category> for Category {
    fn from(written: file::Category) -> Self {
        match written {
            file::Category::Shell => Self::Shell,
            file::Category::Filesystem => Self::Filesystem,
            file::Category::Git => Self::Git,
            file::Category::Http => Self::Http,
            file::Category::Upload => Self::Upload,
            file::Category::Network => Self::Network,
            file::Category::Database => Self::Database,
            file::Category::Messaging => Self::Messaging,
            file::Category::Other => Self::Other,
        }
    }
}

impl From<file::Severity> for Severity {
    fn from(written: file::Severity) -> Self {
        match written {
            file::Severity::Info => Self::Info,
            file::Severity::Low => Self::Low,
            file::Severity::Medium => Self::Medium,
            file::Severity::High => Self::High,
            file::Severity::Critical => Self::Critical,
        }
    }
}

impl From<file::Confidence> for Confidence {
    fn from(written: file::Confidence) -> Self {
        match written {
            file::Confidence::Low => Self::Low,
            file::Confidence::Medium => Self::Medium,
            file::Confidence::High => Self::High,
        }
    }
}

impl From<file::Kind> for Kind {
    fn from(written: file::Kind) -> Self {
        match written {
            file::Kind::Secret => Self::Secret,
            file::Kind::Personal => Self::Personal,
            file::Kind::Destructive => Self::Destructive,
            file::Kind::Code => Self::Code,
            file::Kind::Injection => Self::Injection,
            file::Kind::Poisoning => Self::Poisoning,
            file::Kind::Destination => Self::Destination,
            file::Kind::Chain => Self::Chain,
        }
    }
}
