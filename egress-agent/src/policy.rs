//! The policy: parse, check, compile, and the look-ups that every layer shares.
//!
//! ```text
//! text ──text──▶ places ┐
//!   └─serde──▶ file ────┴─check──▶ rules ──compile──▶ kernel tables
//!               └ shape (why serde refused)   └──▶ decide_name, explain
//! ```
//!
//! A [`Policy`] cannot be wrong: whatever could not be enforced as written was refused with its
//! line and what to write instead. Nothing here does I/O but [`Policy::load`].
//!
//! ```
//! use egress_agent::policy::{Name, NameDecision, Policy};
//!
//! let text = r#"{
//!   "version": 1,
//!   "network": { "allow": [
//!     { "name": "anthropic", "hosts": ["api.anthropic.com"], "ports": ["443/tcp"] }
//!   ] }
//! }"#;
//! let policy = Policy::parse(text, "policy.json").unwrap();
//! let decide = |name| policy.decide_name(&Name::parse(name).unwrap());
//! assert!(matches!(decide("api.anthropic.com"), NameDecision::Allow(_)));
//! assert!(matches!(decide("example.com"), NameDecision::Deny { .. }));
//! ```

mod check;
mod compile;
mod credential;
mod explain;
mod extend;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod glob;
mod granted;
mod import;
mod inspect;
mod learn;
mod lint;
mod load;
mod name;
pub mod net;
mod network;
mod opening;
mod path;
mod pattern;
mod port;
mod portset;
mod problem;
pub mod profiles;
mod quantity;
mod requests;
mod rule;
mod session;
mod settings;
mod shape;
mod shared;
pub(crate) use crate::inspect::suffix;
mod suggest;
mod tables;
mod text;
mod tools;

#[cfg(test)]
mod model;
#[cfg(test)]
mod shipped;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use egress_common::{Flow, Mode, Protocol, RESOLVER_SLOTS, Reason, RuleId, Verdict};
use sha2::{Digest as _, Sha256};

use self::{
    check::Checked,
    extend::Section,
    granted::{Granted, Views},
    load::Loader,
    pattern::PatternTable,
};
/// How a file is checked: the packs of content rules are checked the same way.
pub(crate) use self::{
    check::Checker,
    file::{Comment, distinct, given},
    problem::nearest,
    shape::{Shape, to_json},
    text::{Place, locate, parse as parse_text, syntax},
};
pub use self::{
    compile::Tables,
    credential::{
        Credential, CredentialError, Place as CredentialPlace, Secret, Secrets,
        Source as CredentialSource,
    },
    explain::{Answer, Explainer, Explanation, Host, InvalidTarget, Target, explain_connect},
    file::{Level, schema},
    glob::{Glob, Globs, InvalidGlob},
    granted::{CannotGrant, Given},
    import::{Imported, InvalidImport, from_cpeg},
    inspect::{Action, InspectSettings, PackSource},
    learn::{CannotAdd, Needs, Suggestion, with_rules},
    name::{InvalidName, MAX_NAME, Name},
    net::METADATA,
    opening::{InvalidWanted, Wanted},
    path::{InvalidPath, InvalidPathPattern, PathPattern, RequestPath},
    pattern::{InvalidPattern, NamePattern},
    port::{InvalidPorts, PortRange},
    portset::{PortEntry, PortSets},
    problem::{Invalid, Problem, Related, Severity, draw, quote},
    requests::{Budget, Http, RequestRule},
    rule::{
        AuditSettings, DnsSettings, Effect, LOOPBACK, Levels, OfAnswer, OfRequest, ProxySettings,
        Rule, Upstream,
    },
    session::{ListedSocket, Need, Places, SessionSettings},
    shared::Shared,
    suggest::suggest,
    tables::TableRules,
    tools::{Connector, GitScope, ToolSettings, Unclear},
};
use crate::content::{Content, ContentError};

/// A checked policy. Immutable; share it in an `Arc`.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    source: String,
    files: Vec<PathBuf>,
    digest: Arc<str>,
    checked: Arc<Checked>,
    names: Arc<NameTables>,
    /// What was granted beside it.
    granted: Option<Arc<Granted>>,
    views: Arc<Views>,
    /// The session for which it decides, where some sessions are granted more than others.
    session: Option<u64>,
    /// The kernel tables, built when the first address is asked about.
    tables: Arc<OnceLock<TableRules>>,
    content: Arc<Content>,
    secrets: Arc<Secrets>,
}

