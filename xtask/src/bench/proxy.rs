//! The egress proxy at the level of names, beside squid and tinyproxy with the same list of hosts.
//!
//! All run on the machine of the world. Squid has neither a cache nor an access log, so it writes
//! nothing; egressd writes its record of every flow.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use xtask::{
    program,
    world::{
        cgroup::Cgroup,
        place::{ALLOWED_V4, RESOLVER_V4},
        wait_for,
    },
};

use super::{
    figure::{Figure, Target, Unit},
    guard::Guard,
    rounds::{self, Series},
    stage::{Server, Stage},
    traffic::compared,
};

/// Where the server of the measurements answers.
const PORT: u16 = 4443;
const HOST: &str = "n0.allowed.test";
const SQUID: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);
const TINYPROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8888);
/// The name of squid's shared memory.
const SERVICE: &str = "egressbench";
/// Of one arm in one round.
const TUNNELS: &str = "150";
const MILLIS: &str = "250";
/// Connections that are kept while pages are fetched.
const CONNECTIONS: &str = "4";
const IDLE: u32 = 10_000;
/// What a proxy has open beside the two ends of each tunnel.
const OTHER_FILES: u32 = 1_200;

/// Who stands between the client and the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arm {
    /// Ours, led there by the kernel.
    Steered,
    /// Ours, asked by the client.
    Explicit,
    Nobody,
    Squid,
    Tinyproxy,
}

impl Drop for Lanes<'_> {
    fn drop(&mut self) {
        // Squid is killed after this; its memory stays mapped as long as it lives.
        forget_squid().ok();
    }
}

/// A guard, the other proxies, and a server for all of them.
struct Lanes<'a> {
    stage: &'a Stage,
    guard: Guard,
    port: u16,
    bare: Cgroup,
    squid: Server,
    _others: [Server; 2],
}

pub(crate) fn connect(stage: &Stage) -> Result<Vec<Figure>> {
    const ARMS: [Arm; 3] = [Arm::Explicit, Arm::Squid, Arm::Tinyproxy];
    let lanes = Lanes::new(stage, "proxy-connect")?;
    let mut figures = Vec::new();
    let micros = |micros: f64| Target::AtMost(Unit::Micros.of(micros));
    for (what, host, status, target) in [
        ("CONNECT allowed, with the dial", HOST, "200", micros(120.0)),
        ("CONNECT denied", "n0.denied.test", "403", micros(50.0)),
    ] {
        let measured = rounds::run(stage.rounds(21), ARMS.len(), |_, which| {
            let arm = *ARMS.get(which).context("an arm")?;
            let (proxy, host) = (lanes.address(arm).to_string(), format!("{host}:{PORT}"));
            lanes.load(arm, &["ask-tunnel", &proxy, &host, status, TUNNELS])
        })?;
        let [[ours, whole], [squid, squid_whole], [tiny, tiny_whole]] = measured.as_slice() else {
            continue;
        };
        let line = |name: &str, ours: &Series, what: &str, other: &Series, target| {
            compared(name, Unit::Micros, (ours, 1e-3), (what, other), target)
        };
        let name = format!("proxy: {what}, p50");
        figures.extend([
            line(&name, ours, "squid", squid, target),
            line(&name, ours, "tinyproxy", tiny, Target::None),
            line(
                "  with the connection to the proxy",
                whole,
                "squid",
                squid_whole,
                Target::None,
            ),
            line(
                "  with the connection to the proxy",
                whole,
                "tinyproxy",
                tiny_whole,
                Target::None,
            ),
        ]);
    }
    Ok(figures)
}

