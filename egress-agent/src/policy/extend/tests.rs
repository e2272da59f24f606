use std::{collections::BTreeMap, fs};

use egress_common::Protocol;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Action, Invalid, Name, PolicyError, with_rules};
use super::*;

/// A directory of policies.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, Value)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, file) in files {
            folder.write(name, file);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, file: &Value) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = file.clone();
        file["version"] = json!(1);
        fs::write(path, file.to_string()).unwrap();
    }

    #[track_caller]
    fn load(&self, name: &str) -> Policy {
        Policy::load(&self.path(name)).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn refused(&self, name: &str, expected: &[&str]) -> Invalid {
        let Err(PolicyError::Invalid(invalid)) = Policy::load(&self.path(name)) else {
            panic!("{name} is refused as invalid");
        };
        let told = invalid
            .to_string()
            .replace(&self.0.path().display().to_string(), "DIR");
        for part in expected {
            assert!(told.contains(part), "{told}");
        }
        invalid
    }
}

fn allow(name: &str, host: &str) -> Value {
    json!({ "network": { "allow": [{ "name": name, "hosts": [host], "ports": [443] }] } })
}

fn names(policy: &Policy) -> Vec<&str> {
    policy
        .rules()
        .iter()
        .map(|rule| rule.name.as_str())
        .collect()
}

fn is_allowed(policy: &Policy, host: &str) -> bool {
    let host = Name::parse(host).unwrap();
    policy.decide_host(&host, Protocol::TCP, 443).is_ok()
}

#[test]
fn a_list_of_policies_adds_up_and_denies_of_each_hold() {
    let folder = Folder::new(&[
        ("a.json", allow("a", "a.test")),
        (
            "sub/b.json",
            json!({ "extends": "../sub/c.json", "network": { "deny": [{ "name": "no", "hosts": ["a.test"] }] } }),
        ),
        ("sub/c.json", allow("c", "c.test")),
        (
            "top.json",
            json!({
                "extends": ["a.json", "sub/b.json", "profile:python"],
                "network": { "allow": [{ "name": "own", "hosts": ["own.test"], "ports": [443] }] }
            }),
        ),
    ]);
    let policy = folder.load("top.json");
    assert_eq!(names(&policy), ["a", "c", "python.index", "own", "no"]);
    assert!(!is_allowed(&policy, "a.test"), "b denies it");
    for host in ["c.test", "own.test", "pypi.org"] {
        assert!(is_allowed(&policy, host), "{host}");
    }
    // Every file that somebody could change, and no profile.
    let files: Vec<_> = policy
        .files()
        .iter()
        .map(|file| file.file_name().unwrap())
        .collect();
    assert_eq!(files, ["top.json", "a.json", "b.json", "c.json"]);
    let place = |name: &str| {
        let rule = policy
            .rules()
            .iter()
            .find(|rule| rule.name == name)
            .unwrap();
        (rule.source.to_string(), rule.line)
    };
    assert!(place("c").0.ends_with("sub/../sub/c.json"));
    assert_eq!(place("python.index").0, "profile:python");
    assert!(place("python.index").1 > 1);
}

#[test]
fn a_file_that_two_extend_is_read_once() {
    let folder = Folder::new(&[
        (
            "d.json",
            json!({
                "network": { "allow": [{ "name": "d", "hosts": ["d.test"], "ports": [443] }],
                             "loopback": { "allow": [8080] } },
                "inspect": { "canaries": ["a canary of twenty signs"] },
                "tools": { "connectors": [{ "tools": ["mcp__x__*"] }] }
            }),
        ),
        ("b.json", json!({ "extends": "d.json" })),
        ("c.json", json!({ "extends": ["./d.json", "profile:node"] })),
        (
            "top.json",
            json!({ "extends": ["b.json", "c.json", "profile:npm"] }),
        ),
    ]);
    let policy = folder.load("top.json");
    assert_eq!(
        names(&policy),
        ["d", "node.registry", "node.headers", "loopback"]
    );
    assert_eq!(policy.inspect().canaries.len(), 1);
    assert_eq!(policy.tools().connectors.len(), 1);
    assert_eq!(policy.files().len(), 4);
    assert_eq!(policy.rules().last().unwrap().ports.len(), 1);
    // Through a link it is another file, whose paths lead elsewhere.
    std::os::unix::fs::symlink(folder.path("d.json"), folder.path("link.json")).unwrap();
    folder.write("top.json", &json!({ "extends": ["d.json", "link.json"] }));
    folder.refused(
        "top.json",
        &["`d` names two rules of the extended policies (DIR/d.json:1 and DIR/link.json:1)"],
    );
}

