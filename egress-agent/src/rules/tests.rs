use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{
    inspect::{Confidence, Finding, Kind, Severity, View},
    policy::Host,
    schema::{PACK, tests::assert_of},
    tools::host,
};

/// A call to ask about, with all that it borrows.
#[derive(Clone, Debug)]
struct Case {
    on: On,
    tool: String,
    hosts: Vec<Host>,
    is_unreadable: bool,
    arguments: Value,
    findings: Vec<Finding>,
    labels: BTreeMap<String, String>,
    environment: Option<String>,
}

impl Case {
    fn new(tool: &str, arguments: Value) -> Self {
        Self {
            on: On::Call,
            tool: tool.to_owned(),
            hosts: Vec::new(),
            is_unreadable: false,
            arguments,
            findings: Vec::new(),
            labels: BTreeMap::new(),
            environment: None,
        }
    }

    fn to(hosts: &[&str]) -> Self {
        let hosts = hosts.iter().map(|text| host(text).unwrap()).collect();
        Self {
            hosts,
            ..Self::new("http_post", json!({}))
        }
    }

    fn with(findings: &[Finding]) -> Self {
        Self {
            findings: findings.to_vec(),
            ..Self::new("x", json!({}))
        }
    }

    fn ask<T>(&self, rules: &RuleSet, then: impl FnOnce(Outcome<'_>) -> T) -> T {
        then(rules.decide(&Question {
            on: self.on,
            tool: &self.tool,
            categories: &Category::of(&self.tool),
            destinations: &self.hosts,
            is_unreadable: self.is_unreadable,
            arguments: &self.arguments,
            findings: &self.findings,
            labels: &self.labels,
            environment: self.environment.as_deref(),
        }))
    }
}

fn finding(detector: &str, kind: Kind, severity: Severity, confidence: Confidence) -> Finding {
    Finding {
        detector: detector.to_owned(),
        kind,
        severity,
        confidence,
        view: View::Raw,
        range: 0..1,
    }
}

fn aws() -> Finding {
    finding(
        "aws-access-key",
        Kind::Secret,
        Severity::Critical,
        Confidence::High,
    )
}

fn jwt() -> Finding {
    finding("jwt", Kind::Secret, Severity::Medium, Confidence::Medium)
}

fn pack(name: &str, rules: &Value) -> Pack {
    let text = json!({ "version": 1, "name": name, "rules": rules }).to_string();
    Pack::parse(&text, name, None).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn rule(name: &str, priority: u32, decision: &str, when: &Value) -> Value {
    json!({ "name": name, "priority": priority, "decision": decision, "when": when })
}

fn one(decision: &str, when: &Value) -> RuleSet {
    let rules = json!([rule("one", 10, decision, when)]);
    RuleSet::new(vec![pack("p", &rules)]).unwrap()
}

#[track_caller]
fn check(when: impl std::borrow::Borrow<Value>, case: &Case, expected: bool) {
    let when = when.borrow();
    let decision = if when.get("findings").or(when.get("kinds")).is_some() {
        "redact"
    } else {
        "deny"
    };
    let fits = case.ask(&one(decision, when), |outcome| outcome.decision().is_some());
    assert_eq!(fits, expected, "{when} on {case:?}");
}

#[track_caller]
fn allows(when: impl std::borrow::Borrow<Value>, case: &Case, expected: bool) {
    let when = when.borrow();
    let fits = case.ask(&one("allow", when), |outcome| outcome.decision().is_some());
    assert_eq!(fits, expected, "{when} on {case:?}");
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let invalid = Pack::parse(text, "p.json", Some(&["aws-access-key", "jwt"])).unwrap_err();
    let told = invalid.to_string();
    for part in expected {
        assert!(told.contains(part), "`{part}` is not in: {told}");
    }
}

#[track_caller]
fn refused_rule(rule: &str, expected: &[&str]) {
    let text = format!("{{ \"version\": 1, \"name\": \"p\", \"rules\": [\n{rule}\n] }}");
    refused(&text, expected);
}

#[track_caller]
fn refused_when(when: &str, expected: &[&str]) {
    refused_rule(
        &format!(
            "{{ \"name\": \"r\", \"priority\": 1, \"decision\": \"deny\",\n\"when\": {when} }}"
        ),
        expected,
    );
}

#[test]
fn every_condition_is_asked() {
    let bash = Case::new("Bash", json!({ "command": "mkfs /dev/sda" }));
    check(json!({ "any": true }), &bash, true);
    check(json!({ "tools": ["Ba*"] }), &bash, true);
    check(json!({ "tools": ["ba*"] }), &bash, true);
    check(json!({ "tools": ["BA*"] }), &bash, false);
    allows(json!({ "tools": ["ba*"] }), &bash, false);
    check(json!({ "categories": ["git", "shell"] }), &bash, true);
    check(json!({ "categories": ["git"] }), &bash, false);
    check(json!({ "content": ["\\bmkfs\\b"] }), &bash, true);
    check(json!({ "content": ["\\bMKFS\\b"] }), &bash, false);
    check(json!({ "content": ["x", "(?i)MKFS"] }), &bash, true);
    check(json!({ "arguments": [{ "path": "command" }] }), &bash, true);
    check(json!({ "arguments": [{ "path": "url" }] }), &bash, false);
    let both = json!({ "tools": ["Bash"], "content": ["nothing"] });
    check(both, &bash, false);
    let marked = Case {
        labels: BTreeMap::from([("team".to_owned(), "core".to_owned())]),
        environment: Some("Production".to_owned()),
        ..bash.clone()
    };
    check(json!({ "labels": { "team": "core" } }), &marked, true);
    check(json!({ "labels": { "team": "other" } }), &marked, false);
    check(json!({ "labels": { "team": "core" } }), &bash, false);
    check(json!({ "environments": ["production"] }), &marked, true);
    check(
        json!({ "environments": ["PRODUCTION", "x"] }),
        &marked,
        true,
    );
    check(json!({ "environments": ["test"] }), &marked, false);
    check(json!({ "environments": ["production"] }), &bash, false);
}

#[test]
fn findings_are_asked_by_detector_kind_and_weight_at_once() {
    let both = Case::with(&[aws(), jwt()]);
    check(json!({ "findings": ["aws-*"] }), &both, true);
    check(json!({ "findings": ["gcp-*"] }), &both, false);
    check(json!({ "kinds": ["secret"] }), &both, true);
    check(json!({ "kinds": ["injection"] }), &both, false);
    check(
        json!({ "kinds": ["secret"], "min_risk": "critical" }),
        &both,
        true,
    );
    // The two must be of one finding.
    check(
        json!({ "findings": ["jwt"], "min_risk": "high" }),
        &both,
        false,
    );
    check(json!({ "min_risk": "high" }), &Case::with(&[jwt()]), false);
    check(
        json!({ "min_confidence": "high" }),
        &Case::with(&[jwt()]),
        false,
    );
    check(json!({ "min_risk": "info" }), &Case::with(&[]), false);
    check(json!({ "min_risk": "info" }), &Case::with(&[jwt()]), true);
}

#[test]
fn destinations_are_hosts_and_not_texts() {
    let paste = json!({ "destinations": { "hosts": ["pastebin.com", "**.pastebin.com"] } });
    check(paste.clone(), &Case::to(&["pastebin.com"]), true);
    check(
        paste.clone(),
        &Case::to(&["github.com", "www.pastebin.com"]),
        true,
    );
    check(paste.clone(), &Case::to(&["pastebin.com.example"]), false);
    check(paste, &Case::to(&[]), false);
    let range = json!({ "destinations": { "cidrs": ["192.0.2.0/24"] } });
    check(range.clone(), &Case::to(&["192.0.2.7"]), true);
    check(range, &Case::to(&["198.51.100.7"]), false);
}

#[test]
fn negations_alone_mean_every_destination_but_these() {
    let other = json!({ "destinations": { "not": ["github.com"] } });
    check(other.clone(), &Case::to(&["github.com"]), false);
    check(other.clone(), &Case::to(&["gitlab.com"]), true);
    check(
        other.clone(),
        &Case::to(&["github.com", "gitlab.com"]),
        true,
    );
    check(other.clone(), &Case::to(&[]), false);
    let unreadable = Case {
        is_unreadable: true,
        ..Case::to(&["github.com"])
    };
    check(other, &unreadable, true);
    check(
        json!({ "destinations": { "hosts": ["gitlab.com"] } }),
        &unreadable,
        false,
    );
}

#[test]
fn a_rule_that_lets_through_must_name_everything() {
    let github = json!({ "destinations": { "hosts": ["github.com"] } });
    allows(github.clone(), &Case::to(&["github.com"]), true);
    allows(
        github.clone(),
        &Case::to(&["github.com", "evil.example"]),
        false,
    );
    allows(github.clone(), &Case::to(&[]), false);
    let unreadable = Case {
        is_unreadable: true,
        ..Case::to(&["github.com"])
    };
    allows(github, &unreadable, false);
    allows(json!({ "findings": ["jwt"] }), &Case::with(&[jwt()]), true);
    allows(
        json!({ "findings": ["jwt"] }),
        &Case::with(&[jwt(), aws()]),
        false,
    );
    let mixed = Case::new("mcp__github__create_file", json!({}));
    allows(json!({ "categories": ["git"] }), &mixed, false);
    allows(json!({ "categories": ["git", "filesystem"] }), &mixed, true);
}

#[test]
fn the_lowest_number_decides_and_every_match_is_told() {
    let rules = json!([
        rule("late", 30, "deny", &json!({ "any": true })),
        rule("early", 5, "ask", &json!({ "tools": ["Bash"] })),
        rule("elsewhere", 1, "deny", &json!({ "tools": ["Read"] })),
        rule("note", 2, "simulate", &json!({ "any": true })),
    ]);
    let rules = RuleSet::new(vec![pack("p", &rules)]).unwrap();
    let told = Case::new("Bash", json!({})).ask(&rules, |outcome| outcome.told());
    assert_eq!(told.decision, "ask");
    assert_eq!(told.rule.as_deref(), Some("p/early"));
    assert_eq!(told.would, None);
    let matches: Vec<_> = told
        .matches
        .iter()
        .map(|one| format!("{} {}", one.rule, one.decision))
        .collect();
    assert_eq!(matches, ["p/note simulate", "p/early ask", "p/late deny"]);
    assert_eq!(told.matches[1].line, 1);
}

#[test]
fn a_shadow_is_told_and_decides_nothing() {
    let deny = pack(
        "new",
        &json!([rule("r", 1, "deny", &json!({ "any": true }))]),
    );
    let ask = pack(
        "old",
        &json!([rule("r", 2, "ask", &json!({ "any": true }))]),
    );
    let case = Case::new("Bash", json!({}));
    let rules = RuleSet::new(vec![deny.clone().in_shadow(true), ask]).unwrap();
    let told = case.ask(&rules, |outcome| outcome.told());
    assert_eq!(told.decision, "ask");
    assert_eq!(told.would.as_deref(), Some("would-deny"));
    let rules = RuleSet::new(vec![deny.clone().in_shadow(true)]).unwrap();
    case.ask(&rules, |outcome| {
        assert_eq!(outcome.decision(), None);
        assert_eq!(outcome.text(), None);
        let told = outcome.told();
        assert_eq!(
            (told.decision, told.rule.as_deref()),
            ("none", Some("new/r"))
        );
        assert!(told.text.unwrap().contains("would deny it"));
    });
    let rules = RuleSet::new(vec![deny]).unwrap();
    assert_eq!(
        case.ask(&rules, |outcome| outcome.decision()),
        Some(Decision::Deny)
    );
}

#[test]
fn a_file_can_put_its_pack_into_shadow() {
    let text = r#"{ "version": 1, "name": "p", "shadow": true, "rules": [
        { "name": "r", "priority": 1, "decision": "deny", "when": { "any": true } } ] }"#;
    let pack = Pack::parse(text, "p", None).unwrap();
    assert!(pack.clone().in_shadow(false).is_shadow());
    let rules = RuleSet::new(vec![pack]).unwrap();
    let decision = Case::new("x", json!({})).ask(&rules, |outcome| outcome.decision());
    assert_eq!(decision, None);
}

