//! The local certificate authority: what TLS is opened with.
//!
//! `egressctl ca init` makes a directory (mode 0700) with two files: `ca.key`, mode 0600, and
//! `ca.pem`, its certificate. Both belong to root, and a key that anybody else can read or change
//! is not used. Sessions never read there: the daemon writes the certificate to where they do.
//!
//! The authority lasts ten years. Whoever can read its key is root, and needs none; a new one
//! every year would only break what was told to trust the old one. What it signs lasts a week and
//! is signed anew each day, with one key that lives in memory and goes with the daemon.

use std::{
    fmt,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    num::NonZeroUsize,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lru::LruCache;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    crypto::ring::sign::any_ecdsa_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::trust::{self, Trusted, Untrusted};

/// Where the authority is without another word.
pub const DIRECTORY: &str = "/etc/egressd/ca";

const KEY: &str = "ca.key";
const CERTIFICATE: &str = "ca.pem";

const DAY: Duration = Duration::from_hours(24);
/// How long an authority lasts.
const LIFE: Duration = Duration::from_secs(3650 * DAY.as_secs());
/// How long a certificate of a host lasts.
const LEAF_LIFE: Duration = Duration::from_secs(7 * DAY.as_secs());
/// Certificates of hosts that are kept. One is less than a kilobyte.
const KEPT: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Why there is no authority to be had. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error(
        "there is no local CA in {}: make one with `egressctl ca init --dir {}`, or take level `http` out of the policy",
        .0.display(), .0.display()
    )]
    Missing(PathBuf),
    #[error("{} is there already; `--force` makes a new CA, and what trusts the old one must be started again", .0.display())]
    Exists(PathBuf),
    #[error("the local CA cannot be relied on: {0}")]
    Untrusted(#[from] Untrusted),
    #[error("{} can be read by others (mode {mode:o}): `chmod 600 {}`, and better make a new CA with `egressctl ca init --force`", .path.display(), .path.display())]
    Readable { path: PathBuf, mode: u32 },
    #[error("{}: {why}; make a new CA with `egressctl ca init --force`", .path.display())]
    Unusable { path: PathBuf, why: String },
    #[error("{op} {}", .path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(
        "no certificates of the system were found ({0}): install `ca-certificates`, or name a bundle in SSL_CERT_FILE for egressd"
    )]
    NoRoots(String),
}

/// What `egressctl ca show` tells.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    pub subject: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
    /// RFC 3339.
    pub not_before: String,
    /// RFC 3339.
    pub not_after: String,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// An authority that is in use.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    end: SystemTime,
    /// Of every certificate that it signs.
    leaf_key: KeyPair,
    signing: Arc<dyn SigningKey>,
    leaves: Mutex<LruCache<String, Leaf>>,
}

#[derive(Clone)]
struct Leaf {
    key: Arc<CertifiedKey>,
    made: SystemTime,
}

/// Makes an authority in a directory, which is made as well. With `force` it takes the place of
/// one that is there.
pub fn init(directory: &Path, force: bool) -> Result<Shown, CaError> {
    let (key_path, certificate_path) = (directory.join(KEY), directory.join(CERTIFICATE));
    for path in [&key_path, &certificate_path] {
        if !force && path.symlink_metadata().is_ok() {
            return Err(CaError::Exists(path.clone()));
        }
    }
    make_directory(directory)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params_of_authority()?.self_signed(&key)?;
    write(&key_path, 0o600, key.serialize_pem().as_bytes())?;
    write(&certificate_path, 0o644, certificate.pem().as_bytes())?;
    show(directory)
}

