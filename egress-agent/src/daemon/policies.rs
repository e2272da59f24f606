//! The policies of a start or a reload: read, checked, and from files that only root can change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};

use super::run::Options;
use crate::{
    policy::{Policy, PolicyError},
    proxy::open::Opener,
    trust::{self, Trusted},
};

/// The policy is not valid. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPolicy(pub String);

/// A policy, and what it needs besides its own text.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) policy: Policy,
    /// What TLS is opened with, if a rule wants that.
    pub(super) opener: Option<Arc<Opener>>,
}

/// Every policy, before anything is touched: all errors of all files at once.
pub(super) fn load_policies(options: &Options) -> anyhow::Result<Vec<Loaded>> {
    let must_be_safe = options
        .command
        .as_ref()
        .is_none_or(|command| !command.trust_policy);
    let mut policies = Vec::new();
    let mut problems = Vec::new();
    for (_, path) in &options.guards {
        match read_policy(path) {
            Ok(mut policy) => {
                if must_be_safe {
                    check_owner(path, &policy)?;
                }
                policy.load_secrets()?;
                match opener(path, &policy) {
                    Ok(opener) => policies.push(Loaded { policy, opener }),
                    Err(InvalidPolicy(text)) => problems.push(text),
                }
            }
            Err(error) => match error.downcast::<InvalidPolicy>() {
                Ok(InvalidPolicy(text)) => problems.push(text),
                Err(error) => return Err(error),
            },
        }
    }
    if problems.is_empty() {
        one_audit_log(&policies)?;
        Ok(policies)
    } else {
        Err(InvalidPolicy(problems.join("\n")).into())
    }
}

/// A policy from a file that only root can change.
pub(super) fn load_policy(path: &Path) -> anyhow::Result<Loaded> {
    let mut policy = read_policy(path)?;
    check_owner(path, &policy)?;
    policy.load_secrets()?;
    let opener = opener(path, &policy)?;
    Ok(Loaded { policy, opener })
}

/// What TLS is opened with. A policy that opens it and has no local CA is none: its rules would
/// allow nothing, or hold nothing.
fn opener(path: &Path, policy: &Policy) -> Result<Option<Arc<Opener>>, InvalidPolicy> {
    if !policy.opens_tls() {
        return Ok(None);
    }
    match Opener::load(&policy.proxy().ca) {
        Ok(opener) => Ok(Some(Arc::new(opener))),
        Err(error) => {
            let error = anyhow::Error::from(error);
            let text = format!("{}: a rule has level `http`: {error:#}", path.display());
            Err(InvalidPolicy(text))
        }
    }
}

/// Refuses a policy when someone else than root could change it, or one that it extends.
fn check_owner(path: &Path, policy: &Policy) -> anyhow::Result<()> {
    let trusted = Trusted::default();
    for file in std::iter::once(path).chain(policy.files().iter().map(PathBuf::as_path)) {
        trust::check(file, &trusted)
            .with_context(|| format!("the policy {} cannot be relied on", file.display()))?;
    }
    Ok(())
}

fn read_policy(path: &Path) -> anyhow::Result<Policy> {
    Policy::load(path).map_err(|error| match error {
        PolicyError::Invalid(invalid) => InvalidPolicy(invalid.to_string()).into(),
        PolicyError::Content(error) => InvalidPolicy(error.to_string()).into(),
        error @ PolicyError::Read { .. } => error.into(),
    })
}

fn one_audit_log(policies: &[Loaded]) -> anyhow::Result<()> {
    let mut settings = policies.iter().map(|loaded| loaded.policy.audit());
    let first = settings
        .next()
        .context("name at least one cgroup with `--cgroup`")?;
    if settings.any(|other| other.file != first.file) {
        bail!(
            "the policies name different audit logs in `audit.file`; egressd keeps one: name the same file in all of them"
        );
    }
    Ok(())
}
