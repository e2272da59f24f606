//! `egressctl policy`: looks at policy files without a daemon.
//!
//! `check` says everything that is wrong, `test` runs the cases that stand beside a policy,
//! `explain` says what happens to one connection and what would allow it, `schema` prints the
//! JSON Schema. An invalid policy ends with [`Exit::InvalidPolicy`], whatever the verb.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;

use super::{Exit, Paint, Screen};
use crate::policy::{
    Answer, Explainer, Explanation, Invalid, Policy, PolicyError, Target, draw, schema,
};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check policies: every error and warning with its place.
    Check {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run the test cases of a policy.
    Test {
        file: PathBuf,
        /// The cases; without it FILE with `.test.json` for `.json`.
        cases: Option<PathBuf>,
    },
    /// Say what happens to one connection, why, and which rule would allow it.
    Explain {
        file: PathBuf,
        /// HOST:PORT[/PROTO], such as `github.com:443` or `[2001:db8::1]:53/udp`.
        target: Target,
    },
    /// Print the JSON Schema of the policy file.
    Schema,
}

pub fn run(command: Command, screen: &mut Screen) -> anyhow::Result<Exit> {
    match command {
        Command::Check { files } => check(&files, screen),
        Command::Test { file, cases } => test(&file, cases, screen),
        Command::Explain { file, target } => explain(&file, &target, screen),
        Command::Schema => {
            screen.line(serde_json::to_string_pretty(&schema())?)?;
            Ok(Exit::Ok)
        }
    }
}

fn check(files: &[PathBuf], screen: &mut Screen) -> anyhow::Result<Exit> {
    let mut exit = Exit::Ok;
    for file in files {
        let Some(policy) = load(file, screen)? else {
            exit = Exit::InvalidPolicy;
            continue;
        };
        if screen.is_json() {
            screen.json(&json!({
                "file": policy.source(),
                "valid": true,
                "name": policy.name(),
                "rules": policy.rules().len(),
                "digest": policy.digest(),
                "problems": policy.warnings(),
            }))?;
            continue;
        }
        if !policy.warnings().is_empty() {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the policy `{}`", file.display()))?;
            let picture = draw(policy.warnings(), policy.source(), &text, screen.has_color());
            screen.line(picture)?;
        }
        let ok = screen.paint(Paint::Allow, "valid");
        let rules = count(policy.rules().len(), "rule");
        let warnings = match policy.warnings().len() {
            0 => String::new(),
            warnings => format!(", {}", count(warnings, "warning")),
        };
        screen.line(format!("{}: {ok}, {rules}{warnings}", policy.source()))?;
    }
    Ok(exit)
}

fn explain(file: &Path, target: &Target, screen: &mut Screen) -> anyhow::Result<Exit> {
    let Some(policy) = load(file, screen)? else {
        return Ok(Exit::InvalidPolicy);
    };
    let explanation = Explainer::new(&policy).explain(target);
    if screen.is_json() {
        screen.json(&explanation)?;
    } else {
        let mode = policy.mode();
        for line in tell(&explanation, screen) {
            screen.line(line)?;
        }
        if mode == egress_common::Mode::Observe && explanation.verdict == Answer::Deny {
            screen.line("  note: the policy only observes; it is recorded and not refused")?;
        }
    }
    Ok(match explanation.verdict {
        Answer::Allow => Exit::Ok,
        Answer::Deny => Exit::No,
    })
}

/// An explanation for people.
fn tell(explanation: &Explanation, screen: &Screen) -> Vec<String> {
    let Explanation {
        target,
        verdict,
        reason,
        rule,
        file,
        line,
        text,
        suggestion,
        help,
    } = explanation;
    let verdict = match verdict {
        Answer::Allow => screen.paint(Paint::Allow, "allow"),
        Answer::Deny => screen.paint(Paint::Deny, "deny"),
    };
    let reason = reason.map(|code| format!(" ({code})")).unwrap_or_default();
    let mut lines = vec![format!("{verdict} {target}{reason}")];
    if let (Some(rule), Some(file), Some(line)) = (rule, file, line) {
        lines.push(format!("  rule: {rule} ({file}:{line})"));
    }
    lines.extend(text.iter().map(|text| format!("  because: {text}")));
    lines.extend(help.iter().map(|help| format!("  help: {help}")));
    if let Some(suggestion) = suggestion {
        lines.push("  to allow it, add to `network.allow`:".to_owned());
        lines.push(format!("    {suggestion}"));
    }
    lines
}

/// A file of test cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(rename = "//", default)]
    _comment: serde::de::IgnoredAny,
    cases: Vec<Case>,
}

/// One connection and what must happen to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "//", default)]
    _comment: serde::de::IgnoredAny,
    connect: String,
    expect: Expected,
    /// The name of the rule that must decide.
    rule: Option<String>,
    /// The code that a denial must give.
    reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Deny,
}

