//! Keys and values of the maps: byte arrays in network order or plain integers, no padding.

use crate::{Address, Process, Protocol, limits::LEASE_GRANTS};

/// Key of the network table, a longest-prefix trie. The first 32 bits are the generation, so a
/// prefix of `n` bits of address has the length `32 + n` (IPv4: `32 + 96 + n`).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NetworkKey {
    generation: [u8; 4],
    address: Address,
}

impl NetworkKey {
    /// Bits that every look-up compares.
    pub const FULL_BITS: u32 = 160;

    #[inline(always)]
    pub const fn new(generation: u32, address: Address) -> Self {
        Self {
            generation: generation.to_be_bytes(),
            address,
        }
    }

    pub const fn generation(&self) -> u32 {
        u32::from_be_bytes(self.generation)
    }

    /// Length of the trie key for a prefix of `bits` of the 128-bit address.
    pub const fn prefix_bits(bits: u8) -> u32 {
        32 + bits as u32
    }
}

/// Key of the port table, a longest-prefix trie: (set, protocol) exactly, then a port prefix.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortKey {
    set: [u8; 4],
    protocol: u8,
    port: [u8; 2],
    reserved: u8,
}

impl PortKey {
    /// Bits that every look-up compares.
    pub const FULL_BITS: u32 = 56;

    #[inline(always)]
    pub const fn new(set: u32, protocol: Protocol, port: u16) -> Self {
        Self {
            set: set.to_be_bytes(),
            protocol: protocol.0,
            port: port.to_be_bytes(),
            reserved: 0,
        }
    }

    pub const fn set(&self) -> u32 {
        u32::from_be_bytes(self.set)
    }

    /// Length of the trie key for a prefix of `bits` of the 16-bit port.
    pub const fn prefix_bits(bits: u8) -> u32 {
        40 + bits as u32
    }
}

/// Key of the lease table: an address that a name led to, in one session.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LeaseKey {
    /// The cgroup id of the session.
    pub session: u64,
    pub address: Address,
    pub generation: u32,
    pub reserved: u32,
}

impl LeaseKey {
    #[inline(always)]
    pub const fn new(generation: u32, session: u64, address: Address) -> Self {
        Self {
            session,
            address,
            generation,
            reserved: 0,
        }
    }
}

/// One port set that a leased address stands for.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeaseGrant {
    /// Boot time in nanoseconds: no flow begins at or after it.
    pub expires: u64,
    /// [`crate::PortSet`]; 0 for an unused place.
    pub set: u32,
    pub reserved: u32,
}

/// Value of the lease table.
///
/// An entry outlives its grants' expiry: it then admits nothing new, and still vouches for the
/// flows that it admitted when a new policy re-examines them.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lease {
    pub grants: [LeaseGrant; LEASE_GRANTS],
}

/// Key of the client table: who asks the guard resolver, as the resolver's socket sees them.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientKey {
    pub address: Address,
    /// Host order.
    pub port: u16,
    pub protocol: Protocol,
    pub reserved: u8,
}

impl ClientKey {
    #[inline(always)]
    pub const fn new(protocol: Protocol, address: Address, port: u16) -> Self {
        Self {
            address,
            port,
            protocol,
            reserved: 0,
        }
    }
}

/// Value of the table of turned flows: where a socket wanted to go that was led to the proxy. Its
/// key is the socket's cookie.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Original {
    /// Boot time in nanoseconds.
    pub time: u64,
    /// The cgroup id of the session.
    pub session: u64,
    pub destination: Address,
    pub process: Process,
    /// The rule that allowed the address, [`crate::RuleId::plain`].
    pub rule: u32,
    /// Host order.
    pub port: u16,
    pub reserved: u16,
}

/// `sizeof(sockaddr_un.sun_path)`.
pub const UNIX_PATH_BYTES: usize = 108;

/// Key of the UNIX table: a socket outside the guard that a session may talk to.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixKey {
    /// The cgroup id of the session; 0 for every one.
    pub session: u64,
    pub generation: u32,
    /// What the socket is bound to, as its owner wrote it (unix(7)), and zeros behind it.
    pub path: [u8; UNIX_PATH_BYTES],
}

impl UnixKey {
    /// `None` for a name that no socket can have.
    pub fn new(generation: u32, session: u64, name: &[u8]) -> Option<Self> {
        let mut path = [0; UNIX_PATH_BYTES];
        if name.is_empty() {
            return None;
        }
        path.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self {
            session,
            generation,
            path,
        })
    }
}

/// Key of the journal: one name that led one session to one address.
///
/// No program reads the journal. It is the daemon's memory of which names stand behind the
/// leases, kept where the leases are, so that it survives the daemon exactly as they do.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JournalKey {
    pub session: u64,
    pub address: Address,
    /// First 64 bits of the name's SHA-256.
    pub name_hash: u64,
}

/// Value of the journal.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalEntry {
    /// Boot time in nanoseconds.
    pub learned: u64,
    /// Boot time in nanoseconds.
    pub expires: u64,
    /// Bytes of `name` in use.
    pub length: u32,
    pub reserved: u32,
    /// Lower-case A-labels, no final dot.
    pub name: [u8; 256],
}

const _: () = assert!(size_of::<JournalKey>() == 32 && size_of::<JournalEntry>() == 280);
const _: () = assert!(size_of::<NetworkKey>() == 20 && align_of::<NetworkKey>() == 4);
const _: () = assert!(size_of::<PortKey>() == 8 && align_of::<PortKey>() == 1);
const _: () = assert!(size_of::<LeaseKey>() == 32);
const _: () = assert!(size_of::<Lease>() == 16 * LEASE_GRANTS);
const _: () = assert!(size_of::<ClientKey>() == 20);
const _: () = assert!(size_of::<UnixKey>() == 120);
const _: () = assert!(size_of::<Original>() == 64);
