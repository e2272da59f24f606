//! The DNS tap: a packet socket that gets DNS over UDP, and nothing else of the machine's traffic.

use std::{io, os::fd::OwnedFd};

use rustix::net::{
    AddressFamily, Protocol, RawProtocol, RecvFlags, SocketFlags, SocketType, recv, socket_with,
};
use tokio::io::unix::AsyncFd;

use super::programs::{KernelError, attach_tap};

/// An open tap.
#[derive(Debug)]
pub struct Tap {
    socket: AsyncFd<OwnedFd>,
}

/// Why there is no tap.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    #[error("open a packet socket: {0}")]
    Socket(#[source] io::Error),
    #[error(transparent)]
    Filter(#[from] KernelError),
}

/// `ETH_P_ALL`, `include/uapi/linux/if_ether.h`.
const ETH_P_ALL: u16 = 3;
/// Longer packets are cut, and then are no DNS. Bytes.
const LONGEST: usize = 4096;

impl Tap {
    /// Opens the socket and puts the filter on it. What arrives in between is DNS or is ignored
    /// by whoever reads it. Needs `CAP_NET_RAW`; must be called inside a tokio runtime.
    #[expect(
        unsafe_code,
        reason = "tokio cannot see that the socket owns its descriptor"
    )]
    pub fn open() -> Result<Self, TapError> {
        let protocol = RawProtocol::new(u32::from(ETH_P_ALL.to_be())).map(Protocol::from_raw);
        let socket = socket_with(
            AddressFamily::PACKET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            protocol,
        )
        .map_err(|errno| TapError::Socket(errno.into()))?;
        attach_tap(&socket)?;
        // SAFETY: the descriptor owns itself, is the same each time, and stays open until it is
        // dropped.
        let socket =
            unsafe { AsyncFd::register(socket) }.map_err(|error| TapError::Socket(error.into()))?;
        Ok(Self { socket })
    }

    /// The next packet, from its IP header on.
    pub async fn next(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize(LONGEST, 0);
        loop {
            let mut ready = self.socket.readable().await?;
            let received = ready.try_io(|socket| {
                recv(socket, buffer.as_mut_slice(), RecvFlags::empty())
                    .map(|(_, length)| length)
                    .map_err(io::Error::from)
            });
            match received {
                Ok(Ok(length)) => {
                    buffer.truncate(length);
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}
