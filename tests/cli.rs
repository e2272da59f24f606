//! `egressctl` without a daemon: what every shell and script relies on.

use std::process::{Command, Output};

#[test]
fn completions_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let output = egressctl(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        for verb in [
            "run", "status", "log", "why", "session", "policy", "reload", "release",
        ] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
        assert!(
            !script.contains("egressctl-enter"),
            "{shell}: a verb that people do not call"
        );
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

fn egressctl(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_egressctl"))
        .args(words)
        .output()
        .expect("egressctl is built")
}
