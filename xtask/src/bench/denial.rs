//! From a denied connect(2) to its line at a reader of `egressctl log -f --json`.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::{program, world::place::DENIED_V4};

use super::{
    figure::{Figure, Target, Unit},
    policies,
    rounds::quantile,
    stage::Stage,
};
use crate::load::monotonic;

/// Denials, to as many ports from this one on.
const FIRST_PORT: u16 = 20_000;
const COUNT: u16 = 3000;
const COUNT_QUICK: u16 = 1000;
/// Between two of them.
const PACE_MICROS: &str = "1000";
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn denial(stage: &Stage) -> Result<Vec<Figure>> {
    let guard = stage.guard("denial", &policies::usual(), None)?;
    let mut follower = stage
        .egressctl(&guard, &["--json", "log", "-f", "-n", "1000", "--denied"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting egressctl log -f")?;
    let measured = follow(&mut follower, |arrivals| {
        // One denial of its own shows that the reader has caught up.
        let mark = FIRST_PORT - 1;
        stage_denials(stage, &guard, mark, 1)?;
        while arrivals
            .recv_timeout(PATIENCE)
            .context("`egressctl log -f` shows nothing")?
            .0
            != mark
        {}
        let count = if stage.quick { COUNT_QUICK } else { COUNT };
        let denied = stage_denials(stage, &guard, FIRST_PORT, count)?;
        let mut arrived = BTreeMap::new();
        while arrived.len() < denied.len() {
            let (port, time) = arrivals.recv_timeout(PATIENCE).with_context(|| {
                let (seen, all) = (arrived.len(), denied.len());
                format!("{seen} of {all} denials reached `egressctl log -f`")
            })?;
            arrived.entry(port).or_insert(time);
        }
        Ok(denied
            .iter()
            .filter_map(|(port, before)| Some(micros(arrived.get(port)?.saturating_sub(*before))))
            .collect::<Vec<f64>>())
    });
    follower.kill().ok();
    follower.wait().ok();
    let times = measured?;
    ensure!(!times.is_empty(), "nothing was denied");
    let millis = |share| Unit::Millis.of(quantile(&times, share) / 1e3);
    let micros = Unit::Micros.of(quantile(&times, 0.5));
    Ok(vec![
        Figure::alone(
            format!("a denial to its line in log -f, p99 of {}", times.len()),
            millis(0.99),
            Target::AtMost(Unit::Millis.of(10.0)),
        ),
        Figure::alone("  the median", micros, Target::None),
        Figure::alone("  the slowest", millis(1.0), Target::None),
    ])
}

/// Port and time of each denial.
fn stage_denials(
    stage: &Stage,
    guard: &super::guard::Guard,
    first: u16,
    count: u16,
) -> Result<Vec<(u16, u64)>> {
    let address = format!("{DENIED_V4}:{first}");
    let count = count.to_string();
    let words = ["deny", &address, &count, PACE_MICROS];
    let said = program::run(&mut stage.load_command(guard.cgroup(), &words))?;
    said.lines()
        .map(|line| {
            let (port, time) = line.split_once(' ').context("a port and a time")?;
            Ok((port.parse()?, time.parse()?))
        })
        .collect()
}

/// Hands `work` the ports of the denials that `follower` shows, with the time at which each line
/// was read.
fn follow<T>(
    follower: &mut Child,
    work: impl FnOnce(&Receiver<(u16, u64)>) -> Result<T>,
) -> Result<T> {
    let lines = BufReader::new(follower.stdout.take().context("no output of egressctl")?);
    let (arrived, arrivals) = mpsc::channel();
    // Ends with the follower.
    thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let now = monotonic();
            if let Some(port) = port(&line)
                && arrived.send((port, now)).is_err()
            {
                return;
            }
        }
    });
    work(&arrivals)
}

/// The port of a record's flow.
fn port(line: &str) -> Option<u16> {
    let record: Value = serde_json::from_str(line).ok()?;
    u16::try_from(record.pointer("/flow/port")?.as_u64()?).ok()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds in nanoseconds")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_the_flow() {
        assert_eq!(port(r#"{"v":1,"flow":{"port":20001}}"#), Some(20_001));
        assert_eq!(port(r#"{"v":1,"event":"start"}"#), None);
        assert_eq!(port("half a li"), None);
    }
}
