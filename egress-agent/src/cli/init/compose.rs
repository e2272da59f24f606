//! From what was found and what was asked for to a policy. Pure.
//!
//! What a project holds chooses among the maintained profiles by their names and nothing else: a
//! lock file of a stranger opens no host of its own. The hosts of remotes come in only when a
//! person says so.

use std::collections::BTreeMap;

use egress_common::Protocol;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ecosystem, project::Project, remote::Remote};
use crate::{
    cli::home::SeenAgent,
    policy::{Effect, Name, NamePattern, Policy, Rule, Shared},
};

/// What the policy is made from.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) agents: Vec<SeenAgent>,
    /// Profiles that were named, and take the place of the detected ones.
    pub(super) profiles: Vec<String>,
    pub(super) project: Project,
    /// Hosts of remotes that a person has let in.
    pub(super) remotes: Vec<Remote>,
    pub(super) observes: bool,
}

/// A profile and what it was chosen for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Chosen {
    pub(super) profile: String,
    pub(super) why: String,
}

/// The profiles that fit and those that would, if they existed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) chosen: Vec<Chosen>,
    pub(super) missing: Vec<Chosen>,
}

pub(super) fn choose(wish: &Wish, exists: &dyn Fn(&str) -> bool) -> Choice {
    let mut wanted: Vec<Chosen> = Vec::new();
    let mut want = |profile: &str, why: String| {
        if wanted.iter().all(|one| one.profile != profile) {
            wanted.push(Chosen {
                profile: profile.to_owned(),
                why,
            });
        }
    };
    if wish.profiles.is_empty() {
        for seen in &wish.agents {
            want(seen.agent.profile(), seen.agent.title().to_owned());
        }
        for found in &ecosystem::ALL {
            if let Some(file) = wish.project.ecosystems.get(found.profile) {
                want(found.profile, format!("{}: {file}", found.title));
            }
        }
        for remote in &wish.project.remotes {
            if let Some(profile) = ecosystem::of_forge(&remote.host) {
                want(profile, format!("remote on {}", remote.host));
            }
        }
    } else {
        for profile in &wish.profiles {
            want(profile, "named".to_owned());
        }
    }
    let (chosen, missing) = wanted.into_iter().partition(|one| exists(&one.profile));
    Choice { chosen, missing }
}

/// The text of the policy: the same for the same wish.
pub(super) fn compose(wish: &Wish, choice: &Choice) -> String {
    let mut policy = json!({
        "//": "Proposed by `egressctl init`; see `egressctl policy profiles NAME`.",
        "version": 1,
        "mode": if wish.observes { "observe" } else { "enforce" },
    });
    let extends: Vec<String> = choice
        .chosen
        .iter()
        .map(|one| format!("profile:{}", one.profile))
        .collect();
    let mut network = json!({});
    let rules = rules(&wish.remotes);
    if let (Some(policy), Some(network)) = (policy.as_object_mut(), network.as_object_mut()) {
        if !extends.is_empty() {
            policy.insert("extends".to_owned(), json!(extends));
        }
        if !rules.is_empty() {
            network.insert("allow".to_owned(), json!(rules));
        }
        network.insert("loopback".to_owned(), json!({ "allow": ["session"] }));
        policy.insert("network".to_owned(), json!(network));
    }
    // A value of our own can always be written.
    let mut text = serde_json::to_string_pretty(&policy).unwrap_or_default();
    text.push('\n');
    text
}

/// One rule for each host, with its ports.
fn rules(remotes: &[Remote]) -> Vec<Value> {
    let mut ports: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Remote { host, port } in remotes {
        ports.entry(host).or_default().push(format!("{port}/tcp"));
    }
    let rule = |(host, ports): (&str, Vec<String>)| {
        let mut rule = json!({ "name": host, "hosts": [host], "ports": ports });
        // Whoever let the host in was told, and the check of the policy asks for the mark.
        let is_shared = NamePattern::parse(host)
            .is_ok_and(|host| Shared::of(&host).is_some_and(|shared| shared.needs_mark()));
        if let (true, Some(members)) = (is_shared, rule.as_object_mut()) {
            members.insert("multi_tenant".to_owned(), json!(true));
        }
        rule
    };
    ports.into_iter().map(rule).collect()
}

