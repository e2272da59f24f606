//! `egressctl mcp accept SERVER`: a person takes the tools of a server as they are now.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use crate::{
    cli::{Exit, Screen},
    mcp::{
        inventory::Store as _,
        store::{self, FileStore},
    },
    tools::protocol::plain,
};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct AcceptArgs {
    /// The name of the server.
    server: String,
    /// Where its tools are remembered, when that was given to the guard.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Show what waits, and accept nothing; exit 1 when something does.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &AcceptArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    ensure!(
        args.dry_run || std::env::var_os("EGRESSD_SESSION").is_none(),
        "a session cannot accept the tools of its own servers; run this in a terminal of your own"
    );
    let path = match &args.state {
        Some(state) => state.clone(),
        None => store::path(&args.server).context("no place is known: give it with --state")?,
    };
    let store = FileStore(path);
    let kept = store.load().map_err(anyhow::Error::msg)?;
    let mut ledger = kept.with_context(|| {
        format!(
            "the server `{}` has never been seen by a guard",
            args.server
        )
    })?;
    let waiting: Vec<_> = ledger
        .pending_names()
        .map(|(name, standing)| format!("{}: {}", plain(name, 128), standing.what()))
        .collect();
    for line in &waiting {
        screen.line(line)?;
    }
    if waiting.is_empty() {
        screen.line(format!("{}: nothing waits to be accepted", args.server))?;
        return Ok(Exit::Ok);
    }
    if args.dry_run {
        return Ok(Exit::No);
    }
    let number = ledger.accept().len();
    store.save(&ledger).map_err(anyhow::Error::msg)?;
    screen.line(format!("{}: {number} accepted", args.server))?;
    Ok(Exit::Ok)
}
