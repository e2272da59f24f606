//! The daemon is killed, restarted and told other policies at random, while sessions try
//! everything: what no policy allows never gets out, and what all allow always does.
//!
//! `EGRESS_CHAOS_SECONDS` sets how long (20 otherwise, 120 in CI), `EGRESS_CHAOS_SEED` repeats the
//! choices of an earlier run.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};
use xtask::world::{
    World,
    daemon::Daemon,
    place::{ALLOWED_V4, DENIED_V4, DENIED_V6, EDGE_V4, METADATA_V4, NAMELESS_V4, STRANGER_V4},
};

use super::PORTS;
use crate::{agent::Agent, harness::TestWorld};

/// What is tried in two minutes, at least; less time, so much less.
const ATTEMPTS: u64 = 100_000;
/// Sessions that try.
const PROBERS: usize = 3;

#[test]
fn a_daemon_killed_at_random_lets_nothing_out() {
    let seconds = setting("EGRESS_CHAOS_SECONDS").unwrap_or(20);
    let seed = setting("EGRESS_CHAOS_SEED").unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().expect("it is later");
        now.as_secs()
    });
    say(&format!("chaos: seed {seed}, {seconds} s"));
    let policies = [policy("even", EDGE_V4), policy("odd", ALLOWED_V4)];
    let mut world = TestWorld::guarded(policies[0].clone());
    let mut live = Agent::start(&world);
    live.expect(&format!("open live {NAMELESS_V4} 9000"), "ok");
    let capture = world.capture(&format!(
        "host {DENIED_V4} or host {DENIED_V6} or host {METADATA_V4} or host {STRANGER_V4} or port 8000"
    ));
    let time = Duration::from_secs(seconds);
    let mut probers: Vec<Child> = (0..PROBERS).map(|_| probe(&world, time)).collect();
    // To enter a session takes a daemon that lives.
    let outputs: Vec<_> = probers.iter_mut().map(ready).collect();
    let started = Instant::now();
    let mut chance = Chance(seed);
    let mut done = Done::default();
    while started.elapsed() < time {
        one(&mut world, &mut chance, &policies, &mut done);
        live.expect("talk live", "ok");
    }
    let reports: Vec<Report> = probers
        .into_iter()
        .zip(outputs)
        .map(|(child, output)| report(&world, child, output))
        .collect();
    live.expect("talk live", "ok");

    let denied = sum(&reports, |report| &report.denied);
    let allowed = sum(&reports, |report| &report.allowed);
    let attempts: u64 = denied.values().sum();
    let through = attempts - denied.get("EPERM").copied().unwrap_or(0);
    let names: u64 = reports.iter().map(|report| report.names).sum();
    let Done {
        kills,
        reloads,
        starts,
    } = done;
    say(&format!(
        "chaos: {attempts} attempts, {through} let through, {kills} kills, {reloads} reloads, {names} names answered, seed {seed}"
    ));
    let told = || format!("seed {seed}: {denied:?} {allowed:?}\n{}", world.report());
    assert_eq!(through, 0, "{}", told());
    // Nothing listens on port 4: the other side's refusal is what a connect that got out meets.
    assert!(
        allowed.len() == 1 && allowed.contains_key("EINPROGRESS"),
        "{}",
        told()
    );
    assert!(attempts >= ATTEMPTS * seconds / 120, "{}", told());
    assert!(names > 0 && kills > 0 && reloads > 0, "{}", told());
    let leaked: u64 = reports.iter().map(|report| report.names_let_through).sum();
    assert_eq!(leaked, 0, "a denied name was answered; {}", told());
    let asked = world.resolver().queries();
    assert!(
        !asked.iter().any(|query| query.contains("denied.test")),
        "a denied name reached the upstream; {}",
        told()
    );
    let seen = world.packets(&capture);
    assert!(seen.is_empty(), "{seen:#?}\n{}", told());
    // Every daemon found what the one before had pinned, and left nothing of its own.
    let daemon = world.daemon().expect("there is an egressd");
    let adopted = daemon.log().matches("taken over").count() as u64;
    assert!(adopted >= starts, "{adopted} of {starts}; {}", told());
    let pins = pinned(&world.machine().path(&daemon.files().pins));
    assert_eq!(pins.len(), 1, "{pins:?}; {}", told());
}

/// What was done to the daemon.
#[derive(Default)]
struct Done {
    kills: u64,
    reloads: u64,
    /// That came to their end.
    starts: u64,
}