/// The remotes that a policy does not let an agent reach.
pub(super) fn uncovered(policy: &Policy, project: &Project) -> Vec<Remote> {
    let is_covered = |remote: &&Remote| {
        Name::parse(&remote.host).is_ok_and(|name| {
            policy
                .decide_host(&name, Protocol::TCP, remote.port)
                .is_ok()
        })
    };
    let remotes = project.remotes.iter();
    remotes
        .filter(|remote| !is_covered(remote))
        .cloned()
        .collect()
}

/// One rule in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Opened {
    pub(super) rule: String,
    /// The profile, or the policy itself.
    pub(super) source: String,
    /// Names, patterns and networks.
    pub(super) hosts: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) risks: Vec<String>,
}

/// What a policy opens, rule by rule.
pub(super) fn opened(policy: &Policy) -> Vec<Opened> {
    let rules = policy.rules().iter();
    rules
        .filter(|rule| rule.effect == Effect::Allow)
        .map(of_rule)
        .collect()
}

fn of_rule(rule: &Rule) -> Opened {
    let hosts = rule.hosts.iter().map(ToString::to_string);
    let networks = rule.networks.iter().map(ToString::to_string);
    let mut risks = risks(&rule.hosts);
    if !rule.networks.is_empty() {
        risks.push("addresses without a name: nothing says whose they are".to_owned());
    }
    Opened {
        rule: rule.name.clone(),
        source: rule.source.to_string(),
        hosts: hosts.chain(networks).collect(),
        ports: rule.ports.iter().map(ToString::to_string).collect(),
        risks,
    }
}

