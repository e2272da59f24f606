//! The kernel's file rules: what a session can never write, whatever its uid, and which UNIX
//! sockets of others it can reach.
//!
//! Handled are the rights that change files, so that reading needs no grant. Granted is
//! everything but the control files of cgroups, what is pinned, and the files of egressd. Since
//! ABI 6 abstract UNIX sockets of processes outside are out of reach, since ABI 9 those in the
//! file system too: only the listed ones and the control socket are granted. Sockets that the
//! session makes itself are always within reach.
//!
//! # Known gaps
//! Signals to processes outside are not restricted: a shell must be able to stop its parent.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use landlock::{
    ABI, AccessFs, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{
    carve::{Entry, Kind, carve, split},
    mounts,
};
use crate::control::confinement::Confinement;

/// Why a session has no file rules.
#[derive(Debug, thiserror::Error)]
pub(super) enum LandlockError {
    #[error("the kernel has no Landlock (it is part of Linux since 5.13)")]
    NotBuilt,
    #[error("the kernel has Landlock switched off: add `landlock` to the boot parameter `lsm=`")]
    NotEnabled,
    #[error("look at the mounts")]
    Mounts(#[source] std::io::Error),
    #[error("make the file rules")]
    Rules(#[from] RulesetError),
}

/// Puts the rules on this thread and all that it becomes. Says how far they go.
pub(super) fn apply(confinement: &Confinement) -> Result<String, LandlockError> {
    let mounts = mounts::read().map_err(LandlockError::Mounts)?;
    let control = mounts::control_files(&mounts).map(Path::to_path_buf);
    let own = confinement
        .protected
        .iter()
        .filter_map(|path| path.canonicalize().ok());
    let is_root = rustix::process::geteuid().is_root();
    let mut is_writable = |path: &Path| is_writable(path, is_root);
    let (protected, _left) = split(control.chain(own), &mut is_writable);

    let mut ruleset = Ruleset::default().handle_access(handled())?;
    if !confinement.has_abstract() {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    let mut ruleset = ruleset.create()?;
    for (path, kind) in carve(&protected, &mut list) {
        ruleset = grant(ruleset, &path, granted(kind))?;
    }
    for path in confinement.socket_paths().chain([&confinement.runtime_dir]) {
        ruleset = grant(ruleset, path, AccessFs::ResolveUnix.into())?;
    }
    let status = ruleset.restrict_self()?;
    match (status.landlock, status.ruleset) {
        (LandlockStatus::NotImplemented, _) => Err(LandlockError::NotBuilt),
        (LandlockStatus::NotEnabled, _) | (_, RulesetStatus::NotEnforced) => {
            Err(LandlockError::NotEnabled)
        }
        (LandlockStatus::Available { effective_abi, .. }, _) => {
            Ok(words(effective_abi, confinement.has_abstract()))
        }
    }
}

/// Every right that changes files, and the way to UNIX sockets. What devices are told is left
/// out: terminals need it.
fn handled() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V9) & !BitFlags::from(AccessFs::IoctlDev)
}

fn granted(kind: Kind) -> BitFlags<AccessFs> {
    let writes = handled() & !BitFlags::from(AccessFs::ResolveUnix);
    match kind {
        Kind::Directory => writes,
        Kind::File | Kind::Link => writes & AccessFs::from_file(ABI::V9),
    }
}

/// A place that is gone, or that this user cannot look at, gets no grant and needs none.
fn grant(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(place) => ruleset.add_rule(PathBeneath::new(place, access)),
        Err(_) => Ok(ruleset),
    }
}

fn list(directory: &Path) -> Vec<Entry> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let entry = |entry: fs::DirEntry| {
        let kind = entry.file_type().ok()?;
        let kind = if kind.is_symlink() {
            Kind::Link
        } else if kind.is_dir() {
            Kind::Directory
        } else {
            Kind::File
        };
        let name = entry.file_name();
        Some(Entry { name, kind })
    };
    entries.flatten().filter_map(entry).collect()
}

/// Whether the session makes files there. Root does so everywhere; a place that is open to all
/// must stay open to it too.
fn is_writable(path: &Path, is_root: bool) -> bool {
    if is_root {
        return fs::metadata(path).is_ok_and(|there| there.permissions().mode() & 0o002 != 0);
    }
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// `ABI 7`, and what that leaves open.
fn words(abi: ABI, has_abstract: bool) -> String {
    let number = abi as i32;
    if has_abstract {
        format!("ABI {number}, without abstract sockets: the policy lists one")
    } else if abi < ABI::V6 {
        format!("ABI {number}, which cannot hold abstract sockets")
    } else {
        format!("ABI {number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_devices_are_not_handled() {
        assert!(!handled().intersects(AccessFs::from_read(ABI::V9)));
        assert!(!handled().contains(AccessFs::IoctlDev));
        assert!(handled().contains(AccessFs::ResolveUnix | AccessFs::Refer | AccessFs::Truncate));
        assert!(!granted(Kind::Directory).contains(AccessFs::ResolveUnix));
        assert_eq!(
            granted(Kind::File),
            AccessFs::WriteFile | AccessFs::Truncate
        );
    }

    #[test]
    fn the_words_name_what_is_left_open() {
        assert_eq!(words(ABI::V7, false), "ABI 7");
        assert_eq!(
            words(ABI::V3, false),
            "ABI 3, which cannot hold abstract sockets"
        );
        assert!(words(ABI::V7, true).contains("the policy lists one"));
    }
}
