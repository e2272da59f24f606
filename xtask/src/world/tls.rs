//! The certificate authority of the small internet, made by openssl for each world.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::place::{ALLOWED_V4, ALLOWED_V6, DENIED_V4, DENIED_V6, NAMELESS_V4, NAMELESS_V6};
use crate::program;

#[derive(Debug)]
pub struct Tls {
    /// What a client must trust.
    pub ca: PathBuf,
    /// The server's certificate, which has every name and literal address of the web.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Hosts whose certificates no client should take.
    pub(super) faulty: Vec<Faulty>,
}

/// A host of the web with a certificate of its own.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) host: &'static str,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Its certificate is its own authority.
pub const UNTRUSTED: &str = "untrusted.allowed.test";
/// Its certificate is for another name.
pub const MISNAMED: &str = "misnamed.allowed.test";

impl Tls {
    pub(super) fn make(home: &Path) -> Result<Self> {
        let directory = home.join("tls");
        fs::create_dir_all(&directory).context("making the directory of the certificates")?;
        let faulty = |host: &'static str| Faulty {
            host,
            certificate: directory.join(format!("{host}.pem")),
            key: directory.join(format!("{host}.key")),
        };
        let made = Self {
            faulty: vec![faulty(UNTRUSTED), faulty(MISNAMED)],
            ca: directory.join("ca.pem"),
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
        };
        let (ca_key, names) = (directory.join("ca.key"), names());
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-x509",
            "-days",
            "2",
        ];
        program::run(
            openssl(&key)
                .args(["-subj", "/CN=egressd test authority"])
                .args(["-addext", "keyUsage=critical,keyCertSign"])
                .arg("-keyout")
                .arg(&ca_key)
                .arg("-out")
                .arg(&made.ca),
        )?;
        program::run(
            openssl(&key)
                .args(["-subj", "/CN=server.test", "-addext", &names])
                .args(["-addext", "basicConstraints=critical,CA:FALSE"])
                .arg("-CA")
                .arg(&made.ca)
                .arg("-CAkey")
                .arg(&ca_key)
                .arg("-keyout")
                .arg(&made.key)
                .arg("-out")
                .arg(&made.certificate),
        )?;
        for Faulty {
            host,
            certificate,
            key: path,
        } in &made.faulty
        {
            let name = if *host == MISNAMED {
                "another.test"
            } else {
                host
            };
            let subject = format!("/CN={name}");
            let names = format!("subjectAltName=DNS:{name}");
            let mut request = openssl(&key);
            request.args(["-subj", &subject, "-addext", &names]);
            request.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
            if *host == MISNAMED {
                request.arg("-CA").arg(&made.ca).arg("-CAkey").arg(&ca_key);
            }
            program::run(
                request
                    .arg("-keyout")
                    .arg(path)
                    .arg("-out")
                    .arg(certificate),
            )?;
        }
        Ok(made)
    }
}

fn openssl(key: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.arg("req").args(key);
    command
}

fn names() -> String {
    let names = [
        "allowed", "denied", "wild", "single", "chain", "cdn", "intranet", "rebind", "bulk",
    ]
    .iter()
    .map(|domain| format!("{domain}.test"));
    let names = names.chain(["example.com", "example.net"].map(str::to_owned));
    let names = names.flat_map(|domain| [format!("DNS:{domain}"), format!("DNS:*.{domain}")]);
    let v4 = [ALLOWED_V4, DENIED_V4, NAMELESS_V4].map(|address| format!("IP:{address}"));
    let v6 = [ALLOWED_V6, DENIED_V6, NAMELESS_V6].map(|address| format!("IP:{address}"));
    let all: Vec<String> = names.chain(v4).chain(v6).collect();
    format!("subjectAltName={}", all.join(","))
}
