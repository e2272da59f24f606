//! What a person who watches sees much of: flows that stay open, and denials and questions at a
//! steady pace.

use std::{
    io::{Read as _, Write as _, stdin},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::{dns, monotonic, per_second};

/// Of ten events one is a question; the others are connections.
const QUESTIONS: u64 = 10;
/// Events are made in bursts of this time, as timers allow.
const BURST: Duration = Duration::from_millis(2);
/// Ports of the denied address, and names: what is folded and what is not.
const KINDS: u64 = 200;

/// Accepts connections and keeps them, until killed.
pub(super) fn keep(address: SocketAddr) -> Result<()> {
    raise_files()?;
    let listener = TcpListener::bind(address).with_context(|| format!("binding {address}/tcp"))?;
    let mut kept = Vec::new();
    for connection in listener.incoming() {
        kept.push(connection?);
    }
    Ok(())
}

/// Opens so many connections, says something on each, and holds them until standard input ends.
pub(super) fn hold(address: SocketAddr, count: usize) -> Result<String> {
    raise_files()?;
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection =
            TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        connection.write_all(b"word")?;
        held.push(connection);
    }
    stdin().read_to_end(&mut Vec::new())?;
    Ok(held.len().to_string())
}

/// Makes so many events a second: connections to `denied`, and questions in between. Returns how
/// many a second there were.
pub(super) fn storm(
    denied: SocketAddr,
    server: SocketAddr,
    zone: &str,
    rate: u64,
    time: Duration,
) -> Result<u64> {
    let asking = dns::socket(server)?;
    asking.set_nonblocking(true)?;
    let questions = (0..KINDS)
        .map(|n| {
            Ok(dns::question(
                u16::try_from(n)?,
                &dns::name(u32::try_from(n)?, zone),
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut buffer = [0; 1500];
    let start = monotonic();
    let end = start + u64::try_from(time.as_nanos())?;
    let mut made: u64 = 0;
    let mut now = start;
    while now < end {
        let due = u64::try_from(u128::from(now - start) * u128::from(rate) / 1_000_000_000)?;
        while made < due {
            if made.is_multiple_of(QUESTIONS) {
                let which = usize::try_from(made / QUESTIONS % KINDS)?;
                if let Some(question) = questions.get(which) {
                    // A full queue is one question less.
                    asking.send(question).ok();
                }
                while asking.recv(&mut buffer).is_ok() {}
            } else {
                let port = denied.port().wrapping_add(u16::try_from(made % KINDS)?);
                refused(SocketAddr::new(denied.ip(), port))?;
            }
            made += 1;
        }
        thread::sleep(BURST);
        now = monotonic();
    }
    Ok(per_second(made, now - start))
}

/// One connect(2) that the guard answers; whatever it answers.
fn refused(target: SocketAddr) -> Result<()> {
    let family = if target.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    rustix::net::connect(&socket, &target).ok();
    Ok(())
}

fn raise_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).context("raising the limit of open files")
}
