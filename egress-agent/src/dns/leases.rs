//! The table of leases: which names led which session to which addresses, and until when.
//!
//! It is the single truth of one guard; the kernel's lease table is its image. A name *holds* an
//! address; an address stands in the kernel with the port sets of all names that hold it. Nothing
//! here reads a clock or a map: every change marks the addresses whose image it touched,
//! [`Leases::changes`] says what to write, and [`Leases::settle`] that it was written. What was
//! not written stays marked and is written with the next change.
//!
//! A hold stays after its expiry: it admits nothing new, names the flows that it admitted, and
//! vouches for them when a policy changes. It goes when room is needed. Without room for a live
//! one, learning fails and the client gets no answer.

mod recall;
mod session;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use egress_common::{Address, Lease, PortSet, RuleId, limits};

use crate::policy::Name;
pub use recall::Hold;
use session::Session;

/// What a policy grants to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub rules: Arc<[RuleId]>,
    /// [`PortSet::EMPTY`] for a name that is only watched: remembered, never in the kernel.
    pub set: PortSet,
    /// However long an answer is good for: boot time in nanoseconds, [`u64::MAX`] where the policy
    /// sets no end.
    pub until: u64,
}

/// For how long, and for how many addresses of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub ttl_min: Duration,
    pub ttl_max: Duration,
    pub grace: Duration,
    /// Live addresses of one name in one session.
    pub addresses_per_name: usize,
}

impl Terms {
    /// Boot time in nanoseconds at which a lease learnt `now` ends.
    pub fn expiry(&self, ttl: Duration, now: u64) -> u64 {
        let ttl = ttl.min(self.ttl_max).max(self.ttl_min);
        now.saturating_add(nanoseconds(ttl.saturating_add(self.grace)))
    }
}

/// How many holds there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub per_session: usize,
    pub total: usize,
}

impl Default for Bounds {
    /// Two generations stand side by side in the kernel's table during a reload.
    fn default() -> Self {
        Self {
            per_session: 1 << 16,
            total: (limits::LEASES / 2) as usize - 1024,
        }
    }
}

/// Why an address was not learnt. The client must not see it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    #[error(
        "{0} already stands for {n} live port sets; give the rules of these names the same ports",
        n = limits::LEASE_GRANTS
    )]
    TooManyGrants(Address),
    #[error(
        "every lease of the session is live and there is no room for more; wait for some to expire"
    )]
    SessionFull,
    #[error(
        "every lease of the guard is live and there is no room for more; wait for some to expire"
    )]
    Full,
}

/// What to write to the kernel and what to delete from it. Deleting what is not there is no error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub write: Vec<(u64, Address, Lease)>,
    pub remove: Vec<(u64, Address)>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.write.is_empty() && self.remove.is_empty()
    }
}

/// A name that holds an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    pub session: u64,
    pub name: &'a Name,
    pub grant: &'a Grant,
    pub address: Address,
    /// Boot time in nanoseconds.
    pub expires: u64,
    /// When it was learnt last; boot time in nanoseconds.
    pub since: u64,
}

/// All leases of one guard.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    bounds: Bounds,
    sessions: BTreeMap<u64, Session>,
    /// Holds of all sessions.
    held: usize,
    /// Counts the learnings; later is greater.
    learned: u64,
    /// Addresses whose image in the kernel may differ.
    marked: BTreeSet<(u64, Address)>,
}

impl Leases {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// `name` led `session` to `addresses`, for `ttl`. Either all of them are held afterwards or none is held
    /// longer than before. An expiry never moves back. At most `terms.addresses_per_name` addresses
    /// are taken; callers show the client no more.
    pub fn learn(
        &mut self,
        session: u64,
        name: &Name,
        grant: &Grant,
        (addresses, ttl): (&[Address], Duration),
        terms: &Terms,
        now: u64,
    ) -> Result<(), LeaseError> {
        let addresses = addresses
            .get(..terms.addresses_per_name)
            .unwrap_or(addresses);
        let table = self.sessions.entry(session).or_default();
        if let Some(address) = addresses
            .iter()
            .find(|address| !table.has_place(**address, grant.set, now))
        {
            return Err(LeaseError::TooManyGrants(*address));
        }
        self.make_room(session, name, addresses, now)?;
        let table = self.sessions.entry(session).or_default();
        let before = table.len();
        let expires = terms.expiry(ttl, now);
        let touched = table.hold(name, grant, addresses, expires, now, &mut self.learned);
        self.marked
            .extend(touched.into_iter().map(|address| (session, address)));
        let dropped = table.drop_oldest(name, terms.addresses_per_name, now);
        self.marked
            .extend(dropped.into_iter().map(|address| (session, address)));
        self.held = self.held + table.len() - before;
        Ok(())
    }

