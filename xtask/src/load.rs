//! Load for the benchmarks: each kind is a process of its own, so that it can stand in a guarded
//! cgroup or outside, and prints one number.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// One kind of load.
#[derive(clap::Args, Debug)]
pub struct Load {
    /// Enter this cgroup directory first.
    #[arg(long)]
    cgroup: Option<PathBuf>,
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand, Debug)]
enum Kind {
    /// Accept and close TCP, swallow UDP, until killed.
    Serve { address: SocketAddr },
    /// Swallow TCP streams, until killed.
    Sink { address: SocketAddr },
    /// Connect so often; print the median time in nanoseconds.
    Connect { address: SocketAddr, count: usize },
    /// Send for so many milliseconds from one unconnected socket; print datagrams per second.
    Send { address: SocketAddr, millis: u64 },
    /// Stream for so many milliseconds; print bytes per second.
    Stream { address: SocketAddr, millis: u64 },
}

impl Load {
    #[expect(clippy::print_stdout, reason = "the number is the output")]
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(cgroup) = &self.cgroup {
            let procs = cgroup.join("cgroup.procs");
            fs::write(&procs, "0").with_context(|| format!("write {}", procs.display()))?;
        }
        match self.kind {
            Kind::Serve { address } => serve(address),
            Kind::Sink { address } => sink(address),
            Kind::Connect { address, count } => {
                println!("{}", connect(address, count)?);
                Ok(())
            }
            Kind::Send { address, millis } => {
                println!("{}", send(address, Duration::from_millis(millis))?);
                Ok(())
            }
            Kind::Stream { address, millis } => {
                println!("{}", stream(address, Duration::from_millis(millis))?);
                Ok(())
            }
        }
    }
}

fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let udp = UdpSocket::bind(address)?;
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while udp.recv_from(&mut buffer).is_ok() {}
    });
    for connection in TcpListener::bind(address)?.incoming() {
        drop(connection);
    }
    Ok(())
}

fn sink(address: SocketAddr) -> anyhow::Result<()> {
    for connection in TcpListener::bind(address)?.incoming() {
        let mut connection = connection?;
        let mut buffer = vec![0; 1 << 18];
        while connection.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
    Ok(())
}

fn connect(address: SocketAddr, count: usize) -> anyhow::Result<u64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let connection = TcpStream::connect(address)?;
        times.push(u64::try_from(start.elapsed().as_nanos())?);
        // A reset instead of a FIN leaves no port in TIME_WAIT.
        rustix::net::sockopt::set_socket_linger(&connection, Some(Duration::ZERO))?;
    }
    times.sort_unstable();
    times
        .get(count / 2)
        .copied()
        .context("no connection was made")
}

fn send(address: SocketAddr, time: Duration) -> anyhow::Result<u64> {
    let any: SocketAddr = if address.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    let payload = [0_u8; 64];
    let start = Instant::now();
    let mut sent: u64 = 0;
    while start.elapsed() < time {
        for _ in 0..64 {
            socket.send_to(&payload, address)?;
        }
        sent += 64;
    }
    per_second(sent, start.elapsed())
}

fn stream(address: SocketAddr, time: Duration) -> anyhow::Result<u64> {
    let mut connection = TcpStream::connect(address)?;
    let payload = vec![0_u8; 1 << 17];
    let start = Instant::now();
    let mut sent: u64 = 0;
    while start.elapsed() < time {
        connection.write_all(&payload)?;
        sent += payload.len() as u64;
    }
    per_second(sent, start.elapsed())
}

fn per_second(count: u64, time: Duration) -> anyhow::Result<u64> {
    let nanos = time.as_nanos().max(1);
    Ok(u64::try_from(u128::from(count) * 1_000_000_000 / nanos)?)
}
