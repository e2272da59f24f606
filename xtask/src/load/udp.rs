//! UDP: datagrams from one unconnected socket.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{monotonic, per_second};

/// Datagrams between two looks at the clock.
const BATCH: u64 = 64;
const PAYLOAD: [u8; 64] = [0; 64];

/// Datagrams per second.
pub(super) fn send(address: SocketAddr, time: Duration) -> Result<u64> {
    let any: IpAddr = if address.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).context("binding a UDP socket")?;
    let start = monotonic();
    let end = start + u64::try_from(time.as_nanos())?;
    let mut sent: u64 = 0;
    while monotonic() < end {
        for _ in 0..BATCH {
            socket
                .send_to(&PAYLOAD, address)
                .with_context(|| format!("sending to {address}"))?;
        }
        sent += BATCH;
    }
    Ok(per_second(sent, monotonic() - start))
}
