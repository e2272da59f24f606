//! What a file of the log holds, for those who look for what is newer.

use std::{
    collections::VecDeque,
    fs::File,
    io::{Seek as _, SeekFrom},
    path::Path,
};

use crate::audit::{
    front::Front,
    reader::Pieces,
    record::{Before, Sealed, Time},
};

/// More is not read for it. Bytes.
const MOST: u64 = 256 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Span {
    first: Option<u64>,
    latest: Option<Time>,
}

impl Span {
    pub(super) fn note(&mut self, seq: u64, time: Time) {
        self.first.get_or_insert(seq);
        self.latest = self.latest.max(Some(time));
    }

    /// Reads a file that another process began. `None` where that takes long or does not work.
    pub(super) fn read(path: &Path, file: &File, size: u64) -> Option<Self> {
        if size > MOST {
            return None;
        }
        let mut file = file.try_clone().ok()?;
        // The log is appended to, wherever this is.
        file.seek(SeekFrom::Start(0)).ok()?;
        let mut span = Self::default();
        for piece in Pieces::new(VecDeque::from([(path.into(), file)])) {
            for line in piece.ok()?.lines() {
                let front = Front::of(line.bytes);
                let quick = front.and_then(|front| Some((front.seq, front.time()?)));
                let said = quick.or_else(|| {
                    let sealed = Sealed::read(&String::from_utf8_lossy(line.bytes)).ok()?;
                    Some((sealed.seq, sealed.record.time))
                });
                if let Some((seq, time)) = said {
                    span.note(seq, time);
                }
            }
        }
        Some(span)
    }

    pub(super) fn before(self) -> Option<Before> {
        let Self { first, latest } = self;
        Some(Before {
            first: first?,
            latest: latest?,
        })
    }
}
