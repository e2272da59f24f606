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
        format!("{line}:{column} {path}: {message}{}", help.unwrap_or_default())
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
    assert!(tables.networks.iter().all(|(_, _, n)| n.allow == 0 && n.deny == 0));
}