#[test]
fn names_are_unique_over_all() {
    let folder = Folder::new(&[
        ("a.json", allow("x", "a.test")),
        ("b.json", allow("x", "b.test")),
        ("top.json", json!({ "extends": ["a.json", "b.json"] })),
        (
            "own.json",
            json!({
                "extends": "a.json",
                "network": { "deny": [{ "name": "x", "hosts": ["c.test"] }] }
            }),
        ),
    ]);
    let invalid = folder.refused(
        "top.json",
        &["`x` names two rules", "rename one of the two"],
    );
    assert_eq!(invalid.problems()[0].path, "extends[1]");
    folder.refused(
        "own.json",
        &["`x` names a rule of the extended policy (DIR/a.json:1)"],
    );
}

#[test]
fn what_cannot_be_extended_is_refused_at_its_place() {
    let folder = Folder::new(&[
        ("a.json", json!({ "extends": ["b.json"] })),
        ("b.json", json!({ "extends": "a.json" })),
        ("self.json", json!({ "extends": ["self.json"] })),
        ("bad.json", json!({ "mode": "maybe" })),
        ("good.json", json!({})),
    ]);
    folder.refused("a.json", &["in a circle", "b.json:1:"]);
    folder.refused("self.json", &["in a circle that `self.json` closes"]);
    for (extends, path, message) in [
        (
            json!(["good.json", "bad.json"]),
            "extends[1]",
            "the extended policy is not valid: ",
        ),
        (
            json!(["good.json", "gone.json"]),
            "extends[1]",
            "cannot read the extended policy",
        ),
        (
            json!("profile:nod"),
            "extends",
            "there is no profile `nod`: did you mean `profile:node`?",
        ),
        (
            json!(["profile:"]),
            "extends[0]",
            "there is no profile ``: `egressctl policy profiles` lists them",
        ),
        (
            json!(["good.json", "good.json"]),
            "extends[1]",
            "`good.json` is named twice",
        ),
        (json!([""]), "extends[0]", "`` is no path"),
        (json!(["a\nb"]), "extends[0]", "`a\\nb` is no path"),
        (json!([1]), "extends[0]", "expected text"),
        (json!({}), "extends", "expected text or a list"),
        (json!("../"), "extends", "cannot read the extended policy"),
    ] {
        folder.write("top.json", &json!({ "extends": extends }));
        let invalid = folder.refused("top.json", &[message]);
        assert_eq!(invalid.problems().len(), 1, "{invalid}");
        assert_eq!(invalid.problems()[0].path, path, "{invalid}");
        assert_eq!(invalid.to_string().lines().count(), 1, "{invalid}");
    }
    // An empty list extends nothing.
    folder.write("top.json", &json!({ "extends": [] }));
    assert!(folder.load("top.json").rules().is_empty());
    // A text that stands nowhere has profiles only.
    let text = r#"{ "version": 1, "extends": ["profile:rust", "a.json"] }"#;
    let told = Policy::parse(text, "p.json").unwrap_err().to_string();
    assert!(
        told.contains("needs a policy that is read from a file"),
        "{told}"
    );
}

#[test]
fn eight_in_a_row_are_enough_however_they_are_reached() {
    let folder = Folder::new(&[]);
    folder.write("p0.json", &json!({}));
    for n in 1..=9 {
        folder.write(
            &format!("p{n}.json"),
            &json!({ "extends": format!("p{}.json", n - 1) }),
        );
    }
    folder.load("p8.json");
    folder.refused(
        "p9.json",
        &["more than 8 policies extend each other in a row"],
    );
    // What was read before does not make the row shorter.
    folder.write("top.json", &json!({ "extends": ["p4.json", "p8.json"] }));
    folder.refused(
        "top.json",
        &["more than 8 policies extend each other in a row"],
    );
    folder.write("top.json", &json!({ "extends": ["p4.json", "p7.json"] }));
    folder.load("top.json");
}

