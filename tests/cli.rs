//! `egressctl` without a daemon: what every shell and script relies on.

use std::process::{Command, Output};

#[test]
fn completions_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let output = egressctl(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        for verb in [
            "run",
            "status",
            "log",
            "why",
            "session",
            "policy",
            "reload",
            "release",
            "rules",
            "replay",
            "scan",
            "selftest",
            "init",
            "uninstall",
            "doctor",
        ] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
        assert!(
            !script.contains("egressctl-enter") && !script.contains("egressctl-in-home"),
            "{shell}: a verb that people do not call"
        );
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_said() {
    for words in [&["completions", "bash"][..], &["policy", "profiles"]] {
        let full = std::fs::File::create("/dev/full").expect("every Linux has it");
        let output = Command::new(env!("CARGO_BIN_EXE_egressctl"))
            .args(words)
            .stdout(full)
            .output()
            .expect("egressctl is built");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(
            said.starts_with("egressctl: cannot write to standard output: No space left"),
            "{words:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
    }
}

#[test]
fn without_a_daemon_each_verb_says_so_in_one_line_with_what_to_do() {
    for words in [
        &["status"][..],
        &["session", "list"],
        &["why", "example.com:443"],
        &["reload"],
        &["run", "--allow-root", "--", "true"],
    ] {
        let output = egressctl(&[&["--socket", "/nonexistent/control.sock"], words].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
        assert!(
            said.contains("systemctl start egressd"),
            "{words:?}: {said}"
        );
        let expected = if words[0] == "run" { 125 } else { 2 };
        assert_eq!(output.status.code(), Some(expected), "{words:?}");
        assert!(
            !said.contains('\x1b'),
            "{words:?}: colour without a terminal"
        );
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    assert_eq!(egressctl(&["stats"]).status.code(), Some(2));
    assert_eq!(egressctl(&["why"]).status.code(), Some(2));
}

#[test]
fn a_scan_ends_with_1_when_something_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    let shown = file.to_str().unwrap();
    std::fs::write(&file, "nothing\n").unwrap();
    assert_eq!(egressctl(&["scan", shown]).status.code(), Some(0));
    let token = format!("ghp_{}", "a1".repeat(18));
    std::fs::write(&file, format!("first\n{token}\n")).unwrap();
    let output = egressctl(&["scan", shown]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("notes.txt:2:1"), "{said}");
    assert!(!said.contains(&token), "{said}");
    let output = egressctl(&["scan", "--sarif", shown]);
    let log: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 1);
    assert_eq!(egressctl(&["scan", "/nonexistent"]).status.code(), Some(2));
}

#[test]
fn rules_are_listed_tested_and_replayed() {
    let packs = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/packs");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/replay");
    let pack = format!("{packs}/baseline.json");
    for words in [
        &["rules", "list", packs][..],
        &["rules", "test", &pack],
        &["replay", fixtures, "--packs", packs],
    ] {
        let output = egressctl(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.json");
    std::fs::write(&bad, "{ \"version\": 1, \"name\": \"x\", \"rulse\": [] }").unwrap();
    let output = egressctl(&["rules", "list", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("did you mean `rules`?"), "{said}");
    assert_eq!(egressctl(&["rules", "list"]).status.code(), Some(2));
    assert_eq!(egressctl(&["replay", fixtures]).status.code(), Some(2));
}

#[test]
fn a_selftest_tells_each_vector_and_ends_with_1_for_a_gap() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/anthropic.json");
    let output = egressctl(&["selftest", "--policy", policy, "--category", "clean"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = egressctl(&["--json", "selftest", "--policy", policy]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let has_gaps = told["passed"] != told["total"];
    assert_eq!(output.status.code(), Some(i32::from(has_gaps)));
}

fn egressctl(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_egressctl"))
        .args(words)
        .output()
        .expect("egressctl is built")
}
