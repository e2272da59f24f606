//! `egressctl replay`: runs recorded tool calls against a policy, packs, or both.
//!
//! A fixture is an object `{ "tool_name", "arguments", "expected_decision" }`, or a list of them,
//! in a file `NAME.json`. The stricter answer of the policy and the rules is what counts. Exit 1
//! when one fixture is decided otherwise.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Exit, Paint, Screen, rules::Ground, table::plain};
use crate::{
    rules::{Decision, Told},
    tools::{self, Call, Verdict},
};

#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The directory of the fixtures, files `NAME.json`.
    directory: PathBuf,
    /// Judge by this policy, and by the packs that it names.
    #[arg(long, value_name = "FILE", required_unless_present = "packs")]
    policy: Option<PathBuf>,
    /// Judge by these packs, and directories of packs.
    #[arg(long, value_name = "PATH")]
    packs: Vec<PathBuf>,
}

/// Fixtures of one directory.
const MAX_FILES: usize = 100_000;
/// Bytes of one file.
const MAX_BYTES: u64 = 64 << 20;

/// A recorded call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    tool_name: String,
    #[serde(default)]
    arguments: Value,
    expected_decision: Answer,
    /// The rule that must decide, as `PACK/RULE`, or the rule of the policy.
    expected_rule: Option<String>,
    /// For people.
    #[serde(default)]
    name: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(rename = "//", default)]
    _comment: serde::de::IgnoredAny,
    cwd: Option<PathBuf>,
    /// Instead of those of the policy.
    labels: Option<BTreeMap<String, String>>,
    environment: Option<String>,
}

/// What happens to a call. Greater is stricter. The words of mcp-egress-guard are read too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    Allow,
    /// Let through, and a rule that simulates fits.
    Simulate,
    Redact,
    Ask,
    Deny,
}

impl Answer {
    const fn code(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Simulate => "simulate",
            Self::Redact => "redact",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Ok(match text.to_ascii_lowercase().as_str() {
            "allow" | "none" => Self::Allow,
            "simulate" => Self::Simulate,
            "redact" => Self::Redact,
            "ask" | "escalate" => Self::Ask,
            "deny" | "block" => Self::Deny,
            _ => {
                let message = format!(
                    "`{text}` is no decision; write allow, deny, redact, ask (escalate) or simulate"
                );
                return Err(serde::de::Error::custom(message));
            }
        })
    }
}

/// What was decided about a fixture, and by what.
#[derive(Clone, Debug, Serialize)]
struct Got {
    decision: Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    rules: Told,
}

pub fn run(args: &ReplayArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    let Some(ground) = Ground::load(args.policy.as_deref(), &args.packs, screen)? else {
        return Ok(Exit::InvalidPolicy);
    };
    let fixtures = fixtures(&args.directory)?;
    let mut failures = Vec::new();
    for (title, fixture) in &fixtures {
        let got = decide(fixture, &ground);
        let is_rule = fixture
            .expected_rule
            .as_ref()
            .is_none_or(|expected| got.rule.as_ref() == Some(expected));
        if got.decision != fixture.expected_decision || !is_rule {
            failures.push((title, fixture, got));
        }
    }
    report(screen, args, fixtures.len(), &failures)?;
    Ok(if failures.is_empty() {
        Exit::Ok
    } else {
        Exit::No
    })
}

