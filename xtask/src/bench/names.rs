//! DNS: what the guard resolver adds to a question, and how many it answers from its cache.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result};
use xtask::world::{place::RESOLVER_V4, wait_for};

use super::{
    figure::{Figure, Target, Unit},
    policies, rounds,
    stage::{Server, Stage, cpu_nanos},
    traffic::compared,
};

const ZONE: &str = "allowed.test";
/// Where dnsmasq forwards from.
const FORWARDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5300);
/// Names in the caches, and questions that are under way at a time.
const NAMES: &str = "500";
const WINDOW: &str = "16";
const MILLIS: u32 = 200;

pub(crate) fn latency(stage: &Stage) -> Result<Vec<Figure>> {
    let guard = stage.guard("dns-latency", &policies::usual(), None)?;
    let _forwarder = forwarder(stage, None)?;
    let bare = stage.unguarded("bare")?;
    let upstream = SocketAddr::from((RESOLVER_V4, 53));
    let arms = [
        (guard.cgroup(), upstream),
        (&bare, upstream),
        (&bare, FORWARDER),
    ];
    let count: u32 = if stage.quick { 100 } else { 250 };
    // Names that nobody asked for before; all arms count on.
    let mut next = 100_000;
    let measured = rounds::run(stage.rounds(31), arms.len(), |_, which| {
        let (cgroup, server) = arms.get(which).context("three arms")?;
        let (server, first, count_text) = (server.to_string(), next.to_string(), count.to_string());
        next += count;
        stage.load(cgroup, &["ask", &server, ZONE, &first, &count_text])
    })?;
    let [[guarded], [direct], [forwarded]] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    let micros = |nanos: f64| Unit::Micros.of(nanos / 1e3);
    Ok(vec![
        Figure {
            against: Some((
                "by dnsmasq as forwarder".to_owned(),
                micros(forwarded.difference(direct)),
            )),
            ..Figure::alone(
                "DNS, added to an uncached question",
                micros(guarded.difference(direct)),
                Target::AtMost(Unit::Micros.of(60.0)),
            )
        },
        compared(
            "  the whole question",
            Unit::Micros,
            (guarded, 1e-3),
            ("upstream asked directly", direct),
            Target::None,
        ),
    ])
}

pub(crate) fn rate(stage: &Stage) -> Result<Vec<Figure>> {
    let cpu = Some(stage.server_cpu());
    let guard = stage.guard("dns-rate", &policies::usual(), cpu)?;
    let forwarder = forwarder(stage, cpu)?;
    let bare = stage.unguarded("bare")?;
    let measured = rounds::run(stage.rounds(31), 2, |_, which| {
        let (cgroup, server, pid) = if which == 0 {
            let server = SocketAddr::from((RESOLVER_V4, 53));
            (guard.cgroup(), server, guard.pid())
        } else {
            (&bare, FORWARDER, forwarder.pid())
        };
        let (server, millis) = (server.to_string(), MILLIS.to_string());
        let before = cpu_nanos(pid)?;
        let words = ["flood", &server, ZONE, NAMES, WINDOW, &millis];
        let [rate] = stage.load(cgroup, &words)?;
        let answers = rate * f64::from(MILLIS) / 1e3;
        Ok([rate, (cpu_nanos(pid)? - before) / answers])
    })?;
    let [[ours, our_cost], [theirs, their_cost]] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    Ok(vec![
        compared(
            "DNS answers from cache",
            Unit::PerSecond,
            (ours, 1.0),
            ("dnsmasq", theirs),
            Target::RatioAtLeast(1.0),
        ),
        compared(
            "  processor time of the server for each",
            Unit::Micros,
            (our_cost, 1e-3),
            ("dnsmasq", their_cost),
            Target::None,
        ),
    ])
}

/// dnsmasq on the machine, asking the same upstream, with room for every name.
fn forwarder(stage: &Stage, cpu: Option<usize>) -> Result<Server> {
    let mut command = stage.world().command("env");
    if let Some(cpu) = cpu {
        command.args(["taskset", "-c", &cpu.to_string()]);
    }
    command.args([
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        "--cache-size=10000",
        "--dns-forward-max=1000",
        &format!("--listen-address={}", FORWARDER.ip()),
        &format!("--port={}", FORWARDER.port()),
        &format!("--server={RESOLVER_V4}"),
    ]);
    let server = Server::start(command)?;
    let bare = stage.unguarded("bare")?;
    let address = FORWARDER.to_string();
    wait_for("dnsmasq as a forwarder", Duration::from_secs(5), || {
        stage
            .load::<1>(&bare, &["ask", &address, ZONE, "0", "1"])
            .is_ok()
    })?;
    Ok(server)
}