#[test]
fn what_cannot_add_up_has_to_be_said_by_the_extending_file() {
    let audit = |file: &str| json!({ "audit": { "file": file } });
    let folder = Folder::new(&[
        ("a.json", audit("/a")),
        ("b.json", audit("/b")),
        ("same.json", audit("/a")),
        (
            "silent.json",
            json!({ "network": { "loopback": { "allow": ["session"] } } }),
        ),
    ]);
    let mut top = json!({ "extends": ["a.json", "silent.json", "same.json"] });
    folder.write("top.json", &top);
    let policy = folder.load("top.json");
    assert_eq!(
        policy.audit().file.to_str(),
        Some("/a"),
        "silence is no opinion"
    );
    assert!(policy.session_loopback());
    top["extends"] = json!(["a.json", "silent.json", "b.json"]);
    folder.write("top.json", &top);
    let invalid = folder.refused(
        "top.json",
        &[
            "`a.json` and `b.json` differ in `audit`",
            "write `audit` in this file",
        ],
    );
    assert_eq!(invalid.problems()[0].path, "extends[2]");
    top["audit"] = json!({ "file": "/own" });
    folder.write("top.json", &top);
    assert_eq!(folder.load("top.json").audit().file.to_str(), Some("/own"));

    for (key, one, other) in [
        ("dns", json!({ "mode": "snoop" }), json!({ "grace": "1s" })),
        (
            "proxy",
            json!({ "level": "address" }),
            json!({ "answer_within": "1s" }),
        ),
    ] {
        let section = |value| BTreeMap::from([(key, value)]);
        folder.write("a.json", &json!(section(one)));
        folder.write("b.json", &json!(section(other)));
        folder.write("top.json", &json!({ "extends": ["a.json", "b.json"] }));
        folder.refused("top.json", &[&format!("differ in `{key}`")]);
    }
    for (key, one, other) in [
        ("errno", "EACCES", "EPERM"),
        ("inbound", "loopback", "deny"),
    ] {
        for (name, value) in [("a.json", one), ("b.json", other)] {
            folder.write(name, &json!({ "network": BTreeMap::from([(key, value)]) }));
        }
        folder.refused("top.json", &[&format!("differ in `network.{key}`")]);
    }
}

#[test]
fn of_what_restricts_the_stricter_holds() {
    let folder = Folder::new(&[
        (
            "a.json",
            json!({
                "mode": "observe",
                "inspect": { "secrets": "warn", "code": "deny" },
                "session": { "seccomp": "off", "view": "best-effort", "unix_sockets": ["/run/a"] },
                "tools": { "git": { "owners": ["one", "two"] }, "deny": ["x"] },
                "proxy": { "requests": "warn", "exempt": ["a.test"] },
                "dns": { "private": ["a.test"] }
            }),
        ),
        (
            "b.json",
            json!({
                "mode": "observe",
                "inspect": { "secrets": "redact", "code": "warn" },
                "session": { "view": "off", "observe": false, "unix_sockets": ["/run/b"] },
                "tools": { "git": { "owners": ["two"] }, "deny": ["y"] },
                "proxy": { "requests": "deny", "exempt": ["b.test"] },
                "dns": { "private": ["b.test"] }
            }),
        ),
        (
            "top.json",
            json!({ "extends": ["a.json", "b.json", "profile:github"] }),
        ),
        ("plain.json", json!({})),
    ]);
    let policy = folder.load("top.json");
    assert_eq!(policy.mode(), Mode::Observe);
    assert_eq!(
        (policy.inspect().secrets, policy.inspect().code),
        (Action::Redact, Action::Deny)
    );
    assert_eq!(
        policy.tools().git.owners.as_deref(),
        Some(&["two".to_owned()][..])
    );
    assert!(policy.tools().deny.is_match("x") && policy.tools().deny.is_match("y"));
    assert_eq!(policy.session().sockets.len(), 2);
    assert!(!policy.session().observe);
    assert_eq!(policy.session().view, super::super::Need::BestEffort);
    assert_eq!(
        policy.session().seccomp,
        super::super::Need::Require,
        "b has the default"
    );
    assert_eq!(
        (policy.proxy().requests, policy.proxy().exempt.len()),
        (super::super::OfRequest::Deny, 2)
    );
    assert_eq!(policy.dns().private.len(), 2);
    // A file that is silent enforces and forbids secrets, as it does by itself.
    folder.write("top.json", &json!({ "extends": ["a.json", "plain.json"] }));
    let policy = folder.load("top.json");
    assert_eq!(policy.mode(), Mode::Enforce);
    assert_eq!(policy.inspect().secrets, Action::Deny);
    folder.write(
        "top.json",
        &json!({ "extends": ["a.json", "plain.json"], "mode": "observe" }),
    );
    folder.refused("top.json", &["the extended policy enforces"]);
}

#[test]
fn marks_of_the_agent_may_not_contradict_each_other() {
    let inspect = |inspect: Value| json!({ "inspect": inspect });
    let folder = Folder::new(&[
        (
            "a.json",
            inspect(
                json!({ "environment": "production", "labels": { "team": "x" }, "redaction": { "email": "full" } }),
            ),
        ),
        (
            "b.json",
            inspect(
                json!({ "environment": "test", "labels": { "team": "y" }, "redaction": { "email": "partial" } }),
            ),
        ),
        ("top.json", json!({ "extends": ["a.json", "b.json"] })),
    ]);
    folder.refused(
        "top.json",
        &[
            "`inspect.environment`",
            "`inspect.labels.team`",
            "`inspect.redaction.email`",
        ],
    );
}

