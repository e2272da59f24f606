//! `egressctl approve`: what waits for a person, and the answer to it.

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, IsTerminal as _},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;

use super::{
    Exit, Paint, Screen,
    allow::{claimed, place, time},
    complain,
    table::{Cell, Table, plain},
};
use crate::{
    audit::record::Verdict,
    control::{
        client::Client,
        grants::{Pending, Settlement},
        message::{Reply, Request},
    },
};

/// How often `--watch` looks.
const TURN: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, clap::Args)]
pub struct ApproveArgs {
    /// The number of what waits; without one everything that waits is listed.
    id: Option<u64>,
    /// Say no to it; the session is not asked about again for ten minutes.
    #[arg(long, requires = "id", conflicts_with_all = ["time", "once_session", "all_sessions"])]
    deny: bool,
    /// For so long, such as `30m` or `1h`; without it until the session ends.
    #[arg(long = "for", value_name = "TIME", value_parser = time, requires = "id")]
    time: Option<Duration>,
    /// Until the session ends, which is the default.
    #[arg(long, requires = "id", conflicts_with = "time")]
    once_session: bool,
    /// For every session of the guard; for an address nothing else can be had.
    #[arg(long, requires_all = ["id", "time"])]
    all_sessions: bool,
    /// The reason, for the record.
    #[arg(long, value_name = "TEXT", requires = "id")]
    why: Option<String>,
    /// Go on: show what comes, and on a terminal ask about each.
    #[arg(long, conflicts_with = "id")]
    watch: bool,
}

pub fn run(args: ApproveArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let mut client = Client::connect(socket)?;
    if args.watch {
        return watch(&mut client, screen);
    }
    let Some(id) = args.id else {
        let waiting = pending(&mut client)?;
        if screen.is_json() {
            screen.json(&waiting)?;
        } else {
            list(&waiting, screen)?;
        }
        return Ok(Exit::Ok);
    };
    let settlement = Settlement {
        id,
        verdict: if args.deny {
            Verdict::Deny
        } else {
            Verdict::Allow
        },
        seconds: args.time.map(|time| time.as_secs()),
        for_all: args.all_sessions,
        why: args.why,
    };
    let text = settle(&mut client, settlement)?;
    if screen.is_json() {
        screen.json(&serde_json::json!({ "id": id, "done": text }))?;
    } else {
        screen.line(plain(&text))?;
    }
    Ok(Exit::Ok)
}

fn pending(client: &mut Client) -> anyhow::Result<Vec<Pending>> {
    let Reply::Pending(waiting) = client.request(&Request::Pending {})? else {
        bail!("egressd answered something else");
    };
    Ok(waiting)
}

fn settle(client: &mut Client, settlement: Settlement) -> anyhow::Result<String> {
    let request = Request::Approve {
        settlement,
        claimed: claimed(),
    };
    let Reply::Done(text) = client.request(&request)? else {
        bail!("egressd answered something else");
    };
    Ok(text)
}

fn list(waiting: &[Pending], screen: &mut Screen) -> anyhow::Result<()> {
    if waiting.is_empty() {
        screen.line("nothing waits for approval")?;
        return Ok(());
    }
    let mut table = Table::new(&["ID", "SESSION", "WANTS", "PORT", "WHO", "SINCE", "LEFT", ""]);
    for one in waiting {
        let ago = Timestamp::now().duration_since(one.since.timestamp());
        let ago = Duration::try_from(ago).unwrap_or_default();
        let mark = if is_risky(one) {
            Cell::painted("risky", Paint::Warn)
        } else {
            Cell::new("")
        };
        table.row([
            Cell::new(one.id.to_string()),
            Cell::new(&one.session),
            Cell::new(&one.host),
            Cell::new(one.port.as_deref().unwrap_or_default()),
            Cell::new(who(one)),
            Cell::new(format!("{} ago", super::duration(ago))),
            Cell::new(super::duration(Duration::from_millis(one.left_ms))),
            mark,
        ]);
    }
    table.print(screen)?;
    for one in waiting {
        for risk in &one.risks {
            screen.line(format!("{}: {}", one.id, plain(risk)))?;
        }
    }
    screen.line(
        "approve one with `egressctl approve ID`, refuse it with `egressctl approve --deny ID`",
    )?;
    Ok(())
}

