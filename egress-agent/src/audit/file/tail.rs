//! Finds the last record of a file without reading all of it.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::LONGEST_LINE;
use crate::audit::chain::{Hash, Head, Link};

/// The end of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tail {
    /// The last record.
    pub(super) head: Option<Head>,
    /// What stands after it, without a final newline. Bytes.
    pub(super) torn_bytes: u64,
    pub(super) torn_hash: Option<Hash>,
    /// The last byte is no newline.
    pub(super) unended: bool,
    /// There are lines, and none of them is a record.
    pub(super) is_foreign: bool,
}

impl Tail {
    /// For a file without a record: takes the head of the file before it.
    pub(super) fn continue_from(&mut self, before: Self) {
        self.head = before.head;
        if self.torn_hash.is_none() {
            self.torn_bytes = before.torn_bytes;
            self.torn_hash = before.torn_hash;
        }
    }
}

pub(super) fn read(file: &File) -> io::Result<Tail> {
    // Room for the longest line, an unfinished one after it, and another from a second crash.
    let most = 4 * LONGEST_LINE as u64;
    let size = file.metadata()?.len();
    let start = size.saturating_sub(most);
    let mut bytes = vec![0; usize::try_from(size - start).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, start)?;
    Ok(tail(&bytes, start == 0))
}

/// `bytes` are the end of a file, or all of it.
fn tail(bytes: &[u8], is_all: bool) -> Tail {
    let Some((last, _)) = bytes.split_last() else {
        return Tail::default();
    };
    let unended = *last != b'\n';
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut end = whole.len();
    loop {
        let before = whole.get(..end).unwrap_or_default();
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map(|at| at + 1);
        let line = before.get(start.unwrap_or(0)..).unwrap_or_default();
        if let Ok(link) = Link::read(line) {
            let torn = whole.get(end + 1..).unwrap_or_default();
            return Tail {
                head: Some(link.head),
                torn_bytes: torn.len() as u64,
                torn_hash: (end < whole.len()).then(|| Hash::of(torn)),
                unended,
                is_foreign: false,
            };
        }
        match start {
            Some(start) => end = start - 1,
            None => break,
        }
    }
    // Only one unfinished line can be the rest of a crash before the first record.
    let is_torn = is_all && unended && !whole.contains(&b'\n');
    Tail {
        head: None,
        torn_bytes: whole.len() as u64,
        torn_hash: Some(Hash::of(whole)),
        unended,
        is_foreign: !is_torn,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::{chain::seal, record::tests::denial};

    fn two() -> (Vec<u8>, Head) {
        let mut log = Vec::new();
        let head = seal(&denial(1, "203.0.113.1"), Head::START, &mut log).unwrap();
        let head = seal(&denial(2, "203.0.113.2"), head, &mut log).unwrap();
        (log, head)
    }

    #[test]
    fn a_whole_log_ends_with_its_last_record() {
        let (log, head) = two();
        let expected = Tail {
            head: Some(head),
            ..Tail::default()
        };
        assert_eq!(tail(&log, true), expected);
        assert_eq!(tail(b"", true), Tail::default());
    }

    #[test]
    fn only_the_newline_can_be_missing() {
        let (mut log, head) = two();
        log.pop();
        let tail = tail(&log, true);
        assert_eq!(
            (tail.head, tail.unended, tail.torn_hash),
            (Some(head), true, None)
        );
    }

    #[test]
    fn what_follows_the_last_record_is_torn() {
        let (mut log, head) = two();
        log.extend_from_slice(b"{\"v\":1,\n{\"v\"");
        let tail = tail(&log, true);
        assert_eq!((tail.head, tail.torn_bytes), (Some(head), 12));
        assert_eq!(tail.torn_hash, Some(Hash::of(b"{\"v\":1,\n{\"v\"")));
    }

    #[test]
    fn something_else_is_foreign_and_a_torn_first_line_is_not() {
        assert!(tail(b"root:x:0:0:root:/root:/bin/sh\n", true).is_foreign);
        assert!(tail(b"middle of a line without a record", false).is_foreign);
        let torn = tail(b"{\"v\":1,\"seq\":1", true);
        assert!(!torn.is_foreign);
        assert_eq!(torn.torn_bytes, 14);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let tail = tail(&bytes, true);
            prop_assert_eq!(tail.head, None);
        }
    }
}
