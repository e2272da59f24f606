//! From the file's text to what it means, or to everything that is wrong with it.
//!
//! First the shape (`shape`), then the meaning of whatever has a shape: names, ports, ranges,
//! bounds, and what cannot be enforced as written. A good file costs one pass of serde_json and
//! one of the parser that knows the places; problems cost what they need.

use std::{collections::HashMap, fmt::Display, ops::Range, path::PathBuf, sync::Arc};

use egress_common::{Mode, RuleId};

use super::{
    Policy,
    compile::{Plan, loopback_rule},
    file::{self, Errno, File, Inbound},
    lint, net,
    pattern::NamePattern,
    port::PortRange,
    problem::{Problem, Related, Severity, nearest, quote},
    rule::{AuditSettings, DnsSettings, Effect, LOOPBACK, RESERVED, Rule},
    settings,
    shape::{Shape, to_json},
    text::{self, Document, Lines, Place, syntax},
};

/// A policy file that says nothing wrong.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) name: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) errno: Errno,
    pub(crate) inbound: Inbound,
    /// Allow rules, deny rules, then the rule for loopback ports.
    pub(crate) rules: Vec<Rule>,
    pub(crate) session_loopback: bool,
    pub(crate) dns: DnsSettings,
    pub(crate) audit: AuditSettings,
    pub(crate) plan: Plan,
    pub(crate) warnings: Vec<Problem>,
    /// Digest of the policy that this one extends.
    pub(crate) base_digest: Option<Arc<str>>,
    /// The files of that policy.
    pub(crate) base_files: Vec<PathBuf>,
}

/// Finds the policy that a file extends, by the path in the file. The error is one line.
pub(crate) type LoadBase<'l> = &'l mut dyn FnMut(&str) -> Result<Policy, String>;

/// Checks one file. The error is every problem, located and in the order of the text.
pub(crate) fn check(text: &str, source: &str, load: LoadBase<'_>) -> Result<Checked, Vec<Problem>> {
    let mut problems = Vec::new();
    let checked = try_check(text, source, load, &mut problems);
    text::locate(&mut problems, text);
    match checked {
        Some(checked) if !problems.iter().any(is_error) => Ok(Checked {
            warnings: problems,
            ..checked
        }),
        _ => {
            problems.retain(is_error);
            Err(problems)
        }
    }
}

fn is_error(problem: &Problem) -> bool {
    problem.severity == Severity::Error
}

fn try_check(
    text: &str,
    source: &str,
    load: LoadBase<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Checked> {
    let root = text::parse(text)
        .map_err(|problem| problems.push(*problem))
        .ok()?;
    let (document, file) = match serde_json::from_str::<File>(text) {
        Ok(file) => (Document::new(root, HashMap::new()), file),
        Err(error) => {
            let schema = file::schema();
            let (document, mut shape) = Shape::new(&schema).check(root);
            let is_explained = !shape.is_empty();
            problems.append(&mut shape);
            if !is_explained {
                // What the two parsers read differently: numbers and escapes.
                problems.push(syntax(&error.to_string(), offset(text, &error), None));
                return None;
            }
            let document = document?;
            let file = serde_json::from_value(to_json(document.root())).ok()?;
            (document, file)
        }
    };
    let known = problems.len();
    let mut checker = Checker {
        document,
        lines: Lines::new(text),
        source,
        problems,
        names: HashMap::new(),
    };
    let checked = checker.file(file, load);
    suppress_echoes(problems, known);
    checked
}

/// Drops problems about something missing where the reason is a problem of the shape.
fn suppress_echoes(problems: &mut Vec<Problem>, known: usize) {
    let (shape, rest) = problems.split_at(known.min(problems.len()));
    let mut starts: Vec<_> = shape.iter().map(|problem| problem.span.start).collect();
    starts.sort_unstable();
    let is_echo = |problem: &Problem| {
        let inside = starts.partition_point(|start| *start < problem.span.start);
        starts
            .get(inside)
            .is_some_and(|start| *start < problem.span.end)
    };
    let kept: Vec<_> = rest
        .iter()
        .filter(|problem| !(problem.message.starts_with(MISSING) && is_echo(problem)))
        .cloned()
        .collect();
    problems.truncate(known);
    problems.extend(kept);
}

/// The word for listeners that the session itself opens.
const SESSION: &str = "session";

/// How every message about something missing begins.
const MISSING: &str = "the rule names no ";

fn offset(text: &str, error: &serde_json::Error) -> Range<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = (start + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at..at
}

/// Collects what is wrong while it turns texts into meanings.
#[derive(Debug)]
pub(crate) struct Checker<'c> {
    document: Document<'c>,
    lines: Lines,
    source: &'c str,
    problems: &'c mut Vec<Problem>,
    /// Rule names so far, with the bytes of their rule when it stands in this file.
    names: HashMap<String, Option<Range<usize>>>,
}

