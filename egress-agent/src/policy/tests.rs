use super::*;

fn rule(rest: &str) -> String {
    format!(r#"{{ "version": 1, "network": {{ "allow": [ {{ "name": "a", {rest} }} ] }} }}"#)
}

/// One line for each problem: `line:column path: message; help`.
fn problems(text: &str) -> Vec<String> {
    let invalid = Policy::parse(text, "p.json").unwrap_err();
    let tell = |problem: &Problem| {
        let help = problem.help.as_ref().map(|help| format!("; {help}"));
        let Problem {
            line,
            column,
            path,
            message,
            ..
        } = problem;
        format!(
            "{line}:{column} {path}: {message}{}",
            help.unwrap_or_default()
        )
    };
    invalid.problems().iter().map(tell).collect()
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected);
}

#[track_caller]
fn parse(text: &str) -> Policy {
    Policy::parse(text, "p.json").unwrap_or_else(|invalid| panic!("{invalid}"))
}

#[test]
fn the_smallest_policy_allows_nothing() {
    let policy = parse(r#"{ "version": 1 }"#);
    assert_eq!(policy.name(), "p");
    assert_eq!(policy.mode(), Mode::Enforce);
    assert_eq!(policy.denial_errno(), 1);
    assert!(!policy.session_loopback() && !policy.inbound_loopback());
    assert!(policy.rules().is_empty() && policy.warnings().is_empty());
    let name = Name::parse("github.com").unwrap();
    let denied = NameDecision::Deny {
        reason: Reason::NameDenied,
        rule: RuleId::NONE,
    };
    assert_eq!(policy.decide_name(&name), denied);
    let tables = policy.compile(&mut PortSets::starting_at(1));
    assert!(tables.ports.is_empty());
    assert!(
        tables
            .networks
            .iter()
            .all(|(_, _, n)| n.allow == 0 && n.deny == 0)
    );
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = r#"{
  "version": 2,
  "mode": "enforced",
  "proxy": {},
  "network": {
    "allow": [
      { "name": "a", "hosts": [17, "*.com", "a.com"], "prots": ["443"] },
      { "name": "a", "cidrs": ["10.0.0.1/8"], "ports": ["90-80/tcp", null, "53/dns"] },
      { "name": "loopback", "cidrs": ["10.0.0.1"], "ports": [] },
      { "hosts": [], "name": "b", "name": "c", "ports": {} },
      { "hosts": ["x.org"], "ports": [1] }
    ],
    "denny": [],
    "loopback": { "allow": ["sesion", 0] }
  },
  "dns": { "mode": "snop", "grace": "2h", "ttl_min": "10s", "ttl_max": "5s", "keep": 1 },
  "audit": { "file": "audit.jsonl", "keep": -1 }
}"#;
    refused(
        text,
        &[
            "2:14 version: version 2 of the format is not known; write `1`",
            "3:11 mode: unknown word `enforced`; did you mean `enforce`?",
            "7:32 network.allow[0].hosts[0]: expected text, found `17`",
            "7:36 network.allow[0].hosts[1]: `*.com` allows names that anybody can register: \
             `com` is a public suffix; name the host, or add `\"multi_tenant\": true` to the rule \
             if it is meant",
            "7:55 network.allow[0].prots: unknown key `prots`; did you mean `ports`?",
            "8:17 network.allow[1].name: `a` names two rules; records tell rules apart by their \
             names",
            "8:32 network.allow[1].cidrs[0]: `10.0.0.1/8`: bits are set after the prefix; write \
             `10.0.0.0/8`",
            "8:57 network.allow[1].ports[0]: `90-80/tcp`: the range runs backwards; write \
             `80-90/tcp`",
            "8:70 network.allow[1].ports[1]: expected a whole number or text, found `null`; \
             A port or range of ports: text such as `443/tcp`, or a number for TCP.",
            "8:76 network.allow[1].ports[2]: `53/dns`: only tcp and udp can be named; write \
             `53/tcp` or `53/udp`; every other protocol is always denied",
            "9:17 network.allow[2].name: `loopback` is the name of a rule of egressd's own; \
             choose another name",
            "9:61 network.allow[2].ports: the rule names no ports; an empty list allows nothing; \
             write ports such as `443/tcp`",
            "10:35 network.allow[3].name: key `name` is given twice; keep one of the two",
            "10:57 network.allow[3].ports: expected a list, found an object; Ports: `443/tcp`, \
             `53/udp`, `8000-8099/tcp`; a bare `443` is TCP. An allow rule must have them; a deny \
             rule without them denies every port.",
            "11:7 network.allow[4]: key `name` is missing; Name of the rule in records, unique in \
             the policy: letters, digits, `_`, `.` and `-`.",
            "13:5 network.denny: unknown key `denny`; did you mean `deny`?",
            "14:29 network.loopback.allow[0]: `sesion`: not a port; did you mean `session`?",
            "14:39 network.loopback.allow[1]: `0`: port 0 cannot be reached; ports go from 1 to \
             65535",
            "16:20 dns.mode: unknown word `snop`; did you mean `snoop`?",
            "16:37 dns.grace: `2h` is out of bounds; write a value from `0s` to `1h`",
            "16:72 dns.ttl_max: `ttl_max` is shorter than `ttl_min` (10s)",
            "16:78 dns.keep: unknown key `keep`; expected one of `addresses_per_name`, \
             `description`, `grace`, `mode`, `private`, `refusal`, `ttl_max`, `ttl_min`, \
             `types`, `upstreams`, `wildcard_names`",
            "17:22 audit.file: `audit.jsonl` is not the absolute path of a file; write a path \
             such as `/var/log/egressd/audit.jsonl`",
            "17:45 audit.keep: expected a whole number, found `-1`; Finished files that are kept, \
             1 to 1000.",
        ],
    );
}

