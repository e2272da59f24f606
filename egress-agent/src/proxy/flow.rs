//! One flow to one host: who asks, where it goes, and what is told of it when it ends.

use std::{
    cell::RefCell,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use egress_common::{Client, Reason, RuleId};
use tokio::time::Instant;

use super::{Gate, Told, Traffic, requests::Memory, told::Outcome, tunnel::Pipes};
use crate::{inspect::Finding, policy::Level};

/// What the connections of one thread have in common.
#[derive(Debug)]
pub struct Place {
    pub gate: Arc<Gate>,
    pub pipes: Pipes,
    /// What the requests of the sessions were, as far as the next ones depend on it.
    pub(super) memory: Rc<RefCell<Memory>>,
}

/// Why a flow is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub reason: Reason,
    pub rule: RuleId,
    /// For people; the reason alone says it where there is none.
    pub message: Option<String>,
    pub more: Option<Box<More>>,
}

/// What else is said about a request that is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct More {
    /// What was found in it, and never the thing itself.
    pub findings: Vec<Finding>,
    /// What would allow it, as it would stand in `requests` of the rule.
    pub allow_with: Option<serde_json::Value>,
    /// When it may be tried again.
    pub retry_after: Option<Duration>,
}

/// Bytes that passed in each direction.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<[AtomicU64; 2]>);

/// A flow as far as it is known.
#[derive(Clone, Debug)]
pub struct Flow<'p> {
    pub place: &'p Place,
    pub client: Client,
    pub destination: Option<SocketAddr>,
    /// The host that the client asked for.
    pub host: Option<String>,
    /// How deep it is looked into. One that is passed on unread ends when the policy wants more.
    pub level: Level,
    /// TLS that is not opened.
    pub is_shut: bool,
    pub begun: Instant,
    pub counts: Counts,
}

/// What is told of a flow is told by one of these.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    gate: Arc<Gate>,
    client: Client,
    destination: Option<SocketAddr>,
    host: Option<String>,
    begun: Instant,
    counts: Counts,
}

impl Witness {
    pub(super) fn denied(&self, denial: &Denial) {
        let outcome = Outcome::Denied(denial.reason, denial.rule);
        let more = denial.more.as_deref().cloned().unwrap_or_default();
        self.tell(outcome, denial.message.clone(), more);
    }

    /// Something that is allowed, and worth a record.
    pub(super) fn noted(&self, rule: RuleId, message: String, findings: Vec<Finding>) {
        let more = More {
            findings,
            ..More::default()
        };
        self.tell(Outcome::Noted(rule), Some(message), more);
    }

    fn tell(&self, outcome: Outcome, message: Option<String>, more: More) {
        let (up, down) = self.counts.get();
        self.gate.tell(Told {
            session: self.client.session,
            process: self.client.process,
            destination: self.destination,
            host: self.host.clone(),
            outcome,
            observed: self.gate.observes(self.client.session),
            traffic: Traffic {
                up,
                down,
                duration: self.begun.elapsed(),
            },
            message,
            findings: more.findings,
            allow_with: more.allow_with,
        });
    }
}

impl Place {
    pub fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            pipes: Pipes::default(),
            memory: Rc::default(),
        }
    }
}

impl Denial {
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            rule: RuleId::NONE,
            message: None,
            more: None,
        }
    }

    /// By a rule, with what a person should know.
    pub fn by(reason: Reason, rule: RuleId, message: impl Into<String>) -> Self {
        Self {
            rule,
            ..Self::with(reason, message)
        }
    }

    /// The same, with what was found.
    #[must_use]
    pub fn finding(mut self, findings: Vec<Finding>) -> Self {
        self.more.get_or_insert_default().findings = findings;
        self
    }

    /// The same, with the entry of `requests` that would allow it.
    #[must_use]
    pub fn allowed_with(mut self, entry: Option<serde_json::Value>) -> Self {
        self.more.get_or_insert_default().allow_with = entry;
        self
    }

    /// The same, with the time after which it may be tried again.
    #[must_use]
    pub fn again_after(mut self, wait: Option<Duration>) -> Self {
        self.more.get_or_insert_default().retry_after = wait;
        self
    }

    pub fn with(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..Self::new(reason)
        }
    }

    /// The same, with what a person should know.
    #[must_use]
    pub fn saying(self, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..self
        }
    }

    /// The address could not be reached, or did not stay.
    pub fn dial(destination: SocketAddr, error: &std::io::Error) -> Self {
        let message = format!("{destination} cannot be reached: {error}");
        Self::with(Reason::DialFailed, message)
    }
}

