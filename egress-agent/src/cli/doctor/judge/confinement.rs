//! What holds a session besides the guard of its packets.

use crate::{
    cli::doctor::{
        facts::{Confinement, Landlock},
        row::Row,
    },
    control::status::Status,
};

pub(super) fn modules(confinement: &Confinement) -> Row {
    const NAME: &str = "LSM order";
    let Some(modules) = &confinement.modules else {
        return Row::warn(NAME, "only root is told which security modules run")
            .mend("sudo egressctl doctor");
    };
    let modules = modules.trim();
    let missing: Vec<&str> = ["landlock", "bpf"]
        .into_iter()
        .filter(|wanted| !modules.split(',').any(|module| module == *wanted))
        .collect();
    if missing.is_empty() {
        return Row::pass(NAME, modules);
    }
    let ran = if modules.is_empty() { "none" } else { modules };
    let lacking = missing.join(" and ");
    let verb = if missing.len() > 1 { "do" } else { "does" };
    let list = [modules, &missing.join(",")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(",");
    Row::warn(
        NAME,
        format!(
            "{lacking} {verb} not run (these do: {ran}); add the boot parameter `lsm={list}` and \
             boot anew"
        ),
    )
    .mend(format!(
        "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&lsm={list} /' /etc/default/grub && update-grub"
    ))
}

pub(super) fn landlock(confinement: &Confinement) -> Row {
    /// The first that holds abstract UNIX sockets.
    const WHOLE: i32 = 6;
    const NAME: &str = "Landlock";
    match &confinement.landlock {
        Landlock::Abi(abi) if *abi >= WHOLE => Row::pass(NAME, format!("ABI {abi}")),
        Landlock::Abi(abi) => Row::warn(
            NAME,
            format!("ABI {abi}; abstract UNIX sockets are held from ABI 6 (Linux 6.12) on"),
        ),
        Landlock::Off => Row::warn(
            NAME,
            "switched off; add `landlock` to the boot parameter `lsm=`",
        ),
        Landlock::Absent => Row::warn(NAME, "not in this kernel; it has been in Linux since 5.13"),
        Landlock::Unknown(why) => Row::warn(NAME, why),
    }
}

pub(super) fn lsm(confinement: &Confinement, status: Option<&Status>, is_root: bool) -> Row {
    const NAME: &str = "BPF LSM";
    let is_attached = |status: &Status| {
        let mut layers = status.guards.iter().filter_map(|guard| guard.lsm.as_ref());
        layers.any(|lsm| lsm.missing.is_none())
    };
    match &confinement.lsm {
        None => Row::pass(NAME, "the second layer loads"),
        Some(_) if status.is_some_and(is_attached) => {
            Row::pass(NAME, "egressd has attached the second layer")
        }
        Some(why) if is_root => Row::warn(NAME, why),
        Some(why) => Row::warn(NAME, format!("{why}; only root is told for sure")),
    }
}

pub(super) fn namespaces(confinement: &Confinement) -> Row {
    const NAME: &str = "namespaces";
    let says = "users may make none; only root gets a private view of the files";
    let is = |value: &Option<String>, wanted: &str| {
        value.as_deref().is_some_and(|value| value.trim() == wanted)
    };
    let switch = if confinement.most_namespaces.trim() == "0" {
        "user.max_user_namespaces=15000"
    } else if is(&confinement.clone_switch, "0") {
        "kernel.unprivileged_userns_clone=1"
    } else if is(&confinement.apparmor, "1") {
        "kernel.apparmor_restrict_unprivileged_userns=0"
    } else {
        return Row::pass(NAME, "users may make their own");
    };
    Row::warn(NAME, says).mend(format!("sysctl -w {switch}"))
}

/// Whether sessions do not see the sockets of programs outside.
pub(super) fn hides_sockets(confinement: &Confinement) -> bool {
    confinement.lsm.is_none() || namespaces(confinement).mend.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::row::State;

    #[track_caller]
    fn check(modules_text: Option<&str>, state: State, says: &str, mend: Option<&str>) {
        let row = modules(&Confinement {
            modules: modules_text.map(str::to_owned),
            ..Confinement::default()
        });
        assert_eq!(row.state, state);
        assert!(row.says.contains(says), "{}", row.says);
        match mend {
            Some(mend) => assert!(row.mend.as_ref().unwrap().contains(mend), "{row:?}"),
            None => assert_eq!(row.mend, None),
        }
    }

    #[test]
    fn the_list_of_modules_needs_bpf_and_landlock() {
        check(
            Some("lockdown,landlock,bpf\n"),
            State::Pass,
            "landlock",
            None,
        );
        check(
            Some("lockdown,landlock\n"),
            State::Warn,
            "bpf does not run",
            Some("lsm=lockdown,landlock,bpf "),
        );
        check(
            Some(""),
            State::Warn,
            "these do: none",
            Some("lsm=landlock,bpf "),
        );
        // A part of a name is no name.
        check(
            Some("xbpf,landlock"),
            State::Warn,
            "bpf does not run",
            Some("bpf"),
        );
        check(None, State::Warn, "only root", Some("sudo"));
    }

    #[test]
    fn abstract_sockets_need_a_newer_landlock() {
        let row = |landlock| {
            super::landlock(&Confinement {
                landlock,
                ..Confinement::default()
            })
            .state
        };
        assert_eq!(row(Landlock::Abi(6)), State::Pass);
        assert_eq!(row(Landlock::Abi(5)), State::Warn);
        assert_eq!(row(Landlock::Off), State::Warn);
    }

    #[test]
    fn each_switch_of_namespaces_is_named_by_its_own_command() {
        let base = Confinement {
            most_namespaces: "100\n".to_owned(),
            ..Confinement::default()
        };
        assert_eq!(namespaces(&base).state, State::Pass);
        for (facts, mend) in [
            (
                Confinement {
                    most_namespaces: "0\n".to_owned(),
                    ..base.clone()
                },
                "max_user_namespaces",
            ),
            (
                Confinement {
                    clone_switch: Some("0\n".to_owned()),
                    ..base.clone()
                },
                "userns_clone=1",
            ),
            (
                Confinement {
                    apparmor: Some("1\n".to_owned()),
                    ..base
                },
                "apparmor",
            ),
        ] {
            let row = namespaces(&facts);
            assert!(row.mend.unwrap().contains(mend));
        }
    }
}
