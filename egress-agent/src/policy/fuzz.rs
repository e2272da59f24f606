//! What must hold for any text in the place of a policy.

use super::{Invalid, NameDecision, Policy, PortSets, Rule, draw};

/// A policy that is valid says the same when it is printed anew; one that is not says why.
pub(crate) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Policy::parse(&text, "policy.json") {
        Ok(policy) => valid(&policy, &text),
        Err(invalid) => explained(&invalid, &text),
    }
}

fn valid(policy: &Policy, text: &str) {
    draw(policy.warnings(), policy.source(), text, true);
    // A comment may be nested deeper than a value is read.
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
        return;
    };
    let printed = format!("{value:#}");
    let again = Policy::parse(&printed, "policy.json");
    assert!(again.is_ok(), "{printed}");
    if let Ok(again) = again {
        assert_eq!(placeless(policy), placeless(&again));
        assert_eq!(policy.dns(), again.dns());
        assert_eq!(policy.audit(), again.audit());
        assert_eq!(policy.mode(), again.mode());
        assert_eq!(policy.session_loopback(), again.session_loopback());
        let tables = |policy: &Policy| policy.compile(&mut PortSets::starting_at(1));
        let (one, other) = (tables(policy), tables(&again));
        assert_eq!(one.networks, other.networks);
        assert_eq!(one.ports, other.ports);
    }
    for rule in policy.rules() {
        for host in &rule.hosts {
            let Ok(name) = super::Name::parse(host.to_string().trim_start_matches(['*', '.']))
            else {
                continue;
            };
            // An exact name of an allow rule is allowed, or a deny rule says no.
            if host.is_exact() && rule.effect == super::Effect::Allow {
                match policy.decide_name(&name) {
                    NameDecision::Allow(grant) => assert!(grant.rules.contains(&rule.id)),
                    NameDecision::Deny { rule, .. } => assert!(policy.rule(rule).is_some()),
                }
            }
        }
    }
}

/// Without the lines, which printing moves.
fn placeless(policy: &Policy) -> Vec<Rule> {
    let rules = policy.rules().iter();
    rules
        .map(|rule| Rule {
            line: 0,
            ..rule.clone()
        })
        .collect()
}

fn explained(invalid: &Invalid, text: &str) {
    assert!(!invalid.problems().is_empty());
    let lines = text.split('\n').count();
    for problem in invalid.problems() {
        assert!(!problem.message.is_empty() && problem.column > 0);
        assert!(
            (1..=lines).contains(&usize::try_from(problem.line).unwrap_or(0)),
            "{problem}"
        );
        assert!(
            text.get(problem.span.clone()).is_some(),
            "{:?}: {problem}",
            problem.span
        );
        assert!(
            !problem.message.contains('\n'),
            "a message is one line: {problem}"
        );
    }
    assert!(invalid.to_string().lines().count() >= invalid.problems().len());
    assert!(!invalid.picture(false).is_empty() && !invalid.picture(true).is_empty());
}
