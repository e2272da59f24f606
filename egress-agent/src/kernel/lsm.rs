//! The second layer: LSM programs, where the kernel runs them.
//!
//! A guard without it is whole: the packet hook alone holds every IP flow of the session's own
//! sockets. What it adds are families that no cgroup hook sees, sockets from outside, and UNIX
//! sockets. Where it cannot be had, that is said in one line ([`Missing`]).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use aya::{
    Ebpf,
    programs::{
        Lsm, LsmAttachType, ProgramError, ProgramType,
        links::{FdLink, PinnedLink},
    },
    sys::is_program_supported,
};
use egress_common::Layout;
use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

use super::{
    btf::{Btf, Place},
    pins::Pins,
};

/// The programs of the layer, each with the hook that it stands on.
const PROGRAMS: [(&str, &str); 7] = [
    ("lsm_socket_create", "socket_create"),
    ("lsm_socket_connect", "socket_connect"),
    ("lsm_socket_sendmsg", "socket_sendmsg"),
    ("lsm_socket_listen", "socket_listen"),
    ("lsm_socket_accept", "socket_accept"),
    ("lsm_unix_stream_connect", "unix_stream_connect"),
    ("lsm_unix_may_send", "unix_may_send"),
];

const TYPES: &str = "/sys/kernel/btf/vmlinux";
const LIST: &str = "/sys/kernel/security/lsm";

/// Why the layer is not there.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Missing {
    #[error("the kernel refuses LSM programs ({0})")]
    Refused(String),
    #[error(
        "the kernel does not run BPF as a security module (it runs {0}); add `bpf` to the boot parameter `lsm=`"
    )]
    NotInList(String),
    #[error("which security modules the kernel runs cannot be read: {0}")]
    NoList(String),
    #[error("the kernel does not tell its types: {path}: {0}", path = TYPES)]
    NoTypes(String),
    #[error("this kernel's sockets are laid out in a way that is not known: no `{0}`")]
    Layout(&'static str),
    #[error("program `{name}`: {why}")]
    Program { name: &'static str, why: String },
    #[error("the pinned link `{0}` is gone; restart egressd after `egressctl release`")]
    Broken(&'static str),
    #[error(
        "what is pinned was attached without it; `egressctl release` and a restart of egressd attach it"
    )]
    NotAttached,
}

/// How many programs the layer has.
pub const COUNT: usize = PROGRAMS.len();

/// Finds out whether the kernel would run the programs, and what they need to know about it.
pub(super) fn layout() -> Result<Layout, Missing> {
    // Read once: the kernel never changes it, and later the daemon could not mount.
    static MODULES: OnceLock<Result<String, String>> = OnceLock::new();
    let modules = MODULES.get_or_init(|| modules().map_err(|error| error.to_string()));
    let modules = modules
        .as_ref()
        .map_err(|why| Missing::NoList(why.clone()))?;
    if !modules.trim().split(',').any(|module| module == "bpf") {
        return Err(Missing::NotInList(modules.trim().to_owned()));
    }
    let bytes = fs::read(TYPES).map_err(|error| Missing::NoTypes(error.to_string()))?;
    let btf = Btf::parse(&bytes).map_err(|error| Missing::NoTypes(error.to_string()))?;
    find(&btf)
}

fn find(btf: &Btf<'_>) -> Result<Layout, Missing> {
    let place = |structure, path: &[&'static str]| {
        let last = path.last().copied().unwrap_or_default();
        btf.place(structure, path).ok_or(Missing::Layout(last))
    };
    let at = |structure, path: &[&'static str]| place(structure, path).map(Place::bytes);
    let kernel = place("sock", &["sk_kern_sock"])?;
    Ok(Layout {
        socket_sk: at("socket", &["sk"])?,
        sock_family: at("sock", &["__sk_common", "skc_family"])?,
        sock_kernel: kernel.bytes(),
        sock_kernel_mask: 1 << (kernel.bits % 8),
        sock_cgroup: at("sock", &["sk_cgrp_data", "cgroup"])?,
        cgroup_level: at("cgroup", &["level"])?,
        cgroup_ancestors: at("cgroup", &["ancestors"])?,
        cgroup_node: at("cgroup", &["kn"])?,
        node_id: at("kernfs_node", &["id"])?,
        unix_address: at("unix_sock", &["addr"])?,
        unix_peer: at("unix_sock", &["peer"])?,
        address_length: at("unix_address", &["len"])?,
        address_name: at("unix_address", &["name"])?,
    })
}

/// Loads the programs. Nothing is attached.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), Missing> {
    let types = aya::Btf::from_sys_fs().map_err(|error| Missing::NoTypes(error.to_string()))?;
    for (name, hook) in PROGRAMS {
        program(ebpf, name)?
            .load(hook, &types)
            .map_err(|error| refusal(name, &error))?;
    }
    Ok(())
}

