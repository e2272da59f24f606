//! `egressctl policy`: looks at policy files without a daemon.
//!
//! `check` says everything that is wrong, `test` runs the cases that stand beside a policy,
//! `explain` says what happens to one connection and what would allow it, `schema` prints the
//! JSON Schema. An invalid policy ends with [`Exit::InvalidPolicy`], whatever the verb.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Exit, Paint, Screen, profiles::ProfilesArgs, suggest::SuggestArgs};
use crate::content::ContentError;
use crate::policy::{
    Answer, Explainer, Explanation, Invalid, Policy, PolicyError, Target, draw, from_cpeg,
    profiles::{self, PREFIX},
};
use crate::rules::PackError;
use crate::schema::POLICY;
use crate::tools::{self, Call, Judgement, Verdict};

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
        /// A policy, or a profile such as `profile:node`.
        file: PathBuf,
        /// HOST:PORT[/PROTO], such as `github.com:443` or `[2001:db8::1]:53/udp`.
        target: Target,
    },
    /// Say which rules would have allowed what was denied or observed, as a change of the policy.
    Suggest(SuggestArgs),
    /// Print a policy of another tool in the words of this one; standard error says what is not
    /// the same.
    Import {
        /// The tool that the policy was written for.
        #[arg(long)]
        from: Foreign,
        file: PathBuf,
    },
    /// List the maintained profiles that a policy can extend by name, or print one.
    Profiles(ProfilesArgs),
    /// Print the JSON Schema of the policy file.
    Schema,
}

/// A tool whose policies can be read.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Foreign {
    /// cross-provider-egress-guard.
    Cpeg,
}

