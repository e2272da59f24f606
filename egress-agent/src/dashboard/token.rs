//! The token: 256 random bits, made anew at every start and kept in memory and in one file.

use std::{
    fmt, fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// The name of its file, beside the control socket.
pub const FILE: &str = "dashboard.token";
/// Bytes.
const LENGTH: usize = 32;

/// A secret. It is not printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// What can tell the token from anything else, and cannot tell it.
#[derive(Clone, Debug)]
pub struct Check([u8; 32]);

impl Token {
    pub fn make() -> io::Result<Self> {
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// For the one who may look.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn check(&self) -> Check {
        Check(digest(self.0.as_bytes()))
    }

    /// Writes the token into `directory`, where root alone can read it: who is in the group of
    /// the control socket asks there, and is told when it is not a guarded process that asks.
    pub fn keep(&self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join(FILE);
        let new = directory.join(format!(".{FILE}-{}", std::process::id()));
        let written = write(&new, &self.0).and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            // What cannot be removed was never made.
            drop(fs::remove_file(&new));
        }
        written.map(|()| path)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Check {
    /// Whether this is the token. Takes as long for any other: what is compared are digests, and
    /// all of them.
    pub fn fits(&self, given: &[u8]) -> bool {
        let pairs = self.0.iter().zip(digest(given));
        pairs.fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // Left by a daemon of the same number that was killed.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn only_the_token_fits() {
        let token = Token::make().unwrap();
        let check = token.check();
        assert_eq!(token.reveal().len(), 43);
        assert!(check.fits(token.reveal().as_bytes()));
        let other = Token::make().unwrap();
        let padded = format!("{}=", token.reveal());
        let shorter = token.reveal().get(1..).unwrap();
        for wrong in ["", "x", other.reveal(), &padded, shorter] {
            assert!(!check.fits(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn its_file_is_for_root_alone_and_replaces_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let token = Token::make().unwrap();
            let path = token.keep(dir.path()).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{}\n", token.reveal()));
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
