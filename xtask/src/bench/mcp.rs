//! What the guard adds to a call of an MCP server over pipes: the same calls to the same server,
//! with the guard in between and without it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    figure::{Figure, Target, Unit},
    policies,
    rounds::{self, quantile},
    stage::Stage,
};

const ROUNDS: usize = 20;
/// Calls of one arm in one round, after some that fill caches.
const CALLS: u64 = 500;
const FIRST: u64 = 50;

pub(crate) fn mcp(stage: &Stage) -> Result<Vec<Figure>> {
    let home = stage.world().home().join("mcp");
    fs::create_dir_all(&home).context("making a directory")?;
    let policy = home.join("policy.json");
    fs::write(&policy, policies::usual().to_string()).context("writing the policy")?;
    let server = || {
        let mut command = Command::new(stage.program("xtask"));
        command.args(["load", "mcp-serve"]);
        command
    };
    let guarded = || {
        let mut command = Command::new(stage.program("egressctl"));
        command
            .args(["mcp", "--name", "bench", "--policy"])
            .arg(&policy)
            .arg("--state")
            .arg(home.join("state/bench.json"))
            .arg("--")
            .arg(stage.program("xtask"))
            .args(["load", "mcp-serve"]);
        command
    };
    let mut figures = Vec::new();
    for (what, length, target) in [
        ("small call", 32, Target::AtMost(Unit::Micros.of(100.0))),
        ("call of 1 KB", 1000, Target::None),
    ] {
        let text = "plain words, and no more ".repeat(length / 25 + 1);
        let text = text.get(..length).unwrap_or_default();
        let series = rounds::run(stage.rounds(ROUNDS), 2, |_, arm| {
            times(if arm == 0 { server() } else { guarded() }, text)
        })?;
        let [bare, ours] = series.as_slice() else {
            continue;
        };
        for (at, percent, target) in [(0, 50, target), (1, 99, Target::None)] {
            let (Some(bare), Some(ours)) = (bare.get(at), ours.get(at)) else {
                continue;
            };
            let name = format!("round trip added by the stdio guard, {what}, p{percent}");
            figures.push(Figure {
                name,
                ours: Unit::Micros.of(ours.difference(bare)),
                against: Some((
                    "all of it, unguarded".to_owned(),
                    Unit::Micros.of(bare.median()),
                )),
                ratio: None,
                target,
            });
        }
    }
    Ok(figures)
}

/// Microseconds of the middle call and of the slowest in a hundred, one after the other.
fn times(mut command: Command, text: &str) -> Result<[f64; 2]> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a server")?;
    let mut input = child.stdin.take().context("a pipe")?;
    let mut output = BufReader::new(child.stdout.take().context("a pipe")?);
    let mut answer = String::new();
    let mut ask = |message: &Value| -> Result<f64> {
        let line = format!("{message}\n");
        answer.clear();
        let started = Instant::now();
        input.write_all(line.as_bytes()).context("asking")?;
        output.read_line(&mut answer).context("reading an answer")?;
        let took = started.elapsed();
        // A denial would be the time of something else.
        ensure!(answer.contains("\"result\""), "no result: {answer}");
        Ok(took.as_secs_f64() * 1e6)
    };
    ask(&json!({ "jsonrpc": "2.0", "id": 0, "method": "tools/list" }))?;
    let mut micros = Vec::new();
    for id in 1..=FIRST + CALLS {
        let took = ask(&json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "echo", "arguments": { "text": text } },
        }))?;
        if id > FIRST {
            micros.push(took);
        }
    }
    drop(input);
    let status = child.wait().context("waiting for a server")?;
    ensure!(status.success(), "the server ended with {status}");
    Ok([quantile(&micros, 0.5), quantile(&micros, 0.99)])
}
