//! The filter of system calls: which ones a session may not make, and why.
//!
//! Everything is allowed but what stands in [`DENIALS`]. That table is what the filter is compiled
//! from and what `policy/README.md` shows. seccompiler makes a program for one errno, so there is
//! one program for each; calls of other architectures and of x32 end the process in all of them.
//!
//! # Known gaps
//! A filter sees numbers, not what pointers lead to: flags of clone3(2) cannot be seen, so the
//! call is answered with ENOSYS and C libraries fall back to clone(2).

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("compile the filter of system calls")]
    Compile(#[from] BackendError),
    #[error("load the filter of system calls")]
    Load(#[from] seccompiler::Error),
}

/// One call that is denied.
#[derive(Debug)]
pub struct Denial {
    pub name: &'static str,
    number: libc::c_long,
    when: When,
    pub errno: Errno,
    pub why: &'static str,
}

/// What a denied call returns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Errno {
    /// Not permitted.
    Perm,
    /// As on a kernel that does not have the call: callers fall back.
    NoSys,
    /// As on a kernel that does not have the address family.
    NoFamily,
}

/// With which arguments.
#[derive(Debug)]
enum When {
    Always,
    /// All of one of these.
    Any(&'static str, &'static [&'static [Test]]),
    /// One of these bits in an argument.
    Bits(&'static str, u8, u32),
}

/// A test of the low 32 bits of an argument: all that the kernel looks at.
#[derive(Clone, Copy, Debug)]
enum Test {
    Is(u8, u32),
    IsNot(u8, u32),
    /// The bits of the mask, compared with a value.
    Masked(u8, u32, u32),
}

use Errno::{NoFamily, NoSys, Perm};
use Test::{Is, IsNot, Masked};

const UNIX: u32 = libc::AF_UNIX.cast_unsigned();
const INET: u32 = libc::AF_INET.cast_unsigned();
const INET6: u32 = libc::AF_INET6.cast_unsigned();
const NETLINK: u32 = libc::AF_NETLINK.cast_unsigned();
const ROUTE: u32 = libc::NETLINK_ROUTE.cast_unsigned();
const RAW: u32 = libc::SOCK_RAW.cast_unsigned();
/// `SOCK_PACKET`, which turns a socket of any family into one of `AF_PACKET`.
const PACKET: u32 = 10;
/// Of the type of a socket; the other bits are flags.
const TYPE: u32 = 0xf;

const FAMILIES: When = When::Any(
    "a family other than UNIX, INET, INET6 and NETLINK, or NETLINK with a protocol other than ROUTE",
    &[
        &[
            IsNot(0, UNIX),
            IsNot(0, INET),
            IsNot(0, INET6),
            IsNot(0, NETLINK),
        ],
        &[Is(0, NETLINK), IsNot(2, ROUTE)],
    ],
);
const RAW_TYPES: When = When::Any(
    "SOCK_RAW of INET and INET6, SOCK_PACKET of any family",
    &[
        &[Is(0, INET), Masked(1, TYPE, RAW)],
        &[Is(0, INET6), Masked(1, TYPE, RAW)],
        &[Masked(1, TYPE, PACKET)],
    ],
);
/// Options of setsockopt(2) that join a multicast group or name its sources: the kernel reports the
/// numbers to the network by itself, in packets that belong to no socket
/// (`include/uapi/linux/in.h`, `in6.h`).
const JOINS: When = When::Any(
    "joining a multicast group, with or without sources",
    &[
        &[Is(1, IPPROTO_IP), Is(2, 35)], // IP_ADD_MEMBERSHIP
        &[Is(1, IPPROTO_IP), Is(2, 39)], // IP_ADD_SOURCE_MEMBERSHIP
        &[Is(1, IPPROTO_IP), Is(2, 41)], // IP_MSFILTER
        &[Is(1, IPPROTO_IP), Is(2, JOIN_GROUP)],
        &[Is(1, IPPROTO_IP), Is(2, JOIN_SOURCE_GROUP)],
        &[Is(1, IPPROTO_IP), Is(2, MSFILTER)],
        &[Is(1, IPPROTO_IPV6), Is(2, 20)], // IPV6_JOIN_GROUP
        &[Is(1, IPPROTO_IPV6), Is(2, 27)], // IPV6_JOIN_ANYCAST
        &[Is(1, IPPROTO_IPV6), Is(2, JOIN_GROUP)],
        &[Is(1, IPPROTO_IPV6), Is(2, JOIN_SOURCE_GROUP)],
        &[Is(1, IPPROTO_IPV6), Is(2, MSFILTER)],
    ],
);
const IPPROTO_IP: u32 = libc::IPPROTO_IP.cast_unsigned();
const IPPROTO_IPV6: u32 = libc::IPPROTO_IPV6.cast_unsigned();
/// `MCAST_JOIN_GROUP`, `MCAST_JOIN_SOURCE_GROUP` and `MCAST_MSFILTER`, the same in both levels.
const JOIN_GROUP: u32 = 42;
const JOIN_SOURCE_GROUP: u32 = 46;
const MSFILTER: u32 = 48;
/// Every `CLONE_NEW…` flag that clone(2) knows.
const NEW: u32 = 0x7e02_0000;
/// `CLONE_NEWTIME`, which is for unshare(2) alone: clone(2) has the signal there.
const NEW_TIME: u32 = 0x80;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

/// Numbers that libc does not know yet. The same on every architecture.
const OPEN_TREE_ATTR: libc::c_long = 467;

const fn denial(
    name: &'static str,
    number: libc::c_long,
    errno: Errno,
    why: &'static str,
) -> Denial {
    Denial {
        name,
        number,
        when: When::Always,
        errno,
        why,
    }
}

const FAMILY: &str = "protocols that no packet hook and no rule of the policy knows";
const HEADERS: &str = "packets with headers of the sender's making";
const GROUPS: &str = "reports of the kernel's own, with numbers of the sender's choice";
const RINGS: &str = "system calls that this filter would not see";
const KEYS: &str = "the kernel asks programs outside of the guard for keys, the DNS included";
const OTHERS: &str = "memory and descriptors of processes outside of the guard";
const KERNEL: &str = "programs in the kernel, and what it can be watched with";
const MOUNTS: &str = "the private view would be undone";
const SPACES: &str = "namespaces bring capabilities and another view";
const MACHINE: &str = "the machine itself";
const HANDLES: &str = "files that the private view hides";

/// Every call that is denied, in the order of the page that shows them.
pub const DENIALS: &[Denial] = &[
    Denial {
        name: "socket",
        number: libc::SYS_socket,
        when: FAMILIES,
        errno: NoFamily,
        why: FAMILY,
    },
    Denial {
        name: "socketpair",
        number: libc::SYS_socketpair,
        when: FAMILIES,
        errno: NoFamily,
        why: FAMILY,
    },
    Denial {
        name: "socket",
        number: libc::SYS_socket,
        when: RAW_TYPES,
        errno: Perm,
        why: HEADERS,
    },
    Denial {
        name: "setsockopt",
        number: libc::SYS_setsockopt,
        when: JOINS,
        errno: Perm,
        why: GROUPS,
    },
    denial("io_uring_setup", libc::SYS_io_uring_setup, NoSys, RINGS),
    denial("io_uring_enter", libc::SYS_io_uring_enter, NoSys, RINGS),
    denial(
        "io_uring_register",
        libc::SYS_io_uring_register,
        NoSys,
        RINGS,
    ),
    denial("add_key", libc::SYS_add_key, Perm, KEYS),
    denial("request_key", libc::SYS_request_key, Perm, KEYS),
    denial("keyctl", libc::SYS_keyctl, Perm, KEYS),
    denial("ptrace", libc::SYS_ptrace, Perm, OTHERS),
    denial("pidfd_getfd", libc::SYS_pidfd_getfd, Perm, OTHERS),
    denial("process_vm_readv", libc::SYS_process_vm_readv, Perm, OTHERS),
    denial(
        "process_vm_writev",
        libc::SYS_process_vm_writev,
        Perm,
        OTHERS,
    ),
    denial("kcmp", libc::SYS_kcmp, Perm, OTHERS),
    denial("bpf", libc::SYS_bpf, Perm, KERNEL),
    denial("perf_event_open", libc::SYS_perf_event_open, Perm, KERNEL),
    denial("userfaultfd", libc::SYS_userfaultfd, Perm, KERNEL),
    denial("lookup_dcookie", libc::SYS_lookup_dcookie, Perm, KERNEL),
    denial("mount", libc::SYS_mount, Perm, MOUNTS),
    denial("umount2", libc::SYS_umount2, Perm, MOUNTS),
    denial("pivot_root", libc::SYS_pivot_root, Perm, MOUNTS),
    denial("move_mount", libc::SYS_move_mount, Perm, MOUNTS),
    denial("open_tree", libc::SYS_open_tree, Perm, MOUNTS),
    denial("open_tree_attr", OPEN_TREE_ATTR, Perm, MOUNTS),
    denial("fsopen", libc::SYS_fsopen, Perm, MOUNTS),
    denial("fsmount", libc::SYS_fsmount, Perm, MOUNTS),
    denial("fsconfig", libc::SYS_fsconfig, Perm, MOUNTS),
    denial("fspick", libc::SYS_fspick, Perm, MOUNTS),
    denial("mount_setattr", libc::SYS_mount_setattr, Perm, MOUNTS),
    denial("setns", libc::SYS_setns, Perm, SPACES),
    Denial {
        name: "unshare",
        number: libc::SYS_unshare,
        when: When::Bits("any CLONE_NEW… flag", 0, NEW | NEW_TIME),
        errno: Perm,
        why: SPACES,
    },
    Denial {
        name: "clone",
        number: libc::SYS_clone,
        when: When::Bits("any CLONE_NEW… flag", 0, NEW),
        errno: Perm,
        why: SPACES,
    },
    denial(
        "clone3",
        libc::SYS_clone3,
        NoSys,
        "its flags cannot be seen; callers fall back to clone",
    ),
    denial(
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        Perm,
        HANDLES,
    ),
    denial("init_module", libc::SYS_init_module, Perm, MACHINE),
    denial("finit_module", libc::SYS_finit_module, Perm, MACHINE),
    denial("delete_module", libc::SYS_delete_module, Perm, MACHINE),
    denial("kexec_load", libc::SYS_kexec_load, Perm, MACHINE),
    denial("kexec_file_load", libc::SYS_kexec_file_load, Perm, MACHINE),
    denial("reboot", libc::SYS_reboot, Perm, MACHINE),
    denial("swapon", libc::SYS_swapon, Perm, MACHINE),
    denial("swapoff", libc::SYS_swapoff, Perm, MACHINE),
    denial("acct", libc::SYS_acct, Perm, MACHINE),
    denial("quotactl", libc::SYS_quotactl, Perm, MACHINE),
    denial("settimeofday", libc::SYS_settimeofday, Perm, MACHINE),
    denial("clock_settime", libc::SYS_clock_settime, Perm, MACHINE),
    denial("vhangup", libc::SYS_vhangup, Perm, MACHINE),
    #[cfg(target_arch = "x86_64")]
    denial("iopl", libc::SYS_iopl, Perm, MACHINE),
    #[cfg(target_arch = "x86_64")]
    denial("ioperm", libc::SYS_ioperm, Perm, MACHINE),
    Denial {
        name: "ioctl",
        number: libc::SYS_ioctl,
        when: When::Any(
            "TIOCSTI and TIOCLINUX",
            &[&[Is(1, TIOCSTI)], &[Is(1, TIOCLINUX)]],
        ),
        errno: Perm,
        why: "typing into the terminal for whoever reads it next, outside of the guard",
    },
];

/// Bit 30 of a number: a call of x32, with 64-bit registers and 32-bit pointers.
const X32: u32 = 0x4000_0000;

/// The programs, one for each errno.
pub fn programs() -> Result<Vec<BpfProgram>, FilterError> {
    [Perm, NoSys, NoFamily].into_iter().map(program).collect()
}

/// Puts the filter on this thread and on everything that it becomes. No way back.
pub fn apply() -> Result<(), FilterError> {
    for program in programs()? {
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

/// The table as the page shows it.
pub fn page() -> String {
    let mut page = String::from("| call | when | answer | why |\n|---|---|---|---|\n");
    for denial in DENIALS {
        let when = match &denial.when {
            When::Always => "",
            When::Any(words, _) | When::Bits(words, _, _) => words,
        };
        let Denial {
            name, errno, why, ..
        } = denial;
        page.extend([
            "| `",
            name,
            "` | ",
            when,
            " | ",
            errno.name(),
            " | ",
            why,
            " |\n",
        ]);
    }
    page
}

fn program(errno: Errno) -> Result<BpfProgram, FilterError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for denial in DENIALS.iter().filter(|denial| denial.errno == errno) {
        rules
            .entry(denial.number)
            .or_default()
            .extend(denial.when.rules()?);
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.number()),
        ARCHITECTURE,
    )?;
    let mut program = x32_ends();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// seccompiler looks at the architecture, and x32 has that of `x86_64`. Jumps are relative, so
/// that these may stand before what it made.
fn x32_ends() -> BpfProgram {
    const NUMBER: u32 = 0;
    let instruction = |code: u32, jf: u8, k: u32| sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: 0,
        jf,
        k,
    };
    vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, NUMBER),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            libc::SECCOMP_RET_KILL_PROCESS,
        ),
    ]
}

