//! `egressctl status`: what is enforced now, and what is not.

use std::{path::Path, thread::sleep, time::Duration};

use anyhow::bail;
use clap::Args;

use super::{
    Exit, Paint, Screen, session,
    table::{Cell, Table, plain},
};
use crate::{
    audit::record::Mode,
    control::{
        client::Client,
        message::{Reply, Request},
        status::{Dns, Guard, Listener, Status},
    },
    kernel::Hierarchy,
};

#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Only what concerns this session.
    #[arg(long)]
    session: Option<String>,
    /// Wait until the kernel programs of this guarded cgroup are attached, half a minute at most;
    /// show nothing. Exit 1 when they are not.
    #[arg(long, value_name = "CGROUP", conflicts_with = "session")]
    attached: Option<String>,
}

/// How often a guard that is not attached is looked at, and how long between two looks.
const LOOKS: u32 = 150;
const PAUSE: Duration = Duration::from_millis(200);

/// Exit 0 when everything that was asked for is enforced, 1 when something is not.
pub fn run(args: StatusArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    if let Some(cgroup) = &args.attached {
        return attached(cgroup, socket);
    }
    let request = Request::Status {
        session: args.session,
    };
    let Reply::Status(status) = Client::connect(socket)?.request(&request)? else {
        bail!("egressd answered something else");
    };
    let whole = status
        .guards
        .iter()
        .all(|guard| guard.gaps.is_empty() && guard.hooks.iter().all(|hook| hook.attached))
        && status.listeners.iter().all(|one| one.failure.is_none());
    if screen.is_json() {
        screen.json(&status)?;
    } else {
        print(&status, screen)?;
    }
    Ok(if whole { Exit::Ok } else { Exit::No })
}

/// A cgroup that was removed is made anew together with its programs, so both must be there.
fn attached(cgroup: &str, socket: &Path) -> anyhow::Result<Exit> {
    for _ in 0..LOOKS {
        let request = Request::Status { session: None };
        let Reply::Status(status) = Client::connect(socket)?.request(&request)? else {
            bail!("egressd answered something else");
        };
        let is_there = Hierarchy::find()?.open(cgroup).is_ok();
        let mut guards = status.guards.iter();
        let Some(guard) = guards.find(|guard| guard.cgroup == cgroup.trim_matches('/')) else {
            bail!("egressd does not guard `{cgroup}`: name it with `--cgroup`");
        };
        if is_there && !guard.hooks.is_empty() && guard.hooks.iter().all(|hook| hook.attached) {
            return Ok(Exit::Ok);
        }
        sleep(PAUSE);
    }
    super::complain(&format!(
        "egressctl: the guard of `{cgroup}` is not attached; the log of egressd says why"
    ));
    Ok(Exit::No)
}

fn print(status: &Status, screen: &mut Screen) -> anyhow::Result<()> {
    let uptime = super::duration(Duration::from_millis(status.uptime_ms));
    screen.line(format!(
        "egressd {} (pid {}, up {uptime})",
        status.version, status.pid
    ))?;
    for guard in &status.guards {
        print_guard(guard, screen)?;
    }
    if let Some(audit) = &status.audit {
        let lost: u64 = audit.lost.values().sum();
        let mut line = format!(
            "audit log  {}, {} records, {lost} lost",
            audit.file, audit.written
        );
        if let Some(failure) = &audit.failure {
            line = format!("{line}; cannot be written now: {failure}");
        }
        let is_whole = lost == 0 && audit.failure.is_none();
        screen.line("")?;
        screen.line(if is_whole {
            line
        } else {
            screen.paint(Paint::Warn, &line)
        })?;
    }
    for listener in &status.listeners {
        print_listener(listener, screen)?;
    }
    screen.line("")?;
    session::print(&status.sessions, screen)
}

/// Without the token: `egressctl dashboard` prints that.
fn print_listener(listener: &Listener, screen: &mut Screen) -> anyhow::Result<()> {
    let Listener {
        name,
        address,
        failure,
    } = listener;
    let line = match failure {
        Some(failure) => screen.paint(Paint::Warn, &plain(&format!("gap: no {name}: {failure}"))),
        None => plain(&format!("{name:<10} {address}")),
    };
    screen.line(line)?;
    Ok(())
}

fn print_guard(guard: &Guard, screen: &mut Screen) -> anyhow::Result<()> {
    let Guard {
        cgroup,
        policy,
        mode,
        dns,
        hooks,
        lsm,
        proxy,
        counters,
        leases,
        sessions,
        grants,
        waiting,
        lost,
        gaps,
    } = guard;
    let state = match mode {
        Mode::Enforce => screen.paint(Paint::Allow, "enforcing"),
        Mode::Observe => screen.paint(Paint::Warn, "observing: nothing is refused"),
    };
    screen.line("")?;
    screen.line(format!("{} {state}", screen.paint(Paint::Strong, cgroup)))?;
    let count = |name: &str| counters.get(name).copied().unwrap_or(0);
    let missing: Vec<&str> = hooks
        .iter()
        .filter(|hook| !hook.attached)
        .map(|hook| hook.name.as_str())
        .collect();
    let mut table = Table::plain();
    let mut row =
        |name: &str, value: String| table.row([Cell::new(format!("  {name}")), Cell::new(value)]);
    let digest = policy.digest.get(..12).unwrap_or(&policy.digest);
    row(
        "policy",
        format!("{} ({}, sha256 {digest})", policy.name, policy.file),
    );
    row(
        "hooks",
        if missing.is_empty() {
            format!("all {} attached", hooks.len())
        } else {
            format!("NOT ATTACHED: {}", missing.join(", "))
        },
    );
    if let Some(lsm) = lsm {
        row(
            "lsm",
            match &lsm.missing {
                None => format!(
                    "{} programs; {} sockets refused",
                    lsm.programs,
                    count("lsm-denied")
                ),
                Some(why) => format!("not active: {why}"),
            },
        );
    }
    row(
        "dns",
        match dns {
            Dns::Steer => format!(
                "steer: every question goes to the guard resolver ({} so far)",
                count("dns-steered")
            ),
            Dns::Snoop => "snoop: best effort, a first connect may be refused".to_owned(),
        },
    );
    if let Some(proxy) = proxy {
        let opens = proxy.ca.as_ref().map_or_else(String::new, |ca| {
            format!("; opens TLS with the CA in {}", ca.display())
        });
        row(
            "proxy",
            format!(
                "127.0.0.1:{}; {} flows led to it, {} open{opens}",
                proxy.port,
                count("proxied"),
                proxy.flows
            ),
        );
    }
    row("leases", format!("{leases} live"));
    row("sessions", sessions.to_string());
    if *grants > 0 {
        row(
            "grants",
            format!("{grants} beside the policy file (`egressctl allow --list`)"),
        );
    }
    if *waiting > 0 {
        row(
            "waiting",
            format!("{waiting} for a person (`egressctl approve`)"),
        );
    }
    row(
        "flows",
        format!(
            "{} allowed, {} denied by connect and sendmsg; {} flows ({} packets) dropped; {} sockets refused",
            count("connect-allowed") + count("send-allowed"),
            count("connect-denied") + count("send-denied"),
            count("packet-denied"),
            count("packet-denied") + count("packet-denied-again"),
            count("socket-denied"),
        ),
    );
    row("lost", format!("{lost} events"));
    table.print(screen)?;
    for gap in gaps {
        let line = screen.paint(Paint::Warn, &format!("  gap: {gap}"));
        screen.line(line)?;
    }
    Ok(())
}
