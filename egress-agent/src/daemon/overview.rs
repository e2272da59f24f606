//! Making an overview, and keeping the list of open sockets that all watchers share.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, oneshot},
    task::{spawn_blocking, spawn_local},
    time::Instant,
};

use super::{Daemon, answers, door::Answer, guard::Guard, records};
use crate::{
    audit::record::{Egress, Record, Verdict},
    control::{
        message::{Failure, Reply},
        overview::{Flow, HeldLease, Overview, SessionHosts, Through},
        server::Response,
    },
    dns::leases::Held,
    kernel::{
        boot,
        live::{self, Listing, Open},
    },
};

/// Flows that are listed.
const FLOWS: usize = 2_000;
/// Leases that are listed.
const LEASES: usize = 1_000;
/// Denials that are listed.
const DENIALS: usize = 256;
/// Hosts of one session that are listed, and of all.
const HOSTS_OF_SESSION: usize = 64;
const HOSTS: usize = 1_024;
/// Cgroups below one session that are looked at. A session makes none unless it is given some.
const CGROUPS: usize = 1_024;
/// The list of sockets is made no more often than this, however many ask.
const FRESH: Duration = Duration::from_millis(500);

/// The list of open sockets of all sessions, by the cgroup id of each.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    last: Mutex<Option<(Instant, Rc<Listed>)>>,
    /// Whether the last list failed: the log says it once.
    has_failed: Cell<bool>,
}

/// What was found, or why nothing was.
type Listed = Result<Listing, String>;

impl Sockets {
    /// One list serves everybody who asks within half a second.
    async fn listed(&self, sessions: Vec<(u64, PathBuf)>) -> Rc<Listed> {
        let mut last = self.last.lock().await;
        if let Some((made, listed)) = &*last
            && made.elapsed() < FRESH
        {
            return Rc::clone(listed);
        }
        let listed = spawn_blocking(move || live::list(&cgroups(&sessions)))
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| format!("the kernel's list of sockets cannot be read: {error}"));
        let failed = listed.as_ref().err();
        if let Some(error) = failed
            && !self.has_failed.get()
        {
            tracing::warn!("flows are not shown: {error}");
        }
        self.has_failed.set(failed.is_some());
        let listed = Rc::new(listed);
        *last = Some((Instant::now(), Rc::clone(&listed)));
        listed
    }
}

impl Daemon {
    /// Everything at a glance, or what concerns one session.
    pub(super) fn overview(&self, session: Option<&str>) -> Result<Answer, Failure> {
        let mut overview = self.without_flows(session)?;
        let guards: Vec<Rc<Guard>> = self
            .guards
            .iter()
            .map(|running| Rc::clone(&running.guard))
            .collect();
        let (sockets, only) = (Rc::clone(&self.sockets), session.map(str::to_owned));
        let (answer, answered) = oneshot::channel();
        spawn_local(async move {
            let sessions = guards.iter().flat_map(|guard| directories(guard)).collect();
            let listed = sockets.listed(sessions).await;
            add_flows(&mut overview, &guards, &listed, only.as_deref());
            // The client may have left.
            drop(answer.send(Response::One(Reply::Overview(Box::new(overview)))));
        });
        Ok(Answer::Later(answered))
    }

    fn without_flows(&self, session: Option<&str>) -> Result<Overview, Failure> {
        let status = answers::status(self, session)?;
        let sink = self.records.sink();
        let health = sink.health();
        let latest = sink.latest(session, DENIALS);
        let (leases, leases_total) = self.held_leases(session);
        let copied = |records: Vec<Arc<Record>>| -> Vec<Record> {
            records.iter().map(|record| (**record).clone()).collect()
        };
        let names = status.sessions.iter().map(|one| one.id.as_str());
        let hosts = self.hosts(names);
        Ok(Overview {
            time: records::now(),
            flows: Vec::new(),
            flows_total: 0,
            flows_missing: None,
            leases,
            leases_total,
            denials: copied(latest.denials),
            denials_total: latest.denials_total,
            questions: copied(latest.questions),
            questions_total: latest.questions_total,
            events: health.written + health.lost.values().sum::<u64>(),
            hosts,
            status,
        })
    }

