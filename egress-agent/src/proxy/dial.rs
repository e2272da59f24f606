//! Reaching an address that was allowed.

use std::{io, net::SocketAddr, os::fd::AsFd, time::Duration};

use rustix::net::sockopt;
use tokio::{net::TcpStream, time::timeout};

/// For a connection to stand; the kernel's own patience is two minutes.
pub(super) const DIAL: Duration = Duration::from_secs(10);
/// A peer that is silent for so long is asked whether it still lives.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// Connects to this address and to no other.
pub(super) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(DIAL, TcpStream::connect(address))
        .await
        .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
    ready(&stream)?;
    Ok(stream)
}

/// What every socket of a tunnel is set to: small messages leave at once, and a peer that is gone
/// is noticed.
pub(super) fn ready(socket: impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEP_ALIVE)?;
    Ok(())
}

/// Makes the end of a stream a reset: its peer learns that something went wrong.
pub(super) fn reset(stream: TcpStream) {
    // A peer that is gone already needs no reset.
    if let Err(error) = sockopt::set_socket_linger(&stream, Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection is closed in place of being reset");
    }
    drop(stream);
}
