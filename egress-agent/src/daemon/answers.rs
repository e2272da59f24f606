//! What the daemon says about itself.

use std::{collections::BTreeMap, net::IpAddr};

use egress_common::{Address, Counter, DnsMode};

use super::{Daemon, guard::Guard, sessions};
use crate::{
    audit::record::{Mode, Record, Time, Verdict},
    control::{
        message::{Code, Failure},
        status::{
            Audit, Dns, Guard as GuardStatus, Hook, Lease, Lsm, Policy, Proxy, Rule, Session,
            Status, Why,
        },
    },
    dns::leases::Held,
    kernel::{boot, lsm, programs},
    policy::{Answer, Explainer, Explanation, Host, Target},
};

/// Denials that `why` shows.
const SHOWN: usize = 5;

const COUNTERS: [(Counter, &str); Counter::COUNT as usize] = [
    (Counter::ConnectAllowed, "connect-allowed"),
    (Counter::ConnectDenied, "connect-denied"),
    (Counter::SendAllowed, "send-allowed"),
    (Counter::SendDenied, "send-denied"),
    (Counter::PacketDenied, "packet-denied"),
    (Counter::SocketDenied, "socket-denied"),
    (Counter::EventLost, "event-lost"),
    (Counter::Steered, "dns-steered"),
    (Counter::PacketDeniedAgain, "packet-denied-again"),
    (Counter::LsmDenied, "lsm-denied"),
    (Counter::Proxied, "proxied"),
];

/// Everything, or what concerns one session.
pub(super) fn status(daemon: &Daemon, session: Option<&str>) -> Result<Status, Failure> {
    let sessions = sessions(daemon, session);
    if let Some(wanted) = session
        && sessions.is_empty()
    {
        return Err(
            Failure::new(Code::NotFound, format!("no session `{wanted}` is running"))
                .with_help("see `egressctl session list`"),
        );
    }
    let guards: Vec<GuardStatus> = daemon
        .guards
        .iter()
        .map(|running| &running.guard)
        .filter(|guard| {
            session.is_none() || sessions.iter().any(|one| one.guard == guard.cgroup.path())
        })
        .map(|guard| {
            let (grants, waiting) = daemon.openings(guard.cgroup.path());
            GuardStatus {
                grants,
                waiting,
                ..guard_status(guard)
            }
        })
        .collect();
    let observes = guards.iter().any(|guard| guard.mode == Mode::Observe);
    let health = daemon.records.sink().health();
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: boot::now().saturating_sub(daemon.started) / 1_000_000,
        mode: if observes {
            Mode::Observe
        } else {
            Mode::Enforce
        },
        guards,
        sessions,
        audit: session.is_none().then(|| Audit {
            file: daemon.audit_file.display().to_string(),
            written: health.written,
            lost: health.lost,
            failure: health.failure,
        }),
        listeners: if session.is_none() {
            daemon.watched.listeners.clone()
        } else {
            Vec::new()
        },
    })
}

/// The sessions that run, or one of them.
pub(super) fn sessions(daemon: &Daemon, only: Option<&str>) -> Vec<Session> {
    let mut list = Vec::new();
    for running in &daemon.guards {
        let guard = &running.guard;
        for one in guard.world().sessions.borrow().iter() {
            if only.is_none_or(|only| only == one.session.name) {
                list.push(session(daemon, guard, one));
            }
        }
    }
    list
}

fn session(daemon: &Daemon, guard: &Guard, one: &sessions::Running) -> Session {
    let id = one.cgroup.id();
    let now = boot::now();
    let leases = guard.resolver.with_engine(|engine, _| {
        let leases = engine.leases().of(id);
        leases.filter(|held| held.expires > now).count()
    });
    let denials = daemon.records.sink().recent_denials(&one.session.name);
    Session {
        id: one.session.name.clone(),
        guard: guard.cgroup.path().to_owned(),
        pid: one.session.pid,
        uid: one.session.uid,
        command: one.session.command.clone(),
        started: one
            .session
            .started
            .parse()
            .map_or_else(|_| Time::new(jiff::Timestamp::UNIX_EPOCH), Time::new),
        denials: denials.iter().map(|record| record.count).sum(),
        leases: leases as u64,
        mode: if one.session.observed {
            Mode::Observe
        } else {
            guard.world().policy().mode().into()
        },
        held: one.session.held.clone(),
    }
}