/// What is known of the authority in a directory, from its certificate alone.
pub fn show(directory: &Path) -> Result<Shown, CaError> {
    let certificate = directory.join(CERTIFICATE);
    let (der, _) = read_certificate(directory)?;
    let parsed = parse(&certificate, &der)?;
    let time = |time: &x509_parser::time::ASN1Time| {
        jiff::Timestamp::from_second(time.timestamp())
            .map_or_else(|_| time.to_string(), |time| time.to_string())
    };
    Ok(Shown {
        subject: parsed.subject().to_string(),
        fingerprint: data_encoding::HEXLOWER.encode(&Sha256::digest(&der)),
        not_before: time(&parsed.validity().not_before),
        not_after: time(&parsed.validity().not_after),
        key: directory.join(KEY),
        certificate,
    })
}

impl Authority {
    /// Reads the authority of a directory, which must be one that only root can change, with a key
    /// that only root can read.
    pub fn load(directory: &Path) -> Result<Self, CaError> {
        let key_path = directory.join(KEY);
        let certificate_path = directory.join(CERTIFICATE);
        let (certificate, pem) = read_certificate(directory)?;
        for path in [&key_path, &certificate_path] {
            if path.symlink_metadata().is_err() {
                return Err(CaError::Missing(directory.to_owned()));
            }
            trust::check(path, &Trusted::default())?;
        }
        let mode = fs::metadata(&key_path)
            .map_err(io_error("look at", &key_path))?
            .mode()
            & 0o777;
        if mode & 0o077 != 0 {
            return Err(CaError::Readable {
                path: key_path,
                mode,
            });
        }
        let text = fs::read_to_string(&key_path).map_err(io_error("read", &key_path))?;
        let key = KeyPair::from_pem(&text)
            .map_err(|error| unusable(&key_path, format!("it holds no key ({error})")))?;
        let parsed = parse(&certificate_path, &certificate)?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(unusable(
                &certificate_path,
                "it is not the certificate of the key beside it",
            ));
        }
        if !parsed.is_ca() {
            return Err(unusable(
                &certificate_path,
                "it is no certificate of an authority",
            ));
        }
        let end = after_epoch(parsed.validity().not_after.timestamp());
        if !parsed.validity().is_valid() {
            return Err(unusable(
                &certificate_path,
                format!("it is valid until {}", parsed.validity().not_after),
            ));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        let leaf_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let signing = any_ecdsa_type(&private)?;
        Ok(Self {
            issuer,
            certificate,
            pem,
            end,
            leaf_key,
            signing,
            leaves: Mutex::new(LruCache::new(KEPT)),
        })
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for this name, with its key.
    pub fn leaf(&self, name: &str) -> Result<Arc<CertifiedKey>, CaError> {
        let now = SystemTime::now();
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(name)
            && now.duration_since(leaf.made).is_ok_and(|age| age < DAY)
        {
            return Ok(Arc::clone(&leaf.key));
        }
        let signed = self
            .params(name, now)?
            .signed_by(&self.leaf_key, &self.issuer)?;
        let chain = vec![signed.der().clone(), self.certificate.clone()];
        let key = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.signing)));
        let leaf = Leaf {
            key: Arc::clone(&key),
            made: now,
        };
        leaves.put(name.to_owned(), leaf);
        Ok(key)
    }

    fn params(&self, name: &str, now: SystemTime) -> Result<CertificateParams, CaError> {
        /// RFC 5280, ub-common-name.
        const LONGEST_COMMON_NAME: usize = 64;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        if name.len() <= LONGEST_COMMON_NAME {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        // Clocks of containers and of the machine may differ a little.
        params.not_before = (now - DAY).into();
        params.not_after = (now + LEAF_LIFE).min(self.end).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        match self.leaf(name) {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::warn!(%error, name, "no certificate could be made");
                None
            }
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn params_of_authority() -> Result<CertificateParams, CaError> {
    let now = SystemTime::now();
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let mut params = CertificateParams::new(Vec::new())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "egressd");
    // Two authorities of one machine differ in it: clients look issuers up by their name.
    let made = jiff::Timestamp::try_from(now).map_or(0, jiff::Timestamp::as_second);
    let mut name = format!("egressd local CA {made} of {host}");
    name.truncate(name.floor_char_boundary(64));
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.not_before = (now - DAY).into();
    params.not_after = (now + LIFE).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn read_certificate(directory: &Path) -> Result<(CertificateDer<'static>, String), CaError> {
    let path = directory.join(CERTIFICATE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CaError::Missing(directory.to_owned()));
        }
        Err(error) => return Err(io_error("read", &path)(error)),
    };
    let der = CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|error| unusable(&path, format!("it holds no certificate ({error})")))?;
    Ok((der, text))
}

