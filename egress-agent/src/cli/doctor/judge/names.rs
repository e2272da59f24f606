//! How names become addresses on this machine.

use super::confinement::hides_sockets;
use crate::{
    cli::doctor::{
        facts::{Confinement, Names},
        row::Row,
    },
    dns::resolv_conf,
};

/// Modules of `hosts:` that know names by themselves, and give what nobody leased.
const LOCAL: [&str; 3] = ["libvirt", "libvirt_guest", "mymachines"];
/// Modules that ask another program over its socket, which goes out by itself.
const ASKING: [&str; 8] = [
    "resolve",
    "mdns",
    "mdns_minimal",
    "wins",
    "nis",
    "ldap",
    "sss",
    "extrausers",
];

pub(super) fn nsswitch(names: &Names, confinement: &Confinement) -> Row {
    const NAME: &str = "nsswitch";
    // glibc's own default, nsswitch.conf(5).
    let hosts = names.nsswitch.as_deref().and_then(hosts);
    let modules = hosts.unwrap_or_else(|| vec!["dns", "files"]);
    if !modules.contains(&"dns") {
        return Row::fail(
            NAME,
            format!(
                "`hosts:` in /etc/nsswitch.conf has no `dns` ({}): no name resolves in a session",
                modules.join(" ")
            ),
        )
        .mend("sed -i 's/^hosts:.*/& dns/' /etc/nsswitch.conf");
    }
    let asking: Vec<&str> = picked(&modules, |module| {
        ASKING.contains(&module) || module.starts_with("mdns")
    });
    let local: Vec<&str> = picked(&modules, |module| LOCAL.contains(&module));
    if !asking.is_empty() && !hides_sockets(confinement) {
        let listed = asking.join(" and ");
        return Row::warn(
            NAME,
            format!(
                "{listed} may resolve past the guard: its socket cannot be hidden from sessions \
                 here; what it finds is no lease, and stays denied"
            ),
        )
        .mend(without(&asking));
    }
    if !local.is_empty() {
        let listed = local.join(" and ");
        return Row::warn(
            NAME,
            format!(
                "{listed} resolves names of machines here past the guard: they have no lease, and \
                 connections to them are denied; allow them by `cidrs`"
            ),
        )
        .mend(without(&local));
    }
    Row::pass(
        NAME,
        if asking.is_empty() {
            format!("hosts: {}", modules.join(" "))
        } else {
            format!(
                "hosts: {}; the socket of {} is hidden from sessions, which use dns",
                modules.join(" "),
                asking.join(" and ")
            )
        },
    )
}

/// The modules of the line `hosts:`, without what is done after them.
fn hosts(text: &str) -> Option<Vec<&str>> {
    let line = text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        line.strip_prefix("hosts:")
    })?;
    let mut is_action = false;
    let words = line.split_whitespace().filter(|word| {
        let was_action = is_action || word.starts_with('[');
        is_action = was_action && !word.ends_with(']');
        !was_action
    });
    Some(words.collect())
}

fn picked<'m>(modules: &[&'m str], is_wanted: impl Fn(&str) -> bool) -> Vec<&'m str> {
    let modules = modules.iter().copied();
    modules.filter(|module| is_wanted(module)).collect()
}

/// The command that takes modules, and what is done after them, out of the line.
fn without(modules: &[&str]) -> String {
    let edits: Vec<String> = modules
        .iter()
        .map(|module| format!("s/ {module}( \\[[^]]*\\])?( |$)/ /"))
        .collect();
    format!(
        "sed -Ei '/^hosts:/{{{}}}' /etc/nsswitch.conf",
        edits.join(";")
    )
}

pub(super) fn resolver(names: &Names) -> Row {
    const NAME: &str = "resolver";
    let mend = "systemctl restart systemd-resolved NetworkManager";
    match &names.resolv {
        Err(why) => Row::fail(
            NAME,
            format!("/etc/resolv.conf cannot be read ({why}): no name resolves"),
        )
        .mend(mend),
        Ok(text) => {
            let servers = resolv_conf(text);
            if servers.is_empty() {
                return Row::fail(
                    NAME,
                    "/etc/resolv.conf names no server: no name resolves; name one there, or in \
                     `dns.upstream` of the policy",
                )
                .mend(mend);
            }
            let servers: Vec<String> = servers.iter().map(|one| one.ip().to_string()).collect();
            Row::pass(NAME, format!("the machine asks {}", servers.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::row::State;

    fn hiding() -> Confinement {
        Confinement {
            most_namespaces: "100".to_owned(),
            ..Confinement::default()
        }
    }

    fn open() -> Confinement {
        Confinement {
            most_namespaces: "0".to_owned(),
            lsm: Some("no".to_owned()),
            ..Confinement::default()
        }
    }

    #[track_caller]
    fn check(hosts: &str, confinement: &Confinement, state: State, says: &str) -> Row {
        let names = Names {
            nsswitch: Some(format!("passwd: files\nhosts: {hosts}\n")),
            resolv: Ok(String::new()),
        };
        let row = nsswitch(&names, confinement);
        assert_eq!(row.state, state, "{hosts}: {row:?}");
        assert!(row.says.contains(says), "{hosts}: {}", row.says);
        row
    }

    #[test]
    fn what_resolves_past_the_guard_is_told() {
        check("files dns", &open(), State::Pass, "hosts: files dns");
        let resolve = "files resolve [!UNAVAIL=return] dns myhostname";
        check(resolve, &hiding(), State::Pass, "hidden");
        let row = check(resolve, &open(), State::Warn, "resolve may resolve past");
        assert!(row.mend.unwrap().contains("resolve"));
        check(
            "files mdns4_minimal [NOTFOUND=return] dns",
            &open(),
            State::Warn,
            "mdns4_minimal",
        );
        check(
            "files libvirt libvirt_guest dns",
            &hiding(),
            State::Warn,
            "libvirt and libvirt_guest",
        );
        check(
            "files [SUCCESS = return] resolve",
            &hiding(),
            State::Fail,
            "files resolve",
        );
        let nothing = Names {
            nsswitch: None,
            resolv: Ok(String::new()),
        };
        assert_eq!(nsswitch(&nothing, &open()).state, State::Pass);
    }

    #[test]
    fn the_command_takes_out_what_it_names_and_nothing_else() {
        let line = "hosts: files resolve [!UNAVAIL=return] mdns4 dns myhostname\n";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("nsswitch.conf");
        std::fs::write(&file, line).unwrap();
        let command =
            without(&["resolve", "mdns4"]).replace("/etc/nsswitch.conf", file.to_str().unwrap());
        let status = std::process::Command::new("sh")
            .args(["-c", &command])
            .status()
            .unwrap();
        assert!(status.success(), "{command}");
        let after = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            hosts(&after).unwrap(),
            ["files", "dns", "myhostname"],
            "{after}"
        );
    }

    #[test]
    fn a_machine_without_a_server_resolves_nothing() {
        let row = |resolv: Result<&str, &str>| {
            let resolv = resolv.map(str::to_owned).map_err(str::to_owned);
            resolver(&Names {
                nsswitch: None,
                resolv,
            })
            .state
        };
        assert_eq!(row(Ok("nameserver 192.0.2.1\n")), State::Pass);
        assert_eq!(row(Ok("search x\n")), State::Fail);
        assert_eq!(row(Err("no such file")), State::Fail);
    }
}
