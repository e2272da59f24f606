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
    /// Only when nothing runs in what is guarded; exit 1 otherwise. What removes the package asks so.
    #[arg(long)]
    when_idle: bool,
}

/// Takes guards off, through the daemon or, when none runs, by hand.
pub fn release(args: &ReleaseArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    if args.when_idle {
        let guarded = guarded(args, socket)?;
        if guarded.is_empty() {
            screen.line("nothing is guarded")?;
            return Ok(Exit::Ok);
        }
        let busy = busy(&guarded)?;
        if !busy.is_empty() {
            super::complain(&format!(
                "egressctl: left on: processes run in {}: end them (`egressctl session list`), or take the guard off under them with `egressctl release`",
                super::table::plain(&busy.join(", "))
            ));
            return Ok(Exit::No);
        }
    }
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

/// What a release would take the guard off: what the daemon says, and what is pinned.
fn guarded(args: &ReleaseArgs, socket: &Path) -> anyhow::Result<Vec<String>> {
    let mut guarded = pins::guarded(&args.pin_dir)?;
    match Client::connect(socket) {
        Ok(mut client) => {
            let Reply::Status(status) = client.request(&Request::Status { session: None })? else {
                bail!("egressd answered something else");
            };
            guarded.extend(status.guards.into_iter().map(|guard| guard.cgroup));
        }
        Err(ClientError::Unreachable { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(wanted) = &args.guard {
        guarded.retain(|path| path == wanted.trim_matches('/'));
    }
    guarded.sort();
    guarded.dedup();
    Ok(guarded)
}

/// Those of them that hold processes; one that is gone holds none.
fn busy(guarded: &[String]) -> anyhow::Result<Vec<String>> {
    let hierarchy = crate::kernel::Hierarchy::find()?;
    let mut busy = Vec::new();
    for path in guarded {
        if !hierarchy.root().join(path).is_dir() {
            continue;
        }
        let populated = hierarchy.open(path)?.is_populated();
        if populated.with_context(|| format!("see whether anything runs in {path}"))? {
            busy.push(path.clone());
        }
    }
    Ok(busy)
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