#[test]
fn broken_json_is_shown_where_it_breaks() {
    let strict = |text, expected: &str| refused(text, &[expected]);
    strict(
        "",
        "1:1 : the file is empty; the smallest policy is `{ \"version\": 1 }`; it allows nothing",
    );
    strict(
        "{ \"version\": 1, }",
        "1:15 : trailing commas are not allowed; take out the last comma",
    );
    strict(
        "{\n // no\n}",
        "2:2 : comments are not allowed; JSON has no comments; write a `\"//\"` key",
    );
    strict(
        "{ 'version': 1 }",
        "1:3 : single-quoted strings are not allowed; put it in double quotes",
    );
    strict(
        "{ version: 1 }",
        "1:3 : expected string for object property; put it in double quotes",
    );
    strict("{ \"version\": 1 ", "1:1 : unterminated object");
    strict(
        "{\"version\":1}x",
        "1:14 : text cannot contain more than one JSON value",
    );
    strict(
        "\u{feff}{}",
        "1:1 : the text begins with a byte order mark; save the file as UTF-8 without a byte order mark",
    );
    strict(
        "[]",
        "1:1 : expected an object, found a list; What an AI coding agent may reach from \
        this machine. Everything that is not allowed here is denied.",
    );
    for text in [
        r#"{"version": 01}"#,
        r#"{"version": 1e0}"#,
        r#"{"version": 1.0}"#,
        "{\"version\": 1, \"name\": \"\u{1}\"}",
    ] {
        assert_eq!(problems(text).len(), 1, "{text}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(problems(&deep).len(), 1);
}

#[test]
fn a_picture_shows_the_line_and_a_long_line_is_told_in_one() {
    let invalid = Policy::parse("{\n  \"version\": 1,\n  \"mod\": 3\n}", "dir/p.json").unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "dir/p.json:3:3: error: unknown key `mod`; did you mean `mode`?"
    );
    let picture = invalid.picture(false);
    for part in [
        "Error: unknown key `mod`",
        "dir/p.json:3:3",
        "\"mod\": 3",
        "──",
        "Help: did you mean `mode`?",
    ] {
        assert!(picture.contains(part), "{picture}");
    }
    assert!(!picture.contains('\x1b'));
    assert!(invalid.picture(true).contains('\x1b'));
    let long = format!(
        "{{ \"version\": 1, \"name\": \"{}\", \"mod\": 3 }}",
        "a".repeat(1000)
    );
    let picture = Policy::parse(&long, "p.json").unwrap_err().picture(false);
    assert_eq!(picture.lines().count(), 2);
}

#[test]
fn foreign_text_cannot_reach_the_terminal_as_control_characters() {
    let text = "{ \"version\": 1, \"mode\": \"\\u001b[2J\" }";
    let invalid = Policy::parse(text, "p.json").unwrap_err();
    assert!(!invalid.to_string().contains('\x1b'));
    assert!(!invalid.picture(false).contains('\x1b'));
}

#[test]
fn every_setting_is_read() {
    let policy = parse(
        r#"{
  "$schema": "policy.schema.json", "//": ["any", {"thing": 1}],
  "version": 1, "name": "n.1", "description": "d", "mode": "observe",
  "network": {
    "loopback": { "allow": ["session", "3000-3999/tcp", 53] },
    "inbound": "loopback", "errno": "ECONNREFUSED"
  },
  "dns": {
    "mode": "snoop", "upstreams": ["system", "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353"],
    "private": ["*.corp.example"], "wildcard_names": 7, "grace": "1m", "ttl_min": "0s",
    "ttl_max": "24h", "addresses_per_name": 3, "refusal": "NXDOMAIN", "types": ["TXT", "MX"]
  },
  "audit": { "file": "/a/b", "allowed": true, "rotate": "1GiB", "keep": 2 }
}"#,
    );
    assert_eq!(policy.name(), "n.1");
    assert_eq!(policy.mode(), Mode::Observe);
    assert_eq!(policy.denial_errno(), 111);
    assert!(policy.session_loopback() && policy.inbound_loopback());
    let [loopback] = policy.rules() else {
        panic!("one rule for loopback")
    };
    assert_eq!((loopback.name.as_str(), loopback.line), ("loopback", 5));
    assert_eq!(loopback.ports.len(), 2);
    let address = |text: &str| Upstream::Address(text.parse().unwrap());
    let seconds = std::time::Duration::from_secs;
    assert_eq!(
        *policy.dns(),
        DnsSettings {
            mode: egress_common::DnsMode::Snoop,
            upstreams: vec![
                Upstream::System,
                address("192.0.2.1:53"),
                address("192.0.2.1:5353"),
                address("[2001:db8::1]:53"),
                address("[2001:db8::1]:5353"),
            ],
            private: vec![NamePattern::parse("*.corp.example").unwrap()],
            refuse_with_nxdomain: true,
            wildcard_names: 7,
            grace: seconds(60),
            ttl_min: seconds(0),
            ttl_max: seconds(86_400),
            addresses_per_name: 3,
            types: vec![
                hickory_proto::rr::RecordType::TXT,
                hickory_proto::rr::RecordType::MX,
            ],
        }
    );
    assert_eq!(
        *policy.audit(),
        AuditSettings {
            file: "/a/b".into(),
            allowed: true,
            rotate_bytes: 1 << 30,
            keep: 2,
        }
    );
    assert!(policy.is_private_allowed(&Name::parse("x.corp.example").unwrap()));
    assert!(!policy.is_private_allowed(&Name::parse("corp.example").unwrap()));
}