pub fn run(command: Command, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    match command {
        Command::Check { files } => check(&files, screen),
        Command::Test { file, cases } => test(&file, cases, screen),
        Command::Explain { file, target } => explain(&file, &target, screen),
        Command::Suggest(args) => super::suggest::run(args, socket, screen),
        Command::Import { from, file } => import(from, &file, screen),
        Command::Profiles(args) => super::profiles::run(args, screen),
        Command::Schema => {
            screen.line(POLICY.text())?;
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
            let picture = draw(
                policy.warnings(),
                policy.source(),
                &text,
                screen.has_color(),
            );
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

fn import(from: Foreign, file: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the policy `{}`", file.display()))?;
    let imported = match from {
        Foreign::Cpeg => from_cpeg(&text, "imported"),
    };
    let imported =
        imported.with_context(|| format!("cannot translate the policy `{}`", file.display()))?;
    // What it prints must be what it can read.
    let policy = serde_json::to_string_pretty(&imported.policy)?;
    if let Err(invalid) = Policy::parse(&policy, "the translated policy") {
        show(&invalid, screen)?;
        return Ok(Exit::InvalidPolicy);
    }
    if screen.is_json() {
        screen.json(&json!({ "policy": imported.policy, "differences": imported.differences }))?;
        return Ok(Exit::Ok);
    }
    for difference in &imported.differences {
        super::complain(&format!("not the same: {difference}"));
    }
    screen.line(policy)?;
    Ok(Exit::Ok)
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
        if mode == egress_common::Mode::Observe && explanation.verdict != Answer::Allow {
            screen.line("  note: the policy only observes; it is recorded and not refused")?;
        }
    }
    Ok(match explanation.verdict {
        Answer::Allow => Exit::Ok,
        Answer::Deny | Answer::Ask => Exit::No,
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
        shared,
        help,
    } = explanation;
    let verdict = match verdict {
        Answer::Allow => screen.paint(Paint::Allow, "allow"),
        Answer::Deny => screen.paint(Paint::Deny, "deny"),
        Answer::Ask => screen.paint(Paint::Warn, "ask"),
    };
    let reason = reason.map(|code| format!(" ({code})")).unwrap_or_default();
    let mut lines = vec![format!("{verdict} {target}{reason}")];
    if let (Some(rule), Some(file), Some(line)) = (rule, file, line) {
        lines.push(format!("  rule: {rule} ({file}:{line})"));
    }
    lines.extend(text.iter().map(|text| format!("  because: {text}")));
    lines.extend(shared.iter().map(|shared| format!("  shared: {shared}")));
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

/// One connection or tool call, and what must happen to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "//", default)]
    _comment: serde::de::IgnoredAny,
    connect: Option<String>,
    tool: Option<String>,
    input: Option<serde_json::Value>,
    cwd: Option<PathBuf>,
    /// Where the remotes lead that a shell command names.
    #[serde(default)]
    remotes: Vec<tools::KnownRemote>,
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
    Ask,
}

/// What happened in a case.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Got {
    Connect(Box<Explanation>),
    Tool(Box<Judgement>),
}

impl Got {
    fn verdict(&self) -> Expected {
        match self {
            Self::Connect(told) => match told.verdict {
                Answer::Allow => Expected::Allow,
                Answer::Deny => Expected::Deny,
                Answer::Ask => Expected::Ask,
            },
            Self::Tool(told) => match told.verdict {
                Verdict::Allow => Expected::Allow,
                Verdict::Deny => Expected::Deny,
                Verdict::Ask => Expected::Ask,
            },
        }
    }

    fn rule(&self) -> Option<&str> {
        match self {
            Self::Connect(told) => told.rule.as_deref(),
            Self::Tool(told) => told.rule.as_deref(),
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Connect(told) => told.reason,
            Self::Tool(told) => told.reason.as_deref(),
        }
    }
}

impl Case {
    /// What the policy says about the case.
    fn run(&self, policy: &Policy, explainer: &Explainer<'_>) -> anyhow::Result<Got> {
        match (&self.connect, &self.tool) {
            (Some(connect), None) => {
                let is_plain =
                    self.input.is_none() && self.cwd.is_none() && self.remotes.is_empty();
                anyhow::ensure!(is_plain, "`input`, `cwd` and `remotes` belong to a `tool`");
                let target: Target = connect.parse()?;
                Ok(Got::Connect(Box::new(explainer.explain(&target))))
            }
            (None, Some(tool)) => {
                let call = Call {
                    tool: tool.clone(),
                    input: self.input.clone().unwrap_or_else(|| json!({})),
                    cwd: self.cwd.clone(),
                    remotes: self.remotes.clone(),
                };
                Ok(Got::Tool(Box::new(tools::judge(policy, &call))))
            }
            (None, None) | (Some(_), Some(_)) => {
                anyhow::bail!("it needs either `connect` or `tool`")
            }
        }
    }

    fn title(&self) -> &str {
        let words = self.connect.as_deref().or(self.tool.as_deref());
        words.unwrap_or_default()
    }
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
        let got = case
            .run(&policy, &explainer)
            .with_context(|| format!("case {} of `{}`", index + 1, path.display()))?;
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

fn fits(case: &Case, got: &Got) -> bool {
    case.expect == got.verdict()
        && case.rule.is_none_or_eq(got.rule())
        && case.reason.is_none_or_eq(got.reason())
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
    failures: &[(usize, &Case, Got)],
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
        screen.line(format!("{failed}: case {number}, {}", case.title()))?;
        let rule = case.rule.as_deref();
        let expected = outcome(word(case.expect), rule, case.reason.as_deref());
        screen.line(format!("  expected: {expected}"))?;
        let got = outcome(word(got.verdict()), got.rule(), got.reason());
        screen.line(format!("  got:      {got}"))?;
    }
    let passed = total - failures.len();
    screen.line(format!(
        "{}: {passed} of {} passed",
        policy.source(),
        count(total, "case")
    ))?;
    Ok(())
}

fn word(expected: Expected) -> &'static str {
    match expected {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
        Expected::Ask => "ask",
    }
}

fn outcome(verdict: &str, rule: Option<&str>, reason: Option<&str>) -> String {
    let rule = rule.map(|rule| format!(", rule {rule}"));
    let reason = reason.map(|reason| format!(", reason {reason}"));
    let [rule, reason] = [rule, reason].map(Option::unwrap_or_default);
    format!("{verdict}{rule}{reason}")
}

/// The policy, or nothing when it is invalid and the screen says so.
pub(super) fn load(file: &Path, screen: &mut Screen) -> anyhow::Result<Option<Policy>> {
    match named(file)? {
        Ok(policy) => Ok(Some(policy)),
        Err(
            PolicyError::Invalid(invalid)
            | PolicyError::Content(ContentError::Pack(PackError::Invalid(invalid))),
        ) => {
            show(&invalid, screen)?;
            Ok(None)
        }
        Err(PolicyError::Content(error)) => Err(error.into()),
        Err(error @ PolicyError::Read { .. }) => Err(error.into()),
    }
}

/// A policy by its path, or a profile by `profile:NAME`.
fn named(file: &Path) -> anyhow::Result<Result<Policy, PolicyError>> {
    let Some(name) = file.to_str().and_then(|file| file.strip_prefix(PREFIX)) else {
        return Ok(Policy::load(file));
    };
    let profile = profiles::find(name).map_err(anyhow::Error::msg)?;
    let policy = profile.policy().map_err(PolicyError::from);
    Ok(policy.map(|policy| Policy::clone(&policy)))
}

pub(super) fn show(invalid: &Invalid, screen: &mut Screen) -> anyhow::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct World {
        dir: tempfile::TempDir,
    }

    impl World {
        fn new(policy: &str) -> Self {
            let world = Self {
                dir: tempfile::tempdir().unwrap(),
            };
            world.write("p.json", policy);
            world
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.path(name), text).unwrap();
        }

        /// What the screen shows, with the folder taken out of it.
        fn run(&self, command: Command, json: bool) -> (anyhow::Result<Exit>, String) {
            let out = Shared::default();
            let mut screen = Screen::new(Box::new(out.clone()), json, false);
            let exit = run(command, Path::new("/nonexistent"), &mut screen);
            let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
            let dir = format!("{}/", self.dir.path().display());
            (exit, text.replace(&dir, ""))
        }

        #[track_caller]
        fn check(&self, command: Command, json: bool, exit: Exit, expected: &str) {
            let (got, text) = self.run(command, json);
            assert_eq!((got.unwrap(), text.as_str()), (exit, expected));
        }

        fn explain(&self, target: &str) -> Command {
            Command::Explain {
                file: self.path("p.json"),
                target: target.parse().unwrap(),
            }
        }

        fn test(&self) -> Command {
            Command::Test {
                file: self.path("p.json"),
                cases: None,
            }
        }
    }

    const POLICY: &str = r#"{ "version": 1, "network": {
  "allow": [
    { "name": "github", "hosts": ["github.com", "*.github.com"], "ports": ["443/tcp"] },
    { "name": "lan", "cidrs": ["10.0.0.0/8"], "ports": ["443/tcp"] } ],
  "deny": [
    { "name": "gists", "hosts": ["gist.github.com"], "cidrs": ["10.9.0.0/16"], "reason": "No drop boxes." } ]
} }"#;

    #[test]
    fn check_tells_valid_from_invalid() {
        let world = World::new(POLICY);
        world.write("bad.json", "{\n\"version\": 3\n}");
        let files = |names: &[&str]| Command::Check {
            files: names.iter().map(|name| world.path(name)).collect(),
        };
        world.check(
            files(&["p.json"]),
            false,
            Exit::Ok,
            "p.json: valid, 3 rules\n",
        );
        let (exit, text) = world.run(files(&["bad.json", "p.json"]), false);
        assert_eq!(exit.unwrap(), Exit::InvalidPolicy);
        assert!(text.contains("bad.json:2:12"), "{text}");
        assert!(
            text.ends_with("bad.json: not valid, 1 error\np.json: valid, 3 rules\n"),
            "{text}"
        );
        let (exit, text) = world.run(files(&["bad.json"]), true);
        assert_eq!(exit.unwrap(), Exit::InvalidPolicy);
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["valid"], false);
        assert_eq!(
            told["problems"][0],
            json!({
                "severity": "error", "message": "version 3 of the format is not known",
                "help": "write `1`", "line": 2, "column": 12, "path": "version",
            })
        );
        assert!(world.run(files(&["gone.json"]), false).0.is_err());
    }

    #[test]
    fn warnings_are_shown_and_change_no_exit_code() {
        let world = World::new(r#"{ "version": 1, "mode": "observe" }"#);
        let command = Command::Check {
            files: vec![world.path("p.json")],
        };
        let (exit, text) = world.run(command, false);
        assert_eq!(exit.unwrap(), Exit::Ok);
        assert!(
            text.starts_with("Warning: nothing is refused in `observe` mode\n"),
            "{text}"
        );
        assert!(
            text.ends_with("p.json: valid, 0 rules, 1 warning\n"),
            "{text}"
        );
    }

    #[test]
    fn tool_calls_are_cases_too() {
        let world = World::new(POLICY);
        world.write(
            "p.test.json",
            r#"{ "cases": [
              { "tool": "WebFetch", "input": { "url": "https://github.com/x" }, "expect": "allow", "rule": "github" },
              { "tool": "WebFetch", "input": { "url": "https://evil.example/" }, "expect": "deny", "reason": "name-denied" },
              { "tool": "Read", "input": { "file_path": ".env" }, "cwd": "/x", "expect": "allow" } ] }"#,
        );
        world.check(
            world.test(),
            false,
            Exit::No,
            "failed: case 3, Read\n  expected: allow\n  got:      deny, reason credential-path\np.json: 2 of 3 cases passed\n",
        );
        for case in [
            r#"{ "expect": "allow" }"#,
            r#"{ "connect": "a.b:1", "tool": "x", "expect": "allow" }"#,
            r#"{ "connect": "a.b:1", "input": {}, "expect": "allow" }"#,
        ] {
            world.write("p.test.json", &format!(r#"{{ "cases": [{case}] }}"#));
            assert!(world.run(world.test(), false).0.is_err(), "{case}");
        }
    }

    #[test]
    fn a_policy_of_another_tool_is_translated_into_one_that_is_valid() {
        let world = World::new(POLICY);
        world.write(
            "cpeg.json",
            r#"{ "deny": [], "egress": { "default": "deny", "allow_hosts": ["github.com", "*"] } }"#,
        );
        let command = |name: &str| Command::Import {
            from: Foreign::Cpeg,
            file: world.path(name),
        };
        let (exit, text) = world.run(command("cpeg.json"), false);
        assert_eq!(exit.unwrap(), Exit::Ok);
        assert!(Policy::parse(&text, "p").is_ok(), "{text}");
        let (_, text) = world.run(command("cpeg.json"), true);
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(told["differences"].to_string().contains("`*` dropped"));
        assert!(world.run(command("gone.json"), false).0.is_err());
    }

    #[test]
    fn explain_says_what_decides_and_what_would_help() {
        let world = World::new(POLICY);
        let check = |target, exit, expected| {
            world.check(world.explain(target), false, exit, expected);
        };
        check(
            "api.github.com:443",
            Exit::Ok,
            "allow api.github.com:443/tcp\n  rule: github (p.json:3)\n  shared: api.github.com is known \
             as a drop box (repository): what is sent there under a stranger's account is the stranger's\n",
        );
        check(
            "gist.github.com:443",
            Exit::No,
            "deny gist.github.com:443/tcp (denied-by-rule)\n  rule: gists (p.json:6)\n  \
             because: No drop boxes.\n  shared: gist.github.com is known as a drop box (paste-bin): \
             what is sent there under a stranger's account is the stranger's\n  help: deny beats allow, so that no new rule helps: change \
             rule `gists` (p.json:6)\n",
        );
        check(
            "github.com:22",
            Exit::No,
            "deny github.com:22/tcp (port-not-allowed)\n  shared: github.com is known as a drop box \
             (repository): what is sent there under a stranger's account is the stranger's\n  to allow it, add to `network.allow`:\n    \
             {\"name\": \"github.com-22\", \"hosts\": [\"github.com\"], \"ports\": [\"22/tcp\"]}\n",
        );
        check(
            "[2001:db8::7]:53/udp",
            Exit::No,
            "deny [2001:db8::7]:53/udp (no-rule)\n  help: it is also allowed while an allowed name \
             resolves to it, on that name's ports\n  to allow it, add to `network.allow`:\n    \
             {\"name\": \"2001-db8--7-53-udp\", \"cidrs\": [\"2001:db8::7\"], \"ports\": [\"53/udp\"]}\n",
        );
        check(
            "localhost:80",
            Exit::No,
            "deny localhost:80/tcp (loopback)\n  help: add \"80/tcp\" to `network.loopback.allow`, \
             or \"session\" for listeners that the session itself opens\n",
        );
        check(
            "224.0.0.1:5353/udp",
            Exit::No,
            "deny 224.0.0.1:5353/udp (multicast)\n  help: multicast and broadcast are always denied\n",
        );
        world.check(
            world.explain("10.9.1.1:443"),
            true,
            Exit::No,
            "{\"target\":\"10.9.1.1:443/tcp\",\"verdict\":\"deny\",\"reason\":\"denied-by-rule\",\
             \"rule\":\"gists\",\"file\":\"p.json\",\"line\":6,\"text\":\"No drop boxes.\",\"help\":\
             \"deny beats allow, so that no new rule helps: change rule `gists` (p.json:6)\"}\n",
        );
    }

    #[test]
    fn explain_names_the_profile_that_decides() {
        let world =
            World::new(r#"{ "version": 1, "extends": ["profile:node", "profile:python"] }"#);
        let (exit, text) = world.run(world.explain("pypi.org:443"), false);
        assert_eq!(exit.unwrap(), Exit::Ok);
        assert!(
            text.contains("\n  rule: python.index (profile:python:"),
            "{text}"
        );
        let profile = |name: &str| Command::Explain {
            file: name.into(),
            target: "registry.npmjs.org:443".parse().unwrap(),
        };
        let (exit, text) = world.run(profile("profile:npm"), false);
        assert_eq!(exit.unwrap(), Exit::Ok);
        assert!(
            text.contains("rule: node.registry (profile:node:"),
            "{text}"
        );
        assert!(
            text.contains("shared: registry.npmjs.org is known as a drop box (registry)"),
            "{text}"
        );
        let told = world
            .run(profile("profile:nmp"), false)
            .0
            .unwrap_err()
            .to_string();
        assert!(told.contains("did you mean `profile:npm`?"), "{told}");
    }

    /// What anybody can have a name below, or put something on, has to be meant.
    #[test]
    fn check_asks_for_a_mark_where_strangers_are_let_in() {
        let policy = |hosts: &str, rest: &str| {
            format!(
                r#"{{ "version": 1, "network": {{ "allow": [ {{ "name": "a", "hosts": [{hosts}], "ports": [443]{rest} }} ],
                   "deny": [ {{ "name": "gists", "hosts": ["gist.github.com"] }} ] }} }}"#
            )
        };
        let told = |hosts: &str, rest: &str| {
            let world = World::new(&policy(hosts, rest));
            let files = vec![world.path("p.json")];
            let (exit, text) = world.run(Command::Check { files }, true);
            assert_eq!(exit.unwrap(), Exit::Ok, "{text}");
            let told: serde_json::Value = serde_json::from_str(&text).unwrap();
            let problems = told["problems"].as_array().unwrap().clone();
            problems
                .iter()
                .map(|problem| {
                    format!(
                        "{} {}",
                        problem["path"].as_str().unwrap(),
                        problem["help"].as_str().unwrap()
                    )
                })
                .collect::<Vec<_>>()
        };
        let mark = r#", "multi_tenant": true"#;
        for hosts in [
            r#""**.amazonaws.com""#,
            r#""webhook.site""#,
            r#""s3.amazonaws.com""#,
        ] {
            let [problem] = &*told(hosts, "") else {
                panic!("one warning for {hosts}")
            };
            assert!(
                problem.starts_with("network.allow[0].hosts[0] "),
                "{problem}"
            );
            assert!(
                problem.contains("add `\"multi_tenant\": true`"),
                "{problem}"
            );
            assert!(told(hosts, mark).is_empty(), "{hosts}");
        }
        // Every developer's places are told by `explain` and not asked about, but may be marked.
        for hosts in [r#""github.com", "*.github.com""#, r#""registry.npmjs.org""#] {
            assert!(
                told(hosts, "").is_empty() && told(hosts, mark).is_empty(),
                "{hosts}"
            );
        }
        let [stale] = &*told(r#""example.com""#, mark) else {
            panic!("a mark that says nothing is warned of")
        };
        assert!(
            stale.starts_with("network.allow[0].multi_tenant take"),
            "{stale}"
        );
    }

    #[test]
    fn a_metadata_service_is_not_opened_by_a_wide_rule() {
        let rule = |cidr: &str| {
            format!(
                r#"{{ "version": 1, "network": {{ "allow": [ {{ "name": "a", "cidrs": ["{cidr}"], "ports": [80] }} ] }} }}"#
            )
        };
        let world = World::new(&rule("169.254.0.0/16"));
        let (exit, text) = world.run(world.explain("169.254.169.254:80"), false);
        assert_eq!(exit.unwrap(), Exit::No);
        assert!(text.contains("credentials"), "{text}");
        world.write("p.json", &rule("169.254.169.254"));
        let (exit, _) = world.run(world.explain("169.254.169.254:80"), false);
        assert_eq!(exit.unwrap(), Exit::Ok);
    }

    #[test]
    fn test_shows_each_case_that_fails() {
        let world = World::new(POLICY);
        world.write(
            "p.test.json",
            r#"{ "//": 1, "cases": [
  { "connect": "github.com:443/tcp", "expect": "allow", "rule": "github" },
  { "connect": "github.com:443/tcp", "expect": "deny", "//": "wrong" },
  { "connect": "github.com:443/tcp", "expect": "allow", "rule": "lan" },
  { "connect": "example.com:443", "expect": "deny", "reason": "no-rule" } ] }"#,
        );
        world.check(
            world.test(),
            false,
            Exit::No,
            "failed: case 2, github.com:443/tcp\n  expected: deny\n  got:      allow, rule github\n\
             failed: case 3, github.com:443/tcp\n  expected: allow, rule lan\n  got:      allow, \
             rule github\nfailed: case 4, example.com:443\n  expected: deny, reason no-rule\n  \
             got:      deny, reason name-denied\np.json: 1 of 4 cases passed\n",
        );
        let (_, text) = world.run(world.test(), true);
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&told["cases"], &told["failures"][0]["case"]),
            (&json!(4), &json!(2))
        );

        world.write(
            "p.test.json",
            r#"{ "cases": [{ "connect": "github.com:443", "expect": "allow" }] }"#,
        );
        world.check(
            world.test(),
            false,
            Exit::Ok,
            "p.json: 1 of 1 case passed\n",
        );
    }

    #[test]
    fn cases_that_test_nothing_are_a_failure() {
        let world = World::new(POLICY);
        assert!(world.run(world.test(), false).0.is_err(), "no file");
        for text in [
            r#"{ "cases": [] }"#,
            r#"{ "cases": [{ "connect": "github.com", "expect": "allow" }] }"#,
            r#"{ "cases": [{ "connect": "github.com:443", "expected": "allow" }] }"#,
            r#"{ "cases": [{ "connect": "github.com:443", "expect": "maybe" }] }"#,
        ] {
            world.write("p.test.json", text);
            assert!(world.run(world.test(), false).0.is_err(), "{text}");
        }
        world.write("p.json", "{}");
        assert_eq!(
            world.run(world.test(), false).0.unwrap(),
            Exit::InvalidPolicy
        );
    }

    #[test]
    fn targets_that_are_none_say_what_to_write() {
        let told = |text: &str| text.parse::<Target>().unwrap_err().to_string();
        assert!(told("github.com").contains("has no port"));
        assert!(told("2001:db8::7").contains("has no port"));
        assert!(told("https://github.com/").contains("is a URL"));
        assert!(told("github.com:https").contains("is not a port"));
        assert!(told("github.com:0").contains("is not a port"));
        assert!(told("github.com:1-2/tcp").contains("is not a port"));
        assert!(told("a..b:1").contains("is not a host"));
        assert!(told("*.a:1").contains("is not a host"));
    }
}
