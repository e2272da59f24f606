//! The kernel tables of one guard: installing a policy generation, leases, look-ups, counters.
//!
//! A policy is installed as a whole new generation beside the running one; one 4-byte store then
//! makes it the running one. Every table key carries the generation, so at no instant does a
//! decision mix the two.

use std::{collections::BTreeSet, os::fd::AsFd as _};

use aya::maps::{
    Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, RingBuf, lpm_trie::Key,
};
use egress_common::{
    Address, Client, ClientKey, Config, Counter, JournalEntry, JournalKey, Lease, LeaseKey,
    Network, NetworkKey, PortKey, RuleId, UnixKey,
};

use super::{
    flows::Flows,
    programs::{KernelError, Programs},
};

/// Everything that a new generation consists of. The generation number in `config` is filled in.
#[derive(Debug)]
pub struct Generation<'a> {
    pub config: Config,
    /// Address, prefix bits of the 128, value.
    pub networks: &'a [(Address, u8, Network)],
    /// Key, trie prefix bits, rule.
    pub ports: &'a [(PortKey, u32, RuleId)],
    /// Session, address, value.
    pub leases: &'a [(u64, Address, Lease)],
    /// UNIX sockets outside that may be talked to, as they are bound: session (0 for every one),
    /// name.
    pub unix_paths: &'a [(u64, Vec<u8>)],
}

/// Open tables.
pub struct Tables {
    config: Array<MapData, Config>,
    generation: Array<MapData, u32>,
    networks: LpmTrie<MapData, NetworkKey, Network>,
    ports: LpmTrie<MapData, PortKey, u32>,
    leases: HashMap<MapData, LeaseKey, Lease>,
    unix_paths: HashMap<MapData, UnixKey, u32>,
    observed: HashMap<MapData, u64, u32>,
    journal: HashMap<MapData, JournalKey, JournalEntry>,
    clients: HashMap<MapData, ClientKey, Client>,
    counters: PerCpuArray<MapData, u64>,
    running: u32,
    /// Highest port set number that stands in the kernel.
    highest_set: u32,
    /// No entry is of another generation than the running one.
    is_swept: bool,
}

/// Slots of the settings map, `CONFIG_SLOTS` in egress-ebpf.
const CONFIG_SLOTS: u32 = 4;

fn named(name: &'static str) -> impl FnOnce(MapError) -> KernelError {
    move |source| KernelError::Map { name, source }
}

impl Tables {
    /// Opens the tables and the event ring of loaded or adopted programs.
    pub fn open(programs: &mut Programs) -> Result<(Self, RingBuf<MapData>, Flows), KernelError> {
        fn take<T: TryFrom<Map, Error = MapError>>(
            programs: &mut Programs,
            name: &'static str,
        ) -> Result<T, KernelError> {
            T::try_from(programs.take_map(name)?).map_err(named(name))
        }
        fn twice<T: TryFrom<Map, Error = MapError>>(
            programs: &mut Programs,
            name: &'static str,
        ) -> Result<(T, T), KernelError> {
            let map = programs.take_map(name)?;
            let again = again(&map).map_err(named(name))?;
            let both = T::try_from(map).and_then(|one| Ok((one, T::try_from(again)?)));
            both.map_err(named(name))
        }
        let events = take(programs, "EVENTS")?;
        let (clients, clients_again) = twice(programs, "CLIENTS")?;
        let (journal, journal_again) = twice(programs, "JOURNAL")?;
        let (observed, observed_again) = twice(programs, "OBSERVED")?;
        let flows = Flows::new(
            clients_again,
            take(programs, "ORIGINALS")?,
            journal_again,
            observed_again,
        );
        let mut tables = Self {
            config: take(programs, "CONFIG")?,
            generation: take(programs, "GENERATION")?,
            networks: take(programs, "NETWORKS")?,
            ports: take(programs, "PORTS")?,
            leases: take(programs, "LEASES")?,
            unix_paths: take(programs, "UNIX_PATHS")?,
            observed,
            journal,
            clients,
            counters: take(programs, "COUNTERS")?,
            running: 0,
            highest_set: 0,
            is_swept: false,
        };
        tables.running = tables.generation.get(&0, 0).map_err(named("GENERATION"))?;
        for key in tables.ports.keys() {
            let key = key.map_err(named("PORTS"))?.data();
            tables.highest_set = tables.highest_set.max(key.set());
        }
        Ok((tables, events, flows))
    }