pub(crate) fn tunnel(stage: &Stage) -> Result<Vec<Figure>> {
    const ARMS: [Arm; 5] = [
        Arm::Steered,
        Arm::Nobody,
        Arm::Squid,
        Arm::Explicit,
        Arm::Tinyproxy,
    ];
    let lanes = Lanes::new(stage, "proxy-tunnel")?;
    let target = format!("{HOST}:{PORT}");
    let measured = rounds::run(stage.rounds(31), ARMS.len(), |_, which| {
        let arm = *ARMS.get(which).context("an arm")?;
        let address = lanes.address(arm).to_string();
        let mut words = vec!["tunnel", &address, HOST, MILLIS];
        if !matches!(arm, Arm::Steered | Arm::Nobody) {
            words.extend(["--target", &target]);
        }
        lanes.load(arm, &words)
    })?;
    let [[steered], [direct], [squid], [explicit], [tiny]] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    let line = |name: &str, ours, what: &str, other, target| {
        let unit = Unit::BytesPerSecond;
        compared(name, unit, (ours, 1.0), (what, other), target)
    };
    let name = "proxy: one stream at the level of names";
    let asked = "  asked for by CONNECT";
    Ok(vec![
        line(name, steered, "direct", direct, Target::RatioAtLeast(0.9)),
        line(name, steered, "squid", squid, Target::RatioAtLeast(1.0)),
        line(name, steered, "tinyproxy", tiny, Target::None),
        line(asked, explicit, "direct", direct, Target::RatioAtLeast(0.9)),
        line(asked, explicit, "squid", squid, Target::RatioAtLeast(1.0)),
    ])
}

/// Tinyproxy keeps no connection: there is nothing to compare with.
pub(crate) fn get(stage: &Stage) -> Result<Vec<Figure>> {
    const ARMS: [Arm; 4] = [Arm::Explicit, Arm::Squid, Arm::Steered, Arm::Nobody];
    let lanes = Lanes::new(stage, "proxy-get")?;
    let host = format!("{HOST}:{PORT}");
    let measured = rounds::run(stage.rounds(31), ARMS.len(), |_, which| {
        let arm = *ARMS.get(which).context("an arm")?;
        let address = lanes.address(arm).to_string();
        let mut words = vec!["get", &address, &host, CONNECTIONS, MILLIS];
        if !matches!(arm, Arm::Steered | Arm::Nobody) {
            words.push("--absolute");
        }
        lanes.load(arm, &words)
    })?;
    let [[explicit], [squid], [steered], [direct]] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    let line = |name: &str, ours, what: &str, other, target| {
        compared(name, Unit::PerSecond, (ours, 1.0), (what, other), target)
    };
    let (name, led) = (
        "proxy: small pages over kept connections",
        "  led there by the kernel",
    );
    Ok(vec![
        line(name, explicit, "squid", squid, Target::RatioAtLeast(1.0)),
        line(name, explicit, "direct", direct, Target::None),
        line(led, steered, "squid", squid, Target::RatioAtLeast(1.0)),
        line(led, steered, "direct", direct, Target::None),
    ])
}

pub(crate) fn first_byte(stage: &Stage) -> Result<Vec<Figure>> {
    const ARMS: [Arm; 2] = [Arm::Steered, Arm::Nobody];
    let lanes = Lanes::new(stage, "proxy-first-byte")?;
    let measured = rounds::run(stage.rounds(31), ARMS.len(), |_, which| {
        let arm = *ARMS.get(which).context("an arm")?;
        let address = lanes.address(arm).to_string();
        lanes.load(arm, &["first-byte", &address, HOST, TUNNELS])
    })?;
    let [[steered], [direct]] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    let whole = Unit::Micros.of(direct.median() / 1e3);
    Ok(vec![Figure {
        against: Some(("all of it, direct".to_owned(), whole)),
        ..Figure::alone(
            "proxy: added to the first byte at the level of names, p50",
            Unit::Micros.of(steered.difference(direct) / 1e3),
            Target::AtMost(Unit::Micros.of(150.0)),
        )
    }])
}

