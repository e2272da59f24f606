//! Starting guards: everything is prepared first, then the tables are filled, then the programs
//! are attached.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use tokio::task::spawn_local;

use super::{
    Daemon, Running,
    guard::{Guard, Origin, Prepared, Start},
    policies::Loaded,
    privileges, proxied,
    run::Options,
};
use crate::{
    audit::record::Kind,
    dns::{self, resolv_conf},
    kernel::{events::Events, log::ProgramLog},
    policy::{Policy, Upstream},
    proxy::{self, open::Opener},
};

/// What one guard shall be.
pub(super) struct Plan {
    cgroup: String,
    policy_path: PathBuf,
    policy: Arc<Policy>,
    opener: Option<Arc<Opener>>,
    upstreams: Vec<SocketAddr>,
}

pub(super) fn plans(options: &Options, policies: Vec<Loaded>) -> anyhow::Result<Vec<Plan>> {
    let guards = options.guards.iter().zip(policies);
    guards
        .map(|((cgroup, policy_path), loaded)| {
            let Loaded { policy, opener } = loaded;
            Ok(Plan {
                cgroup: cgroup.clone(),
                policy_path: policy_path.clone(),
                upstreams: upstreams(&policy, &options.resolv_conf)?,
                policy: Arc::new(policy),
                opener,
            })
        })
        .collect()
}

/// Locks and loads all guards, then starts them: a guard that cannot be had leaves the others as
/// they were.
pub(super) fn start_guards(
    daemon: &mut Daemon,
    options: &Options,
    plans: Vec<Plan>,
) -> anyhow::Result<()> {
    let mut prepared = Vec::new();
    for plan in plans {
        let cgroup = daemon.hierarchy.create(&plan.cgroup)?;
        prepared.push((
            Prepared::new(cgroup, &options.pin_dir, options.require_lsm)?,
            plan,
        ));
    }
    for (one, plan) in prepared {
        let running = raise(daemon, options, one, plan)?;
        daemon.take(running);
    }
    Ok(())
}

/// Starts one guard and what serves it. From the return on, its policy is enforced.
fn raise(daemon: &Daemon, options: &Options, one: Prepared, plan: Plan) -> anyhow::Result<Running> {
    let Plan {
        cgroup: _,
        policy_path,
        policy,
        opener,
        upstreams,
    } = plan;
    let preferred = one.resolver_ports().unwrap_or_default();
    let sockets = dns::bind(preferred)?;
    let doors = proxy::Sockets::bind(one.proxy_ports().unwrap_or_default())?;
    let origin = one.origin().clone();
    let path = one.cgroup().path().to_owned();
    let file = path.replace('/', "%2F");
    let sessions = options.runtime_dir.join("sessions").join(&file);
    let bundle = options.runtime_dir.join("ca").join(file + ".pem");
    let (guard, ring, ends) = one.start(
        Start {
            policy: Arc::clone(&policy),
            opener,
            bundle,
            policy_path,
            resolver_ports: sockets.ports(),
            proxy_ports: doors.ports,
            sessions: &sessions,
            upstreams: &upstreams,
            records: Rc::clone(&daemon.records),
            approvals: Rc::clone(&daemon.approvals),
            control_socket: daemon.control_socket.clone(),
            require_lsm: options.require_lsm,
        },
        &daemon.hierarchy,
    )?;
    let guard = Rc::new(guard);
    tell_origin(daemon, &path, &origin);
    if let Err(missing) = &guard.lsm {
        tracing::info!(cgroup = path, "the second layer is not active: {missing}");
    }
    daemon.record_policy(Kind::PolicyLoaded, &path, &policy);
    let events = Events::new(ring).context("event ring")?;
    let resolver = guard.resolver.clone();
    let served = spawn_local(async move {
        if let Err(error) = resolver.run(sockets).await {
            tracing::error!(%error, "the guard resolver failed; names resolve no longer");
        }
    });
    let mut tasks = vec![
        served.abort_handle(),
        daemon.serve_events(&guard, events),
        daemon.watch_cgroup(&guard),
    ];
    match ProgramLog::open(&guard.pins) {
        Ok(log) => tasks.push(spawn_local(log.forward()).abort_handle()),
        Err(error) => {
            tracing::debug!(%error, "the programs' own log lines cannot be read");
        }
    }
    tasks.extend(super::snoop::start(&guard)?);
    tasks.extend(proxied::serve(&guard, &daemon.records, ends));
    let proxy = proxy::Server::start(Arc::clone(&guard.gate), doors).context("start the proxy")?;
    Ok(Running {
        guard,
        tasks,
        proxy: Some(proxy),
    })
}

/// Makes a guarded cgroup that was removed anew, and guards it under the policy that was in force.
pub(super) fn raise_again(
    daemon: &Daemon,
    options: &Options,
    lost: &Guard,
) -> anyhow::Result<Running> {
    let path = lost.cgroup.path();
    let plan = Plan {
        cgroup: path.to_owned(),
        policy_path: lost.policy_path.clone(),
        policy: lost.world().policy(),
        opener: lost.gate.opener(),
        upstreams: lost.upstreams.clone(),
    };
    let cgroup = privileges::with_dac_override(|| daemon.hierarchy.create(path))?;
    let one = Prepared::new(cgroup, &options.pin_dir, options.require_lsm)?;
    raise(daemon, options, one, plan)
}

fn tell_origin(daemon: &Daemon, path: &str, origin: &Origin) {
    let message = match origin {
        Origin::Fresh => "attached".to_owned(),
        Origin::Adopted => "taken over from a previous egressd, without a gap".to_owned(),
        Origin::Replaced { found } => format!(
            "replaced what another build had pinned ({}), without a gap; its leases are not carried over",
            found.join(", ")
        ),
    };
    tracing::info!(cgroup = path, message, "guard");
    daemon.records.life(Kind::GuardAttached, |record| {
        record.guard = Some(path.to_owned());
        record.message = Some(message.clone());
    });
}

/// Two guards on one path would steer each other's DNS.
pub(super) fn refuse_nested(guards: &[(String, PathBuf)]) -> anyhow::Result<()> {
    for (index, (one, _)) in guards.iter().enumerate() {
        for (other, _) in guards.iter().skip(index + 1) {
            let (one, other) = (one.trim_matches('/'), other.trim_matches('/'));
            if crate::kernel::cgroup::holds(one, other) || crate::kernel::cgroup::holds(other, one)
            {
                bail!("the cgroups `{one}` and `{other}` lie inside each other; guard one of them");
            }
        }
    }
    Ok(())
}

/// Whom the guard resolver asks. The system's own servers are read once, at the start.
pub(super) fn upstreams(policy: &Policy, path: &Path) -> anyhow::Result<Vec<SocketAddr>> {
    let mut servers = Vec::new();
    for upstream in &policy.dns().upstreams {
        match upstream {
            Upstream::Address(address) => servers.push(*address),
            Upstream::System => {
                let text = fs::read_to_string(path).with_context(|| {
                    format!("read the system's resolvers from {}", path.display())
                })?;
                servers.extend(resolv_conf(&text));
            }
        }
    }
    if servers.is_empty() {
        bail!(
            "no DNS server is known: {} names none; name one in `dns.upstreams`",
            path.display()
        );
    }
    Ok(servers)
}
