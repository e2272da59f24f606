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
}

impl Tls {
    pub(super) fn make(home: &Path) -> Result<Self> {
        let directory = home.join("tls");
        fs::create_dir_all(&directory).context("making the directory of the certificates")?;
        let made = Self {
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
    .flat_map(|domain| [format!("DNS:{domain}.test"), format!("DNS:*.{domain}.test")]);
    let v4 = [ALLOWED_V4, DENIED_V4, NAMELESS_V4].map(|address| format!("IP:{address}"));
    let v6 = [ALLOWED_V6, DENIED_V6, NAMELESS_V6].map(|address| format!("IP:{address}"));
    let all: Vec<String> = names.chain(v4).chain(v6).collect();
    format!("subjectAltName={}", all.join(","))
}
