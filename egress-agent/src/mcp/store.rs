//! The file in which the tools of a server are kept: written whole or not at all, and not believed
//! when others could have written it.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{drift::Ledger, inventory::Store};
use crate::trust::{self, Trusted};

/// Bytes of the longest file.
const LONGEST: u64 = 16 << 20;

/// A file with the ledger of one server.
#[derive(Clone, Debug)]
pub struct FileStore(pub PathBuf);

impl Store for FileStore {
    fn load(&self) -> Result<Option<Ledger>, String> {
        let Self(path) = self;
        let shown = path.display();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read `{shown}`: {error}")),
        };
        trust::check(path, &trusted()).map_err(|error| error.to_string())?;
        let mut text = String::new();
        file.take(LONGEST)
            .read_to_string(&mut text)
            .map_err(|error| format!("cannot read `{shown}`: {error}"))?;
        let ledger: Ledger = serde_json::from_str(&text).map_err(|error| {
            format!("`{shown}` is not what the guard has written ({error}): look at it, remove it")
        })?;
        if !ledger.is_known_version() {
            return Err(format!(
                "`{shown}` is of another release of egressd: remove it, or use that release"
            ));
        }
        Ok(Some(ledger))
    }

    fn save(&self, ledger: &Ledger) -> Result<(), String> {
        let Self(path) = self;
        let shown = path.display();
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or_else(|| Path::new("."));
        let fail = |error: io::Error| format!("cannot write `{shown}`: {error}");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(fail)?;
        trust::check(directory, &trusted()).map_err(|error| error.to_string())?;
        let text = serde_json::to_string_pretty(ledger).map_err(io::Error::other);
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(format!(".new-{}", std::process::id()));
        let fresh = PathBuf::from(fresh);
        let written = text.and_then(|text| {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&fresh, path)
        });
        written.map_err(|error| {
            // Nothing may be there to remove.
            drop(fs::remove_file(&fresh));
            fail(error)
        })
    }
}

/// The file of a server among those of this user: below `$XDG_STATE_HOME`, by default
/// `~/.local/state`.
pub fn path(server: &str) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|state| state.is_absolute());
    let state = state.or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("egressd/mcp").join(file_name(server)))
}

/// Names of servers are anything; names of files are not.
fn file_name(server: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut name = String::new();
    for byte in server.bytes().take(100) {
        if plain(byte) {
            name.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
            name.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    name + ".json"
}

fn trusted() -> Trusted {
    Trusted {
        uids: vec![rustix::process::geteuid().as_raw()],
        gids: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_ledger_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore(dir.path().join("a/b/s.json"));
        assert_eq!(store.load(), Ok(None));
        let ledger = Ledger::new("s");
        store.save(&ledger).unwrap();
        store.save(&ledger).unwrap();
        assert_eq!(store.load(), Ok(Some(ledger)));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.0), 0o600);
        assert_eq!(mode(store.0.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(store.0.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_could_write_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore(dir.path().join("s.json"));
        store.save(&Ledger::new("s")).unwrap();
        fs::set_permissions(&store.0, fs::Permissions::from_mode(0o666)).unwrap();
        let error = store.load().unwrap_err();
        assert!(error.contains("can be written by"), "{error}");
        fs::set_permissions(&store.0, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(store.load().is_err());
        assert!(store.save(&Ledger::new("s")).is_err());
    }

    #[test]
    fn what_is_no_ledger_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore(dir.path().join("s.json"));
        fs::write(&store.0, "{}").unwrap();
        fs::set_permissions(&store.0, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(
            store
                .load()
                .unwrap_err()
                .contains("is not what the guard has written")
        );
    }

    #[test]
    fn any_name_of_a_server_is_one_file() {
        assert_eq!(file_name("git-hub_1"), "git-hub_1.json");
        assert_eq!(file_name("../a b"), "%2e%2e%2fa%20b.json");
        assert!(file_name(&"\u{e4}".repeat(1000)).len() < 700);
    }
}
