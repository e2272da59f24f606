//! What the kernel itself offers.

use crate::{
    cli::{
        PIN_DIR,
        doctor::{
            facts::{Bpf, Groups, Kernel, Loads},
            row::Row,
        },
    },
    control::status::Status,
};

/// Without these nothing is guarded.
const NEEDED: [&str; 4] = [
    "CONFIG_BPF_SYSCALL",
    "CONFIG_CGROUP_BPF",
    "CONFIG_INET",
    "CONFIG_SECCOMP_FILTER",
];
/// These are second layers.
const USEFUL: [&str; 3] = [
    "CONFIG_BPF_LSM",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_SECURITY_LANDLOCK",
];

pub(super) fn release(kernel: &Kernel) -> Row {
    match &kernel.refused {
        None => Row::pass("kernel", format!("Linux {}", kernel.release)),
        Some(why) => Row::fail("kernel", why).mend("apt-get install linux-image-amd64 && reboot"),
    }
}

pub(super) fn config(kernel: &Kernel) -> Row {
    const NAME: &str = "config";
    let Some(config) = &kernel.config else {
        return Row::pass(
            NAME,
            "not told by this kernel; what it offers was tried below",
        );
    };
    let missing = |options: &[&'static str]| -> Vec<&'static str> {
        let is_set = |option: &&str| {
            config
                .lines()
                .any(|line| matches!(line.strip_prefix(*option), Some("=y" | "=m")))
        };
        let options = options.iter();
        options.filter(|option| !is_set(option)).copied().collect()
    };
    let needed = missing(&NEEDED);
    if !needed.is_empty() {
        return Row::fail(
            NAME,
            format!(
                "built without {}; take a kernel of the distribution",
                needed.join(", ")
            ),
        )
        .mend("apt-get install linux-image-amd64 && reboot");
    }
    let useful = missing(&USEFUL);
    if useful.is_empty() {
        Row::pass(NAME, "every option that egressd uses is set")
    } else {
        Row::warn(
            NAME,
            format!(
                "built without {}: second layers are missing",
                useful.join(", ")
            ),
        )
    }
}

pub(super) fn errno(kernel: &Kernel) -> Row {
    if kernel.chooses_errno {
        Row::pass("denials", "the policy chooses the error of a denied call")
    } else {
        Row::warn(
            "denials",
            "a denied call always fails with EPERM; Linux 5.18 lets the policy choose",
        )
    }
}

pub(super) fn cgroup(groups: &Groups) -> Row {
    match &groups.mount {
        Ok(mount) => Row::pass("cgroup2", format!("at {}", mount.display())),
        Err(why) => {
            Row::fail("cgroup2", why).mend("mount -t cgroup2 -o nsdelegate none /sys/fs/cgroup")
        }
    }
}

pub(super) fn delegation(groups: &Groups) -> Row {
    const NAME: &str = "nsdelegate";
    let Ok(mount) = &groups.mount else {
        return Row::warn(NAME, "not looked at: cgroup2 is not mounted");
    };
    if is_delegating(&groups.mounts) {
        Row::pass(NAME, "cgroup namespaces are borders")
    } else {
        let mend = format!("mount -o remount,nsdelegate {}", mount.display());
        Row::warn(NAME, "a root agent may move itself out of its cgroup").mend(mend)
    }
}

/// Whether the cgroup2 of a mountinfo text was mounted with `nsdelegate`.
fn is_delegating(mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| {
        line.split_once(" - cgroup2 ")
            .is_some_and(|(_, rest)| rest.split([' ', ',']).any(|option| option == "nsdelegate"))
    })
}

pub(super) fn programs(bpf: &Bpf, status: Option<&Status>) -> Row {
    const NAME: &str = "BPF";
    let is_attached = |status: &Status| {
        let mut guards = status.guards.iter();
        guards.any(|guard| guard.hooks.iter().any(|hook| hook.attached))
    };
    match &bpf.loads {
        Loads::Yes => Row::pass(NAME, "the kernel takes programs for cgroups"),
        Loads::No(why) => Row::fail(
            NAME,
            format!("the kernel takes no program for cgroups: {why}"),
        ),
        Loads::NotAsked if status.is_some_and(is_attached) => {
            Row::pass(NAME, "egressd has attached its programs")
        }
        Loads::NotAsked => Row::warn(
            NAME,
            "only root is told whether the kernel takes programs for cgroups",
        )
        .mend("sudo egressctl doctor"),
    }
}

