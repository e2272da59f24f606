//! The helper: a process of the agent's user outside the guard, which does what it is asked for.
//!
//! It stands for terminal multiplexers, container engines and proxies on loopback. Requests are
//! lines over a stream; each is answered with a line, `done` or `error: …`.
//!
//! | request | what it does |
//! |---|---|
//! | `send` | sends a UDP datagram to the bait |
//! | `pass` | passes a UDP socket that was made out here (over UNIX sockets only) |

use std::{
    fs,
    io::{self, BufRead as _, BufReader, IoSlice, Read as _, Write},
    mem::MaybeUninit,
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd},
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::Path,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::{
    Ground,
    ground::{BAIT_PORT, BAIT_V4},
};

/// The same service over a socket in the scratch directory.
pub const AMONG_FILES: &str = "among-files.sock";
/// The file in the scratch directory that names a socket to be made there.
pub const WANTED: &str = "wanted";

/// What one may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Send,
    Pass,
}

impl Request {
    fn read(line: &str) -> Option<Self> {
        match line.trim_end() {
            "send" => Some(Self::Send),
            "pass" => Some(Self::Pass),
            _ => None,
        }
    }
}

/// Opens everything that `ground` names, writes the TCP port on a line, and serves until the
/// standard input ends.
pub fn run(ground: &Ground, mut out: impl Write) -> anyhow::Result<()> {
    let path = &ground.helper_socket;
    let listener = UnixListener::bind(path).with_context(|| format!("bind {}", path.display()))?;
    let name = SocketAddr::from_abstract_name(&ground.helper_abstract)?;
    let hidden = UnixListener::bind_addr(&name).context("bind the abstract socket")?;
    // On every address, of IPv4 as well; of IPv4 alone where a machine has no other.
    let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .context("bind the TCP socket")?;
    let port = tcp.local_addr()?.port();
    // Scratch is a directory with files in it, not one of sockets.
    fs::write(ground.scratch.join("notes"), "")?;
    let among_files = UnixListener::bind(ground.scratch.join(AMONG_FILES))
        .context("bind the socket among files")?;
    for listener in [listener, hidden, among_files] {
        accept_forever(listener);
    }
    let scratch = ground.scratch.clone();
    thread::spawn(move || make_wanted(&scratch));
    thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            thread::spawn(move || serve_tcp(&stream));
        }
    });
    writeln!(out, "{port}")?;
    out.flush()?;
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn accept_forever(listener: UnixListener) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve_unix(&stream));
        }
    });
}

/// Makes a socket of the name that stands in [`WANTED`], as programs that start later do; anew
/// where there was one.
fn make_wanted(scratch: &Path) -> io::Result<()> {
    loop {
        thread::sleep(Duration::from_millis(10));
        let wanted = scratch.join(WANTED);
        let Ok(name) = fs::read_to_string(&wanted) else {
            continue;
        };
        fs::remove_file(&wanted)?;
        let path = scratch.join(name);
        if path.exists() {
            fs::remove_file(&path)?;
        }
        accept_forever(UnixListener::bind(&path)?);
    }
}

fn serve_unix(stream: &UnixStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let done = match Request::read(&line?) {
            Some(Request::Send) => send(),
            Some(Request::Pass) => {
                pass(stream.as_fd())?;
                continue;
            }
            None => Err(io::Error::other("no such request")),
        };
        answer(stream, done)?;
    }
    Ok(())
}

fn serve_tcp(stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let done = match Request::read(&line?) {
            Some(Request::Send) => send(),
            Some(Request::Pass) => Err(io::Error::other("only over a UNIX socket")),
            None => Err(io::Error::other("no such request")),
        };
        answer(stream, done)?;
    }
    Ok(())
}

fn answer(mut stream: impl Write, done: io::Result<()>) -> io::Result<()> {
    match done {
        Ok(()) => stream.write_all(b"done\n"),
        Err(error) => writeln!(stream, "error: {error}"),
    }
}

fn send() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket
        .send_to(b"by the helper", (BAIT_V4, BAIT_PORT))
        .map(drop)
}

/// The answer carries the socket.
fn pass(stream: BorrowedFd<'_>) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let passed = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&passed)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let text = [IoSlice::new(b"done\n")];
    sendmsg(stream, &text, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_requests_are_read() {
        assert_eq!(Request::read("send\n"), Some(Request::Send));
        assert_eq!(Request::read("pass"), Some(Request::Pass));
        assert_eq!(Request::read("exec sh"), None);
    }
}