#[test]
fn all_that_redacts_redacts_when_the_decision_is_to_redact() {
    let rules = json!([
        rule("a", 1, "redact", &json!({ "findings": ["jwt"] })),
        rule("b", 2, "redact", &json!({ "findings": ["aws-*"] })),
        rule("c", 3, "deny", &json!({ "any": true })),
    ]);
    let case = Case::with(&[
        aws(),
        jwt(),
        finding("x", Kind::Code, Severity::Low, Confidence::Low),
    ]);
    let rules = RuleSet::new(vec![pack("p", &rules)]).unwrap();
    let redacted: Vec<_> = case.ask(&rules, |outcome| outcome.redacted().into_iter().collect());
    assert_eq!(redacted, [0, 1]);
    let denied = json!([
        rule("a", 2, "redact", &json!({ "findings": ["jwt"] })),
        rule("c", 1, "deny", &json!({ "any": true })),
    ]);
    let rules = RuleSet::new(vec![pack("p", &denied)]).unwrap();
    assert!(case.ask(&rules, |outcome| outcome.redacted().is_empty()));
}

#[test]
fn a_disabled_rule_says_nothing() {
    let mut off = rule("r", 1, "deny", &json!({ "any": true }));
    off["enabled"] = json!(false);
    let rules = RuleSet::new(vec![pack("p", &json!([off]))]).unwrap();
    assert!(Case::new("x", json!({})).ask(&rules, |outcome| outcome.hits.is_empty()));
}

