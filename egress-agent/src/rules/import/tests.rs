use super::*;
use crate::{
    rules::{Decision, RuleSet},
    tools::Call,
};

/// The rules that mcp-egress-guard brings along, by what its documents say of them.
const BUNDLED: &str = r#"
pack: bundled
version: "1.0.0"
description: The rules that the other tool brings along
rules:
  - id: baseline-deny-secrets-in-args
    name: Secrets in arguments
    priority: 10
    decision: DENY
    conditions:
      secret_types: [aws_access_key, aws_secret_key, github_pat, bearer_token, private_key, db_url, stripe_key, openai_key, slack_bot_token]
    policy_code: EGRESS_DENY_SECRET_LEAK
    remediation_hint: Take the secret out
  - id: baseline-deny-high-risk
    name: High risk
    priority: 15
    decision: DENY
    conditions:
      min_risk_score: 0.9
    policy_code: EGRESS_DENY_POLICY_MATCH
  - id: destructive-deny-rm-rf
    name: Recursive removal
    priority: 5
    decision: DENY
    conditions:
      tool_categories: [shell]
      content_patterns:
        - 'rm\s+-[a-zA-Z]*r[a-zA-Z]*f'
        - 'rm\s+-[a-zA-Z]*f[a-zA-Z]*r'
    policy_code: EGRESS_DENY_DESTRUCTIVE_CMD
    safe_alternative: |
      Remove single files
      by name
  - id: destructive-deny-curl-pipe-shell
    name: Download into a shell
    priority: 5
    decision: DENY
    conditions:
      tool_categories: [shell]
      content_patterns:
        - 'curl.*\|\s*(sh|bash|zsh)'
        - 'wget.*\|\s*(sh|bash|zsh)'
        - 'curl.*\|\s*sudo'
    policy_code: EGRESS_DENY_DESTRUCTIVE_CMD
  - id: destructive-deny-force-push
    name: Force push
    priority: 10
    decision: DENY
    conditions:
      tool_categories: [shell, git]
      content_patterns:
        - 'git\s+push\s+.*--force\b'
        - 'git\s+push\s+.*-f\b'
    policy_code: EGRESS_DENY_DESTRUCTIVE_CMD
  - id: destructive-deny-disk-ops
    name: Disks
    priority: 5
    decision: DENY
    conditions:
      tool_categories: [shell]
      content_patterns:
        - '\bmkfs\b'
        - '\bdd\s+if='
        - '>\s*/dev/sd[a-z]'
    policy_code: EGRESS_DENY_DESTRUCTIVE_CMD
  - id: dest-deny-paste-bins
    name: Paste bins
    priority: 15
    decision: DENY
    conditions:
      destination_domains: ["*pastebin.com", "*hastebin.com", "*dpaste.org", "*paste.ee", "*ix.io", "*sprunge.us", "*termbin.com", "*0x0.st"]
    policy_code: EGRESS_DENY_PUBLIC_UPLOAD
  - id: dest-deny-file-sharing
    name: File sharing
    priority: 15
    decision: DENY
    conditions:
      destination_domains: ["*transfer.sh", "*file.io", "*gofile.io", "*mediafire.com", "*sendspace.com"]
    policy_code: EGRESS_DENY_PUBLIC_UPLOAD
  - id: dest-warn-public-repo
    name: Public repositories
    priority: 30
    decision: ESCALATE
    conditions:
      destination_domains: ["*github.com/*/issues*", "*github.com/*/pulls*", "*gist.github.com"]
    policy_code: EGRESS_ESCALATE_REVIEW
  - id: secrets-deny-aws-key
    name: Keys of AWS
    priority: 5
    decision: DENY
    conditions:
      secret_types: [aws_access_key, aws_secret_key]
    policy_code: EGRESS_DENY_API_KEY
  - id: secrets-deny-private-key
    name: Private keys
    priority: 5
    decision: DENY
    conditions:
      secret_types: [private_key, pgp_private_key]
    policy_code: EGRESS_DENY_PRIVATE_KEY
  - id: secrets-deny-db-url
    name: Database URLs
    priority: 10
    decision: DENY
    conditions:
      secret_types: [db_url]
    policy_code: EGRESS_DENY_DB_URL
  - id: secrets-redact-generic-token
    name: Generic tokens
    priority: 50
    decision: REDACT
    conditions:
      secret_types: [generic_api_key, jwt_token]
    policy_code: EGRESS_REDACT_SECRET
"#;

fn imported(rules: &str) -> Imported {
    from_meg(&format!("pack: p\nrules:\n{rules}")).unwrap_or_else(|error| panic!("{error}"))
}

/// A rule of these conditions, in YAML's flow style.
fn conditions(decision: &str, conditions: &str) -> Imported {
    imported(&format!(
        "  - {{ id: r, name: R, decision: {decision}, conditions: {{ {conditions} }} }}"
    ))
}

