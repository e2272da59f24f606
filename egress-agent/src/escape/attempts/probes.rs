//! System calls that could undo a guard, each with arguments that do no harm: the kernel checks
//! the right to make the call before it looks at them.

use std::io;

use super::system;

/// One call, with arguments that a kernel which allows it answers with an error or with something
/// that ends with this process.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) name: &'static str,
    number: libc::c_long,
    arguments: &'static [usize],
}

/// Not a descriptor, and not a pointer.
const BAD: usize = usize::MAX;
/// `UFFD_USER_MODE_ONLY`: what unprivileged users may ask for.
const USER_MODE_ONLY: usize = 1;
const NEW_USER: usize = libc::CLONE_NEWUSER as usize;

pub(super) const ALL: &[Probe] = &[
    Probe {
        name: "bpf",
        number: libc::SYS_bpf,
        arguments: &[0, 0, 0],
    },
    Probe {
        name: "perf_event_open",
        number: libc::SYS_perf_event_open,
        arguments: &[BAD, 0, 0, BAD, 0],
    },
    Probe {
        name: "userfaultfd",
        number: libc::SYS_userfaultfd,
        arguments: &[USER_MODE_ONLY],
    },
    Probe {
        name: "process_vm_readv",
        number: libc::SYS_process_vm_readv,
        arguments: &[0, 0, 0, 0, 0, 1],
    },
    Probe {
        name: "process_vm_writev",
        number: libc::SYS_process_vm_writev,
        arguments: &[0, 0, 0, 0, 0, 1],
    },
    Probe {
        name: "pidfd_getfd",
        number: libc::SYS_pidfd_getfd,
        arguments: &[BAD, BAD, 0],
    },
    Probe {
        name: "ptrace",
        number: libc::SYS_ptrace,
        arguments: &[BAD, 0, 0, 0],
    },
    Probe {
        name: "io_uring_setup",
        number: libc::SYS_io_uring_setup,
        arguments: &[0, 0],
    },
    Probe {
        name: "io_uring_enter",
        number: libc::SYS_io_uring_enter,
        arguments: &[BAD, 0, 0, 0, 0, 0],
    },
    Probe {
        name: "io_uring_register",
        number: libc::SYS_io_uring_register,
        arguments: &[BAD, 0, 0, 0],
    },
    Probe {
        name: "unshare",
        number: libc::SYS_unshare,
        arguments: &[NEW_USER],
    },
    Probe {
        name: "setns",
        number: libc::SYS_setns,
        arguments: &[BAD, 0],
    },
    Probe {
        name: "mount",
        number: libc::SYS_mount,
        arguments: &[0, 0, 0, 0, 0],
    },
    Probe {
        name: "umount2",
        number: libc::SYS_umount2,
        arguments: &[0, 0],
    },
    Probe {
        name: "pivot_root",
        number: libc::SYS_pivot_root,
        arguments: &[0, 0],
    },
    Probe {
        name: "move_mount",
        number: libc::SYS_move_mount,
        arguments: &[BAD, 0, BAD, 0, 0],
    },
    Probe {
        name: "open_tree",
        number: libc::SYS_open_tree,
        arguments: &[BAD, 0, 1],
    },
    Probe {
        name: "fsopen",
        number: libc::SYS_fsopen,
        arguments: &[0, 0],
    },
    Probe {
        name: "fsmount",
        number: libc::SYS_fsmount,
        arguments: &[BAD, 0, 0],
    },
    Probe {
        name: "fsconfig",
        number: libc::SYS_fsconfig,
        arguments: &[BAD, BAD, 0, 0, 0],
    },
    Probe {
        name: "fspick",
        number: libc::SYS_fspick,
        arguments: &[BAD, 0, 0],
    },
    Probe {
        name: "mount_setattr",
        number: libc::SYS_mount_setattr,
        arguments: &[BAD, 0, 0, 0, 0],
    },
    Probe {
        name: "init_module",
        number: libc::SYS_init_module,
        arguments: &[0, 0, 0],
    },
    Probe {
        name: "finit_module",
        number: libc::SYS_finit_module,
        arguments: &[BAD, 0, 0],
    },
    Probe {
        name: "delete_module",
        number: libc::SYS_delete_module,
        arguments: &[0, 0],
    },
    Probe {
        name: "kexec_load",
        number: libc::SYS_kexec_load,
        arguments: &[0, BAD, 0, BAD],
    },
    Probe {
        name: "open_by_handle_at",
        number: libc::SYS_open_by_handle_at,
        arguments: &[BAD, 0, 0],
    },
    Probe {
        name: "swapon",
        number: libc::SYS_swapon,
        arguments: &[0, BAD],
    },
    Probe {
        name: "reboot",
        number: libc::SYS_reboot,
        arguments: &[0, 0, 0, 0],
    },
    Probe {
        name: "kcmp",
        number: libc::SYS_kcmp,
        arguments: &[0, 0, BAD, 0, 0],
    },
];

impl Probe {
    /// Whether the right to make the call is missing. Any other error is an answer to the
    /// arguments.
    pub(super) fn is_refused(&self) -> bool {
        system::plain(self.number, self.arguments).is_err_and(|error: io::Error| {
            matches!(
                error.raw_os_error(),
                Some(libc::EPERM | libc::EACCES | libc::ENOSYS)
            )
        })
    }
}