#[test]
fn a_denial_says_what_happened_why_and_what_to_do() {
    let mut written = rule("disks", 1, "deny", &json!({ "any": true }));
    written["code"] = json!("destructive-command");
    written["reason"] = json!("it erases a disk");
    written["hint"] = json!("name a file");
    written["alternative"] = json!("`truncate -s 1G disk.img`");
    let rules = RuleSet::new(vec![pack("p", &json!([written]))]).unwrap();
    let text = Case::new("x", json!({})).ask(&rules, |outcome| outcome.text());
    assert_eq!(
        text.as_deref(),
        Some(
            "the content rule `p/disks` denies it (destructive-command): it erases a disk; name a \
             file; instead: `truncate -s 1G disk.img`"
        )
    );
}

#[test]
fn a_pack_with_a_problem_is_refused_with_its_place() {
    refused("", &["p.json:1:1: error: the file is empty"]);
    refused("[]", &["expected an object, found a list"]);
    refused(
        r#"{ "version": 2, "name": "p", "rules": [] }"#,
        &["version 2", "write `1`"],
    );
    refused(
        r#"{ "version": 1, "rules": [] }"#,
        &["key `name` is missing"],
    );
    refused(
        r#"{ "version": 1, "name": "a b", "rules": [] }"#,
        &["is no name"],
    );
    refused(
        r#"{ "version": 1, "name": "p", "rulse": [] }"#,
        &[
            "unknown key `rulse`",
            "did you mean `rules`?",
            "key `rules` is missing",
        ],
    );
    refused(
        r#"{ "version": 1, "name": "p", "name": "p", "rules": [] }"#,
        &["1:30", "key `name` is given twice"],
    );
    refused(
        r#"{ "version": 1, "name": "p", "rules": {} }"#,
        &["expected a list, found an object"],
    );
    refused_rule(
        r#"{ "name": "r", "priority": 1, "decision": "block", "when": { "any": true } }"#,
        &["2:43", "unknown word `block`", "expected `allow`, `deny`"],
    );
    refused_rule(
        r#"{ "name": "r", "priority": "1", "decision": "deny", "when": { "any": true } }"#,
        &["expected a whole number, found text"],
    );
    refused_rule(
        r#"{ "name": "r", "priority": 1000001, "decision": "deny", "when": { "any": true } }"#,
        &["beyond 1000000"],
    );
    refused_rule(
        r#"{ "name": "r", "priority": 1, "decision": "deny", "when": { "any": true }, "code": "EGRESS_DENY_DB_URL" }"#,
        &["write `database-url`"],
    );
    refused_rule(
        r#"{ "name": "r", "priority": 1, "decision": "deny", "when": { "any": true }, "reason": "two\nlines" }"#,
        &["not one line"],
    );
    refused_rule(
        r#"{ "name": "r", "priority": 1, "decision": "redact", "when": { "any": true } }"#,
        &["a rule that redacts must say what"],
    );
}

