//! `egressctl reload` and `egressctl release`: what only root may do.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{Exit, Screen};
use crate::{
    control::{
        client::{Client, ClientError},
        message::{Code, Reply, Request},
    },
    kernel::pins::{self, Pins},
};

#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// Only the policy of this guarded cgroup.
    #[arg(long, value_name = "CGROUP")]
    guard: Option<String>,
}

/// Exit 3 when the new policy is refused; the old one stays.
pub fn reload(args: ReloadArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let request = Request::Reload { guard: args.guard };
    match Client::connect(socket)?.request(&request) {
        Ok(Reply::Done(text)) => {
            screen.line(text)?;
            Ok(Exit::Ok)
        }
        Ok(_) => bail!("egressd answered something else"),
        Err(ClientError::Failed(failure)) if failure.code == Code::InvalidPolicy => {
            super::complain(&format!("egressctl: {}", ClientError::Failed(failure)));
            Ok(Exit::InvalidPolicy)
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Clone, Debug, Args)]
pub struct ReleaseArgs {
    /// Only this guarded cgroup.
    #[arg(long, value_name = "CGROUP")]
    guard: Option<String>,
    /// Where the guards are pinned, for when no daemon runs.
    #[arg(long, value_name = "DIR", default_value = super::PIN_DIR)]
    pin_dir: PathBuf,
}

/// Takes guards off, through the daemon or, when none runs, by hand.
pub fn release(args: &ReleaseArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let request = Request::Release {
        guard: args.guard.clone(),
    };
    match Client::connect(socket) {
        Ok(mut client) => {
            let Reply::Done(text) = client.request(&request)? else {
                bail!("egressd answered something else");
            };
            screen.line(text)?;
        }
        Err(ClientError::Unreachable { .. }) => release_pins(args, screen)?,
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Ok)
}

fn release_pins(args: &ReleaseArgs, screen: &mut Screen) -> anyhow::Result<()> {
    let wanted = args.guard.as_deref().map(|name| name.trim_matches('/'));
    let released = release_pinned(&args.pin_dir, &|guard| {
        wanted.is_none_or(|wanted| wanted == guard)
    })?;
    if released.is_empty() {
        bail!(
            "no egressd runs and nothing is pinned below {}",
            args.pin_dir.display()
        );
    }
    screen.line(format!("no longer guarded: {}", released.join(", ")))?;
    Ok(())
}

/// Takes off what is pinned and wanted, while no daemon runs.
pub(super) fn release_pinned(
    pin_dir: &Path,
    is_wanted: &dyn Fn(&str) -> bool,
) -> anyhow::Result<Vec<String>> {
    if !rustix::process::geteuid().is_root() {
        bail!("no egressd runs, and only root may take off what it left pinned: run it with sudo");
    }
    refuse_guarded(pin_dir)?;
    let mut released = Vec::new();
    for guard in pins::guarded(pin_dir)? {
        if is_wanted(&guard) {
            Pins::new(pin_dir, &guard, "").release()?;
            released.push(guard);
        }
    }
    Ok(released)
}

/// Whoever is guarded changes nothing, root included.
pub(super) fn refuse_guarded(pin_dir: &Path) -> anyhow::Result<()> {
    let guarded = pins::guarded(pin_dir)?;
    if guarded.is_empty() {
        return Ok(());
    }
    let here = crate::kernel::Hierarchy::of_self().context("find the own cgroup")?;
    if guarded
        .iter()
        .any(|guard| crate::kernel::cgroup::holds(guard, &here))
    {
        bail!(
            "a guarded process cannot take off its guard, whatever its uid: run it from outside of the guarded cgroup"
        );
    }
    Ok(())
}
