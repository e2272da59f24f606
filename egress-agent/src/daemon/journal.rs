//! Which names stand behind the leases, kept beside them in the kernel.
//!
//! Leases outlive the daemon, and so must the knowledge of what they stand for: a restarted daemon
//! re-judges every name under its policy. Expiry is not kept here; the lease itself has it.

use std::collections::{BTreeMap, BTreeSet};

use egress_common::{Address, JournalEntry, JournalKey};
use sha2::{Digest as _, Sha256};

use crate::kernel::{KernelError, Tables};

/// What the journal holds, so that nothing is written twice and nothing stays behind.
#[derive(Debug, Default)]
pub struct Journal {
    names: BTreeMap<(u64, Address), BTreeSet<u64>>,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub session: u64,
    pub address: Address,
    pub name: String,
    /// Boot time in nanoseconds.
    pub learned: u64,
}

impl Journal {
    /// Reads what an earlier daemon wrote.
    pub fn read(tables: &Tables) -> Result<(Self, Vec<Entry>), KernelError> {
        let mut journal = Self::default();
        let mut entries = Vec::new();
        for (key, value) in tables.journal()? {
            journal
                .names
                .entry((key.session, key.address))
                .or_default()
                .insert(key.name_hash);
            let length = usize::try_from(value.length).unwrap_or(usize::MAX);
            let name = value.name.get(..length).map(String::from_utf8_lossy);
            entries.extend(name.map(|name| Entry {
                session: key.session,
                address: key.address,
                name: name.into_owned(),
                learned: value.learned,
            }));
        }
        Ok((journal, entries))
    }

    /// Notes that `name` led `session` to `address`, and says whether that is new. Cheap when it
    /// is noted already.
    pub fn note(
        &mut self,
        tables: &mut Tables,
        session: u64,
        address: Address,
        name: &str,
        now: u64,
    ) -> Result<bool, KernelError> {
        let name_hash = hash(name);
        let known = self.names.entry((session, address)).or_default();
        if known.contains(&name_hash) {
            return Ok(false);
        }
        let mut entry = JournalEntry {
            learned: now,
            expires: 0,
            length: 0,
            reserved: 0,
            name: [0; 256],
        };
        let Some(place) = entry.name.get_mut(..name.len()) else {
            return Ok(true);
        };
        place.copy_from_slice(name.as_bytes());
        entry.length = u32::try_from(name.len()).unwrap_or(0);
        tables.note(
            &JournalKey {
                session,
                address,
                name_hash,
            },
            &entry,
        )?;
        known.insert(name_hash);
        Ok(true)
    }

    /// Forgets every name of an address that a session no longer holds.
    pub fn forget(
        &mut self,
        tables: &mut Tables,
        session: u64,
        address: Address,
    ) -> Result<(), KernelError> {
        for name_hash in self.names.remove(&(session, address)).unwrap_or_default() {
            tables.forget(&JournalKey {
                session,
                address,
                name_hash,
            })?;
        }
        Ok(())
    }
}

fn hash(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    let first = digest.iter().take(8).copied();
    first.fold(0, |hash, byte| hash << 8 | u64::from(byte))
}
