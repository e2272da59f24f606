//! Reads a log back, rotated files first: as lines for the verifier, as records for people.
//!
//! Streams with bounded memory. A line that is no record is reported with its place, and reading
//! goes on. The log may be written and rotated meanwhile.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::File,
    io::{self, BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    chain::{Broken, Head, Place, Verified, Verifier},
    file::{LONGEST_LINE, read_head, rotated},
    record::Sealed,
};

/// The lines of a log, oldest first.
#[derive(Debug)]
pub struct Lines {
    /// Oldest first.
    files: VecDeque<(Arc<Path>, BufReader<File>)>,
    line: u64,
}

/// One line, without its newline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawLine {
    pub place: Place,
    pub bytes: Vec<u8>,
    /// It had a newline; without one it may still be in the writing.
    pub ended: bool,
}

/// The records of a log, oldest first.
#[derive(Debug)]
pub struct Records {
    lines: Lines,
    last: u64,
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

/// Follows the chain through the log and its rotated files, and compares with the head file where
/// there is one.
pub fn verify(path: &Path) -> Result<Verified, VerifyError> {
    // Read first: the writer may add records, and none of them goes missing by that.
    let known: Option<Head> = read_head(path);
    let mut verifier = Verifier::new(known);
    for line in Lines::open(path)? {
        let RawLine {
            place,
            bytes,
            ended,
        } = line?;
        verifier.line(place, &bytes, ended)?;
    }
    Ok(verifier.finish(&path.into())?)
}

impl Lines {
    /// Opens the log and every rotated file that is there.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
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
                        files.push_front((path.into(), BufReader::new(file)));
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
        Ok(Self { files, line: 0 })
    }
}

impl Iterator for Lines {
    type Item = Result<RawLine, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (path, reader) = self.files.front_mut()?;
            self.line += 1;
            let place = Place {
                file: Arc::clone(path),
                line: self.line,
            };
            match read_line(reader) {
                Ok(Read::End) => {
                    self.files.pop_front();
                    self.line = 0;
                }
                Ok(Read::Line { bytes, ended }) => {
                    return Some(Ok(RawLine {
                        place,
                        bytes,
                        ended,
                    }));
                }
                Ok(Read::TooLong) => return Some(Err(ReadError::TooLong(place))),
                Err(source) => {
                    self.files.pop_front();
                    self.line = 0;
                    return Some(Err(ReadError::Io {
                        call: "read",
                        path: place.file.to_path_buf(),
                        source,
                    }));
                }
            }
        }
    }
}

impl Records {
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Lines::open(path).map(|lines| Self { lines, last: 0 })
    }
}

impl Iterator for Records {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.lines.next()? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            let text = String::from_utf8_lossy(&line.bytes).into_owned();
            match serde_json::from_str::<Sealed>(&text) {
                // A file that was rotated while the files were opened.
                Ok(sealed) if sealed.seq <= self.last => {}
                Ok(sealed) => {
                    self.last = sealed.seq;
                    return Some(Ok(Entry { sealed, text }));
                }
                // Still in the writing, or torn: no record yet.
                Err(_) if !line.ended => {}
                Err(source) => {
                    return Some(Err(ReadError::Malformed {
                        place: line.place,
                        source,
                    }));
                }
            }
        }
    }
}

enum Read {
    Line { bytes: Vec<u8>, ended: bool },
    TooLong,
    End,
}

fn read_line(reader: &mut BufReader<File>) -> io::Result<Read> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        let newline = chunk.iter().position(|byte| *byte == b'\n');
        let part = chunk.get(..newline.unwrap_or(chunk.len())).unwrap_or(chunk);
        length = length.saturating_add(part.len());
        if length <= LONGEST_LINE {
            bytes.extend_from_slice(part);
        }
        let used = part.len() + usize::from(newline.is_some());
        reader.consume(used);
        if newline.is_some() {
            return Ok(match length {
                0..=LONGEST_LINE => Read::Line { bytes, ended: true },
                _ => Read::TooLong,
            });
        }
    }
    Ok(match length {
        0 => Read::End,
        1..=LONGEST_LINE => Read::Line {
            bytes,
            ended: false,
        },
        _ => Read::TooLong,
    })
}

#[cfg(test)]
mod tests;
