//! The files of a log in pieces of whole lines, and work on the pieces by several threads.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use memchr::{memchr, memchr_iter, memrchr};

use super::ReadError;
use crate::audit::file::LONGEST_LINE;

/// Bytes of a piece, about; more than the longest line.
const PIECE: usize = 512 << 10;

/// Some lines of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::audit) struct Piece {
    pub(super) file: Arc<Path>,
    /// Number of its first line, from 1.
    line: u64,
    bytes: Vec<u8>,
}

/// One line, without its newline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::audit) struct Line<'a> {
    pub(super) number: u64,
    pub(in crate::audit) bytes: &'a [u8],
    /// It had a newline; without one it may still be in the writing.
    pub(super) ended: bool,
}

/// Reads files, oldest first, in bounded memory.
#[derive(Debug)]
pub(in crate::audit) struct Pieces {
    files: VecDeque<(Arc<Path>, File)>,
    /// Number of the next line in the first of them.
    line: u64,
    /// Of that file: read, and not yet part of a piece.
    rest: Vec<u8>,
}

impl Piece {
    pub(in crate::audit) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut rest = self.bytes.as_slice();
        let mut number = self.line;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let newline = memchr(b'\n', rest);
            let (bytes, after) = rest.split_at_checked(newline.unwrap_or(rest.len()))?;
            rest = after.get(1..).unwrap_or_default();
            let line = Line {
                number,
                bytes,
                ended: newline.is_some(),
            };
            number += 1;
            Some(line)
        })
    }

    /// From the last line on, without numbers; an unfinished one included.
    pub(super) fn lines_back(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let mut is_over = self.bytes.is_empty();
        std::iter::from_fn(move || {
            if is_over {
                return None;
            }
            let newline = memrchr(b'\n', rest);
            let start = newline.map_or(0, |newline| newline + 1);
            let (before, line) = rest.split_at_checked(start)?;
            rest = before.strip_suffix(b"\n").unwrap_or(before);
            is_over = newline.is_none();
            Some(line)
        })
    }
}

impl Pieces {
    pub(in crate::audit) fn new(files: VecDeque<(Arc<Path>, File)>) -> Self {
        Self {
            files,
            line: 1,
            rest: Vec::new(),
        }
    }

    fn end_file(&mut self) {
        self.files.pop_front();
        self.line = 1;
        self.rest.clear();
    }
}

impl Iterator for Pieces {
    type Item = Result<Piece, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (path, file) = self.files.front()?;
            let path = Arc::clone(path);
            let mut bytes = std::mem::take(&mut self.rest);
            match fill(file, &mut bytes, &mut self.rest) {
                Ok(()) if bytes.is_empty() => self.end_file(),
                Ok(()) => {
                    let line = self.line;
                    let lines = memchr_iter(b'\n', &bytes).count();
                    self.line += u64::try_from(lines).unwrap_or(u64::MAX);
                    return Some(Ok(Piece {
                        file: path,
                        line,
                        bytes,
                    }));
                }
                Err(source) => {
                    self.end_file();
                    return Some(Err(ReadError::Io {
                        call: "read",
                        path: path.to_path_buf(),
                        source,
                    }));
                }
            }
        }
    }
}

/// Reads on behind `bytes`, up to the end of a line; what is behind that goes to `rest`.
fn fill(mut file: &File, bytes: &mut Vec<u8>, rest: &mut Vec<u8>) -> io::Result<()> {
    let mut read = |bytes: &mut Vec<u8>| {
        let limit = u64::try_from(PIECE).unwrap_or(u64::MAX);
        io::Read::by_ref(&mut file).take(limit).read_to_end(bytes)
    };
    // A line can only be longer than a piece when it is longer than a line may be.
    while read(bytes)? > 0 {
        if let Some(newline) = memrchr(b'\n', bytes) {
            rest.extend_from_slice(bytes.get(newline + 1..).unwrap_or_default());
            bytes.truncate(newline + 1);
            return Ok(());
        }
        bytes.truncate(LONGEST_LINE + 1);
    }
    Ok(())
}

/// `work` on every item, by so many threads, in the order of the items.
pub(super) fn in_order<T, U>(
    items: impl Iterator<Item = T> + Send + 'static,
    threads: usize,
    work: impl Fn(T) -> U + Send + Sync + 'static,
) -> Worked<U>
where
    T: 'static,
    U: Send + 'static,
{
    if threads < 2 {
        return Worked::Here(Box::new(items.map(work)));
    }
    // The promise of a result enters the queue in order; it is kept when the work is done.
    let (promise, promised) = sync_channel(2 * threads);
    let source = Arc::new(Mutex::new((items, promise)));
    let work = Arc::new(work);
    let started = (0..threads).filter(|_| {
        let (source, work) = (Arc::clone(&source), Arc::clone(&work));
        let worker = thread::Builder::new().name("read".to_owned());
        worker.spawn(move || while step(&source, &*work) {}).is_ok()
    });
    if started.count() == 0 {
        // Nobody else has it.
        let all = move || {
            source
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .0
                .next()
        };
        return Worked::Here(Box::new(
            std::iter::from_fn(all).map(move |item| work(item)),
        ));
    }
    Worked::Elsewhere(promised)
}

/// Results in order.
pub(super) enum Worked<U> {
    Here(Box<dyn Iterator<Item = U> + Send>),
    Elsewhere(Receiver<Receiver<U>>),
}

/// A thread ended before its work was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unfinished;

impl<U> Iterator for Worked<U> {
    type Item = Result<U, Unfinished>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Here(items) => items.next().map(Ok),
            Self::Elsewhere(promised) => {
                let result = promised.recv().ok()?.recv();
                Some(result.or(Err(Unfinished)))
            }
        }
    }
}

/// Works on the next item; false when there is none, or nobody waits for it.
fn step<T, U>(
    source: &Mutex<(impl Iterator<Item = T>, SyncSender<Receiver<U>>)>,
    work: &impl Fn(T) -> U,
) -> bool {
    let (done, result) = sync_channel(1);
    let item = {
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        let (items, promise) = &mut *source;
        let Some(item) = items.next() else {
            return false;
        };
        if promise.send(result).is_err() {
            return false;
        }
        item
    };
    done.send(work(item)).is_ok()
}

#[cfg(test)]
mod tests;
