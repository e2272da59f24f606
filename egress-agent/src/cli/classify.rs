//! `egressctl explain-call` and `egressctl classify`: judge tool calls without a daemon, for
//! people and for other programs.
//!
//! One reads an event as a hook gets it and tells everything; the other reads objects with one
//! key, `shell`, `tool_call`, `url` or `text`, and answers each with one line of JSON.

use std::{
    io::{self, BufRead, Read as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Exit, Screen, remotes};
use crate::{
    policy::Policy,
    tools::{
        self, Call, Judgement, Verdict,
        protocol::{self, LONGEST_EVENT},
    },
};

#[derive(Debug, clap::Args)]
pub struct ExplainCallArgs {
    /// Judge by this policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct ClassifyArgs {
    /// Judge by this policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Read JSON Lines to the end, instead of one object.
    #[arg(long)]
    batch: bool,
    /// Add how long each judgement took, in microseconds.
    #[arg(long)]
    timing: bool,
}

/// What is to be judged.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    shell: Option<String>,
    tool_call: Option<Call>,
    url: Option<String>,
    text: Option<String>,
    cwd: Option<PathBuf>,
}

/// Explains one event of an agent; exit 1 unless it is allowed.
pub fn explain_call(
    args: &ExplainCallArgs,
    input: impl io::Read,
    screen: &mut Screen,
) -> anyhow::Result<Exit> {
    let policy = Policy::load(&args.policy)?;
    let mut bytes = Vec::new();
    input.take(limit()).read_to_end(&mut bytes)?;
    let mut event = protocol::parse(&bytes, None).context("cannot read the event")?;
    remotes::look_up(&mut event.call);
    let judgement = tools::judge(&policy, &event.call);
    if screen.is_json() {
        screen.json(&judgement)?;
    } else {
        for line in told(&event.call, &judgement) {
            screen.line(line)?;
        }
    }
    Ok(match judgement.verdict {
        Verdict::Allow => Exit::Ok,
        Verdict::Deny | Verdict::Ask => Exit::No,
    })
}

/// A judgement for people. Nothing that the agent wrote can move the cursor.
fn told(call: &Call, judgement: &Judgement) -> Vec<String> {
    let Judgement {
        verdict,
        class,
        reason,
        text,
        hosts,
        rule,
        unclear,
        findings,
    } = judgement;
    let verdict = match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::Ask => "ask",
    };
    let reason = reason.as_ref().map(|reason| format!(" ({reason})"));
    let tool = protocol::plain(&call.tool, 256);
    let mut lines = vec![format!("{verdict} {tool}{}", reason.unwrap_or_default())];
    lines.push(format!("  class: {}", class.code()));
    lines.extend(
        hosts
            .iter()
            .map(|host| format!("  host: {}", protocol::plain(host, 256))),
    );
    lines.extend(rule.iter().map(|rule| format!("  rule: {rule}")));
    lines.extend(
        findings
            .iter()
            .map(|finding| format!("  finding: {}", finding.detector)),
    );
    if !text.is_empty() {
        lines.push(format!("  because: {}", protocol::plain(text, 2048)));
    }
    let unclear = unclear.iter();
    lines.extend(
        unclear.map(|what| format!("  left to the kernel: {}", protocol::plain(what, 256))),
    );
    lines
}

/// Judges one object, or every line. A line that cannot be read is answered with `error`, and
/// makes the exit a failure.
pub fn classify(
    args: &ClassifyArgs,
    mut input: impl BufRead,
    screen: &mut Screen,
) -> anyhow::Result<Exit> {
    let policy = Policy::load(&args.policy)?;
    let mut exit = Exit::Ok;
    for number in 1_u64.. {
        let mut bytes = Vec::new();
        let mut part = input.by_ref().take(limit());
        if args.batch {
            part.read_until(b'\n', &mut bytes)?;
        } else {
            part.read_to_end(&mut bytes)?;
        }
        if bytes.is_empty() && (args.batch || number > 1) {
            break;
        }
        anyhow::ensure!(
            bytes.len() <= LONGEST_EVENT,
            "line {number} is longer than 10 MB"
        );
        if args.batch && bytes.trim_ascii().is_empty() {
            continue;
        }
        let begun = Instant::now();
        let judged = one(&policy, &bytes);
        let took = args.timing.then(|| begun.elapsed());
        let answer = match judged {
            Ok(judgement) => with_line(number, &judgement, took)?,
            Err(error) => {
                exit = Exit::Failure;
                json!({ "line": number, "error": format!("{error:#}") })
            }
        };
        screen.json(&answer)?;
        if !args.batch {
            break;
        }
    }
    Ok(exit)
}

