//! What answers on the far side: echo over TCP and UDP, and a DNS server.
//!
//! From the bait it calls [`CALLED_PORT`] of the near side all the time: inbound connections need
//! someone who makes them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    sync::oneshot,
    task::spawn,
    time::{sleep, timeout},
};

use super::{GATEWAY_V4, MARKER_PORT, answers, side::Side};
use crate::escape::ground::{
    ALLOWED_PORT, ALLOWED_V4, ALLOWED_V6, BAIT_PORT, BAIT_V4, BAIT_V6, CALLED_PORT, NEAR_V4,
    NEAR_V6, OTHER_RESOLVER_V4, OTHER_RESOLVER_V6, RESOLVER_V4,
};

const DNS: u16 = 53;
/// Web, DNS over TLS, mDNS, LLMNR and the bait's own; other ports refuse, which is an answer too.
const ECHO: [u16; 6] = [80, ALLOWED_PORT, 853, BAIT_PORT, 5353, 5355];
const ADDRESSES: [IpAddr; 7] = [
    IpAddr::V4(BAIT_V4),
    IpAddr::V6(BAIT_V6),
    IpAddr::V4(ALLOWED_V4),
    IpAddr::V6(ALLOWED_V6),
    IpAddr::V4(RESOLVER_V4),
    IpAddr::V4(OTHER_RESOLVER_V4),
    IpAddr::V6(OTHER_RESOLVER_V6),
];
/// A call that nobody takes must not be repeated into the next attempt: TCP would after a second.
const CALL: Duration = Duration::from_millis(300);
/// Between two calls.
const PAUSE: Duration = Duration::from_millis(20);

/// The servers, on a thread of their own in the far namespace.
#[derive(Debug)]
pub(super) struct Services {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Services {
    pub(super) fn start(far: &Side) -> anyhow::Result<Self> {
        let (ready, is_ready) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = far.run(move || {
            thread::Builder::new()
                .name("far".to_owned())
                .spawn(move || serve(&ready, stopped))
        })??;
        is_ready.recv().context("the far side's thread ended")??;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}

fn serve(ready: &mpsc::Sender<anyhow::Result<()>>, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return ready.send(Err(error.into())).unwrap_or_default(),
    };
    runtime.block_on(async {
        let opened = open().await;
        let goes_on = opened.is_ok();
        // An error of `stopped` is its sender's end: the same thing.
        if ready.send(opened).is_ok() && goes_on {
            stopped.await.unwrap_or_default();
        }
    });
}

async fn open() -> anyhow::Result<()> {
    for port in ECHO.into_iter().chain([DNS]) {
        let wildcard: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        for address in wildcard {
            let listener = listen(SocketAddr::new(address, port))?;
            spawn(accept(listener, port));
        }
        // One socket for each address: an answer comes from where the question went.
        for address in ADDRESSES {
            let socket = UdpSocket::bind((address, port))
                .await
                .with_context(|| format!("bind UDP {address}, port {port}"))?;
            spawn(datagrams(socket, port == DNS));
        }
    }
    let markers = UdpSocket::bind((GATEWAY_V4, MARKER_PORT)).await?;
    spawn(async move { while markers.recv(&mut [0; 64]).await.is_ok() {} });
    spawn(call_forever(BAIT_V4.into(), NEAR_V4.into()));
    spawn(call_forever(BAIT_V6.into(), NEAR_V6.into()));
    Ok(())
}

/// Both versions are bound on their own: the IPv6 wildcard takes no IPv4 then.
fn listen(at: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = nix::sys::socket::socket(
        match at {
            SocketAddr::V4(_) => nix::sys::socket::AddressFamily::Inet,
            SocketAddr::V6(_) => nix::sys::socket::AddressFamily::Inet6,
        },
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC | nix::sys::socket::SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    if at.is_ipv6() {
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv6V6Only, &true)?;
    }
    let address = nix::sys::socket::SockaddrStorage::from(at);
    nix::sys::socket::bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &address)
        .with_context(|| format!("bind TCP {at}"))?;
    nix::sys::socket::listen(&socket, nix::sys::socket::Backlog::new(64)?)?;
    Ok(TcpListener::from_std(socket.into())?)
}

async fn datagrams(socket: UdpSocket, is_dns: bool) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        // An error is one client's refusal of an earlier answer.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let received = buffer.get(..length).unwrap_or_default();
        let answer = if is_dns {
            answers::answer(received)
        } else {
            Some(received.to_vec())
        };
        if let Some(answer) = answer {
            socket.send_to(&answer, from).await.unwrap_or_default();
        }
    }
}

async fn accept(listener: TcpListener, port: u16) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            spawn(async move {
                let served = if port == DNS {
                    dns(stream).await
                } else {
                    echo(stream).await
                };
                // How a client ends is its own business.
                served.unwrap_or_default();
            });
        }
    }
}

async fn dns(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let answer = answers::answer(&question).unwrap_or_default();
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&answer).await?;
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await.map(drop)
}

/// Calls the near side until the services stop.
async fn call_forever(from: IpAddr, to: IpAddr) {
    loop {
        // Mostly nobody listens.
        drop(timeout(CALL, call(from, to)).await);
        sleep(PAUSE).await;
    }
}

/// Connects to the near side, says a word and waits for one.
async fn call(from: IpAddr, to: IpAddr) -> io::Result<()> {
    let socket = if from.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind((from, 0).into())?;
    let mut stream = socket.connect((to, CALLED_PORT).into()).await?;
    stream.write_all(b"hello\n").await?;
    stream.read_u8().await.map(drop)
}
