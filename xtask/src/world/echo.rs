//! TCP and UDP echo on every address of the internet: threads of this process that were moved into
//! the internet's network.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    thread,
};

use anyhow::{Context as _, Result};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};

use super::{
    namespace::Namespace,
    place::{ECHO_PORTS, V4, V6},
};

/// Ends its threads when it is dropped.
#[derive(Debug)]
pub struct Echo {
    stop: Option<OwnedFd>,
    server: Option<thread::JoinHandle<()>>,
}

struct Sockets {
    listeners: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
}

impl Echo {
    pub(super) fn start(internet: &Namespace) -> Result<Self> {
        let sockets = internet.run(Sockets::bind)?;
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC).context("making a pipe")?;
        let server = thread::Builder::new()
            .name("echo".to_owned())
            .spawn(move || sockets.serve(&stopped))
            .context("starting the echo server")?;
        Ok(Self {
            stop: Some(stop),
            server: Some(server),
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            server.join().ok();
        }
    }
}

impl Sockets {
    fn bind() -> Result<Self> {
        let mut sockets = Self {
            listeners: Vec::new(),
            datagrams: Vec::new(),
        };
        for port in ECHO_PORTS {
            let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            let listener = TcpListener::bind(everywhere)
                .with_context(|| format!("binding {everywhere}/tcp"))?;
            listener.set_nonblocking(true)?;
            sockets.listeners.push(listener);
            // One socket for each address: the answer must come from where the question went.
            for address in V4.map(IpAddr::from).into_iter().chain(V6.map(IpAddr::from)) {
                let socket = UdpSocket::bind((address, port))
                    .with_context(|| format!("binding {address}:{port}/udp"))?;
                socket.set_nonblocking(true)?;
                sockets.datagrams.push(socket);
            }
        }
        Ok(sockets)
    }

    /// Until the other end of `stopped` closes.
    fn serve(&self, stopped: &OwnedFd) {
        loop {
            let mut ready = vec![PollFd::new(stopped, PollFlags::IN)];
            ready.extend(
                self.listeners
                    .iter()
                    .map(|socket| PollFd::new(socket, PollFlags::IN)),
            );
            ready.extend(
                self.datagrams
                    .iter()
                    .map(|socket| PollFd::new(socket, PollFlags::IN)),
            );
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if ready
                .first()
                .is_some_and(|stopped| !stopped.revents().is_empty())
            {
                return;
            }
            for listener in &self.listeners {
                while let Ok((stream, _)) = listener.accept() {
                    thread::spawn(move || echo_stream(stream));
                }
            }
            for socket in &self.datagrams {
                echo_datagrams(socket);
            }
        }
    }
}

fn echo_stream(mut stream: TcpStream) {
    let mut buffer = [0; 16 << 10];
    // Ends with its client, which belongs to the world.
    while let Ok(length) = stream.read(&mut buffer)
        && length > 0
    {
        let Some(read) = buffer.get(..length) else {
            return;
        };
        if stream.write_all(read).is_err() {
            return;
        }
    }
}

fn echo_datagrams(socket: &UdpSocket) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                // A datagram may be lost; that is for the client to notice.
                buffer
                    .get(..length)
                    .map(|read| socket.send_to(read, from))
                    .transpose()
                    .ok();
            }
            // An answer that could not be delivered comes back as an error of the socket.
            Err(error) if is_passing(&error) => {}
            Err(_) => return,
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::Interrupted
    )
}
