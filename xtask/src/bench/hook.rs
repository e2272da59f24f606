//! A hook process, from its start to its exit: what an agent waits for before every call; and the
//! judgement alone, of ordinary commands and of long ones.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    figure::{Figure, Target, Unit},
    guard::Guard,
    policies,
    rounds::quantile,
    stage::Stage,
};
use crate::workspace::root;

/// Processes of one kind.
const COUNT: usize = 1_000;
const COUNT_QUICK: usize = 100;

pub(crate) fn hook(stage: &Stage) -> Result<Vec<Figure>> {
    let guard = stage.guard("hook", &policies::usual(), None)?;
    let usual = event("git status --short && cargo test --workspace 2>&1 | tail -n 20");
    let count = if stage.quick { COUNT_QUICK } else { COUNT };
    let (mut hooks, mut nothing) = (Vec::new(), Vec::new());
    // The first ones fill caches.
    for round in 0..count + 3 {
        let took = time(with(stage, &guard), &usual)?;
        let bare = time(Command::new("true"), "")?;
        if round >= 3 {
            hooks.push(took);
            nothing.push(bare);
        }
    }
    let millis = |times: &[f64], share| Unit::Millis.of(quantile(times, share));
    let at_most = |bound| Target::AtMost(Unit::Millis.of(bound));
    Ok(vec![
        Figure {
            name: format!("hook process, start to exit, p50 of {count}"),
            ours: millis(&hooks, 0.5),
            against: Some(("`true`".to_owned(), millis(&nothing, 0.5))),
            ratio: None,
            target: at_most(3.0),
        },
        Figure {
            name: "  p99".to_owned(),
            ours: millis(&hooks, 0.99),
            against: Some(("`true`".to_owned(), millis(&nothing, 0.99))),
            ratio: None,
            target: at_most(10.0),
        },
    ])
}

/// The judgement alone, as a program gets it that asks for many.
pub(crate) fn judgement(stage: &Stage) -> Result<Vec<Figure>> {
    let file = root().join("tests/hook/development.txt");
    let corpus = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let ordinary: Vec<String> = corpus
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.replace("<NL>", "\n"))
        // That one asks git where it goes; the judgement does not.
        .filter(|command| !command.contains("push"))
        .collect();
    let rounds = if stage.quick { 3 } else { 30 };
    let padded = format!(": {}; git status", "x ".repeat(40_000));
    let micros = |times: &[f64], share| Unit::Micros.of(quantile(times, share));
    let millis = |times: &[f64]| Unit::Millis.of(quantile(times, 0.5) / 1e3);
    let usual = classified(stage, &ordinary, rounds)?;
    let padded = classified(stage, &[padded], rounds)?;
    let long = classified(stage, &["a b; ".repeat(200_000)], rounds)?;
    Ok(vec![
        Figure::alone(
            format!("judging a command, p50 of {}", ordinary.len()),
            micros(&usual, 0.5),
            Target::AtMost(Unit::Micros.of(150.0)),
        ),
        Figure::alone("  p99", micros(&usual, 0.99), Target::None),
        Figure::alone(
            "judging 80 KB of words and `git`",
            millis(&padded),
            Target::AtMost(Unit::Millis.of(5.0)),
        ),
        Figure::alone(
            "judging a command of 1 MB (refused: no shell can be given it)",
            millis(&long),
            Target::AtMost(Unit::Millis.of(50.0)),
        ),
    ])
}

/// Microseconds of each judgement, without what reads and writes the lines.
pub(crate) fn classified(stage: &Stage, commands: &[String], rounds: usize) -> Result<Vec<f64>> {
    let lines: Vec<String> = commands
        .iter()
        .map(|command| json!({ "shell": command }).to_string())
        .collect();
    let mut child = Command::new(stage.program("egressctl"))
        .args(["classify", "--batch", "--timing", "--policy"])
        .arg(root().join("policy/default.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting egressctl classify")?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    let lines = (lines.join("\n") + "\n").repeat(rounds);
    // Both pipes fill up; each has its own thread.
    let writer = thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().context("waiting for classify")?;
    ensure!(writer.join().is_ok_and(|sent| sent.is_ok()), "a pipe broke");
    let times: Vec<f64> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let answer: Value = serde_json::from_str(line).ok()?;
            answer.get("micros")?.as_f64()
        })
        .collect();
    let expected = commands.len() * rounds;
    ensure!(
        times.len() == expected,
        "{} of {expected} judged",
        times.len()
    );
    Ok(times)
}

/// The hook beside the guarded cgroup: a shell that enters it would be measured too.
fn with(stage: &Stage, guard: &Guard) -> Command {
    let mut command = Command::new(stage.program("egressctl"));
    command
        .args(["hook", "claude"])
        .env("EGRESSD_SOCKET", guard.socket());
    command
}

fn event(command: &str) -> String {
    json!({
        "session_id": "s", "transcript_path": "/t", "cwd": "/", "permission_mode": "default",
        "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_use_id": "t1",
        "tool_input": { "command": command, "description": "as agents write it" },
    })
    .to_string()
}

/// Milliseconds from the start of a command to its end.
fn time(mut command: Command, event: &str) -> Result<f64> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().context("starting a command")?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    // `true` may have gone before it is told anything.
    if !event.is_empty() {
        stdin
            .write_all(event.as_bytes())
            .context("telling the event")?;
    }
    drop(stdin);
    let output = child.wait_with_output().context("waiting for a command")?;
    let took = started.elapsed();
    let said = String::from_utf8_lossy(&output.stdout);
    // A denial would be the time of something else: of a deadline, or of no daemon.
    ensure!(
        output.status.success() && said.is_empty(),
        "the hook did not allow the call: {said}"
    );
    Ok(took.as_secs_f64() * 1e3)
}
