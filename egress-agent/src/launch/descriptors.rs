//! What a command may take along: descriptors 0 to 2, and no network socket behind any of them.
//!
//! A socket keeps the cgroup of whoever made it (`net/core/sock.c`, `cgroup_sk_alloc`): one that
//! was made outside is judged by no program of the guard, and a datagram socket among 0 to 2 would
//! send wherever it is told to.

use std::{io, os::fd::AsFd};

use rustix::{
    io::Errno,
    net::{AddressFamily, sockopt::socket_domain},
};

/// A descriptor that does not go along.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{name} is a network socket that was made outside the guard, which would not hold it; put a pipe between: `cat | egressctl run -- COMMAND | cat`"
)]
pub struct OpenSocket {
    name: &'static str,
}

/// Refuses standard streams that are sockets of any family but UNIX.
pub(super) fn check_standard_streams() -> Result<(), OpenSocket> {
    check("standard input", io::stdin())?;
    check("standard output", io::stdout())?;
    check("standard error", io::stderr())
}

/// A descriptor that was opened outside the guard keeps what it had: only 0, 1 and 2 go along.
#[expect(unsafe_code, reason = "no safe wrapper of close_range(2) is at hand")]
pub(super) fn close_on_exec() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: marks descriptors; closes none, so no owner in this process is left with a dead one.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn check(name: &'static str, stream: impl AsFd) -> Result<(), OpenSocket> {
    match socket_domain(stream) {
        // No socket; or closed, and then nothing goes along.
        Err(Errno::NOTSOCK | Errno::BADF) => Ok(()),
        Ok(family) if family == AddressFamily::UNIX => Ok(()),
        Ok(_) | Err(_) => Err(OpenSocket { name }),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        net::{TcpListener, UdpSocket},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn files_pipes_and_unix_sockets_go_along() {
        check("it", File::open("/dev/null").unwrap()).unwrap();
        check("it", io::pipe().unwrap().0).unwrap();
        check("it", UnixStream::pair().unwrap().0).unwrap();
    }

    #[test]
    fn network_sockets_do_not() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let refused = check("standard input", udp).unwrap_err().to_string();
        assert!(refused.starts_with("standard input is a network socket"));
        check("it", TcpListener::bind("[::1]:0").unwrap()).unwrap_err();
    }
}