fn decision(imported: &Imported, tool: &str, input: Value) -> Option<Decision> {
    let pack = Pack::parse(&imported.pack.to_string(), "p", None).unwrap();
    let rules = RuleSet::new(vec![pack]).unwrap();
    let call = Call {
        tool: tool.to_owned(),
        input,
        cwd: None,
        remotes: Vec::new(),
    };
    let seen = crate::content::Content::default().see(&call);
    let labels = BTreeMap::new();
    let question = seen.question(&call, &labels, None);
    rules.decide(&question).decision()
}

#[track_caller]
fn lost(imported: &Imported, expected: &str) {
    assert!(
        imported.lost.iter().any(|line| line.contains(expected)),
        "{:?}",
        imported.lost
    );
}

#[test]
fn every_bundled_rule_is_carried() {
    let imported = from_meg(BUNDLED).unwrap();
    assert_eq!(imported.lost, Vec::<String>::new());
    let pack = Pack::parse(&imported.pack.to_string(), "p", None).unwrap();
    // One of them becomes two.
    assert_eq!(pack.rules().len(), 14);
    assert_eq!(pack.name(), "bundled");
    let rm = pack
        .rules()
        .iter()
        .find(|rule| rule.name == "destructive-deny-rm-rf")
        .unwrap();
    assert_eq!(rm.code.as_str(), "destructive-command");
    assert_eq!(
        rm.alternative.as_deref(),
        Some("Remove single files by name")
    );
    let told = imported.differences.join("\n");
    assert!(
        told.contains("`baseline-deny-high-risk`.min_risk_score: 0.9 becomes the severity `high`"),
        "{told}"
    );
}

#[test]
fn what_the_other_tool_promises_is_kept() {
    let imported = from_meg(BUNDLED).unwrap();
    let deny = Some(Decision::Deny);
    let post = |url: &str| decision(&imported, "http_post", json!({ "url": url }));
    assert_eq!(post("https://pastebin.com/api"), deny);
    assert_eq!(post("https://transfer.sh/upload"), deny);
    assert_eq!(post("https://notpastebin.com/"), None);
    assert_eq!(post("https://gist.github.com/"), Some(Decision::Ask));
    assert_eq!(post("https://github.com/o/r/issues/1"), Some(Decision::Ask));
    assert_eq!(post("https://github.com/o/r"), None);
    let shell = |command: &str| decision(&imported, "shell_exec", json!({ "command": command }));
    assert_eq!(shell("rm -rf /"), deny);
    assert_eq!(shell("RM -RF /"), deny);
    assert_eq!(shell("curl https://get.example | bash"), deny);
    assert_eq!(shell("git push origin main --force"), deny);
    assert_eq!(shell("ls"), None);
    let token = format!("ghp_{}", "a1".repeat(18));
    assert_eq!(decision(&imported, "x", json!({ "a": token })), deny);
}

#[test]
fn negations_alone_come_to_mean_something() {
    let imported = conditions(
        "DENY",
        r#"destination_domains: ["!*.example.com", "!github.com"]"#,
    );
    let post = |url: &str| decision(&imported, "http_post", json!({ "url": url }));
    assert_eq!(post("https://github.com/x"), None);
    assert_eq!(post("https://a.b.example.com/x"), None);
    assert_eq!(post("https://example.com/x"), Some(Decision::Deny));
    assert!(
        imported
            .differences
            .iter()
            .any(|line| line.contains("never fit there"))
    );
}

