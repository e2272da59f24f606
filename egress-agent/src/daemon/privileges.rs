//! What the daemon gives up once everything is open.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// What it goes on to need: map updates where `kernel.unprivileged_bpf_disabled` is set, and
/// loading and attaching programs when the guarded cgroup is made anew.
const KEPT: [Capability; 3] = [
    Capability::CAP_BPF,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_PERFMON,
];

/// Drops every other capability, for good: the bounding set too.
///
/// The daemon stays uid 0: the cgroup files, the BPF file system and its own directories are
/// root's, and owning them needs no capability. Only the root of the cgroup file system is closed
/// to its owner too (mode 0555): making or removing a cgroup there takes `CAP_DAC_OVERRIDE`, which
/// is kept for [`with_dac_override`] alone.
pub fn drop_unneeded() -> Result<(), CapsError> {
    let mut kept: CapsHashSet = KEPT.into_iter().collect();
    let mut all: Vec<Capability> = caps::all().into_iter().collect();
    all.sort_by_key(|capability| *capability as u8);
    for capability in all {
        let is_kept = kept.contains(&capability) || capability == Capability::CAP_DAC_OVERRIDE;
        if !is_kept && caps::has_cap(None, CapSet::Bounding, capability)? {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    let held = caps::read(None, CapSet::Permitted)?;
    kept = kept.intersection(&held).copied().collect();
    caps::set(None, CapSet::Effective, &kept)?;
    if held.contains(&Capability::CAP_DAC_OVERRIDE) {
        kept.insert(Capability::CAP_DAC_OVERRIDE);
    }
    caps::set(None, CapSet::Permitted, &kept)
}

/// For a thread that reads tables and the bytes of strangers. Capabilities are a thread's own.
pub fn keep_bpf_alone() -> Result<(), CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = held
        .intersection(&[Capability::CAP_BPF].into_iter().collect())
        .copied()
        .collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

/// For a thread that only reads what root owns, and the bytes of strangers.
pub fn keep_none() -> Result<(), CapsError> {
    for set in [
        CapSet::Ambient,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Permitted,
    ] {
        caps::clear(None, set)?;
    }
    Ok(())
}

/// Does one thing with `CAP_DAC_OVERRIDE`, where the process still may; without it, the thing
/// itself says what is missing.
pub fn with_dac_override<T>(work: impl FnOnce() -> T) -> T {
    let capability = Capability::CAP_DAC_OVERRIDE;
    let was_there = caps::has_cap(None, CapSet::Effective, capability).unwrap_or(true);
    if !was_there && let Err(error) = caps::raise(None, CapSet::Effective, capability) {
        tracing::debug!(%error, "CAP_DAC_OVERRIDE is not to be had");
    }
    let done = work();
    if !was_there && let Err(error) = caps::drop(None, CapSet::Effective, capability) {
        tracing::error!(%error, "CAP_DAC_OVERRIDE stays raised");
    }
    done
}

/// The capabilities that this process still has, for `status`.
pub fn held() -> Vec<String> {
    let mut names: Vec<String> = caps::read(None, CapSet::Permitted)
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    names.sort();
    names
}
