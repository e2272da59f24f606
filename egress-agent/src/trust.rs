//! Who could change a file: decides whether a path may be relied on.
//!
//! A policy or a log that somebody else can write is none. [`check`] walks a path from `/`,
//! symbolic links included, and refuses it when the file or any directory on the way belongs to
//! somebody who is not trusted, or may be written by a group or by others. In a sticky directory
//! such as `/tmp` others may add entries but not replace those of root, so it is no obstacle to
//! what root already has below it. POSIX ACLs need no look of their own: the group bits are
//! their mask.
//!
//! It does not know mounts, and says nothing about who can read.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

/// Whose write access is no danger. Root's never is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trusted {
    pub uids: Vec<u32>,
    pub gids: Vec<u32>,
}

/// One name on the way from `/` to a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub path: PathBuf,
    pub kind: StepKind,
    pub uid: u32,
    pub gid: u32,
    /// Permission bits, `0o7777`.
    pub mode: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepKind {
    Directory,
    Link,
    /// Anything else.
    File,
}

/// Why a path cannot be relied on. The text ends with the command that mends it.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    #[error("`{}` belongs to uid {uid}, who could change it: `chown root:root {}`", .path.display(), Quoted(.path))]
    Owner { path: PathBuf, uid: u32 },
    #[error("`{}` can be written by {who}: `chmod {}-w {}`", .path.display(), .who.letter(), Quoted(.path))]
    Writable { path: PathBuf, who: Who },
    #[error("`{}` passes through more than {LINKS} symbolic links: name the file itself", .0.display())]
    Links(PathBuf),
    #[error("cannot look at `{}`: check that it exists", .path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Group(u32),
    Others,
}

/// As many as the kernel follows (`path_resolution(7)`).
const LINKS: usize = 40;
const STICKY: u32 = 0o1000;

/// Walks `path`, which must exist, and judges every step.
pub fn check(path: &Path, trusted: &Trusted) -> Result<(), Untrusted> {
    let absolute = std::path::absolute(path).map_err(|source| Untrusted::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut left: VecDeque<OsString> = names(&absolute).collect();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    judge(&look(&at)?, trusted)?;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(name);
        let step = look(&at)?;
        judge(&step, trusted)?;
        if step.kind != StepKind::Link {
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(Untrusted::Links(path.to_owned()));
        }
        let target = std::fs::read_link(&at).map_err(|source| Untrusted::Io {
            path: at.clone(),
            source,
        })?;
        at.pop();
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            left.push_front(name);
        }
    }
    Ok(())
}

/// Says whether one step is safe, given that all steps above it are.
pub fn judge(step: &Step, trusted: &Trusted) -> Result<(), Untrusted> {
    let Step {
        path,
        kind,
        uid,
        gid,
        mode,
    } = step;
    if *uid != 0 && !trusted.uids.contains(uid) {
        return Err(Untrusted::Owner {
            path: path.clone(),
            uid: *uid,
        });
    }
    // A link has no permissions of its own, and in a sticky directory only an owner replaces.
    let sticky = *kind == StepKind::Directory && mode & STICKY != 0;
    if *kind == StepKind::Link || sticky {
        return Ok(());
    }
    let who = if mode & 0o002 != 0 {
        Who::Others
    } else if mode & 0o020 != 0 && *gid != 0 && !trusted.gids.contains(gid) {
        Who::Group(*gid)
    } else {
        return Ok(());
    };
    Err(Untrusted::Writable {
        path: path.clone(),
        who,
    })
}

