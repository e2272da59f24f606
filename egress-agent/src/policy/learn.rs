//! The smallest rules that allow what records say was denied. Pure.
//!
//! A record of a denial carries the rule that would allow it (`allow_with`). Here many of them
//! become few: hosts of one domain with the same ports stand in one rule, and names that differ in
//! their first label alone become a pattern where they are many and one party answers for all.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use egress_common::{Flow, Verdict};
use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstRootNode},
};
use serde_json::{Value, json};

use super::{
    Name, Policy, PortRange, Shared, pattern::is_public_suffix, suffix, suggest::free_name,
};

/// From so many names on, a pattern says more than a list.
const MANY: usize = 4;

/// What was denied, and a rule of `network.allow` would allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    names: BTreeMap<Name, Ports>,
    addresses: BTreeMap<IpAddr, Ports>,
}

/// Ports of one host, as they stand in a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ports {
    tried: BTreeSet<String>,
    /// Of a name that was refused before anybody tried a port.
    guessed: BTreeSet<String>,
}

/// A rule to add, and what a person should know before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// As it would stand in `network.allow`.
    pub rule: Value,
    pub notes: Vec<String>,
}

/// Why rules cannot be added to the text of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotAdd {
    #[error("it is not valid JSON: {0}")]
    Syntax(String),
    #[error("{0} is not what a policy has there")]
    Shape(&'static str),
}

impl Needs {
    /// Takes in the `allow_with` of a record; `is_guess` where nothing was sent, and the port is
    /// the usual one. Whether it is a rule of `network.allow`.
    pub fn add(&mut self, allow_with: &Value, is_guess: bool) -> bool {
        let first = |key: &str| allow_with.get(key)?.get(0)?.as_str();
        let Some(port) = first("ports") else {
            return false;
        };
        let name = first("hosts").and_then(|host| Name::parse(host).ok());
        let address = first("cidrs").and_then(|address| address.parse().ok());
        let ports = match (name, address) {
            (Some(name), _) => self.names.entry(name).or_default(),
            (None, Some(address)) => self.addresses.entry(address).or_default(),
            (None, None) => return false,
        };
        let ports = if is_guess {
            &mut ports.guessed
        } else {
            &mut ports.tried
        };
        ports.insert(port.to_owned());
        true
    }

    /// Hosts that something was denied for.
    pub fn hosts(&self) -> usize {
        self.names.len() + self.addresses.len()
    }

    /// Rules for all that the policy does not allow, under names that it has not.
    pub fn suggestions(&self, policy: &Policy) -> Vec<Suggestion> {
        let mut taken: BTreeSet<String> = policy
            .rules()
            .iter()
            .map(|rule| rule.name.clone())
            .collect();
        let mut groups: BTreeMap<(&str, BTreeSet<&str>), Vec<&Name>> = BTreeMap::new();
        for (name, ports) in &self.names {
            let ports =
                ports.missing(|port| policy.decide_host(name, port.protocol, port.first).is_ok());
            if !ports.is_empty() {
                groups.entry((domain(name), ports)).or_default().push(name);
            }
        }
        let mut suggestions = Vec::new();
        for ((domain, ports), names) in groups {
            let (hosts, mut notes) = patterns(&names);
            for name in names {
                notes.extend(self.notes(name));
            }
            let rule = json!({ "name": free_name(domain, &ports, &mut taken), "hosts": hosts, "ports": ports });
            suggestions.push(Suggestion { rule, notes });
        }
        for (address, ports) in &self.addresses {
            let ports = ports.missing(|port| {
                let flow = Flow::new(port.protocol, (*address).into(), port.first);
                matches!(policy.decide_address(&flow), Verdict::Allow(_))
            });
            if ports.is_empty() {
                continue;
            }
            let base = address.to_string().replace(':', "-");
            let rule = json!({
                "name": free_name(&base, &ports, &mut taken),
                "cidrs": [address.to_string()],
                "ports": ports,
            });
            let note = format!("{address} was reached without a name: nothing says whose it is");
            suggestions.push(Suggestion {
                rule,
                notes: vec![note],
            });
        }
        suggestions
    }

