//! The SSH server of the small internet, and the key that opens it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    client::{AGENT_GID, AGENT_UID},
    namespace::Namespace,
};
use crate::program;

#[derive(Debug)]
pub struct Ssh {
    /// The client's private key; it belongs to the agent.
    pub key: PathBuf,
}

impl Ssh {
    /// Starts sshd; it listens when this returns. Root logs in with the key of the world only.
    pub(super) fn start(internet: &Namespace, home: &Path) -> Result<Self> {
        let directory = home.join("ssh");
        fs::create_dir_all(&directory).context("making the directory of sshd")?;
        let (host_key, key) = (directory.join("host"), directory.join("agent"));
        for path in [&host_key, &key] {
            program::run(
                Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-C", "egressd-world", "-f"])
                    .arg(path),
            )?;
        }
        fs::copy(
            directory.join("agent.pub"),
            directory.join("authorized_keys"),
        )
        .context("writing authorized_keys")?;
        std::os::unix::fs::chown(&key, Some(AGENT_UID), Some(AGENT_GID))
            .context("giving the key to the agent")?;
        let conf = directory.join("sshd_config");
        fs::write(
            &conf,
            format!(
                "Port 22\nPort 2222\nHostKey {host}\nAuthorizedKeysFile {keys}\nPidFile {pid}\n\
                 PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\n\
                 StrictModes no\nUseDNS no\n",
                host = host_key.display(),
                keys = directory.join("authorized_keys").display(),
                pid = directory.join("sshd.pid").display(),
            ),
        )
        .context("writing sshd_config")?;
        // sshd wants an empty directory for its privilege separation; Debian's unit makes it.
        fs::create_dir_all("/run/sshd").context("making /run/sshd")?;
        // sshd insists on an absolute path, because it starts itself again.
        let sshd = program::need("sshd")?;
        program::run(
            internet
                .command(sshd)
                .arg("-f")
                .arg(&conf)
                .arg("-E")
                .arg(directory.join("log")),
        )?;
        Ok(Self { key })
    }

    /// The `ssh` command line that leaves the user's own files alone.
    pub fn command(&self) -> String {
        format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            self.key.display()
        )
    }
}
