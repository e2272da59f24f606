//! Section `inspect`: what happens to calls and results for what stands in them.
//!
//! With `extends`, the stricter action holds, packs add up and stay as enforced as their own file
//! says, and neither the environment nor a label of the extended policy can be changed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    check::Checker,
    extend::add_new,
    file,
    name::Name,
    problem::{nearest, quote},
    text::Place,
};
use crate::inspect::{Redaction, ids, known::SHORTEST_MARK};

/// Longer than any environment or label is called.
const LONGEST: usize = 128;

/// Section `inspect`: who judges a call or filters a result takes what is found and asks here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectSettings {
    /// For findings of the kind `secret`.
    pub secrets: Action,
    /// For findings of the kind `destructive`; never [`Action::Redact`].
    pub destructive: Action,
    /// For findings of the kind `code`; never [`Action::Redact`].
    pub code: Action,
    /// For findings of the kind `injection` in results.
    pub injection: Action,
    /// For findings of the kinds `poisoning` and `injection` in what describes a tool, a prompt or
    /// a resource; never [`Action::Redact`].
    pub poisoning: Action,
    /// How findings are taken out.
    pub redaction: Redaction,
    /// Variables whose values are secrets.
    pub environment_values: Vec<String>,
    /// Files of secrets, one a line.
    pub secrets_files: Vec<PathBuf>,
    pub canaries: Vec<String>,
    pub fingerprints: Vec<String>,
    pub internal_domains: Vec<String>,
    /// Packs of content rules, in the order of the files: the extended policy's first.
    pub packs: Vec<PackSource>,
    /// Where the agent works, for rules that ask for it.
    pub environment: Option<String>,
    /// Marks of the agent, for rules that ask for them.
    pub labels: BTreeMap<String, String>,
}

/// What is done about a finding. Greater is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Allow,
    /// It is recorded and goes on.
    Warn,
    /// A person decides.
    Ask,
    /// What was found is taken out, and the rest goes on.
    Redact,
    Deny,
}

/// A pack of content rules, or a directory of packs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackSource {
    /// Absolute, or relative to where the program runs: the policy's directory is in it.
    pub path: PathBuf,
    /// Its rules are recorded and not enforced.
    pub shadow: bool,
}

impl Default for InspectSettings {
    fn default() -> Self {
        Self {
            secrets: Action::Deny,
            destructive: Action::Warn,
            code: Action::Warn,
            injection: Action::Warn,
            poisoning: Action::Deny,
            redaction: Redaction::default(),
            environment_values: Vec::new(),
            secrets_files: Vec::new(),
            canaries: Vec::new(),
            fingerprints: Vec::new(),
            internal_domains: Vec::new(),
            packs: Vec::new(),
            environment: None,
            labels: BTreeMap::new(),
        }
    }
}

impl Action {
    pub const fn code(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Ask => "ask",
            Self::Redact => "redact",
            Self::Deny => "deny",
        }
    }
}

impl From<file::Action> for Action {
    fn from(written: file::Action) -> Self {
        match written {
            file::Action::Allow => Self::Allow,
            file::Action::Warn => Self::Warn,
            file::Action::Ask => Self::Ask,
            file::Action::Redact => Self::Redact,
            file::Action::Deny => Self::Deny,
        }
    }
}