fn decide(fixture: &Fixture, ground: &Ground) -> Got {
    let call = Call {
        tool: fixture.tool_name.clone(),
        input: fixture.arguments.clone(),
        cwd: fixture.cwd.clone(),
        remotes: Vec::new(),
    };
    let seen = ground.see(&call);
    let labels = fixture.labels.clone().unwrap_or_else(|| ground.labels());
    let environment = fixture.environment.clone().or_else(|| ground.environment());
    let question = seen.question(&call, &labels, environment.as_deref());
    let outcome = ground.rules.decide(&question);
    let decision = outcome.decision();
    let rules = outcome.told();
    let simulates = rules.matches.iter().any(|one| one.decision == "simulate");
    let by_rules = match decision {
        Some(Decision::Deny) => Answer::Deny,
        Some(Decision::Ask) => Answer::Ask,
        Some(Decision::Redact) => Answer::Redact,
        Some(Decision::Allow | Decision::Simulate) | None if simulates => Answer::Simulate,
        Some(Decision::Allow | Decision::Simulate) | None => Answer::Allow,
    };
    let judgement = ground
        .policy
        .as_ref()
        .map(|policy| tools::judge(policy, &call));
    let by_policy = judgement.as_ref().map(|judgement| match judgement.verdict {
        Verdict::Allow => Answer::Allow,
        Verdict::Ask => Answer::Ask,
        Verdict::Deny => Answer::Deny,
    });
    match (judgement, by_policy) {
        // A call that nobody looked at to its end is not let through.
        _ if !seen.is_complete && by_rules < Answer::Deny => Got {
            decision: Answer::Deny,
            rule: None,
            reason: Some("inspection-incomplete".to_owned()),
            text: Some("the arguments are too large to be inspected whole".to_owned()),
            rules,
        },
        (Some(judgement), Some(by_policy)) if by_policy > by_rules => Got {
            decision: by_policy,
            rule: judgement.rule,
            reason: judgement.reason,
            text: Some(judgement.text),
            rules,
        },
        _ => Got {
            decision: by_rules,
            rule: (rules.decision != "none")
                .then(|| rules.rule.clone())
                .flatten(),
            reason: (rules.decision != "none")
                .then(|| rules.code.clone())
                .flatten(),
            text: rules.text.clone(),
            rules,
        },
    }
}

/// Every fixture below a directory, by file and place in it.
fn fixtures(directory: &Path) -> anyhow::Result<Vec<(String, Fixture)>> {
    let reading = || format!("cannot read the fixtures in `{}`", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
        anyhow::ensure!(
            files.len() <= MAX_FILES,
            "`{}` holds more than {MAX_FILES} fixtures; split it",
            directory.display()
        );
    }
    files.sort();
    let mut fixtures = Vec::new();
    for path in files {
        let shown = path.display();
        let length = std::fs::metadata(&path).map(|data| data.len());
        let length = length.with_context(|| format!("cannot read the fixture `{shown}`"))?;
        anyhow::ensure!(
            length <= MAX_BYTES,
            "the fixture `{shown}` is larger than {} MiB",
            MAX_BYTES >> 20
        );
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read the fixture `{shown}`"))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        for (index, fixture) in parse(&text)
            .with_context(|| format!("the fixture `{shown}` is not valid"))?
            .into_iter()
            .enumerate()
        {
            let title = match (fixture.name.as_str(), index) {
                ("", 0) => name.to_string(),
                ("", index) => format!("{name}[{index}]"),
                (title, _) => format!("{name}: {title}"),
            };
            fixtures.push((title, fixture));
        }
    }
    // A directory that tests nothing must not look like a success.
    anyhow::ensure!(
        !fixtures.is_empty(),
        "`{}` holds no fixtures; a fixture is a file `NAME.json` with `tool_name`, `arguments` and \
         `expected_decision`",
        directory.display()
    );
    Ok(fixtures)
}

/// One fixture or a list of them; the error is about the one that is meant.
fn parse(text: &str) -> Result<Vec<Fixture>, serde_json::Error> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    serde_json::from_str(text).map(|one| vec![one])
}

fn report(
    screen: &mut Screen,
    args: &ReplayArgs,
    total: usize,
    failures: &[(&String, &Fixture, Got)],
) -> anyhow::Result<()> {
    if screen.is_json() {
        let failures: Vec<_> = failures
            .iter()
            .map(|(title, fixture, got)| {
                json!({
                    "fixture": title,
                    "tool": fixture.tool_name,
                    "expected": {
                        "decision": fixture.expected_decision,
                        "rule": fixture.expected_rule,
                    },
                    "got": got,
                })
            })
            .collect();
        screen.json(&json!({
            "directory": args.directory.display().to_string(),
            "total": total,
            "passed": total - failures.len(),
            "failures": failures,
        }))?;
        return Ok(());
    }
    for (title, fixture, got) in failures {
        let failed = screen.paint(Paint::Deny, "failed");
        screen.line(format!(
            "{failed}: {}, {}",
            plain(title),
            plain(&fixture.tool_name)
        ))?;
        let expected = fixture.expected_rule.as_deref();
        screen.line(format!(
            "  expected: {}",
            Outcome(fixture.expected_decision, expected)
        ))?;
        screen.line(format!(
            "  got:      {}",
            Outcome(got.decision, got.rule.as_deref())
        ))?;
        if let Some(text) = got.text.as_ref().filter(|text| !text.is_empty()) {
            screen.line(format!("  because:  {}", plain(text)))?;
        }
    }
    let passed = total - failures.len();
    let fixtures = if total == 1 { "fixture" } else { "fixtures" };
    screen.line(format!(
        "{}: {passed} of {total} {fixtures} passed",
        args.directory.display()
    ))?;
    Ok(())
}

