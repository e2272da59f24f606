//! What the proxy reads of the kernel's tables: who speaks, where it wanted to go, and which names
//! led there. Its own descriptors, so that another thread may hold it.

use aya::maps::{HashMap, MapData};
use egress_common::{Address, Client, ClientKey, JournalEntry, JournalKey, Original};
use sha2::{Digest as _, Sha256};

/// First 64 bits of a name's SHA-256: how a name stands in the key of the journal.
pub fn name_hash(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest
        .first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

/// Look-ups only; nothing here changes a table.
#[derive(Debug)]
pub struct Flows {
    clients: HashMap<MapData, ClientKey, Client>,
    originals: HashMap<MapData, u64, Original>,
    journal: HashMap<MapData, JournalKey, JournalEntry>,
    observed: HashMap<MapData, u64, u32>,
}

impl Flows {
    pub(super) fn new(
        clients: HashMap<MapData, ClientKey, Client>,
        originals: HashMap<MapData, u64, Original>,
        journal: HashMap<MapData, JournalKey, JournalEntry>,
        observed: HashMap<MapData, u64, u32>,
    ) -> Self {
        Self {
            clients,
            originals,
            journal,
            observed,
        }
    }

    /// Who connected to the proxy from this address and port; `None` for a process outside the
    /// guard.
    pub fn client(&self, key: &ClientKey) -> Option<Client> {
        self.clients.get(key, 0).ok()
    }

    /// Where the socket with this cookie wanted to go when the kernel led it here.
    pub fn original(&self, cookie: u64) -> Option<Original> {
        self.originals.get(&cookie, 0).ok()
    }

    /// Whether denials of this session are only recorded, whatever the policy says.
    pub fn observes(&self, session: u64) -> bool {
        self.observed.get(&session, 0).is_ok()
    }

    /// Whether the guard resolver told this session that the name leads to the address, and the
    /// address is still kept for it. The name is in lower-case A-labels, without a final dot.
    pub fn leads(&self, session: u64, name: &str, address: Address) -> bool {
        let key = JournalKey {
            session,
            address,
            name_hash: name_hash(name),
        };
        let Ok(entry) = self.journal.get(&key, 0) else {
            return false;
        };
        let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
        entry.name.get(..length) == Some(name.as_bytes())
    }
}