/// One of the things that happen to a daemon. It runs before and after.
fn one(world: &mut TestWorld, chance: &mut Chance, policies: &[Value; 2], done: &mut Done) {
    thread::sleep(chance.up_to(250));
    if chance.one_in(2) {
        let policy = &policies[usize::from(chance.one_in(2))];
        let daemon = world.daemon().expect("there is an egressd");
        daemon.write_policy(policy).expect("the file is ours");
        daemon.signal("HUP").expect("it runs");
        done.reloads += 1;
        // Wherever that meets it: before, in or after the reload.
        thread::sleep(chance.up_to(60));
    }
    if chance.one_in(8) {
        with_daemon(world, |daemon, _| daemon.stop());
    } else {
        with_daemon(world, |daemon, _| daemon.kill());
        done.kills += 1;
    }
    thread::sleep(chance.up_to(100));
    // Some starts do not live to their end.
    while chance.one_in(3) {
        let daemon = world.daemon().expect("there is an egressd");
        let mut child = daemon.spawn(world).expect("it starts");
        thread::sleep(chance.up_to(120));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        done.kills += 1;
    }
    with_daemon(world, Daemon::start);
    done.starts += 1;
}

/// Both policies allow the nameless address and the names; each has an address of its own.
fn policy(name: &str, own: std::net::Ipv4Addr) -> Value {
    json!({
        "version": 1,
        "name": name,
        "network": {
            "allow": [
                { "name": "names", "hosts": ["*.allowed.test"], "ports": PORTS },
                { "name": "always", "cidrs": [NAMELESS_V4], "ports": PORTS },
                { "name": name, "cidrs": [own], "ports": PORTS },
            ],
        },
        "dns": { "wildcard_names": 1000 },
    })
}

/// Starts a session that tries (`xtask/src/load/probe.rs`).
fn probe(world: &TestWorld, time: Duration) -> Child {
    let program = world.agent_home().join("xtask");
    if !program.exists() {
        fs::copy(tool(), &program).expect("the agent has a home");
    }
    let allowed = format!("{NAMELESS_V4}:4");
    let server = format!("{STRANGER_V4}:53");
    let millis = time.as_millis().to_string();
    let mut words = vec![
        "./xtask",
        "load",
        "probe",
        &allowed,
        &server,
        "allowed.test",
        "denied.test",
        &millis,
    ];
    let denied = [
        format!("{DENIED_V4}:4"),
        format!("[{DENIED_V6}]:9000"),
        format!("{METADATA_V4}:80"),
        // The address may be reached, but not on this port.
        format!("{NAMELESS_V4}:8000"),
    ];
    words.extend(denied.iter().map(String::as_str));
    let client = world.guarded(&words).expect("there is an egressd");
    client
        .within(time + Duration::from_secs(30))
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a session starts")
}

/// The program of the tasks, which holds the prober; cargo knows whether it must be built.
fn tool() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "xtask", "--bin", "xtask"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "no xtask");
    let egressd = Path::new(env!("CARGO_BIN_EXE_egressd"));
    egressd.with_file_name("xtask")
}

type Output = BufReader<ChildStdout>;

/// Waits until a prober says that it is in its session; the rest is for [`report`].
fn ready(child: &mut Child) -> Output {
    let mut stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("it is text");
    if line != "ready\n" {
        let mut error = String::new();
        let mut stderr = child.stderr.take().expect("it is a pipe");
        stderr.read_to_string(&mut error).expect("it is text");
        panic!("the prober did not start: {line}{error}");
    }
    stdout
}

#[derive(Deserialize)]
struct Report {
    denied: BTreeMap<String, u64>,
    allowed: BTreeMap<String, u64>,
    names_let_through: u64,
    names: u64,
}

#[track_caller]
fn report(world: &TestWorld, child: Child, mut stdout: Output) -> Report {
    let mut said = String::new();
    stdout.read_to_string(&mut said).expect("it is text");
    let output = child.wait_with_output().expect("it is our child");
    serde_json::from_str(&said).ok().unwrap_or_else(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        panic!("{}: {said}\n{error}\n{}", output.status, world.report())
    })
}

fn sum(
    reports: &[Report],
    of: impl Fn(&Report) -> &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (outcome, count) in reports.iter().flat_map(of) {
        *all.entry(outcome.clone()).or_default() += count;
    }
    all
}

/// The pinned sets of every guard below this directory.
fn pinned(pins: &Path) -> Vec<PathBuf> {
    let inside = |path: PathBuf| fs::read_dir(path).expect("it is pinned").flatten();
    inside(pins.to_owned())
        .flat_map(|guard| inside(guard.path()))
        .map(|set| set.path())
        .collect()
}

#[track_caller]
fn with_daemon(
    world: &mut TestWorld,
    work: impl FnOnce(&mut Daemon, &World) -> anyhow::Result<()>,
) {
    if let Err(error) = world.with_daemon(0, work) {
        panic!("{error:#}\n{}", world.report());
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is `{text}`, and must be a number")),
    )
}

/// To the terminal, past the harness, which keeps what a test that passes has printed.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// A generator that a seed repeats (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    fn up_to(&mut self, millis: u64) -> Duration {
        Duration::from_micros(self.next() % (millis * 1000))
    }
}
