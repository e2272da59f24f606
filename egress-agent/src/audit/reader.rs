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
                Err(error) if number > 0 && error.kind() == io::ErrorKind::NotFound => break,
                Err(source) => return Err(fail("open", source)),
            }
        }
        Ok(Self { files, line: 0 })
    }

    /// Opens one file alone.
    pub fn single(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| ReadError::Io {
            call: "open",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            files: VecDeque::from([(path.into(), BufReader::new(file))]),
            line: 0,
        })
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
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::{
        chain::{Why, seal},
        record::tests::denial,
    };

    /// Seals `records` over as many files as there are numbers, oldest first.
    fn write(dir: &Path, records: &[u32]) -> PathBuf {
        let path = dir.join("audit.jsonl");
        let mut head = Head::START;
        for (count, number) in records.iter().zip((0..records.len() as u32).rev()) {
            let mut lines = Vec::new();
            for second in 0..*count {
                head = seal(&denial(second, "203.0.113.7"), head, &mut lines).unwrap();
            }
            fs::write(rotated(&path, number), lines).unwrap();
        }
        path
    }

    fn numbers(path: &Path) -> Vec<Result<u64, String>> {
        Records::open(path)
            .unwrap()
            .map(|entry| entry.map(|entry| entry.sealed.seq).map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn files_are_read_oldest_first_and_verified_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &[2, 0, 3, 1]);
        assert_eq!(numbers(&path), (1..=6).map(Ok).collect::<Vec<_>>());
        assert_eq!(verify(&path).unwrap().records, 6);
    }

    #[test]
    fn a_malformed_line_is_named_and_the_rest_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &[3]);
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[1] = "\u{0}garbage".to_owned();
        lines.insert(2, "x".repeat(LONGEST_LINE + 1));
        fs::write(&path, lines.join("\n")).unwrap();
        let malformed = format!("{}:2: not a record", path.display());
        let long = format!("{}:3: a line of more than 262144 bytes is not a record", path.display());
        assert_eq!(numbers(&path), [Ok(1), Err(malformed), Err(long), Ok(3)]);
        assert!(verify(&path).is_err());
    }

    #[test]
    fn an_unfinished_last_line_is_no_record_yet() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &[2]);
        let mut text = fs::read(&path).unwrap();
        text.truncate(text.len() - 9);
        fs::write(&path, text).unwrap();
        assert_eq!(numbers(&path), [Ok(1)]);
        assert!(verify(&path).unwrap().torn.is_some());
    }

    #[test]
    fn a_file_that_comes_twice_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &[2, 2]);
        fs::hard_link(rotated(&path, 1), rotated(&path, 2)).unwrap();
        assert_eq!(numbers(&path).len(), 4);
        fs::remove_file(rotated(&path, 2)).unwrap();
        fs::copy(rotated(&path, 1), rotated(&path, 2)).unwrap();
        assert_eq!(numbers(&path).len(), 4);
    }

    #[test]
    fn a_tampered_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &[3, 3]);
        let text = fs::read_to_string(rotated(&path, 1)).unwrap();
        fs::write(rotated(&path, 1), text.replace("curl", "wget")).unwrap();
        let Err(VerifyError::Broken(broken)) = verify(&path) else {
            panic!("not found");
        };
        assert!(matches!(broken.why, Why::Changed));
        assert_eq!(broken.place.file.as_ref(), rotated(&path, 1));
    }

    #[test]
    fn a_log_that_is_not_there_is_an_error_with_its_path() {
        let error = Lines::open(Path::new("/nowhere/audit.jsonl")).unwrap_err();
        assert_eq!(error.to_string(), "cannot open `/nowhere/audit.jsonl`");
    }
}
