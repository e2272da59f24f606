//! `egressctl dashboard`: where the page is, with the token that it wants.

use std::path::Path;

use anyhow::bail;
use clap::Args;

use super::{Exit, Screen, table::plain};
use crate::control::{
    client::Client,
    message::{Reply, Request},
    status::Link,
};

#[derive(Clone, Debug, Args)]
pub struct DashboardArgs {
    /// Print the token alone, for `Authorization: Bearer`.
    #[arg(long)]
    token: bool,
}

/// The token stands behind `#`, which no browser sends to anybody.
pub fn run(args: &DashboardArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let Reply::Dashboard(link) = Client::connect(socket)?.request(&Request::Dashboard {})? else {
        bail!("egressd answered something else");
    };
    let Link { url, token } = &link;
    if screen.is_json() {
        screen.json(&link)?;
    } else if args.token {
        screen.line(plain(token))?;
    } else {
        screen.line(plain(&format!("{url}#token={token}")))?;
    }
    Ok(Exit::Ok)
}
