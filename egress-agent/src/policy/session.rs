//! Section `session`: what a command that `egressctl run` starts is held by, and which UNIX
//! sockets of other programs it may reach.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{check::Checker, extend::add_new, file, problem::quote, text::Place};

/// More than this is a list of everything.
const SOCKETS: usize = 64;
/// Bytes of `sun_path` (`unix(7)`).
const LONGEST: usize = 107;

/// Section `session`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    pub seccomp: Need,
    pub landlock: Need,
    pub view: Need,
    /// Whether a session may be started that is only observed.
    pub observe: bool,
    pub sockets: Vec<ListedSocket>,
}

/// How much a piece is wanted. Smaller is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Without it no command is started.
    Require,
    /// Without it the command is started, and the gap is told.
    BestEffort,
    Off,
}

/// A UNIX socket of another program, as a policy names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListedSocket {
    Path(PathBuf),
    SshAuthSock,
    /// Below `$XDG_RUNTIME_DIR`.
    Runtime(PathBuf),
    /// Below the home directory.
    Home(PathBuf),
    Abstract(String),
}

/// The environment of whoever starts a command, as far as sockets are named by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_auth_sock: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_dir: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
}

/// Settings of this file, else those of the policies that it extends; the sockets of all, and no
/// observation that one of them forbids.
pub(super) fn settings(
    c: &mut Checker<'_>,
    session: Option<&file::Session>,
    base: Option<&SessionSettings>,
    place: &Place<'_>,
) -> SessionSettings {
    let defaults = file::Session::default();
    let session = match (session, base) {
        (Some(session), _) => session,
        (None, Some(base)) => return base.clone(),
        (None, None) => &defaults,
    };
    let at = place.key("unix_sockets");
    if session.unix_sockets.len() > SOCKETS {
        let message = format!("more than {SOCKETS} UNIX sockets are listed");
        c.error(&at, message, Some("list what the agent needs"));
    }
    let mut sockets: Vec<ListedSocket> = Vec::new();
    for (index, text) in session.unix_sockets.iter().enumerate() {
        let at = at.index(index);
        match ListedSocket::parse(text) {
            Ok(socket) => {
                if let Some(gift) = socket.gives_away() {
                    let message = format!("{} {gift}", quote(text));
                    let help = "take it out, unless the agent may do all that its user may";
                    c.warn(&at, message, Some(help));
                }
                sockets.push(socket);
            }
            Err(why) => {
                let help = "write an absolute path, `$SSH_AUTH_SOCK`, `$XDG_RUNTIME_DIR/NAME`, `~/NAME` or `@NAME`";
                c.error(&at, format!("{}: {why}", quote(text)), Some(help));
            }
        }
    }
    let inherited = base.map(|base| base.sockets.clone());
    add_new(&mut sockets, inherited.into_iter().flatten());
    SessionSettings {
        seccomp: session.seccomp.into(),
        landlock: session.landlock.into(),
        view: session.view.into(),
        // What one forbids, the other does not allow again.
        observe: session.observe && base.is_none_or(|base| base.observe),
        sockets,
    }
}

/// What holds of two policies that a file extends: the stricter of each, and the sockets of both.
pub(super) fn join(known: SessionSettings, other: SessionSettings) -> SessionSettings {
    let mut sockets = known.sockets;
    add_new(&mut sockets, other.sockets);
    SessionSettings {
        seccomp: known.seccomp.min(other.seccomp),
        landlock: known.landlock.min(other.landlock),
        view: known.view.min(other.view),
        observe: known.observe && other.observe,
        sockets,
    }
}

