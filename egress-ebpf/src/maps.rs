//! Every map, and the tables as [`Rules`]: the only code that looks into one.

use aya_ebpf::{
    btf_maps::{
        Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, SkStorage, lpm_trie::Key,
    },
    macros::btf_map,
};
use egress_common::{
    Address, Client, ClientKey, Config, Counter, Event, Flow, JournalEntry, JournalKey, Lease,
    LeaseKey, Network, NetworkKey, Original, PortKey, PortSet, Protocol, RuleId, Rules, UnixKey,
    limits,
};

use crate::{loopback, note::Note, steer::Servers};

/// Settings of the last four generations: a slot is used again only after four reloads, long
/// after every program run that could have seen it.
pub(crate) const CONFIG_SLOTS: usize = 4;

#[btf_map]
pub(crate) static CONFIG: Array<Config, CONFIG_SLOTS> = Array::new();
/// One number: the running generation. Writing it is the moment at which a policy takes over.
#[btf_map]
pub(crate) static GENERATION: Array<u32, 1> = Array::new();
#[btf_map]
pub(crate) static NETWORKS: LpmTrie<NetworkKey, Network, { limits::NETWORKS as usize }> =
    LpmTrie::new();
#[btf_map]
pub(crate) static PORTS: LpmTrie<PortKey, u32, { limits::PORTS as usize }> = LpmTrie::new();
/// Not preallocated: a table of this size would cost tens of MiB that most policies never use.
#[btf_map]
pub(crate) static LEASES: HashMap<LeaseKey, Lease, { limits::LEASES as usize }, 1> = HashMap::new();
#[btf_map]
pub(crate) static CLIENTS: LruHashMap<ClientKey, Client, { limits::CLIENTS as usize }> =
    LruHashMap::new();
/// By socket cookie.
#[btf_map]
pub(crate) static ORIGINALS: LruHashMap<u64, Original, { limits::ORIGINALS as usize }> =
    LruHashMap::new();
#[btf_map]
pub(crate) static UNIX_PATHS: HashMap<UnixKey, u32, { limits::UNIX_PATHS as usize }, 1> =
    HashMap::new();
/// Sessions that are observed though the policy enforces.
#[btf_map]
pub(crate) static OBSERVED: HashMap<u64, u32, { limits::OBSERVED as usize }, 1> = HashMap::new();
#[btf_map]
pub(crate) static NOTES: SkStorage<Note> = SkStorage::new();
#[btf_map]
pub(crate) static SERVERS: SkStorage<Servers> = SkStorage::new();
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, { limits::EVENT_BYTES as usize }> = RingBuf::new();
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { Counter::COUNT as usize }> = PerCpuArray::new();

/// Written and read by userspace only.
#[btf_map]
pub(crate) static JOURNAL: HashMap<JournalKey, JournalEntry, { limits::LEASES as usize }, 1> =
    HashMap::new();

/// The running settings; `None` denies.
#[inline(always)]
pub(crate) fn config() -> Option<&'static Config> {
    let generation = *GENERATION.get(0)?;
    let config = CONFIG.get(generation % CONFIG_SLOTS as u32)?;
    // A slot that was never written, or is of another generation, is not a configuration.
    (generation != 0 && config.generation == generation).then_some(config)
}

/// Whether denials of this session are only recorded. Asked when something is denied, so that what
/// is allowed does not pay for it.
#[inline(always)]
pub(crate) fn observes(config: &Config, session: u64) -> bool {
    // SAFETY: the value is not looked at, only whether there is one.
    config.is_observing() || unsafe { OBSERVED.get(session) }.is_some()
}

#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the pointer is this CPU's own slot, valid for the run of the program.
        unsafe { *value += 1 };
    }
}

/// The tables of one generation, as one session sees them.
pub(crate) struct Tables<'a> {
    pub(crate) config: &'a Config,
    pub(crate) session: u64,
    pub(crate) receiver: loopback::Receiver,
}

impl Rules for Tables<'_> {
    #[inline(always)]
    fn network(&self, address: &Address) -> Option<Network> {
        let key = Key::new(
            NetworkKey::FULL_BITS,
            NetworkKey::new(self.config.generation, *address),
        );
        NETWORKS.get(&key).copied()
    }

    #[inline(always)]
    fn port(&self, set: PortSet, protocol: Protocol, port: u16) -> Option<RuleId> {
        let key = Key::new(PortKey::FULL_BITS, PortKey::new(set.0, protocol, port));
        PORTS.get(&key).map(|rule| RuleId(*rule))
    }

    #[inline(always)]
    fn lease(&self, address: &Address) -> Option<&Lease> {
        let key = LeaseKey::new(self.config.generation, self.session, *address);
        // SAFETY: values are replaced whole by userspace; a reader that overlaps a replacement
        // reads grants of the same address and session, old or new, each of which was allowed.
        unsafe { LEASES.get(key) }
    }

    #[inline(always)]
    fn session_receives(&self, flow: &Flow) -> bool {
        loopback::session_receives(&self.receiver, self.session, flow)
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: takes nothing and returns a number.
        unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns() }
    }
}
