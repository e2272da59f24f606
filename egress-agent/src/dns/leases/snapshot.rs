//! What a restarted daemon keeps of its leases.
//!
//! Expiries are boot time and sessions are cgroup ids, so a snapshot says in which boot it was
//! taken and means nothing in another one. Rules are left out: the running policy judges every
//! name anew.

use serde::{Deserialize, Serialize};

use super::{Bounds, Grant, Leases, Name};
use egress_common::Address;

/// All holds of one guard, to be serialised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// `/proc/sys/kernel/random/boot_id`.
    boot: String,
    /// In the order in which they were learnt.
    holds: Vec<Saved>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    session: u64,
    name: Name,
    address: std::net::IpAddr,
    expires: u64,
}

impl Leases {
    pub fn save(&self, boot: &str) -> Snapshot {
        Snapshot {
            boot: boot.to_owned(),
            holds: self
                .iter()
                .map(|held| Saved {
                    session: held.session,
                    name: held.name.clone(),
                    address: held.address.into(),
                    expires: held.expires,
                })
                .collect(),
        }
    }

    /// What of a snapshot the running policy still grants: `decide` as for [`Leases::rejudged`].
    /// `is_alive` says whether a session still exists. An expiry beyond `latest` is cut to it, so
    /// that a damaged file opens nothing for longer than an answer could. Every address is marked.
    pub fn restore(
        bounds: Bounds,
        snapshot: &Snapshot,
        boot: &str,
        latest: u64,
        mut decide: impl FnMut(&Name) -> Option<Grant>,
        mut is_alive: impl FnMut(u64) -> bool,
    ) -> Self {
        let mut leases = Self::new(bounds);
        if snapshot.boot != boot {
            return leases;
        }
        for Saved {
            session,
            name,
            address,
            expires,
        } in &snapshot.holds
        {
            if leases.held >= bounds.total || !is_alive(*session) {
                continue;
            }
            let Some(grant) = decide(name) else {
                continue;
            };
            let address = Address::from(*address);
            let table = leases.sessions.entry(*session).or_default();
            let before = table.len();
            if before >= bounds.per_session {
                continue;
            }
            table.hold(
                name,
                &grant,
                &[address],
                (*expires).min(latest),
                &mut leases.learned,
            );
            leases.held = leases.held + table.len() - before;
            leases.marked.insert((*session, address));
        }
        leases
    }
}
