//! A policy of a hundred thousand names and as many networks: how long until it is enforced, and
//! whether connections notice.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::world::place::DENIED_V4;

use super::{
    figure::{Figure, Target, Unit},
    policies,
    rounds::{self, Series, quantile},
    stage::{SERVE_PORT, Stage, served},
    traffic::compared,
};

const MANY: u32 = 100_000;
const CONNECTIONS: &str = "3000";

pub(crate) fn scale(stage: &Stage) -> Result<Vec<Figure>> {
    let large = policies::large(MANY);
    let (mut ready, mut enforcing) = (Vec::new(), Vec::new());
    for round in 0..stage.rounds(9) {
        let (until_ready, until_denied) = start(stage, &format!("start-{round}"), &large)?;
        ready.push(until_ready);
        enforcing.push(until_denied);
    }
    let small = stage.guard("ten-rules", &policies::usual(), None)?;
    let mut big = stage.guard("many-rules", &large, None)?;
    let cgroups = [big.cgroup(), small.cgroup()];
    let measured: Vec<[Series; 2]> = rounds::run(stage.rounds(21), 2, |_, which| {
        let cgroup = cgroups.get(which).context("two guards")?;
        stage.load(cgroup, &["connect", &served(SERVE_PORT), CONNECTIONS])
    })?;
    let [[connect, whole], [connect_ten, whole_ten]] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    let mut reloads = Vec::new();
    for _ in 0..stage.rounds(9) {
        reloads.push(big.reload(&large)?.as_secs_f64() * 1e3);
    }
    let millis = |values: &[f64]| Unit::Millis.of(quantile(values, 0.5));
    let in_time = Target::AtMost(Unit::Millis.of(800.0));
    let title = "100,000 names and networks";
    Ok(vec![
        Figure::alone(
            format!("{title}: start to READY=1"),
            millis(&ready),
            in_time,
        ),
        Figure::alone(
            format!("{title}: start to the first denial"),
            millis(&enforcing),
            in_time,
        ),
        Figure::alone(format!("{title}: reload"), millis(&reloads), Target::None),
        compared(
            &format!("{title}: TCP connect"),
            Unit::Micros,
            (connect, 1e-3),
            ("ten rules", connect_ten),
            Target::RatioAtMost(1.05),
        ),
        compared(
            "  with socket and close",
            Unit::Micros,
            (whole, 1e-3),
            ("ten rules", whole_ten),
            Target::None,
        ),
    ])
}

/// Milliseconds from the start of the process to READY=1, and to the first denial.
fn start(stage: &Stage, name: &str, policy: &Value) -> Result<(f64, f64)> {
    let cgroup = stage.unguarded(name)?;
    // Reached until the guard is there: nothing listens on this port.
    let address = format!("{DENIED_V4}:{SERVE_PORT}");
    let probe = stage
        .load_command(&cgroup, &["until-denied", &address])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("starting the probe")?;
    std::thread::sleep(Duration::from_millis(50));
    let guard = stage.guard(name, policy, None)?;
    let output = probe.wait_with_output().context("waiting for the probe")?;
    ensure!(
        output.status.success(),
        "the probe failed: {}",
        output.status
    );
    let denied: u64 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .context("reading the time of the first denial")?;
    #[expect(clippy::cast_precision_loss, reason = "seconds in nanoseconds")]
    let until_denied = denied.saturating_sub(guard.started()) as f64 / 1e6;
    Ok((guard.ready().as_secs_f64() * 1e3, until_denied))
}
