//! Confirmations: a person lets one call of one tool through, within a minute.
//!
//! A confirmation is an empty file in a directory that only its user can write. Its name binds it
//! to a class (the name of a tool), its time bounds it, and taking it is one rename, so that two
//! calls cannot use the same. In a session under the guard the directory is hidden or cannot be
//! written, so that an agent cannot confirm its own calls; without a daemon nothing keeps it from
//! that, and the hook says so.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};

use super::{Class, Judgement, Verdict};

/// Where confirmations for a daemon are, below its runtime directory: only root can write there.
pub const DIRECTORY: &str = "confirm";
/// How long a confirmation waits to be used.
pub const LIFETIME: Duration = Duration::from_mins(1);
/// Files that are looked at: more is somebody's mistake.
const MOST: usize = 4096;

/// Why confirmations cannot be given or taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    #[error("cannot {what} `{path}`")]
    Io {
        what: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("`{0}` can be written by others: chmod 700 it, and make it your own")]
    Untrusted(String),
}

/// Confirms the next call of `class`.
pub fn give(dir: &Path, class: &str) -> Result<(), ConfirmError> {
    let fail = |what, path: &Path| {
        let path = path.display().to_string();
        move |source| ConfirmError::Io { what, path, source }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(fail("make", dir))?;
    check(dir)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| fail("name a file in", dir)(io::Error::other(error.to_string())))?;
    let path = dir.join(format!("{}.{}", hex(&random), tag(class)));
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(fail("write", &path))?;
    Ok(())
}

/// Takes a confirmation of `class` that is not older than [`LIFETIME`]; whether there was one.
/// Old ones are removed on the way.
pub fn take(dir: &Path, class: &str, now: SystemTime) -> Result<bool, ConfirmError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => {
            let path = dir.display().to_string();
            return Err(ConfirmError::Io {
                what: "read",
                path,
                source,
            });
        }
        Ok(entries) => entries,
    };
    check(dir)?;
    let ending = format!(".{}", tag(class));
    for entry in entries.take(MOST).flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with("used-")) else {
            continue;
        };
        let Ok(meta) = entry.metadata() else { continue };
        let age = meta.modified().ok().map(|made| now.duration_since(made));
        // A time to come is no time: a clock was set back, or somebody wrote it.
        let is_fresh = matches!(age, Some(Ok(age)) if age <= LIFETIME);
        let is_plain = meta.is_file() && meta.uid() == rustix::process::geteuid().as_raw();
        if !is_fresh && is_plain {
            // Somebody else may have removed it; both are well.
            drop(fs::remove_file(entry.path()));
        }
        if !is_fresh || !is_plain || !name.ends_with(&ending) {
            continue;
        }
        // Whoever renames it first has it.
        let used = dir.join(format!("used-{name}"));
        if fs::rename(entry.path(), &used).is_ok() {
            drop(fs::remove_file(&used));
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lets a judgement through that only waits for a confirmation, when there is one.
pub fn settle(judgement: Judgement, tool: &str, dir: &Path, now: SystemTime) -> Judgement {
    let is_waiting = judgement.class == Class::Confirm || judgement.verdict == Verdict::Ask;
    if !is_waiting || judgement.verdict == Verdict::Allow {
        return judgement;
    }
    match take(dir, tool, now) {
        Ok(true) => Judgement {
            verdict: Verdict::Allow,
            reason: None,
            text: String::new(),
            ..judgement
        },
        Ok(false) => judgement,
        Err(error) => Judgement {
            text: format!("{} (no confirmation can be read: {error})", judgement.text),
            ..judgement
        },
    }
}

fn check(dir: &Path) -> Result<(), ConfirmError> {
    let text = || dir.display().to_string();
    let meta = fs::symlink_metadata(dir).map_err(|source| ConfirmError::Io {
        what: "look at",
        path: text(),
        source,
    })?;
    let is_own = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw();
    if is_own && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(ConfirmError::Untrusted(text()))
}

/// A class as part of the name of a file.
fn tag(class: &str) -> String {
    let digest = Sha256::digest(class);
    hex(digest.get(..16).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn dir(&self) -> std::path::PathBuf {
            self.0.path().join("confirm")
        }

        fn take_after(&self, class: &str, seconds: u64) -> bool {
            let made = fs::read_dir(self.dir()).unwrap().flatten().next();
            let made = made.map_or_else(
                || fs::metadata(self.dir()).unwrap().modified().unwrap(),
                |entry| entry.metadata().unwrap().modified().unwrap(),
            );
            take(&self.dir(), class, made + Duration::from_secs(seconds)).unwrap()
        }
    }

    #[test]
    fn a_confirmation_is_used_once() {
        let world = World::new();
        give(&world.dir(), "mcp__x__merge").unwrap();
        assert!(world.take_after("mcp__x__merge", 1));
        assert!(!world.take_after("mcp__x__merge", 1));
    }

    #[test]
    fn it_is_bound_to_its_class_and_to_its_minute() {
        let world = World::new();
        give(&world.dir(), "mcp__x__merge").unwrap();
        assert!(!world.take_after("mcp__x__push", 1));
        assert!(!world.take_after("mcp__x__merge", 61));
        assert!(!world.take_after("mcp__x__merge", 0), "it was removed");
        give(&world.dir(), "mcp__x__merge").unwrap();
        let early = SystemTime::now() - Duration::from_hours(1);
        assert!(!take(&world.dir(), "mcp__x__merge", early).unwrap());
    }

    #[test]
    fn of_many_takers_one_has_it() {
        let world = World::new();
        give(&world.dir(), "c").unwrap();
        let made = fs::metadata(world.dir()).unwrap().modified().unwrap();
        let now = made + Duration::from_secs(1);
        let dir = world.dir();
        let takers: Vec<_> = (0..16)
            .map(|_| {
                let dir = dir.clone();
                std::thread::spawn(move || take(&dir, "c", now).unwrap())
            })
            .collect();
        let had = takers.into_iter().map(|taker| taker.join().unwrap());
        assert_eq!(had.filter(|had| *had).count(), 1);
    }

    #[test]
    fn a_directory_that_others_write_is_not_believed() {
        use std::os::unix::fs::PermissionsExt as _;
        let world = World::new();
        give(&world.dir(), "c").unwrap();
        fs::set_permissions(world.dir(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = take(&world.dir(), "c", SystemTime::now()).unwrap_err();
        assert!(matches!(error, ConfirmError::Untrusted(_)));
        assert!(!take(&world.0.path().join("gone"), "c", SystemTime::now()).unwrap());
    }
}
