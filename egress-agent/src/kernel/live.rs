//! The sockets that are open, from the kernel's own list (`sock_diag(7)`), with the cgroup of each.
//!
//! Only those of the daemon's network namespace are listed. Takes long where there are many
//! sockets: call it on a thread that may block.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, Nla as _};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{self, AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP},
    inet::{
        ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
        nlas::{Nla, TcpInfo},
    },
};
use netlink_sys::{Socket, SocketAddr as NetlinkAddress, protocols::NETLINK_SOCK_DIAG};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

/// A connected socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: &'static str,
    /// What kernel programs call it.
    pub cookie: u64,
    /// Bytes of content; `None` where the kernel does not count them.
    pub sent: Option<u64>,
    pub received: Option<u64>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// With the number that the cgroup was looked for by.
    pub open: Vec<(u64, Open)>,
    /// How many there are for each number.
    pub totals: BTreeMap<u64, u64>,
    /// The list was longer than there was time for.
    pub is_cut: bool,
}

/// Sockets of one number that are kept.
const KEPT: u64 = 2_000;
/// For one whole list: some hundred thousand sockets.
const PATIENCE: Duration = Duration::from_secs(2);
/// The kernel fills no more than this with one answer.
const BUFFER: usize = 64 << 10;
/// `INET_DIAG_CGROUP_ID`, `include/uapi/linux/inet_diag.h`.
const CGROUP_ID: u16 = 21;

/// The connected sockets of these cgroups. `cgroups` says for the id of a cgroup by which number it
/// is looked for.
pub fn list(cgroups: &BTreeMap<u64, u64>) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let start = Instant::now();
    for (family, protocol) in [
        (AF_INET, IPPROTO_TCP),
        (AF_INET6, IPPROTO_TCP),
        (AF_INET, IPPROTO_UDP),
        (AF_INET6, IPPROTO_UDP),
    ] {
        dump(family, protocol, |response| {
            if let Some((number, open)) = read(protocol, response, cgroups) {
                let total = listing.totals.entry(number).or_default();
                *total += 1;
                if *total <= KEPT {
                    listing.open.push((number, open));
                }
            }
            listing.is_cut = start.elapsed() > PATIENCE;
            !listing.is_cut
        })?;
        if listing.is_cut {
            break;
        }
    }
    Ok(listing)
}

/// Asks for one family and protocol. `take` says whether to go on.
fn dump(family: u8, protocol: u8, mut take: impl FnMut(&InetResponse) -> bool) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    socket.bind_auto()?;
    socket.connect(&NetlinkAddress::new(0, 0))?;
    socket.send(&request(family, protocol), 0)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        let length = socket.recv(&mut buffer, 0)?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            // Messages are aligned to four bytes.
            let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
            let next = length.max(1).saturating_add(3) & !3;
            rest = rest.get(next..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response))
                    if !take(&response) =>
                {
                    return Ok(());
                }
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(_)
                | NetlinkPayload::Noop
                | NetlinkPayload::Overrun(_) => {}
                _ => {}
            }
        }
    }
}

fn request(family: u8, protocol: u8) -> Vec<u8> {
    // A connected UDP socket counts as established.
    let states = if protocol == IPPROTO_TCP {
        StateFlags::all() & !(StateFlags::LISTEN | StateFlags::TIME_WAIT | StateFlags::CLOSE)
    } else {
        StateFlags::ESTABLISHED
    };
    let request = InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::INFO,
        states,
        socket_id: if family == AF_INET {
            SocketId::new_v4()
        } else {
            SocketId::new_v6()
        },
    };
    let mut message = NetlinkMessage::from(SockDiagMessage::InetRequest(request));
    message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The socket, when its cgroup is looked for.