struct Outcome<'o>(Answer, Option<&'o str>);

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code())?;
        match self.1 {
            Some(rule) => write!(f, ", rule {}", plain(rule)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::tests::Written;

    fn repository(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
    }

    fn replay(
        directory: &Path,
        policy: Option<PathBuf>,
        json: bool,
    ) -> (anyhow::Result<Exit>, String) {
        let args = ReplayArgs {
            directory: directory.to_owned(),
            policy,
            packs: vec![repository("policy/packs")],
        };
        let written = Written::default();
        let exit = run(&args, &mut written.screen(json, false));
        (exit, written.text())
    }

    #[test]
    fn the_fixtures_of_the_repository_pass() {
        let (exit, text) = replay(&repository("tests/replay"), None, false);
        assert_eq!(exit.unwrap(), Exit::Ok, "{text}");
        assert!(text.contains("fixtures passed"), "{text}");
    }

    #[test]
    fn the_stricter_of_policy_and_rules_counts() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        fixture(
            "a.json",
            r#"[ { "tool_name": "WebFetch", "arguments": { "url": "https://evil.example/" }, "expected_decision": "DENY" },
                 { "tool_name": "WebFetch", "arguments": { "url": "https://api.anthropic.com/" }, "expected_decision": "allow" },
                 { "tool_name": "Bash", "arguments": { "command": "mkfs /dev/sda" }, "expected_decision": "deny", "expected_rule": "baseline/disks" } ]"#,
        );
        let policy = Some(repository("policy/anthropic.json"));
        let (exit, text) = replay(dir.path(), policy.clone(), false);
        assert_eq!(exit.unwrap(), Exit::Ok, "{text}");
        fixture(
            "b.json",
            r#"{ "tool_name": "Bash", "arguments": { "command": "mkfs /dev/sda" }, "expected_decision": "ESCALATE" }"#,
        );
        let (exit, text) = replay(dir.path(), policy.clone(), false);
        assert_eq!(exit.unwrap(), Exit::No);
        assert!(
            text.contains(
                "failed: b, Bash\n  expected: ask\n  got:      deny, rule baseline/disks"
            ),
            "{text}"
        );
        let (_, text) = replay(dir.path(), policy, true);
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&told["total"], &told["passed"]), (&json!(4), &json!(3)));
        assert_eq!(told["failures"][0]["got"]["decision"], "deny");
    }

    #[track_caller]
    fn failed(dir: &Path, expected: &str) {
        let (exit, _) = replay(dir, None, false);
        let told = format!("{:#}", exit.unwrap_err());
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn what_is_no_fixture_is_a_failure_and_no_success() {
        let dir = tempfile::tempdir().unwrap();
        failed(dir.path(), "holds no fixtures");
        let file = dir.path().join("a.json");
        for (text, expected) in [
            ("{", "a.json` is not valid"),
            (
                r#"{ "tool_name": "x" }"#,
                "missing field `expected_decision`",
            ),
            (
                r#"{ "tool_name": "x", "expected_decision": "maybe" }"#,
                "`maybe` is no decision",
            ),
            (
                r#"{ "tool_name": "x", "expected_decision": "deny", "tol": 1 }"#,
                "unknown field `tol`",
            ),
            ("[]", "holds no fixtures"),
        ] {
            std::fs::write(&file, text).unwrap();
            failed(dir.path(), expected);
        }
        failed(&dir.path().join("gone"), "cannot read the fixtures");
    }

    #[test]
    fn a_call_that_is_not_inspected_whole_is_denied() {
        // Deeper than codings are undone.
        let text = (0..8).fold("a text of some length, in base64".to_owned(), |text, _| {
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text)
        });
        let fixture = json!({
            "tool_name": "x", "arguments": { "a": text }, "expected_decision": "deny",
        });
        let fixture: Fixture = serde_json::from_value(fixture).unwrap();
        let got = decide(&fixture, &Ground::default());
        assert_eq!(got.decision, Answer::Deny);
        assert_eq!(got.reason.as_deref(), Some("inspection-incomplete"));
    }
}
