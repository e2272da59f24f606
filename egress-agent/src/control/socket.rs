//! Makes the socket that the daemon listens on: at no moment with wider permissions than it ends
//! with, and never in the place of a daemon that still answers.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use super::group_id;
use crate::trust::{self, Trusted, Untrusted};

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("another egressd answers at `{}`: stop it first", .0.display())]
    InUse(PathBuf),
    #[error("`{}` is there and is no socket: move it away", .0.display())]
    NotASocket(PathBuf),
    #[error("the control socket cannot be kept safe")]
    Untrusted(#[from] Untrusted),
    #[error("cannot {call} `{}`", .path.display())]
    Io {
        call: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Listens at `path`: mode 0660, root and the group [`super::GROUP`] where that exists. Makes the
/// directory, replaces the socket of a daemon that is gone.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !directory.exists() {
        let made = DirBuilder::new()
            .mode(0o755)
            .recursive(true)
            .create(directory);
        made.map_err(fail("make the directory", directory))?;
    }
    trust::check(directory, &Trusted::default())?;
    refuse_occupied(path)?;
    // Nobody else can enter this directory, so nobody connects before the permissions are right.
    let private = directory.join(format!(".control-{}", std::process::id()));
    remove_leftovers(&private);
    let made = DirBuilder::new().mode(0o700).create(&private);
    made.map_err(fail("make the directory", &private))?;
    let listener = bind_within(&private, path);
    remove_leftovers(&private);
    listener
}

fn refuse_occupied(path: &Path) -> Result<(), BindError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(fail("look at", path)(source)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(fail("ask who listens at", path)(source)),
    }
}

fn bind_within(private: &Path, path: &Path) -> Result<UnixListener, BindError> {
    let fresh = private.join("s");
    let listener = UnixListener::bind(&fresh).map_err(fail("listen at", path))?;
    chown(&fresh, Some(0), Some(group_id().unwrap_or(0)))
        .map_err(fail("set the group of", path))?;
    let mode = fs::set_permissions(&fresh, Permissions::from_mode(0o660));
    mode.map_err(fail("set the mode of", path))?;
    listener
        .set_nonblocking(true)
        .map_err(fail("listen at", path))?;
    fs::rename(&fresh, path).map_err(fail("put in place", path))?;
    Ok(listener)
}

fn remove_leftovers(private: &Path) {
    for gone in [fs::remove_file(private.join("s")), fs::remove_dir(private)] {
        if let Err(error) = gone
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, path = %private.display(), "a leftover stays");
        }
    }
}

fn fail(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BindError {
    let path = path.to_owned();
    move |source| BindError::Io { call, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_socket_has_its_mode_and_leaves_nothing_else_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/control.sock");
        let listener = bind(&path).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o660));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(matches!(bind(&path), Err(BindError::InUse(_))));
        drop(listener);
        bind(&path).unwrap();
    }

    #[test]
    fn nothing_but_a_dead_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&path), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(bind(&path), Err(BindError::Untrusted(_))));
    }
}
