//! Where the judgement differs on purpose from the guard that it replaces, each with its reason.
//! `known_gap_…` is no purpose: it asserts what is so until it is better.

use serde_json::json;

use super::{Call, Policy, Verdict, judge};

#[track_caller]
fn check(command: &str, verdict: Verdict, why: &str) {
    let text = r#"{ "version": 1, "network": {
      "allow": [ { "name": "code", "hosts": ["github.com", "api.github.com"], "ports": ["1-65535/tcp"] } ],
      "loopback": { "allow": ["session"] } },
      "tools": { "git": { "owners": ["mine"], "hosts": ["github.com"] } } }"#;
    let policy = Policy::parse(text, "p").unwrap();
    let call = Call {
        tool: "Bash".to_owned(),
        input: json!({ "command": command }),
        cwd: None,
    };
    let got = judge(&policy, &call);
    assert_eq!(got.verdict, verdict, "{command}: {why}: {}", got.text);
}

#[test]
fn stricter_reads_name_hosts_too_and_a_name_can_carry_a_secret() {
    for command in [
        "git clone https://gitlab.com/someone/x",
        "git fetch https://gitlab.com/someone/x",
    ] {
        check(command, Verdict::Deny, "a read leaks through its URL");
    }
}

#[test]
fn justified_naming_a_program_is_not_running_it() {
    for command in ["which wget", "which scp", "command -v curl"] {
        check(command, Verdict::Allow, "nothing is contacted");
    }
}

#[test]
fn justified_loopback_needs_no_scheme() {
    let why = "the kernel knows whose listener it is";
    check("curl localhost:8000/ready", Verdict::Allow, why);
}

#[test]
fn known_gap_the_remote_of_a_push_is_not_looked_up() {
    let why = "the owner behind a remote's name stands in the repository's settings";
    check("git push backup main", Verdict::Allow, why);
}