#[test]
fn a_condition_that_cannot_be_meant_is_refused() {
    refused_when(
        "{}",
        &[
            "3:9",
            "a rule without conditions fits no call",
            "\"any\": true",
        ],
    );
    refused_when(r#"{ "any": false }"#, &["fits no call"]);
    refused_when(
        r#"{ "any": true, "tools": ["x"] }"#,
        &["stands for no other condition"],
    );
    for key in [
        "tools",
        "categories",
        "arguments",
        "findings",
        "kinds",
        "content",
        "environments",
    ] {
        refused_when(
            &format!("{{ \"{key}\": [] }}"),
            &["an empty list fits no call"],
        );
    }
    refused_when(r#"{ "destinations": {} }"#, &["names no destination"]);
    refused_when(r#"{ "destinations": { "hosts": [] } }"#, &["an empty list"]);
    refused_when(
        r#"{ "destinations": { "hosts": ["https://a.example/x"] } }"#,
        &["3:39", "a host is a name, not a URL", "write `a.example`"],
    );
    refused_when(
        r#"{ "destinations": { "cidrs": ["10.0.0.1/8"] } }"#,
        &["write `10.0.0.0/8`"],
    );
    refused_when(r#"{ "tools": ["a?"] }"#, &["3:21", "`?` cannot stand"]);
    refused_when(
        r#"{ "content": ["("] }"#,
        &["3:23", "is no regular expression: unclosed group"],
    );
    refused_when(
        r#"{ "content": ["a", "x*"] }"#,
        &["3:28", "fits every text"],
    );
    refused_when(
        r#"{ "arguments": [{ "path": "a..b" }] }"#,
        &["an empty step"],
    );
    refused_when(
        r#"{ "arguments": [{ "equals": "x" }] }"#,
        &["key `path` is missing"],
    );
    refused_when(
        r#"{ "findings": ["aws-acess-key"] }"#,
        &[
            "no detector is called `aws-acess-key`",
            "did you mean `aws-access-key`?",
        ],
    );
    refused_when(r#"{ "findings": ["gcp-*"] }"#, &["no detector is called"]);
    refused_when(r#"{ "labels": { "a": "x", "a": "y" } }"#, &["given twice"]);
    refused_when(r#"{ "min_risk": "hgih" }"#, &["did you mean `high`?"]);
    let text = r#"{ "version": 1, "name": "p", "rules": [
        { "name": "a", "priority": 1, "decision": "deny", "when": { "categories": ["shel"] } } ] }"#;
    let invalid = Pack::parse(text, "p", None).unwrap_err();
    assert_eq!(invalid.problems().len(), 1, "{invalid}");
}

#[test]
fn every_problem_is_reported_at_once() {
    let text = r#"{ "version": 1, "name": "p", "rules": [
        { "name": "a", "priority": 1, "decision": "deny", "when": { "content": ["("] } },
        { "name": "b", "priority": 1, "decision": "deny", "when": { "tools": [] } }
    ] }"#;
    let invalid = Pack::parse(text, "p", None).unwrap_err();
    let lines: Vec<_> = invalid
        .problems()
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [2, 3]);
}

#[test]
fn rules_that_decide_differently_do_not_share_a_priority() {
    let text = r#"{ "version": 1, "name": "p", "rules": [
        { "name": "a", "priority": 1, "decision": "deny", "when": { "tools": ["x"] } },
        { "name": "b", "priority": 1, "decision": "deny", "when": { "tools": ["y"] } },
        { "name": "c", "priority": 1, "decision": "allow", "when": { "tools": ["z"] } },
        { "name": "a", "priority": 2, "decision": "simulate", "when": { "tools": ["z"] } },
        { "name": "d", "priority": 1, "decision": "simulate", "when": { "tools": ["z"] } }
    ] }"#;
    let invalid = Pack::parse(text, "p", None).unwrap_err();
    let told = invalid.to_string();
    assert_eq!(invalid.problems().len(), 2, "{told}");
    assert!(told.contains("priority 1 is that of `a`, which decides `deny` and not `allow`"));
    assert!(told.contains("(the first is here in line 2)"), "{told}");
    assert!(told.contains("the name `a` is given twice"), "{told}");
    let one = pack(
        "one",
        &json!([rule("r", 7, "deny", &json!({ "any": true }))]),
    );
    let other = pack(
        "other",
        &json!([rule("r", 7, "ask", &json!({ "any": true }))]),
    );
    let conflict = RuleSet::new(vec![one.clone(), other]).unwrap_err();
    assert!(
        conflict
            .to_string()
            .contains("priority 7 of `other/r` (ask) is that of `one/r` (deny)"),
        "{conflict}"
    );
    let conflict = RuleSet::new(vec![one.clone(), one]).unwrap_err();
    assert!(
        conflict.to_string().contains("both called `one`"),
        "{conflict}"
    );
}