fn read(
    protocol: u8,
    response: &InetResponse,
    cgroups: &BTreeMap<u64, u64>,
) -> Option<(u64, Open)> {
    let number = *cgroups.get(&cgroup(response)?)?;
    let header = &response.header;
    let id = &header.socket_id;
    let address = |address: IpAddr, port: u16| SocketAddr::new(address.to_canonical(), port);
    let info = response.nlas.iter().find_map(|nla| {
        let Nla::TcpInfo(info) = nla else {
            return None;
        };
        Some(info)
    });
    Some((
        number,
        Open {
            protocol: if protocol == IPPROTO_TCP {
                "tcp"
            } else {
                "udp"
            },
            local: address(id.source_address, id.source_port),
            remote: address(id.destination_address, id.destination_port),
            state: state(header.state),
            cookie: u64::from_ne_bytes(id.cookie),
            sent: info.map(sent),
            received: info.map(|info| info.bytes_received),
        },
    ))
}

fn cgroup(response: &InetResponse) -> Option<u64> {
    response.nlas.iter().find_map(|nla| {
        let Nla::Other(other) = nla else {
            return None;
        };
        let mut value = [0; size_of::<u64>()];
        let is_it = other.kind() == CGROUP_ID && other.value_len() == value.len();
        is_it.then(|| other.emit_value(&mut value))?;
        Some(u64::from_ne_bytes(value))
    })
}

/// What was sent again counts once.
fn sent(info: &TcpInfo) -> u64 {
    info.bytes_sent.saturating_sub(info.bytes_retrans)
}

fn state(number: u8) -> &'static str {
    match number {
        constants::TCP_ESTABLISHED => "established",
        constants::TCP_SYN_SENT => "syn-sent",
        // The kernel's `TCP_NEW_SYN_RECV` is 12.
        constants::TCP_SYN_RECV | 12 => "syn-received",
        constants::TCP_FIN_WAIT1 => "fin-wait-1",
        constants::TCP_FIN_WAIT2 => "fin-wait-2",
        constants::TCP_CLOSE_WAIT => "close-wait",
        constants::TCP_LAST_ACK => "last-ack",
        constants::TCP_CLOSING => "closing",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream, UdpSocket},
        os::fd::AsFd as _,
    };

    use super::*;
    use crate::kernel::Hierarchy;

    /// The cgroup of this process by the number 7.
    fn own() -> BTreeMap<u64, u64> {
        let hierarchy = Hierarchy::find().unwrap();
        let path = Hierarchy::of_self().unwrap();
        let directory = hierarchy.root().join(path.trim_start_matches('/'));
        let id = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(directory).unwrap());
        BTreeMap::from([(id, 7)])
    }

    fn find(listing: &Listing, local: SocketAddr) -> Option<&Open> {
        let mut found = listing.open.iter().filter(|(_, open)| open.local == local);
        let (number, open) = found.next()?;
        assert_eq!(*number, 7);
        assert!(found.next().is_none());
        Some(open)
    }

    #[test]
    fn open_sockets_are_listed_with_what_they_carried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        client.write_all(&[1; 700]).unwrap();
        server.write_all(&[2; 30]).unwrap();
        server.read_exact(&mut [0; 700]).unwrap();
        client.read_exact(&mut [0; 30]).unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let other = UdpSocket::bind("[::1]:0").unwrap();
        udp.connect(other.local_addr().unwrap()).unwrap();

        let listing = list(&own()).unwrap();
        let open = find(&listing, client.local_addr().unwrap()).unwrap();
        assert_eq!(
            (open.protocol, open.state, open.sent, open.received),
            ("tcp", "established", Some(700), Some(30))
        );
        assert_eq!(open.remote, listener.local_addr().unwrap());
        let cookie = rustix::net::sockopt::socket_cookie(client.as_fd()).unwrap();
        assert_eq!(open.cookie, cookie);
        let connected = find(&listing, udp.local_addr().unwrap()).unwrap();
        assert_eq!(connected.remote, other.local_addr().unwrap());
        assert_eq!((connected.protocol, connected.sent), ("udp", None));
        // Neither what only listens nor what is not connected.
        assert!(
            find(&listing, listener.local_addr().unwrap())
                .is_none_or(|open| open.remote.port() != 0)
        );
        assert!(find(&listing, other.local_addr().unwrap()).is_none());
        assert!(listing.totals[&7] >= 3);
    }

    #[test]
    fn sockets_of_other_cgroups_are_not_listed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listing = list(&BTreeMap::from([(u64::MAX, 7)])).unwrap();
        assert_eq!(listing, Listing::default());
    }
}
