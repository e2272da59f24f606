//! The files of the log: opening, appending whole lines, rotating, the head file.
//!
//! `audit.jsonl` is written; `audit.jsonl.1` is the newest rotated file, `.2` the one before;
//! `audit.jsonl.head` holds the head of the chain as of at most a second ago. What is written is
//! always a number of whole lines: when the device is full in the middle of one, the file is cut
//! back to the line before.

mod span;
mod tail;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown, fchown},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    chain::{Hash, Head},
    record::{Before, Gap, Time},
};
use crate::trust::{self, Trusted, Untrusted};
use span::Span;
use tail::Tail;

/// Longer lines are not written, and read as malformed. Bytes.
pub(super) const LONGEST_LINE: usize = 256 << 10;

/// Where the log is and how much of it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub file: PathBuf,
    /// A file is rotated before it would grow beyond this. Bytes.
    pub rotate_bytes: u64,
    /// Rotated files that are kept.
    pub keep: u32,
    /// The group that may read the log.
    pub gid: Option<u32>,
    /// Whose write access to the directories is no danger.
    pub trusted: Trusted,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the audit log cannot be kept safe")]
    Untrusted(#[from] Untrusted),
    #[error("cannot {call} the audit log `{}`", .path.display())]
    Io {
        call: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is not a plain file: name another one in `audit.file`", .0.display())]
    NotAFile(PathBuf),
    #[error("`{}` holds something else than an audit log: move it away, or name another file in `audit.file`", .0.display())]
    NotALog(PathBuf),
    #[error("another egressd writes `{}`: stop it, or name another file in `audit.file`", .0.display())]
    Locked(PathBuf),
    #[error("cannot start the thread that writes the audit log")]
    Thread(#[source] io::Error),
}

/// The log, open at its end.
#[derive(Debug)]
pub(super) struct LogFile {
    settings: Settings,
    file: File,
    size: u64,
    /// A length to cut the file back to before anything else is written.
    cut_to: Option<u64>,
    /// The last line has no newline yet.
    unended: bool,
    /// What the file holds, where this process has written all of it.
    span: Option<Span>,
}

/// What an opened log held.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) log: LogFile,
    pub(super) head: Head,
    /// What is wrong with its end, to be recorded.
    pub(super) gap: Option<Gap>,
}

/// An append that did not go through.
#[derive(Debug)]
pub(super) struct Cut {
    /// Bytes of whole lines that were written.
    pub(super) whole: usize,
    pub(super) source: io::Error,
}

impl Settings {
    /// 64 MiB a file, 8 rotated files.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            rotate_bytes: 64 << 20,
            keep: 8,
            gid: None,
            trusted: Trusted::default(),
        }
    }
}

/// The path of rotated file `number`; 0 is the log itself.
pub(super) fn rotated(file: &Path, number: u32) -> PathBuf {
    match number {
        0 => file.to_owned(),
        number => with_suffix(file, &format!(".{number}")),
    }
}

/// Reads what the head file says; `None` when there is none, or it is no head file.
pub(super) fn read_head(file: &Path) -> Option<Head> {
    let mut text = String::new();
    let head = File::open(with_suffix(file, ".head")).ok()?;
    head.take(4_096).read_to_string(&mut text).ok()?;
    let HeadFile { seq, hash } = serde_json::from_str(&text).ok()?;
    Some(Head { seq, hash })
}

#[derive(Serialize, Deserialize)]
struct HeadFile {
    seq: u64,
    hash: Hash,
}

impl LogFile {
    /// Opens or makes the log, and finds the end of its chain. Refuses a link, anything that is
    /// no log, and a place where somebody else could write.
    pub(super) fn open(settings: Settings) -> Result<Opened, OpenError> {
        let path = &settings.file;
        let fail = |call, source| OpenError::Io {
            call,
            path: path.clone(),
            source,
        };
        make_directory(directory(path), &settings)?;
        trust::check(directory(path), &settings.trusted)?;
        let file = open(&settings, false).map_err(|source| {
            if let Some(Errno::LOOP | Errno::ISDIR) = Errno::from_io_error(&source) {
                OpenError::NotAFile(path.clone())
            } else {
                fail("open", source)
            }
        })?;
        let metadata = file.metadata().map_err(|source| fail("look at", source))?;
        if !metadata.is_file() {
            return Err(OpenError::NotAFile(path.clone()));
        }
        trust::check(path, &settings.trusted)?;
        lock(&file).map_err(|source| {
            if source.kind() == io::ErrorKind::WouldBlock {
                OpenError::Locked(path.clone())
            } else {
                fail("lock", source)
            }
        })?;
        let mut tail = tail::read(&file).map_err(|source| fail("read", source))?;
        if tail.is_foreign {
            return Err(OpenError::NotALog(path.clone()));
        }
        if tail.head.is_none() {
            tail.continue_from(previous(path).map_err(|source| fail("read", source))?);
        }
        let known = read_head(path);
        Ok(Opened {
            head: tail.head.unwrap_or(Head::START),
            gap: gap(&tail, known),
            log: Self {
                size: metadata.len(),
                unended: tail.unended,
                span: (metadata.len() == 0).then(Span::default),
                settings,
                file,
                cut_to: None,
            },
        })
    }