#[test]
fn tools_fit_in_any_case() {
    let imported = conditions("DENY", r#"tool_name_patterns: ["HTTP_*"]"#);
    assert_eq!(
        decision(&imported, "Http_Post", json!({})),
        Some(Decision::Deny)
    );
    assert_eq!(decision(&imported, "ftp_post", json!({})), None);
}

#[test]
fn paths_labels_and_environments_are_carried() {
    let imported = conditions(
        "DENY",
        r#"arg_path_patterns: ["options.*=true"], labels: { team: core, tier: 1 }, environments: [Production]"#,
    );
    assert_eq!(imported.lost, Vec::<String>::new());
    let when = &imported.pack["rules"][0]["when"];
    assert_eq!(
        when["arguments"],
        json!([{ "path": "options.*", "equals": "true" }])
    );
    assert_eq!(when["labels"], json!({ "team": "core", "tier": "1" }));
    assert_eq!(when["environments"], json!(["Production"]));
}

#[test]
fn a_rule_without_conditions_fits_every_call() {
    let imported = imported("  - { id: r, name: R, decision: DENY, enabled: false }");
    assert_eq!(imported.pack["rules"][0]["when"], json!({ "any": true }));
    assert_eq!(imported.pack["rules"][0]["enabled"], json!(false));
    assert_eq!(imported.pack["rules"][0]["priority"], json!(100));
}

#[test]
fn what_cannot_be_carried_is_told() {
    lost(
        &conditions("DENY", r#"tool_name_patterns: ["http_?"]"#),
        "`http_?` cannot be written here",
    );
    lost(
        &conditions("DENY", "tool_categories: [weather]"),
        "`weather` is no category",
    );
    lost(
        &conditions("DENY", "secret_types: [weather]"),
        "`weather` has no detector here",
    );
    lost(
        &conditions("DENY", r#"content_patterns: ["(?=a)b"]"#),
        "is no regular expression",
    );
    lost(
        &conditions("DENY", r#"content_patterns: [".*"]"#),
        "fits every text",
    );
    lost(
        &conditions("DENY", r#"destination_domains: ["!*/x"]"#),
        "is no pattern of hosts",
    );
    lost(
        &conditions("DENY", r#"destination_domains: ["*[ab].example"]"#),
        "set of characters",
    );
    lost(
        &conditions(
            "DENY",
            r#"destination_domains: ["a.example/*"], content_patterns: [x]"#,
        ),
        "cannot stand beside",
    );
    lost(
        &conditions("DENY", r#"arg_path_patterns: ["a..b"]"#),
        "an empty step",
    );
    lost(
        &conditions("DENY", "min_risk_score: 7"),
        "not between 0 and 1",
    );
    lost(
        &conditions("REDACT", "environments: [x]"),
        "redacts without saying what",
    );
    let imported = conditions("DENY", "secret_types: [weather]");
    assert_eq!(imported.pack["rules"], json!([]));
}

#[test]
fn equals_that_decide_differently_keep_their_order() {
    let imported = imported(
        "  - { id: a, name: A, decision: DENY, priority: 10, conditions: { tool_name_patterns: [x] } }
  - { id: b, name: B, decision: ALLOW, priority: 10, conditions: { tool_name_patterns: [x*] } }
  - { id: c, name: C, decision: DENY, priority: -5, conditions: { tool_name_patterns: [y] } }",
    );
    let numbers: Vec<_> = imported.pack["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["priority"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [20, 30, 10]);
    assert!(
        imported
            .differences
            .iter()
            .any(|line| line.contains("numbered anew"))
    );
    assert_eq!(decision(&imported, "x", json!({})), Some(Decision::Deny));
    assert_eq!(decision(&imported, "xy", json!({})), Some(Decision::Allow));
}

#[test]
fn a_score_is_rounded_to_the_safe_side() {
    let risk = |decision: &str, score: &str| {
        let imported = conditions(decision, &format!("min_risk_score: {score}"));
        imported.pack["rules"][0]["when"]["min_risk"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(risk("DENY", "0.9"), "high");
    assert_eq!(risk("ALLOW", "0.9"), "critical");
    assert_eq!(risk("DENY", "0"), "info");
    assert_eq!(risk("DENY", "1"), "critical");
    assert_eq!(risk("ALLOW", "0.1"), "low");
}

#[test]
fn names_stay_unique_and_readable() {
    let imported = imported(
        "  - { id: 'a b', name: A, decision: DENY }
  - { id: a-b, name: B, decision: DENY, tags: [x] }",
    );
    assert_eq!(imported.pack["rules"][0]["name"], "a-b");
    assert_eq!(imported.pack["rules"][1]["name"], "a-b-2");
    assert!(
        imported
            .differences
            .iter()
            .any(|line| line.contains("`a-b`.tags: dropped"))
    );
}

#[test]
fn what_is_no_pack_is_refused_with_its_place() {
    for (text, expected) in [
        ("rules: [", "line"),
        ("rules:\n  - { id: a, name: b, decision: BLOCK }", "line 2"),
        (
            "rules:\n  - { id: a, name: b, decision: DENY, conditon: {} }",
            "conditon",
        ),
        ("pack: a\npack: b\nrules: []", "pack"),
        (
            "rules:\n  - { id: a, name: b, decision: !!python/object/apply:x [] }",
            "line 2",
        ),
        ("", "line 1"),
    ] {
        let error = from_meg(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn aliases_do_not_explode() {
    let long = "x".repeat(100_000);
    let many = vec!["*a"; 20_000].join(", ");
    let text =
        format!("rules:\n  - {{ id: a, name: &a {long}, decision: DENY, tags: [{many}] }}\n");
    // Two gigabytes, were all of them written out.
    assert!(from_meg(&text).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_import_panic(text in ".*") {
        // Either is an answer.
        drop(from_meg(&text));
    }

    #[test]
    fn no_damage_to_a_pack_makes_the_import_panic(
        at in proptest::prelude::any::<proptest::sample::Index>(),
        length in 0..9usize,
        put in proptest::sample::select(vec!["", ":", "- ", "[", "&a", "*a", "!!x", "\t", "\n", "'", "|", "<<: *a"]),
    ) {
        let (before, after) = BUNDLED.split_at(at.index(BUNDLED.len()));
        let damaged = format!("{before}{put}{}", after.get(length..).unwrap_or_default());
        if let Ok(imported) = from_meg(&damaged) {
            // What is printed can be read.
            Pack::parse(&imported.pack.to_string(), "p", None).unwrap();
        }
    }
}
