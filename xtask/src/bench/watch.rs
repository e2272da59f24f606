//! What watching costs: `egressctl top` on a terminal while much happens, and how soon `status` and
//! `why` answer.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::{
    program,
    world::{
        cgroup::Cgroup,
        place::{DENIED_V4, NAMELESS_V4, RESOLVER_V4},
        wait_for,
    },
};

use super::{
    figure::{Figure, Target, Unit},
    guard::Guard,
    policies,
    rounds::quantile,
    stage::{Server, Stage, cpu_nanos, served},
};

/// Open flows, and events in each second.
const FLOWS: u64 = 1_000;
const EVENTS: u64 = 10_000;
/// Of the time of the storm this is measured.
const WATCHED: Duration = Duration::from_secs(20);
const WATCHED_QUICKLY: Duration = Duration::from_secs(5);
/// Where connections are kept open; the ports below are those of the other servers.
const KEEP_PORT: u16 = super::stage::SINK_PORT + 1;
const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal with `egressctl top` on it.
struct Watcher {
    socket: String,
    pid: u32,
}

pub(crate) fn watch(stage: &Stage) -> Result<Vec<Figure>> {
    let guard = stage.guard("watch", &policy(), None)?;
    let session = guard.cgroup().child("load")?;
    let _flows = flows(stage, &guard, &session)?;
    let mut figures = answers(stage, &guard)?;
    let time = if stage.quick {
        WATCHED_QUICKLY
    } else {
        WATCHED
    };
    let alone = storm(stage, &guard, &session, time, None)?;
    let watcher = Watcher::start(stage, &guard)?;
    let watched = storm(stage, &guard, &session, time, Some(watcher.pid))?;
    watcher.check()?;
    let percent = |share: f64| Unit::Percent.of(share * 100.0);
    let title = format!("top, {FLOWS} flows and {EVENTS} events a second");
    figures.extend([
        Figure::alone(
            format!("{title}: of one core"),
            percent(watched.watcher),
            Target::AtMost(Unit::Percent.of(10.0)),
        ),
        Figure::alone(
            "  records each second meanwhile",
            Unit::PerSecond.of(watched.records),
            Target::None,
        ),
        Figure {
            against: Some(("unwatched".to_owned(), percent(alone.daemon))),
            ..Figure::alone(
                "  egressd itself, of one core",
                percent(watched.daemon),
                Target::None,
            )
        },
    ]);
    Ok(figures)
}

fn policy() -> Value {
    let mut policy = policies::usual();
    let allow = policy.pointer_mut("/network/allow");
    if let Some(allow) = allow.and_then(Value::as_array_mut) {
        let ports = [format!("{KEEP_PORT}/tcp")];
        allow.push(json!({ "name": "kept", "cidrs": [NAMELESS_V4], "ports": ports }));
    }
    policy
}

/// Opens flows in a session that has some denials, and waits until an overview has them all.
fn flows(stage: &Stage, guard: &Guard, session: &Cgroup) -> Result<[Server; 2]> {
    let mut keep = stage.world().internet().network_command("sh");
    keep.arg("-c").arg(format!(
        "exec {} load keep 0.0.0.0:{KEEP_PORT}",
        stage.program("xtask").display()
    ));
    let keep = Server::start(keep)?;
    wait_for("`load keep`", PATIENCE, || {
        let ask = ["-Hltn", "sport", "=", &format!(":{KEEP_PORT}")];
        program::run(stage.world().internet().network_command("ss").args(ask))
            .is_ok_and(|said| !said.trim().is_empty())
    })?;
    // The session is known from its first event on.
    let denied = format!("{DENIED_V4}:10000");
    program::run(&mut stage.load_command(session, &["deny", &denied, "3", "10"]))?;
    let mut hold = stage.load_command(session, &["hold", &served(KEEP_PORT), &FLOWS.to_string()]);
    let hold = Server::with_input(&mut hold)?;
    wait_for("the flows in an overview", PATIENCE, || {
        number(stage, guard, "flows_total").is_ok_and(|flows| flows >= FLOWS)
    })?;
    Ok([hold, keep])
}

/// One number of an overview.
fn number(stage: &Stage, guard: &Guard, member: &str) -> Result<u64> {
    let said = program::run(&mut ctl(stage, guard, &["--json", "top", "--once"]))?;
    let overview: Value = serde_json::from_str(&said).context("an overview")?;
    let number = overview.get(member).and_then(Value::as_u64);
    number.with_context(|| format!("an overview without `{member}`"))
}

