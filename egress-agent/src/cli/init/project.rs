//! A look at a project: names of files in its top two levels, and the remotes of its repository.
//!
//! The project is somebody else's text. Symbolic links are not followed, special files are not
//! opened, and how much is read is bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, open, openat2, statat},
};
use serde::{Deserialize, Serialize};

use super::{
    ecosystem,
    remote::{self, Remote, remotes},
};

/// Entries of one directory, and directories of the second level, that are looked at.
const MOST_ENTRIES: usize = 4096;
const MOST_DIRECTORIES: usize = 256;
/// Of `.git/config`, in bytes.
const LONGEST: u64 = 256 << 10;
/// What others wrote, and what is too large to be the project's own.
const SKIPPED: [&str; 6] = ["node_modules", "vendor", "target", "dist", "build", "venv"];

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Project {
    /// The profile of each ecosystem, and the file that shows it.
    pub(super) ecosystems: BTreeMap<String, String>,
    pub(super) remotes: BTreeSet<Remote>,
}

impl Project {
    pub(in crate::cli) fn look(place: &Path) -> io::Result<Self> {
        let root = open(
            place,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut found = Self::default();
        let (files, directories) = entries(&root)?;
        for file in &files {
            found.take(file);
        }
        for directory in directories.iter().take(MOST_DIRECTORIES) {
            // One that went away or may not be read shows nothing.
            let Ok(inner) = inside(&root, directory, OFlags::DIRECTORY) else {
                continue;
            };
            let Ok((files, _)) = entries(&inner) else {
                continue;
            };
            for file in files {
                found.take(&format!("{directory}/{file}"));
            }
        }
        found.remotes = config(&root).map(|text| remotes(&text)).unwrap_or_default();
        Ok(found)
    }

    /// Without what no look finds: the answer of a child may be made up.
    pub(super) fn sound(mut self) -> Self {
        let remotes = self.remotes.into_iter().filter(Remote::is_sound);
        self.remotes = remotes.take(remote::MOST).collect();
        let is_known = |profile: &String| ecosystem::ALL.iter().any(|one| one.profile == profile);
        self.ecosystems.retain(|profile, _| is_known(profile));
        self
    }

    fn take(&mut self, file: &str) {
        if let Some(ecosystem) = ecosystem::of_file(file) {
            let profile = ecosystem.profile.to_owned();
            self.ecosystems
                .entry(profile)
                .or_insert_with(|| file.to_owned());
        }
    }
}

/// Plain files and directories that are worth a look, by name.
fn entries(directory: &OwnedFd) -> io::Result<(Vec<String>, Vec<String>)> {
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for entry in Dir::read_from(directory)?.take(MOST_ENTRIES) {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        // Some file systems do not say.
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            match statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => kind = FileType::from_raw_mode(found.st_mode),
                Err(_gone) => continue,
            }
        }
        if kind == FileType::RegularFile {
            files.push(name.to_owned());
        } else if kind == FileType::Directory && !name.starts_with('.') && !SKIPPED.contains(&name)
        {
            directories.push(name.to_owned());
        }
    }
    files.sort();
    directories.sort();
    Ok((files, directories))
}

/// Opens what lies below a directory, and nothing that a link leads to.
fn inside(directory: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Ok(openat2(directory, path, flags, Mode::empty(), resolve)?)
}

fn config(root: &OwnedFd) -> Option<String> {
    let file = File::from(inside(root, ".git/config", OFlags::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn two_levels_are_looked_at_and_links_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, "package-lock.json", "{}");
        write(root, "api/uv.lock", "");
        write(root, "a/b/Cargo.lock", "");
        write(root, "node_modules/go.mod", "");
        write(root, ".cache/pom.xml", "");
        write(
            root,
            ".git/config",
            "[remote \"o\"]\nurl = git@git.example.com:a\n",
        );
        write(elsewhere.path(), "Gemfile.lock", "");
        symlink(elsewhere.path(), root.join("linked")).unwrap();
        symlink(elsewhere.path().join("Gemfile.lock"), root.join("Gemfile")).unwrap();
        let found = Project::look(root).unwrap();
        let shown: Vec<(&str, &str)> = found
            .ecosystems
            .iter()
            .map(|(profile, file)| (profile.as_str(), file.as_str()))
            .collect();
        assert_eq!(
            shown,
            [("node", "package-lock.json"), ("python", "api/uv.lock")]
        );
        assert_eq!(found.remotes.len(), 1);
    }

    #[test]
    fn a_configuration_behind_a_link_or_a_pipe_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(
            elsewhere.path(),
            "config",
            "[remote \"o\"]\nurl = git@git.example.com:a\n",
        );
        symlink(elsewhere.path(), root.join(".git")).unwrap();
        assert!(Project::look(root).unwrap().remotes.is_empty());
        fs::remove_file(root.join(".git")).unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        symlink(elsewhere.path().join("config"), root.join(".git/config")).unwrap();
        assert!(Project::look(root).unwrap().remotes.is_empty());
        fs::remove_file(root.join(".git/config")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join(".git/config"),
            FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(Project::look(root).unwrap().remotes.is_empty());
        assert!(Project::look(&root.join("nothing")).is_err());
    }
}