fn parse<'a>(path: &Path, der: &'a [u8]) -> Result<X509Certificate<'a>, CaError> {
    match X509Certificate::from_der(der) {
        Ok((_rest, parsed)) => Ok(parsed),
        Err(error) => Err(unusable(path, format!("it cannot be read ({error})"))),
    }
}

fn make_directory(directory: &Path) -> Result<(), CaError> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(io_error("make", parent))?;
    }
    DirBuilder::new()
        .mode(0o700)
        .create(directory)
        .map_err(io_error("make", directory))
}

/// A file that is whole or not there, and has its mode from the first byte on.
fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), CaError> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", &fresh)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let written: io::Result<()> = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    written.map_err(io_error("write", &fresh))?;
    fs::rename(&fresh, path).map_err(io_error("write", path))
}

fn after_epoch(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn unusable(path: &Path, why: impl Into<String>) -> CaError {
    CaError::Unusable {
        path: path.to_owned(),
        why: why.into(),
    }
}

fn io_error(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| CaError::Io { op, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn an_authority_is_made_once_and_its_key_is_for_root_alone() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("below/ca");
        let shown = init(&directory, false).unwrap();
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&shown.key), 0o600);
        assert_eq!(show(&directory).unwrap(), shown);
        assert!(matches!(init(&directory, false), Err(CaError::Exists(_))));
        let other = init(&directory, true).unwrap();
        assert_ne!(other.fingerprint, shown.fingerprint);
        Authority::load(&directory).unwrap();
    }

    #[test]
    fn what_others_can_read_or_change_is_not_used() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("ca");
        assert!(matches!(
            Authority::load(&directory),
            Err(CaError::Missing(_))
        ));
        let shown = init(&directory, false).unwrap();
        let set = |mode| fs::set_permissions(&shown.key, fs::Permissions::from_mode(mode)).unwrap();
        set(0o640);
        assert!(matches!(
            Authority::load(&directory),
            Err(CaError::Readable { mode: 0o640, .. })
        ));
        set(0o602);
        assert!(matches!(
            Authority::load(&directory),
            Err(CaError::Untrusted(_))
        ));
        set(0o600);
        let foreign = KeyPair::generate().unwrap().serialize_pem();
        fs::write(&shown.key, foreign).unwrap();
        let error = Authority::load(&directory).unwrap_err().to_string();
        assert!(error.contains("not the certificate of the key"), "{error}");
        fs::remove_file(&shown.key).unwrap();
        let error = Authority::load(&directory).unwrap_err().to_string();
        assert!(error.contains("egressctl ca init"), "{error}");
    }

    #[test]
    fn a_leaf_is_for_its_name_and_is_made_once() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("ca");
        init(&directory, false).unwrap();
        let authority = Authority::load(&directory).unwrap();
        let one = authority.leaf("one.example").unwrap();
        assert!(Arc::ptr_eq(&one, &authority.leaf("one.example").unwrap()));
        assert!(!Arc::ptr_eq(&one, &authority.leaf("two.example").unwrap()));
        let (_, leaf) = X509Certificate::from_der(one.cert.first().unwrap()).unwrap();
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 1);
        assert!(format!("{:?}", names.value.general_names).contains("one.example"));
        assert!(!leaf.is_ca());
        let longest = format!("{}.example", "a".repeat(63));
        authority.leaf(&longest).unwrap();
    }
}
