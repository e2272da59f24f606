//! Services of the machine that act for whoever asks. Only the connection is tried: what these
//! programs would do is real, and not part of any test.

use std::path::{Path, PathBuf};

use super::bait::{absent, escaped, unix};
use crate::escape::{Attempt, Ground, Outcome, attempt::Tried};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "local-resolvers",
        title: "resolvers on UNIX sockets (systemd-resolved, nscd, avahi)",
        run: |ground| Outcome::of(any_of(ground, RESOLVERS)),
        limit: None,
    },
    Attempt {
        name: "message-buses",
        title: "D-Bus and the service manager",
        run: |ground| Outcome::of(any_of(ground, BUSES)),
        limit: None,
    },
    Attempt {
        name: "container-engines",
        title: "container engines and virtual machines",
        run: |ground| Outcome::of(any_of(ground, ENGINES)),
        limit: None,
    },
    Attempt {
        name: "own-programs",
        title: "the user's terminals, editors, desktop and agents of keys",
        run: |ground| Outcome::of(any_of(ground, OWN)),
        limit: None,
    },
];

const RESOLVERS: &[&str] = &[
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/nscd/socket",
    "/var/run/nscd/socket",
    "/run/avahi-daemon/socket",
    "/run/unscd/socket",
    "/run/nslcd/socket",
    "/var/lib/sss/pipes/nss",
];

const BUSES: &[&str] = &[
    "/run/dbus/system_bus_socket",
    "/var/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/io.systemd.Manager",
    "/run/user/UID/bus",
    "/run/user/UID/systemd/private",
];

const ENGINES: &[&str] = &[
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/libvirt/libvirt-sock",
    "/run/snapd.socket",
    "/var/lib/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/run/user/UID/docker.sock",
    "/run/user/UID/podman/podman.sock",
];

const OWN: &[&str] = &[
    "/tmp/tmux-UID/default",
    "/run/user/UID/tmux-UID/default",
    "/run/user/UID/emacs/server",
    "/tmp/emacsUID/server",
    "/run/user/UID/wayland-0",
    "/tmp/.X11-unix/X0",
    "/run/user/UID/pipewire-0",
    "/run/user/UID/gnupg/S.gpg-agent",
];

/// Connects to whichever is there. Absent only when none is: a refusal of one counts.
fn any_of(ground: &Ground, paths: &[&str]) -> Tried {
    let uid = rustix::process::getuid().as_raw().to_string();
    let paths: Vec<PathBuf> = paths
        .iter()
        .map(|path| PathBuf::from(path.replace("UID", &uid)))
        .collect();
    let mut refusal = None;
    for path in &paths {
        match unix(path) {
            Ok(_) => return escaped(format!("connected to {}", path.display())),
            Err(outcome) if is_there(path) => refusal = Some(outcome),
            Err(_) => {}
        }
    }
    match refusal {
        Some(outcome) => Err(outcome),
        None if ground.guarded => Err(Outcome::Refused("no such socket is to be seen".to_owned())),
        None => absent("this machine runs none of them"),
    }
}

/// A socket that nobody serves any more is not there.
fn is_there(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = path
        .metadata()
        .is_ok_and(|metadata| metadata.file_type().is_socket());
    let is_served = !std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
    is_socket && is_served
}