/// What whoever lets an agent reach these should know, hosts that have it in common together.
fn risks(patterns: &[NamePattern]) -> Vec<String> {
    let mut risks: Vec<(String, Vec<String>)> = Vec::new();
    for pattern in patterns {
        let risk = match Shared::of(pattern) {
            Some(Shared::Place { kind, is_grave, .. }) => {
                let place = if is_grave {
                    "a drop box"
                } else {
                    "shared with strangers"
                };
                format!("{place} ({kind})")
            }
            Some(Shared::Suffix(suffix)) => format!("anybody can have a name below {suffix}"),
            Some(Shared::Neighbours(suffix)) => {
                format!("strangers have names beside it, below {suffix}")
            }
            None if pattern.is_exact() => continue,
            None => format!("every name below {}", pattern.base()),
        };
        match risks.iter_mut().find(|(known, _)| *known == risk) {
            Some((_, hosts)) => hosts.push(pattern.to_string()),
            None => risks.push((risk, vec![pattern.to_string()])),
        }
    }
    let risks = risks.into_iter();
    risks
        .map(|(risk, hosts)| {
            if hosts.len() == patterns.len() {
                risk
            } else {
                format!("{risk}: {}", hosts.join(", "))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{cli::home::Agent, policy::profiles};

    fn project(files: &[(&str, &str)], remotes: &[(&str, u16)]) -> Project {
        Project {
            ecosystems: files
                .iter()
                .map(|(profile, file)| ((*profile).to_owned(), (*file).to_owned()))
                .collect(),
            remotes: remotes
                .iter()
                .map(|(host, port)| Remote {
                    host: (*host).to_owned(),
                    port: *port,
                })
                .collect(),
        }
    }

    fn claude() -> SeenAgent {
        SeenAgent {
            agent: Agent::ClaudeCode,
            by: Some(PathBuf::from("/home/dev/.claude")),
        }
    }

    fn names(chosen: &[Chosen]) -> Vec<&str> {
        chosen.iter().map(|one| one.profile.as_str()).collect()
    }

    fn exists(name: &str) -> bool {
        profiles::find(name).is_ok()
    }

    #[test]
    fn every_profile_that_can_be_chosen_exists() {
        for agent in Agent::ALL {
            assert!(exists(agent.profile()), "{agent:?}");
        }
        for ecosystem in &ecosystem::ALL {
            assert!(exists(ecosystem.profile), "{ecosystem:?}");
        }
        for host in ["github.com", "gitlab.com", "bitbucket.org"] {
            assert!(exists(ecosystem::of_forge(host).unwrap()), "{host}");
        }
    }

    #[test]
    fn what_is_found_chooses_profiles_and_opens_no_host_of_its_own() {
        let wish = Wish {
            agents: vec![claude()],
            project: project(
                &[
                    ("node", "package.json"),
                    ("rust", "Cargo.lock"),
                    ("made-up", "x"),
                ],
                &[("github.com", 22), ("git.example.com", 443)],
            ),
            ..Wish::default()
        };
        let choice = choose(&wish, &exists);
        assert_eq!(
            names(&choice.chosen),
            ["claude-code", "node", "rust", "github"]
        );
        assert!(choice.missing.is_empty());
        let text = compose(&wish, &choice);
        assert!(!text.contains("git.example.com"), "{text}");
        let policy = Policy::parse(&text, "policy.json").unwrap();
        assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
        let left = uncovered(&policy, &wish.project);
        assert!(
            left.iter().any(|one| one.host == "git.example.com"),
            "{left:?}"
        );
        let sources = opened(&policy);
        assert!(sources.iter().all(|one| one.source.starts_with("profile:")));
        assert_eq!(text, compose(&wish, &choice));

        let wish = Wish {
            remotes: left,
            ..wish
        };
        let text = compose(&wish, &choice);
        let policy = Policy::parse(&text, "policy.json").unwrap();
        assert!(uncovered(&policy, &wish.project).is_empty(), "{text}");
    }

    #[test]
    fn a_profile_that_is_not_there_is_told_and_left_out() {
        let wish = Wish {
            agents: vec![claude()],
            project: project(&[("node", "package.json")], &[]),
            ..Wish::default()
        };
        let choice = choose(&wish, &|name| name != "node");
        assert_eq!(names(&choice.chosen), ["claude-code"]);
        assert_eq!(names(&choice.missing), ["node"]);
    }

    #[test]
    fn named_profiles_take_the_place_of_the_found_ones() {
        let wish = Wish {
            agents: vec![claude()],
            profiles: vec![
                "python".to_owned(),
                "nonsense".to_owned(),
                "python".to_owned(),
            ],
            project: project(&[("node", "package.json")], &[]),
            observes: true,
            ..Wish::default()
        };
        let choice = choose(&wish, &exists);
        assert_eq!(names(&choice.chosen), ["python"]);
        assert_eq!(names(&choice.missing), ["nonsense"]);
        let policy = Policy::parse(&compose(&wish, &choice), "policy.json").unwrap();
        assert_eq!(policy.mode(), egress_common::Mode::Observe);
    }

    #[test]
    fn nothing_found_is_a_policy_that_allows_nothing() {
        let choice = choose(&Wish::default(), &exists);
        let policy = Policy::parse(&compose(&Wish::default(), &choice), "policy.json").unwrap();
        assert!(opened(&policy).is_empty());
    }

    #[test]
    fn risks_are_marked() {
        let text = r#"{ "version": 1, "network": { "allow": [
            { "name": "a", "hosts": ["github.com", "*.example.com", "api.example.com"], "ports": ["443/tcp"] },
            { "name": "b", "cidrs": ["10.0.0.0/8"], "ports": ["22/tcp", "80-90/tcp"] } ] } }"#;
        let opened = opened(&Policy::parse(text, "policy.json").unwrap());
        assert_eq!(opened[0].risks.len(), 2, "{opened:?}");
        assert_eq!(
            opened[0].risks[0],
            "shared with strangers (repository): github.com"
        );
        assert_eq!(
            opened[0].risks[1],
            "every name below example.com: *.example.com"
        );
        let github = profiles::find("github").unwrap().policy().unwrap();
        let opened_there = super::opened(&github);
        assert_eq!(
            opened_there[0].risks,
            ["shared with strangers (repository)"]
        );
        assert!(opened[1].risks[0].contains("without a name"));
        assert_eq!(opened[1].ports, ["22/tcp", "80-90/tcp"]);
    }
}
