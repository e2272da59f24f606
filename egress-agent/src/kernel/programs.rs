//! Loading, attaching and pinning the programs of one guard; adopting what is pinned.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Map, MapData, MapError},
    pin::PinError as AyaPinError,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, ProgramError,
        SocketFilter,
        links::{FdLink, LinkError, PinnedLink},
    },
    util::KernelVersion,
};
use egress_common::ABI_VERSION;
use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};

use super::{
    Cgroup, lsm,
    pins::{PinError, Pins},
};

/// The kernel programs, as built with this daemon: an object file, packed.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/egress-ebpf.gz"));

/// Every hook of a guard, in the order of attachment. The packet hook comes first: it alone
/// already denies all that the policy does not allow.
pub const HOOKS: [&str; 11] = [
    "egress",
    "ingress",
    "sock_create",
    "connect4",
    "connect6",
    "sendmsg4",
    "sendmsg6",
    "recvmsg4",
    "recvmsg6",
    "getpeername4",
    "getpeername6",
];

/// Every map that outlives the daemon.
const MAPS: [&str; 14] = [
    "CONFIG",
    "GENERATION",
    "NETWORKS",
    "PORTS",
    "LEASES",
    "CLIENTS",
    "ORIGINALS",
    "UNIX_PATHS",
    "OBSERVED",
    "NOTES",
    "SERVERS",
    "EVENTS",
    "COUNTERS",
    "JOURNAL",
];

/// The oldest kernel that enforces soundly: before it, a `net_cls` or `net_prio` write switched
/// cgroup programs off (fixed by commit 8520e224f547).
pub const OLDEST_KERNEL: (u8, u8) = (5, 15);

