use egress_agent::kernel::{pins::Pins, tables::Generation, *};
use egress_common::*;
use std::path::Path;
#[test]
fn programs_load() {
    let h = Hierarchy::find().unwrap();
    let cg = h.create("egress-smoke").unwrap();
    let mut programs = Programs::load(&cg).unwrap_or_else(|e| {
        eprintln!("{e:?}");
        let mut s: Option<&dyn std::error::Error> = Some(&e);
        while let Some(x) = s {
            eprintln!("cause: {x}");
            s = x.source();
        }
        panic!()
    });
    let pins = Pins::new(
        Path::new("/tmp/bpf/egress-smoke"),
        "egress-smoke",
        &programs::version(),
    );
    pins.prepare().unwrap();
    let (links, maps) = pins.begin().unwrap();
    programs.pin_maps(&maps).unwrap();
    let (mut t, _ev) = Tables::open(&mut programs).unwrap();
    let c = Config {
        abi: ABI_VERSION,
        mode: 1,
        dns: 1,
        denial_errno: 1,
        ..Config::UNSET
    };
    t.install(&Generation {
        config: c,
        networks: &[],
        ports: &[],
        leases: &[],
    })
    .unwrap();
    programs.attach(&cg, &links).unwrap();
    pins.finish().unwrap();
    let mut child = std::process::Command::new("sh").args(["-c", &format!("echo $$ > {}/cgroup.procs; sleep 0.1; curl -v http://203.0.113.1/; ping -c1 203.0.113.1; dig +time=1 +tries=1 @203.0.113.1 x", cg.directory().display())]).spawn().unwrap();
    child.wait().unwrap();
    for c in 0..9u32 {
        eprintln!(
            "{c} {}",
            t.counter(unsafe { std::mem::transmute(c) }).unwrap()
        );
    }
    drop(t);
    let mut again = Programs::adopt(&pins).unwrap();
    let (t, _e) = Tables::open(&mut again).unwrap();
    assert_eq!(t.running(), 1);
    pins.release().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    cg.remove().unwrap();
}
