//! Load for the benchmarks: each kind is a process of its own, so that it can stand in a guarded
//! cgroup or outside. It prints its figures as numbers, one line for each measurement.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use xtask::week;

mod denial;
mod dns;
mod mcp;
mod probe;
mod proxy;
mod tcp;
mod udp;
mod watch;

/// One kind of load.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Load {
    /// Accepts and closes TCP, swallows UDP, until killed
    Serve { address: SocketAddr },
    /// Writes so many records of a made-up week into a directory, for a look at what reading costs
    Week { directory: PathBuf, records: u64 },
    /// Answers calls of the Model Context Protocol on standard input, until it ends
    McpServe,
    /// Swallows TCP streams, until killed
    Sink { address: SocketAddr },
    /// Connects so often; prints the medians of connect(2), and of socket, connect and close
    Connect { address: SocketAddr, count: usize },
    /// Sends for so long from one unconnected socket; prints datagrams per second
    Send { address: SocketAddr, millis: u64 },
    /// Streams for so long; prints bytes per second
    Stream { address: SocketAddr, millis: u64 },
    /// Asks for `n<FIRST>.<ZONE>` and so many names that follow, one after the other, from a fresh
    /// socket each; prints the median
    Ask {
        server: SocketAddr,
        zone: String,
        first: u32,
        count: u32,
    },
    /// The same, content with every answer
    AskAny {
        server: SocketAddr,
        zone: String,
        first: u32,
        count: u32,
    },
    /// Keeps so many questions about so many names under way; prints answers per second
    Flood {
        server: SocketAddr,
        zone: String,
        names: u32,
        window: u16,
        millis: u64,
    },
    /// Connects to so many ports of an address that is denied, at this pace; prints the port and
    /// the time of each
    Deny {
        address: SocketAddr,
        count: u16,
        pace_micros: u64,
    },
    /// Tries for so long, by every way, to reach addresses that are denied, with traffic and
    /// questions in between that are allowed; prints what became of it as JSON
    Probe {
        /// What may be connected to at any time
        allowed: SocketAddr,
        server: SocketAddr,
        allowed_zone: String,
        denied_zone: String,
        millis: u64,
        denied: Vec<SocketAddr>,
    },
    /// Connects until that is denied; prints the time of the first denial
    UntilDenied { address: SocketAddr },
    /// Answers HTTP with a small page and counts what TLS clients send, until killed
    Answer { address: SocketAddr },
    /// Asks a proxy so often for a tunnel, which must be answered with this status; prints the
    /// medians of the request, and of the connection and the request
    AskTunnel {
        proxy: SocketAddr,
        target: String,
        status: String,
        count: usize,
    },
    /// Connects so often and greets the server; prints the median until its first byte
    FirstByte {
        address: SocketAddr,
        name: String,
        count: usize,
    },
    /// Streams for so long behind a hello of TLS; prints bytes per second
    Tunnel {
        address: SocketAddr,
        name: String,
        millis: u64,
        /// What to ask for with CONNECT, when the address is a proxy's
        #[arg(long)]
        target: Option<String>,
    },
    /// Gets a small page for so long over connections that are kept; prints requests per second
    Get {
        address: SocketAddr,
        host: String,
        connections: usize,
        millis: u64,
        /// The address is a proxy's
        #[arg(long)]
        absolute: bool,
    },
    /// Opens so many tunnels and keeps them until standard input ends; prints how many still live
    Idle {
        proxy: SocketAddr,
        name: String,
        target: String,
        count: usize,
    },
    /// Accepts TCP and keeps it, until killed
    Keep { address: SocketAddr },
    /// Opens so many connections and holds them until standard input ends; prints how many
    Hold { address: SocketAddr, count: usize },
    /// Makes so many events a second for so long: connections that are denied, to this port and
    /// those that follow, and questions; prints events per second
    Storm {
        denied: SocketAddr,
        server: SocketAddr,
        zone: String,
        rate: u64,
        millis: u64,
    },
}

impl Load {
    #[expect(clippy::print_stdout, reason = "the numbers are the output")]
    pub(crate) fn run(self) -> Result<()> {
        let line = match self {
            Self::Serve { address } => return tcp::serve(address),
            Self::Week { directory, records } => {
                return week::write(&directory, records, week::FILE).map(drop);
            }
            Self::McpServe => return mcp::serve(),
            Self::Sink { address } => return tcp::sink(address),
            Self::Connect { address, count } => tcp::connect(address, count)?.join(" "),
            Self::Send { address, millis } => udp::send(address, time(millis))?.to_string(),
            Self::Stream { address, millis } => tcp::stream(address, time(millis))?.to_string(),
            Self::Ask {
                server,
                zone,
                first,
                count,
            } => dns::ask(
                server,
                &zone,
                first..first.saturating_add(count),
                dns::Content::Good,
            )?
            .to_string(),
            Self::AskAny {
                server,
                zone,
                first,
                count,
            } => dns::ask(
                server,
                &zone,
                first..first.saturating_add(count),
                dns::Content::Any,
            )?
            .to_string(),
            Self::Flood {
                server,
                zone,
                names,
                window,
                millis,
            } => dns::flood(server, &zone, names, window, time(millis))?.to_string(),
            Self::Deny {
                address,
                count,
                pace_micros,
            } => denial::deny(address, count, Duration::from_micros(pace_micros))?.join("\n"),
            Self::Probe {
                allowed,
                server,
                allowed_zone,
                denied_zone,
                millis,
                denied,
            } => probe::run(
                allowed,
                &denied,
                server,
                [&allowed_zone, &denied_zone],
                time(millis),
            )?,
            Self::UntilDenied { address } => denial::until_denied(address)?.to_string(),
            Self::Answer { address } => return proxy::answer(address),
            Self::AskTunnel {
                proxy,
                target,
                status,
                count,
            } => proxy::ask_tunnel(proxy, &target, &status, count)?.join(" "),
            Self::FirstByte {
                address,
                name,
                count,
            } => proxy::first_byte(address, &name, count)?.to_string(),
            Self::Tunnel {
                address,
                name,
                millis,
                target,
            } => proxy::tunnel(address, &name, target.as_deref(), time(millis))?.to_string(),
            Self::Get {
                address,
                host,
                connections,
                millis,
                absolute,
            } => proxy::get(address, &host, absolute, connections, time(millis))?.to_string(),
            Self::Idle {
                proxy,
                name,
                target,
                count,
            } => proxy::idle(proxy, &name, &target, count)?,
            Self::Keep { address } => return watch::keep(address),
            Self::Hold { address, count } => watch::hold(address, count)?,
            Self::Storm {
                denied,
                server,
                zone,
                rate,
                millis,
            } => watch::storm(denied, server, &zone, rate, time(millis))?.to_string(),
        };
        println!("{line}");
        Ok(())
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds: the same clock for every process.
pub(crate) fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn time(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How often a second, from a count and the nanoseconds that it took.
fn per_second(count: u64, nanos: u64) -> u64 {
    let rate = u128::from(count) * 1_000_000_000 / u128::from(nanos.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The middle of the times; 0 of none.
fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_per_second() {
        assert_eq!(per_second(50, 500_000_000), 100);
        assert_eq!(per_second(1, 0), 1_000_000_000);
    }

    #[test]
    fn the_median_is_of_sorted_times() {
        assert_eq!(median(vec![9, 1, 5]), 5);
        assert_eq!(median(Vec::new()), 0);
    }
}