#[test]
fn a_directory_is_read_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let source = |path: &Path| {
        vec![PackSource {
            path: path.to_owned(),
            shadow: false,
        }]
    };
    let load = || RuleSet::load(&source(dir.path()), None);
    assert!(matches!(load(), Err(PackError::NoPacks(_))));
    write("b.json", r#"{ "version": 1, "name": "b", "rules": [] }"#);
    write("a.json", r#"{ "version": 1, "name": "a", "rules": [] }"#);
    write("a.test.json", "no pack");
    write("pack.schema.json", "no pack");
    write("notes.txt", "no pack");
    let rules = load().unwrap();
    let names: Vec<_> = rules.packs().iter().map(Pack::name).collect();
    assert_eq!(names, ["a", "b"]);
    write("c.json", "{");
    assert!(matches!(load(), Err(PackError::Invalid(_))));
    fs::write(dir.path().join("c.json"), b"\xff").unwrap();
    assert!(matches!(load(), Err(PackError::Read { .. })));
    let gone = RuleSet::load(&source(&dir.path().join("gone.json")), None);
    assert!(matches!(gone, Err(PackError::Read { .. })));
}

fn written_when() -> impl Strategy<Value = Value> {
    select(vec![
        json!({ "any": true }),
        json!({ "tools": ["Bash", "mcp__*"] }),
        json!({ "categories": ["shell"] }),
        json!({ "content": ["rm", "[0-9]+"] }),
        json!({ "kinds": ["secret"] }),
        json!({ "destinations": { "not": ["github.com"] } }),
        json!({ "arguments": [{ "path": "*.x" }] }),
    ])
}

fn case() -> impl Strategy<Value = Case> {
    let tool = select(vec!["Bash", "Read", "mcp__github__push", "http_post"]);
    let hosts = prop::collection::vec(select(vec!["github.com", "evil.example"]), 0..3);
    let findings = prop::collection::vec(select(vec![aws(), jwt()]), 0..3);
    let arguments = select(vec![
        json!({}),
        json!({ "command": "rm -rf 7" }),
        json!({ "a": { "x": 1 } }),
    ]);
    (tool, hosts, findings, arguments).prop_map(|(tool, hosts, findings, arguments)| Case {
        findings,
        ..Case {
            tool: tool.to_owned(),
            arguments,
            ..Case::to(&hosts)
        }
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_check_panic(text in any::<String>()) {
        if let Err(invalid) = Pack::parse(&text, "p", Some(&["jwt"])) {
            prop_assert!(!invalid.problems().is_empty());
            prop_assert!(!invalid.picture(false).is_empty());
        }
    }

    #[test]
    fn no_damage_to_a_pack_makes_the_check_panic(
        at in any::<prop::sample::Index>(),
        length in 0..12usize,
        put in select(vec!["", "\"", "{", "]", ",", "null", "-1", "1e999", "\"//\":", "é", "\\u12", "[]", "(", "0.5"]),
    ) {
        let text = include_str!("../../../policy/packs/baseline.json");
        let mut at = at.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (before, after) = text.split_at(at);
        let damaged = format!("{before}{put}{}", after.get(length..).unwrap_or_default());
        if let Err(invalid) = Pack::parse(&damaged, "p", None) {
            prop_assert!(!invalid.problems().is_empty());
            prop_assert!(!invalid.picture(false).is_empty());
        }
    }

    #[test]
    fn the_order_of_rules_and_packs_decides_nothing(
        whens in prop::collection::vec((written_when(), 0..4u32, any::<bool>()), 1..8),
        order in any::<prop::sample::Index>(),
        case in case(),
    ) {
        // Rules of one number decide alike, so that every set is valid.
        let decisions = ["deny", "ask", "allow", "simulate"];
        let written: Vec<_> = whens
            .iter()
            .enumerate()
            .map(|(index, (when, priority, is_shadow))| {
                let decision = decisions[usize::try_from(*priority).unwrap()];
                let rule = rule("r", *priority, decision, when);
                pack(&format!("p{index}"), &json!([rule])).in_shadow(*is_shadow)
            })
            .collect();
        let mut turned = written.clone();
        turned.rotate_left(order.index(written.len()));
        turned.reverse();
        let told = |packs: Vec<Pack>| {
            case.ask(&RuleSet::new(packs).unwrap(), |outcome| outcome.told())
        };
        let (one, other) = (told(written.clone()), told(turned));
        prop_assert_eq!(&one, &other);
        // What decides is the first that fits among those that are enforced.
        let mut lowest = None;
        for pack in written.iter().filter(|pack| !pack.is_shadow()) {
            let rules = RuleSet::new(vec![pack.clone()]).unwrap();
            let priority = pack.rules()[0].priority;
            if case.ask(&rules, |outcome| outcome.decision().is_some()) {
                lowest = Some(lowest.unwrap_or(priority).min(priority));
            }
        }
        let expected = lowest.map_or("none", |lowest| decisions[usize::try_from(lowest).unwrap()]);
        prop_assert_eq!(one.decision, expected);
    }

    #[test]
    fn a_shadow_never_changes_a_decision(
        whens in prop::collection::vec((written_when(), 0..3u32), 1..6),
        case in case(),
    ) {
        let decisions = ["deny", "ask", "allow"];
        let packs: Vec<_> = whens
            .iter()
            .enumerate()
            .map(|(index, (when, priority))| {
                let decision = decisions[usize::try_from(*priority).unwrap()];
                pack(&format!("p{index}"), &json!([rule("r", *priority, decision, when)]))
            })
            .collect();
        let shadows = packs.iter().cloned().map(|pack| pack.in_shadow(true)).collect();
        let rules = RuleSet::new(shadows).unwrap();
        let would = case.ask(&rules, |outcome| {
            assert_eq!(outcome.decision(), None);
            outcome.told().would
        });
        let decision = case.ask(&RuleSet::new(packs).unwrap(), |outcome| outcome.decision());
        prop_assert_eq!(would, decision.map(|decision| format!("would-{}", decision.code())));
    }
}

#[test]
fn the_shipped_schema_is_the_one_of_the_types() {
    assert_of::<file::File>(PACK, "policy/packs/pack.schema.json");
}

#[test]
fn a_rule_looks_at_what_it_says_and_at_nothing_else() {
    let order = finding(
        "instruction-override",
        Kind::Injection,
        Severity::High,
        Confidence::High,
    );
    let case = |on| Case {
        on,
        ..Case::with(std::slice::from_ref(&order))
    };
    for (word, on) in [
        ("call", On::Call),
        ("result", On::Result),
        ("description", On::Description),
    ] {
        let rules = one("deny", &json!({ "on": word, "kinds": ["injection"] }));
        for asked in [On::Call, On::Result, On::Description] {
            let fits = case(asked).ask(&rules, |outcome| outcome.decision().is_some());
            assert_eq!(fits, asked == on, "{word} {asked:?}");
        }
    }
    let unsaid = one("deny", &json!({ "kinds": ["injection"] }));
    assert!(case(On::Call).ask(&unsaid, |outcome| outcome.decision().is_some()));
    assert!(case(On::Result).ask(&unsaid, |outcome| outcome.decision().is_none()));
    let any = one("ask", &json!({ "on": "result", "any": true }));
    assert!(case(On::Result).ask(&any, |outcome| outcome.decision().is_some()));
}

#[test]
fn what_no_result_and_no_description_can_be_is_refused() {
    refused_when(
        r#"{ "on": "result" }"#,
        &["a rule without conditions fits no call"],
    );
    refused_when(
        r#"{ "on": "results", "any": true }"#,
        &["unknown word `results`", "did you mean `result`?"],
    );
    refused_when(
        r#"{ "on": "result", "kinds": ["chain", "code"] }"#,
        &["no finding of these kinds is made in a result"],
    );
    refused_rule(
        r#"{ "name": "r", "priority": 1, "decision": "redact",
             "when": { "on": "description", "kinds": ["poisoning"] } }"#,
        &["no longer the server's", "write `deny`"],
    );
    refused_rule(
        r#"{ "name": "r", "priority": 1, "decision": "redact", "when": { "tools": ["*"] } }"#,
        &["must say what", "`content`"],
    );
    let text = r#"{ "version": 1, "name": "p", "rules": [ { "name": "r", "priority": 1,
        "decision": "redact", "when": { "content": ["a+"] } } ] }"#;
    assert!(Pack::parse(text, "p.json", None).is_ok());
}