fn guard_status(guard: &Guard) -> GuardStatus {
    let policy = guard.world().policy();
    let now = boot::now();
    let leases = guard.resolver.with_engine(|engine, _| {
        engine
            .leases()
            .iter()
            .filter(|held| held.expires > now)
            .count()
    });
    let counters: BTreeMap<String, u64> = COUNTERS
        .iter()
        .map(|(counter, name)| ((*name).to_owned(), Daemon::counter(guard, *counter)))
        .collect();
    let sessions = guard.world().sessions.borrow().iter().count() as u64;
    GuardStatus {
        cgroup: guard.cgroup.path().to_owned(),
        policy: Policy {
            name: policy.name().to_owned(),
            file: guard.policy_path.display().to_string(),
            digest: policy.digest().to_owned(),
        },
        mode: policy.mode().into(),
        dns: match policy.dns().mode {
            DnsMode::Steer => Dns::Steer,
            DnsMode::Snoop => Dns::Snoop,
        },
        hooks: programs::attached(&guard.pins)
            .into_iter()
            .map(|(name, attached)| Hook {
                name: name.to_owned(),
                attached,
            })
            .collect(),
        lsm: Some(match &guard.lsm {
            Ok(()) => Lsm {
                programs: lsm::attached(&guard.pins) as u64,
                missing: None,
            },
            Err(missing) => Lsm {
                programs: 0,
                missing: Some(missing.to_string()),
            },
        }),
        lost: counters.get("event-lost").copied().unwrap_or(0),
        proxy: Some(Proxy {
            port: guard.proxy_port(),
            flows: guard.gate.open() as u64,
            ca: guard.ca(),
        }),
        counters,
        leases: leases as u64,
        sessions,
        grants: 0,
        waiting: 0,
        gaps: guard.gaps(),
    }
}

/// How a destination is decided now.
pub(super) fn why(daemon: &Daemon, target: &str, session: Option<&str>) -> Result<Why, Failure> {
    let parsed: Target = target
        .parse()
        .map_err(|error: crate::policy::InvalidTarget| {
            Failure::new(Code::BadRequest, error.to_string())
        })?;
    let guard = guard_of(daemon, session)?;
    let id = session.and_then(|name| {
        let sessions = guard.world().sessions.borrow();
        sessions.by_name(name).map(|running| running.cgroup.id())
    });
    let world = guard.world();
    let policy = id.map_or_else(|| world.policy(), |id| world.policy_for(id));
    let lease = guard
        .resolver
        .with_engine(|engine, _| newest(engine.leases().iter(), &parsed.host, id));
    let explained = match (&parsed.host, &lease) {
        // An address that a name led to is decided by what the name may.
        (Host::Address(_), Some(lease)) if lease.expires_in_ms > 0 => {
            let by_address = Explainer::new(&policy).explain(&parsed);
            let by_name = crate::policy::Name::parse(&lease.name).map(|name| {
                Explainer::new(&policy).explain(&Target {
                    host: Host::Name(name),
                    ..parsed.clone()
                })
            });
            match by_name {
                Ok(by_name)
                    if by_address.verdict == Answer::Ask
                        || by_address.verdict == Answer::Deny && by_address.rule.is_none() =>
                {
                    by_name
                }
                _ => by_address,
            }
        }
        _ => Explainer::new(&policy).explain(&parsed),
    };
    let denials = denials(daemon, guard, session, &parsed);
    Ok(answer(
        target,
        explained,
        lease,
        denials,
        policy.mode().into(),
    ))
}