/// The names of a policy's file.
#[derive(Debug, Default)]
struct NameTables {
    allow: PatternTable<RuleId>,
    /// Names that are denied on every port.
    deny: PatternTable<RuleId>,
    /// Names that are denied on some ports.
    deny_ports: PatternTable<RuleId>,
    /// Names that a person is asked about.
    ask: PatternTable<RuleId>,
    /// Rules about addresses that a person is asked about.
    ask_networks: Vec<RuleId>,
    /// Whether there is any such rule.
    asks: bool,
    private: PatternTable<()>,
    exempt: PatternTable<()>,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("cannot read the policy `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("section `inspect` cannot be used")]
    Content(#[from] ContentError),
}

/// What a policy says about a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameDecision {
    /// `rule` is [`RuleId::NONE`] when no rule names it.
    Deny {
        reason: Reason,
        rule: RuleId,
    },
    Allow(NameGrant),
}

/// What an allowed name is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameGrant {
    /// Allow rules, the most specific first: exact, then the longer pattern; the earlier rule of
    /// equals. Behind them the deny rules that take some ports away. At least one allow rule.
    pub rules: Vec<RuleId>,
    /// The pattern that the first rule matched by, when it is no exact name: budgets count for
    /// each pattern.
    pub wildcard: Option<NamePattern>,
    /// When the first of the rules that were granted for a time ends: boot time in nanoseconds,
    /// [`u64::MAX`] where none is.
    pub until: u64,
}

