//! Reads a log back, rotated files first: as lines for the verifier, as records for people.
//!
//! Streams with bounded memory. A line that is no record is reported with its place, and reading
//! goes on; only of a line that is left out for its time or its words (`front`)
//! nobody looks at the rest. The log may be written and rotated meanwhile.
//!
//! A file whose records are all older than what is wanted is not read: the first line of the file
//! after it says so ([`Before`](super::record::Before)), is checked against its own hash, and
//! names the number of the record that the older file begins with. Times may go back, as clocks
//! do; nothing is searched by halves. Who can seal lines anew can also remove them: that the log
//! is whole, [`verify`] says.

mod files;
mod piece;

use std::{
    io,
    num::NonZero,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

use super::{
    chain::{Broken, Head, Link, Place, Verified, Verifier, Why},
    file::{LONGEST_LINE, read_head},
    filter::Filter,
    front::Sieve,
    record::Sealed,
};
use files::Files;
pub(super) use piece::{Piece, Pieces};
use piece::{Unfinished, Worked, in_order};

/// The records of a log, oldest first.
pub struct Records {
    path: PathBuf,
    pieces: Worked<Found>,
    found: std::vec::IntoIter<Result<Entry, ReadError>>,
    last: Option<u64>,
}

/// A record and the line that it was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub sealed: Sealed,
    /// JSON, without the newline.
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot {call} `{}`", .path.display())]
    Io {
        call: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{place}: not a record")]
    Malformed {
        place: Place,
        #[source]
        source: serde_json::Error,
    },
    #[error("{0}: a line of more than {LONGEST_LINE} bytes is not a record")]
    TooLong(Place),
}

/// Why a log was not found whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Threads that read at once: what is left of the machine belongs to the agents.
const MOST_THREADS: usize = 4;

/// Follows the chain through the log and its rotated files, and compares with the head file where
/// there is one.
pub fn verify(path: &Path) -> Result<Verified, VerifyError> {
    // Read first: the writer may add records, and none of them goes missing by that.
    let known: Option<Head> = read_head(path);
    let files = Files::open(path)?;
    let threads = files.threads();
    // What a line says by itself is found out at once, and the links are compared in order.
    let checked = in_order(Pieces::new(files.0), threads, |piece| {
        piece.map(|piece| {
            let links: Vec<Result<Link, Why>> =
                piece.lines().map(|line| Link::read(line.bytes)).collect();
            (piece, links)
        })
    });
    let mut verifier = Verifier::new(known);
    for piece in checked {
        let (piece, links) = piece.map_err(|Unfinished| unfinished(path))??;
        for (line, link) in piece.lines().zip(links) {
            let place = place(&piece, line.number);
            if line.bytes.len() > LONGEST_LINE {
                return Err(ReadError::TooLong(place).into());
            }
            verifier.checked(place, line.bytes, line.ended, link)?;
        }
    }
    Ok(verifier.finish(&path.into())?)
}

impl Records {
    /// All of them.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::new(Files::open(path)?, path, &Filter::default(), 1)
    }

    /// Those that match, read by this thread alone.
    pub fn matching(path: &Path, filter: &Filter) -> Result<Self, ReadError> {
        Self::new(Files::open(path)?, path, filter, 1)
    }

    /// Those that match, read by several threads.
    pub fn matching_at_once(path: &Path, filter: &Filter) -> Result<Self, ReadError> {
        let files = Files::open(path)?;
        let threads = files.threads();
        Self::new(files, path, filter, threads)
    }

    fn new(
        mut files: Files,
        path: &Path,
        filter: &Filter,
        threads: usize,
    ) -> Result<Self, ReadError> {
        files.leave_copies()?;
        if let Some(since) = filter.since {
            files.leave_older(since);
        }
        let sieve = Sieve::new(filter);
        let filter = filter.clone();
        let work = move |piece: Result<Piece, ReadError>| match piece {
            Ok(piece) => Found::in_piece(&piece, &sieve, &filter),
            Err(error) => Found {
                records: vec![Err(error)],
                last: None,
            },
        };
        Ok(Self {
            path: path.to_owned(),
            pieces: in_order(Pieces::new(files.0), threads, work),
            found: Vec::new().into_iter(),
            last: None,
        })
    }

    /// The number of the last record that was read, matching or not.
    pub fn last_seq(&self) -> Option<u64> {
        self.last
    }
}

impl Iterator for Records {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.found.next() {
                return Some(record);
            }
            match self.pieces.next()? {
                Ok(Found { records, last }) => {
                    self.found = records.into_iter();
                    self.last = last.or(self.last);
                }
                Err(Unfinished) => return Some(Err(unfinished(&self.path))),
            }
        }
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What a piece holds of what is wanted.
struct Found {
    records: Vec<Result<Entry, ReadError>>,
    /// Number of its last record.
    last: Option<u64>,
}

impl Found {
    fn in_piece(piece: &Piece, sieve: &Sieve, filter: &Filter) -> Self {
        let mut records = Vec::new();
        for line in piece.lines() {
            if line.bytes.len() > LONGEST_LINE {
                records.push(Err(ReadError::TooLong(place(piece, line.number))));
                continue;
            }
            if sieve.is_out(line.bytes) {
                continue;
            }
            let text = String::from_utf8_lossy(line.bytes);
            match Sealed::read(&text) {
                Ok(sealed) if filter.matches(&sealed.record) => {
                    let text = text.into_owned();
                    records.push(Ok(Entry { sealed, text }));
                }
                Ok(_) => {}
                // Still in the writing, or torn: no record yet.
                Err(_) if !line.ended => {}
                Err(source) => records.push(Err(ReadError::Malformed {
                    place: place(piece, line.number),
                    source,
                })),
            }
        }
        let sealed = |line: &[u8]| Sealed::read(&String::from_utf8_lossy(line)).ok();
        let last = piece.lines_back().find_map(sealed);
        Self {
            records,
            last: last.map(|sealed| sealed.seq),
        }
    }
}

fn place(piece: &Piece, line: u64) -> Place {
    Place {
        file: std::sync::Arc::clone(&piece.file),
        line,
    }
}

fn threads() -> usize {
    available_parallelism()
        .map_or(1, NonZero::get)
        .min(MOST_THREADS)
}

fn unfinished(path: &Path) -> ReadError {
    ReadError::Io {
        call: "read all of",
        path: path.to_owned(),
        source: io::Error::other("a thread that read it ended early"),
    }
}

#[cfg(test)]
mod tests;