    /// The live leases that were learnt last, and how many there are.
    fn held_leases(&self, only: Option<&str>) -> (Vec<HeldLease>, u64) {
        let now = boot::now();
        let mut newest = Vec::new();
        let mut total = 0;
        for running in &self.guards {
            let guard = &running.guard;
            let sessions = guard.world().sessions.borrow();
            let wanted = only.map(|name| sessions.by_name(name).map(|one| one.cgroup.id()));
            guard.resolver.with_engine(|engine, _| {
                let live = engine.leases().iter().filter(|held| {
                    held.expires > now && wanted.is_none_or(|wanted| wanted == Some(held.session))
                });
                let mut live: Vec<Held<'_>> = live.collect();
                total += live.len() as u64;
                live.sort_unstable_by_key(|held| std::cmp::Reverse(held.since));
                live.truncate(LEASES);
                newest.extend(live.into_iter().map(|held| {
                    let lease = HeldLease {
                        session: sessions.name_of(held.session),
                        name: held.name.to_string(),
                        address: IpAddr::from(held.address),
                        expires_in_ms: (held.expires - now) / 1_000_000,
                        age_ms: now.saturating_sub(held.since) / 1_000_000,
                    };
                    (held.since, lease)
                }));
            });
        }
        newest.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
        newest.truncate(LEASES);
        (newest.into_iter().map(|(_, lease)| lease).collect(), total)
    }

    fn hosts<'n>(&self, sessions: impl Iterator<Item = &'n str>) -> Vec<SessionHosts> {
        let mut room = HOSTS;
        let mut all = Vec::new();
        for name in sessions {
            let id = self.guards.iter().find_map(|running| {
                let sessions = running.guard.world().sessions.borrow();
                sessions.by_name(name).map(|one| one.cgroup.id())
            });
            let mut hosts = id.map_or_else(Vec::new, |id| self.records.running_rows(id));
            let hosts_total = hosts.len() as u64;
            hosts.sort_by_key(importance);
            hosts.truncate(HOSTS_OF_SESSION.min(room));
            room -= hosts.len();
            all.push(SessionHosts {
                session: name.to_owned(),
                hosts,
                hosts_total,
            });
        }
        all
    }
}

fn importance(row: &Egress) -> (bool, std::cmp::Reverse<u64>) {
    (
        row.verdict != Verdict::Deny,
        std::cmp::Reverse(row.connections),
    )
}

/// The sessions of a guard, and where their cgroups are.
fn directories(guard: &Guard) -> Vec<(u64, PathBuf)> {
    let sessions = guard.world().sessions.borrow();
    sessions
        .iter()
        .map(|one| (one.cgroup.id(), one.cgroup.directory().to_owned()))
        .collect()
}

/// Every cgroup of the sessions, with the id of the session that it belongs to.
fn cgroups(sessions: &[(u64, PathBuf)]) -> BTreeMap<u64, u64> {
    let mut all = BTreeMap::new();
    for (session, directory) in sessions {
        all.insert(*session, *session);
        let mut left = CGROUPS;
        below(directory, *session, &mut left, &mut all);
    }
    all
}

fn below(directory: &Path, session: u64, left: &mut usize, all: &mut BTreeMap<u64, u64>) {
    // A session that has ended has no directory.
    let Ok(listing) = fs::read_dir(directory) else {
        return;
    };
    for entry in listing.flatten() {
        let is_cgroup = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if !is_cgroup {
            continue;
        }
        if *left == 0 {
            return;
        }
        *left -= 1;
        // The inode number of a cgroup directory is its id.
        all.insert(metadata.ino(), session);
        below(&entry.path(), session, left, all);
    }
}