/// Why the kernel part cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("Linux {found} is too old: egressd needs {}.{} or newer, because older kernels switch cgroup programs off when net_cls or net_prio is used", OLDEST_KERNEL.0, OLDEST_KERNEL.1)]
    TooOld { found: String },
    #[error("the kernel does not say its version: {0}")]
    Version(String),
    #[error("the kernel refused the programs: {0}")]
    Load(#[source] EbpfError),
    #[error("the kernel refused the program `{name}`: {source}")]
    Program {
        name: &'static str,
        source: ProgramError,
    },
    #[error("the kernel programs do not unpack: {0}; this build of egressd is broken")]
    Packed(#[source] io::Error),
    #[error("the object holds no {0}; this build of egressd is broken")]
    Missing(&'static str),
    #[error("attach `{name}` to {cgroup}: {source}", cgroup = cgroup.display())]
    Attach {
        name: &'static str,
        cgroup: PathBuf,
        source: ProgramError,
    },
    #[error("link of `{name}`: {source}")]
    Link {
        name: &'static str,
        source: LinkError,
    },
    #[error("pin `{name}`: {source}")]
    Pin {
        name: &'static str,
        source: AyaPinError,
    },
    #[error(transparent)]
    Pins(#[from] PinError),
    #[error("map `{name}`: {source}")]
    Map {
        name: &'static str,
        source: MapError,
    },
    #[error("the second layer was asked for and cannot be had: {0}")]
    Lsm(#[source] lsm::Missing),
    #[error("what is pinned guards a cgroup that is gone")]
    Elsewhere,
    #[error("open {path}: {source}", path = path.display())]
    Open { path: PathBuf, source: io::Error },
}

/// Refuses a kernel that cannot enforce, and says which.
pub fn check_kernel() -> Result<(), KernelError> {
    refuse_old(kernel_version()?)
}

fn refuse_old(found: KernelVersion) -> Result<(), KernelError> {
    let (major, minor) = OLDEST_KERNEL;
    if found < KernelVersion::new(major, minor, 0) {
        return Err(KernelError::TooOld {
            found: kernel_release(),
        });
    }
    Ok(())
}

fn kernel_version() -> Result<KernelVersion, KernelError> {
    KernelVersion::current().map_err(|error| KernelError::Version(error.to_string()))
}

/// Whether a denial can be another errno than EPERM.
pub fn has_set_retval() -> bool {
    kernel_version().is_ok_and(|found| found >= KernelVersion::new(5, 18, 0))
}

/// `uname -r`.
pub fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// The object file, at an address that fits its tables, as the allocator gives one.
fn object() -> Result<Vec<u8>, KernelError> {
    let mut object = Vec::new();
    GzDecoder::new(PACKED)
        .read_to_end(&mut object)
        .map_err(KernelError::Packed)?;
    Ok(object)
}

/// Names the shapes and the program text: what was pinned by another build has another name.
pub fn version() -> String {
    let digest = Sha256::digest(PACKED);
    let short = digest
        .first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
        >> 16;
    format!("abi{ABI_VERSION}-{short:012x}")
}

/// The ABI number in the name of a pinned set.
pub fn abi_of(version: &str) -> Option<u32> {
    version
        .trim_start_matches("new-")
        .strip_prefix("abi")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// The loaded programs and open maps of one guard.
#[derive(Debug)]
pub struct Programs {
    maps: Maps,
    /// Present until they are attached; adopted programs run from their pins.
    loaded: Option<Ebpf>,
    /// Whether the second layer is with them.
    lsm: Result<(), lsm::Missing>,
}

/// The open maps by name.
#[derive(Debug)]
struct Maps(Vec<(&'static str, Map)>);

impl Programs {
    /// Loads a fresh set. Nothing is attached.
    pub fn load(cgroup: &Cgroup) -> Result<Self, KernelError> {
        check_kernel()?;
        let has_set_retval = u32::from(has_set_retval());
        let (id, level) = (cgroup.id(), cgroup.level());
        let layout = lsm::layout();
        let offsets = layout.as_ref().copied().unwrap_or_default();
        let mut ebpf = EbpfLoader::new()
            .override_global("LAYOUT", &offsets, true)
            .override_global("GUARD_ID", &id, true)
            .override_global("GUARD_LEVEL", &level, true)
            .override_global("HAS_SET_RETVAL", &has_set_retval, true)
            .load(&object()?)
            .map_err(KernelError::Load)?;
        for name in HOOKS {
            let program = ebpf.program_mut(name).ok_or(KernelError::Missing(name))?;
            let loaded = match name {
                "egress" | "ingress" => {
                    <&mut CgroupSkb>::try_from(program).and_then(CgroupSkb::load)
                }
                "sock_create" => <&mut CgroupSock>::try_from(program).and_then(CgroupSock::load),
                _ => <&mut CgroupSockAddr>::try_from(program).and_then(CgroupSockAddr::load),
            };
            loaded.map_err(|source| KernelError::Program { name, source })?;
        }
        let lsm = layout.and_then(|_| lsm::load(&mut ebpf));
        let mut maps = Vec::with_capacity(MAPS.len());
        for name in MAPS {
            maps.push((name, ebpf.take_map(name).ok_or(KernelError::Missing(name))?));
        }
        Ok(Self {
            maps: Maps(maps),
            loaded: Some(ebpf),
            lsm,
        })
    }

    /// Opens the maps of a set that is pinned and whole. Its programs go on running.
    pub fn adopt(pins: &Pins) -> Result<Self, KernelError> {
        let set = pins.current();
        for name in HOOKS {
            PinnedLink::from_pin(set.join("links").join(name))
                .map_err(|source| KernelError::Link { name, source })?;
        }
        let mut maps = Vec::with_capacity(MAPS.len());
        for name in MAPS {
            let open = || {
                let data = MapData::from_pin(set.join("maps").join(name))?;
                Map::from_map_data(data)
            };
            maps.push((
                name,
                open().map_err(|source| KernelError::Map { name, source })?,
            ));
        }
        Ok(Self {
            maps: Maps(maps),
            loaded: None,
            lsm: lsm::adopt(pins),
        })
    }

    /// Whether the second layer is there; for fresh programs, whether it was loaded until they are
    /// attached.
    pub fn lsm(&self) -> Result<(), lsm::Missing> {
        self.lsm.clone()
    }

    /// Refuses to go on without the second layer.
    pub fn require_lsm(&self) -> Result<(), KernelError> {
        self.lsm().map_err(KernelError::Lsm)
    }

    /// Takes one map out, by name.
    pub fn take_map(&mut self, name: &'static str) -> Result<Map, KernelError> {
        let at = self.maps.0.iter().position(|(known, _)| *known == name);
        at.map(|index| self.maps.0.swap_remove(index).1)
            .ok_or(KernelError::Missing(name))
    }

    /// Pins every map that is still here. Call before any is taken out.
    pub fn pin_maps(&self, directory: &Path) -> Result<(), KernelError> {
        for (name, map) in &self.maps.0 {
            map.pin(directory.join(name))
                .map_err(|source| KernelError::Pin { name, source })?;
        }
        Ok(())
    }

    /// Attaches every hook and pins its link. The tables must be filled before.
    ///
    /// Attached programs only ever add denials, so a set that is attached beside an older one
    /// opens nothing.
    pub fn attach(&mut self, cgroup: &Cgroup, links: &Path) -> Result<(), KernelError> {
        let Some(mut ebpf) = self.loaded.take() else {
            return Ok(());
        };
        let directory = File::open(cgroup.directory()).map_err(|source| KernelError::Open {
            path: cgroup.directory().to_path_buf(),
            source,
        })?;
        for name in HOOKS {
            let link = attach(&mut ebpf, name, &directory).map_err(|error| match error {
                AttachError::Missing => KernelError::Missing(name),
                AttachError::Program(source) => KernelError::Attach {
                    name,
                    cgroup: cgroup.directory().to_path_buf(),
                    source,
                },
                AttachError::Link(source) => KernelError::Link { name, source },
            })?;
            link.pin(links.join(name))
                .map_err(|source| KernelError::Pin { name, source })?;
        }
        if self.lsm.is_ok() {
            self.lsm = lsm::attach(&mut ebpf, links);
        }
        Ok(())
    }
}

/// Which hooks have a pinned link.
pub fn attached(pins: &Pins) -> Vec<(&'static str, bool)> {
    let links = pins.current().join("links");
    HOOKS
        .iter()
        .map(|name| (*name, links.join(name).exists()))
        .collect()
}

/// Puts the DNS tap's filter on a packet socket. The socket keeps the program.
pub fn attach_tap(socket: impl AsFd) -> Result<(), KernelError> {
    const TAP: &str = "dns_tap";
    let mut ebpf = EbpfLoader::new()
        .load(&object()?)
        .map_err(KernelError::Load)?;
    let program = ebpf.program_mut(TAP).ok_or(KernelError::Missing(TAP))?;
    let failed = |source| KernelError::Program { name: TAP, source };
    let tap = <&mut SocketFilter>::try_from(program).map_err(failed)?;
    tap.load().map_err(failed)?;
    tap.attach(socket).map_err(failed)
}

enum AttachError {
    Missing,
    Program(ProgramError),
    Link(LinkError),
}

/// Attaches one program and takes its link out of aya's hands.
fn attach(ebpf: &mut Ebpf, name: &'static str, cgroup: &File) -> Result<FdLink, AttachError> {
    let program = ebpf.program_mut(name).ok_or(AttachError::Missing)?;
    // With links, `Single` is what lets several programs run on one cgroup: the link itself
    // implies BPF_F_ALLOW_MULTI, and the flag is refused.
    let mode = CgroupAttachMode::Single;
    match name {
        "egress" | "ingress" => {
            let program = <&mut CgroupSkb>::try_from(program).map_err(AttachError::Program)?;
            let way = if name == "egress" {
                CgroupSkbAttachType::Egress
            } else {
                CgroupSkbAttachType::Ingress
            };
            let link = program
                .attach(cgroup.as_fd(), way, mode)
                .and_then(|id| program.take_link(id))
                .map_err(AttachError::Program)?;
            FdLink::try_from(link).map_err(AttachError::Link)
        }
        "sock_create" => {
            let program = <&mut CgroupSock>::try_from(program).map_err(AttachError::Program)?;
            let link = program
                .attach(cgroup.as_fd(), mode)
                .and_then(|id| program.take_link(id))
                .map_err(AttachError::Program)?;
            FdLink::try_from(link).map_err(AttachError::Link)
        }
        _ => {
            let program = <&mut CgroupSockAddr>::try_from(program).map_err(AttachError::Program)?;
            let link = program
                .attach(cgroup.as_fd(), mode)
                .and_then(|id| program.take_link(id))
                .map_err(AttachError::Program)?;
            FdLink::try_from(link).map_err(AttachError::Link)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_below_5_15_is_refused_in_one_line() {
        for old in [(4, 19), (5, 10), (5, 14)] {
            let refused = refuse_old(KernelVersion::new(old.0, old.1, 99)).unwrap_err();
            let line = refused.to_string();
            assert!(line.contains("needs 5.15 or newer"), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        for new in [(5, 15), (6, 1), (7, 0)] {
            refuse_old(KernelVersion::new(new.0, new.1, 0)).unwrap();
        }
    }

    #[test]
    fn the_abi_stands_in_the_name_of_a_set() {
        assert_eq!(abi_of(&version()), Some(ABI_VERSION));
        assert_eq!(abi_of("new-abi7-00ff"), Some(7));
        assert_eq!(abi_of("links"), None);
    }
}