/// The settings of this file and of the policies that it extends.
pub(super) fn settings(
    c: &mut Checker<'_>,
    inspect: Option<&file::Inspect>,
    base: Option<&InspectSettings>,
    place: &Place<'_>,
) -> InspectSettings {
    let Some(inspect) = inspect else {
        return base.cloned().unwrap_or_default();
    };
    let file::Inspect {
        comment: _,
        description: _,
        secrets,
        destructive,
        code,
        injection,
        poisoning,
        redaction,
        environment_values,
        secrets_file,
        canaries,
        fingerprints,
        internal_domains,
        packs: own,
        shadow,
        environment: _,
        labels: _,
    } = inspect;
    for (key, written, instead) in [
        (
            "destructive",
            destructive,
            "a command without a part of it is another command",
        ),
        ("code", code, "code without a part of it is other code"),
        (
            "poisoning",
            poisoning,
            "a description without a part of it is no longer the server's",
        ),
    ] {
        if *written == Some(file::Action::Redact) {
            let message = format!("`redact` is no answer to `{key}`: {instead}");
            let help = "write `deny`, `ask`, `warn` or `allow`";
            c.error(&place.key(key), message, Some(help));
        }
    }
    let default = InspectSettings::default();
    let pick = |own: &Option<file::Action>, of: fn(&InspectSettings) -> Action| {
        let own = own.map(Action::from);
        match (own, base.map(of)) {
            (Some(own), Some(base)) => own.max(base),
            (own, base) => own.or(base).unwrap_or(of(&default)),
        }
    };
    let mut all = base.map(|base| base.packs.clone()).unwrap_or_default();
    all.extend(packs(c, own, *shadow, &place.key("packs")));
    if *shadow && own.is_empty() {
        let help = "name the packs in `packs`, or take `shadow` out";
        c.error(
            &place.key("shadow"),
            "`shadow` is for the packs of this file, and there are none",
            Some(help),
        );
    }
    let mut strategies = base.map(|base| base.redaction.clone()).unwrap_or_default();
    for (detector, strategy) in redaction {
        if !ids().any(|id| id == detector) {
            let message = format!("{} is no detector", quote(detector));
            let near = nearest(detector, ids());
            let help = near.map(|near| format!("did you mean `{near}`?"));
            c.error(
                &place.key("redaction").key(detector),
                message,
                help.as_deref(),
            );
        }
        strategies.strategies.insert(detector.clone(), *strategy);
    }
    let marks = [("canaries", canaries), ("fingerprints", fingerprints)];
    for (key, list) in marks {
        for (index, mark) in list.iter().enumerate() {
            if mark.chars().count() < SHORTEST_MARK {
                let message = format!("{} is too short to be told from other text", quote(mark));
                let help = format!("write at least {SHORTEST_MARK} characters");
                c.error(&place.key(key).index(index), message, Some(&help));
            }
        }
    }
    for (index, domain) in internal_domains.iter().enumerate() {
        if let Err(error) = Name::parse(domain) {
            let help = "write it like `corp.example.com`";
            let list = place.key("internal_domains");
            c.error(&list.index(index), error.to_string(), Some(help));
        }
    }
    for (index, name) in environment_values.iter().enumerate() {
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_sign) {
            let message = format!("{} is no name of a variable", quote(name));
            let list = place.key("environment_values");
            c.error(
                &list.index(index),
                message,
                Some("write the name alone, such as `GITHUB_TOKEN`"),
            );
        }
    }
    let source = c.source();
    let directory = Path::new(&*source).parent().unwrap_or(Path::new(""));
    let secrets_file = secrets_file.iter().map(|file| directory.join(file));
    let joined = |own: &[String], of: fn(&InspectSettings) -> &Vec<String>| {
        let mut all = base.map(|base| of(base).clone()).unwrap_or_default();
        all.extend_from_slice(own);
        all
    };
    InspectSettings {
        environment_values: joined(environment_values, |base| &base.environment_values),
        secrets_files: base
            .map(|base| base.secrets_files.clone())
            .into_iter()
            .flatten()
            .chain(secrets_file)
            .collect(),
        canaries: joined(canaries, |base| &base.canaries),
        fingerprints: joined(fingerprints, |base| &base.fingerprints),
        internal_domains: joined(internal_domains, |base| &base.internal_domains),
        secrets: pick(secrets, |base| base.secrets),
        destructive: pick(destructive, |base| base.destructive),
        code: pick(code, |base| base.code),
        injection: pick(injection, |base| base.injection),
        poisoning: pick(poisoning, |base| base.poisoning),
        redaction: strategies,
        packs: all,
        environment: environment(c, inspect, base, &place.key("environment")),
        labels: labels(c, inspect, base, &place.key("labels")),
    }
}

