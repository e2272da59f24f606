//! egressd: guards cgroups, resolves names for them, records what was decided, and answers on the
//! control socket.
//!
//! One task owns everything that changes ([`Daemon`]); the others wait for the world and tell it:
//! events of the kernel, requests, signals, sessions that ended. The order of the start is the
//! order of safety: everything that can fail without a trace is tried first, then the tables are
//! filled, then the programs are attached, and only then does anyone hear of it.

mod answers;
mod approvals;
mod asking;
mod bundle;
mod calls;
mod door;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod grants;
pub mod guard;
mod heap;
mod host;
mod journal;
pub mod notify;
mod openings;
mod overview;
#[cfg(test)]
mod parity;
pub mod policies;
pub mod privileges;
mod proxied;
mod records;
mod regain;
mod requests;
mod rows;
pub mod run;
mod sessions;
mod snoop;
mod sockets;
mod start;
mod watched;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use egress_common::Counter;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, spawn_local},
};

use crate::{
    audit::record::{Kind, Layer, Mode},
    control::message::{Code, Failure},
    kernel::{Hierarchy, boot, events::Events, watch},
    policy::Policy,
    proxy,
};

use approvals::Approvals;
use calls::Calls;
use door::Known;
use grants::Grants;
use guard::Guard;
use policies::Loaded;
use records::Records;
use watched::Watched;

/// A guard and the tasks that serve it.
struct Running {
    guard: Rc<Guard>,
    tasks: Vec<AbortHandle>,
    /// Until the daemon stops, or the guard is lost.
    proxy: Option<proxy::Server>,
}

/// A session that lost its last process.
#[derive(Debug)]
struct Ended {
    cgroup: String,
    session: u64,
}

/// Changes the filter of the diagnostic log.
pub type SetVerbosity = Box<dyn FnMut(&str) -> Result<(), String>>;

/// Everything that changes while egressd runs.
pub struct Daemon {
    guards: Vec<Running>,
    hierarchy: Hierarchy,
    records: Rc<Records>,
    audit_file: PathBuf,
    runtime_dir: PathBuf,
    pin_dir: PathBuf,
    known: Arc<Mutex<Known>>,
    /// What the control socket is bound to: sessions talk to it.
    control_socket: Vec<u8>,
    /// Boot time in nanoseconds.
    started: u64,
    set_verbosity: SetVerbosity,
    ended: mpsc::UnboundedSender<Ended>,
    /// Paths of guarded cgroups that were removed.
    lost: mpsc::UnboundedSender<String>,
    calls: Calls,
    watched: Watched,
    /// Open ones, for overviews.
    sockets: Rc<overview::Sockets>,
    grants: Grants,
    /// Guards whose kernel tables still have what was granted and has ended.
    unclosed: BTreeSet<String>,
    /// Shared with the resolvers, which are what asks.
    approvals: Rc<RefCell<Approvals>>,
}

impl Daemon {
    /// Tells the door which cgroups are guarded and who owns which session.
    fn know(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.guards = self
            .guards
            .iter()
            .map(|running| running.guard.cgroup.path().to_owned())
            .collect();
        known.owners = self
            .guards
            .iter()
            .flat_map(|running| {
                let sessions = running.guard.world().sessions.borrow();
                let owners: Vec<_> = sessions
                    .iter()
                    .map(|running| (running.session.name.clone(), running.session.uid))
                    .collect();
                owners
            })
            .collect();
    }

    /// Serves the events of one guard.
    fn serve_events(&self, guard: &Rc<Guard>, mut events: Events) -> AbortHandle {
        let (guard, records, hierarchy) = (
            Rc::clone(guard),
            Rc::clone(&self.records),
            self.hierarchy.clone(),
        );
        let mut lost = 0;
        let task = spawn_local(async move {
            loop {
                match events.next().await {
                    Ok(batch) => {
                        for decided in batch {
                            let world = guard.world();
                            world
                                .sessions
                                .borrow_mut()
                                .discover(decided.event.session, &hierarchy);
                            let need = guard.resolver.with_engine(|engine, world| {
                                records.event(world, engine.leases(), &decided);
                                asking::need(world, engine.leases(), &decided)
                            });
                            if let Some(need) = need {
                                // It was denied already: an answer opens the next try.
                                let _asked = world.need(need);
                            }
                        }
                        let total = Self::counter(&guard, Counter::EventLost);
                        if total > lost {
                            records.sink().lose(Layer::Kernel, total - lost);
                            lost = total;
                        }
                        // A guarded process can keep the ring full; names, requests and signals
                        // have their turn after every batch.
                        tokio::task::yield_now().await;
                    }
                    Err(error) => {
                        tracing::error!(%error, "events of the kernel cannot be read: decisions go on, records do not");
                        return;
                    }
                }
            }
        });
        task.abort_handle()
    }

    /// Owns a guard from now on, and waits for the sessions that it came with.
    fn take(&mut self, running: Running) {
        let guard = Rc::clone(&running.guard);
        let at = self
            .guards
            .iter()
            .position(|known| known.guard.cgroup.path() == guard.cgroup.path());
        let index = if let Some(index) = at {
            if let Some(place) = self.guards.get_mut(index) {
                *place = running;
            }
            index
        } else {
            self.guards.push(running);
            self.guards.len() - 1
        };
        let known = guard.world().sessions.borrow().ids();
        for session in known {
            self.watch(index, session);
        }
    }

