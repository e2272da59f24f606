//! The service and the guards that stand by the policy of init.

use std::path::Path;

use anyhow::bail;

use crate::{
    cli::{
        PIN_DIR, admin,
        init::{SYSTEMD, apply::command, manifest::Manifest},
    },
    control::{
        client::{Client, ClientError},
        message::{Reply, Request},
        status::Status,
    },
    kernel::pins,
};

/// What is stopped and taken off.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// The service is stopped and disabled.
    pub(super) stops: bool,
    /// The service stays, and reads the policy that comes back.
    pub(super) reloads: bool,
    /// The guarded cgroups that are let go.
    pub(super) released: Vec<String>,
    /// What runs in them.
    pub(super) sessions: Vec<String>,
}

impl Guards {
    pub(super) fn look(socket: &Path, manifest: &Manifest) -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::default());
        }
        let systemd = Path::new(SYSTEMD).is_dir();
        let is_ours = manifest.enabled || super::has_own_units(manifest);
        let status = status(socket)?;
        // A policy that was there before, and stayed, is somebody else's, and so is its guard.
        let policy = manifest.policy.as_deref();
        let policy = policy.filter(|policy| is_ours || manifest.of(policy).is_some());
        let is_of_policy = |file: &str| policy == Some(Path::new(file));
        let (released, sessions) = match &status {
            Some(status) => {
                let guards = status.guards.iter();
                let released: Vec<String> = guards
                    .filter(|guard| is_of_policy(&guard.policy.file))
                    .map(|guard| guard.cgroup.clone())
                    .collect();
                let sessions = status.sessions.iter();
                let sessions = sessions
                    .filter(|session| released.contains(&session.guard))
                    .map(|session| session.id.clone())
                    .collect();
                (released, sessions)
            }
            // Nothing says by which policy they were pinned; they are the service's.
            None if is_ours => (pins::guarded(Path::new(PIN_DIR))?, Vec::new()),
            None => (Vec::new(), Vec::new()),
        };
        if systemd && !is_ours {
            // The service is a package's: it goes on, by the policy that comes back.
            return Ok(Self {
                reloads: status.is_some() && !released.is_empty(),
                ..Self::default()
            });
        }
        Ok(Self {
            stops: systemd && is_ours,
            reloads: false,
            released,
            sessions,
        })
    }

    pub(super) fn words(&self) -> Vec<String> {
        if self.stops {
            vec!["systemctl disable --now egressd.service".to_owned()]
        } else if self.reloads {
            vec!["systemctl reload egressd.service".to_owned()]
        } else {
            Vec::new()
        }
    }

    pub(super) fn take_off(&self, socket: &Path) -> anyhow::Result<()> {
        if self.stops {
            command(&["systemctl", "disable", "--now", "egressd.service"])?;
        }
        if self.released.is_empty() {
            return Ok(());
        }
        match Client::connect(socket) {
            Ok(_) => {
                // A connection may carry one request of another kind only after the last answer.
                for guard in &self.released {
                    let request = Request::Release {
                        guard: Some(guard.clone()),
                    };
                    let Reply::Done(_) = Client::connect(socket)?.request(&request)? else {
                        bail!("egressd answered something else");
                    };
                }
                Ok(())
            }
            Err(ClientError::Unreachable { .. }) => {
                let is_wanted = |guard: &str| self.released.iter().any(|one| one == guard);
                admin::release_pinned(Path::new(PIN_DIR), &is_wanted).map(drop)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// `None` when no daemon runs.
fn status(socket: &Path) -> anyhow::Result<Option<Status>> {
    let asked = Client::connect(socket)
        .and_then(|mut client| client.request(&Request::Status { session: None }));
    match asked {
        Ok(Reply::Status(status)) => Ok(Some(*status)),
        Ok(_) => bail!("egressd answered something else"),
        Err(ClientError::Unreachable { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
