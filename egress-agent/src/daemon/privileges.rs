//! What the daemon gives up once everything is open.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// What it goes on to need: map updates where `kernel.unprivileged_bpf_disabled` is set, and
/// attaching programs again when the guarded cgroup is made anew.
const KEPT: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN];

/// Drops every other capability, for good: the bounding set too.
///
/// The daemon stays uid 0: the cgroup files, the BPF file system and its own directories are
/// root's, and owning them needs no capability. Only the root of the cgroup file system is closed
/// to its owner too (mode 0555): who must take a cgroup away from there keeps `CAP_DAC_OVERRIDE`.
pub fn drop_unneeded(removes_cgroup: bool) -> Result<(), CapsError> {
    let mut kept: CapsHashSet = KEPT.into_iter().collect();
    if removes_cgroup {
        kept.insert(Capability::CAP_DAC_OVERRIDE);
    }
    let mut all: Vec<Capability> = caps::all().into_iter().collect();
    all.sort_by_key(|capability| *capability as u8);
    for capability in all {
        if !kept.contains(&capability) && caps::has_cap(None, CapSet::Bounding, capability)? {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = kept.intersection(&held).copied().collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
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