#[test]
fn the_most_specific_rule_comes_first_and_deny_beats_allow() {
    let policy = parse(
        r#"{ "version": 1, "network": { "allow": [
  { "name": "many", "hosts": ["**.example.com"], "ports": [1] },
  { "name": "one", "hosts": ["*.example.com"], "ports": [2] },
  { "name": "exact", "hosts": ["a.example.com", "A.Example.COM."], "ports": [3] },
  { "name": "again", "hosts": ["a.example.com"], "ports": [4] }
], "deny": [
  { "name": "no", "hosts": ["b.example.com"] },
  { "name": "some", "hosts": ["*.example.com"], "ports": [2] },
  { "name": "all-that-is-left", "hosts": ["x.y.example.com"], "ports": ["1-9/tcp"] }
] } }"#,
    );
    let decide = |name: &str| policy.decide_name(&Name::parse(name).unwrap());
    let ids = |names: &[&str]| -> Vec<RuleId> {
        let find = |name: &&str| policy.rules().iter().find(|rule| rule.name == *name);
        names.iter().map(|name| find(name).unwrap().id).collect()
    };
    let granted = |rules: &[&str], wildcard: Option<&str>| {
        NameDecision::Allow(NameGrant {
            rules: ids(rules),
            wildcard: wildcard.map(|text| NamePattern::parse(text).unwrap()),
            until: u64::MAX,
        })
    };
    let denied = |rule: &str| NameDecision::Deny {
        reason: Reason::DeniedByRule,
        rule: ids(&[rule])[0],
    };
    assert_eq!(
        decide("a.example.com"),
        granted(&["exact", "again", "one", "many", "some"], None)
    );
    assert_eq!(
        decide("c.example.com"),
        granted(&["one", "many", "some"], Some("*.example.com"))
    );
    assert_eq!(
        decide("c.d.example.com"),
        granted(&["many"], Some("**.example.com"))
    );
    assert_eq!(decide("b.example.com"), denied("no"));
    assert_eq!(decide("x.y.example.com"), denied("all-that-is-left"));
    assert_eq!(
        decide("example.com"),
        NameDecision::Deny {
            reason: Reason::NameDenied,
            rule: RuleId::NONE
        }
    );
}