    /// Whether `session` holds all `addresses` through `name` until at least `until`, and the
    /// kernel knows. They count as learnt again. This is the path of an answer from the cache:
    /// a few look-ups, no change.
    pub fn touch(&mut self, session: u64, name: &str, addresses: &[Address], until: u64) -> bool {
        if !self.marked.is_empty()
            && addresses
                .iter()
                .any(|address| self.marked.contains(&(session, *address)))
        {
            return false;
        }
        self.sessions
            .get_mut(&session)
            .is_some_and(|table| table.touch(name, addresses, until, &mut self.learned))
    }

    /// Takes back what `name` holds of `addresses`: they could not be written.
    pub fn withdraw(&mut self, session: u64, name: &str, addresses: &[Address]) {
        let Some(table) = self.sessions.get_mut(&session) else {
            return;
        };
        let before = table.len();
        table.withdraw(name, addresses);
        self.held = self.held + table.len() - before;
        self.marked
            .extend(addresses.iter().map(|address| (session, *address)));
    }

    /// The session is over.
    pub fn end(&mut self, session: u64) {
        if let Some(table) = self.sessions.remove(&session) {
            self.held -= table.len();
            self.marked
                .extend(table.image().map(|(address, _)| (session, address)));
        }
    }

    /// What the kernel must learn of the changes since it last did.
    pub fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        for (session, address) in &self.marked {
            let lease = self
                .sessions
                .get(session)
                .and_then(|table| table.lease(*address));
            match lease {
                Some(lease) if *lease != Lease::default() => {
                    changes.write.push((*session, *address, *lease));
                }
                _ => changes.remove.push((*session, *address)),
            }
        }
        changes
    }

    /// The kernel has learnt all of [`Leases::changes`].
    pub fn settle(&mut self) {
        self.marked.clear();
    }

    /// Every address as it stands, or should stand, in the kernel.
    pub fn image(&self) -> impl Iterator<Item = (u64, Address, Lease)> {
        self.sessions.iter().flat_map(|(session, table)| {
            table
                .image()
                .filter(|(_, lease)| **lease != Lease::default())
                .map(|(address, lease)| (*session, address, *lease))
        })
    }

    /// The table as it is under another policy: `decide` says what that grants to a session's name,
    /// `None` when nothing. Nothing is marked; all of [`Leases::image`] is to be written for the new
    /// generation before it takes effect. The present table stays as it is.
    #[must_use = "the present table stays as it is"]
    pub fn rejudged(&self, mut decide: impl FnMut(u64, &Name) -> Option<Grant>) -> Self {
        let mut table = self.clone();
        table.marked.clear();
        table.held = 0;
        for (id, session) in &mut table.sessions {
            session.rejudge(&mut |name| decide(*id, name));
            table.held += session.len();
        }
        table
    }

    /// The names that hold the address, the most recently learnt first.
    pub fn names(&self, session: u64, address: Address) -> Vec<Held<'_>> {
        self.sessions
            .get(&session)
            .map(|table| table.names(session, address))
            .unwrap_or_default()
    }

    /// The name that most recently led to the address; what a record calls a flow.
    pub fn name(&self, session: u64, address: Address) -> Option<Held<'_>> {
        self.sessions.get(&session)?.newest(session, address)
    }

    /// Every hold, by session and name.
    pub fn iter(&self) -> impl Iterator<Item = Held<'_>> {
        self.sessions
            .iter()
            .flat_map(|(session, table)| table.iter(*session))
    }

    /// Every hold of one session, by name.
    pub fn of(&self, session: u64) -> impl Iterator<Item = Held<'_>> {
        let table = self.sessions.get(&session).into_iter();
        table.flat_map(move |table| table.iter(session))
    }

    /// Number of holds, expired ones included.
    pub fn len(&self) -> usize {
        self.held
    }

    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Drops expired holds, longest expired first, until the missing ones fit.
    fn make_room(
        &mut self,
        session: u64,
        name: &str,
        addresses: &[Address],
        now: u64,
    ) -> Result<(), LeaseError> {
        loop {
            let Some(table) = self.sessions.get_mut(&session) else {
                return Ok(());
            };
            let missing = table.missing(name, addresses);
            if missing == 0 {
                return Ok(());
            }
            let (victim, full) = if table.len() + missing > self.bounds.per_session {
                (Some(session), LeaseError::SessionFull)
            } else if self.held + missing > self.bounds.total {
                let first = self
                    .sessions
                    .iter()
                    .filter_map(|(session, table)| Some((table.first_expiry()?, *session)));
                (first.min().map(|(_, session)| session), LeaseError::Full)
            } else {
                return Ok(());
            };
            let victim =
                victim.and_then(|session| Some((session, self.sessions.get_mut(&session)?)));
            let (victim, address) = victim
                .and_then(|(session, table)| Some((session, table.drop_expired(now)?)))
                .ok_or(full)?;
            self.held -= 1;
            self.marked.insert((victim, address));
        }
    }
}

/// Whole nanoseconds, as far as boot time goes.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
