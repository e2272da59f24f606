//! What this machine offers: quick looks that change nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use landlock::{ABI, AccessFs, LandlockStatus, Ruleset, RulesetAttr as _};
use serde::Serialize;

use crate::{
    cli::PIN_DIR,
    control::{
        client::Client,
        message::{Reply, Request},
    },
    kernel::{
        Hierarchy, check_kernel, lsm,
        pins::Pins,
        programs::{has_set_retval, kernel_release},
    },
};

/// How a look came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    Ok,
    /// A layer or a comfort is missing; the guard holds without it.
    Weak,
    /// egressd does not work like this.
    Missing,
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was found, and what to do where something is missing.
    pub(super) says: String,
}

impl Check {
    fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, State::Ok, says)
    }

    fn weak(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, State::Weak, says)
    }

    fn missing(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, State::Missing, says)
    }

    fn new(name: &'static str, state: State, says: impl Into<String>) -> Self {
        Self {
            name,
            state,
            says: says.into(),
        }
    }
}

/// Every look, in the order in which one thing needs another.
pub(super) fn look(socket: &Path) -> Vec<Check> {
    vec![
        kernel(),
        denial(),
        cgroup(),
        delegation(),
        pins(),
        types(),
        seccomp(),
        landlock(),
        lsm_programs(),
        namespaces(),
        daemon(socket),
    ]
}

fn kernel() -> Check {
    match check_kernel() {
        Ok(()) => Check::ok("kernel", format!("Linux {}", kernel_release())),
        Err(error) => Check::missing("kernel", error.to_string()),
    }
}

fn denial() -> Check {
    if has_set_retval() {
        Check::ok("denials", "the policy chooses the error of a denied call")
    } else {
        Check::weak(
            "denials",
            "a denied call always fails with EPERM; Linux 5.18 lets the policy choose",
        )
    }
}

fn cgroup() -> Check {
    match Hierarchy::find() {
        Ok(hierarchy) => Check::ok("cgroup2", format!("at {}", hierarchy.root().display())),
        Err(error) => Check::missing("cgroup2", error.to_string()),
    }
}

fn delegation() -> Check {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if is_delegating(&mounts) {
        Check::ok("nsdelegate", "cgroup namespaces are borders")
    } else {
        Check::weak(
            "nsdelegate",
            "a root agent may move itself out of its cgroup; remount cgroup2 with `nsdelegate`",
        )
    }
}

/// Whether the cgroup2 of a mountinfo text was mounted with `nsdelegate`.
fn is_delegating(mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| {
        line.split_once(" - cgroup2 ")
            .is_some_and(|(_, rest)| rest.split([' ', ',']).any(|option| option == "nsdelegate"))
    })
}

fn pins() -> Check {
    match Pins::new(Path::new(PIN_DIR), "doctor", "").check() {
        Ok(()) => Check::ok("bpffs", format!("below {PIN_DIR}")),
        Err(error) => Check::missing("bpffs", error.to_string()),
    }
}

fn types() -> Check {
    let path = PathBuf::from("/sys/kernel/btf/vmlinux");
    if path.exists() {
        Check::ok("BTF", "the kernel tells its types")
    } else {
        Check::weak(
            "BTF",
            format!(
                "{} is missing: no LSM programs; take a kernel with CONFIG_DEBUG_INFO_BTF",
                path.display()
            ),
        )
    }
}

fn seccomp() -> Check {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    match actions {
        Ok(actions) if actions.split_whitespace().any(|action| action == "errno") => {
            Check::ok("seccomp", "filters of system calls")
        }
        Ok(_) | Err(_) => Check::missing(
            "seccomp",
            "the kernel has no filters of system calls; take one with CONFIG_SECCOMP_FILTER",
        ),
    }
}

fn landlock() -> Check {
    // The status comes with a restriction, which only the thread that asks gets.
    let asked = thread::spawn(|| {
        let ruleset = Ruleset::default().handle_access(AccessFs::Execute)?;
        ruleset.create()?.restrict_self()
    })
    .join();
    match asked.map(|status| status.map(|status| status.landlock)) {
        Ok(Ok(LandlockStatus::Available { effective_abi, .. })) => judge_landlock(effective_abi),
        Ok(Ok(LandlockStatus::NotEnabled)) => Check::weak(
            "Landlock",
            "switched off; add `landlock` to the boot parameter `lsm=`",
        ),
        Ok(Ok(LandlockStatus::NotImplemented)) => Check::weak(
            "Landlock",
            "not in this kernel; it has been in Linux since 5.13",
        ),
        Ok(Err(error)) => Check::weak("Landlock", error.to_string()),
        Err(_panic) => Check::weak("Landlock", "asking for it failed"),
    }
}

fn judge_landlock(abi: ABI) -> Check {
    let number = abi as i32;
    if abi < ABI::V6 {
        Check::weak(
            "Landlock",
            format!("ABI {number}; abstract UNIX sockets are held from ABI 6 (Linux 6.12) on"),
        )
    } else {
        Check::ok("Landlock", format!("ABI {number}"))
    }
}

fn lsm_programs() -> Check {
    match lsm::probe() {
        Ok(()) => Check::ok("BPF LSM", "the second layer loads"),
        Err(error) => Check::weak("BPF LSM", error.to_string()),
    }
}

fn namespaces() -> Check {
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let switch = fs::read_to_string("/proc/sys/kernel/unprivileged_userns_clone");
    let armor = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    let is_off = limit.trim() == "0"
        || switch.is_ok_and(|value| value.trim() == "0")
        || armor.is_ok_and(|value| value.trim() == "1");
    if is_off {
        Check::weak(
            "namespaces",
            "users may make none; only root gets a private view of the files",
        )
    } else {
        Check::ok("namespaces", "users may make their own")
    }
}

fn daemon(socket: &Path) -> Check {
    let status = Client::connect(socket)
        .and_then(|mut client| client.request(&Request::Status { session: None }));
    match status {
        Ok(Reply::Status(status)) => {
            let gaps: Vec<&str> = status
                .guards
                .iter()
                .flat_map(|guard| guard.gaps.iter().map(String::as_str))
                .collect();
            if gaps.is_empty() {
                let count = status.guards.len();
                let noun = if count == 1 { "cgroup" } else { "cgroups" };
                Check::ok("egressd", format!("guards {count} {noun}, without gaps"))
            } else {
                Check::weak("egressd", format!("runs with gaps: {}", gaps.join("; ")))
            }
        }
        Ok(_) => Check::missing("egressd", "answered something else: is it of this version?"),
        Err(error) => Check::missing("egressd", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delegation_is_an_option_of_the_cgroup2_mount() {
        let with = "35 24 0:30 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert!(is_delegating(with));
        let without = "35 24 0:30 / /nsdelegate rw shared:9 - cgroup2 cgroup2 rw\n\
                       36 24 0:31 / /x rw - tmpfs nsdelegate rw,nsdelegate\n";
        assert!(!is_delegating(without));
    }

    #[test]
    fn abstract_sockets_need_a_newer_landlock() {
        assert_eq!(judge_landlock(ABI::V6).state, State::Ok);
        assert_eq!(judge_landlock(ABI::V5).state, State::Weak);
    }
}
