//! The kernel ends the daemon for want of memory: what it enforced stays, and the next one takes
//! over where it was.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use xtask::world::{
    cgroup::mount_point,
    daemon::Daemon,
    place::{ALLOWED_V4, DENIED_V4, NAMELESS_V4},
    wait_for,
};

use super::{PORTS, policy};
use crate::{agent::Agent, harness::TestWorld};

/// What the daemon may still take. The policy below takes more.
const ROOM: &str = "4194304";

#[test]
fn a_daemon_that_the_kernel_ends_for_want_of_memory_opens_nothing() {
    let mut world = TestWorld::guarded(policy());
    let mut agent = Agent::start(&world);
    agent.does("lookup kept.allowed.test");
    agent.expect(&format!("open live {NAMELESS_V4} 9000"), "ok");
    let capture = world.capture(&format!("host {DENIED_V4}"));
    agent.expect(&format!("loop denied {DENIED_V4} 4"), "ok");

    let daemon = world.daemon().expect("there is an egressd");
    let straits = Straits::make(world.cgroup().name()).expect("a memory cgroup can be made");
    let pid = daemon.pid().expect("it runs");
    straits.enter(pid).expect("the daemon can be moved");
    let cidrs: Vec<String> = (0..60_000_u32)
        .map(|n| format!("210.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255))
        .collect();
    let large = serde_json::json!({
        "version": 1,
        "network": { "allow": [{ "name": "large", "cidrs": cidrs, "ports": PORTS }] },
    });
    daemon.write_policy(&large).expect("the file is ours");
    daemon.signal("HUP").expect("it runs");
    let killed = wait_for("the OOM killer", Duration::from_secs(20), || {
        straits.kills() > 0
    });
    assert!(killed.is_ok(), "{killed:?}\n{}", world.report());
    agent.expect("talk live", "ok");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
    agent.expect(&format!("connect {DENIED_V4} 9000"), "EPERM");

    let daemon = world.daemon().expect("there is an egressd");
    daemon.write_policy(&policy()).expect("the file is ours");
    // It is dead; this takes its status.
    for work in [|daemon: &mut Daemon, _: &_| daemon.kill(), Daemon::start] {
        if let Err(error) = world.with_daemon(0, work) {
            panic!("{error:#}\n{}", world.report());
        }
    }
    agent.expect("talk live", "ok");
    agent.expect(&format!("connect {ALLOWED_V4} 9000"), "ok");
    agent.expect("lookup4 after.allowed.test", &ALLOWED_V4.to_string());
    let denied = agent.counts("stop denied");
    assert!(
        denied.len() == 1 && denied["EPERM"] > 100,
        "{denied:?}\n{}",
        world.report()
    );
    let seen = world.packets(&capture);
    assert!(seen.is_empty(), "{seen:#?}\n{}", world.report());
    let log = world.daemon().expect("one").log();
    assert!(log.contains("taken over"), "{log}");
}

/// A cgroup with little memory, of whichever version has the memory controller here.
struct Straits {
    path: PathBuf,
    /// Where the kernel counts what it killed.
    events: PathBuf,
}

impl Straits {
    fn make(world: &str) -> io::Result<Self> {
        let unified = mount_point().map_err(io::Error::other)?;
        let controllers = fs::read_to_string(unified.join("cgroup.controllers"))?;
        let name = format!("{}-straits", world.replace('/', "-"));
        if controllers.split_whitespace().any(|one| one == "memory") {
            fs::write(unified.join("cgroup.subtree_control"), "+memory")?;
            let path = unified.join(name);
            fs::create_dir(&path)?;
            let straits = Self {
                events: path.join("memory.events"),
                path,
            };
            straits.set("memory.max")?;
            // Not there without swap.
            fs::write(straits.path.join("memory.swap.max"), "0").ok();
            return Ok(straits);
        }
        let path = Path::new("/sys/fs/cgroup/memory").join(name);
        fs::create_dir(&path)?;
        let straits = Self {
            events: path.join("memory.oom_control"),
            path,
        };
        straits.set("memory.limit_in_bytes")?;
        Ok(straits)
    }

    fn set(&self, file: &str) -> io::Result<()> {
        fs::write(self.path.join(file), ROOM)
    }

    fn enter(&self, pid: u32) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
    }

    fn kills(&self) -> u64 {
        let text = fs::read_to_string(&self.events).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Straits {
    fn drop(&mut self) {
        // Empty as soon as what was killed is gone.
        for _ in 0..100 {
            match fs::remove_dir(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(20));
                }
                _ => return,
            }
        }
    }
}