fn one(policy: &Policy, bytes: &[u8]) -> anyhow::Result<Judgement> {
    let question: Question = serde_json::from_slice(bytes)?;
    Ok(match question {
        Question {
            shell: Some(command),
            tool_call: None,
            url: None,
            text: None,
            cwd,
        } => judged(policy, "Bash", json!({ "command": command }), cwd),
        Question {
            shell: None,
            tool_call: Some(call),
            url: None,
            text: None,
            cwd: None,
        } => tools::judge(policy, &call),
        Question {
            shell: None,
            tool_call: None,
            url: Some(url),
            text: None,
            cwd: None,
        } => judged(policy, "WebFetch", json!({ "url": url }), None),
        Question {
            shell: None,
            tool_call: None,
            url: None,
            text: Some(text),
            cwd: None,
        } => judged(policy, "text", json!({ "text": text }), None),
        Question { .. } => anyhow::bail!(
            "it needs one of `shell`, `tool_call`, `url` and `text`; `cwd` belongs to `shell`"
        ),
    })
}

fn judged(policy: &Policy, tool: &str, input: Value, cwd: Option<PathBuf>) -> Judgement {
    let mut call = Call {
        cwd,
        ..Call::new(tool, input)
    };
    remotes::look_up(&mut call);
    tools::judge(policy, &call)
}

fn with_line(number: u64, judgement: &Judgement, took: Option<Duration>) -> anyhow::Result<Value> {
    let mut answer = json!({ "line": number });
    if let (Some(fields), Some(took)) = (answer.as_object_mut(), took) {
        fields.insert("micros".to_owned(), json!(took.as_secs_f64() * 1e6));
    }
    if let (Some(fields), Value::Object(told)) =
        (answer.as_object_mut(), serde_json::to_value(judgement)?)
    {
        fields.extend(told);
    }
    Ok(answer)
}

fn limit() -> u64 {
    u64::try_from(LONGEST_EVENT).map_or(u64::MAX, |longest| longest + 1)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
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

    fn with_screen(
        run: impl FnOnce(PathBuf, &mut Screen) -> anyhow::Result<Exit>,
    ) -> (anyhow::Result<Exit>, String) {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("p.json");
        let text = r#"{ "version": 1, "network": { "allow": [ { "name": "code", "hosts": ["github.com"], "ports": ["443/tcp"] } ] } }"#;
        std::fs::write(&policy, text).unwrap();
        let out = Shared::default();
        let exit = run(
            policy,
            &mut Screen::new(Box::new(out.clone()), false, false),
        );
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        (exit, text)
    }

    #[test]
    fn a_batch_has_one_answer_for_each_line() {
        let input = r#"{"url":"https://github.com/x"}
{"tool_call":{"tool":"WebFetch","input":{"url":"https://evil.example"}}}

{"text":"see https://evil.example"}
{"text":"nothing"}
{"text":"a","url":"b"}
{"shell":"cat ~/.ssh/id_rsa"}
"#;
        let (exit, text) = with_screen(|policy, screen| {
            classify(
                &ClassifyArgs {
                    policy,
                    batch: true,
                    timing: false,
                },
                input.as_bytes(),
                screen,
            )
        });
        assert_eq!(exit.unwrap(), Exit::Failure);
        let told: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let short: Vec<_> = told
            .iter()
            .map(|one| {
                format!(
                    "{} {}",
                    one["line"],
                    one.get("verdict").unwrap_or(&one["error"])
                )
            })
            .collect();
        assert_eq!(
            short[..4],
            ["1 \"allow\"", "2 \"deny\"", "4 \"deny\"", "5 \"allow\""]
        );
        assert!(short[4].contains("it needs one of"), "{short:?}");
        assert_eq!(short[5], "7 \"deny\"");
        assert_eq!(told[1]["hosts"], json!(["evil.example"]));
    }

    #[test]
    fn an_event_is_explained_line_by_line() {
        let event = r#"{"tool_name":"WebFetch","tool_input":{"url":"https://github.com/x"}}"#;
        let (exit, text) = with_screen(|policy, screen| {
            explain_call(&ExplainCallArgs { policy }, event.as_bytes(), screen)
        });
        assert_eq!(exit.unwrap(), Exit::Ok);
        assert_eq!(
            text,
            "allow WebFetch\n  class: url\n  host: github.com\n  rule: code\n"
        );
        let (exit, _) = with_screen(|policy, screen| {
            explain_call(&ExplainCallArgs { policy }, "{bad".as_bytes(), screen)
        });
        assert!(exit.is_err());
    }
}