/// The text of the extending file gets the rules; what it extends is found from where it stands.
#[test]
fn rules_are_suggested_for_the_extending_file() {
    let folder = Folder::new(&[
        ("base.json", allow("base", "base.test")),
        (
            "sub/top.json",
            json!({ "extends": ["../base.json", "profile:rust"] }),
        ),
    ]);
    let path = folder.path("sub/top.json");
    let policy = folder.load("sub/top.json");
    let mut needs = super::super::Needs::default();
    for host in ["base.test", "index.crates.io", "new.test"] {
        assert!(needs.add(&json!({ "hosts": [host], "ports": ["443/tcp"] }), false));
    }
    let suggestions = needs.suggestions(&policy);
    assert_eq!(suggestions.len(), 1, "{suggestions:?}");
    let fitting = with_rules(&fs::read_to_string(&path).unwrap(), &suggestions).unwrap();
    let fitting = Policy::parse_at(&fitting, &path).unwrap();
    assert!(is_allowed(&fitting, "new.test") && is_allowed(&fitting, "base.test"));
    assert!(needs.suggestions(&fitting).is_empty());
}

/// A policy of the lattice below: which of those with a smaller number it extends, and its rules.
#[derive(Clone, Debug)]
struct Drawn {
    extends: Vec<usize>,
    allow: Vec<usize>,
    deny: Vec<usize>,
}

fn drawn(index: usize) -> impl Strategy<Value = Drawn> {
    let hosts = || prop::collection::btree_set(0..6_usize, 0..3);
    let below = prop::collection::btree_set(0..index.max(1), 0..3);
    (below, hosts(), hosts()).prop_map(move |(extends, allow, deny)| Drawn {
        extends: extends.into_iter().filter(|one| *one < index).collect(),
        allow: allow.into_iter().collect(),
        deny: deny.into_iter().collect(),
    })
}

fn file(index: usize, drawn: &Drawn, is_reversed: bool) -> Value {
    let rules = |word: &str, hosts: &[usize]| -> Vec<Value> {
        let hosts = hosts.iter();
        hosts
            .map(|host| json!({ "name": format!("{word}-{index}-{host}"), "hosts": [format!("h{host}.test")], "ports": [443] }))
            .collect()
    };
    let mut extends: Vec<_> = drawn
        .extends
        .iter()
        .map(|one| format!("p{one}.json"))
        .collect();
    if is_reversed {
        extends.reverse();
    }
    json!({
        "extends": extends,
        "network": { "allow": rules("allow", &drawn.allow), "deny": rules("deny", &drawn.deny) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever extends whatever: the rules of all that can be reached hold, each once, and the
    /// order of the lists changes no decision.
    #[test]
    fn a_lattice_of_policies_decides_as_one_file_with_all_its_rules(
        lattice in (drawn(0), drawn(1), drawn(2), drawn(3), drawn(4), drawn(5)),
    ) {
        let lattice = [lattice.0, lattice.1, lattice.2, lattice.3, lattice.4, lattice.5];
        let mut reached = BTreeSet::from([5]);
        for index in (0..6).rev() {
            if reached.contains(&index) {
                reached.extend(lattice[index].extends.iter().copied());
            }
        }
        let of = |pick: fn(&Drawn) -> &Vec<usize>| -> BTreeSet<usize> {
            reached.iter().flat_map(|index| pick(&lattice[*index]).iter().copied()).collect()
        };
        let (allowed, denied) = (of(|one| &one.allow), of(|one| &one.deny));
        let count: usize = reached.iter().map(|i| lattice[*i].allow.len() + lattice[*i].deny.len()).sum();
        for is_reversed in [false, true] {
            let folder = Folder::new(&[]);
            for (index, one) in lattice.iter().enumerate() {
                folder.write(&format!("p{index}.json"), &file(index, one, is_reversed));
            }
            let policy = folder.load("p5.json");
            prop_assert_eq!(policy.rules().len(), count);
            prop_assert_eq!(policy.files().len(), reached.len());
            for host in 0..6 {
                let expected = allowed.contains(&host) && !denied.contains(&host);
                prop_assert_eq!(is_allowed(&policy, &format!("h{host}.test")), expected, "h{}", host);
            }
        }
    }

    /// Any list is answered: a policy, or what is wrong with it at its place.
    #[test]
    fn any_list_is_answered(entries in prop::collection::vec("\\PC{0,12}|profile:[a-z-]{0,8}|profile:node|\\.{1,2}/p[.]json", 0..5)) {
        let text = json!({ "version": 1, "extends": entries }).to_string();
        super::super::fuzz::check(text.as_bytes());
        let folder = Folder::new(&[("p.json", json!({}))]);
        if let Err(error) = Policy::parse_at(&text, &folder.path("sub/top.json")) {
            for problem in error.problems() {
                prop_assert!(!problem.message.contains('\n') && problem.path.starts_with("extends"));
            }
        }
    }
}