/// What holds of two policies that a file extends, and the keys in which they contradict each
/// other.
pub(super) fn join(
    mut known: InspectSettings,
    other: InspectSettings,
) -> (InspectSettings, Vec<String>) {
    let InspectSettings {
        secrets,
        destructive,
        code,
        injection,
        poisoning,
        redaction,
        environment_values,
        secrets_files,
        canaries,
        fingerprints,
        internal_domains,
        packs,
        environment,
        labels,
    } = other;
    let mut conflicts = Vec::new();
    known.secrets = known.secrets.max(secrets);
    known.destructive = known.destructive.max(destructive);
    known.code = known.code.max(code);
    known.injection = known.injection.max(injection);
    known.poisoning = known.poisoning.max(poisoning);
    for (detector, strategy) in redaction.strategies {
        let strategies = &mut known.redaction.strategies;
        if strategies
            .get(&detector)
            .is_some_and(|one| *one != strategy)
        {
            conflicts.push(format!("redaction.{detector}"));
        }
        strategies.insert(detector, strategy);
    }
    add_new(&mut known.environment_values, environment_values);
    add_new(&mut known.secrets_files, secrets_files);
    add_new(&mut known.canaries, canaries);
    add_new(&mut known.fingerprints, fingerprints);
    add_new(&mut known.internal_domains, internal_domains);
    for pack in packs {
        match known.packs.iter_mut().find(|one| one.path == pack.path) {
            // Who enforces it, has it enforced.
            Some(one) => one.shadow &= pack.shadow,
            None => known.packs.push(pack),
        }
    }
    known.environment = match (known.environment, environment) {
        (Some(one), Some(other)) if !one.eq_ignore_ascii_case(&other) => {
            conflicts.push("environment".to_owned());
            Some(one)
        }
        (one, other) => one.or(other),
    };
    for (label, value) in labels {
        if known.labels.get(&label).is_some_and(|one| *one != value) {
            conflicts.push(format!("labels.{label}"));
        }
        known.labels.insert(label, value);
    }
    (known, conflicts)
}

fn packs(
    c: &mut Checker<'_>,
    written: &[String],
    shadow: bool,
    place: &Place<'_>,
) -> Vec<PackSource> {
    let source = c.source();
    let directory = Path::new(&*source).parent().unwrap_or(Path::new(""));
    let mut packs: Vec<PackSource> = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let at = place.index(index);
        if text.is_empty() || text.chars().any(char::is_control) {
            let help = "write a file such as `packs/baseline.json`, or a directory of packs";
            c.error(&at, format!("{} is no path", quote(text)), Some(help));
            continue;
        }
        let path = directory.join(text);
        if packs.iter().any(|pack| pack.path == path) {
            let message = format!("{} is named twice", quote(text));
            c.error(&at, message, Some("keep one of the two"));
            continue;
        }
        packs.push(PackSource { path, shadow });
    }
    packs
}

fn environment(
    c: &mut Checker<'_>,
    inspect: &file::Inspect,
    base: Option<&InspectSettings>,
    place: &Place<'_>,
) -> Option<String> {
    let base = base.and_then(|base| base.environment.as_ref());
    let own = inspect.environment.as_ref();
    if let Some(own) = own {
        check_word(c, own, place);
    }
    if let (Some(own), Some(base)) = (own, base)
        && !own.eq_ignore_ascii_case(base)
    {
        let message = format!("the extended policy says that this is {}", quote(base));
        let help = "a policy may not slip out of the rules of the one that it extends";
        c.error(place, message, Some(help));
    }
    own.or(base).cloned()
}

fn labels(
    c: &mut Checker<'_>,
    inspect: &file::Inspect,
    base: Option<&InspectSettings>,
    place: &Place<'_>,
) -> BTreeMap<String, String> {
    let mut labels = base.map(|base| base.labels.clone()).unwrap_or_default();
    for (key, value) in &inspect.labels {
        let at = place.key(key);
        check_word(c, key, &at);
        check_word(c, value, &at);
        if let Some(other) = labels.insert(key.clone(), value.clone())
            && other != *value
        {
            let message = format!(
                "the extended policy gives {} the value {}",
                quote(key),
                quote(&other)
            );
            let help = "a policy may not slip out of the rules of the one that it extends";
            c.error(&at, message, Some(help));
        }
    }
    labels
}