/// Without the namespace that `Stage::egressctl` enters, which takes longer than the answer.
fn ctl(stage: &Stage, guard: &Guard, words: &[&str]) -> Command {
    let mut command = Command::new(stage.program("egressctl"));
    command.arg("--socket").arg(guard.socket()).args(words);
    command
}

fn answers(stage: &Stage, guard: &Guard) -> Result<Vec<Figure>> {
    let denied = format!("{DENIED_V4}:443");
    let verbs: [(&str, Vec<&str>); 2] = [
        ("egressctl status", vec!["status"]),
        ("egressctl why", vec!["why", &denied]),
    ];
    let mut figures = Vec::new();
    for (name, words) in verbs {
        let mut times = Vec::new();
        for _ in 0..stage.rounds(201) {
            let started = Instant::now();
            let output = ctl(stage, guard, &words)
                .stdin(Stdio::null())
                .output()
                .with_context(|| format!("running {name}"))?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            ensure!(
                !output.stdout.is_empty(),
                "{name} said {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        figures.push(Figure::alone(
            format!("{name}, {FLOWS} flows open: p50 of the whole command"),
            Unit::Millis.of(quantile(&times, 0.5)),
            Target::AtMost(Unit::Millis.of(10.0)),
        ));
    }
    Ok(figures)
}

/// What was used of one core, each between 0 and 1, and what was recorded.
struct Used {
    watcher: f64,
    daemon: f64,
    records: f64,
}

fn storm(
    stage: &Stage,
    guard: &Guard,
    session: &Cgroup,
    time: Duration,
    watcher: Option<u32>,
) -> Result<Used> {
    // It begins before what is measured, and ends after it.
    let millis = (time + Duration::from_secs(4)).as_millis().to_string();
    let words = [
        "storm",
        &format!("{DENIED_V4}:10000"),
        &format!("{RESOLVER_V4}:53"),
        "allowed.test",
        &EVENTS.to_string(),
        &millis,
    ];
    let storm = stage
        .load_command(session, &words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the storm")?;
    thread::sleep(Duration::from_secs(2));
    let before = Reading::take(stage, guard, watcher)?;
    thread::sleep(time);
    let after = Reading::take(stage, guard, watcher)?;
    let output = storm.wait_with_output().context("waiting for the storm")?;
    ensure!(
        output.status.success(),
        "the storm ended with {}",
        output.status
    );
    let nanos = after.at.duration_since(before.at).as_secs_f64() * 1e9;
    Ok(Used {
        watcher: (after.watcher - before.watcher) / nanos,
        daemon: (after.daemon - before.daemon) / nanos,
        records: (after.events - before.events) / (nanos / 1e9),
    })
}

struct Reading {
    at: Instant,
    watcher: f64,
    daemon: f64,
    events: f64,
}

impl Reading {
    fn take(stage: &Stage, guard: &Guard, watcher: Option<u32>) -> Result<Self> {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than that")]
        let events = number(stage, guard, "events")? as f64;
        Ok(Self {
            at: Instant::now(),
            watcher: watcher.map_or(Ok(0.0), cpu_nanos)?,
            daemon: cpu_nanos(guard.pid())?,
            events,
        })
    }
}

impl Watcher {
    fn start(stage: &Stage, guard: &Guard) -> Result<Self> {
        let socket = stage
            .world()
            .home()
            .join("watch.tmux")
            .display()
            .to_string();
        let ctl = stage.program("egressctl").display().to_string();
        let daemon = guard.socket().display().to_string();
        let size = ["-x", "120", "-y", "40"];
        let words = [ctl.as_str(), "--socket", daemon.as_str(), "top"];
        let mut watcher = Self { socket, pid: 0 };
        watcher.tmux(&[&["new-session", "-d"][..], &size, &words].concat())?;
        watcher.check()?;
        let pid = watcher.tmux(&["display", "-p", "#{pane_pid}"])?;
        watcher.pid = pid.trim().parse().context("the process on the terminal")?;
        let name = fs::read_to_string(format!("/proc/{}/comm", watcher.pid))?;
        ensure!(name.trim() == "egressctl", "`{name}` is on the terminal");
        Ok(watcher)
    }

    fn tmux(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("tmux");
        command
            .args(["-S", &self.socket, "-f", "/dev/null"])
            .args(words)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8");
        program::run(&mut command)
    }

    /// It shows what happens.
    fn check(&self) -> Result<()> {
        wait_for("the picture", PATIENCE, || {
            self.tmux(&["capture-pane", "-p"]).is_ok_and(|text| {
                text.contains("ENFORCING") && text.contains(&DENIED_V4.to_string())
            })
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]).ok();
    }
}
