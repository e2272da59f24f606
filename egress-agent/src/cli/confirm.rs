//! `egressctl confirm TOOL`: a person lets the next call of one tool through, within a minute.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Exit, Screen};
use crate::tools::confirm;

#[derive(Debug, clap::Args)]
pub struct ConfirmArgs {
    /// The tool, as the hook named it.
    tool: String,
}

pub fn run(args: &ConfirmArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    anyhow::ensure!(
        std::env::var_os("EGRESSD_SESSION").is_none(),
        "a session cannot confirm its own calls; run this in a terminal of your own"
    );
    let dir = match socket.parent() {
        // The daemon decides, and takes the word of root alone: an agent runs as its user.
        Some(runtime_dir) if socket.exists() => {
            anyhow::ensure!(
                rustix::process::geteuid().is_root(),
                "egressd is running and takes confirmations of root alone: use `sudo egressctl confirm {}`",
                args.tool
            );
            runtime_dir.join(confirm::DIRECTORY)
        }
        Some(_) | None => {
            directory().context("no directory is known for confirmations; set XDG_RUNTIME_DIR")?
        }
    };
    confirm::give(&dir, &args.tool)?;
    let seconds = confirm::LIFETIME.as_secs();
    screen.line(format!(
        "the next call of {} within {seconds} s is let through",
        args.tool
    ))?;
    Ok(Exit::Ok)
}

/// Where confirmations of this user are. The private view of a session has another one.
pub fn directory() -> Option<PathBuf> {
    let own = std::env::var_os("EGRESSD_CONFIRM_DIR").map(PathBuf::from);
    own.or_else(|| {
        Some(PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?).join("egressd-confirm"))
    })
    .filter(|dir| dir.is_absolute())
}
