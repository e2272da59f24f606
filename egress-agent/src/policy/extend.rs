//! `extends`: the policies that a file builds on, each read once, and what holds of several.
//!
//! Rules, loopback ports and lists add up, and of two actions the stricter one holds, so that the
//! order of the list means nothing. Where two say something that cannot add up (which resolver,
//! which log), the file that extends them has to say it.
//!
//! A profile of the maintained ones has rules and nothing else: what it does not write, it has no
//! opinion on. A file has one on how strict to be, also where it leaves a section to its default.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    path::PathBuf,
    sync::Arc,
};

use egress_common::Mode;

use super::{
    Policy,
    check::Checker,
    file::{self, Errno, Extends, File, Inbound},
    inspect::{self, InspectSettings},
    problem::quote,
    profiles::PREFIX,
    rule::{AuditSettings, DnsSettings, Effect, LOOPBACK, ProxySettings, Rule},
    session::{self, SessionSettings},
    settings,
    text::Place,
    tools::{self, ToolSettings},
};

/// Policies that may extend each other in a row.
pub(crate) const MAX_DEPTH: usize = 8;

/// Finds a policy that a file extends, by what stands there. The error is one line.
pub(crate) type LoadBase<'l> = &'l mut dyn FnMut(&str) -> Result<Arc<Policy>, String>;

/// A section that a policy, or one that it extends, writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Mode,
    Errno,
    Inbound,
    Dns,
    Audit,
    Proxy,
    Session,
    Tools,
    Inspect,
}

/// What the extended policies say together. `None` where none of them says anything.
#[derive(Debug, Default)]
pub(crate) struct Base {
    pub(crate) mode: Option<Mode>,
    pub(crate) errno: Option<Errno>,
    pub(crate) inbound: Option<Inbound>,
    /// Allow and deny rules.
    pub(crate) rules: Vec<Rule>,
    pub(crate) loopback: Option<Rule>,
    pub(crate) session_loopback: bool,
    pub(crate) dns: Option<DnsSettings>,
    pub(crate) audit: Option<AuditSettings>,
    pub(crate) proxy: Option<ProxySettings>,
    pub(crate) session: Option<SessionSettings>,
    pub(crate) tools: Option<ToolSettings>,
    pub(crate) inspect: Option<InspectSettings>,
    pub(crate) said: BTreeSet<Section>,
    pub(crate) digests: Vec<Arc<str>>,
    pub(crate) files: Vec<PathBuf>,
    /// The longest row of policies that extend each other.
    pub(crate) height: usize,
}

/// One entry of `extends`.
struct Entry {
    /// As it is written.
    text: String,
    index: usize,
    policy: Arc<Policy>,
}

impl Entry {
    /// Whether it is no more than what it writes.
    fn is_profile(&self) -> bool {
        self.text.starts_with(PREFIX)
    }

    fn says(&self, section: Section) -> bool {
        self.policy.said().contains(&section)
    }

    fn judges(&self, section: Section) -> bool {
        !self.is_profile() || self.says(section)
    }
}

/// Sections that the file writes itself.
pub(crate) fn written(file: &File) -> BTreeSet<Section> {
    let sections = [
        (Section::Mode, file.mode.is_some()),
        (Section::Errno, file.network.errno.is_some()),
        (Section::Inbound, file.network.inbound.is_some()),
        (Section::Dns, file.dns.is_some()),
        (Section::Audit, file.audit.is_some()),
        (Section::Proxy, file.proxy.is_some()),
        (Section::Session, file.session.is_some()),
        (Section::Tools, file.tools.is_some()),
        (Section::Inspect, file.inspect.is_some()),
    ];
    let sections = sections.into_iter();
    sections
        .filter_map(|(section, is_written)| is_written.then_some(section))
        .collect()
}

