//! The policies in `policy/` of the repository: valid, without warnings, and as their cases say.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use egress_common::{Flow, Mode, Protocol, Verdict};

use super::{Level, Name, Policy, Shared, file::File, profiles, schema};
use crate::{
    cli::{
        Exit, Screen,
        policy::{Command, run},
    },
    schema::{POLICY, tests::assert_of},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy")
}

fn screen() -> Screen {
    Screen::new(Box::new(std::io::stdout()), false, false)
}

#[test]
fn every_shipped_policy_is_valid_and_passes_its_cases() {
    let expected = [
        "anthropic-storage-db.json",
        "anthropic.json",
        "cluster.json",
        "default.json",
        "development.json",
        "requests.json",
    ];
    assert_eq!(checked(&folder()), expected);
}

/// What stands in the folder is what the program knows, and each profile is the smallest of its
/// kind: rules, and nothing that would change another policy it is put beside.
#[test]
fn every_profile_is_valid_passes_its_cases_and_is_known_by_name() {
    let files = checked(&folder().join("profiles"));
    let known: Vec<_> = profiles::all()
        .iter()
        .map(|profile| format!("{}.json", profile.name))
        .collect();
    assert_eq!(files, known);
    assert!(known.len() > 20, "{known:?}");
    for profile in profiles::all() {
        let name = profile.name;
        let written = fs::read_to_string(folder().join(format!("profiles/{name}.json"))).unwrap();
        assert!(
            written == profile.text,
            "{name} was built from another text"
        );
        let file: serde_json::Value = serde_json::from_str(profile.text).unwrap();
        assert!(
            !file["description"].as_str().unwrap_or_default().is_empty(),
            "{name}"
        );
        let is_pinned = !profile.policy().unwrap().session().observe;
        for key in file.as_object().unwrap().keys() {
            let is_own = [
                "$schema",
                "version",
                "name",
                "description",
                "extends",
                "network",
            ];
            let is_known = is_own.contains(&key.as_str());
            let pins = is_pinned && ["session", "mode"].contains(&key.as_str());
            assert!(is_known || pins, "{name}: `{key}`");
        }
        if let Some(network) = file.get("network") {
            let keys: Vec<_> = network.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["allow"], "{name}");
        }
    }
}

#[test]
fn rules_of_profiles_are_named_after_them_and_explained() {
    for profile in profiles::all() {
        let policy = profile.policy().unwrap();
        let own = policy.rules().iter();
        for rule in own.filter(|rule| *rule.source == *profile.source()) {
            let prefix = format!("{}.", profile.name);
            assert!(rule.name.starts_with(&prefix), "{}", rule.name);
            assert!(rule.description.ends_with('.'), "{}", rule.name);
            assert!(
                rule.networks.is_empty() && rule.levels.http == Level::Name,
                "{}",
                rule.name
            );
        }
    }
}

/// Stricter than the lint of a user's policy: what is only told there has to be marked here.
#[test]
fn profiles_mark_what_strangers_share_and_only_that() {
    for profile in profiles::all() {
        for rule in profile.policy().unwrap().rules() {
            let shared: Vec<_> = rule
                .hosts
                .iter()
                .filter(|host| Shared::of(host).is_some())
                .collect();
            assert_eq!(
                rule.is_shared,
                !shared.is_empty(),
                "{}: {shared:?}",
                rule.name
            );
            for host in &rule.hosts {
                assert!(host.public_suffix().is_none(), "{}: {host}", rule.name);
            }
        }
    }
}

/// What looks like a host of a profile and is another party's.
#[test]
fn profiles_let_no_look_alike_in() {
    for profile in profiles::all() {
        let policy = profile.policy().unwrap();
        let is_allowed = |name: &str, protocol, port| {
            let name = Name::parse(name);
            name.is_ok_and(|name| policy.decide_host(&name, protocol, port).is_ok())
        };
        for rule in policy.rules() {
            for pattern in &rule.hosts {
                let base = pattern.base();
                let host = if pattern.is_exact() {
                    base.to_string()
                } else {
                    format!("agent.{base}")
                };
                assert!(is_allowed(&host, Protocol::TCP, 443), "{host}");
                for port in [22, 25, 53, 853, 8080, 8443] {
                    assert!(!is_allowed(&host, Protocol::TCP, port), "{host}:{port}");
                }
                assert!(!is_allowed(&host, Protocol::UDP, 443), "{host}");
                for other in [
                    format!("evil-{base}"),
                    format!("evil{base}"),
                    format!("{base}.evil.example"),
                    format!("{base}.com"),
                    format!("{}-evil.example", base.as_str().replace('.', "-")),
                    format!("a.b.{base}"),
                ] {
                    assert!(
                        !is_allowed(&other, Protocol::TCP, 443),
                        "{}: {other}",
                        profile.name
                    );
                }
            }
        }
        for address in [
            "169.254.169.254",
            "fd00:ec2::254",
            "127.0.0.1",
            "::1",
            "10.0.0.1",
        ] {
            for port in [80, 443] {
                let address: std::net::IpAddr = address.parse().unwrap();
                let flow = Flow::new(Protocol::TCP, address.into(), port);
                let verdict = policy.decide_address(&flow);
                assert!(
                    matches!(verdict, Verdict::Deny(..)),
                    "{}: {address}",
                    profile.name
                );
            }
        }
    }
}