    /// The generation that decides now; 0 before the first.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// The settings that decide now.
    pub fn config(&self) -> Result<Config, KernelError> {
        self.config
            .get(&(self.running % CONFIG_SLOTS), 0)
            .map_err(named("CONFIG"))
    }

    /// A port set number that is above every number in use.
    pub fn next_set(&self) -> u32 {
        self.highest_set.saturating_add(1)
    }

    /// Installs a generation and makes it the running one. On any error the running one stays,
    /// and what was written of the new one is taken away again.
    pub fn install(&mut self, generation: &Generation<'_>) -> Result<(), KernelError> {
        let number = match self.running.wrapping_add(1) {
            0 => 1,
            next => next,
        };
        let is_first = self.running == 0;
        // A daemon that was killed while it wrote has left entries of this very number.
        if !self.is_swept {
            self.sweep(self.running)?;
        }
        self.is_swept = false;
        let written = self.write(generation, number);
        if let Err(error) = written {
            self.sweep(self.running)?;
            return Err(error);
        }
        self.generation
            .set(0, number, 0)
            .map_err(named("GENERATION"))?;
        self.running = number;
        if is_first {
            // Nothing is older, and looking at every entry takes longer than writing it.
            self.is_swept = true;
            return Ok(());
        }
        // The new generation decides already: leftovers of the old one are no reason to say that
        // it was refused. The next install sweeps again before it writes.
        if let Err(error) = self.sweep(number) {
            tracing::warn!(%error, "entries of the previous policy stay in the kernel for now, unused");
        }
        Ok(())
    }

    fn write(&mut self, generation: &Generation<'_>, number: u32) -> Result<(), KernelError> {
        let Generation {
            config,
            networks,
            ports,
            leases,
            unix_paths,
        } = generation;
        self.install_ports(ports)?;
        for (address, bits, network) in *networks {
            let key = Key::new(
                NetworkKey::prefix_bits(*bits),
                NetworkKey::new(number, *address),
            );
            self.networks
                .insert(&key, network, 0)
                .map_err(named("NETWORKS"))?;
        }
        for (session, address, lease) in *leases {
            self.leases
                .insert(LeaseKey::new(number, *session, *address), lease, 0)
                .map_err(named("LEASES"))?;
        }
        self.write_unix(number, unix_paths)?;
        let config = Config {
            generation: number,
            ..*config
        };
        self.config
            .set(number % CONFIG_SLOTS, config, 0)
            .map_err(named("CONFIG"))
    }

    fn write_unix(&mut self, number: u32, paths: &[(u64, Vec<u8>)]) -> Result<(), KernelError> {
        for (session, name) in paths {
            let Some(key) = UnixKey::new(number, *session, name) else {
                tracing::warn!(
                    name = %name.escape_ascii(),
                    "no UNIX socket can have this name: it is left out"
                );
                continue;
            };
            self.unix_paths
                .insert(key, 1, 0)
                .map_err(named("UNIX_PATHS"))?;
        }
        Ok(())
    }

    /// Lets a session talk to more UNIX sockets, under the running generation.
    pub fn allow_unix(&mut self, paths: &[(u64, Vec<u8>)]) -> Result<(), KernelError> {
        self.write_unix(self.running, paths)
    }

    /// Takes away what only one session may talk to.
    pub fn forget_unix(&mut self, session: u64) -> Result<(), KernelError> {
        self.remove_unix(|key| key.session == session)
    }

    fn remove_unix(&mut self, is_stale: impl Fn(&UnixKey) -> bool) -> Result<(), KernelError> {
        let keys: Vec<UnixKey> = self
            .unix_paths
            .keys()
            .collect::<Result<_, _>>()
            .map_err(named("UNIX_PATHS"))?;
        for key in keys.iter().filter(|key| is_stale(key)) {
            gone(self.unix_paths.remove(key)).map_err(named("UNIX_PATHS"))?;
        }
        Ok(())
    }

    /// From now on denials of this session are only recorded, whatever the policy says.
    pub fn observe(&mut self, session: u64) -> Result<(), KernelError> {
        self.observed
            .insert(session, 1, 0)
            .map_err(named("OBSERVED"))
    }

    /// Enforces again for a session that was observed.
    pub fn enforce(&mut self, session: u64) -> Result<(), KernelError> {
        gone(self.observed.remove(&session)).map_err(named("OBSERVED"))
    }

    /// The sessions that are observed.
    pub fn observed(&self) -> Result<Vec<u64>, KernelError> {
        self.observed
            .keys()
            .collect::<Result<_, _>>()
            .map_err(named("OBSERVED"))
    }