/// Loads what a file extends.
pub(crate) fn base(c: &mut Checker<'_>, file: &File, load: LoadBase<'_>) -> Base {
    let entries = entries(c, file.extends.as_ref(), load);
    let mut base = Base::default();
    for entry in &entries {
        let policy = &entry.policy;
        base.height = base.height.max(policy.height());
        base.session_loopback |= policy.session_loopback();
        base.said.extend(policy.said());
        base.digests.push(Arc::clone(policy.digest_shared()));
        for path in policy.files() {
            if !base.files.contains(path) {
                base.files.push(path.clone());
            }
        }
        if entry.judges(Section::Mode) {
            base.mode = stricter(base.mode, policy.mode());
        }
    }
    rules(c, file, &entries, &mut base);
    replaced(c, file, &entries, &mut base);
    restricting(c, file, &entries, &mut base);
    base
}

fn entries(c: &mut Checker<'_>, extends: Option<&Extends>, load: LoadBase<'_>) -> Vec<Entry> {
    let texts = match extends {
        None => &[][..],
        Some(Extends::One(text)) => std::slice::from_ref(text),
        Some(Extends::Many(texts)) => texts,
    };
    let mut entries: Vec<Entry> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        if text.is_empty() || text.chars().any(char::is_control) {
            let help = format!("write a path, or a profile such as `{PREFIX}node`");
            report(
                c,
                extends,
                index,
                format!("{} is no path", quote(text)),
                &help,
            );
        } else if entries.iter().any(|entry| entry.text == *text) {
            let message = format!("{} is named twice", quote(text));
            report(c, extends, index, message, "keep one of the two");
        } else {
            match load(text) {
                Ok(policy) => entries.push(Entry {
                    text: text.clone(),
                    index,
                    policy,
                }),
                Err(why) => report(c, extends, index, why, ""),
            }
        }
    }
    entries
}

/// The rules of all of them. One that several have from the same file is one.
fn rules(c: &mut Checker<'_>, file: &File, entries: &[Entry], base: &mut Base) {
    let mut known: HashMap<String, (Arc<str>, u32)> = HashMap::new();
    for entry in entries {
        for rule in entry.policy.rules() {
            if rule.name == LOOPBACK {
                join_loopback(&mut base.loopback, rule);
                continue;
            }
            match known.get(&rule.name) {
                None => {
                    let place = (Arc::clone(&rule.source), rule.line);
                    known.insert(rule.name.clone(), place);
                    base.rules.push(rule.clone());
                }
                Some((source, _)) if *source == rule.source => {}
                Some((source, line)) => {
                    let message = format!(
                        "{} names two rules of the extended policies ({source}:{line} and {}:{})",
                        quote(&rule.name),
                        rule.source,
                        rule.line
                    );
                    let help = "records tell rules apart by their names: rename one of the two";
                    report(c, file.extends.as_ref(), entry.index, message, help);
                }
            }
        }
    }
    base.rules
        .sort_by_key(|rule: &Rule| -> Effect { rule.effect });
}

fn join_loopback(known: &mut Option<Rule>, rule: &Rule) {
    match known {
        None => *known = Some(rule.clone()),
        Some(known) => {
            for range in &rule.ports {
                if !known.ports.contains(range) {
                    known.ports.push(*range);
                }
            }
        }
    }
}

/// What takes the place of something: one may say it, or all the same.
fn replaced(c: &mut Checker<'_>, file: &File, entries: &[Entry], base: &mut Base) {
    let own = written(file);
    let mut agree = Agree {
        c,
        extends: file.extends.as_ref(),
        own: &own,
        entries,
    };
    base.errno = agree.on(Section::Errno, "network.errno", Policy::errno);
    base.inbound = agree.on(Section::Inbound, "network.inbound", Policy::inbound);
    base.audit = agree.on(Section::Audit, "audit", |policy| policy.audit().clone());
    let dns = agree.on(Section::Dns, "dns", |policy| DnsSettings {
        private: Vec::new(),
        ..policy.dns().clone()
    });
    base.dns = dns.map(|mut dns| {
        for entry in entries {
            add_new(&mut dns.private, entry.policy.dns().private.iter().cloned());
        }
        dns
    });
    let proxy = agree.on(Section::Proxy, "proxy", |policy| {
        settings::replaced_of_proxy(policy.proxy())
    });
    let judges = |entry: &&Entry| entry.judges(Section::Proxy);
    for entry in entries.iter().filter(judges) {
        settings::join_proxy(&mut base.proxy, entry.policy.proxy());
    }
    if let (Some(joined), Some(said)) = (&mut base.proxy, proxy) {
        (joined.level, joined.answer_within, joined.ca) = said;
    }
}