#[test]
fn all_profiles_together_are_one_policy_in_any_order() {
    let together = |names: &[String], mode: &str| {
        let text = serde_json::json!({ "version": 1, "mode": mode, "extends": names });
        Policy::parse(&text.to_string(), "all.json").unwrap_or_else(|invalid| panic!("{invalid}"))
    };
    let mut names: Vec<_> = profiles::all()
        .iter()
        .map(profiles::Profile::source)
        .collect();
    let all = together(&names, "enforce");
    names.reverse();
    let reversed = together(&names, "enforce");
    let told = |policy: &Policy| -> BTreeSet<String> {
        policy
            .rules()
            .iter()
            .map(|rule| rule.name.clone())
            .collect()
    };
    assert_eq!(told(&all), told(&reversed));
    assert_eq!(told(&all).len(), all.rules().len());
    for profile in profiles::all() {
        for rule in profile.policy().unwrap().rules() {
            assert!(told(&all).contains(&rule.name), "{}", rule.name);
        }
    }
    assert!(!all.session().observe, "pinned tools stay pinned");
    // What is not pinned has no opinion on anything but its rules.
    names.retain(|name| {
        let name = name.trim_start_matches(profiles::PREFIX);
        profiles::find(name)
            .unwrap()
            .policy()
            .unwrap()
            .session()
            .observe
    });
    let observed = together(&names, "observe");
    assert_eq!(observed.mode(), Mode::Observe);
    let plain = Policy::parse(r#"{ "version": 1 }"#, "plain.json").unwrap();
    assert_eq!(observed.dns(), plain.dns());
    assert_eq!(observed.tools(), plain.tools());
    assert_eq!(observed.inspect(), plain.inspect());
    assert_eq!(observed.session(), plain.session());
    assert_eq!(observed.proxy(), plain.proxy());
    assert!(!observed.opens_tls());
}

/// The names of the policies in a folder, each of which is good.
fn checked(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let ["json", stem] = *name.rsplitn(2, '.').collect::<Vec<_>>() else {
            continue;
        };
        if stem.contains('.') {
            continue;
        }
        let policy = Policy::load(&file).unwrap();
        assert!(
            policy.warnings().is_empty(),
            "{name}: {:?}",
            policy.warnings()
        );
        assert_eq!(policy.name(), stem);
        let exit = run(
            Command::Test { file, cases: None },
            Path::new("/nonexistent"),
            &mut screen(),
        )
        .unwrap();
        assert_eq!(exit, Exit::Ok, "{name}");
        names.push(name);
    }
    names.sort();
    names
}

#[test]
fn the_shipped_schema_is_the_one_of_the_types() {
    assert_of::<File>(POLICY, "policy/policy.schema.json");
}

#[test]
fn every_key_of_the_schema_is_explained_in_the_readme() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let schema = schema();
    let mut keys = Vec::new();
    let definitions = schema["$defs"].as_object().unwrap().values();
    for definition in definitions.chain([&schema]) {
        let properties = definition["properties"].as_object();
        keys.extend(properties.into_iter().flatten().map(|(key, _)| key.clone()));
        let words = definition["enum"].as_array();
        keys.extend(
            words
                .into_iter()
                .flatten()
                .map(|word| word.as_str().unwrap().to_owned()),
        );
    }
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        assert!(
            readme.contains(&format!("`{key}`")),
            "`{key}` is missing in policy/README.md"
        );
    }
}

#[test]
fn every_policy_in_the_readme_is_valid() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let blocks: Vec<_> = readme.split("```json\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let text = block.split("```").next().unwrap();
        let checked = if text.contains("\"cases\"") {
            let cases: serde_json::Value = serde_json::from_str(text).unwrap();
            assert!(cases["cases"].is_array());
            continue;
        } else {
            Policy::parse(text, "README.md")
        };
        let policy = checked.unwrap_or_else(|invalid| panic!("{invalid}"));
        assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    }
}
