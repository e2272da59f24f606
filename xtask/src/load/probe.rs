//! Attempts to get out, and traffic that may: what a session does while the guard is killed.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::{SocketAddr, UdpSocket},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SendFlags, SocketFlags, SocketType, connect, connect_unspec, ipproto,
        sendto, socket_with, sockopt,
    },
};
use serde::Serialize;

use super::{dns, monotonic};

/// Between two rounds: a log of every denial must fit on the disk.
const PACE: Duration = Duration::from_millis(6);
const WORD: &[u8] = b"x";

/// Outcomes, by the name of the error, and how often there were.
type Counts = BTreeMap<String, u64>;

#[derive(Default, Serialize)]
struct Report {
    /// Attempts that nothing allows.
    denied: Counts,
    /// Connects that may be made at any time.
    allowed: Counts,
    /// Answers to questions for a denied name that had an address, and all others.
    names_let_through: u64,
    names: u64,
}

/// Says that it is there, makes attempts for so long, and returns what became of them as JSON.
pub(super) fn run(
    allowed: SocketAddr,
    denied: &[SocketAddr],
    server: SocketAddr,
    zones: [&str; 2],
    time: Duration,
) -> Result<String> {
    let mut report = Report::default();
    let asker = UdpSocket::bind("0.0.0.0:0").context("binding a UDP socket")?;
    asker.set_nonblocking(true)?;
    writeln!(io::stdout(), "ready").context("saying so")?;
    let start = monotonic();
    let end = start + u64::try_from(time.as_nanos())?;
    let mut round: u32 = 0;
    while monotonic() < end {
        for address in denied {
            for outcome in attempts(*address, allowed)? {
                count(&mut report.denied, outcome);
            }
        }
        count(&mut report.allowed, dial(allowed)?);
        ask(&asker, server, zones, round, &mut report);
        round = round.wrapping_add(1);
        thread::sleep(PACE);
    }
    serde_json::to_string(&report).context("writing JSON")
}

/// Every way to one address.
fn attempts(address: SocketAddr, allowed: SocketAddr) -> Result<[Result<(), Errno>; 4]> {
    let unconnected = datagram(address)?;
    let bare = sendto(&unconnected, WORD, SendFlags::empty(), &address).map(drop);
    let connected = datagram(address)?;
    let sent = connect(&connected, &address)
        .and_then(|()| rustix::net::send(&connected, WORD, SendFlags::empty()))
        .map(drop);
    // A socket that was let out once is no way to anywhere else.
    let moved = datagram(allowed)?;
    connect(&moved, &allowed).context("connecting to what is allowed")?;
    connect_unspec(&moved).context("dissolving the connection")?;
    let moved = if address.is_ipv4() == allowed.is_ipv4() {
        sendto(&moved, WORD, SendFlags::empty(), &address).map(drop)
    } else {
        dial(address)?
    };
    Ok([dial(address)?, bare, sent, moved])
}

/// A TCP connect that waits for nothing: a refusal of the guard comes at once.
fn dial(address: SocketAddr) -> Result<Result<(), Errno>> {
    let stream = socket_with(
        family(address),
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    )
    .context("making a TCP socket")?;
    // A reset in place of a FIN leaves no port in TIME_WAIT.
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).context("SO_LINGER")?;
    Ok(connect(&stream, &address))
}

fn datagram(address: SocketAddr) -> Result<OwnedFd> {
    socket_with(
        family(address),
        SocketType::DGRAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        Some(ipproto::UDP),
    )
    .context("making a UDP socket")
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

/// Asks for a name in the allowed zone and for one in the denied one, and reads what has come.
fn ask(asker: &UdpSocket, server: SocketAddr, zones: [&str; 2], round: u32, report: &mut Report) {
    for (id, zone) in (1..).zip(zones) {
        let question = dns::question(id, &format!("n{}.{zone}", round % 50));
        // While no daemon lives nobody is asked: that is no fault.
        asker.send_to(&question, server).ok();
    }
    let mut buffer = [0; 1500];
    loop {
        match asker.recv(&mut buffer) {
            Ok(length) => {
                let answer = dns::read(buffer.get(..length).unwrap_or_default());
                let is_out = answer.is_some_and(|answer| answer.id == 2 && answer.is_good());
                report.names_let_through += u64::from(is_out);
                report.names += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_refused) => {}
        }
    }
}

fn count(counts: &mut Counts, outcome: Result<(), Errno>) {
    let name = match outcome {
        Ok(()) => "let through".to_owned(),
        Err(Errno::PERM) => "EPERM".to_owned(),
        Err(Errno::INPROGRESS) => "EINPROGRESS".to_owned(),
        Err(Errno::CONNREFUSED) => "ECONNREFUSED".to_owned(),
        Err(errno) => errno.to_string(),
    };
    *counts.entry(name).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_apart() {
        let mut counts = Counts::default();
        for outcome in [Ok(()), Err(Errno::PERM), Err(Errno::PERM)] {
            count(&mut counts, outcome);
        }
        assert_eq!(counts["let through"], 1);
        assert_eq!(counts["EPERM"], 2);
    }
}