pub(super) fn pins(bpf: &Bpf) -> Row {
    const NAME: &str = "bpffs";
    match &bpf.pins {
        None => Row::pass(NAME, format!("below {PIN_DIR}")),
        Some(why) if bpf.has_filesystem => {
            Row::fail(NAME, why).mend("mount -t bpf bpf /sys/fs/bpf")
        }
        Some(why) => Row::fail(NAME, format!("{why}; the kernel has no BPF file system")),
    }
}

pub(super) fn types(kernel: &Kernel) -> Row {
    if kernel.tells_types {
        Row::pass("BTF", "the kernel tells its types")
    } else {
        Row::warn(
            "BTF",
            "/sys/kernel/btf/vmlinux is missing: no LSM programs; take a kernel with \
             CONFIG_DEBUG_INFO_BTF",
        )
    }
}

pub(super) fn seccomp(kernel: &Kernel) -> Row {
    if kernel.filters_calls {
        Row::pass("seccomp", "filters of system calls")
    } else {
        Row::fail(
            "seccomp",
            "the kernel has no filters of system calls; take one with CONFIG_SECCOMP_FILTER",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::row::State;

    #[test]
    fn delegation_is_an_option_of_the_cgroup2_mount() {
        let with = "35 24 0:30 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert!(is_delegating(with));
        let without = "35 24 0:30 / /nsdelegate rw shared:9 - cgroup2 cgroup2 rw\n\
                       36 24 0:31 / /x rw - tmpfs nsdelegate rw,nsdelegate\n";
        assert!(!is_delegating(without));
    }

    #[test]
    fn a_configuration_is_judged_by_what_it_sets() {
        let all: Vec<String> = NEEDED
            .iter()
            .chain(&USEFUL)
            .map(|name| format!("{name}=y"))
            .collect();
        let judged = |text: &str| {
            let kernel = Kernel {
                config: Some(text.to_owned()),
                ..Kernel::default()
            };
            config(&kernel)
        };
        assert_eq!(judged(&all.join("\n")).state, State::Pass);
        let needed = all
            .join("\n")
            .replace("CONFIG_CGROUP_BPF=y", "# CONFIG_CGROUP_BPF is not set");
        let row = judged(&needed);
        assert_eq!(row.state, State::Fail);
        assert!(row.says.contains("CONFIG_CGROUP_BPF;"), "{}", row.says);
        assert!(row.mend.is_some());
        // The name of another option begins with it.
        let other = all
            .join("\n")
            .replace("CONFIG_BPF_LSM=y", "CONFIG_BPF_LSM_X=y");
        assert_eq!(judged(&other).state, State::Warn);
        assert_eq!(config(&Kernel::default()).state, State::Pass);
    }

    #[test]
    fn programs_that_nobody_may_ask_about_are_no_failure() {
        let row = |loads| {
            programs(
                &Bpf {
                    loads,
                    ..Bpf::default()
                },
                None,
            )
            .state
        };
        assert_eq!(row(Loads::Yes), State::Pass);
        assert_eq!(row(Loads::No("EPERM".to_owned())), State::Fail);
        assert_eq!(row(Loads::NotAsked), State::Warn);
    }

    #[test]
    fn a_file_system_that_can_be_mounted_is() {
        let row =
            |pins: Option<&str>, has_filesystem| pins_row(pins.map(str::to_owned), has_filesystem);
        assert_eq!(row(None, true).state, State::Pass);
        assert_eq!(
            row(Some("x"), true).mend.as_deref(),
            Some("mount -t bpf bpf /sys/fs/bpf")
        );
        let without = row(Some("x"), false);
        assert_eq!((without.state, without.mend), (State::Fail, None));
    }

    fn pins_row(pins: Option<String>, has_filesystem: bool) -> Row {
        super::pins(&Bpf {
            pins,
            has_filesystem,
            ..Bpf::default()
        })
    }
}
