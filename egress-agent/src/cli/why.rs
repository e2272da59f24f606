//! `egressctl why HOST:PORT[/PROTO]`: the verdict, the rule behind it, and what would change it.

use std::path::Path;

use anyhow::bail;
use clap::Args;

use super::{
    Exit, Paint, Screen,
    table::{Cell, Table},
};
use crate::{
    audit::record::{Mode, Verdict},
    control::{
        client::Client,
        message::{Reply, Request},
        status::Why,
    },
};

#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// HOST:PORT[/PROTO], such as `github.com:443`, `192.0.2.1:53/udp` or `[2001:db8::1]:443`.
    target: String,
    /// As this session sees it.
    #[arg(long)]
    session: Option<String>,
}

/// Exit 0 for allow, 1 for deny.
pub fn run(args: WhyArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let request = Request::Why {
        target: args.target,
        session: args.session,
    };
    let Reply::Why(why) = Client::connect(socket)?.request(&request)? else {
        bail!("egressd answered something else");
    };
    if screen.is_json() {
        screen.json(&why)?;
    } else {
        print(&why, screen)?;
    }
    Ok(if why.verdict == Verdict::Allow {
        Exit::Ok
    } else {
        Exit::No
    })
}

pub(super) fn print(why: &Why, screen: &mut Screen) -> anyhow::Result<()> {
    let Why {
        target,
        verdict,
        mode,
        reason,
        reason_text,
        rule,
        lease,
        denials,
        allow_with,
        help,
    } = why;
    let word = if *verdict == Verdict::Allow {
        screen.paint(Paint::Allow, "allow")
    } else if *verdict == Verdict::Ask {
        screen.paint(Paint::Warn, "ask")
    } else {
        screen.paint(Paint::Deny, "deny")
    };
    let observed = if *mode == Mode::Observe {
        " (observed only: nothing is refused)"
    } else {
        ""
    };
    screen.line(format!("{word}  {target}{observed}"))?;
    let mut table = Table::plain();
    let mut row =
        |name: &str, value: String| table.row([Cell::new(format!("  {name}")), Cell::new(value)]);
    if let Some(reason) = reason {
        row(
            "reason",
            match reason_text {
                Some(text) => format!("{reason}: {text}"),
                None => reason.clone(),
            },
        );
    }
    if let (None, Some(text)) = (reason, reason_text) {
        row("because", text.clone());
    }
    if let Some(rule) = rule {
        row(
            "rule",
            match (&rule.file, rule.line) {
                (Some(file), Some(line)) => format!("{} ({file}:{line})", rule.name),
                _ => rule.name.clone(),
            },
        );
    }
    if let Some(lease) = lease {
        let age = super::duration(std::time::Duration::from_millis(lease.age_ms));
        let left = u64::try_from(lease.expires_in_ms).ok();
        let state = left.map_or_else(
            || "expired".to_owned(),
            |left| {
                format!(
                    "ends in {}",
                    super::duration(std::time::Duration::from_millis(left))
                )
            },
        );
        row(
            "lease",
            format!(
                "{} -> {} (learnt {age} ago, {state})",
                lease.name, lease.address
            ),
        );
    }
    for denial in denials {
        let process = denial.process.as_ref().map_or_else(String::new, |process| {
            format!(" {}[{}]", process.comm, process.pid)
        });
        row("denied", format!("{}{process}", denial.time));
    }
    table.print(screen)?;
    if let Some(rule) = allow_with {
        screen.line("  to allow it, add to network.allow:")?;
        let line = screen.paint(Paint::Strong, &format!("    {rule}"));
        screen.line(line)?;
    }
    if let Some(help) = help {
        screen.line(format!("  {help}"))?;
    }
    Ok(())
}