/// What adds up, the stricter of each.
fn restricting(c: &mut Checker<'_>, file: &File, entries: &[Entry], base: &mut Base) {
    for entry in entries {
        let policy = &entry.policy;
        if entry.says(Section::Session) {
            let other = policy.session().clone();
            base.session = Some(match base.session.take() {
                None => other,
                Some(known) => session::join(known, other),
            });
        }
        if entry.judges(Section::Tools) {
            let other = policy.tools().clone();
            base.tools = Some(match base.tools.take() {
                None => other,
                Some(known) => tools::join(known, other),
            });
        }
        if entry.judges(Section::Inspect) {
            let other = policy.inspect().clone();
            base.inspect = Some(match base.inspect.take() {
                None => other,
                Some(known) => {
                    let (joined, conflicts) = inspect::join(known, other);
                    for what in conflicts {
                        let message = format!(
                            "{} and a policy before it differ in `inspect.{}`",
                            quote(&entry.text),
                            what
                        );
                        let help = "change one of the two, or extend only one";
                        report(c, file.extends.as_ref(), entry.index, message, help);
                    }
                    joined
                }
            });
        }
    }
}

struct Agree<'a, 'c> {
    c: &'a mut Checker<'c>,
    extends: Option<&'a Extends>,
    own: &'a BTreeSet<Section>,
    entries: &'a [Entry],
}

impl Agree<'_, '_> {
    fn on<T: PartialEq>(
        &mut self,
        section: Section,
        key: &str,
        value: impl Fn(&Policy) -> T,
    ) -> Option<T> {
        let mut said: Option<(&Entry, T)> = None;
        for entry in self.entries.iter().filter(|entry| entry.says(section)) {
            let value = value(&entry.policy);
            match &said {
                None => said = Some((entry, value)),
                Some((_, first)) if *first == value => {}
                Some(_) if self.own.contains(&section) => {}
                Some((first, _)) => {
                    let (one, other) = (quote(&first.text), quote(&entry.text));
                    let message = format!("{one} and {other} differ in `{key}`");
                    let help = format!("write `{key}` in this file");
                    report(self.c, self.extends, entry.index, message, &help);
                }
            }
        }
        said.map(|(_, value)| value)
    }
}

fn report(
    c: &mut Checker<'_>,
    extends: Option<&Extends>,
    index: usize,
    message: String,
    help: &str,
) {
    let root = Place::ROOT;
    let section = root.key("extends");
    let help = (!help.is_empty()).then_some(help);
    match extends {
        Some(Extends::Many(_)) => c.error(&section.index(index), message, help),
        Some(Extends::One(_)) | None => c.error(&section, message, help),
    }
}

fn stricter(known: Option<Mode>, other: Mode) -> Option<Mode> {
    match known {
        Some(Mode::Enforce) => known,
        Some(Mode::Observe) | None => Some(other),
    }
}

/// Adds what is not there yet.
pub(crate) fn add_new<T: PartialEq>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>) {
    for one in more {
        if !list.contains(&one) {
            list.push(one);
        }
    }
}

/// The mode that holds, and whether the file may say what it says.
pub(crate) fn mode(c: &mut Checker<'_>, file: &File, base: &Base) -> Mode {
    let mode = match file.mode {
        Some(file::Mode::Enforce) => Mode::Enforce,
        Some(file::Mode::Observe) => Mode::Observe,
        None => base.mode.unwrap_or(Mode::Enforce),
    };
    if base.mode == Some(Mode::Enforce) && mode == Mode::Observe {
        let help = "a policy may not weaken the one that it extends";
        let at = Place::ROOT;
        c.error(&at.key("mode"), "the extended policy enforces", Some(help));
    }
    mode
}

#[cfg(test)]
mod tests;