    /// Waits in the background for a session's end.
    fn watch(&mut self, index: usize, session: u64) {
        let Some(running) = self.guards.get_mut(index) else {
            return;
        };
        let cgroup = running
            .guard
            .world()
            .sessions
            .borrow()
            .by_id(session)
            .map(|running| running.cgroup.clone());
        let Some(cgroup) = cgroup else {
            return;
        };
        let ended = self.ended.clone();
        let guard = running.guard.cgroup.path().to_owned();
        let gate = Arc::clone(&running.guard.gate);
        let task = spawn_local(async move {
            if let Err(error) = watch::emptied(&cgroup).await {
                tracing::warn!(cgroup = cgroup.path(), %error, "the end of a session will not be noticed");
                return;
            }
            // Its rows have what its last flows carried.
            proxied::settled(&gate, session).await;
            // The receiver is gone when the daemon is.
            drop(ended.send(Ended {
                cgroup: guard,
                session,
            }));
        });
        running.tasks.push(task.abort_handle());
    }

    /// A session is over: its leases go, its cgroup goes, and that it ended is recorded.
    fn finish(&mut self, ended: &Ended) {
        let Some(running) = self
            .guards
            .iter_mut()
            .find(|running| running.guard.cgroup.path() == ended.cgroup)
        else {
            return;
        };
        running.tasks.retain(|task| !task.is_finished());
        let gone = running
            .guard
            .world()
            .sessions
            .borrow_mut()
            .end(ended.session);
        let Some(gone) = gone else {
            return;
        };
        if gone.session.observed
            && let Err(error) = running
                .guard
                .world()
                .tables
                .borrow_mut()
                .enforce(ended.session)
        {
            tracing::warn!(session = gone.session.name, %error, "an ended session stays listed as observed until the next start");
        }
        self.calls.forget(&gone.session.name);
        let erased = running
            .guard
            .resolver
            .with_engine(|engine, world| engine.end(world, ended.session));
        if let Err(error) = erased {
            tracing::warn!(session = gone.session.name, %error, "leases of an ended session stay until they expire");
        }
        running.guard.resolver.end_held(ended.session);
        let tables = &running.guard.world().tables;
        if let Err(error) = tables.borrow_mut().forget_unix(ended.session) {
            tracing::warn!(session = gone.session.name, %error, "UNIX sockets of an ended session stay listed until the next reload");
        }
        self.end_openings(ended.session);
        let rows = self.records.end_rows(ended.session, &gone.session.name);
        self.records.life(Kind::SessionEnd, |record| {
            record.guard = Some(ended.cgroup.clone());
            record.session = Some(gone.session.name.clone());
            record.mode = gone.session.observed.then_some(Mode::Observe);
            record.egress = rows;
        });
        self.know();
    }

    /// Reads policies again. A bad one changes nothing and is told of.
    fn reload(&mut self, name: Option<&str>) -> Result<String, Failure> {
        let mut done = Vec::new();
        for index in self.chosen(name)? {
            let Some(running) = self.guards.get(index) else {
                continue;
            };
            let guard = &running.guard;
            let started = boot::now();
            let loaded = policies::load_policy(&guard.policy_path).and_then(|loaded| {
                let Loaded { policy, opener } = loaded;
                if policy.audit() != guard.world().policy().audit() {
                    anyhow::bail!(
                        "{}: section `audit` changed; that takes effect with `systemctl restart egressd`",
                        guard.policy_path.display()
                    );
                }
                let running = guard.world().policy();
                if policy.dns().mode != running.dns().mode
                    || policy.dns().upstreams != running.dns().upstreams
                {
                    anyhow::bail!(
                        "{}: `dns.mode` or `dns.upstreams` changed; that takes effect with `systemctl restart egressd`",
                        guard.policy_path.display()
                    );
                }
                let given = self.grants.given(guard.cgroup.path());
                let policy = policy.with_grants(&given)?;
                guard.install(&policy, opener)?;
                Ok(policy)
            });
            let path = guard.cgroup.path().to_owned();
            match loaded {
                Ok(policy) => {
                    self.record_policy(Kind::PolicyLoaded, &path, &policy);
                    self.settle_answered(guard);
                    let millis = (boot::now() - started) / 1_000_000;
                    done.push(format!("{path}: policy {} in {millis} ms", policy.name()));
                }
                Err(error) => {
                    let message = format!("{error:#}");
                    tracing::error!(
                        cgroup = path,
                        "the new policy was refused and the old one stays: {message}"
                    );
                    self.records.life(Kind::PolicyRefused, |record| {
                        record.guard = Some(path.clone());
                        record.message = Some(message.clone());
                    });
                    return Err(Failure::new(
                        Code::InvalidPolicy,
                        format!("the old policy stays in force: {message}"),
                    )
                    .with_help(format!(
                        "check it with `egressctl policy check {}`",
                        guard.policy_path.display()
                    )));
                }
            }
        }
        Ok(done.join("; "))
    }

    fn record_policy(&self, kind: Kind, cgroup: &str, policy: &Policy) {
        tracing::info!(cgroup, policy = policy.name(), mode = ?policy.mode(), "policy in force");
        self.records.life(kind, |record| {
            record.guard = Some(cgroup.to_owned());
            record.mode = Some(policy.mode().into());
            record.policy = Some(crate::audit::record::Policy {
                name: policy.name().to_owned(),
                digest: policy.digest().to_owned(),
            });
        });
    }
}
