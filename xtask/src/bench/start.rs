//! What `egressctl run` adds to starting a command: session, private view, file rules, filter,
//! and the summary at the end.

use std::{
    os::unix::fs::chown,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use xtask::world::client::{AGENT_GID, AGENT_UID};

use super::{
    figure::{Figure, Target, Unit},
    guard::Guard,
    stage::Stage,
};

/// The command that does nothing.
const NOTHING: &str = "true";

pub(crate) fn start(stage: &Stage) -> Result<Vec<Figure>> {
    let guard = stage.guard("start", &json!({ "version": 1 }), None)?;
    chown(guard.socket(), None, Some(AGENT_GID)).context("opening the control socket to a user")?;
    let mut figures = Vec::new();
    for (name, starts) in [
        ("as a user", Starts::User),
        ("by root for a user", Starts::RootForUser),
    ] {
        let (mut added, mut ours, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..stage.rounds(60) + 3 {
            let with = time(guarded(stage, &guard, starts))?;
            let without = time(unguarded(stage, starts))?;
            // The first rounds fill caches.
            if round >= 3 {
                added.push(with - without);
                ours.push(with);
                bare.push(without);
            }
        }
        let limit = Target::AtMost(Unit::Millis.of(15.0));
        figures.push(Figure::alone(
            format!("`egressctl run -- true` {name}: time that it adds, p50"),
            Unit::Millis.of(median(&mut added)),
            limit,
        ));
        figures.push(Figure {
            name: "  all of it".to_owned(),
            ours: Unit::Millis.of(median(&mut ours)),
            against: Some(("`true`".to_owned(), Unit::Millis.of(median(&mut bare)))),
            ratio: None,
            target: Target::None,
        });
    }
    Ok(figures)
}

#[derive(Clone, Copy)]
enum Starts {
    User,
    RootForUser,
}

fn guarded(stage: &Stage, guard: &Guard, starts: Starts) -> Command {
    let egressctl = stage.program("egressctl");
    let mut command = match starts {
        Starts::User => {
            let mut command = as_user(stage);
            command.arg(egressctl);
            command
        }
        Starts::RootForUser => stage.world().command(egressctl),
    };
    command.arg("--socket").arg(guard.socket()).arg("run");
    if let Starts::RootForUser = starts {
        command.args(["--user", &AGENT_UID.to_string()]);
    }
    command.args(["--", NOTHING]);
    command
}

fn unguarded(stage: &Stage, starts: Starts) -> Command {
    match starts {
        Starts::User => {
            let mut command = as_user(stage);
            command.arg(NOTHING);
            command
        }
        Starts::RootForUser => stage.world().command(NOTHING),
    }
}

fn as_user(stage: &Stage) -> Command {
    let mut command = stage.world().command("setpriv");
    command.args([
        format!("--reuid={AGENT_UID}"),
        format!("--regid={AGENT_GID}"),
        "--clear-groups".to_owned(),
    ]);
    command
}

/// Milliseconds from the start to the end of a command.
fn time(mut command: Command) -> Result<f64> {
    let started = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("starting a command")?;
    let took = started.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the command failed: {said}");
    Ok(took.as_secs_f64() * 1e3)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
