//! The files of a log: which there are, and which need not be read.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    sync::Arc,
};

use memchr::memchr;

use super::ReadError;
use crate::audit::{
    chain::Link,
    file::{LONGEST_LINE, rotated},
    record::{Sealed, Time},
};

/// Fewer bytes are read before a second thread has started.
const SMALL: u64 = 2 << 20;

/// Oldest first.
#[derive(Debug)]
pub(super) struct Files(pub(super) VecDeque<(Arc<Path>, File)>);

impl Files {
    /// Opens the log and every rotated file that is there.
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        let mut files = VecDeque::new();
        let mut seen = BTreeSet::new();
        // Newest first: when the log is rotated meanwhile, a file can come twice and none is missed.
        let mut holes = 0;
        for number in 0.. {
            let path = rotated(path, number);
            let fail = |call, source| ReadError::Io {
                call,
                path: path.clone(),
                source,
            };
            match File::open(&path) {
                Ok(file) => {
                    let metadata = file.metadata().map_err(|source| fail("look at", source))?;
                    if seen.insert((metadata.dev(), metadata.ino())) {
                        files.push_front((path.into(), file));
                    }
                }
                // A crash while the files were moved up leaves one number free.
                Err(error) if number > 0 && error.kind() == io::ErrorKind::NotFound => {
                    holes += 1;
                    if holes == 2 {
                        break;
                    }
                }
                Err(source) => return Err(fail("open", source)),
            }
        }
        Ok(Self(files))
    }

    /// How many threads are worth while.
    pub(super) fn threads(&self) -> usize {
        let sizes = self.0.iter().filter_map(|(_, file)| file.metadata().ok());
        let bytes: u64 = sizes.map(|metadata| metadata.len()).sum();
        if bytes < SMALL { 1 } else { super::threads() }
    }

    /// Leaves out what stands in the log twice: of files that follow each other and are alike as
    /// far as the shorter goes, the longer one is read.
    pub(super) fn leave_copies(&mut self) -> Result<(), ReadError> {
        let mut kept: VecDeque<(Arc<Path>, File)> = VecDeque::new();
        for (path, file) in self.0.drain(..) {
            if let Some((_, before)) = kept.back()
                && let Some(is_longer) = copies(before, &file).map_err(|source| ReadError::Io {
                    call: "read",
                    path: path.to_path_buf(),
                    source,
                })?
            {
                if is_longer {
                    kept.pop_back();
                } else {
                    continue;
                }
            }
            kept.push_back((path, file));
        }
        self.0 = kept;
        Ok(())
    }

    /// Leaves out files whose records are all older, where the first line of the next file says
    /// so. What cannot be read, or does not fit its own hash, says nothing.
    pub(super) fn leave_older(&mut self, since: Time) {
        let lines: Vec<Option<Sealed>> = self.0.iter().map(|(_, file)| first(file)).collect();
        let next = lines.iter().skip(1).map(Option::as_ref).chain([None]);
        let is_older = lines.iter().zip(next).map(|(this, next)| {
            let before = next.and_then(|next| next.before);
            this.as_ref()
                .zip(before)
                .is_some_and(|(this, before)| before.first == this.seq && before.latest < since)
        });
        let is_older: Vec<bool> = is_older.collect();
        let mut is_older = is_older.into_iter();
        self.0.retain(|_| is_older.next() != Some(true));
    }
}

/// Whether one file begins with all of the other: `Some(true)` when the second is the longer one.
fn copies(one: &File, other: &File) -> io::Result<Option<bool>> {
    let (mut here, mut there) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut at = 0;
    loop {
        let (read, other_read) = (
            read_at(one, &mut here, at)?,
            read_at(other, &mut there, at)?,
        );
        let common = read.min(other_read);
        if here.get(..common) != there.get(..common) || at == 0 && common == 0 {
            return Ok(None);
        }
        if common < here.len() {
            return Ok(Some(other_read > read));
        }
        at += u64::try_from(common).unwrap_or(u64::MAX);
    }
}

/// As much as there is, or as fits.
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        let place = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        match file.read_at(rest, place) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// The first record of a file, when it is whole.
fn first(file: &File) -> Option<Sealed> {
    let mut bytes = vec![0; 4 << 10];
    loop {
        let read = read_at(file, &mut bytes, 0).ok()?;
        if let Some(newline) = memchr(b'\n', bytes.get(..read)?) {
            let line = bytes.get(..newline)?;
            Link::read(line).ok()?;
            return Sealed::read(str::from_utf8(line).ok()?).ok();
        }
        if read < bytes.len() || bytes.len() > LONGEST_LINE {
            return None;
        }
        bytes.resize(bytes.len() * 8, 0);
    }
}
