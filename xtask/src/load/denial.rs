//! Connections that are meant to be denied, and when they were.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::monotonic;

/// A connect that began before the guard and goes on under it is silence: it ends here.
const SILENCE: Duration = Duration::from_millis(5);
/// How long the guard may take to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// For each port from that of `address` on: the port, and the time (`CLOCK_MONOTONIC`, ns) just
/// before connect(2).
pub(super) fn deny(address: SocketAddr, count: u16, pace: Duration) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for n in 0..count {
        let port = address
            .port()
            .checked_add(n)
            .context("there are not so many ports")?;
        let target = SocketAddr::new(address.ip(), port);
        let before = monotonic();
        match TcpStream::connect(target) {
            Err(error) if is_denial(&error) => lines.push(format!("{port} {before}")),
            Err(error) => return Err(error).with_context(|| format!("connecting to {target}")),
            Ok(_) => bail!("{target} should have been denied"),
        }
        thread::sleep(pace);
    }
    Ok(lines)
}

/// The time (`CLOCK_MONOTONIC`, ns) at which a connect was denied for the first time.
pub(super) fn until_denied(address: SocketAddr) -> Result<u64> {
    let start = monotonic();
    loop {
        match TcpStream::connect_timeout(&address, SILENCE) {
            Err(error) if is_denial(&error) => return Ok(monotonic()),
            Ok(_) | Err(_) => thread::sleep(Duration::from_micros(500)),
        }
        ensure!(
            u128::from(monotonic() - start) < PATIENCE.as_nanos(),
            "{address} was not denied within {PATIENCE:?}"
        );
    }
}

fn is_denial(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