/// Shows what comes; on a terminal, asks about it.
fn watch(client: &mut Client, screen: &mut Screen) -> anyhow::Result<Exit> {
    let asks = io::stdin().is_terminal() && !screen.is_json();
    let mut shown: BTreeSet<u64> = BTreeSet::new();
    loop {
        let waiting = pending(client)?;
        shown.retain(|id| waiting.iter().any(|one| one.id == *id));
        let new: Vec<&Pending> = waiting
            .iter()
            .filter(|one| !shown.contains(&one.id))
            .collect();
        for one in &new {
            if screen.is_json() {
                screen.json(one)?;
            } else {
                tell(one, screen)?;
            }
            screen.flush()?;
            shown.insert(one.id);
            if asks {
                answer(client, one, screen)?;
            }
        }
        thread::sleep(TURN);
    }
}

fn tell(one: &Pending, screen: &mut Screen) -> anyhow::Result<()> {
    let mark = if is_risky(one) {
        screen.paint(Paint::Warn, "  risky")
    } else {
        String::new()
    };
    let left = super::duration(Duration::from_millis(one.left_ms));
    let line = format!(
        "{}  session {} wants {}{} ({}; {left} left)",
        one.id,
        plain(&one.session),
        plain(&one.host),
        one.port
            .as_ref()
            .map_or_else(String::new, |port| format!(":{}", plain(port))),
        plain(&who(one)),
    );
    screen.line(line + &mark)?;
    screen.line(format!("   opens {}", plain(&place(&one.opens))))?;
    for risk in &one.risks {
        screen.line(format!("   {}", plain(risk)))?;
    }
    Ok(())
}

/// What a person wants done, from one line. Anything else than a clear yes opens nothing.
fn answer(client: &mut Client, one: &Pending, screen: &mut Screen) -> anyhow::Result<()> {
    if one.for_all {
        screen.line(format!(
            "   it would be open for every session: `egressctl approve {} --all-sessions --for TIME`",
            one.id
        ))?;
        return Ok(());
    }
    screen.line(
        "   y: until the session ends; a time such as 1h: for so long; n: no; return: later",
    )?;
    screen.flush()?;
    let mut line = String::new();
    let read = io::stdin()
        .lock()
        .read_line(&mut line)
        .context("read the answer")?;
    ensure!(read > 0, "the terminal is gone");
    let (verdict, seconds) = match line.trim() {
        "" => return Ok(()),
        "n" | "no" => (Verdict::Deny, None),
        "y" | "yes" => (Verdict::Allow, None),
        text => match time(text) {
            Ok(time) => (Verdict::Allow, Some(time.as_secs())),
            Err(error) => {
                complain(&error);
                return Ok(());
            }
        },
    };
    let settled = settle(
        client,
        Settlement {
            id: one.id,
            verdict,
            seconds,
            for_all: false,
            why: None,
        },
    );
    match settled {
        Ok(text) => screen.line(format!("   {}", plain(&text)))?,
        // It may have run out while the person was thinking.
        Err(error) => complain(&format!("{error:#}")),
    }
    Ok(())
}

fn is_risky(one: &Pending) -> bool {
    one.risks.iter().any(|risk| risk.starts_with("risky"))
}

fn who(one: &Pending) -> String {
    let process = one.process.as_ref();
    process.map_or_else(String::new, |process| {
        format!("{}[{}] uid {}", process.comm, process.pid, process.uid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Process, Time};

    fn one(host: &str, risks: &[&str]) -> Pending {
        Pending {
            id: 3,
            guard: "agent".to_owned(),
            session: "s1".to_owned(),
            host: host.to_owned(),
            port: None,
            rule: "asked".to_owned(),
            process: Some(Process {
                pid: 7,
                uid: 1000,
                comm: "cu\x1b[31mrl".to_owned(),
            }),
            since: Time::new(Timestamp::UNIX_EPOCH),
            left_ms: 12_000,
            count: 1,
            risks: risks.iter().map(|risk| (*risk).to_owned()).collect(),
            opens: serde_json::json!({ "hosts": [host], "ports": ["443/tcp"] }),
            for_all: false,
        }
    }

    /// Names and commands are a stranger's: they move no cursor.
    #[test]
    fn what_waits_is_shown_plain() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = Box::new(file.reopen().unwrap());
        let mut screen = Screen::new(out, false, true);
        let waiting = [
            one("a.test", &[]),
            one("webhook.site", &["risky: \x1b[2J a drop box"]),
        ];
        list(&waiting, &mut screen).unwrap();
        for one in &waiting {
            tell(one, &mut screen).unwrap();
        }
        screen.flush().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("webhook.site") && text.contains("12s"));
        assert!(text.contains("risky"));
        assert!(
            !text.contains("\x1b[31m") && !text.contains("\x1b[2J"),
            "{text}"
        );
    }
}