#[test]
fn port_sets_are_shared_and_their_numbers_never_come_back() {
    let text = r#"{ "version": 1, "network": { "allow": [
  { "name": "a", "hosts": ["a.com"], "cidrs": ["192.0.2.0/24", "198.51.100.0/24"], "ports": ["443/tcp"] },
  { "name": "b", "hosts": ["b.com"], "ports": ["0443/tcp", "1-65535/udp"] }
] } }"#;
    let policy = parse(text);
    let mut sets = PortSets::starting_at(7);
    let tables = policy.compile(&mut sets);
    let used: BTreeSet<_> = tables.networks.iter().map(|(_, _, n)| n.allow).collect();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), [0, 7]);
    assert_eq!(tables.ports.len(), 1);
    let (a, b) = (RuleId(1), RuleId(2));
    // The name's set leads to the proxy, the network's does not.
    let (named, entries) = sets.for_rules(&policy, &[a]);
    assert_eq!((named.0, entries.len()), (8, 1));
    assert_eq!(sets.for_rules(&policy, &[a]), (named, vec![]));
    let (both, entries) = sets.for_rules(&policy, &[b, a]);
    assert_eq!((both.0, sets.next_id()), (9, 10));
    // 443/tcp and 1-65535/udp, which takes one entry for each bit.
    assert_eq!(entries.len(), 17);
    assert!(
        entries
            .iter()
            .all(|entry| entry.rule.0 & 0x7fff_ffff == b.0)
    );
    assert_eq!(sets.for_rules(&policy, &[b, a]), (both, vec![]));
    let other = parse(&text.replace("a.com", "c.com"));
    let (set, entries) = sets.for_rules(&other, &[a]);
    assert_eq!((set.0, entries.len(), sets.next_id()), (10, 1, 11));
}

