//! The part of the guarded process: it does what the environment asks for, one deed after the
//! other, and says how each went.

use std::{
    env,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::AsFd as _,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
    },
    time::Instant,
};

use rustix::net::{AddressFamily, SendFlags, SocketAddrV4, SocketType};

/// Names the deeds, separated by spaces.
pub(super) const DEEDS: &str = "EGRESS_DEEDS";
/// Begins each answer.
pub(super) const ANSWER: &str = "deed: ";

#[test]
#[ignore = "started by the tests, inside a guarded cgroup"]
fn acts() {
    let deeds = env::var(DEEDS).expect("the deeds to do");
    for deed in deeds.split(' ') {
        let answer = if deed == "measure" {
            measure().unwrap().to_string()
        } else {
            match act(deed) {
                Ok(()) => "ok".to_owned(),
                Err(error) => name(&error),
            }
        };
        // The harness may have written the beginning of this line.
        println!("\n{ANSWER}{answer}");
    }
}

fn name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES) => "EACCES".to_owned(),
        Some(libc::EPERM) => "EPERM".to_owned(),
        _ => error.to_string(),
    }
}

fn act(deed: &str) -> io::Result<()> {
    let (deed, name) = deed.split_once('=').unwrap_or((deed, ""));
    let stdin = io::stdin();
    let given = stdin.as_fd();
    match deed {
        "packet" => open(libc::AF_PACKET, SocketType::RAW),
        "alg" => open(libc::AF_ALG, SocketType::SEQPACKET),
        "vsock" => open(libc::AF_VSOCK, SocketType::STREAM),
        "unix" => open(libc::AF_UNIX, SocketType::STREAM),
        "netlink" => open(libc::AF_NETLINK, SocketType::RAW),
        "tcp" => open(libc::AF_INET, SocketType::STREAM),
        "udp6" => open(libc::AF_INET6, SocketType::DGRAM),
        "send-given" => {
            let to = SocketAddrV4::new([127, 0, 0, 1].into(), 9);
            rustix::net::sendto(given, b"x", SendFlags::empty(), &to)?;
            Ok(())
        }
        "connect-given" => {
            let to = SocketAddrV4::new([127, 0, 0, 1].into(), 9);
            Ok(rustix::net::connect(given, &to)?)
        }
        "accept-given" => {
            rustix::net::accept(given)?;
            Ok(())
        }
        "listen-given" => Ok(rustix::net::listen(given, 1)?),
        "send-connected" => {
            rustix::net::send(given, b"x", SendFlags::empty())?;
            Ok(())
        }
        "pair-stream" => {
            let (mut one, mut other) = UnixStream::pair()?;
            one.write_all(b"x")?;
            other.read_exact(&mut [0])
        }
        "pair-datagram" => {
            let (one, other) = UnixDatagram::pair()?;
            one.send(b"x")?;
            other.recv(&mut [0]).map(drop)
        }
        "own-stream" => {
            let address = own("stream")?;
            let listener = UnixListener::bind_addr(&address)?;
            let mut one = UnixStream::connect_addr(&address)?;
            let (mut other, _) = listener.accept()?;
            // Both ways: the accepted end is made by the one who connects.
            one.write_all(b"x")?;
            other.read_exact(&mut [0])?;
            other.write_all(b"x")?;
            one.read_exact(&mut [0])
        }
        "own-datagram" => {
            let address = own("datagram")?;
            let receiver = UnixDatagram::bind_addr(&address)?;
            UnixDatagram::unbound()?.send_to_addr(b"x", &address)?;
            receiver.recv(&mut [0]).map(drop)
        }
        "own-tcp" => {
            let listener = TcpListener::bind("203.0.113.10:0")?;
            let mut one = TcpStream::connect(listener.local_addr()?)?;
            let (mut other, _) = listener.accept()?;
            other.write_all(b"x")?;
            one.read_exact(&mut [0])
        }
        "stream" => UnixStream::connect_addr(&address(name)?).map(drop),
        "datagram" => {
            let socket = UnixDatagram::unbound()?;
            socket.send_to_addr(b"x", &address(name)?).map(drop)
        }
        "datagram-connected" => UnixDatagram::unbound()?.connect_addr(&address(name)?),
        other => panic!("no deed `{other}`"),
    }
}

fn open(family: i32, kind: SocketType) -> io::Result<()> {
    let family = AddressFamily::from_raw(u16::try_from(family).expect("a small number"));
    rustix::net::socket(family, kind, None)?;
    Ok(())
}

fn own(text: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("egress-own-{text}-{}", std::process::id()))
}

/// A path, or an abstract name behind `@`.
fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

/// The median time of one connect, in nanoseconds.
fn measure() -> io::Result<u128> {
    const CONNECTS: usize = 2_000;
    let listener = TcpListener::bind("203.0.113.10:0")?;
    let address = listener.local_addr()?;
    let mut times = Vec::with_capacity(CONNECTS);
    for _ in 0..CONNECTS {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        let started = Instant::now();
        rustix::net::connect(&socket, &address)?;
        times.push(started.elapsed().as_nanos());
        drop(socket);
        listener.accept()?;
    }
    times.sort_unstable();
    Ok(times[CONNECTS / 2])
}
