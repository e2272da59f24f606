//! The files that make egressd a service, compiled in.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// Where the units expect the programs and the policy.
const PROGRAMS: &str = "/usr/bin/";
pub(in crate::cli) const POLICY: &str = "/etc/egressd/policy.json";
/// Units cannot start what lies here: `ProtectHome=` hides it.
const HIDDEN: [&str; 3] = ["/home/", "/root/", "/run/user/"];

/// One file, below `/etc` when `egressctl init` writes it and below `/usr/lib` when a package does.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Unit {
    pub(in crate::cli) name: &'static str,
    place: &'static str,
    text: &'static str,
}

pub(in crate::cli) const ALL: [Unit; 6] = [
    Unit {
        name: "egressd.service",
        place: "systemd/system/egressd.service",
        text: include_str!("../../../systemd/egressd.service"),
    },
    Unit {
        name: "egressd-gate.service",
        place: "systemd/system/egressd-gate.service",
        text: include_str!("../../../systemd/egressd-gate.service"),
    },
    Unit {
        name: "agent.slice",
        place: "systemd/system/agent.slice",
        text: include_str!("../../../systemd/agent.slice"),
    },
    Unit {
        name: "agent.slice of users",
        place: "systemd/user/agent.slice",
        text: include_str!("../../../systemd/user/agent.slice"),
    },
    Unit {
        name: "sysusers",
        place: "sysusers.d/egressd.conf",
        text: include_str!("../../../systemd/sysusers.conf"),
    },
    Unit {
        name: "tmpfiles",
        place: "tmpfiles.d/egressd.conf",
        text: include_str!("../../../systemd/tmpfiles.conf"),
    },
];

impl Unit {
    /// Where the administrator's own stands.
    pub(in crate::cli) fn own(&self) -> PathBuf {
        Path::new("/etc").join(self.place)
    }

    /// Where a package puts it.
    pub(in crate::cli) fn packaged(&self) -> [PathBuf; 2] {
        ["/usr/lib", "/lib"].map(|lib| Path::new(lib).join(self.place))
    }

    /// Its text for programs and a policy that lie where these do.
    pub(in crate::cli) fn text(&self, programs: &Path, policy: &Path) -> anyhow::Result<String> {
        let mut programs = plain(programs)?;
        if !programs.ends_with('/') {
            programs.push('/');
        }
        if self.text.contains(PROGRAMS)
            && let Some(hidden) = HIDDEN.iter().find(|hidden| programs.starts_with(**hidden))
        {
            bail!(
                "a unit cannot start programs below {hidden}: install egressd and egressctl in \
                 /usr/local/bin first, or leave the units out with `--no-units`"
            );
        }
        let policy = plain(policy)?;
        let text = self.text.replace(PROGRAMS, &programs);
        Ok(text.replace(POLICY, &policy))
    }
}

/// A path as it may stand in a unit: what systemd would read otherwise is refused.
fn plain(path: &Path) -> anyhow::Result<String> {
    let is_plain = |text: &&str| {
        text.starts_with('/')
            && text
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "/._-+".contains(char))
    };
    match path.to_str().filter(is_plain) {
        Some(text) => Ok(text.to_owned()),
        None => bail!(
            "the path {} cannot stand in a unit: use letters, digits, `.`, `_`, `-`, `+`",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unit: usize, programs: &str, policy: &str) -> anyhow::Result<String> {
        ALL[unit].text(Path::new(programs), Path::new(policy))
    }

    #[test]
    fn units_start_what_lies_where_it_lies() {
        let usual = text(0, "/usr/bin", POLICY).unwrap();
        assert_eq!(usual, ALL[0].text);
        let moved = text(0, "/opt/egressd/bin", "/srv/p.json").unwrap();
        assert!(
            moved.contains("ExecStart=/opt/egressd/bin/egressd run "),
            "{moved}"
        );
        assert!(moved.contains("--policy /srv/p.json\n"), "{moved}");
        assert!(!moved.contains("/usr/bin/"), "{moved}");
    }

    #[test]
    fn paths_that_mean_something_else_in_a_unit_are_refused() {
        assert!(text(0, "/opt/a b", POLICY).is_err());
        assert!(text(0, "/usr/bin", "/etc/%h/p.json").is_err());
        assert!(text(0, "/usr/bin", "/etc/p\n[Service]\nUser=x").is_err());
        assert!(
            text(0, "/home/dev/bin", POLICY)
                .unwrap_err()
                .to_string()
                .contains("/usr/local/bin")
        );
        assert!(text(4, "/home/dev/bin", POLICY).is_ok());
    }
}