#[test]
fn warnings_name_what_is_probably_not_meant() {
    let policy = parse(
        r#"{ "version": 1, "mode": "observe", "network": { "allow": [
  { "name": "a", "hosts": ["dns.google", "*.cloudflare-dns.com", "localhost", "gone.example.com",
    "*.sub.example.com"], "ports": [443] },
  { "name": "b", "cidrs": ["0.0.0.0/0", "10.1.0.0/16", "10.2.0.0/16", "10.1.2.3"], "ports": [443] }
], "deny": [
  { "name": "x", "hosts": ["gone.example.com", "**.sub.example.com"], "cidrs": ["10.1.0.0/16"] },
  { "name": "y", "cidrs": ["10.2.0.0/16"], "ports": [443] }
] }, "dns": { "mode": "snoop" } }"#,
    );
    let told: Vec<_> = policy
        .warnings()
        .iter()
        .map(|w| format!("{}: {}", w.path, w.message))
        .collect();
    let expected = [
        "mode: nothing is refused in `observe` mode",
        "network.allow[0].hosts[0]: `dns.google` answers DNS over HTTPS: it resolves every name \
         and carries data out",
        "network.allow[0].hosts[1]: `*.cloudflare-dns.com` answers DNS over HTTPS: it resolves \
         every name and carries data out",
        "network.allow[0].hosts[2]: `localhost` is not asked of the DNS",
        "network.allow[0].hosts[3]: `gone.example.com` is never allowed: rule `x` denies it",
        "network.allow[0].hosts[4]: `*.sub.example.com` is never allowed: rule `x` denies it",
        "network.allow[1].cidrs[0]: `0.0.0.0/0` allows the whole internet on these ports",
        "network.allow[1].cidrs[1]: `10.1.0.0/16` is never allowed: rule `x` denies it",
        "network.allow[1].cidrs[3]: `10.1.2.3/32` is never allowed: rule `x` denies it",
        "dns.mode: in `snoop` mode denied names are still asked for, and a first connect may be \
         refused",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_policy_too_large_for_the_kernel_is_refused() {
    let cidrs: Vec<_> = (0..300_000u32)
        .map(|i| format!("\"{}\"", std::net::Ipv4Addr::from(0x0b00_0000 + i)))
        .collect();
    let text = rule(&format!("\"cidrs\": [{}], \"ports\": [1]", cidrs.join(",")));
    let told = problems(&text);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("does not fit into the kernel tables: more than 262144 address ranges"),
        "{told:?}"
    );
}

#[test]
fn a_policy_can_extend_another_and_not_weaken_it() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    write(
        "base.json",
        r#"{ "version": 1, "network": {
  "allow": [ { "name": "a", "hosts": ["a.com"], "ports": [443] } ],
  "deny": [ { "name": "no", "hosts": ["b.com"] } ],
  "loopback": { "allow": [8080] }, "errno": "EACCES"
}, "audit": { "file": "/base" } }"#,
    );
    let child = |mode: &str, rule: &str| {
        format!(
            r#"{{ "version": 1, "extends": "base.json", "mode": "{mode}", "network": {{
  "allow": [ {{ "name": "{rule}", "hosts": ["b.com", "c.com"], "ports": [443] }} ],
  "loopback": {{ "allow": ["session", 9090] }} }} }}"#
        )
    };
    let path = write("child.json", &child("enforce", "c"));
    let policy = Policy::load(&path).unwrap();
    let told: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| (rule.id.0, rule.name.as_str()))
        .collect();
    assert_eq!(told, [(1, "a"), (2, "c"), (3, "no"), (4, "loopback")]);
    assert_eq!(policy.rules()[3].ports.len(), 2);
    assert_eq!(
        (policy.denial_errno(), policy.audit().file.to_str()),
        (13, Some("/base"))
    );
    assert!(policy.session_loopback());
    assert_eq!(policy.files(), [path.clone(), dir.path().join("base.json")]);
    let denied = |name: &str| {
        let decision = policy.decide_name(&Name::parse(name).unwrap());
        matches!(decision, NameDecision::Deny { .. })
    };
    assert!(!denied("a.com") && denied("b.com") && !denied("c.com"));
    assert_eq!(policy.warnings().len(), 1, "the shadowed b.com");
    let before = policy.digest().to_owned();
    let base = std::fs::read_to_string(dir.path().join("base.json")).unwrap();
    write("base.json", &base.replace("a.com", "d.com"));
    assert_ne!(Policy::load(&path).unwrap().digest(), before);

    let told = |text: &str| match Policy::load(&write("bad.json", text)) {
        Err(PolicyError::Invalid(invalid)) => invalid.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(told(&child("observe", "c")).contains("the extended policy enforces"));
    assert!(told(&child("enforce", "no")).contains("`no` names a rule of the extended policy"));
    assert!(told(&child("enforce", "c").replace("base.json", "bad.json")).contains("in a circle"));
    assert!(
        told(&child("enforce", "c").replace("base", "gone"))
            .contains("cannot read the extended policy")
    );
    assert!(
        problems(&child("enforce", "c"))[0]
            .contains("`extends` needs a policy that is read from a file")
    );
}