impl From<(Reason, RuleId)> for Denial {
    fn from((reason, rule): (Reason, RuleId)) -> Self {
        Self {
            rule,
            ..Self::new(reason)
        }
    }
}

impl Counts {
    pub fn add_up(&self, bytes: usize) {
        self.add(0, bytes);
    }

    pub fn add_down(&self, bytes: usize) {
        self.add(1, bytes);
    }

    /// Bytes to the host, and from it.
    pub fn get(&self) -> (u64, u64) {
        let [up, down] = &*self.0;
        (up.load(Ordering::Relaxed), down.load(Ordering::Relaxed))
    }

    fn add(&self, direction: usize, bytes: usize) {
        if let Some(count) = self.0.get(direction) {
            count.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

impl<'p> Flow<'p> {
    pub fn new(place: &'p Place, client: Client, destination: Option<SocketAddr>) -> Self {
        Self {
            place,
            client,
            destination,
            host: None,
            level: Level::Http,
            is_shut: false,
            begun: Instant::now(),
            counts: Counts::default(),
        }
    }

    pub fn gate(&self) -> &'p Arc<Gate> {
        &self.place.gate
    }

    /// Whether a denial is only recorded.
    pub fn observes(&self) -> bool {
        self.gate().observes(self.client.session)
    }

    pub fn denied(&self, denial: &Denial) {
        self.witness().denied(denial);
    }

    pub fn told(&self, outcome: Outcome, message: Option<String>) {
        self.tell(outcome, message, More::default());
    }

    fn tell(&self, outcome: Outcome, message: Option<String>, more: More) {
        self.witness().tell(outcome, message, more);
    }

    /// Whoever outlives the flow's place and still has something to tell of it.
    pub(super) fn witness(&self) -> Witness {
        Witness {
            gate: Arc::clone(self.gate()),
            client: self.client,
            destination: self.destination,
            host: self.host.clone(),
            begun: self.begun,
            counts: self.counts.clone(),
        }
    }

    /// Does this for as long as the policy allows the flow. One that was judged and has begun since
    /// is judged again first: the policy may have been replaced in between.
    pub async fn while_allowed<T>(&self, work: impl Future<Output = T>) -> Result<T, Denial> {
        let mut policies = self.gate().watch();
        policies.mark_unchanged();
        self.still_allowed()?;
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                changed = policies.changed() => {
                    if changed.is_err() {
                        return Err(Denial::new(Reason::NotConfigured));
                    }
                    self.still_allowed()?;
                }
            }
        }
    }

    /// By the policy that runs now; the lease of a flow that has begun may have run out.
    pub fn still_allowed(&self) -> Result<(), Denial> {
        let (Some(host), Some(destination)) = (&self.host, self.destination) else {
            return Ok(());
        };
        if self.observes() {
            return Ok(());
        }
        let session = self.client.session;
        let judged = self
            .gate()
            .judge_again(session, host, destination, self.is_shut);
        match judged {
            Ok(level) if level > self.level => {
                let message = "the policy has changed, and looks deeper into this host";
                Err(Denial::with(Reason::Revoked, message))
            }
            Ok(_) => Ok(()),
            Err((_, rule)) => Err((Reason::Revoked, rule).into()),
        }
    }
}
