//! What the proxy of one guard knows, and whom it asks and tells.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use egress_common::{Client, ClientKey, Flow, Mode, Original, Protocol, Reason, RuleId, Verdict};
use rustix::process::{Resource, getrlimit};
use tokio::sync::{mpsc, oneshot, watch};

use super::{known::Known, open::Opener, told::Told};
use crate::{
    dns::{Addresses, NoAddress},
    kernel::{boot, flows::Flows},
    policy::{Level, Name, Policy},
};

/// Flows of one guard at a time. One holds two sockets and some kilobytes.
const MOST_FLOWS: usize = 16_384;
/// Files that no flow takes: those of the daemon itself, which must be able to reload, to record and
/// to answer while the proxy is full, and pipes of tunnels that move something.
const OTHER_FILES: u64 = 1_024;
/// What may wait for the daemon.
const QUEUE: usize = 4_096;

/// The proxy's view of one guard. Shared between its thread and the daemon's.
#[derive(Debug)]
pub struct Gate {
    flows: Flows,
    policy: watch::Sender<Arc<Policy>>,
    opener: Mutex<Option<Arc<Opener>>>,
    told: mpsc::Sender<Told>,
    questions: mpsc::Sender<Question>,
    known: Mutex<Known>,
    open: AtomicUsize,
    /// Open flows of each session that has some.
    by_session: Mutex<HashMap<u64, usize>>,
    /// How many may be.
    most: usize,
    /// What found the queue full.
    lost: AtomicU64,
}

/// The daemon's ends.
#[derive(Debug)]
pub struct Ends {
    pub told: mpsc::Receiver<Told>,
    pub questions: mpsc::Receiver<Question>,
}

/// Where a session's name leads: the guard resolver answers, and leases what it answers.
#[derive(Debug)]
pub struct Question {
    /// Who asks, as the kernel wrote it down.
    pub client: ClientKey,
    pub name: Name,
    pub answer: oneshot::Sender<Result<Addresses, NoAddress>>,
}

/// One of the flows that may be open at a time.
#[derive(Debug)]
pub struct Seat {
    gate: Arc<Gate>,
    session: u64,
}

/// Where a flow goes, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub name: Name,
    pub rule: RuleId,
    pub level: Level,
}

impl Gate {
    pub fn new(
        flows: Flows,
        policy: Arc<Policy>,
        opener: Option<Arc<Opener>>,
    ) -> (Arc<Self>, Ends) {
        let (told, told_end) = mpsc::channel(QUEUE);
        let (questions, questions_end) = mpsc::channel(QUEUE);
        let gate = Self {
            flows,
            policy: watch::Sender::new(policy),
            opener: Mutex::new(opener),
            told,
            questions,
            known: Mutex::default(),
            open: AtomicUsize::new(0),
            by_session: Mutex::default(),
            most: most_flows(getrlimit(Resource::Nofile).current),
            lost: AtomicU64::new(0),
        };
        let ends = Ends {
            told: told_end,
            questions: questions_end,
        };
        (Arc::new(gate), ends)
    }

    /// The policy of every decision from now on, and what it opens TLS with. Flows that it does not
    /// allow are ended.
    pub fn replace(&self, policy: Arc<Policy>, opener: Option<Arc<Opener>>) {
        let set = |opener| {
            *self.opener.lock().unwrap_or_else(PoisonError::into_inner) = opener;
        };
        // It is there for as long as a policy may ask for it.
        let goes = opener.is_none();
        if !goes {
            set(opener);
        }
        self.policy.send_replace(policy);
        self.known().clear();
        if goes {
            set(None);
        }
    }

    /// What TLS is opened with; `None` where the policy has no rule for it.
    pub fn opener(&self) -> Option<Arc<Opener>> {
        let opener = self.opener.lock().unwrap_or_else(PoisonError::into_inner);
        opener.clone()
    }

    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// The policy as it is for one session.
    pub fn policy_for(&self, session: u64) -> Arc<Policy> {
        self.policy.borrow().for_session(session)
    }

    /// Wakes when the policy is replaced.
    pub fn watch(&self) -> watch::Receiver<Arc<Policy>> {
        self.policy.subscribe()
    }

    /// Whether denials of this session are only recorded.
    pub fn observes(&self, session: u64) -> bool {
        self.policy.borrow().mode() == Mode::Observe || self.flows.observes(session)
    }

    /// Who connected from this address; `None` for a process outside the guard.
    pub fn client(&self, peer: SocketAddr) -> Option<Client> {
        self.flows.client(&client_key(peer))
    }

    pub fn original(&self, cookie: u64) -> Option<Original> {
        self.flows.original(cookie)
    }

    /// Room for one more flow of this session; `None` when there is none.
    pub fn seat(self: &Arc<Self>, session: u64) -> Option<Seat> {
        let taken = self.open.fetch_add(1, Ordering::Relaxed);
        self.count(session, 1);
        let seat = Seat {
            gate: Arc::clone(self),
            session,
        };
        (taken < self.most).then_some(seat)
    }

    /// Flows that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether no flow of this session is open, and the daemon has heard of all that were. What was
    /// told by one that has ended is in the queue before its seat is free.
    pub fn has_told(&self, session: u64) -> bool {
        let by_session = self.by_session.lock();
        let open = by_session.unwrap_or_else(PoisonError::into_inner);
        !open.contains_key(&session) && self.is_heard()
    }

    /// Whether the daemon has heard of all that was told.
    pub fn is_heard(&self) -> bool {
        self.told.capacity() == self.told.max_capacity()
    }

    fn count(&self, session: u64, change: isize) {
        let by_session = self.by_session.lock();
        let mut by_session = by_session.unwrap_or_else(PoisonError::into_inner);
        let open = by_session.entry(session).or_default();
        *open = open.saturating_add_signed(change);
        if *open == 0 {
            by_session.remove(&session);
        }
    }

