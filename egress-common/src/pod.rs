//! What aya may copy to and from map memory.

use crate::{
    Client, ClientKey, Config, Event, JournalEntry, JournalKey, Layout, Lease, LeaseKey, Network,
    NetworkKey, Original, PortKey, UnixKey,
};

// SAFETY: `repr(C)`, plain integers and byte arrays only, no padding (sizes are asserted beside
// each type), so every byte pattern is a valid value.
unsafe impl aya::Pod for Client {}
// SAFETY: as above.
unsafe impl aya::Pod for ClientKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Config {}
// SAFETY: as above.
unsafe impl aya::Pod for Event {}
// SAFETY: as above.
unsafe impl aya::Pod for Lease {}
// SAFETY: as above.
unsafe impl aya::Pod for LeaseKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Network {}
// SAFETY: as above.
unsafe impl aya::Pod for NetworkKey {}
// SAFETY: as above.
unsafe impl aya::Pod for PortKey {}
// SAFETY: as above.
unsafe impl aya::Pod for JournalEntry {}
// SAFETY: as above.
unsafe impl aya::Pod for JournalKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Layout {}
// SAFETY: as above.
unsafe impl aya::Pod for UnixKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Original {}