fn check_word(c: &mut Checker<'_>, word: &str, place: &Place<'_>) {
    if word.trim().is_empty() || word.len() > LONGEST || word.chars().any(char::is_control) {
        let message = format!("{} is no word that a rule can ask for", quote(word));
        let help = format!("write one to {LONGEST} bytes of text without control characters");
        c.error(place, message, Some(&help));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Policy, *};

    fn parse(inspect: &str) -> Result<InspectSettings, String> {
        let text = format!("{{ \"version\": 1, \"inspect\": {inspect} }}");
        let policy = Policy::parse(&text, "/etc/egressd/p.json");
        policy
            .map(|policy| policy.inspect().clone())
            .map_err(|invalid| invalid.to_string())
    }

    #[track_caller]
    fn refused(inspect: &str, expected: &[&str]) {
        let told = parse(inspect).unwrap_err();
        for part in expected {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn without_the_section_the_defaults_hold() {
        let policy = Policy::parse(r#"{ "version": 1 }"#, "p").unwrap();
        assert_eq!(*policy.inspect(), InspectSettings::default());
        assert_eq!(parse("{}").unwrap(), InspectSettings::default());
        let settings = parse(r#"{ "code": "deny" }"#).unwrap();
        assert_eq!(settings.code, Action::Deny);
        assert_eq!(settings.secrets, Action::Deny);
    }

    #[test]
    fn packs_are_relative_to_the_file() {
        let settings = parse(r#"{ "packs": ["packs/a.json", "/opt/b"], "shadow": true }"#).unwrap();
        let paths: Vec<_> = settings
            .packs
            .iter()
            .map(|pack| pack.path.to_str().unwrap())
            .collect();
        assert_eq!(paths, ["/etc/egressd/packs/a.json", "/opt/b"]);
        assert!(settings.packs.iter().all(|pack| pack.shadow));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_help() {
        refused(
            r#"{ "code": "redact" }"#,
            &["1:38", "`redact` is no answer to `code`", "write `deny`"],
        );
        refused(r#"{ "destructive": "redact" }"#, &["another command"]);
        refused(
            r#"{ "secrets": "dney" }"#,
            &["unknown word `dney`", "did you mean `deny`?"],
        );
        refused(
            r#"{ "secret": "deny" }"#,
            &["unknown key `secret`", "`secrets`"],
        );
        refused(r#"{ "packs": ["a", "a"] }"#, &["named twice"]);
        refused(r#"{ "packs": [""] }"#, &["is no path"]);
        refused(r#"{ "shadow": true }"#, &["there are none"]);
        refused(r#"{ "environment": " " }"#, &["no word"]);
        refused(r#"{ "labels": { "a": 1 } }"#, &["expected text, found `1`"]);
        refused(
            r#"{ "labels": { "a": "x", "a": "y" } }"#,
            &["key `a` is given twice"],
        );
        refused(r#"{ "labels": [] }"#, &["expected an object, found a list"]);
    }

    #[test]
    fn the_stricter_of_two_policies_holds() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, inspect: &str, extends: &str| {
            let text = format!("{{ \"version\": 1, {extends} \"inspect\": {inspect} }}");
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        for name in ["base-pack", "own-pack"] {
            let text = format!("{{ \"version\": 1, \"name\": \"{name}\", \"rules\": [] }}");
            std::fs::write(dir.path().join(format!("{name}.json")), text).unwrap();
        }
        write(
            "base.json",
            r#"{ "secrets": "redact", "code": "deny", "packs": ["base-pack.json"],
                 "environment": "production", "labels": { "team": "core" } }"#,
            "",
        );
        let extends = r#""extends": "base.json","#;
        let own = r#"{ "secrets": "warn", "injection": "deny", "packs": ["own-pack.json"],
                       "shadow": true, "labels": { "tier": "1" } }"#;
        let policy = Policy::load(&write("own.json", own, extends)).unwrap();
        let settings = policy.inspect();
        assert_eq!(settings.secrets, Action::Redact);
        assert_eq!(settings.code, Action::Deny);
        assert_eq!(settings.injection, Action::Deny);
        assert_eq!(settings.environment.as_deref(), Some("production"));
        assert_eq!(settings.labels.len(), 2);
        let shadows: Vec<_> = settings.packs.iter().map(|pack| pack.shadow).collect();
        assert_eq!(shadows, [false, true]);
        for weaker in [
            r#"{ "environment": "test" }"#,
            r#"{ "labels": { "team": "x" } }"#,
        ] {
            let invalid = Policy::load(&write("own.json", weaker, extends)).unwrap_err();
            assert!(invalid.to_string().contains("slip out"), "{invalid}");
        }
    }
}
