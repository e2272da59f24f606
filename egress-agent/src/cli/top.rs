//! `egressctl top`: what runs, what is open and what was denied, as it happens.
//!
//! ```text
//!  daemon ──source──▶ Overview ─┐
//!  keys ──terminal──▶ Key ──────┼──▶ Model ──draw──▶ cells     pure from here on
//!  clock ───────────────────────┘      ▲
//!                                rows, dialog
//! ```
//!
//! `--plain` compares overviews and says what happened, a line each.

mod dialog;
mod draw;
mod explain;
mod grant;
mod model;
mod once;
mod panes;
mod plain;
mod rows;
mod source;
mod terminal;
#[cfg(test)]
mod tests;
mod words;

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};

use super::{Exit, Screen};
use crate::{
    audit::record::Time,
    control::{
        client::ClientError,
        message::{Code, Failure},
        overview::Overview,
    },
};

use plain::Plain;

#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// Only what concerns this session.
    #[arg(long)]
    session: Option<String>,
    /// Seconds between two looks, 1 without it; with `--plain`, between two summaries, 60 without
    /// it.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    interval: Option<Duration>,
    /// Say in plain words what happens, a line each, without moving the cursor: for screen readers
    /// and pipes.
    #[arg(long, conflicts_with = "once")]
    plain: bool,
    /// Print what is there now, as text, and end.
    #[arg(long)]
    once: bool,
}

/// How often the daemon is asked.
const LOOK: Duration = Duration::from_secs(1);
/// Between two summaries of `--plain`.
const SUMMARY: Duration = Duration::from_mins(1);

pub fn run(args: TopArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let TopArgs {
        session,
        interval,
        plain,
        once,
    } = args;
    let session = session.as_deref();
    if once {
        let overview = source::overview(socket, session)?;
        if screen.is_json() {
            screen.json(&overview)?;
        } else {
            once::print(&overview, screen)?;
        }
    } else if screen.is_json() {
        lines(socket, session, interval.unwrap_or(LOOK), |look| {
            if let Ok(overview) = look {
                screen.json(overview)?;
            }
            Ok(())
        })?;
    } else if plain {
        let mut plain = Plain::new(TimeZone::system(), interval.unwrap_or(SUMMARY));
        let start = Instant::now();
        let look = interval.unwrap_or(LOOK).min(LOOK);
        lines(socket, session, look, |look| {
            let said = match look {
                Ok(overview) => plain.lines(overview, start.elapsed()),
                Err(error) => {
                    let now = Time::new(Timestamp::now());
                    let said = plain.gone(&error.to_string(), now);
                    said.into_iter().collect()
                }
            };
            for line in said {
                screen.line(line)?;
            }
            screen.flush()?;
            Ok(())
        })?;
    } else {
        terminal::run(socket, session, interval.unwrap_or(LOOK))?;
    }
    Ok(Exit::Ok)
}

/// Looks until nobody reads any more. A daemon that is away is asked again, one that was never
/// there is an error, and so is one that refuses.
fn lines(
    socket: &Path,
    session: Option<&str>,
    interval: Duration,
    mut say: impl FnMut(&Result<Box<Overview>, ClientError>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut was_there = false;
    loop {
        let look = match source::overview(socket, session) {
            Err(error) if !was_there => return Err(error.into()),
            // The session has ended.
            Err(ClientError::Failed(Failure {
                code: Code::NotFound,
                ..
            })) => return Ok(()),
            look => look,
        };
        was_there = true;
        say(&look)?;
        sleep(interval);
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|error| format!("{error}: write seconds, such as 2 or 0.5"))?;
    if (0.5..=3_600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("between 0.5 and 3600 seconds".to_owned())
    }
}
