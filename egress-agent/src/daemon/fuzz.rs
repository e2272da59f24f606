//! What must hold for whatever stands in a pinned journal: it outlives the program that wrote it.

use egress_common::{Address, JournalEntry, JournalKey};

use super::journal::{Entry, line};
use crate::policy::Name;

/// The first four bytes are the length that the entry claims; the rest is the name's place.
pub(crate) fn journal(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let mut value = JournalEntry {
        learned: 7,
        expires: 0,
        length: u32::from_ne_bytes(*length),
        reserved: 0,
        name: [0; 256],
    };
    for (place, byte) in value.name.iter_mut().zip(rest) {
        *place = *byte;
    }
    let key = JournalKey {
        session: 42,
        address: Address::LOOPBACK_V4,
        name_hash: 0,
    };
    let entry = Entry::read(&key, &value);
    assert_eq!(entry.is_some(), value.length <= 256);
    let Some(entry) = entry else { return };
    assert_eq!((entry.session, entry.learned), (42, 7));
    // What is a name goes back into the journal as it came out.
    if let Ok(name) = Name::parse(&entry.name) {
        let again = line(&name, 7).and_then(|value| Entry::read(&key, &value));
        assert_eq!(again.map(|again| again.name), Some(name.to_string()));
    }
}