#[test]
fn a_file_that_cannot_be_read_or_is_not_text_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let gone = Policy::load(&dir.path().join("gone.json")).unwrap_err();
    assert!(matches!(gone, PolicyError::Read { .. }));
    let path = dir.path().join("bytes.json");
    std::fs::write(&path, b"{\n \"a\": \"\xff\" }").unwrap();
    let told = Policy::load(&path).unwrap_err().to_string();
    assert!(
        told.contains(":2:8: error: the text is not UTF-8"),
        "{told}"
    );
}

#[test]
fn a_list_is_no_object_though_serde_would_take_it_for_one() {
    let schema = schema();
    let definitions = schema["$defs"].as_object().unwrap().iter();
    let mut objects: Vec<&str> = definitions
        .filter(|(_, definition)| definition["type"] == "object")
        .map(|(name, _)| name.as_str())
        .collect();
    objects.sort_unstable();
    // A new one belongs into `text::has_objects`, and below.
    assert_eq!(
        objects,
        [
            "Audit",
            "Budget",
            "Connector",
            "Credential",
            "Dns",
            "Git",
            "Inspect",
            "Loopback",
            "Network",
            "OwnerScope",
            "Proxy",
            "Request",
            "Rule",
            "SensitivePaths",
            "Session",
            "Shell",
            "Tools"
        ]
    );
    for (text, path) in [
        (r#"["", "", 1]"#, ""),
        (r#"{ "version": 1, "network": ["c", "d", []] }"#, "network"),
        (
            r#"{ "version": 1, "network": { "allow": [["c", "d", "n", ["a.example"], [], ["443/tcp"]]] } }"#,
            "network.allow[0]",
        ),
        (
            r#"{ "version": 1, "network": { "deny": [["c", "d", "n", [], ["192.0.2.1"]]] } }"#,
            "network.deny[0]",
        ),
        (
            r#"{ "version": 1, "network": { "loopback": ["c", "d", [1]] } }"#,
            "network.loopback",
        ),
        (r#"{ "version": 1, "dns": ["c", "d"] }"#, "dns"),
        (r#"{ "version": 1, "tools": ["c", "d"] }"#, "tools"),
        (
            r#"{ "version": 1, "tools": { "connectors": [["c", "d", ["x"]]] } }"#,
            "tools.connectors[0]",
        ),
        (
            r#"{ "version": 1, "tools": { "owner_scopes": [["c", "d", ["x"], ["o"]]] } }"#,
            "tools.owner_scopes[0]",
        ),
        (
            r#"{ "version": 1, "tools": { "git": ["c", "d"] } }"#,
            "tools.git",
        ),
        (
            r#"{ "version": 1, "tools": { "sensitive_paths": ["c", "d"] } }"#,
            "tools.sensitive_paths",
        ),
        (
            r#"{ "version": 1, "tools": { "shell": ["c", "d"] } }"#,
            "tools.shell",
        ),
        (r#"{ "version": 1, "audit": ["c", "d"] }"#, "audit"),
        (r#"{ "version": 1, "session": ["c", "d"] }"#, "session"),
        (r#"{ "version": 1, "inspect": ["c", "d"] }"#, "inspect"),
        (r#"{ "version": 1, "proxy": ["c", "d"] }"#, "proxy"),
        (
            r#"{ "version": 1, "network": { "allow": [{ "name": "n", "hosts": ["a.test"], "ports": [443], "level": "http", "requests": [["c", "d"]] }] } }"#,
            "network.allow[0].requests[0]",
        ),
        (
            r#"{ "version": 1, "network": { "allow": [{ "name": "n", "hosts": ["a.test"], "ports": [443], "level": "http", "budget": ["c", "d"] }] } }"#,
            "network.allow[0].budget",
        ),
        (
            r#"{ "version": 1, "network": { "allow": [{ "name": "n", "hosts": ["a.test"], "ports": [443], "level": "http", "credential": ["c"] }] } }"#,
            "network.allow[0].credential",
        ),
    ] {
        let invalid = Policy::parse(text, "p.json").unwrap_err();
        let paths: Vec<_> = invalid
            .problems()
            .iter()
            .map(|problem| &problem.path)
            .collect();
        assert_eq!(paths, [path], "{text}: {invalid}");
    }
}

fn session(rest: &str) -> String {
    format!(r#"{{ "version": 1, "session": {{ {rest} }} }}"#)
}

#[test]
fn a_session_is_held_by_everything_unless_the_policy_says_less() {
    let settings = parse(r#"{ "version": 1 }"#).session().clone();
    assert_eq!(
        (settings.seccomp, settings.landlock, settings.view),
        (Need::Require, Need::BestEffort, Need::Require)
    );
    assert!(settings.sockets.is_empty());
    let less = parse(&session(r#""seccomp": "off", "view": "best-effort""#));
    let settings = less.session();
    assert_eq!(
        (settings.seccomp, settings.landlock, settings.view),
        (Need::Off, Need::BestEffort, Need::BestEffort)
    );
    refused(
        &session(r#""view": "maybe""#),
        &["1:38 session.view: unknown word `maybe`; expected `require`, `best-effort`, `off`"],
    );
}

#[test]
fn sockets_are_listed_by_names_that_are_known() {
    let policy = parse(&session(
        r#""unix_sockets": ["$SSH_AUTH_SOCK", "/run/x.sock", "@x"]"#,
    ));
    let listed: Vec<_> = policy
        .session()
        .sockets
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listed, ["$SSH_AUTH_SOCK", "/run/x.sock", "@x"]);
    assert!(policy.warnings().is_empty());
    refused(
        &session(r#""unix_sockets": ["$HOME/x"]"#),
        &[
            "1:47 session.unix_sockets[0]: `$HOME/x`: not the name of a socket; write an absolute path, `$SSH_AUTH_SOCK`, `$XDG_RUNTIME_DIR/NAME`, `~/NAME` or `@NAME`",
        ],
    );
}

#[test]
fn sockets_that_lead_out_of_the_guard_are_warned_of() {
    for socket in [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "~/.docker/run/docker.sock",
        "$XDG_RUNTIME_DIR/podman/podman.sock",
        "/run/containerd/containerd.sock",
        "/run/crio/crio.sock",
        "/run/libvirt/libvirt-sock",
        "/run/systemd/private",
        "/run/dbus/system_bus_socket",
        "$XDG_RUNTIME_DIR/bus",
        "$XDG_RUNTIME_DIR/systemd/private",
        "/run/systemd/resolve/io.systemd.Resolve",
        "/run/snapd.socket",
    ] {
        let policy = parse(&session(&format!(r#""unix_sockets": ["{socket}"]"#)));
        assert_eq!(policy.warnings().len(), 1, "{socket}");
    }
}

/// Nothing on port 80 is TLS: rules for it alone ask for no local CA.
#[test]
fn tls_is_opened_where_a_rule_reads_requests_on_another_port_than_80() {
    for (ports, opens) in [
        (r#"["443/tcp"]"#, true),
        (r#"["80/tcp"]"#, false),
        (r#"["80/tcp", "443/udp"]"#, false),
        (r#"["80/tcp", "443/tcp"]"#, true),
        (r#"["8443/tcp"]"#, true),
        (r#"["1-1024/tcp"]"#, true),
    ] {
        let text = rule(&format!(
            r#""hosts": ["a.test"], "ports": {ports}, "level": "http""#
        ));
        assert_eq!(parse(&text).opens_tls(), opens, "{ports}");
    }
}
