//! Licences, sources and advisories of everything that is linked, by cargo-deny.

use anyhow::{Context as _, Result};
use xtask::program::run as output;

use crate::workspace::{cargo, show};

/// What needs nothing but the sources.
const OFFLINE: [&str; 3] = ["licenses", "bans", "sources"];

/// The database of advisories is a git repository elsewhere. A machine that cannot reach it says
/// so; it is never passed over in silence.
pub(super) fn run() -> Result<()> {
    println!("dist: licences, bans and sources of what is linked");
    show(
        deny()
            .args(["check", "--hide-inclusion-graph"])
            .args(OFFLINE),
    )
    .context("`.cargo/deny.toml` says what may be linked")?;
    if let Err(error) = output(deny().args(["fetch", "db"])) {
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default();
        println!(
            "dist: NOT CHECKED: advisories: their database cannot be fetched from here: {last}"
        );
        return Ok(());
    }
    println!("dist: advisories");
    show(deny().args(["check", "--hide-inclusion-graph", "advisories"]))
}

fn deny() -> std::process::Command {
    let mut command = cargo();
    command.args([
        "deny",
        "--color",
        "never",
        "--log-level",
        "warn",
        "--workspace",
    ]);
    command
}