impl Policy {
    /// Reads and checks a policy file, and the ones that it extends.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let mut policy = Loader::default().file(path)?;
        let content = Content::load(policy.inspect())?;
        policy.files.extend(content.files().map(Path::to_owned));
        policy.content = Arc::new(content);
        Ok(policy)
    }

    /// Checks a policy. `source` is the name of its file for messages. It may extend profiles; one
    /// that extends a file must be loaded.
    pub fn parse(text: &str, source: &str) -> Result<Self, Invalid> {
        Loader::default().placeless(text, source)
    }

    /// Checks a text as if it stood in this file.
    pub fn parse_at(text: &str, path: &Path) -> Result<Self, Invalid> {
        Loader::default().text(text, path)
    }

    pub fn warnings(&self) -> &[Problem] {
        &self.checked.warnings
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn description(&self) -> &str {
        &self.checked.description
    }

    /// The name of the file, as it was given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Every file that it was read from, its own first. Empty for a text.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// SHA-256 of the text in hexadecimal; with `extends`, of the text, and for each extended
    /// policy a zero byte and its digest.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub fn mode(&self) -> Mode {
        self.checked.mode
    }

    /// A positive errno.
    pub fn denial_errno(&self) -> u32 {
        use rustix::io::Errno;
        let errno = match self.checked.errno {
            file::Errno::Eperm => Errno::PERM,
            file::Errno::Eacces => Errno::ACCESS,
            file::Errno::Econnrefused => Errno::CONNREFUSED,
        };
        errno.raw_os_error().unsigned_abs()
    }

    /// Whether listeners of the session may answer clients on this machine's loopback device.
    pub fn inbound_loopback(&self) -> bool {
        self.checked.inbound == file::Inbound::Loopback
    }

    /// Whether listeners of the same session on loopback are reachable.
    pub fn session_loopback(&self) -> bool {
        self.checked.session_loopback
    }

    pub fn dns(&self) -> &DnsSettings {
        &self.checked.dns
    }

    pub fn proxy(&self) -> &ProxySettings {
        &self.checked.proxy
    }

    pub fn audit(&self) -> &AuditSettings {
        &self.checked.audit
    }

    pub fn session(&self) -> &SessionSettings {
        &self.checked.session
    }

    pub fn tools(&self) -> &ToolSettings {
        &self.checked.tools
    }

    pub fn inspect(&self) -> &InspectSettings {
        &self.checked.inspect
    }

    /// The same section, made ready. One that names packs says no to everything unless the policy
    /// was loaded from a file.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Reads the secrets that rules add to requests. Without this, requests that need one are
    /// refused.
    pub fn load_secrets(&mut self) -> Result<(), CredentialError> {
        self.secrets = Arc::new(Secrets::load(self.rules())?);
        Ok(())
    }

    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        portset::find(self.rules(), id)
    }

    /// Allow rules, deny rules, rules of `ask`, then the rule for loopback ports if there is one,
    /// then what was granted. The rule at index 0 has the id 1.
    pub fn rules(&self) -> &[Rule] {
        match &self.granted {
            Some(granted) => granted.rules(),
            None => &self.checked.rules,
        }
    }

    /// Decides about a name. Costs one hash for each label.
    pub fn decide_name(&self, name: &Name) -> NameDecision {
        let ids = |table: &PatternTable<RuleId>| -> Vec<RuleId> {
            table.find(name).flat_map(|hit| hit.values()).collect()
        };
        let denying = self.names.deny.find(name).flat_map(|hit| hit.values());
        if let Some(rule) = denying.into_iter().next() {
            return NameDecision::Deny {
                reason: Reason::DeniedByRule,
                rule,
            };
        }
        let mut denials = ids(&self.names.deny_ports);
        dedup(&mut denials);
        let Some((pattern, mut rules)) = self.allowing(name) else {
            return self.asking(name, denials);
        };
        dedup(&mut rules);
        let until = self.until(&rules);
        let denying = denials.first().copied();
        rules.append(&mut denials);
        if let Some(rule) = denying
            && portset::allowed_pieces(self.rules(), &rules).is_empty()
        {
            return NameDecision::Deny {
                reason: Reason::DeniedByRule,
                rule,
            };
        }
        NameDecision::Allow(NameGrant {
            rules,
            wildcard: (!pattern.is_exact()).then_some(pattern),
            until,
        })
    }

    /// Decides about a connection to a name: by the look-up of [`Self::decide_name`] and the ports
    /// of its rules. The error has the deny rule, or [`RuleId::NONE`].
    pub fn decide_host(
        &self,
        name: &Name,
        protocol: Protocol,
        port: u16,
    ) -> Result<RuleId, (Reason, RuleId)> {
        let rules = match self.decide_name(name) {
            NameDecision::Deny {
                reason: Reason::NeedsApproval,
                ..
            } => {
                return Err(self.asked_or_not(name, protocol, port));
            }
            NameDecision::Deny { reason, rule } => return Err((reason, rule)),
            NameDecision::Allow(grant) => grant.rules,
        };
        let holds = |range: &PortRange| range.contains(protocol, port);
        let pieces = portset::allowed_pieces(self.rules(), &rules);
        if let Some(piece) = pieces.iter().find(|piece| holds(&piece.range)) {
            return Ok(piece.rule);
        }
        let mut rules = rules.iter().filter_map(|id| self.rule(*id));
        match rules.find(|rule| rule.effect == Effect::Deny && rule.ports.iter().any(holds)) {
            Some(rule) => Err((Reason::DeniedByRule, rule.id)),
            None => Err(self.asked_or_not(name, protocol, port)),
        }
    }

    /// Why a name that is not denied as a whole is not to be had on this port.
    fn asked_or_not(&self, name: &Name, protocol: Protocol, port: u16) -> (Reason, RuleId) {
        if let Some(rule) = self.asked(&Host::Name(name.clone()), protocol, port) {
            return (Reason::NeedsApproval, rule);
        }
        let denials = self.names.deny_ports.find(name);
        let mut denials = denials
            .flat_map(|hit| hit.values())
            .filter_map(|id| self.rule(id));
        let holds = |rule: &&Rule| {
            rule.ports
                .iter()
                .any(|range| range.contains(protocol, port))
        };
        match denials.find(holds) {
            Some(rule) => (Reason::DeniedByRule, rule.id),
            None => (Reason::PortNotAllowed, RuleId::NONE),
        }
    }

    /// Decides about an address that no name led to, by the tables that the kernel reads.
    pub fn decide_address(&self, flow: &Flow) -> Verdict {
        let config = self.config(1, [0; RESOLVER_SLOTS]);
        let verdict = self.table_rules().decide(&config, flow);
        let Verdict::Deny(Reason::NoRule | Reason::PortNotAllowed, _) = verdict else {
            return verdict;
        };
        let host = Host::Address(flow.destination.into());
        match self.asked(&host, flow.protocol, flow.port) {
            Some(rule) => Verdict::Deny(Reason::NeedsApproval, rule),
            None => verdict,
        }
    }

    /// Whether a name may resolve to private, shared and link-local addresses.
    pub fn is_private_allowed(&self, name: &Name) -> bool {
        self.names.private.find(name).next().is_some()
    }

    /// Whether TLS for this host stays shut where a rule has level `http`.
    pub fn is_exempt(&self, name: &Name) -> bool {
        self.names.exempt.find(name).next().is_some()
    }

    /// Whether any rule opens TLS. On port 80 there is none to be opened.
    pub fn opens_tls(&self) -> bool {
        let allows = |rule: &&Rule| rule.effect != Effect::Deny && !rule.hosts.is_empty();
        let mut rules = self.rules().iter().filter(allows);
        rules.any(|rule| rule.levels.opens_tls(&rule.ports))
    }

    /// The kernel tables, with port sets numbered by `sets`.
    pub fn compile(&self, sets: &mut PortSets) -> Tables {
        let plan = self.granted.as_ref().and_then(|granted| granted.plan());
        plan.unwrap_or(&self.checked.plan)
            .number(self.edition(), sets)
    }

    /// The tables as [`Explainer`] reads them.
    pub(crate) fn table_rules(&self) -> &TableRules {
        let granted = self.granted.as_ref().and_then(|granted| granted.tables());
        granted
            .unwrap_or(&*self.tables)
            .get_or_init(|| TableRules::new(&self.compile(&mut PortSets::starting_at(1))))
    }

    /// Says which rule every id means: another one for every change.
    pub(crate) fn edition(&self) -> &Arc<str> {
        match &self.granted {
            Some(granted) => granted.edition(),
            None => &self.digest,
        }
    }

    pub(crate) fn digest_shared(&self) -> &Arc<str> {
        &self.digest
    }

    pub(crate) fn errno(&self) -> file::Errno {
        self.checked.errno
    }

    /// Sections that it writes, or one that it extends.
    pub(crate) fn said(&self) -> &BTreeSet<Section> {
        &self.checked.said
    }

    /// The longest row of policies that extend each other, this one with it.
    pub(crate) fn height(&self) -> usize {
        self.checked.height
    }

    pub(crate) fn inbound(&self) -> file::Inbound {
        self.checked.inbound
    }

    fn new(text: &str, source: &str, checked: Checked) -> Self {
        let mut hash = Sha256::new_with_prefix(text);
        for base in &checked.base_digests {
            hash.update([0]);
            hash.update(base.as_bytes());
        }
        let mut digest = String::with_capacity(64);
        for byte in hash.finalize() {
            digest.extend([byte >> 4, byte & 15].map(hex_digit));
        }
        let content = Arc::new(Content::new(&checked.inspect));
        let mut names = NameTables::default();
        for rule in &checked.rules {
            let table = match rule.effect {
                Effect::Allow => &mut names.allow,
                Effect::Deny if rule.covers_every_port() => &mut names.deny,
                Effect::Deny => &mut names.deny_ports,
                Effect::Ask => &mut names.ask,
            };
            table.extend(&rule.hosts, rule.id);
            names.asks |= rule.effect == Effect::Ask;
            if rule.effect == Effect::Ask && !rule.networks.is_empty() {
                names.ask_networks.push(rule.id);
            }
        }
        names.private.extend(&checked.dns.private, ());
        names.exempt.extend(&checked.proxy.exempt, ());
        Self {
            name: checked.name.clone().unwrap_or_else(|| stem(source)),
            source: source.to_owned(),
            files: checked.base_files.clone(),
            digest: digest.into(),
            checked: Arc::new(checked),
            names: Arc::new(names),
            granted: None,
            views: Arc::default(),
            session: None,
            tables: Arc::default(),
            content,
            secrets: Arc::default(),
        }
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

fn stem(source: &str) -> String {
    let stem = Path::new(source).file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Keeps the first of each.
fn dedup(rules: &mut Vec<RuleId>) {
    let mut seen = std::collections::HashSet::new();
    rules.retain(|rule| seen.insert(*rule));
}

#[cfg(test)]
mod tests;
