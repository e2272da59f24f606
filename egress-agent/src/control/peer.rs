//! Who is at the other end of a connection: process, uid, gid, and the cgroup that it runs in.
//!
//! The cgroup is read from `/proc`, while a pidfd holds on to the process, so that its number
//! cannot have gone to another one meanwhile. Since Linux 6.5 the pidfd comes from the socket
//! itself (`SO_PEERPIDFD`). Before, it is opened by number, and a peer that has died between
//! connecting and being looked at could be taken for a newer process of the same uid.
//!
//! Whose cgroup cannot be read, in another PID namespace for example, has none, and has to be
//! treated as guarded.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// The process that connected.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Thread group id in the daemon's PID namespace; 0 when it has none there.
    pub pid: u32,
    /// Effective, when it connected.
    pub uid: u32,
    pub gid: u32,
    /// Path below the cgroup2 root; `None` when it is not known.
    pub cgroup: Option<String>,
    pidfd: Option<Arc<OwnedFd>>,
}

impl Peer {
    /// A peer as it was once seen, without a hold on the process.
    pub fn new(pid: u32, uid: u32, gid: u32, cgroup: Option<String>) -> Self {
        Self {
            pid,
            uid,
            gid,
            cgroup,
            pidfd: None,
        }
    }

    /// Looks at the other end of a connected UNIX socket.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
        let mut peer = Self::new(
            u32::try_from(credentials.pid()).unwrap_or_default(),
            credentials.uid(),
            credentials.gid(),
            None,
        );
        let pidfd = match getsockopt(socket, sockopt::PeerPidfd) {
            Ok(pidfd) => Some(pidfd),
            // Linux before 6.5.
            Err(nix::errno::Errno::ENOPROTOOPT) => open_by_number(&peer),
            Err(_) => None,
        };
        if let Some(pidfd) = pidfd {
            peer.pidfd = Some(Arc::new(pidfd));
        }
        Ok(peer.look_again())
    }

    /// The same process in the cgroup where it is by now.
    #[must_use]
    pub fn look_again(mut self) -> Self {
        let text = read_proc(self.pid, "cgroup");
        // Only after reading is it certain that what was read belongs to the peer.
        let text = text.filter(|_| self.is_alive());
        self.cgroup = text.and_then(|text| cgroup2_path(&text));
        self
    }

    /// Whether the process still runs, so that [`Peer::pid`] still means it.
    pub fn is_alive(&self) -> bool {
        let Some(pidfd) = &self.pidfd else {
            return false;
        };
        let mut ends = [PollFd::new(pidfd, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        matches!(poll(&mut ends, Some(&now)), Ok(0))
    }
}

/// The cgroup2 line of `/proc/PID/cgroup` (`cgroups(7)`); hybrid hierarchies have others before it.
fn cgroup2_path(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    path.starts_with('/').then(|| path.to_owned())
}

fn open_by_number(peer: &Peer) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(peer.pid).ok()?)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let status = read_proc(peer.pid, "status")?;
    (effective_uid(&status) == Some(peer.uid)).then_some(pidfd)
}

/// Of `/proc/PID/status` (`proc_pid_status(5)`): `Uid:` real, effective, saved, file system.
fn effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn read_proc(pid: u32, name: &str) -> Option<String> {
    let mut text = String::new();
    let file = File::open(format!("/proc/{pid}/{name}")).ok()?;
    file.take(64 << 10).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_cgroup2_line_is_found_among_others() {
        let hybrid = "12:pids:/a\n1:name=systemd:/b\n0::/agent.slice/s1\n";
        assert_eq!(cgroup2_path(hybrid).as_deref(), Some("/agent.slice/s1"));
        assert_eq!(cgroup2_path("0::/\n").as_deref(), Some("/"));
        assert_eq!(cgroup2_path("12:pids:/a\n"), None);
        assert_eq!(cgroup2_path("0::\n"), None);
        assert_eq!(cgroup2_path(""), None);
    }

    #[test]
    fn the_effective_uid_is_the_second_number() {
        assert_eq!(effective_uid("Name:\tx\nUid:\t1000\t0\t0\t0\n"), Some(0));
        assert_eq!(effective_uid("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_is_seen_as_it_is() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert!(peer.is_alive());
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        assert_eq!(peer.cgroup, cgroup2_path(&own));
    }

    #[test]
    fn a_peer_that_is_opened_by_number_must_have_its_uid() {
        let uid = rustix::process::geteuid().as_raw();
        let pid = std::process::id();
        assert!(open_by_number(&Peer::new(pid, uid, 0, None)).is_some());
        assert!(open_by_number(&Peer::new(pid, uid + 1, 0, None)).is_none());
        assert!(open_by_number(&Peer::new(0, uid, 0, None)).is_none());
    }
}
