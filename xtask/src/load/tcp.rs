//! TCP: connections and one stream.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::net::{AddressFamily, SocketType, ipproto, socket, sockopt};

use super::{median, monotonic, per_second};

/// Connections that are made before the first one counts.
const WARM: usize = 50;
/// What one write of a stream carries.
const WRITE: usize = 1 << 17;

pub(super) fn serve(address: SocketAddr) -> Result<()> {
    let udp = UdpSocket::bind(address).with_context(|| format!("binding {address}/udp"))?;
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        // An error is an answer that could not be delivered; nothing is answered here.
        loop {
            udp.recv_from(&mut buffer).ok();
        }
    });
    let listener = TcpListener::bind(address).with_context(|| format!("binding {address}/tcp"))?;
    for connection in listener.incoming() {
        drop(connection);
    }
    Ok(())
}

pub(super) fn sink(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("binding {address}/tcp"))?;
    let mut buffer = vec![0; 1 << 18];
    for connection in listener.incoming() {
        let mut connection = connection?;
        while connection.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
    Ok(())
}

/// Medians in nanoseconds: connect(2) alone, and with socket(2) and close(2).
pub(super) fn connect(address: SocketAddr, count: usize) -> Result<[String; 2]> {
    let mut alone = Vec::with_capacity(count);
    let mut whole = Vec::with_capacity(count);
    for round in 0..count + WARM {
        let (connecting, all) = connect_once(address)?;
        if round >= WARM {
            alone.push(connecting);
            whole.push(all);
        }
    }
    Ok([median(alone), median(whole)].map(|nanos| nanos.to_string()))
}

fn connect_once(address: SocketAddr) -> Result<(u64, u64)> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let start = monotonic();
    let socket = socket(family, SocketType::STREAM, Some(ipproto::TCP)).context("socket")?;
    let made = monotonic();
    // A reset in place of a FIN leaves no port in TIME_WAIT.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).context("SO_LINGER")?;
    let before = monotonic();
    rustix::net::connect(&socket, &address).with_context(|| format!("connecting to {address}"))?;
    let connected = monotonic();
    drop(socket);
    let closed = monotonic();
    Ok((connected - before, (made - start) + (closed - before)))
}

/// Bytes per second.
pub(super) fn stream(address: SocketAddr, time: Duration) -> Result<u64> {
    let mut connection =
        TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    let payload = vec![0_u8; WRITE];
    let start = monotonic();
    let end = start + u64::try_from(time.as_nanos())?;
    let mut sent: u64 = 0;
    while monotonic() < end {
        connection.write_all(&payload)?;
        sent += payload.len() as u64;
    }
    Ok(per_second(sent, monotonic() - start))
}
