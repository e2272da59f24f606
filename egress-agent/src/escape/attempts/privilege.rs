//! Privileges, and the ways to get them back.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileTypeExt as _,
    path::PathBuf,
};

use rustix::{process::Uid, thread};

use super::{
    bait::{absent, escaped, refused},
    probes,
};
use crate::escape::{Attempt, Ground, Limit, Outcome, attempt::Tried};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "dangerous-calls",
        title: "system calls that could undo a guard",
        run: |_| Outcome::of(dangerous_calls()),
        limit: None,
    },
    Attempt {
        name: "capabilities-regained",
        title: "becoming root, or getting capabilities back",
        run: |_| Outcome::of(regain()),
        limit: None,
    },
    Attempt {
        name: "programs-with-privileges",
        title: "sudo, su and other setuid programs",
        run: |_| Outcome::of(new_privileges()),
        limit: None,
    },
    Attempt {
        name: "kernel-settings",
        title: "settings that make the kernel start a program (core_pattern)",
        run: |_| Outcome::of(any_opens(KERNEL_SETTINGS.iter().map(PathBuf::from))),
        limit: None,
    },
    Attempt {
        name: "block-devices",
        title: "writing to the disks below the file systems",
        run: |ground| Outcome::of(block_devices(ground)),
        limit: None,
    },
    Attempt {
        name: "device-made",
        title: "making a device of the own (mknod)",
        run: |ground| Outcome::of(make_device(ground)),
        limit: None,
    },
    Attempt {
        name: "left-for-later",
        title: "files that are run later, outside (cron, shell start files)",
        run: |_| Outcome::of(later()),
        limit: Some(Limit::Everyone(
            "what an agent may write, and someone outside runs later, runs outside: review it",
        )),
    },
];

/// The kernel starts the programs that these name as root, outside of every cgroup; the last ones
/// act at once.
const KERNEL_SETTINGS: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/sys/kernel/uevent_helper",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sysrq-trigger",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/kernel/unprivileged_bpf_disabled",
    "/dev/mem",
    "/dev/kmem",
    "/dev/port",
    "/proc/kcore",
];

/// Where programs look for what to run later.
const LATER: &[&str] = &[
    "HOME/.bashrc",
    "HOME/.profile",
    "HOME/.ssh/authorized_keys",
    "/etc/crontab",
    "/etc/profile",
    "/var/spool/cron/crontabs",
    "/var/spool/cron/atjobs",
    "/etc/cron.d",
    "/etc/ld.so.preload",
];

fn dangerous_calls() -> Tried {
    let open: Vec<_> = probes::ALL
        .iter()
        .filter(|probe| !probe.is_refused())
        .map(|probe| probe.name)
        .collect();
    if open.is_empty() {
        Err(Outcome::Refused(
            "all of them: Operation not permitted".to_owned(),
        ))
    } else {
        escaped(format!("not refused: {}", open.join(", ")))
    }
}

/// Tries what has worked on kernels and launchers of the past.
fn regain() -> Tried {
    if thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok()
        && !rustix::process::getuid().is_root()
    {
        return escaped("became root");
    }
    let all = thread::CapabilitySet::all();
    let wanted = thread::CapabilitySets {
        effective: all,
        permitted: all,
        inheritable: all,
    };
    // Either call may be refused; what counts is what the kernel then shows.
    let set = thread::set_capabilities(None, wanted);
    let status = fs::read_to_string("/proc/self/status")
        .map_err(Outcome::refused("read /proc/self/status"))?;
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        let field = field(&status, set);
        // A bounding set is harmless to who can get nothing new.
        let matters = set != "CapBnd:" || field_is(&status, "NoNewPrivs:", "0");
        if matters && field.chars().any(|digit| digit != '0') {
            return escaped(format!("{set} {field}"));
        }
    }
    set.map_err(refused("capset"))
}

/// A setuid program is harmless where `no_new_privs` is set, and only there.
fn new_privileges() -> Tried {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(Outcome::refused("read /proc/self/status"))?;
    if field_is(&status, "NoNewPrivs:", "1") {
        Err(Outcome::Refused("no_new_privs is set".to_owned()))
    } else {
        escaped("no_new_privs is not set")
    }
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default()
        .trim()
}

fn field_is(status: &str, name: &str, value: &str) -> bool {
    field(status, name) == value
}

/// Opens each for writing, and writes nothing.
fn any_opens(paths: impl Iterator<Item = PathBuf>) -> Tried {
    let mut refusal = None;
    for path in paths {
        match OpenOptions::new().write(true).open(&path) {
            Ok(_) => return escaped(format!("may write {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err(Outcome::refused("open for writing")(error)),
        None => absent("this machine has none of them"),
    }
}

fn block_devices(ground: &Ground) -> Tried {
    let devices: Vec<_> = fs::read_dir("/dev")
        .map_err(Outcome::refused("list /dev"))?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_block_device()))
        .map(|entry| entry.path())
        .collect();
    if devices.is_empty() && ground.guarded {
        return Err(Outcome::Refused("no disk is to be seen".to_owned()));
    }
    // Opening a disk changes nothing; closing one that was opened for writing only makes udev look.
    any_opens(devices.into_iter())
}

fn make_device(ground: &Ground) -> Tried {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let place = ground
        .scratch
        .join(format!("device-{}", std::process::id()));
    // The device that /dev/null is, on a file system where one may be made.
    mknodat(
        CWD,
        &place,
        FileType::CharacterDevice,
        Mode::RUSR | Mode::WUSR,
        makedev(1, 3),
    )
    .map_err(refused("mknod"))?;
    fs::remove_file(&place).unwrap_or_default();
    escaped("made a device")
}

fn later() -> Tried {
    let home = std::env::var("HOME").unwrap_or_else(|_| "/nonexistent".to_owned());
    let mut refusal = None;
    for path in LATER.iter().map(|path| path.replace("HOME", &home)) {
        let path = PathBuf::from(path);
        let tried = if path.is_dir() {
            rustix::fs::access(&path, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)
        } else {
            OpenOptions::new().append(true).open(&path).map(drop)
        };
        match tried {
            Ok(()) => return escaped(format!("may write {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err(Outcome::refused("open for writing")(error)),
        None => absent("this machine has none of them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_status_is_found_by_its_whole_name() {
        let status = "CapInh:\t0\nCapPrm:\t00ff\nNoNewPrivs:\t1\n";
        assert_eq!(field(status, "CapPrm:"), "00ff");
        assert!(field_is(status, "NoNewPrivs:", "1"));
        assert_eq!(field(status, "CapEff:"), "");
    }
}