    /// Appends whole lines, each with its newline.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), Cut> {
        let none = |source| Cut { whole: 0, source };
        if let Some(length) = self.cut_to {
            self.file.set_len(length).map_err(none)?;
            self.cut_to = None;
            self.size = length;
        }
        if self.unended {
            self.file.write_all(b"\n").map_err(none)?;
            self.unended = false;
            self.size += 1;
        }
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return Err(self.cut(lines, written, io::ErrorKind::WriteZero.into())),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.cut(lines, written, error)),
            }
        }
        self.size += lines.len() as u64;
        Ok(())
    }

    /// Takes the half line back that a failed write left.
    fn cut(&mut self, lines: &[u8], written: usize, source: io::Error) -> Cut {
        let lines = lines.get(..written).unwrap_or(lines);
        let whole = lines
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let length = self.size + whole as u64;
        if self.file.set_len(length).is_err() {
            self.cut_to = Some(length);
        }
        self.size = length;
        Cut { whole, source }
    }

    /// Takes note of a record that was written.
    pub(super) fn note(&mut self, seq: u64, time: Time) {
        if let Some(span) = &mut self.span {
            span.note(seq, time);
        }
    }

    pub(super) fn wants_rotation(&self, more: usize) -> bool {
        self.size > 0 && self.size.saturating_add(more as u64) > self.settings.rotate_bytes
    }

    /// Moves every file one number up and begins a new one. When that fails in the middle, the
    /// log goes on in the file that is open. Says what the old file holds, if that is known.
    pub(super) fn rotate(&mut self) -> io::Result<Option<Before>> {
        let span = self
            .span
            .or_else(|| Span::read(&self.settings.file, &self.file, self.size));
        // When the last rotation got no further than moving the files, they stay where they are.
        if self.is_in_place() {
            self.move_up()?;
        }
        self.begin()?;
        Ok(span.and_then(Span::before))
    }

    /// Frees the path of the log. Files move up to the first free number only, so that a rotation
    /// that fails again and again pushes none out.
    fn move_up(&self) -> io::Result<()> {
        let Settings { file, keep, .. } = &self.settings;
        if *keep == 0 {
            return fs::remove_file(file);
        }
        let free = (1..*keep).find(|number| !rotated(file, *number).exists());
        for number in (0..free.unwrap_or(*keep)).rev() {
            fs::rename(rotated(file, number), rotated(file, number + 1))?;
        }
        Ok(())
    }

    /// Whether the open file is still the one at its path.
    pub(super) fn is_in_place(&self) -> bool {
        let here = self.file.metadata();
        let there = fs::symlink_metadata(&self.settings.file);
        match (here, there) {
            (Ok(here), Ok(there)) => here.ino() == there.ino() && here.dev() == there.dev(),
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
            _ => true,
        }
    }

    /// Begins a new file at the path of the log, where there must be none.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        let file = open(&self.settings, true)?;
        lock(&file)?;
        self.file = file;
        self.size = 0;
        self.cut_to = None;
        self.unended = false;
        self.span = Some(Span::default());
        Ok(())
    }

    /// Puts the head file in place, whole or not at all.
    pub(super) fn save_head(&self, head: Head) -> io::Result<()> {
        let path = with_suffix(&self.settings.file, ".head");
        let fresh = with_suffix(&self.settings.file, ".head.new");
        let text = serde_json::to_string(&HeadFile {
            seq: head.seq,
            hash: head.hash,
        })?;
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        fs::rename(fresh, path)
    }
}

/// Makes the directory of the log, when only that is missing.
fn make_directory(path: &Path, settings: &Settings) -> Result<(), OpenError> {
    if path.exists() {
        return Ok(());
    }
    trust::check(directory(path), &settings.trusted)?;
    let made = DirBuilder::new().mode(0o750).create(path);
    made.map_err(|source| OpenError::Io {
        call: "make the directory of",
        path: settings.file.clone(),
        source,
    })?;
    give_to_group(settings.gid, |gid| chown(path, None, Some(gid)));
    Ok(())
}

/// Without `CAP_CHOWN` the group reads through the control socket.
fn give_to_group(gid: Option<u32>, chown: impl FnOnce(u32) -> io::Result<()>) {
    if let Some(gid) = gid
        && let Err(error) = chown(gid)
    {
        tracing::debug!(%error, gid, "the audit log keeps its group");
    }
}

fn open(settings: &Settings, fresh: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .create_new(fresh)
        .mode(0o640)
        .custom_flags(flags.bits().cast_signed())
        .open(&settings.file)?;
    give_to_group(settings.gid, |gid| fchown(&file, None, Some(gid)));
    Ok(file)
}

/// One writer for one log.
fn lock(file: &File) -> io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)
}

fn previous(path: &Path) -> io::Result<Tail> {
    match File::open(rotated(path, 1)) {
        Ok(file) => tail::read(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tail::default()),
        Err(error) => Err(error),
    }
}

/// What the end of a log lacks, by itself and by the head file.
fn gap(tail: &Tail, known: Option<Head>) -> Option<Gap> {
    let last = tail.head.map_or(0, |head| head.seq);
    let missing = known.map_or(0, |known| known.seq.saturating_sub(last));
    if tail.torn_hash.is_none() && missing == 0 {
        return None;
    }
    Some(Gap {
        torn_bytes: tail.torn_bytes,
        torn_hash: tail.torn_hash,
        missing,
    })
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
