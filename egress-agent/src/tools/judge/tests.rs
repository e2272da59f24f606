use serde_json::json;

use super::*;

const POLICY: &str = r#"{ "version": 1, "name": "p", "network": {
  "allow": [ { "name": "github", "hosts": ["github.com", "*.github.com"], "ports": ["443/tcp"] } ],
  "deny": [ { "name": "gists", "hosts": ["gist.github.com"], "reason": "No drop boxes." } ] },
  "tools": {
    "url_tools": ["mcp__*__browser_navigate"],
    "connectors": [ { "tools": ["mcp__github__*"], "owners": ["mine"] }, { "tools": ["mcp__slack__read*"] } ],
    "connector_tools": ["mcp__hosted_*", "mcp__slack__*"],
    "owner_scopes": [ { "tools": ["mcp__forge__*"], "owners": ["mine"] } ],
    "local_servers": ["serena"],
    "deny": ["mcp__*__browser_run_code_unsafe"],
    "confirm": ["mcp__github__*merge*", "WebFetch"] } }"#;

fn call(tool: &str, input: Value) -> Call {
    Call {
        tool: tool.to_owned(),
        input,
        cwd: Some("/home/me/work".into()),
        remotes: Vec::new(),
    }
}

fn judged(tool: &str, input: Value) -> Judgement {
    judge(&Policy::parse(POLICY, "p").unwrap(), &call(tool, input))
}

#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a row of a table is made for it"
)]
fn check(tool: &str, input: Value, class: Class, reason: Option<&str>) {
    let got = judged(tool, input.clone());
    assert_eq!(
        (got.class, got.reason.as_deref()),
        (class, reason),
        "{tool} {input}: {}",
        got.text
    );
    assert_eq!(got.verdict == Verdict::Allow, reason.is_none());
    assert_eq!(got.text.is_empty(), reason.is_none());
    assert!(!got.text.contains('\n'), "{}", got.text);
}

#[test]
fn the_first_question_that_applies_decides() {
    let key = format!("ghp_{}", "a".repeat(36));
    let evil = json!({ "url": "https://evil.example", "key": key });
    check(
        "mcp__x__browser_run_code_unsafe",
        evil.clone(),
        Class::HardDeny,
        Some("hard-deny"),
    );
    check(
        "mcp__x__browser_navigate",
        evil,
        Class::Sensitive,
        Some("secret"),
    );
    let evil = json!({ "url": "https://evil.example", "owner": "other" });
    check(
        "mcp__x__browser_navigate",
        evil.clone(),
        Class::Url,
        Some("name-denied"),
    );
    check(
        "mcp__github__send",
        evil,
        Class::Connector,
        Some("owner-not-allowed"),
    );
    check(
        "mcp__x__send",
        json!({ "a": "https://evil.example" }),
        Class::NetworkName,
        Some("network-name"),
    );
    check(
        "mcp__x__SendIt",
        json!({}),
        Class::NetworkName,
        Some("network-name"),
    );
    check(
        "mcp__x__emit",
        json!({ "a": "https://evil.example" }),
        Class::CarriesHost,
        Some("carries-host"),
    );
    check(
        "mcp__x__query",
        json!({ "host": "evil.example", "port": 5432 }),
        Class::CarriesHost,
        Some("carries-host"),
    );
    check(
        "mcp__github__merge",
        json!({ "owner": "mine" }),
        Class::Confirm,
        Some("needs-confirmation"),
    );
    check("mcp__x__emit", json!({ "a": "b" }), Class::Other, None);
}

#[test]
fn urls_must_be_there_and_be_allowed() {
    let go = |url: &str, reason| {
        check(
            "mcp__x__browser_navigate",
            json!({ "url": url }),
            Class::Url,
            reason,
        );
    };
    go("https://github.com/a", None);
    go("https://user:pass@github.com:443/a", None);
    go("https://GITHUB.com./a", None);
    go("https://gist.github.com/a", Some("denied-by-rule"));
    go("http://github.com/", Some("port-not-allowed"));
    go("https://github.com@evil.example/", Some("name-denied"));
    go("https://evil.example\\@github.com/", Some("name-denied"));
    go("https://0x6060606/", Some("no-rule"));
    go("http://[::1]:3000/", Some("loopback"));
    go("about:blank", Some("unreadable-host"));
    check(
        "mcp__x__browser_navigate",
        json!({}),
        Class::Url,
        Some("no-host"),
    );
    check(
        "WebFetch",
        json!({ "url": "https://evil.example", "prompt": "x" }),
        Class::Url,
        Some("name-denied"),
    );
    check(
        "WebFetch",
        json!({ "url": "https://github.com", "prompt": "x" }),
        Class::Confirm,
        Some("needs-confirmation"),
    );
    let got = judged(
        "mcp__x__browser_navigate",
        json!({ "url": "https://api.github.com", "b": "https://github.com" }),
    );
    assert_eq!(got.hosts, ["api.github.com", "github.com"]);
    assert_eq!(got.rule.as_deref(), Some("github"));
}

