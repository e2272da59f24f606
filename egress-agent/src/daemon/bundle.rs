//! The certificates that sessions are to trust while TLS is opened: those of the system and the
//! local CA's, in one file that everybody may read.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use crate::proxy::open::Opener;

/// Writes the file, whole or not at all; takes it away where no TLS is opened.
pub(super) fn keep(path: &Path, opener: Option<&Opener>) -> io::Result<()> {
    let Some(opener) = opener else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    }
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&fresh)?;
    file.write_all(opener.bundle().as_bytes())?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    fs::rename(&fresh, path)
}