pub(crate) fn idle(stage: &Stage) -> Result<Vec<Figure>> {
    let lanes = Lanes::new(stage, "proxy-idle")?;
    // Where root may not raise its own limits, fewer fit.
    let fit = most_files().saturating_sub(OTHER_FILES) / 2;
    let count = fit.min(if stage.quick { 500 } else { IDLE });
    let ours = lanes.held(Arm::Explicit, lanes.guard.pid(), count)?;
    let squid = lanes.held(Arm::Squid, lanes.squid.pid(), count)?;
    let mebibytes = |kib: f64| Unit::Mebibytes.of(kib / 1024.0);
    Ok(vec![
        Figure {
            against: Some(("squid".to_owned(), mebibytes(squid.resident))),
            ..Figure::alone(
                format!("proxy: resident memory with {count} idle tunnels"),
                mebibytes(ours.resident),
                Target::AtMost(Unit::Mebibytes.of(250.0)),
            )
        },
        Figure {
            against: Some(("squid".to_owned(), mebibytes(squid.slab))),
            ..Figure::alone(
                "  the kernel's for all four ends of each",
                mebibytes(ours.slab),
                Target::None,
            )
        },
    ])
}

/// In KiB.
struct Held {
    resident: f64,
    slab: f64,
}

impl<'a> Lanes<'a> {
    fn new(stage: &'a Stage, name: &str) -> Result<Self> {
        let world = stage.world();
        let directory = world.home().join(format!("{name}-others"));
        fs::create_dir_all(&directory).context("making a directory")?;
        let mut answer = world.internet().network_command("taskset");
        answer
            .args(["-c", &stage.server_cpu().to_string()])
            .arg(stage.program("xtask"))
            .args(["load", "answer", &format!("0.0.0.0:{PORT}")]);
        let answer = Server::start(answer)?;
        let conf = directory.join("squid.conf");
        fs::write(&conf, squid_conf(most_files()))?;
        let mut squid = world.command("squid");
        forget_squid()?;
        squid.args(["-N", "-n", SERVICE, "-f"]).arg(&conf);
        let squid = Server::start(squid)?;
        let conf = directory.join("tinyproxy.conf");
        let hosts = directory.join("hosts");
        fs::write(&hosts, "^[a-z0-9]+\\.allowed\\.test$\n")?;
        fs::write(&conf, tinyproxy_conf(&hosts.display().to_string()))?;
        let mut tinyproxy = world.command("tinyproxy");
        tinyproxy.args(["-d", "-c"]).arg(&conf);
        let tinyproxy = Server::start(tinyproxy)?;
        let guard = stage.guard(name, &policy(), None)?;
        let status = program::run(&mut stage.egressctl(&guard, &["status", "--json"]))?;
        let status: Value = serde_json::from_str(&status)?;
        let port = status
            .pointer("/guards/0/proxy/port")
            .and_then(Value::as_u64)
            .context("status tells no port of the proxy")?;
        let lanes = Self {
            stage,
            guard,
            port: u16::try_from(port)?,
            bare: stage.unguarded("bare")?,
            squid,
            _others: [answer, tinyproxy],
        };
        for arm in [Arm::Squid, Arm::Tinyproxy, Arm::Explicit] {
            let (proxy, host) = (lanes.address(arm).to_string(), format!("{HOST}:{PORT}"));
            let words = ["ask-tunnel", &proxy, &host, "200", "1"];
            wait_for(
                &format!("the proxy at {proxy}"),
                Duration::from_secs(15),
                || lanes.load::<2>(arm, &words).is_ok(),
            )?;
        }
        Ok(lanes)
    }

    /// What the client connects to.
    fn address(&self, arm: Arm) -> SocketAddr {
        match arm {
            Arm::Steered | Arm::Nobody => (ALLOWED_V4, PORT).into(),
            Arm::Explicit => (Ipv4Addr::LOCALHOST, self.port).into(),
            Arm::Squid => SQUID,
            Arm::Tinyproxy => TINYPROXY,
        }
    }

    fn cgroup(&self, arm: Arm) -> &Cgroup {
        match arm {
            Arm::Steered | Arm::Explicit => self.guard.cgroup(),
            Arm::Nobody | Arm::Squid | Arm::Tinyproxy => &self.bare,
        }
    }