/// Attaches every program and pins its link; all of them, or none.
pub(super) fn attach(ebpf: &mut Ebpf, links: &Path) -> Result<(), Missing> {
    let attached = attach_all(ebpf, links);
    if attached.is_err() {
        for (name, _) in PROGRAMS {
            // Most were never pinned.
            drop(fs::remove_file(links.join(name)));
        }
    }
    attached
}

fn attach_all(ebpf: &mut Ebpf, links: &Path) -> Result<(), Missing> {
    for (name, _) in PROGRAMS {
        let program = program(ebpf, name)?;
        let link = program
            .attach()
            .and_then(|id| program.take_link(id))
            .map_err(|error| refusal(name, &error))?;
        FdLink::from(link)
            .pin(links.join(name))
            .map_err(|error| Missing::Program {
                name,
                why: error.to_string(),
            })?;
    }
    Ok(())
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut Lsm, Missing> {
    let missing = || Missing::Program {
        name,
        why: "the object does not hold it; this build of egressd is broken".to_owned(),
    };
    let program = ebpf.program_mut(name).ok_or_else(missing)?;
    program.try_into().map_err(|error| refusal(name, &error))
}

/// A refusal in one line; what the verifier said is for the diagnostic log.
fn refusal(name: &'static str, error: &ProgramError) -> Missing {
    if let ProgramError::SyscallError(error) = error {
        return Missing::Refused(error.io_error.to_string());
    }
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        return Missing::Program {
            name,
            why: error.to_string(),
        };
    };
    let log = verifier_log.to_string();
    tracing::debug!(name, log, "the kernel refused an LSM program");
    let last = log
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("processed "));
    match last {
        None => Missing::Refused(io_error.to_string()),
        Some(last) => Missing::Program {
            name,
            why: format!("{io_error}: {last}"),
        },
    }
}

/// Whether a pinned set holds the layer.
pub(super) fn adopt(pins: &Pins) -> Result<(), Missing> {
    let links = pins.current().join("links");
    let is_there = |name: &str| PinnedLink::from_pin(links.join(name)).is_ok();
    let gone = PROGRAMS.iter().find(|(name, _)| !is_there(name));
    match gone {
        None => Ok(()),
        Some((name, _)) if PROGRAMS.iter().any(|(name, _)| is_there(name)) => {
            Err(Missing::Broken(name))
        }
        Some(_) => Err(probe().err().unwrap_or(Missing::NotAttached)),
    }
}

/// Which programs of the layer have a pinned link.
pub fn attached(pins: &Pins) -> usize {
    let links = pins.current().join("links");
    let pinned = PROGRAMS.iter().filter(|(name, _)| {
        let path: PathBuf = links.join(name);
        path.exists()
    });
    pinned.count()
}

/// Whether the kernel would take the layer, tried with an empty program.
pub fn probe() -> Result<(), Missing> {
    layout()?;
    match is_program_supported(ProgramType::Lsm(LsmAttachType::Mac)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Missing::Refused("not supported".to_owned())),
        Err(error) => Err(refusal("probe", &error)),
    }
}

/// The security modules that the kernel runs, comma-separated.
pub fn modules() -> io::Result<String> {
    match fs::read_to_string(LIST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    // securityfs is not mounted here: one of our own that no path leads to says the same.
    let context = fsopen("securityfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let root = fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
    )?;
    let file = openat(
        &root,
        "lsm",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    io::read_to_string(fs::File::from(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_is_laid_out_as_the_programs_need() {
        let bytes = fs::read(TYPES).unwrap();
        let layout = find(&Btf::parse(&bytes).unwrap()).unwrap();
        assert_eq!(layout.sock_family, 16);
        assert_eq!(layout.sock_kernel_mask.count_ones(), 1);
        // include/net/af_unix.h: the count, the length, then the name that grows.
        assert_eq!((layout.address_length, layout.address_name), (4, 8));
    }

    #[test]
    fn a_refusal_is_one_line() {
        let refused = Missing::Refused("Operation not permitted (os error 1)".to_owned());
        let line = refused.to_string();
        assert!(
            line.starts_with("the kernel refuses LSM programs"),
            "{line}"
        );
        for other in [
            Missing::NotInList("capability,yama".to_owned()),
            Missing::Layout("sk_cgrp_data"),
            Missing::NotAttached,
        ] {
            assert!(!other.to_string().contains('\n'));
        }
    }

    #[test]
    fn the_running_kernel_names_its_modules_though_securityfs_is_not_mounted() {
        let modules = modules().unwrap();
        assert!(
            modules.split(',').any(|module| module == "capability"),
            "{modules}"
        );
    }
}
