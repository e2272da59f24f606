//! `egressctl session`: the sessions that run.

use std::path::Path;

use anyhow::bail;
use clap::Subcommand;
use jiff::{Timestamp, Unit};

use super::{
    Exit, Paint, Screen, rows,
    table::{Cell, Table},
};
use crate::{
    audit::record::Mode,
    control::{
        client::Client,
        message::{Reply, Request},
        status::Session,
    },
};

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List the sessions that run.
    List,
    /// Show what a session did with each host: of one that runs, or of one that ended not long ago.
    Egress {
        /// As `session list` or the log shows it.
        session: String,
    },
    /// End a session: every process in it is killed.
    End {
        /// As `session list` shows it.
        session: String,
    },
}

pub fn run(command: Command, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let mut client = Client::connect(socket)?;
    match command {
        Command::List => {
            let Reply::Sessions(sessions) = client.request(&Request::Sessions {})? else {
                bail!("egressd answered something else");
            };
            if screen.is_json() {
                screen.json(&sessions)?;
            } else {
                print(&sessions, screen)?;
            }
        }
        Command::Egress { session } => {
            let rows = rows::ask(&mut client, session)?;
            rows::print(&rows, screen)?;
        }
        Command::End { session } => {
            let Reply::Done(text) = client.request(&Request::End { session })? else {
                bail!("egressd answered something else");
            };
            screen.line(text)?;
        }
    }
    Ok(Exit::Ok)
}

/// A table, or a word that there is nothing to show.
pub(super) fn print(sessions: &[Session], screen: &mut Screen) -> anyhow::Result<()> {
    if sessions.is_empty() {
        screen.line("no session is running; start one with `egressctl run -- COMMAND`")?;
        return Ok(());
    }
    let mut table = Table::new(&[
        "SESSION", "GUARD", "PID", "UID", "AGE", "MODE", "LEASES", "DENIALS", "HELD BY", "COMMAND",
    ]);
    let now = Timestamp::now();
    for session in sessions {
        let Session {
            id,
            guard,
            pid,
            uid,
            command,
            started,
            denials,
            leases,
            mode,
            held,
        } = session;
        let is_known = *pid != 0;
        table.row([
            Cell::new(id),
            Cell::new(guard),
            Cell::new(if is_known {
                pid.to_string()
            } else {
                String::new()
            }),
            Cell::new(if is_known {
                uid.to_string()
            } else {
                String::new()
            }),
            Cell::new(if is_known {
                age(now, started.timestamp())
            } else {
                String::new()
            }),
            match mode {
                Mode::Enforce => Cell::new("enforce"),
                Mode::Observe => Cell::painted("observe", Paint::Warn),
            },
            Cell::new(leases.to_string()),
            Cell::new(denials.to_string()),
            Cell::new(held.as_ref().map(ToString::to_string).unwrap_or_default()),
            Cell::new(command.join(" ")),
        ]);
    }
    table.print(screen)?;
    Ok(())
}

/// `2h 13m`, `45s`.
fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = (now - then).total(Unit::Second).unwrap_or(0.0).max(0.0);
    super::duration(std::time::Duration::from_secs_f64(seconds))
}