fn look(path: &Path) -> Result<Step, Untrusted> {
    let metadata = std::fs::symlink_metadata(path).map_err(|source| Untrusted::Io {
        path: path.to_owned(),
        source,
    })?;
    let kind = if metadata.is_dir() {
        StepKind::Directory
    } else if metadata.is_symlink() {
        StepKind::Link
    } else {
        StepKind::File
    };
    Ok(Step {
        path: path.to_owned(),
        kind,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: metadata.mode() & 0o7777,
    })
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

impl Who {
    fn letter(self) -> char {
        match self {
            Self::Group(_) => 'g',
            Self::Others => 'o',
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(gid) => write!(f, "group {gid}"),
            Self::Others => f.write_str("everybody"),
        }
    }
}

/// A path as a shell reads it.
struct Quoted<'a>(&'a Path);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.display().to_string();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
        if text.chars().all(plain) {
            f.write_str(&text)
        } else {
            write!(f, "'{}'", text.replace('\'', r"'\''"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, chown, symlink},
    };

    use super::*;

    fn step(kind: StepKind, uid: u32, gid: u32, mode: u32) -> Step {
        Step {
            path: "/etc/egressd/policy.json".into(),
            kind,
            uid,
            gid,
            mode,
        }
    }

    #[track_caller]
    fn check_step(step: &Step, expected: Option<&str>) {
        let trusted = Trusted {
            uids: vec![900],
            gids: vec![901],
        };
        let got = judge(step, &trusted).err().map(|error| error.to_string());
        assert_eq!(got.as_deref(), expected, "{step:?}");
    }

    #[test]
    fn each_step_is_judged_by_owner_and_mode() {
        use StepKind::{Directory, File, Link};
        check_step(&step(File, 0, 0, 0o644), None);
        check_step(&step(File, 0, 0, 0o660), None);
        check_step(&step(File, 900, 0, 0o600), None);
        check_step(&step(File, 0, 901, 0o660), None);
        check_step(&step(Link, 0, 0, 0o777), None);
        check_step(&step(Directory, 0, 0, 0o1777), None);
        check_step(
            &step(File, 1000, 0, 0o600),
            Some(
                "`/etc/egressd/policy.json` belongs to uid 1000, who could change it: `chown root:root /etc/egressd/policy.json`",
            ),
        );
        check_step(
            &step(Link, 1000, 0, 0o777),
            Some(
                "`/etc/egressd/policy.json` belongs to uid 1000, who could change it: `chown root:root /etc/egressd/policy.json`",
            ),
        );
        check_step(
            &step(Directory, 0, 4, 0o775),
            Some(
                "`/etc/egressd/policy.json` can be written by group 4: `chmod g-w /etc/egressd/policy.json`",
            ),
        );
        check_step(
            &step(File, 0, 0, 0o646),
            Some(
                "`/etc/egressd/policy.json` can be written by everybody: `chmod o-w /etc/egressd/policy.json`",
            ),
        );
        check_step(
            &step(File, 0, 0, 0o1666),
            Some(
                "`/etc/egressd/policy.json` can be written by everybody: `chmod o-w /etc/egressd/policy.json`",
            ),
        );
    }

    #[test]
    fn the_mending_command_survives_a_shell() {
        assert_eq!(
            Quoted(Path::new("/a b/it's")).to_string(),
            r"'/a b/it'\''s'"
        );
    }

    #[test]
    fn the_whole_way_is_walked() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        fs::create_dir(&below).unwrap();
        let file = below.join("policy.json");
        fs::write(&file, "{}").unwrap();
        check(&file, &Trusted::default()).unwrap();

        chown(&below, Some(1000), None).unwrap();
        let error = check(&file, &Trusted::default()).unwrap_err();
        assert!(matches!(&error, Untrusted::Owner { path, uid: 1000 } if *path == below));
        let user = Trusted {
            uids: vec![1000],
            gids: vec![],
        };
        check(&file, &user).unwrap();
        chown(&below, Some(0), None).unwrap();

        fs::set_permissions(&below, fs::Permissions::from_mode(0o777)).unwrap();
        let error = check(&file, &Trusted::default()).unwrap_err();
        assert!(matches!(&error, Untrusted::Writable { path, who: Who::Others } if *path == below));
    }

    #[test]
    fn a_link_is_followed_to_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::write(open.join("policy.json"), "{}").unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let link = dir.path().join("link.json");
        symlink("open/../open/policy.json", &link).unwrap();
        let error = check(&link, &Trusted::default()).unwrap_err();
        assert!(
            matches!(&error, Untrusted::Writable { path, .. } if *path == open),
            "{error}"
        );

        let ring = dir.path().join("ring");
        symlink(&ring, &ring).unwrap();
        assert!(matches!(
            check(&ring, &Trusted::default()),
            Err(Untrusted::Links(_))
        ));
        let nowhere = dir.path().join("nowhere");
        assert!(matches!(
            check(&nowhere, &Trusted::default()),
            Err(Untrusted::Io { .. })
        ));
    }
}