#[test]
fn a_denial_says_what_happened_why_and_what_to_do() {
    let got = judged("WebFetch", json!({ "url": "https://evil.example/x" }));
    assert_eq!(
        got.text,
        "`WebFetch` would reach evil.example port 443, and under the policy `p` no rule allows it \
         (name-denied); use an allowed host, or ask whoever owns the policy to add \
         {\"name\": \"evil.example\", \"hosts\": [\"evil.example\"], \"ports\": [\"443/tcp\"]}"
    );
    let got = judged("WebFetch", json!({ "url": "https://gist.github.com/x" }));
    assert_eq!(
        got.text,
        "`WebFetch` would reach gist.github.com port 443, and under the policy `p` the rule `gists` \
         denies it: No drop boxes.; use another host; do not retry"
    );
}

#[test]
fn connectors_are_allowed_by_name_and_then_by_owner() {
    check(
        "mcp__github__list",
        json!({ "owner": "Mine", "url": "https://github.com/mine/x" }),
        Class::Connector,
        None,
    );
    check(
        "mcp__github__list",
        json!({ "state": "open" }),
        Class::Connector,
        None,
    );
    check(
        "mcp__github__list",
        json!({ "repository": { "full": "other/x" } }),
        Class::Connector,
        Some("owner-not-allowed"),
    );
    check(
        "mcp__hosted_mail__list",
        json!({}),
        Class::Connector,
        Some("connector-not-allowed"),
    );
    check(
        "mcp__slack__read_channel",
        json!({}),
        Class::Connector,
        None,
    );
    check(
        "mcp__slack__post",
        json!({}),
        Class::Connector,
        Some("connector-not-allowed"),
    );
    // A scope restricts and allows nothing.
    check(
        "mcp__forge__get",
        json!({ "owner": "other" }),
        Class::Connector,
        Some("owner-not-allowed"),
    );
    check(
        "mcp__forge__fetch",
        json!({ "owner": "mine" }),
        Class::NetworkName,
        Some("network-name"),
    );
}

#[test]
fn local_servers_may_be_called_anything_and_still_hold_no_secret() {
    check(
        "mcp__serena__send_it",
        json!({ "url": "https://evil.example" }),
        Class::Other,
        None,
    );
    check(
        "mcp__serena-hosted__send",
        json!({}),
        Class::NetworkName,
        Some("network-name"),
    );
    check(
        "mcp__serena__find",
        json!({ "q": "~/.ssh/key" }),
        Class::Sensitive,
        Some("credential-path"),
    );
    check(
        "mcp__serena__edit",
        json!({ "relative_path": ".claude/settings.json" }),
        Class::Sensitive,
        Some("control-plane"),
    );
    check(
        "mcp__serena__find",
        json!({ "q": "curl https://github.com -d @/tmp/x" }),
        Class::Sensitive,
        Some("upload-command"),
    );
    check(
        "mcp__serena__find",
        json!({ "q": "how curl sends a @mention" }),
        Class::Other,
        None,
    );
}

#[test]
fn the_agents_own_tools_are_known() {
    let docs = "see https://evil.example and ~/.ssh/config";
    check(
        "Write",
        json!({ "file_path": "/home/me/work/a.md", "content": docs }),
        Class::Other,
        None,
    );
    check(
        "Write",
        json!({ "file_path": "/home/me/.claude/hooks/x", "content": "" }),
        Class::Sensitive,
        Some("control-plane"),
    );
    check(
        "Write",
        json!({ "file_path": ".env", "content": "A=1" }),
        Class::Other,
        None,
    );
    check(
        "Edit",
        json!({ "file_path": ".env", "old_string": "a", "new_string": "b" }),
        Class::Sensitive,
        Some("credential-path"),
    );
    check(
        "Read",
        json!({ "file_path": "/home/me/work/.env" }),
        Class::Sensitive,
        Some("credential-path"),
    );
    check(
        "Read",
        json!({ "file_path": "/home/me/.claude/settings.json" }),
        Class::Other,
        None,
    );
    check(
        "Grep",
        json!({ "pattern": "\\.env", "path": "src" }),
        Class::Other,
        None,
    );
    check("Task", json!({ "prompt": docs }), Class::Other, None);
    check(
        "WebSearch",
        json!({ "query": "https://evil.example" }),
        Class::Other,
        None,
    );
    let patch = "*** Begin Patch\n*** Update File: .codex/config.toml\n@@\n*** End Patch";
    check(
        "apply_patch",
        json!({ "command": patch }),
        Class::Sensitive,
        Some("control-plane"),
    );
    check(
        "apply_patch",
        json!({ "input": "*** Add File: src/a.rs\n+https://evil.example" }),
        Class::Other,
        None,
    );
    check(
        "Mystery",
        json!({ "target": "evil.example:443" }),
        Class::CarriesHost,
        Some("carries-host"),
    );
}

#[test]
fn commands_are_read_as_text_and_as_words() {
    assert_eq!(
        text_at(&json!({ "c": ["bash", "-lc", "echo 'a b'"] }), "c").as_deref(),
        Some(r"'bash' '-lc' 'echo '\''a b'\'''")
    );
    assert_eq!(text_at(&json!({ "c": ["a", 1] }), "c"), None);
    check("Bash", json!({ "x": 1 }), Class::Shell, Some("no-command"));
}

#[test]
fn an_empty_policy_allows_no_place() {
    let policy = Policy::parse(r#"{ "version": 1 }"#, "p").unwrap();
    let got = judge(
        &policy,
        &call("WebFetch", json!({ "url": "https://github.com" })),
    );
    assert_eq!(got.verdict, Verdict::Deny);
    let got = judge(&policy, &call("mcp__x__http_get", json!({})));
    assert_eq!(got.class, Class::NetworkName);
}
