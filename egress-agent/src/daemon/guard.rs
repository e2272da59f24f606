//! One guarded cgroup: its policy, its kernel tables, its names and sessions.
//!
//! The policy is compiled once and shared as a whole. What the resolver answers, what stands in
//! the kernel and what `why` says come from the same [`Policy`]; a reload replaces all of it.

use std::{
    cell::{Ref, RefCell, RefMut},
    path::{Path, PathBuf},
    sync::Arc,
};

use aya::maps::{MapData, RingBuf};
use egress_common::{ABI_VERSION, Config, DnsMode, Mode, PortKey, RESOLVER_SLOTS, RuleId};
use rustix::fs::{FlockOperation, flock};

use super::{
    journal,
    sessions::{SessionError, Sessions},
};
use crate::{
    dns::leases::Leases,
    kernel::{
        Cgroup, CgroupError, Hierarchy, KernelError, Programs, Tables,
        pins::Pins,
        programs,
        tables::Generation,
    },
    policy::{NameDecision, Name, Policy, PortSets},
};

/// Why a cgroup cannot be guarded.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(
        "another egressd guards the cgroup `{0}`; stop it with `systemctl stop egressd`, or guard another cgroup"
    )]
    Taken(String),
    #[error("lock the cgroup `{cgroup}`: {source}")]
    Lock {
        cgroup: String,
        source: std::io::Error,
    },
}

/// How a guard came to be, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was there.
    Fresh,
    /// Pinned by an egressd with the same programs: taken over as it ran.
    Adopted,
    /// Pinned by another build: replaced, the new programs attached before the old ones went.
    Replaced { found: Vec<String> },
}

/// One guarded cgroup.
pub struct Guard {
    pub cgroup: Cgroup,
    pub pins: Pins,
    pub policy_path: PathBuf,
    state: RefCell<State>,
    /// Held for as long as the guard is ours.
    _lock: std::fs::File,
}

/// What changes while the guard runs. Never borrowed across an await.
pub struct State {
    pub policy: Arc<Policy>,
    pub sets: PortSets,
    pub tables: Tables,
    pub leases: Leases,
    pub sessions: Sessions,
    /// Journal entries behind the leases, to know what to forget.
    pub journal: journal::Journal,
    /// Why what was asked for is not held in full.
    pub gaps: Vec<String>,
}

/// A guard that is loaded, and enforces nothing yet.
pub struct Prepared {
    cgroup: Cgroup,
    pins: Pins,
    programs: Programs,
    origin: Origin,
    lock: std::fs::File,
}

impl Prepared {
    /// Locks the cgroup and loads the programs, or opens those that are pinned.
    pub fn new(cgroup: Cgroup, pin_dir: &Path) -> Result<Self, GuardError> {
        let lock = lock(&cgroup)?;
        let pins = Pins::new(pin_dir, cgroup.path(), &programs::version());
        pins.prepare().map_err(KernelError::from)?;
        if pins.is_whole() {
            match Programs::adopt(&pins, &cgroup) {
                Ok(programs) => {
                    return Ok(Self {
                        cgroup,
                        pins,
                        programs,
                        origin: Origin::Adopted,
                        lock,
                    });
                }
                Err(error) => {
                    tracing::warn!(cgroup = cgroup.path(), %error, "the pinned programs cannot be taken over and are replaced");
                }
            }
        }
        let found = pins.others().map_err(KernelError::from)?;
        let origin = if found.is_empty() && !pins.is_whole() {
            Origin::Fresh
        } else {
            Origin::Replaced { found }
        };
        let programs = Programs::load(&cgroup)?;
        Ok(Self {
            cgroup,
            pins,
            programs,
            origin,
            lock,
        })
    }

    /// The resolver ports of the guard that was taken over, to be bound again.
    pub fn resolver_ports(&self) -> Option<[u16; RESOLVER_SLOTS]> {
        None
    }

    /// Fills the tables, then attaches. From the return on, the policy is enforced.
    pub fn start(
        mut self,
        policy: Arc<Policy>,
        policy_path: PathBuf,
        resolver_ports: [u16; RESOLVER_SLOTS],
        sessions: &Path,
        hierarchy: &Hierarchy,
    ) -> Result<(Guard, RingBuf<MapData>, Origin), GuardError> {
        let is_new = self.origin != Origin::Adopted;
        let directories = if is_new {
            let (links, maps) = self.pins.begin().map_err(KernelError::from)?;
            self.programs.pin_maps(&maps)?;
            Some(links)
        } else {
            None
        };
        let (tables, events) = Tables::open(&mut self.programs)?;
        let sets = PortSets::starting_at(tables.next_set());
        let mut state = State {
            gaps: gaps(&policy),
            policy: Arc::clone(&policy),
            sets,
            leases: Leases::new(policy.dns()),
            journal: journal::Journal::default(),
            sessions: Sessions::open(self.cgroup.clone(), sessions.to_path_buf(), hierarchy)?,
            tables,
        };
        state.recall()?;
        state.install(policy, resolver_ports)?;
        if let Some(links) = directories {
            self.programs.attach(&self.cgroup, &links)?;
            self.pins.finish().map_err(KernelError::from)?;
        }
        let guard = Guard {
            cgroup: self.cgroup,
            pins: self.pins,
            policy_path,
            state: RefCell::new(state),
            _lock: self.lock,
        };
        Ok((guard, events, self.origin))
    }
}