impl When {
    /// None for a call that is always denied: that is how seccompiler has it.
    fn rules(&self) -> Result<Vec<SeccompRule>, BackendError> {
        match self {
            Self::Always => Ok(Vec::new()),
            Self::Any(_, alternatives) => alternatives
                .iter()
                .map(|tests| {
                    let tests: Result<_, _> = tests.iter().copied().map(Test::condition).collect();
                    SeccompRule::new(tests?)
                })
                .collect(),
            Self::Bits(_, argument, bits) => (0..u32::BITS)
                .map(|bit| 1 << bit)
                .filter(|bit| bits & bit != 0)
                .map(|bit| SeccompRule::new(vec![Masked(*argument, bit, bit).condition()?]))
                .collect(),
        }
    }
}

impl Test {
    fn condition(self) -> Result<SeccompCondition, BackendError> {
        let (argument, operator, value) = match self {
            Is(argument, value) => (argument, SeccompCmpOp::Eq, value),
            IsNot(argument, value) => (argument, SeccompCmpOp::Ne, value),
            Masked(argument, mask, value) => (argument, SeccompCmpOp::MaskedEq(mask.into()), value),
        };
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())
    }
}

impl Errno {
    fn number(self) -> u32 {
        match self {
            Perm => libc::EPERM,
            NoSys => libc::ENOSYS,
            NoFamily => libc::EAFNOSUPPORT,
        }
        .cast_unsigned()
    }

    fn name(self) -> &'static str {
        match self {
            Perm => "EPERM",
            NoSys => "ENOSYS",
            NoFamily => "EAFNOSUPPORT",
        }
    }
}

#[cfg(test)]
mod tests;