fn answer(
    target: &str,
    explained: Explanation,
    lease: Option<Lease>,
    denials: Vec<Record>,
    mode: Mode,
) -> Why {
    let Explanation {
        target: _,
        verdict,
        reason,
        rule,
        file,
        line,
        text,
        suggestion,
        shared,
        help,
    } = explained;
    Why {
        target: target.to_owned(),
        verdict: match verdict {
            Answer::Allow => Verdict::Allow,
            Answer::Deny => Verdict::Deny,
            Answer::Ask => Verdict::Ask,
        },
        mode,
        reason: reason.map(str::to_owned),
        reason_text: text,
        rule: rule.map(|name| Rule { name, file, line }),
        lease,
        denials,
        allow_with: suggestion.and_then(|text| serde_json::from_str(&text).ok()),
        help: help.or(shared),
    }
}

/// The guard of a session; without one, the only guard there is.
fn guard_of<'d>(daemon: &'d Daemon, session: Option<&str>) -> Result<&'d Guard, Failure> {
    let mut guards = daemon.guards.iter().map(|running| &*running.guard);
    let Some(session) = session else {
        let first = guards.next();
        return match (first, guards.next()) {
            (Some(guard), None) => Ok(guard),
            (None, _) => Err(Failure::new(
                Code::NotFound,
                "no cgroup is guarded any more",
            )),
            (Some(_), Some(_)) => Err(Failure::new(
                Code::BadRequest,
                "several cgroups are guarded, each with its policy",
            )
            .with_help("name a session with `--session`")),
        };
    };
    let holds = |guard: &&Guard| guard.world().sessions.borrow().by_name(session).is_some();
    guards.find(holds).ok_or_else(|| {
        Failure::new(Code::NotFound, format!("no session `{session}` is running"))
            .with_help("see `egressctl session list`")
    })
}

/// The lease that ends last among those of this name or address.
fn newest<'l>(
    leases: impl Iterator<Item = Held<'l>>,
    host: &Host,
    session: Option<u64>,
) -> Option<Lease> {
    let is_meant = |held: &Held<'_>| {
        session.is_none_or(|session| session == held.session)
            && match host {
                Host::Name(name) => **held.name == *name.as_str(),
                Host::Address(address) => held.address == Address::from(*address),
            }
    };
    let held = leases.filter(is_meant).max_by_key(|held| held.expires)?;
    let now = i128::from(boot::now());
    let left = (i128::from(held.expires) - now) / 1_000_000;
    Some(Lease {
        name: held.name.to_string(),
        address: IpAddr::from(held.address),
        expires_in_ms: i64::try_from(left).unwrap_or(i64::MAX),
        age_ms: boot::now().saturating_sub(held.since) / 1_000_000,
    })
}

/// The last denials of this destination.
fn denials(daemon: &Daemon, guard: &Guard, session: Option<&str>, target: &Target) -> Vec<Record> {
    let names: Vec<String> = if let Some(name) = session {
        vec![name.to_owned()]
    } else {
        let sessions = guard.world().sessions.borrow();
        sessions
            .iter()
            .map(|running| running.session.name.clone())
            .collect()
    };
    let sink = daemon.records.sink();
    let mut found: Vec<Record> = names
        .iter()
        .flat_map(|name| sink.recent_denials(name))
        .filter(|record| concerns(record, target))
        .map(|record| (*record).clone())
        .collect();
    found.sort_by_key(|record| record.time);
    let surplus = found.len().saturating_sub(SHOWN);
    found.split_off(surplus)
}

fn concerns(record: &Record, target: &Target) -> bool {
    let port_fits = record
        .flow
        .as_ref()
        .is_none_or(|flow| flow.port == target.port);
    let host_fits = match &target.host {
        Host::Name(name) => record.name.as_deref() == Some(name.as_str()),
        Host::Address(address) => record
            .flow
            .as_ref()
            .is_some_and(|flow| flow.address == *address),
    };
    port_fits && host_fits
}
