//! Content inspection: bytes a second over clean text, what hostile text costs, and the self-test.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    figure::{Figure, Target, Unit},
    hook::classified,
    rounds::quantile,
    stage::Stage,
};
use crate::workspace::root;

/// Bytes of clean text.
const LENGTH: usize = 32 << 20;
const LENGTH_QUICK: usize = 2 << 20;
/// Where this project keeps its prose and its code.
const PROSE: &[&str] = &["README.md", "policy/README.md", "policy/packs/README.md"];
const CODE: &str = "egress-agent/src/policy";

pub(crate) fn inspect(stage: &Stage) -> Result<Vec<Figure>> {
    let length = if stage.quick { LENGTH_QUICK } else { LENGTH };
    let mut prose = String::new();
    for file in PROSE {
        prose += &text(&root().join(file))?;
    }
    let mut code = String::new();
    for entry in fs::read_dir(root().join(CODE)).context("reading the sources")? {
        let path = entry?.path();
        if path.is_file() {
            code += &text(&path)?;
        }
    }
    let clean = filled(&format!("{prose}{code}"), length);
    let prose = filled(&prose, length);
    let (mut secrets, mut orders) = (Vec::new(), Vec::new());
    let mut squeezed = [Vec::new(), Vec::new()];
    for _ in 0..stage.rounds(7) {
        for (text, rates) in [&clean, &prose].into_iter().zip(&mut squeezed) {
            rates.push(rate(text, compressed(text)?));
        }
        secrets.push(rate(&clean, scanned(stage, &clean, true)?));
        // What the look for orders takes beyond the look for secrets.
        let both = scanned(stage, &prose, false)?;
        let first = scanned(stage, &prose, true)?;
        orders.push(rate(&prose, (both - first).max(1.0)));
    }
    let nested = nested(4 << 10);
    let hostile = classified(stage, &[format!(": {nested}")], stage.rounds(100))?;
    let mut selftest = Vec::new();
    for _ in 0..stage.rounds(20) {
        let started = Instant::now();
        let output = Command::new(stage.program("egressctl"))
            .args(["selftest", "--json", "--policy"])
            .arg(root().join("policy/anthropic.json"))
            .output()
            .context("starting egressctl selftest")?;
        ensure!(!output.stdout.is_empty(), "the self-test said nothing");
        selftest.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let megabytes = |rates: &[f64]| Unit::BytesPerSecond.of(quantile(rates, 0.5));
    // How quick this machine is.
    let beside = |rates: &[f64]| Some(("`gzip -1`".to_owned(), megabytes(rates)));
    let [clean, prose] = &squeezed;
    Ok(vec![
        Figure {
            against: beside(clean),
            ..Figure::alone(
                "secrets: clean text, one core",
                megabytes(&secrets),
                Target::AtLeast(Unit::BytesPerSecond.of(150e6)),
            )
        },
        Figure {
            against: beside(prose),
            ..Figure::alone(
                "orders to a model: clean prose, one core",
                megabytes(&orders),
                Target::AtLeast(Unit::BytesPerSecond.of(80e6)),
            )
        },
        Figure::alone(
            "4 KB of nested base64 in a command, judged",
            Unit::Millis.of(quantile(&hostile, 0.5) / 1e3),
            Target::AtMost(Unit::Millis.of(2.0)),
        ),
        Figure::alone(
            "self-test of 40 vectors, start to exit",
            Unit::Millis.of(quantile(&selftest, 0.5)),
            Target::AtMost(Unit::Millis.of(200.0)),
        ),
    ])
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// A text over and over, up to this many bytes.
fn filled(text: &str, length: usize) -> String {
    text.repeat(length / text.len().max(1) + 1)
}

/// Base64 of base64 and so on, of at least this many bytes.
fn nested(length: usize) -> String {
    let mut text = "a text that somebody has wrapped many times".to_owned();
    while text.len() < length {
        text = base64(text.as_bytes());
    }
    text
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sign = |bits: u32| {
        let at = usize::try_from(bits & 63).unwrap_or(0);
        SIGNS.get(at).copied().map_or('=', char::from)
    };
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let is_filled = at <= chunk.len();
            out.push(if is_filled {
                sign(bits >> (18 - 6 * at))
            } else {
                '='
            });
        }
    }
    out
}

/// Microseconds of one inspection.
fn scanned(stage: &Stage, text: &str, outgoing: bool) -> Result<f64> {
    let mut command = Command::new(stage.program("egressctl"));
    command.args(["scan", "--json", "--timing", "--confidence", "high"]);
    if outgoing {
        command.arg("--outgoing");
    }
    let output = fed(command.stdout(Stdio::piped()), text)?;
    let told: Value = serde_json::from_slice(&output.stdout).context("what scan said")?;
    let micros = told.get("micros").and_then(Value::as_f64);
    micros.context("scan said no time")
}

/// Microseconds that gzip takes for a text at its quickest.
fn compressed(text: &str) -> Result<f64> {
    let mut command = Command::new("gzip");
    command.args(["-1", "-c"]).stdout(Stdio::null());
    let started = Instant::now();
    let output = fed(&mut command, text)?;
    ensure!(output.status.success(), "gzip failed");
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

/// What a program says that is given this text.
fn fed(command: &mut Command, text: &str) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    stdin
        .write_all(text.as_bytes())
        .context("telling the text")?;
    drop(stdin);
    child.wait_with_output().context("waiting for its end")
}

/// Bytes a second.
#[expect(clippy::cast_precision_loss, reason = "megabytes are far from it")]
fn rate(text: &str, micros: f64) -> f64 {
    text.len() as f64 / micros * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_base64() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert!(nested(4096).len() >= 4096);
    }
}