fn test(file: &Path, cases: Option<PathBuf>, screen: &mut Screen) -> anyhow::Result<Exit> {
    let Some(policy) = load(file, screen)? else {
        return Ok(Exit::InvalidPolicy);
    };
    let path = cases.unwrap_or_else(|| file.with_extension("test.json"));
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read the test cases `{}`", path.display()))?;
    let cases: Cases = serde_json::from_str(&text)
        .with_context(|| format!("the test cases `{}` are not valid", path.display()))?;
    // A file that tests nothing must not look like a success.
    anyhow::ensure!(
        !cases.cases.is_empty(),
        "`{}` has no cases; write at least one",
        path.display()
    );
    let explainer = Explainer::new(&policy);
    let mut failures = Vec::new();
    for (index, case) in cases.cases.iter().enumerate() {
        let target: Target = case
            .connect
            .parse()
            .with_context(|| format!("case {} of `{}`", index + 1, path.display()))?;
        let got = explainer.explain(&target);
        if !fits(case, &got) {
            failures.push((index + 1, case, got));
        }
    }
    report(screen, &policy, cases.cases.len(), &failures)?;
    Ok(if failures.is_empty() {
        Exit::Ok
    } else {
        Exit::No
    })
}

fn fits(case: &Case, got: &Explanation) -> bool {
    let verdict = match case.expect {
        Expected::Allow => Answer::Allow,
        Expected::Deny => Answer::Deny,
    };
    verdict == got.verdict
        && case.rule.is_none_or_eq(got.rule.as_deref())
        && case.reason.is_none_or_eq(got.reason)
}

trait NoneOrEq {
    /// Whether nothing was expected, or just this.
    fn is_none_or_eq(&self, got: Option<&str>) -> bool;
}

impl NoneOrEq for Option<String> {
    fn is_none_or_eq(&self, got: Option<&str>) -> bool {
        self.as_deref().is_none_or(|expected| got == Some(expected))
    }
}

fn report(
    screen: &mut Screen,
    policy: &Policy,
    total: usize,
    failures: &[(usize, &Case, Explanation)],
) -> anyhow::Result<()> {
    if screen.is_json() {
        let failures: Vec<_> = failures
            .iter()
            .map(|(number, case, got)| {
                let expected = json!({
                    "verdict": word(case.expect), "rule": case.rule, "reason": case.reason,
                });
                json!({ "case": number, "expected": expected, "got": got })
            })
            .collect();
        screen.json(&json!({
            "file": policy.source(), "cases": total, "failures": failures,
        }))?;
        return Ok(());
    }
    for (number, case, got) in failures {
        let failed = screen.paint(Paint::Deny, "failed");
        screen.line(format!("{failed}: case {number}, {}", case.connect))?;
        let rule = case.rule.as_deref();
        let expected = outcome(word(case.expect), rule, case.reason.as_deref());
        screen.line(format!("  expected: {expected}"))?;
        let verdict = match got.verdict {
            Answer::Allow => "allow",
            Answer::Deny => "deny",
        };
        let got = outcome(verdict, got.rule.as_deref(), got.reason);
        screen.line(format!("  got:      {got}"))?;
    }
    let passed = total - failures.len();
    screen.line(format!("{}: {passed} of {} passed", policy.source(), count(total, "case")))?;
    Ok(())
}

fn word(expected: Expected) -> &'static str {
    match expected {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
    }
}

fn outcome(verdict: &str, rule: Option<&str>, reason: Option<&str>) -> String {
    let rule = rule.map(|rule| format!(", rule {rule}"));
    let reason = reason.map(|reason| format!(", reason {reason}"));
    let [rule, reason] = [rule, reason].map(Option::unwrap_or_default);
    format!("{verdict}{rule}{reason}")
}

/// The policy, or nothing when it is invalid and the screen says so.
fn load(file: &Path, screen: &mut Screen) -> anyhow::Result<Option<Policy>> {
    match Policy::load(file) {
        Ok(policy) => Ok(Some(policy)),
        Err(PolicyError::Invalid(invalid)) => {
            show(&invalid, screen)?;
            Ok(None)
        }
        Err(error @ PolicyError::Read { .. }) => Err(error.into()),
    }
}

fn show(invalid: &Invalid, screen: &mut Screen) -> anyhow::Result<()> {
    if screen.is_json() {
        screen.json(&json!({
            "file": invalid.source(),
            "valid": false,
            "problems": invalid.problems(),
        }))?;
        return Ok(());
    }
    screen.line(invalid.picture(screen.has_color()))?;
    let bad = screen.paint(Paint::Deny, "not valid");
    let errors = count(invalid.problems().len(), "error");
    screen.line(format!("{}: {bad}, {errors}", invalid.source()))?;
    Ok(())
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