    /// Decides about a flow to an address for which the client names this host: the policy allows
    /// the name on this port, and the address; and the guard resolver led this session from the name
    /// to the address.
    pub fn judge(
        &self,
        session: u64,
        host: &str,
        destination: SocketAddr,
    ) -> Result<Way, (Reason, RuleId)> {
        let way = self.allowed(session, host, destination.port())?;
        if !self
            .flows
            .leads(session, way.name.as_str(), destination.ip().into())
        {
            return Err((Reason::NameMismatch, way.rule));
        }
        self.led_to(destination)?;
        Ok(way)
    }

    /// Decides about a flow that goes on: as [`Self::judge`], but that what led there may have been
    /// forgotten. `host` may be an address; `is_shut` is TLS that is not opened. How deep the policy
    /// looks into it.
    pub fn judge_again(
        &self,
        session: u64,
        host: &str,
        destination: SocketAddr,
        is_shut: bool,
    ) -> Result<Level, (Reason, RuleId)> {
        if literal(host).is_some() {
            return self.allowed_address(destination).map(|_| Level::Address);
        }
        self.led_to(destination)?;
        let way = self.allowed(session, host, destination.port())?;
        Ok(if is_shut {
            self.level_in_tls(&way)
        } else {
            way.level
        })
    }

    /// What the kernel says of an address that an allowed name led to: a lease opens neither what a
    /// rule denies nor loopback, and the proxy dials from outside the guard.
    pub fn led_to(&self, destination: SocketAddr) -> Result<(), (Reason, RuleId)> {
        match self.allowed_address(destination) {
            // No rule about addresses speaks, and the lease decides (`egress_common::decide`).
            Ok(_) | Err((Reason::NoRule | Reason::PortNotAllowed | Reason::NeedsApproval, _)) => {
                Ok(())
            }
            Err(denied) => Err(denied),
        }
    }

    /// What the policy alone says about this host and port, for one session.
    pub fn allowed(&self, session: u64, host: &str, port: u16) -> Result<Way, (Reason, RuleId)> {
        let name = Name::parse(host).map_err(|_invalid| (Reason::NameDenied, RuleId::NONE))?;
        let policy = self.policy_for(session);
        let rule = policy.decide_host(&name, Protocol::TCP, port)?;
        let level = policy
            .rule(rule)
            .map_or(Level::Name, |rule| rule.levels.at(port));
        Ok(Way { name, rule, level })
    }

    /// How deep a flow is looked into that begins with TLS: that of an exempt host stays shut.
    pub fn level_in_tls(&self, way: &Way) -> Level {
        match way.level {
            Level::Http if self.policy().is_exempt(&way.name) => Level::Name,
            level @ (Level::Address | Level::Name | Level::Http) => level,
        }
    }

    /// What the policy says about an address that no name led to.
    pub fn allowed_address(&self, destination: SocketAddr) -> Result<RuleId, (Reason, RuleId)> {
        let flow = Flow::new(Protocol::TCP, destination.ip().into(), destination.port());
        match self.policy().decide_address(&flow) {
            Verdict::Allow(grant) => Ok(grant.rule),
            Verdict::Deny(reason, rule) => Err((reason, rule)),
        }
    }

    /// Asks the guard resolver, for the session of this client; or remembers what it said, for as
    /// long as that is good and still leads there.
    pub async fn resolve(
        &self,
        session: u64,
        peer: SocketAddr,
        name: Name,
    ) -> Result<Vec<IpAddr>, NoAddress> {
        let leads = |address: &IpAddr| self.flows.leads(session, name.as_str(), (*address).into());
        let known = self.known().get(session, &name, boot::now());
        if let Some(addresses) = known.filter(|known| known.iter().all(leads)) {
            return Ok(addresses);
        }
        let gone = || NoAddress {
            message: "the guard resolver does not answer".to_owned(),
            is_denial: false,
        };
        let (answer, answered) = oneshot::channel();
        let question = Question {
            client: client_key(peer),
            name: name.clone(),
            answer,
        };
        let policy = self.policy();
        if self.questions.send(question).await.is_err() {
            return Err(gone());
        }
        let answer = answered.await.unwrap_or_else(|_| Err(gone()))?;
        let mut known = self.known();
        // Looked at while no policy can clear what is known: one that came while the resolver was
        // asked has not answered.
        if Arc::ptr_eq(&policy, &self.policy()) {
            known.add(session, name, &answer, boot::now());
        }
        Ok(answer.addresses)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what happened. What finds no room is counted.
    pub fn tell(&self, told: Told) {
        if self.told.try_send(told).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What could not be handed over since the last call.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::Relaxed);
        self.gate.count(self.session, -1);
    }
}

/// Flows for which there are files, where this many may be open; `None` for no limit.
fn most_flows(files: Option<u64>) -> usize {
    let fit = files.map_or(usize::MAX, |files| {
        // Under a limit too low for both, half of it is the daemon's.
        let free = files.saturating_sub(OTHER_FILES).max(files / 2);
        usize::try_from(free / 2).unwrap_or(usize::MAX)
    });
    fit.min(MOST_FLOWS)
}

/// The host of a request, where it is an address.
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

fn client_key(peer: SocketAddr) -> ClientKey {
    ClientKey::new(Protocol::TCP, peer.ip().into(), peer.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_leave_files_for_the_daemon() {
        for (files, flows) in [
            (Some(20_000), 9_488),
            (Some(1_024), 256),
            (Some(3_024), 1_000),
            (Some(131_072), MOST_FLOWS),
            (None, MOST_FLOWS),
        ] {
            assert_eq!(most_flows(files), flows, "{files:?}");
        }
    }
}