    fn notes(&self, name: &Name) -> Vec<String> {
        let mut notes = Vec::new();
        if self
            .names
            .get(name)
            .is_some_and(|ports| ports.tried.is_empty())
        {
            notes.push(format!(
                "{name} was refused by its name, so its port is a guess"
            ));
        }
        if let Some(shared) = Shared::of_name(name) {
            notes.push(format!("risky: {name}: {shared}"));
        }
        notes
    }
}

impl Ports {
    /// Those that are not allowed yet.
    fn missing(&self, is_allowed: impl Fn(PortRange) -> bool) -> BTreeSet<&str> {
        let wanted = if self.tried.is_empty() {
            &self.guessed
        } else {
            &self.tried
        };
        wanted
            .iter()
            .filter(|port| !port.parse().is_ok_and(&is_allowed))
            .map(String::as_str)
            .collect()
    }
}

/// The domain that one party has registered.
fn domain(name: &Name) -> &str {
    suffix::domain(name.as_str()).unwrap_or(name.as_str())
}

/// The hosts of a rule for these names, and what is said of those that were put together.
fn patterns(names: &[&Name]) -> (Vec<String>, Vec<String>) {
    let mut below: BTreeMap<&str, Vec<&Name>> = BTreeMap::new();
    for name in names {
        if let Some((_, parent)) = name.as_str().split_once('.') {
            below.entry(parent).or_default().push(name);
        }
    }
    let is_pattern =
        |parent: &str, names: &[&Name]| names.len() >= MANY && !is_public_suffix(parent);
    below.retain(|parent, names| is_pattern(parent, names));
    let mut hosts: Vec<String> = names
        .iter()
        .filter(|name| {
            let parent = name.as_str().split_once('.').map(|(_, parent)| parent);
            !parent.is_some_and(|parent| below.contains_key(parent))
        })
        .map(ToString::to_string)
        .collect();
    let mut notes = Vec::new();
    for (parent, names) in below {
        hosts.push(format!("*.{parent}"));
        notes.push(format!(
            "`*.{parent}` opens every name one label below {parent}; {} of them were asked for",
            names.len()
        ));
    }
    (hosts, notes)
}

