//! Which UNIX sockets of other programs the second layer lets sessions talk to, as names that those
//! programs may have bound.
//!
//! The kernel compares what was given to `bind(2)`. A program that binds one name and renames it
//! to another is known by the first: its denial says which.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::policy::{ListedSocket, Policy};

/// What a unit in the slice needs of systemd: its output, its log and the word that it is ready.
/// None of them starts anything or answers. A session does not see them in its view.
const SERVICE_MANAGER: [&str; 4] = [
    "/run/systemd/journal/stdout",
    "/run/systemd/journal/socket",
    "/run/systemd/journal/dev-log",
    "/run/systemd/notify",
];

/// For every task under guard, whatever the policy: the control socket, which says by itself who
/// may ask what, and those of the service manager.
pub(super) fn of_everyone(control_socket: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let names = SERVICE_MANAGER.map(|path| path.as_bytes().to_vec());
    std::iter::once(control_socket.to_vec())
        .chain(names)
        .map(|name| (0, name))
        .collect()
}

/// For every task under guard: what the policy names in full.
pub(super) fn of_policy(policy: &Policy) -> Vec<(u64, Vec<u8>)> {
    let mut names = Vec::new();
    for listed in &policy.session().sockets {
        match listed {
            ListedSocket::Path(path) => names.extend(spellings(path)),
            ListedSocket::Abstract(name) => {
                let mut bytes = vec![0];
                bytes.extend(name.as_bytes());
                names.push(bytes);
            }
            ListedSocket::SshAuthSock | ListedSocket::Runtime(_) | ListedSocket::Home(_) => {}
        }
    }
    names.into_iter().map(|name| (0, name)).collect()
}

/// For one session: where the listed sockets were for whoever started it, as far as the policy
/// still lists them.
pub(super) fn of_session(
    policy: &Policy,
    session: u64,
    sockets: &[PathBuf],
) -> Vec<(u64, Vec<u8>)> {
    let listed = &policy.session().sockets;
    sockets
        .iter()
        .filter(|path| listed.iter().any(|one| can_be(one, path)))
        .flat_map(|path| spellings(path))
        .map(|name| (session, name))
        .collect()
}

/// Whether a listed socket can be found at this path. Directories may be symbolic links, and the
/// variables of whoever started the session are gone; what stands behind them is compared.
fn can_be(listed: &ListedSocket, path: &Path) -> bool {
    match listed {
        ListedSocket::Path(listed) => path.file_name() == listed.file_name(),
        ListedSocket::Runtime(rest) | ListedSocket::Home(rest) => path.ends_with(rest),
        ListedSocket::SshAuthSock => true,
        ListedSocket::Abstract(_) => false,
    }
}

/// `/var/run` is `/run`, and programs write either.
fn spellings(path: &Path) -> Vec<Vec<u8>> {
    let bytes = |path: &OsStr| path.as_bytes().to_vec();
    let mut names = vec![bytes(path.as_os_str())];
    if let Ok(rest) = path.strip_prefix("/var/run") {
        names.push(bytes(Path::new("/run").join(rest).as_os_str()));
    } else if let Ok(rest) = path.strip_prefix("/run") {
        names.push(bytes(Path::new("/var/run").join(rest).as_os_str()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(sockets: &str) -> Policy {
        let text = format!(r#"{{"version": 1, "session": {{"unix_sockets": [{sockets}]}}}}"#);
        Policy::parse(&text, "p.json").unwrap()
    }

    fn names(names: Vec<(u64, Vec<u8>)>) -> Vec<(u64, String)> {
        let text = |name: Vec<u8>| String::from_utf8(name).unwrap().replace('\0', "@");
        names
            .into_iter()
            .map(|(session, name)| (session, text(name)))
            .collect()
    }

    #[test]
    fn a_unit_can_log_and_say_that_it_is_ready_and_no_more() {
        let found = names(of_everyone(b"/run/egressd/control.sock"));
        assert!(found.contains(&(0, "/run/egressd/control.sock".to_owned())));
        assert!(found.contains(&(0, "/run/systemd/notify".to_owned())));
        assert!(found.contains(&(0, "/run/systemd/journal/stdout".to_owned())));
        for strong in ["private", "io.systemd", "dbus"] {
            assert!(found.iter().all(|(_, name)| !name.contains(strong)));
        }
    }

    #[test]
    fn what_is_named_in_full_is_for_everyone() {
        let policy = policy(r#""/run/x.sock", "/srv/y", "@z", "$SSH_AUTH_SOCK", "~/s""#);
        let found = names(of_policy(&policy));
        let expected = ["/run/x.sock", "/var/run/x.sock", "/srv/y", "@z"];
        assert_eq!(found, expected.map(|name| (0, name.to_owned())));
    }

    #[test]
    fn what_a_new_policy_no_longer_lists_ends_for_running_sessions() {
        let sockets = ["/run/user/1000/bus", "/home/a/.gnupg/S.gpg-agent"].map(PathBuf::from);
        let of = |listed| names(of_session(&policy(listed), 7, &sockets));
        assert_eq!(of(r#""@bus""#), []);
        let bus = ["/run/user/1000/bus", "/var/run/user/1000/bus"];
        let bus = bus.map(|name| (7, name.to_owned()));
        assert_eq!(of(r#""$XDG_RUNTIME_DIR/bus""#), bus);
        let gpg = (7, "/home/a/.gnupg/S.gpg-agent".to_owned());
        assert_eq!(of(r#""~/.gnupg/S.gpg-agent""#), [gpg]);
    }
}
