//! The programs on a real kernel: load, attach, pin, decide, adopt, release.

use std::{path::Path, process::Command};

use egress_agent::kernel::{Hierarchy, Programs, Tables, pins::Pins, programs, tables::Generation};
use egress_common::{ABI_VERSION, Address, Config, Counter, Network, PortKey, Protocol, RuleId};

#[test]
fn programs_load_decide_and_outlive_their_loader() {
    let hierarchy = Hierarchy::find().unwrap();
    let cgroup = hierarchy.create("egress-smoke").unwrap();
    let mut loaded = Programs::load(&cgroup).unwrap();
    let pins = Pins::new(
        Path::new("/tmp/bpf/egress-smoke"),
        "egress-smoke",
        &programs::version(),
    );
    pins.prepare().unwrap();
    let (links, maps) = pins.begin().unwrap();
    loaded.pin_maps(&maps).unwrap();
    let (mut tables, _events) = Tables::open(&mut loaded).unwrap();
    let config = Config {
        abi: ABI_VERSION,
        mode: 1,
        dns: 1,
        denial_errno: 13,
        ..Config::UNSET
    };
    let any_tcp = (
        PortKey::new(1, Protocol::TCP, 0),
        PortKey::prefix_bits(0),
        RuleId(1),
    );
    let allowed = (
        Address::from_v4([203, 0, 113, 10]),
        128,
        Network { deny: 0, allow: 1 },
    );
    tables
        .install(&Generation {
            config,
            networks: &[allowed],
            ports: &[any_tcp],
            leases: &[],
        })
        .unwrap();
    loaded.attach(&cgroup, &links).unwrap();
    pins.finish().unwrap();
    drop((loaded, tables));

    let shell = |command: &str| {
        let script = format!(
            "echo $$ > {}/cgroup.procs; {command}",
            cgroup.directory().display()
        );
        let output = Command::new("busybox")
            .args(["sh", "-c", &script])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let refused = shell("busybox nc -w 1 203.0.113.10 8000 </dev/null");
    assert!(refused.contains("Connection refused"), "{refused}");
    let denied = shell("busybox nc -w 1 203.0.113.11 8000 </dev/null");
    assert!(denied.contains("Permission denied"), "{denied}");

    let mut adopted = Programs::adopt(&pins).unwrap();
    let (tables, _events) = Tables::open(&mut adopted).unwrap();
    assert_eq!(tables.running(), 1);
    assert_eq!(tables.counter(Counter::ConnectDenied).unwrap(), 1);
    assert_eq!(tables.counter(Counter::ConnectAllowed).unwrap(), 1);
    pins.release().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    cgroup.remove().unwrap();
}