impl ListedSocket {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("longer than a socket's name can be");
        }
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("a control character is in it");
        }
        if let Some(name) = text.strip_prefix('@') {
            return match name {
                "" => Err("an abstract socket needs a name"),
                name => Ok(Self::Abstract(name.to_owned())),
            };
        }
        if text == "$SSH_AUTH_SOCK" {
            return Ok(Self::SshAuthSock);
        }
        if let Some(rest) = text.strip_prefix("$XDG_RUNTIME_DIR/") {
            return plain(rest).map(Self::Runtime);
        }
        if let Some(rest) = text.strip_prefix("~/") {
            return plain(rest).map(Self::Home);
        }
        match text.strip_prefix('/') {
            Some(rest) => plain(rest).map(|rest| Self::Path(Path::new("/").join(rest))),
            None => Err("not the name of a socket"),
        }
    }

    /// Where it is for whoever has these places; `None` when they do not say, and for an abstract
    /// one.
    pub fn resolve(&self, places: &Places) -> Option<PathBuf> {
        let path = match self {
            Self::Path(path) => path.clone(),
            Self::SshAuthSock => places.ssh_auth_sock.clone()?,
            Self::Runtime(rest) => places.runtime_dir.as_ref()?.join(rest),
            Self::Home(rest) => places.home.as_ref()?.join(rest),
            Self::Abstract(_) => return None,
        };
        let is_plain = path.components().all(|part| match part {
            Component::RootDir | Component::Normal(_) => true,
            Component::Prefix(_) | Component::CurDir | Component::ParentDir => false,
        });
        (path.is_absolute() && is_plain).then_some(path)
    }

    /// What reaching it amounts to, for sockets that are known to give much away.
    fn gives_away(&self) -> Option<&'static str> {
        let path = match self {
            Self::Path(path) => path.to_string_lossy().into_owned(),
            Self::Runtime(rest) => format!("/run/user/0/{}", rest.display()),
            Self::Home(rest) => format!("/home/user/{}", rest.display()),
            Self::SshAuthSock | Self::Abstract(_) => return None,
        };
        let path = path.replacen("/var/run/", "/run/", 1);
        let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
        if ends(&[
            "/docker.sock",
            "/podman.sock",
            "/containerd.sock",
            "/crio.sock",
            "/buildkitd.sock",
        ]) {
            return Some(
                "starts containers outside of the guard: that is root, and all of the network",
            );
        }
        if path.contains("/libvirt/")
            || ends(&["/virtqemud-sock", "/lxd/unix.socket", "/incus/unix.socket"])
        {
            return Some(
                "starts machines outside of the guard: that is root, and all of the network",
            );
        }
        if ends(&[
            "/systemd/private",
            "/io.systemd.Manager",
            "/dbus/system_bus_socket",
            "/bus",
        ]) {
            return Some("starts programs outside of the guard, with all of the network");
        }
        if ends(&[
            "/io.systemd.Resolve",
            "/nscd/socket",
            "/avahi-daemon/socket",
        ]) {
            return Some(
                "resolves every name: questions leave the machine that the guard resolver would refuse",
            );
        }
        if ends(&["/snapd.socket", "/packagekit"]) {
            return Some("installs and starts programs outside of the guard");
        }
        None
    }
}

impl fmt::Display for ListedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::SshAuthSock => f.write_str("$SSH_AUTH_SOCK"),
            Self::Runtime(rest) => write!(f, "$XDG_RUNTIME_DIR/{}", rest.display()),
            Self::Home(rest) => write!(f, "~/{}", rest.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

impl From<file::Need> for Need {
    fn from(need: file::Need) -> Self {
        match need {
            file::Need::Require => Self::Require,
            file::Need::BestEffort => Self::BestEffort,
            file::Need::Off => Self::Off,
        }
    }
}

impl Places {
    /// Of this process.
    pub fn of_environment() -> Self {
        let path = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        Self {
            ssh_auth_sock: path("SSH_AUTH_SOCK"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            home: path("HOME"),
        }
    }
}

/// A path without a root, `.` and `..`: what it says is where it leads.
fn plain(rest: &str) -> Result<PathBuf, &'static str> {
    let is_plain = rest
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..");
    if !is_plain {
        return Err("a path without `.`, `..` and empty parts is needed");
    }
    if rest.contains('$') {
        return Err("no other variable is filled in");
    }
    Ok(PathBuf::from(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places {
            ssh_auth_sock: Some("/tmp/ssh-x/agent.1".into()),
            runtime_dir: Some("/run/user/7".into()),
            home: Some("/home/u".into()),
        }
    }

    #[test]
    fn a_listed_socket_is_found_by_the_places_of_the_caller() {
        for (text, path) in [
            ("/run/x.sock", Some("/run/x.sock")),
            ("$SSH_AUTH_SOCK", Some("/tmp/ssh-x/agent.1")),
            (
                "$XDG_RUNTIME_DIR/keyring/ssh",
                Some("/run/user/7/keyring/ssh"),
            ),
            ("~/.gnupg/S.gpg-agent", Some("/home/u/.gnupg/S.gpg-agent")),
            ("@name", None),
        ] {
            let socket = ListedSocket::parse(text).unwrap();
            assert_eq!(socket.resolve(&places()).as_deref(), path.map(Path::new));
            assert_eq!(socket.to_string(), text);
        }
        let nowhere = Places::default();
        let agent = ListedSocket::SshAuthSock;
        assert_eq!(agent.resolve(&nowhere), None);
        let sly = Places {
            ssh_auth_sock: Some("/tmp/../run/docker.sock".into()),
            ..nowhere
        };
        assert_eq!(agent.resolve(&sly), None);
    }

    #[test]
    fn nothing_else_is_a_listed_socket() {
        for text in [
            "",
            "/",
            "@",
            "x",
            "./x",
            "~",
            "~u/x",
            "$HOME/x",
            "$SSH_AUTH_SOCK/x",
            "/a/../b",
            "/a//b",
            "/a/",
            "/run/$USER",
            "$XDG_RUNTIME_DIR",
            "$XDG_RUNTIME_DIR/",
            "/a\nb",
        ] {
            assert!(ListedSocket::parse(text).is_err(), "{text}");
        }
        assert!(ListedSocket::parse(&format!("/{}", "x".repeat(LONGEST))).is_err());
    }
}
