//! A world to look around in.

use std::{
    ffi::OsString,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context as _, Result};
use xtask::world::{World, home};

use crate::{setup, workspace::need_root};

/// Runs `command`, or a shell, as root on the machine of a fresh world.
pub(crate) fn run(command: &[OsString]) -> Result<ExitCode> {
    need_root("world run")?;
    setup::install()?;
    let world = World::builder().build()?;
    println!("world: {}", world.home().display());
    let shell = [OsString::from("bash"), OsString::from("--norc")];
    let words = if command.is_empty() { &shell } else { command };
    let (first, rest) = words.split_first().context("no command")?;
    let status = world
        .command(first)
        .args(rest)
        .env("CURL_CA_BUNDLE", &world.tls().ca)
        .env("SSL_CERT_FILE", &world.tls().ca)
        .env("PS1", "world# ")
        .status()
        .context("cannot start the command")?;
    drop(world);
    Ok(code(status))
}

pub(crate) fn clean() -> Result<()> {
    need_root("world clean")?;
    let removed = home::clean()?;
    for id in &removed {
        println!("world: removed {id}");
    }
    if removed.is_empty() {
        println!("world: nothing to remove");
    }
    Ok(())
}

fn code(status: ExitStatus) -> ExitCode {
    ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(128),
    )
}
