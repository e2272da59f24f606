//! `egressctl ca`: the local certificate authority that TLS is opened with.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Exit, Screen};
use crate::proxy::ca::{self, DIRECTORY, Shown};

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make the CA: a key that only root can read, and a certificate for ten years.
    Init(InitArgs),
    /// Show the CA that is there.
    Show(DirectoryArgs),
}

#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Make a new one in place of one that is there. Sessions that run trust the old one until they
    /// are started again.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Debug, Args)]
pub struct DirectoryArgs {
    /// Where it is kept; `proxy.ca` of the policy names the same.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    dir: PathBuf,
}

pub fn run(command: Command, screen: &mut Screen) -> anyhow::Result<Exit> {
    let shown = match command {
        Command::Init(InitArgs { directory, force }) => {
            if !rustix::process::geteuid().is_root() {
                anyhow::bail!("the CA is root's: run it with sudo");
            }
            ca::init(&directory.dir, force)?
        }
        Command::Show(DirectoryArgs { dir }) => ca::show(&dir)?,
    };
    if screen.is_json() {
        screen.json(&shown)?;
        return Ok(Exit::Ok);
    }
    let Shown {
        subject,
        fingerprint,
        not_before,
        not_after,
        certificate,
        key,
    } = shown;
    screen.line(format!("subject      {subject}"))?;
    screen.line(format!("sha256       {fingerprint}"))?;
    screen.line(format!("valid        {not_before} to {not_after}"))?;
    screen.line(format!("certificate  {}", certificate.display()))?;
    screen.line(format!("key          {}", key.display()))?;
    Ok(Exit::Ok)
}
