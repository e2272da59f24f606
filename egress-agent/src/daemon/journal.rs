//! Which names stand behind the leases, kept beside them in the kernel.
//!
//! Leases outlive the daemon, and so must the knowledge of what they stand for: a restarted daemon
//! re-judges every name under its policy. Expiry is not kept here; the lease itself has it.

use std::collections::{BTreeMap, BTreeSet};

use egress_common::{Address, JournalEntry, JournalKey};

use crate::kernel::{KernelError, Tables, flows::name_hash};

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
            entries.extend(Entry::read(&key, &value));
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
        let name_hash = name_hash(name);
        let known = self.names.entry((session, address)).or_default();
        if known.contains(&name_hash) {
            return Ok(false);
        }
        let Some(entry) = line(name, now) else {
            return Ok(true);
        };
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

impl Entry {
    /// `None` for a length that no name has: the table is what another program left.
    pub(super) fn read(key: &JournalKey, value: &JournalEntry) -> Option<Self> {
        let length = usize::try_from(value.length).ok()?;
        let name = value.name.get(..length)?;
        Some(Self {
            session: key.session,
            address: key.address,
            name: String::from_utf8_lossy(name).into_owned(),
            learned: value.learned,
        })
    }
}

/// `name` as the journal holds it; `None` when it is too long to be one.
pub(super) fn line(name: &str, now: u64) -> Option<JournalEntry> {
    let mut entry = JournalEntry {
        learned: now,
        expires: 0,
        length: u32::try_from(name.len()).ok()?,
        reserved: 0,
        name: [0; 256],
    };
    entry
        .name
        .get_mut(..name.len())?
        .copy_from_slice(name.as_bytes());
    Some(entry)
}