/// The sockets of one session, each with the id of the session.
type Found<'l> = (&'l Rc<Guard>, Vec<(u64, &'l Open)>);

fn add_flows(overview: &mut Overview, guards: &[Rc<Guard>], listed: &Listed, only: Option<&str>) {
    let listing = match listed {
        Ok(listing) => listing,
        Err(error) => {
            overview.flows_missing = Some(error.clone());
            return;
        }
    };
    overview.flows_missing = listing
        .is_cut
        .then(|| "the kernel has more sockets than could be listed in time".to_owned());
    let mut of_session: BTreeMap<String, Found<'_>> = BTreeMap::new();
    for guard in guards {
        let sessions = guard.world().sessions.borrow();
        for one in sessions.iter() {
            let (name, id) = (&one.session.name, one.cgroup.id());
            if only.is_some_and(|only| only != name) {
                continue;
            }
            overview.flows_total += listing.totals.get(&id).copied().unwrap_or(0);
            of_session.insert(name.clone(), (guard, Vec::new()));
        }
        for (id, open) in &listing.open {
            let name = sessions.by_id(*id).map(|one| &one.session.name);
            if let Some((_, list)) = name.and_then(|name| of_session.get_mut(name)) {
                list.push((*id, open));
            }
        }
    }
    let counts: Vec<usize> = of_session.values().map(|(_, list)| list.len()).collect();
    let share = share(&counts, FLOWS);
    for (name, (guard, list)) in of_session {
        let listed = list.into_iter().take(share);
        overview
            .flows
            .extend(listed.map(|(id, open)| flow(&name, id, guard, open)));
    }
}

/// How many of each may be listed, so that they are `most` together at most and nobody who has few
/// loses any to somebody who has many.
fn share(counts: &[usize], most: usize) -> usize {
    let mut counts = counts.to_vec();
    counts.sort_unstable();
    let mut left = most;
    for (index, count) in counts.iter().enumerate() {
        let each = left / (counts.len() - index);
        if *count > each {
            return each;
        }
        left -= count;
    }
    most
}

fn flow(session: &str, id: u64, guard: &Guard, open: &Open) -> Flow {
    let Open {
        protocol,
        local,
        remote,
        state,
        cookie,
        sent,
        received,
    } = open;
    let through = through(guard, protocol, *remote);
    // Only for these did the kernel keep where they wanted to go.
    let original = through.and_then(|_| guard.gate.original(*cookie));
    let remote = original.map_or(*remote, |original| {
        SocketAddr::new(IpAddr::from(original.destination), original.port)
    });
    let name = guard.resolver.with_engine(|engine, _| {
        let held = engine.leases().name(id, remote.ip().into());
        held.map(|held| held.name.to_string())
    });
    Flow {
        session: session.to_owned(),
        protocol: (*protocol).to_owned(),
        local: *local,
        remote,
        name,
        through,
        state: (*state).to_owned(),
        sent: *sent,
        received: *received,
        pid: original.map(|original| original.process.pid),
    }
}

fn through(guard: &Guard, protocol: &str, remote: SocketAddr) -> Option<Through> {
    if !remote.ip().is_loopback() {
        return None;
    }
    if protocol == "tcp" && guard.is_proxy_port(remote.port()) {
        return Some(Through::Proxy);
    }
    guard
        .is_resolver_port(remote.port())
        .then_some(Through::Resolver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_loses_what_others_have_too_much_of() {
        assert_eq!(share(&[], 10), 10);
        assert_eq!(share(&[3, 7], 10), 10);
        assert_eq!(share(&[1_000_000], 10), 10);
        assert_eq!(share(&[2, 1_000_000], 10), 8);
        assert_eq!(share(&[900, 2, 900], 10), 4);
        assert_eq!(share(&[1; 20], 10), 0);
    }

    #[test]
    fn cgroups_below_a_session_are_found_up_to_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let session = dir.path().join("s");
        fs::create_dir_all(session.join("a/b")).unwrap();
        fs::write(session.join("cgroup.procs"), "").unwrap();
        let found = cgroups(&[(5, session.clone()), (6, dir.path().join("gone"))]);
        let inner = fs::metadata(session.join("a/b")).unwrap().ino();
        assert_eq!(found.get(&inner), Some(&5));
        assert_eq!(found.len(), 4);
        let mut all = BTreeMap::new();
        below(&session, 5, &mut 1, &mut all);
        assert_eq!(all.len(), 1);
    }
}
