//! What arrives at the internet's end of the link, as tcpdump sees it.
//!
//! That nothing arrived is proved with a mark: a datagram that the capture must show. What was sent
//! before the mark and is not in the list when the mark is, did not arrive.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::UdpSocket,
    process::{Child, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{
    cgroup::Cgroup,
    namespace::Namespace,
    place::{LINK, MARK_PORT, RESOLVER_V4},
    wait_for,
};

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Capture {
    /// Records what fits `filter` (pcap-filter(7)), in both directions; it runs when this returns.
    pub(super) fn start(internet: &Namespace, cgroup: &Cgroup, filter: &str) -> Result<Self> {
        let filter = format!("({filter}) or (udp port {MARK_PORT} and host {RESOLVER_V4})");
        let mut tcpdump = cgroup
            .join(internet.network_command("sh"))
            .arg("tcpdump")
            .args([
                "--immediate-mode",
                // KiB, for what comes while this program does not get to run.
                "--buffer-size=16384",
                "-l",
                "-n",
                "-tt",
                "-i",
                LINK,
                "-Z",
                "root",
                &filter,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start `tcpdump`; run `cargo xtask setup`")?;
        wait_until_listening(&mut tcpdump)?;
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let reader = tcpdump.stdout.take().map(|stdout| {
            let lines = Arc::clone(&lines);
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    lines
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(line);
                }
            })
        });
        Ok(Self {
            tcpdump,
            lines,
            reader,
        })
    }

    /// Every packet that reached the link before this call, one line each.
    pub(super) fn packets(&self, machine: &Namespace) -> Result<Vec<String>> {
        let size = mark(machine)?;
        let is_mark = |line: &str| {
            line.contains(&format!(".{MARK_PORT}")) && line.contains(&format!("{RESOLVER_V4}"))
        };
        let marked = format!("length {size}");
        wait_for("the mark in the capture", Duration::from_secs(30), || {
            self.lines()
                .iter()
                .any(|line| is_mark(line) && line.ends_with(&marked))
        })
        .with_context(|| format!("{} packets are in the capture", self.lines().len()))?;
        Ok(self
            .lines()
            .into_iter()
            .filter(|line| !is_mark(line))
            .collect())
    }

    fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.tcpdump.kill().ok();
        self.tcpdump.wait().ok();
        drop(self.reader.take());
    }
}

/// Sends a datagram of a size of its own to the echo and waits until it is back.
fn mark(machine: &Namespace) -> Result<u16> {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let size = 100 + COUNT.fetch_add(1, Ordering::Relaxed) % 1000;
    machine.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.send_to(&vec![0; usize::from(size)], (RESOLVER_V4, MARK_PORT))?;
        socket
            .recv(&mut [0; 2048])
            .context("the echo of the mark did not come back")?;
        Ok(size)
    })
}

fn wait_until_listening(tcpdump: &mut Child) -> Result<()> {
    let Some(stderr) = tcpdump.stderr.take() else {
        bail!("tcpdump has no standard error")
    };
    let mut stderr = BufReader::new(stderr);
    let mut said = String::new();
    while stderr.read_line(&mut said)? > 0 {
        if said.contains("listening on") {
            // Its last words are of no interest, but it must be able to say them.
            thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
            return Ok(());
        }
    }
    bail!("tcpdump does not run: {}", said.trim())
}
