//! The programs on the running kernel, without a daemon: load, attach, pin, decide, adopt,
//! release.
//!
//! Needs busybox and nothing of the test world, so that the same binary runs in the emulated
//! kernels of `cargo xtask vm`.

mod clock;
mod lsm;

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use egress_agent::kernel::{
    Cgroup, Hierarchy, Programs, Tables, pins::Pins, programs, tables::Generation,
};
use egress_common::{ABI_VERSION, Address, Config, Counter, Network, PortKey, Protocol, RuleId};

#[test]
fn programs_load_decide_and_outlive_their_loader() {
    let place = Place::new();
    let pins = &place.pins;
    drop(place.guard(&one_allowed_address()));

    let answer = place.connect("203.0.113.10");
    assert!(answer.contains("Connection refused"), "{answer}");
    let answer = place.connect("203.0.113.11");
    assert!(answer.contains("Permission denied"), "{answer}");

    let mut adopted = Programs::adopt(pins).unwrap();
    let (tables, _events, _flows) = Tables::open(&mut adopted).unwrap();
    assert_eq!(tables.running(), 1);
    assert_eq!(tables.counter(Counter::ConnectAllowed).unwrap(), 1);
    assert_eq!(tables.counter(Counter::ConnectDenied).unwrap(), 1);
    drop((adopted, tables));

    pins.release().unwrap();
    let released = (0..100).any(|_| {
        sleep(Duration::from_millis(20));
        place.connect("203.0.113.11").contains("Connection refused")
    });
    assert!(released, "the links outlive their pins");
}

fn one_allowed_address() -> Generation<'static> {
    const ANY_TCP: (PortKey, u32, RuleId) = (
        PortKey::new(1, Protocol::TCP, 0),
        PortKey::prefix_bits(0),
        RuleId(1),
    );
    const ALLOWED: (Address, u8, Network) = (
        Address::from_v4([203, 0, 113, 10]),
        128,
        Network { deny: 0, allow: 1 },
    );
    Generation {
        config: Config {
            abi: ABI_VERSION,
            mode: 1,
            dns: 1,
            denial_errno: 13,
            ..Config::UNSET
        },
        networks: &[ALLOWED],
        ports: &[ANY_TCP],
        leases: &[],
        unix_paths: &[],
    }
}

/// A cgroup and a BPF file system of the test's own; gone with it.
struct Place {
    cgroup: Cgroup,
    pins: Pins,
    bpf: PathBuf,
}

impl Place {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("egress-kernel-test-{}-{number}", std::process::id());
        let bpf = std::env::temp_dir().join(&name);
        fs::create_dir_all(&bpf).unwrap();
        busybox(&format!("mount -t bpf bpf {}", bpf.display()));
        Self {
            cgroup: Hierarchy::find().unwrap().create(&name).unwrap(),
            pins: Pins::new(&bpf, &name, &programs::version()),
            bpf,
        }
    }

    /// Puts the cgroup under guard.
    fn guard(&self, generation: &Generation<'_>) -> (Programs, Tables, RingBuf<MapData>) {
        let mut loaded = Programs::load(&self.cgroup).unwrap();
        self.pins.prepare().unwrap();
        let (links, maps) = self.pins.begin().unwrap();
        loaded.pin_maps(&maps).unwrap();
        let (mut tables, events, _flows) = Tables::open(&mut loaded).unwrap();
        tables.install(generation).unwrap();
        loaded.attach(&self.cgroup, &links).unwrap();
        self.pins.finish().unwrap();
        (loaded, tables, events)
    }

    /// Connects from inside the cgroup, in a network where both addresses are this machine.
    fn connect(&self, address: &str) -> String {
        busybox(&format!(
            "echo $$ > {}/cgroup.procs && unshare -n busybox sh -c '\
             ip link set lo up; ip addr add 203.0.113.10/31 dev lo; \
             nc -w 1 {address} 8000 </dev/null'",
            self.cgroup.directory().display()
        ))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let released = self.pins.release();
        let removed = self.cgroup.remove();
        busybox(&format!("umount {0}; rmdir {0}", self.bpf.display()));
        if !std::thread::panicking() {
            released.unwrap();
            removed.unwrap();
        }
    }
}

/// Runs a shell line and gives what it said.
fn busybox(line: &str) -> String {
    let output = Command::new("busybox")
        .args(["sh", "-c", line])
        .output()
        .expect("busybox is needed: `cargo xtask setup` installs it");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    said
}