/// The text of a policy with these rules behind those of `network.allow`; comments and layout of
/// the rest stay as they are.
pub fn with_rules(text: &str, suggestions: &[Suggestion]) -> Result<String, CannotAdd> {
    let root = CstRootNode::parse(text, &ParseOptions::default())
        .map_err(|error| CannotAdd::Syntax(error.to_string()))?;
    let shape = |place| move || CannotAdd::Shape(place);
    let file = root.object_value().ok_or_else(shape("the file"))?;
    let network = match file.get("network") {
        Some(member) => member.object_value().ok_or_else(shape("network"))?,
        None => file.object_value_or_set("network"),
    };
    let allow = match network.get("allow") {
        Some(member) => member.array_value().ok_or_else(shape("network.allow"))?,
        None => network.array_value_or_set("allow"),
    };
    for suggestion in suggestions {
        allow.append(input(&suggestion.rule));
    }
    Ok(root.to_string())
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(is) => CstInputValue::Bool(*is),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(all) => CstInputValue::Array(all.iter().map(input).collect()),
        Value::Object(members) => CstInputValue::Object(
            members
                .iter()
                .map(|(key, value)| (key.clone(), input(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::parse(text, "p.json").unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    fn needs(entries: &[(&str, &str, bool)]) -> Needs {
        let mut needs = Needs::default();
        for (host, port, is_guess) in entries {
            let key = if host.parse::<IpAddr>().is_ok() {
                "cidrs"
            } else {
                "hosts"
            };
            let entry = json!({ "name": "any", key: [host], "ports": [port] });
            assert!(needs.add(&entry, *is_guess));
        }
        needs
    }

    fn rules(needs: &Needs) -> Vec<Value> {
        let suggestions = needs.suggestions(&policy(r#"{ "version": 1 }"#));
        suggestions.into_iter().map(|one| one.rule).collect()
    }

    #[test]
    fn hosts_of_a_domain_with_the_same_ports_are_one_rule() {
        let needs = needs(&[
            ("github.com", "443/tcp", false),
            ("github.com", "22/tcp", false),
            ("api.github.com", "443/tcp", false),
            ("codeload.github.com", "443/tcp", false),
            ("203.0.113.7", "5432/tcp", false),
        ]);
        assert_eq!(
            rules(&needs),
            [
                json!({ "name": "github.com-22-443", "hosts": ["github.com"], "ports": ["22/tcp", "443/tcp"] }),
                json!({ "name": "github.com", "hosts": ["api.github.com", "codeload.github.com"], "ports": ["443/tcp"] }),
                json!({ "name": "203.0.113.7-5432", "cidrs": ["203.0.113.7"], "ports": ["5432/tcp"] }),
            ]
        );
    }

    /// A question is refused before there is a port; what is tried says more.
    #[test]
    fn a_port_is_guessed_only_where_none_was_tried() {
        let needs = needs(&[
            ("db.corp.test", "443/tcp", true),
            ("db.corp.test", "5432/tcp", false),
            ("www.corp.test", "443/tcp", true),
        ]);
        let suggestions = needs.suggestions(&policy(r#"{ "version": 1 }"#));
        let [guessed, tried] = suggestions.as_slice() else {
            panic!("{suggestions:?}")
        };
        assert_eq!(guessed.rule["hosts"], json!(["www.corp.test"]));
        assert_eq!(guessed.notes.len(), 1, "{guessed:?}");
        assert_eq!(tried.rule["ports"], json!(["5432/tcp"]));
        assert!(tried.notes.is_empty(), "{tried:?}");
    }

    #[test]
    fn many_names_below_one_are_a_pattern_unless_strangers_share_what_is_above() {
        let below = |parent: &str| {
            let names: Vec<String> = (0..MANY).map(|n| format!("n{n}.{parent}")).collect();
            let entries: Vec<_> = names
                .iter()
                .map(|name| (name.as_str(), "443/tcp", false))
                .collect();
            rules(&needs(&entries))
        };
        let [one] = &*below("cdn.example.com") else {
            panic!("one rule")
        };
        assert_eq!(one["hosts"], json!(["*.cdn.example.com"]));
        // Everybody's pages: each is a domain of its own.
        assert_eq!(below("github.io").len(), MANY);
        assert_eq!(below("com").len(), MANY);
    }

    #[test]
    fn what_is_risky_is_said() {
        let needs = needs(&[
            ("webhook.site", "443/tcp", false),
            ("someone.github.io", "443/tcp", false),
            ("203.0.113.7", "80/tcp", false),
        ]);
        for suggestion in needs.suggestions(&policy(r#"{ "version": 1 }"#)) {
            assert!(!suggestion.notes.is_empty(), "{suggestion:?}");
        }
    }

    #[test]
    fn rules_are_added_to_the_text_and_the_rest_of_it_stays() {
        let text = r#"{
  "version": 1,
  "network": { "allow": [
    { "name": "github.com", "hosts": ["github.com"], "ports": ["443/tcp"] }
  ] }
}
"#;
        let before = policy(text);
        let needs = needs(&[
            ("api.github.com", "443/tcp", false),
            ("pypi.org", "443/tcp", false),
        ]);
        let suggestions = needs.suggestions(&before);
        let after = with_rules(text, &suggestions).unwrap();
        assert!(after.starts_with(text.split_once("  ] }").unwrap().0.trim_end()));
        let names: Vec<String> = policy(&after)
            .rules()
            .iter()
            .map(|rule| rule.name.clone())
            .collect();
        assert_eq!(names, ["github.com", "github.com-2", "pypi.org"]);
        // Nothing is needed any more.
        assert!(needs.suggestions(&policy(&after)).is_empty());
        let smallest = with_rules(r#"{ "version": 1 }"#, &suggestions).unwrap();
        assert_eq!(policy(&smallest).rules().len(), 2);
    }

    #[test]
    fn what_is_no_rule_for_the_network_is_left() {
        let mut needs = Needs::default();
        for entry in [
            json!({ "methods": ["POST"], "paths": ["/x"] }),
            json!({ "hosts": ["not a name"], "ports": ["443/tcp"] }),
            json!({ "hosts": [], "ports": ["443/tcp"] }),
            json!(null),
        ] {
            assert!(!needs.add(&entry, false), "{entry}");
        }
        assert_eq!(needs.hosts(), 0);
        assert!(with_rules("[]", &[]).is_err() && with_rules("{", &[]).is_err());
    }
}
