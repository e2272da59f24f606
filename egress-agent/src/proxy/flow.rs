//! One flow to one host: who asks, where it goes, and what is told of it when it ends.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use egress_common::{Client, Reason, RuleId};
use tokio::time::Instant;

use super::{Gate, Told, Traffic, told::Outcome, tunnel::Pipes};

/// What the connections of one thread have in common.
#[derive(Debug)]
pub struct Place {
    pub gate: Arc<Gate>,
    pub pipes: Pipes,
}

/// Why a flow is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub reason: Reason,
    pub rule: RuleId,
    /// For people; the reason alone says it where there is none.
    pub message: Option<String>,
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
    pub begun: Instant,
    pub counts: Counts,
}

impl Place {
    pub fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            pipes: Pipes::default(),
        }
    }
}

impl Denial {
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            rule: RuleId::NONE,
            message: None,
        }
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
        let outcome = Outcome::Denied(denial.reason, denial.rule);
        self.told(outcome, denial.message.clone());
    }

    pub fn told(&self, outcome: Outcome, message: Option<String>) {
        let (up, down) = self.counts.get();
        self.gate().tell(Told {
            session: self.client.session,
            process: self.client.process,
            destination: self.destination,
            host: self.host.clone(),
            outcome,
            observed: self.observes(),
            traffic: Traffic {
                up,
                down,
                duration: self.begun.elapsed(),
            },
            message,
        });
    }

    /// By the policy that runs now; the lease of a flow that has begun may have run out.
    pub fn still_allowed(&self) -> Result<(), Denial> {
        let (Some(host), Some(destination)) = (&self.host, self.destination) else {
            return Ok(());
        };
        if self.observes() {
            return Ok(());
        }
        match self.gate().allowed(host, destination.port()) {
            Ok(_) => Ok(()),
            Err((_, rule)) => Err((Reason::Revoked, rule).into()),
        }
    }
}
