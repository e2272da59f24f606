//! `egressctl policy profiles`: the maintained profiles, what each is for and what it shares with
//! strangers; with a name, the text of one.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{Exit, Paint, Screen};
use crate::policy::{
    Effect, Policy, Rule, Shared,
    profiles::{self, PREFIX, Profile},
};

#[derive(Debug, clap::Args)]
pub struct ProfilesArgs {
    /// Print this profile, as the file that it is.
    name: Option<String>,
}

pub fn run(args: ProfilesArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    if let Some(name) = args.name {
        let name = name.strip_prefix(PREFIX).unwrap_or(&name);
        let profile = match profiles::find(name) {
            Ok(profile) => profile,
            Err(why) => bail!(why),
        };
        if screen.is_json() {
            screen.json(&described(profile)?)?;
        } else {
            screen.line(profile.text.trim_end())?;
        }
        return Ok(Exit::Ok);
    }
    if screen.is_json() {
        let all: Result<Vec<_>, _> = profiles::all().iter().map(described).collect();
        screen.json(&json!({ "profiles": all? }))?;
        return Ok(Exit::Ok);
    }
    for profile in profiles::all() {
        let policy = policy(profile)?;
        let hosts = match hosts(&policy) {
            1 => "1 host".to_owned(),
            hosts => format!("{hosts} hosts"),
        };
        let name = screen.paint(Paint::Strong, profile.name);
        screen.line(format!("{name}  {hosts}"))?;
        screen.line(format!("  {}", policy.description()))?;
        for rule in policy.rules().iter().filter(|rule| rule.is_shared) {
            let shared = screen.paint(Paint::Warn, "shared:");
            let places = places(rule);
            screen.line(format!(
                "  {shared} {}: {places}. {}",
                rule.name, rule.description
            ))?;
        }
    }
    screen.line("")?;
    screen.line(format!(
        "Extend them by name: \"extends\": [\"{PREFIX}node\", …]; `egressctl policy profiles NAME` prints one."
    ))?;
    Ok(Exit::Ok)
}

fn policy(profile: &'static Profile) -> anyhow::Result<std::sync::Arc<Policy>> {
    let name = profile.name;
    profile
        .policy()
        .with_context(|| format!("the profile `{name}` of this program is not valid"))
}

fn described(profile: &'static Profile) -> anyhow::Result<Value> {
    let policy = policy(profile)?;
    let rules: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| {
            let texts =
                |hosts: &[_]| -> Vec<String> { hosts.iter().map(ToString::to_string).collect() };
            let shared: Vec<_> = rule
                .hosts
                .iter()
                .filter_map(|host| {
                    let why = Shared::of(host)?.to_string();
                    Some(json!({ "host": host.to_string(), "why": why }))
                })
                .collect();
            let ports: Vec<_> = rule.ports.iter().map(ToString::to_string).collect();
            json!({
                "name": rule.name,
                "description": rule.description,
                "hosts": texts(&rule.hosts),
                "ports": ports,
                "shared": shared,
            })
        })
        .collect();
    Ok(json!({
        "name": profile.name,
        "description": policy.description(),
        "hosts": hosts(&policy),
        "observable": policy.session().observe,
        "rules": rules,
    }))
}

fn hosts(policy: &Policy) -> usize {
    let allowing = policy.rules().iter();
    let allowing = allowing.filter(|rule| rule.effect == Effect::Allow);
    allowing.map(|rule| rule.hosts.len()).sum()
}

/// The first of the hosts that strangers share, and how many more there are.
fn places(rule: &Rule) -> String {
    let mut shared = rule.hosts.iter().filter(|host| Shared::of(host).is_some());
    let first = shared.next().map(ToString::to_string).unwrap_or_default();
    match shared.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(name: Option<&str>, is_json: bool) -> String {
        let sink = Sink::default();
        let mut screen = Screen::new(Box::new(sink.clone()), is_json, false);
        let args = ProfilesArgs {
            name: name.map(str::to_owned),
        };
        assert_eq!(run(args, &mut screen).unwrap(), Exit::Ok);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_list_says_what_each_is_for_and_what_it_shares() {
        let told = shown(None, false);
        for profile in profiles::all() {
            assert!(
                told.contains(&format!("\n{}  ", profile.name)) || told.starts_with(profile.name)
            );
        }
        assert!(
            told.contains("shared: go.storage: storage.googleapis.com. The proxy sends"),
            "{told}"
        );
        assert!(
            told.contains("shared: github.files: codeload.github.com and 3 more."),
            "{told}"
        );
        assert!(!told.contains("shared: python"), "{told}");
    }

    #[test]
    fn json_has_every_host_and_why_it_is_shared() {
        let told: Value = serde_json::from_str(&shown(None, true)).unwrap();
        let all = told["profiles"].as_array().unwrap();
        assert_eq!(all.len(), profiles::all().len());
        let find = |name: &str| all.iter().find(|one| one["name"] == name).unwrap();
        let ghcr = find("ghcr");
        assert_eq!(ghcr["hosts"], 2);
        assert_eq!(ghcr["rules"][0]["shared"][0]["host"], "ghcr.io");
        assert_eq!(
            (&find("npm")["observable"], &find("node")["observable"]),
            (&json!(false), &json!(true))
        );
        let one: Value = serde_json::from_str(&shown(Some("ghcr"), true)).unwrap();
        assert_eq!(one, *ghcr);
    }

    #[test]
    fn one_is_printed_as_the_file_that_it_is() {
        for name in ["node", "profile:node"] {
            let told = shown(Some(name), false);
            let copy = Policy::parse(&told, "copy.json").unwrap();
            assert_eq!(copy.name(), "node");
        }
        let mut screen = Screen::new(Box::new(Sink::default()), false, false);
        let args = ProfilesArgs {
            name: Some("nod".to_owned()),
        };
        let told = run(args, &mut screen).unwrap_err().to_string();
        assert!(told.contains("did you mean `profile:node`?"), "{told}");
    }
}
