//! Section `network`: rules as they are written to rules as they are meant.

use std::{
    collections::HashMap,
    ops::{Range, RangeInclusive},
    sync::Arc,
    time::Duration,
};

use egress_common::RuleId;

use super::{
    check::Checker,
    compile::loopback_rule,
    extend::Base,
    file::{self, File, Level},
    net,
    pattern::NamePattern,
    port::PortRange,
    problem::{nearest, quote},
    requests,
    rule::{Effect, Levels, RESERVED, Rule},
    settings,
    text::Place,
};

/// The word for listeners that the session itself opens.
const SESSION: &str = "session";

/// For a person to answer, where a rule of `ask` says nothing else.
const DEADLINE: Duration = Duration::from_secs(30);
const DEADLINES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);

/// How every message about something missing begins.
pub(crate) const MISSING: &str = "the rule names no ";

/// Every rule that holds, numbered, and which of them are the allow rules of this file. `http` is
/// the level of its rules on the ports of HTTP; those of the extended policies keep theirs.
pub(crate) fn rules(
    c: &mut Checker<'_>,
    file: &File,
    base: &Base,
    http: Level,
) -> (Vec<Rule>, Range<usize>) {
    let root = Place::ROOT;
    let network = root.key("network");
    let (allow, deny) = (network.key("allow"), network.key("deny"));
    let mut rules = base.rules.clone();
    check_unique(c, file, &rules);
    let first = rules
        .iter()
        .filter(|rule| rule.effect == Effect::Allow)
        .count();
    let own = first..first + file.network.allow.len();
    for (index, rule) in file.network.allow.iter().enumerate() {
        rules.push(one_rule(c, rule, Effect::Allow, http, &allow.index(index)));
    }
    for (index, rule) in file.network.deny.iter().enumerate() {
        rules.push(one_rule(c, rule, Effect::Deny, http, &deny.index(index)));
    }
    let ask = network.key("ask");
    for (index, rule) in file.network.ask.iter().enumerate() {
        rules.push(one_rule(c, rule, Effect::Ask, http, &ask.index(index)));
    }
    rules.sort_by_key(|rule| rule.effect);

    let section = network.key("loopback");
    let section = section.key("allow");
    let mut ports = loopback(c, &file.network.loopback, &section);
    let base_loopback = base.loopback.as_ref();
    let (source, line) = match base_loopback {
        Some(rule) if ports.is_empty() => (Arc::clone(&rule.source), rule.line),
        Some(_) | None => (c.source(), c.line(&section)),
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

fn one_rule(
    c: &mut Checker<'_>,
    rule: &file::Rule,
    effect: Effect,
    http: Level,
    place: &Place<'_>,
) -> Rule {
    check_name(c, &rule.name, &place.key("name"));
    if rule.hosts.is_empty() && rule.cidrs.is_empty() {
        let message = format!("{MISSING}hosts and no CIDRs");
        let help = "add `hosts`, `cidrs` or both";
        c.error(place, &message, Some(help));
    }
    if effect == Effect::Deny && rule.multi_tenant {
        let help = "deny rules may stand under a public suffix without it";
        c.error(
            &place.key("multi_tenant"),
            "`multi_tenant` has no meaning in a deny rule",
            Some(help),
        );
    }
    let section = place.key("hosts");
    let mut hosts = Vec::with_capacity(rule.hosts.len());
    for (index, text) in rule.hosts.iter().enumerate() {
        let is_broad_meant = effect == Effect::Deny || rule.multi_tenant;
        hosts.extend(pattern(c, text, is_broad_meant, &section.index(index)));
    }
    let section = place.key("cidrs");
    let mut networks = Vec::with_capacity(rule.cidrs.len());
    for (index, text) in rule.cidrs.iter().enumerate() {
        match net::parse(text) {
            Ok(network) => networks.push(network),
            Err(error) => {
                let message = format!("{}: {error}", quote(text));
                c.error(&section.index(index), &message, Some(&error.help()));
            }
        }
    }
    let ports = ports(c, rule, effect, place);
    let levels = levels(c, rule, effect, http, place);
    let reads = effect != Effect::Deny && levels.reads(&ports);
    let deadline = deadline(c, rule, effect, place);
    if effect == Effect::Ask && rule.credential.is_some() {
        let help = "move the rule to `allow`, or take the secret out of it";
        c.error(
            &place.key("credential"),
            "a rule of `ask` adds no secret to requests",
            Some(help),
        );
    }
    Rule {
        deadline,
        http: Arc::new(requests::http(c, rule, reads, place)),
        id: RuleId::NONE,
        name: rule.name.clone(),
        effect,
        description: rule.description.clone(),
        is_shared: rule.multi_tenant,
        reason: rule.reason.clone(),
        source: c.source(),
        line: c.line(place),
        hosts,
        networks,
        ports,
        levels,
    }
}

/// How long a person has to answer.
fn deadline(c: &mut Checker<'_>, rule: &file::Rule, effect: Effect, place: &Place<'_>) -> Duration {
    let at = place.key("deadline");
    match (&rule.deadline, effect) {
        (None, Effect::Ask) => DEADLINE,
        (None, Effect::Allow | Effect::Deny) => Duration::ZERO,
        (Some(_), Effect::Allow | Effect::Deny) => {
            let help = "move the rule to `ask`, or take `deadline` out of it";
            c.error(
                &at,
                "`deadline` has a meaning only in a rule of `ask`",
                Some(help),
            );
            Duration::ZERO
        }
        (Some(text), Effect::Ask) => {
            settings::duration(c, text, DEADLINES, &at).unwrap_or(DEADLINE)
        }
    }
}

/// What is looked at on the way to the rule's hosts. Only a host has anything to look at besides
/// its address.
fn levels(
    c: &mut Checker<'_>,
    rule: &file::Rule,
    effect: Effect,
    http: Level,
    place: &Place<'_>,
) -> Levels {
    let Some(level) = rule.level else {
        let other = Level::Address;
        return Levels { http, other };
    };
    let at = place.key("level");
    if effect == Effect::Deny {
        let help = Some("what is denied is not looked at");
        c.error(&at, "`level` has no meaning in a deny rule", help);
    } else if rule.hosts.is_empty() && level != Level::Address {
        let help = Some("name the host in `hosts`, or take `level` out");
        c.error(&at, "an address has no name that could be checked", help);
    }
    Levels {
        http: level,
        other: level,
    }
}

fn ports(
    c: &mut Checker<'_>,
    rule: &file::Rule,
    effect: Effect,
    place: &Place<'_>,
) -> Vec<PortRange> {
    let section = place.key("ports");
    match (&rule.ports, effect) {
        (None, Effect::Deny) => PortRange::EVERY.to_vec(),
        (None, Effect::Allow | Effect::Ask) => {
            let message = format!("{MISSING}ports");
            let help = "add `ports`, such as `[\"443/tcp\"]`";
            c.error(place, &message, Some(help));
            Vec::new()
        }
        (Some(ports), Effect::Deny) if ports.is_empty() => {
            let message = format!("{MISSING}ports");
            let help = "take the key out to deny every port";
            c.error(&section, &message, Some(help));
            Vec::new()
        }
        (Some(ports), Effect::Allow | Effect::Ask) if ports.is_empty() => {
            let message = format!("{MISSING}ports");
            let help = "an empty list allows nothing; write ports such as `443/tcp`";
            c.error(&section, &message, Some(help));
            Vec::new()
        }
        (Some(ports), Effect::Allow | Effect::Deny | Effect::Ask) => {
            let ports = ports.iter().enumerate();
            ports
                .filter_map(|(index, port)| one_port(c, port, &section.index(index)))
                .collect()
        }
    }
}

fn one_port(c: &mut Checker<'_>, port: &file::Port, place: &Place<'_>) -> Option<PortRange> {
    let (read, word) = match port {
        file::Port::Number(number) => (PortRange::try_from(*number), number.to_string()),
        file::Port::Text(text) => (text.parse(), text.clone()),
    };
    match read {
        Ok(range) => Some(range),
        Err(error) => {
            let message = format!("{}: {error}", quote(&word));
            c.error(place, &message, Some(&error.help()));
            None
        }
    }
}

fn loopback(c: &mut Checker<'_>, loopback: &file::Loopback, place: &Place<'_>) -> Vec<PortRange> {
    let ports = loopback.allow.iter().enumerate();
    ports
        .filter(|(_, port)| !is_session(port))
        .filter_map(|(index, port)| {
            let at = place.index(index);
            let file::Port::Text(word) = port else {
                return one_port(c, port, &at);
            };
            if nearest(word, [SESSION]).is_none() {
                return one_port(c, port, &at);
            }
            let message = format!("{}: not a port", quote(word));
            c.error(&at, message, Some("did you mean `session`?"));
            None
        })
        .collect()
}

/// Reads a host pattern. One under a public suffix must be meant.
pub(crate) fn pattern(
    c: &mut Checker<'_>,
    text: &str,
    is_broad_meant: bool,
    place: &Place<'_>,
) -> Option<NamePattern> {
    let pattern = match NamePattern::parse(text) {
        Ok(pattern) => pattern,
        Err(error) => {
            let message = format!("{}: {error}", quote(text));
            c.error(place, &message, error.help().as_deref());
            return None;
        }
    };
    if !is_broad_meant && let Some(suffix) = pattern.public_suffix() {
        let message = format!(
            "{} allows names that anybody can register: `{suffix}` is a public suffix",
            quote(text)
        );
        let help = "name the host, or add `\"multi_tenant\": true` to the rule if it is meant";
        c.error(place, &message, Some(help));
    }
    Some(pattern)
}

pub(crate) fn check_name(c: &mut Checker<'_>, name: &str, place: &Place<'_>) {
    const LONGEST: usize = 64;
    let is_stray = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if name.is_empty() || name.len() > LONGEST || name.contains(is_stray) {
        let message = format!("{} cannot be a name", quote(name));
        let help = format!("write 1 to {LONGEST} of letters, digits, `_`, `.` and `-`");
        c.error(place, &message, Some(&help));
    }
}

/// Records tell rules apart by their names.
fn check_unique(c: &mut Checker<'_>, file: &File, inherited: &[Rule]) {
    let root = Place::ROOT;
    let network = root.key("network");
    let (allow, deny) = (network.key("allow"), network.key("deny"));
    let ask = network.key("ask");
    let mut names: HashMap<&str, Result<(Place<'_>, usize), &Rule>> = HashMap::new();
    names.extend(inherited.iter().map(|rule| (rule.name.as_str(), Err(rule))));
    for (section, rules) in [
        (allow, &file.network.allow),
        (deny, &file.network.deny),
        (ask, &file.network.ask),
    ] {
        for (index, rule) in rules.iter().enumerate() {
            let name = rule.name.as_str();
            let place = section.index(index);
            let at = place.key("name");
            if RESERVED.contains(&name) {
                let message = format!("`{name}` is the name of a rule of egressd's own");
                c.error(&at, message, Some("choose another name"));
                continue;
            }
            let help = Some("records tell rules apart by their names");
            match names.get(name).copied() {
                None => {
                    names.insert(name, Ok((section, index)));
                }
                Some(Err(Rule { source, line, .. })) => {
                    let name = quote(name);
                    let message =
                        format!("{name} names a rule of the extended policy ({source}:{line})");
                    c.error(&at, message, help);
                }
                Some(Ok((section, index))) => {
                    c.error(&at, format!("{} names two rules", quote(name)), help);
                    let first = section.index(index);
                    let first = c.document().range(&first.key("name"));
                    c.relate("first used here", first);
                }
            }
        }
    }
}

pub(crate) fn is_session(port: &file::Port) -> bool {
    matches!(port, file::Port::Text(text) if text == SESSION)
}
