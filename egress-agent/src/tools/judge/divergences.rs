//! Where the judgement differs on purpose from the guard that it replaces, each with its reason.
//! Everything else that is known of that guard's verdicts agrees.

use serde_json::json;

use super::{Call, Policy, Verdict, judge};
use crate::tools::confirm;

#[track_caller]
fn check(command: &str, verdict: Verdict, why: &str) {
    let text = r#"{ "version": 1, "network": {
      "allow": [ { "name": "code", "hosts": ["github.com", "api.github.com"], "ports": ["1-65535/tcp"] } ],
      "loopback": { "allow": ["session"] } },
      "tools": { "git": { "owners": ["mine"], "hosts": ["github.com"] } } }"#;
    let policy = Policy::parse(text, "p").unwrap();
    let call = Call::new("Bash", json!({ "command": command }));
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
    for command in ["which wget", "which ssh", "command -v curl"] {
        check(command, Verdict::Allow, "nothing is contacted");
    }
}

#[test]
fn justified_loopback_needs_no_scheme() {
    let why = "the kernel knows whose listener it is";
    check("curl localhost:8000/ready", Verdict::Allow, why);
}

#[test]
fn stricter_a_release_is_published_by_a_person() {
    let why = "nobody takes back what was published";
    for command in [
        "gh release create v1 --repo mine/x",
        "gh release upload v1 ./f --repo mine/x --notes \"a/b\"",
    ] {
        check(command, Verdict::Deny, why);
    }
    let why = "another owner is refused before anybody is asked";
    let command = "gh release upload v1 ./f --repo other/x";
    check(command, Verdict::Deny, why);
}

#[test]
fn stricter_a_file_with_the_name_of_an_old_token_confirms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(dir.path(), mode).unwrap();
    for name in ["0123456789abcdef.ctx_execute", "0123456789abcdef"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    for class in ["mcp__context__ctx_execute", "ctx_execute"] {
        let now = std::time::SystemTime::now();
        assert!(!confirm::take(dir.path(), class, now).unwrap(), "{class}");
    }
}
