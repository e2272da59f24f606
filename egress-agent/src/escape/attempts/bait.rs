//! What the rows of processes and systems share: the datagram that must not arrive, and how one
//! asks the helper for it.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsFd,
    path::Path,
    time::Duration,
};

pub(super) use super::place::MARK;
use crate::escape::{
    Outcome,
    attempt::Tried,
    ground::{BAIT_PORT, BAIT_V4},
};

/// For one answer of the helper.
const PATIENCE: Duration = Duration::from_millis(800);

/// Sends the datagram from a socket made here and now.
pub(super) fn send() -> Tried {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(Outcome::refused("bind"))?;
    send_on(&socket)
}

/// Sends the datagram from a socket that came from elsewhere.
pub(super) fn send_on(socket: impl AsFd) -> Tried {
    let bait = SocketAddrV4::new(BAIT_V4, BAIT_PORT);
    rustix::net::sendto(socket, MARK, rustix::net::SendFlags::NOSIGNAL, &bait)
        .map(drop)
        .map_err(refused("sendto"))
}

/// [`Outcome::refused`] for rustix.
pub(super) fn refused(call: &'static str) -> impl FnOnce(rustix::io::Errno) -> Outcome {
    move |errno| Outcome::refused(call)(errno.into())
}

/// The end of a way that is no packet.
pub(super) fn escaped<T>(how: impl Into<String>) -> Tried<T> {
    Err(Outcome::Escaped(how.into()))
}

/// The end of a way that this machine does not have.
pub(super) fn absent<T>(what: impl Into<String>) -> Tried<T> {
    Err(Outcome::Absent(what.into()))
}

/// Asks the helper to send. An answer is an escape: somebody outside did what was asked.
pub(super) fn ask(mut stream: impl io::Read + Write) -> Tried {
    stream
        .write_all(b"send\n")
        .map_err(Outcome::refused("write"))?;
    let mut answer = [0_u8; 64];
    let length = stream.read(&mut answer).map_err(Outcome::refused("read"))?;
    let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
    let answer = answer.trim();
    if answer.is_empty() {
        Err(Outcome::Refused("the helper hung up".to_owned()))
    } else {
        escaped(format!("the helper outside answered `{answer}`"))
    }
}

/// Connects to a UNIX stream socket in the file system, with a time limit for what follows.
pub(super) fn unix(path: &Path) -> Tried<std::os::unix::net::UnixStream> {
    let stream =
        std::os::unix::net::UnixStream::connect(path).map_err(Outcome::refused("connect"))?;
    patient(&stream)?;
    Ok(stream)
}

/// The same for an abstract name.
pub(super) fn abstracted(name: &str) -> Tried<std::os::unix::net::UnixStream> {
    use std::os::linux::net::SocketAddrExt as _;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)
        .map_err(Outcome::refused("abstract name"))?;
    let stream = std::os::unix::net::UnixStream::connect_addr(&address)
        .map_err(Outcome::refused("connect"))?;
    patient(&stream)?;
    Ok(stream)
}

fn patient(stream: &std::os::unix::net::UnixStream) -> Tried {
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(Outcome::refused("setsockopt"))
}