impl Checker<'_> {
    fn file(&mut self, file: File, load: LoadBase<'_>) -> Option<Checked> {
        let root = Place::ROOT;
        if file.version != 1 {
            let message = format!("version {} of the format is not known", file.version);
            self.error(&root.key("version"), message, Some("write `1`"));
        }
        if let Some(name) = &file.name {
            self.rule_name(name, &root.key("name"));
        }
        let base = file.extends.as_deref().and_then(|path| match load(path) {
            Ok(base) => Some(base),
            Err(why) => {
                self.error(&root.key("extends"), why, None);
                None
            }
        });
        let mode = self.mode(&file, base.as_ref());
        let (rules, own) = self.rules(&file, base.as_ref());
        let is_session = file.network.loopback.allow.iter().any(is_session);
        let dns = settings::dns(self, file.dns.as_ref(), base.as_ref(), &root.key("dns"));
        let audit = settings::audit(self, file.audit.as_ref(), base.as_ref(), &root.key("audit"));
        let network = root.key("network");
        let plan = match Plan::new(&rules) {
            Ok(plan) => plan,
            Err(error) => {
                let message = format!("the policy does not fit into the kernel tables: {error}");
                self.error(&network, message, Some("split it over several policies"));
                return None;
            }
        };
        if !self.problems.iter().any(is_error) {
            let own = rules.get(own).unwrap_or_default();
            lint::check(self, &file, own, &rules);
        }
        let inherited = base.as_ref();
        Some(Checked {
            name: file.name,
            mode,
            errno: file
                .network
                .errno
                .or(inherited.map(Policy::errno))
                .unwrap_or(Errno::Eperm),
            inbound: file
                .network
                .inbound
                .or(inherited.map(Policy::inbound))
                .unwrap_or(Inbound::Deny),
            rules,
            session_loopback: is_session || inherited.is_some_and(Policy::session_loopback),
            dns: dns?,
            audit: audit?,
            plan,
            warnings: Vec::new(),
            base_digest: inherited.map(|base| Arc::clone(base.digest_shared())),
            base_files: base.map(|base| base.files().to_vec()).unwrap_or_default(),
        })
    }

    fn mode(&mut self, file: &File, base: Option<&Policy>) -> Mode {
        let base = base.map(Policy::mode);
        let mode = match file.mode {
            Some(file::Mode::Enforce) => Mode::Enforce,
            Some(file::Mode::Observe) => Mode::Observe,
            None => base.unwrap_or(Mode::Enforce),
        };
        if base == Some(Mode::Enforce) && mode == Mode::Observe {
            let help = "a policy may not weaken the one that it extends";
            self.error(
                &Place::ROOT.key("mode"),
                "the extended policy enforces",
                Some(help),
            );
        }
        mode
    }

    /// Every rule that holds, numbered, and which of them are the allow rules of this file.
    fn rules(&mut self, file: &File, base: Option<&Policy>) -> (Vec<Rule>, Range<usize>) {
        let root = Place::ROOT;
        let network = root.key("network");
        let (allow, deny) = (network.key("allow"), network.key("deny"));
        let inherited = base.map_or(&[][..], Policy::rules);
        let is_loopback = |rule: &&Rule| rule.name == LOOPBACK;
        let mut rules: Vec<_> = inherited
            .iter()
            .filter(|rule| !is_loopback(rule))
            .cloned()
            .collect();
        for rule in &rules {
            self.names.insert(rule.name.clone(), None);
        }
        let first = rules
            .iter()
            .filter(|rule| rule.effect == Effect::Allow)
            .count();
        let own = first..first + file.network.allow.len();
        for (index, rule) in file.network.allow.iter().enumerate() {
            rules.push(self.rule(rule, Effect::Allow, &allow.index(index)));
        }
        for (index, rule) in file.network.deny.iter().enumerate() {
            rules.push(self.rule(rule, Effect::Deny, &deny.index(index)));
        }
        rules.sort_by_key(|rule| rule.effect);

        let section = network.key("loopback");
        let section = section.key("allow");
        let mut ports = self.loopback(&file.network.loopback, &section);
        let base_loopback = inherited.iter().find(is_loopback);
        let (source, line) = match base_loopback {
            Some(rule) if ports.is_empty() => (rule.source.clone(), rule.line),
            Some(_) | None => (self.source.to_owned(), self.line(&section)),
        };
        ports.extend(base_loopback.into_iter().flat_map(|rule| &rule.ports));
        if !ports.is_empty() {
            rules.push(loopback_rule(source, line, ports));
        }
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.id = RuleId(u32::try_from(index + 1).unwrap_or(u32::MAX));
        }
        (rules, own)
    }

    fn rule(&mut self, rule: &file::Rule, effect: Effect, place: &Place<'_>) -> Rule {
        self.rule_name(&rule.name, &place.key("name"));
        self.unique(&rule.name, place);
        if rule.hosts.is_empty() && rule.cidrs.is_empty() {
            let message = format!("{MISSING}hosts and no CIDRs");
            let help = "add `hosts`, `cidrs` or both";
            self.error(place, &message, Some(help));
        }
        if effect == Effect::Deny && rule.multi_tenant {
            let help = "deny rules may stand under a public suffix without it";
            self.error(
                &place.key("multi_tenant"),
                "`multi_tenant` has no meaning in a deny rule",
                Some(help),
            );
        }
        let section = place.key("hosts");
        let mut hosts = Vec::with_capacity(rule.hosts.len());
        for (index, text) in rule.hosts.iter().enumerate() {
            let is_broad_meant = effect == Effect::Deny || rule.multi_tenant;
            hosts.extend(self.pattern(text, is_broad_meant, &section.index(index)));
        }
        let section = place.key("cidrs");
        let mut networks = Vec::with_capacity(rule.cidrs.len());
        for (index, text) in rule.cidrs.iter().enumerate() {
            match net::parse(text) {
                Ok(network) => networks.push(network),
                Err(error) => {
                    let message = format!("{}: {error}", quote(text));
                    self.error(&section.index(index), &message, Some(&error.help()));
                }
            }
        }
        let ports = self.ports(rule, effect, place);
        Rule {
            id: RuleId::NONE,
            name: rule.name.clone(),
            effect,
            reason: rule.reason.clone(),
            source: self.source.to_owned(),
            line: self.line(place),
            hosts,
            networks,
            ports,
        }
    }

    fn ports(&mut self, rule: &file::Rule, effect: Effect, place: &Place<'_>) -> Vec<PortRange> {
        let section = place.key("ports");
        match (&rule.ports, effect) {
            (None, Effect::Deny) => PortRange::EVERY.to_vec(),
            (None, Effect::Allow) => {
                let message = format!("{MISSING}ports");
                let help = "add `ports`, such as `[\"443/tcp\"]`";
                self.error(place, &message, Some(help));
                Vec::new()
            }
            (Some(ports), Effect::Deny) if ports.is_empty() => {
                let message = format!("{MISSING}ports");
                let help = "take the key out to deny every port";
                self.error(&section, &message, Some(help));
                Vec::new()
            }
            (Some(ports), Effect::Allow) if ports.is_empty() => {
                let message = format!("{MISSING}ports");
                let help = "an empty list allows nothing; write ports such as `443/tcp`";
                self.error(&section, &message, Some(help));
                Vec::new()
            }
            (Some(ports), Effect::Allow | Effect::Deny) => {
                let ports = ports.iter().enumerate();
                ports
                    .filter_map(|(index, port)| self.port(port, &section.index(index)))
                    .collect()
            }
        }
    }

    fn port(&mut self, port: &file::Port, place: &Place<'_>) -> Option<PortRange> {
        let (read, word) = match port {
            file::Port::Number(number) => (PortRange::try_from(*number), number.to_string()),
            file::Port::Text(text) => (text.parse(), text.clone()),
        };
        match read {
            Ok(range) => Some(range),
            Err(error) => {
                let message = format!("{}: {error}", quote(&word));
                self.error(place, &message, Some(&error.help()));
                None
            }
        }
    }

    fn loopback(&mut self, loopback: &file::Loopback, place: &Place<'_>) -> Vec<PortRange> {
        let ports = loopback.allow.iter().enumerate();
        ports
            .filter(|(_, port)| !is_session(port))
            .filter_map(|(index, port)| {
                let at = place.index(index);
                let file::Port::Text(word) = port else {
                    return self.port(port, &at);
                };
                if nearest(word, [SESSION]).is_none() {
                    return self.port(port, &at);
                }
                let message = format!("{}: not a port", quote(word));
                self.error(&at, message, Some("did you mean `session`?"));
                None
            })
            .collect()
    }

    /// Reads a host pattern. One under a public suffix must be meant.
    pub(crate) fn pattern(
        &mut self,
        text: &str,
        is_broad_meant: bool,
        place: &Place<'_>,
    ) -> Option<NamePattern> {
        let pattern = match NamePattern::parse(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                let message = format!("{}: {error}", quote(text));
                self.error(place, &message, error.help().as_deref());
                return None;
            }
        };
        if !is_broad_meant && let Some(suffix) = pattern.public_suffix() {
            let message = format!(
                "{} allows names that anybody can register: `{suffix}` is a public suffix",
                quote(text)
            );
            let help = "name the host, or add `\"multi_tenant\": true` to the rule if it is meant";
            self.error(place, &message, Some(help));
        }
        Some(pattern)
    }

    fn rule_name(&mut self, name: &str, place: &Place<'_>) {
        const LONGEST: usize = 64;
        let is_stray = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if name.is_empty() || name.len() > LONGEST || name.contains(is_stray) {
            let message = format!("{} cannot be a name", quote(name));
            let help = format!("write 1 to {LONGEST} of letters, digits, `_`, `.` and `-`");
            self.error(place, &message, Some(&help));
        }
    }

    fn unique(&mut self, name: &str, place: &Place<'_>) {
        let at = place.key("name");
        if RESERVED.contains(&name) {
            let message = format!("`{name}` is the name of a rule of egressd's own");
            self.error(&at, &message, Some("choose another name"));
            return;
        }
        let range = self.document.range(&at);
        let Some(first) = self.names.get(name).cloned() else {
            self.names.insert(name.to_owned(), Some(range));
            return;
        };
        let message = format!("{} names two rules", quote(name));
        let help = "records tell rules apart by their names";
        let related = first.map(|span| Related {
            message: "first used here".to_owned(),
            line: 1,
            span,
        });
        if related.is_none() {
            let message = format!("{} names a rule of the extended policy", quote(name));
            self.error(&at, &message, Some(help));
            return;
        }
        self.error(&at, &message, Some(help));
        if let Some(problem) = self.problems.last_mut() {
            problem.related = related;
        }
    }

    fn line(&self, place: &Place<'_>) -> u32 {
        self.lines.line(self.document.range(place).start)
    }

    pub(crate) fn error(&mut self, place: &Place<'_>, message: impl Display, help: Option<&str>) {
        self.report(Severity::Error, place, &message.to_string(), help);
    }

    pub(crate) fn warn(&mut self, place: &Place<'_>, message: impl Display, help: Option<&str>) {
        self.report(Severity::Warning, place, &message.to_string(), help);
    }

    fn report(&mut self, severity: Severity, place: &Place<'_>, message: &str, help: Option<&str>) {
        let mut problem = syntax(message, self.document.range(place), help);
        problem.severity = severity;
        problem.path = self.document.path(place);
        self.problems.push(problem);
    }
}

fn is_session(port: &file::Port) -> bool {
    matches!(port, file::Port::Text(text) if text == SESSION)
}
