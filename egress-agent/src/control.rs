//! The control socket: how `egressctl` asks the running daemon.
//!
//! A UNIX stream socket, JSON Lines, one version number on every line:
//!
//! ```text
//! → {"v":1,"op":"status"}
//! ← {"v":1,"ok":{"status":{…}}}
//! → {"v":1,"op":"reload"}
//! ← {"v":1,"error":{"code":"forbidden","message":"…","help":"…"}}
//! ```
//!
//! A connection may carry several requests, one after the other; a log that is followed ends
//! with the connection. Who may ask what is decided in one place, [`authorise`], from the peer's
//! uid and from the cgroup that it runs in: whoever is guarded may look at its own session and
//! change nothing, root included.

pub mod authorise;
pub mod client;
pub mod confinement;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod grants;
pub mod message;
pub mod overview;
pub mod peer;
pub mod server;
pub mod socket;
pub mod status;

mod seats;

/// Where the daemon listens.
pub const DEFAULT_SOCKET: &str = "/run/egressd/control.sock";

/// Its members may use the socket.
pub const GROUP: &str = "egressd";

/// The number of [`GROUP`]; `None` where it does not exist.
pub fn group_id() -> Option<u32> {
    let group = nix::unistd::Group::from_name(GROUP).ok().flatten();
    group.map(|group| group.gid.as_raw())
}