    fn load<const N: usize>(&self, arm: Arm, words: &[&str]) -> Result<[f64; N]> {
        if arm == Arm::Steered {
            // Takes a lease on the address.
            let server = format!("{RESOLVER_V4}:53");
            let ask = ["ask", &server, "allowed.test", "0", "1"];
            self.stage.load::<1>(self.guard.cgroup(), &ask)?;
        }
        self.stage.load(self.cgroup(arm), words)
    }

    /// What a process and the kernel hold for so many idle tunnels.
    fn held(&self, arm: Arm, pid: u32, count: u32) -> Result<Held> {
        let slab = slab()?;
        let (proxy, target) = (self.address(arm).to_string(), format!("{HOST}:{PORT}"));
        let words = ["idle", &proxy, HOST, &target, &count.to_string()];
        let mut load = self
            .stage
            .load_command(self.cgroup(arm), &words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the load")?;
        let mut said = BufReader::new(load.stdout.take().context("a pipe")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(
            line.trim() == "ready",
            "the load of idle tunnels said `{line}`"
        );
        let held = Held {
            resident: field(&format!("/proc/{pid}/status"), "VmRSS:")?,
            slab: self::slab()? - slab,
        };
        drop(load.stdin.take());
        line.clear();
        said.read_to_string(&mut line)?;
        load.wait()?;
        ensure!(
            line.trim() == count.to_string(),
            "of {count} tunnels {} were alive",
            line.trim()
        );
        Ok(held)
    }
}

/// Files that a process may have open at most, of this machine or as far as it can be raised.
fn most_files() -> u32 {
    const WANTED: u32 = 65_536;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.current,
        maximum: Some(u64::from(WANTED)),
    };
    let hard = match limit.maximum {
        Some(hard) if hard < u64::from(WANTED) && setrlimit(Resource::Nofile, raised).is_err() => {
            hard
        }
        Some(_) | None => u64::from(WANTED),
    };
    u32::try_from(hard).unwrap_or(WANTED)
}

/// Removes the shared memory of a squid that was killed: the next one does not start beside it.
fn forget_squid() -> Result<()> {
    for entry in fs::read_dir("/dev/shm").context("reading /dev/shm")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(SERVICE) {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

fn slab() -> Result<f64> {
    field("/proc/meminfo", "Slab:")
}

/// The number on the line that starts with `name`.
fn field(file: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {name} in {file}"))
}

fn policy() -> Value {
    json!({
        "version": 1,
        "name": "bench",
        "network": { "allow": [
            { "name": "web", "hosts": ["*.allowed.test"], "ports": [format!("{PORT}/tcp")], "level": "name" },
        ] },
    })
}

fn squid_conf(files: u32) -> String {
    format!(
        "http_port {SQUID}\n\
         dns_nameservers {RESOLVER_V4}\n\
         acl allowed dstdomain .allowed.test\n\
         http_access allow allowed\n\
         http_access deny all\n\
         cache deny all\n\
         access_log none\n\
         cache_log /dev/null\n\
         cache_store_log none\n\
         netdb_filename none\n\
         pid_filename none\n\
         coredump_dir none\n\
         pinger_enable off\n\
         via off\n\
         forwarded_for delete\n\
         visible_hostname squid.test\n\
         cache_effective_user nobody\n\
         max_filedescriptors {files}\n\
         shutdown_lifetime 0 seconds\n"
    )
}

fn tinyproxy_conf(hosts: &str) -> String {
    format!(
        "Port {}\n\
         Listen {}\n\
         Timeout 600\n\
         LogLevel Error\n\
         MaxClients 1000\n\
         Filter \"{hosts}\"\n\
         FilterExtended On\n\
         FilterDefaultDeny Yes\n",
        TINYPROXY.port(),
        TINYPROXY.ip(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_allow_what_the_policy_allows() {
        let policy = policy().to_string();
        assert!(policy.contains("*.allowed.test"));
        assert!(squid_conf(9).contains("dstdomain .allowed.test\n"));
    }
}
