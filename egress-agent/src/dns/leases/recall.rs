//! What a restarted daemon still knows of its leases.

use std::sync::Arc;

use egress_common::{Address, PortSet};

use super::{Bounds, Grant, Leases, Name};

/// One name that led one session to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub session: u64,
    pub name: Name,
    pub address: Address,
    /// Boot time in nanoseconds.
    pub expires: u64,
    /// Boot time in nanoseconds.
    pub since: u64,
}

impl Leases {
    /// The table of an earlier daemon, without grants: no name is allowed anything until
    /// [`Leases::rejudged`] has asked the running policy. What is beyond the bounds is dropped.
    pub fn recall(bounds: Bounds, holds: impl IntoIterator<Item = Hold>) -> Self {
        let nothing = Grant {
            rules: Arc::from([]),
            set: PortSet::EMPTY,
            until: u64::MAX,
        };
        let mut leases = Self::new(bounds);
        for hold in holds {
            let table = leases.sessions.entry(hold.session).or_default();
            let before = table.len();
            if leases.held >= bounds.total || before >= bounds.per_session {
                continue;
            }
            table.hold(
                &hold.name,
                &nothing,
                &[hold.address],
                hold.expires,
                hold.since,
                &mut leases.learned,
            );
            leases.held = leases.held + table.len() - before;
        }
        leases
    }
}
