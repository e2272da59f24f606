//! What was found on a machine, before anything is made of it. Values only.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;

use crate::{cli::home::SeenHook, control::status::Status};

/// Everything that a row is made from.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Facts {
    pub(super) kernel: Kernel,
    pub(super) groups: Groups,
    pub(super) bpf: Bpf,
    pub(super) confinement: Confinement,
    pub(super) names: Names,
    pub(super) daemon: Result<Box<Status>, NoDaemon>,
    /// The version of this program.
    pub(super) version: String,
    pub(super) policies: Vec<PolicyFile>,
    /// The hooks of the agents that are there; or why they cannot be looked at.
    pub(super) hooks: Result<Vec<SeenHook>, String>,
    pub(super) clock: Clock,
    pub(super) disk: Option<Disk>,
    pub(super) units: Units,
    /// Whether the group of those who may use the control socket exists.
    pub(super) has_group: bool,
    pub(super) is_root: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Kernel {
    pub(super) release: String,
    /// Why it is too old.
    pub(super) refused: Option<String>,
    pub(super) chooses_errno: bool,
    /// The text of its configuration, where it is told.
    pub(super) config: Option<String>,
    pub(super) tells_types: bool,
    pub(super) filters_calls: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Groups {
    /// The mount, or why there is none.
    pub(super) mount: Result<PathBuf, String>,
    /// `/proc/self/mountinfo`.
    pub(super) mounts: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Bpf {
    pub(super) loads: Loads,
    /// Why nothing can be pinned.
    pub(super) pins: Option<String>,
    /// Whether the BPF file system is only missing its mount.
    pub(super) has_filesystem: bool,
}

/// Whether the kernel takes a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Loads {
    Yes,
    No(String),
    /// Only root is told.
    #[default]
    NotAsked,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Confinement {
    /// The security modules that the kernel runs, in their order.
    pub(super) modules: Option<String>,
    pub(super) landlock: Landlock,
    /// Why the LSM programs do not load.
    pub(super) lsm: Option<String>,
    /// `/proc/sys/user/max_user_namespaces`.
    pub(super) most_namespaces: String,
    /// `/proc/sys/kernel/unprivileged_userns_clone`, of Debian.
    pub(super) clone_switch: Option<String>,
    /// `/proc/sys/kernel/apparmor_restrict_unprivileged_userns`.
    pub(super) apparmor: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Landlock {
    Abi(i32),
    Off,
    #[default]
    Absent,
    Unknown(String),
}

#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) nsswitch: Option<String>,
    /// The text, or why it cannot be read.
    pub(super) resolv: Result<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum NoDaemon {
    /// Nothing listens.
    Absent(String),
    /// It listens, and this user may not ask.
    NotAllowed(String),
    /// It answers something that is not understood.
    Strange(String),
}

/// A policy file, as it is now.
#[derive(Debug, Clone)]
pub(super) struct PolicyFile {
    pub(super) file: PathBuf,
    /// Its digest and the number of its warnings; or what is wrong with it.
    pub(super) read: Result<(String, usize), String>,
    /// The guard that has it in force, and the digest there.
    pub(super) in_force: Option<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct Clock {
    pub(super) now: Timestamp,
    /// Whether something keeps it right; unknown where the kernel does not say.
    pub(super) is_kept: Option<bool>,
    /// Since the kernel started, sleep included.
    pub(super) boot: Duration,
    /// Since the kernel started, without sleep.
    pub(super) awake: Duration,
    /// `/proc/self/timens_offsets`.
    pub(super) offsets: Option<String>,
}

/// Where the audit log is.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) file: PathBuf,
    pub(super) free: u64,
    /// What the log may grow to.
    pub(super) wanted: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Units {
    /// Whether systemd runs this machine.
    pub(super) systemd: bool,
    /// Each with where it stands, and whether it is as this version writes it.
    pub(super) files: Vec<UnitFile>,
    pub(super) is_enabled: bool,
}

#[derive(Debug, Clone)]
pub(super) struct UnitFile {
    pub(super) name: &'static str,
    /// Where it stands.
    pub(super) at: Option<PathBuf>,
    pub(super) is_current: bool,
}