    /// Adds port entries; sets are never changed once they are in use.
    pub fn install_ports(&mut self, ports: &[(PortKey, u32, RuleId)]) -> Result<(), KernelError> {
        for (key, bits, rule) in ports {
            self.highest_set = self.highest_set.max(key.set());
            self.ports
                .insert(&Key::new(*bits, *key), rule.0, 0)
                .map_err(named("PORTS"))?;
        }
        Ok(())
    }

    /// Takes away every entry of another generation than `keep`, and every port set that only
    /// such entries used.
    fn sweep(&mut self, keep: u32) -> Result<(), KernelError> {
        let mut sets = BTreeSet::new();
        let mut stale = Vec::new();
        for entry in &self.networks {
            let (key, network) = entry.map_err(named("NETWORKS"))?;
            if key.data().generation() == keep {
                sets.extend([network.allow, network.deny]);
            } else {
                stale.push(key);
            }
        }
        for key in &stale {
            gone(self.networks.remove(key)).map_err(named("NETWORKS"))?;
        }
        let mut stale = Vec::new();
        for entry in &self.leases {
            let (key, lease) = entry.map_err(named("LEASES"))?;
            if key.generation == keep {
                sets.extend(lease.grants.iter().map(|grant| grant.set));
            } else {
                stale.push(key);
            }
        }
        for key in &stale {
            gone(self.leases.remove(key)).map_err(named("LEASES"))?;
        }
        self.remove_unix(|key| key.generation != keep)?;
        let mut stale = Vec::new();
        for key in self.ports.keys() {
            let key = key.map_err(named("PORTS"))?;
            if !sets.contains(&key.data().set()) {
                stale.push(key);
            }
        }
        for key in &stale {
            gone(self.ports.remove(key)).map_err(named("PORTS"))?;
        }
        self.is_swept = true;
        Ok(())
    }

    /// Writes one lease into the running generation. It counts from the moment of return.
    pub fn lease(
        &mut self,
        session: u64,
        address: Address,
        lease: &Lease,
    ) -> Result<(), KernelError> {
        let key = LeaseKey::new(self.running, session, address);
        self.leases.insert(key, lease, 0).map_err(named("LEASES"))
    }

    /// Takes one lease away.
    pub fn unlease(&mut self, session: u64, address: Address) -> Result<(), KernelError> {
        let key = LeaseKey::new(self.running, session, address);
        gone(self.leases.remove(&key)).map_err(named("LEASES"))
    }

    /// A lease of the running generation.
    pub fn leased(&self, session: u64, address: Address) -> Option<Lease> {
        let key = LeaseKey::new(self.running, session, address);
        self.leases.get(&key, 0).ok()
    }

    /// Notes which name stands behind a lease.
    pub fn note(&mut self, key: &JournalKey, entry: &JournalEntry) -> Result<(), KernelError> {
        self.journal.insert(key, entry, 0).map_err(named("JOURNAL"))
    }

    pub fn forget(&mut self, key: &JournalKey) -> Result<(), KernelError> {
        gone(self.journal.remove(key)).map_err(named("JOURNAL"))
    }

    /// Every name behind every lease, in no order.
    pub fn journal(&self) -> Result<Vec<(JournalKey, JournalEntry)>, KernelError> {
        self.journal
            .iter()
            .collect::<Result<_, _>>()
            .map_err(named("JOURNAL"))
    }

    /// Who asked a resolver from this address and port; `None` for a process outside the guard.
    pub fn client(&self, key: &ClientKey) -> Option<Client> {
        self.clients.get(key, 0).ok()
    }

    /// One counter, summed over the CPUs.
    pub fn counter(&self, counter: Counter) -> Result<u64, KernelError> {
        let values = self
            .counters
            .get(&(counter as u32), 0)
            .map_err(named("COUNTERS"))?;
        Ok(values.iter().sum())
    }
}

/// The same table once more, on a descriptor of its own.
fn again(map: &Map) -> Result<Map, MapError> {
    let (Map::HashMap(data) | Map::LruHashMap(data)) = map else {
        return Err(MapError::InvalidMapType { map_type: 0 });
    };
    let descriptor = data.fd().as_fd().try_clone_to_owned()?;
    Map::from_map_data(MapData::from_fd(descriptor)?)
}

/// An entry that is not there is as good as removed.
fn gone(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        other => other,
    }
}
