//! The kernel matrix: what each kernel does with the tests and the escape suite.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use xtask::program::need;

use super::{
    archive::Archive,
    image::{Image, Tree},
    kernel::{Kernel, Wanted},
    machine::{Machine, Said},
    modules::Modules,
    programs::{self, Programs},
};
use crate::workspace::root;

const INIT: &str = include_str!("matrix/init.sh");
/// What the suite tries that a cloud kernel has as modules; some kernels lack some.
const MODULES: [&str; 12] = [
    "veth",
    "dummy",
    "tun",
    "sctp",
    "dccp_ipv4",
    "dccp_ipv6",
    "vsock_loopback",
    "smc",
    "dns_resolver",
    "xfrm_user",
    "ipv6",
    "ip6_tunnel",
];
/// The oldest kernel that egressd enforces on is 5.15.
const OLDEST: (u32, u32) = (5, 15);
const LIMIT: Duration = Duration::from_mins(15);

pub(super) fn run(
    archive: &Archive,
    programs: &Programs,
    wanted: &[Wanted],
    write: bool,
) -> Result<ExitCode> {
    let tests = programs::tests()?;
    let mut failed = Vec::new();
    for wanted in wanted {
        let kernel = Kernel::fetch(archive, wanted)?;
        if let Err(error) = one(&kernel, programs, &tests, write) {
            println!("vm: {}: {error:#}", kernel.release);
            failed.push(kernel.release);
        }
    }
    if failed.is_empty() {
        println!("vm: every kernel did what it should");
        Ok(ExitCode::SUCCESS)
    } else {
        bail!("not as it should be on {}", failed.join(", "))
    }
}

fn one(kernel: &Kernel, programs: &Programs, tests: &Path, _write: bool) -> Result<()> {
    let started = Instant::now();
    let name = &kernel.release;
    let is_old = is_too_old(name);
    let image = file_system(kernel, programs, tests)?;
    let machine = Machine {
        name,
        kernel: &kernel.image,
        initrd: image.path(),
        disk: None,
        mebibytes: 2048,
        arguments: if is_old {
            "quiet rdinit=/init egressd.do=refusal"
        } else {
            "quiet rdinit=/init egressd.do=tests"
        },
        limit: LIMIT,
    };
    let said = machine.run(|event| println!("vm: {name}: {event}"))?;
    if is_old {
        refused(&said)?;
        println!(
            "vm: {name}: refused, as it should be: {}",
            said.report.trim()
        );
    } else {
        tests_passed(&said)?;
    }
    let seconds = started.elapsed().as_secs();
    println!("vm: {name}: as it should be, in {seconds} s");
    Ok(())
}

fn is_too_old(release: &str) -> bool {
    let mut numbers = release.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST
}

/// What stands behind `end NAME` among the events, as words.
fn ending<'a>(said: &'a Said, name: &str) -> Option<Vec<&'a str>> {
    said.events.iter().find_map(|event| {
        let rest = event.strip_prefix("end ")?.strip_prefix(name)?;
        Some(rest.split_whitespace().collect())
    })
}

/// One line that says why, the status of a failure, and nothing made.
fn refused(said: &Said) -> Result<()> {
    let ending = ending(said, "refusal");
    ensure!(
        ending.as_deref() == Some(&["2"]),
        "egressd should have failed with status 2 and left nothing behind; it ended with {ending:?}: {}",
        said.report.trim()
    );
    ensure!(
        said.report.lines().count() == 1 && said.report.contains("too old"),
        "egressd should have said in one line that the kernel is too old; it said:\n{}",
        said.report
    );
    Ok(())
}

fn tests_passed(said: &Said) -> Result<()> {
    let ending = ending(said, "tests");
    let passed = ending
        .as_ref()
        .is_some_and(|words| words.first() == Some(&"0"));
    let over = if said.overdue {
        "; it was ended when its time was over"
    } else {
        ""
    };
    ensure!(passed, "the kernel tests failed{over}:\n{}", said.console);
    Ok(())
}

fn file_system(kernel: &Kernel, programs: &Programs, tests: &Path) -> Result<Image> {
    let tree = Tree::new(&kernel.release)?;
    tree.file("init", INIT, 0o755)?;
    tree.program(tests, "test")?;
    tree.program(&programs.egressd, "usr/bin/egressd")?;
    tree.program(&programs.egressctl, "usr/bin/egressctl")?;
    tree.program(&need("ip")?, "usr/bin/ip")?;
    let files = [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
        ),
        ("etc/group", "root:x:0:\nnogroup:x:65534:\negressd:x:990:\n"),
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("etc/resolv.conf", "nameserver 203.0.113.53\n"),
        ("etc/nsswitch.conf", "hosts: files dns\n"),
    ];
    for (at, content) in files {
        tree.file(at, content, 0o644)?;
    }
    let policy: PathBuf = root().join("policy/default.json");
    tree.file("etc/egressd/policy.json", fs::read(policy)?, 0o644)?;
    let modules = Modules::of(&kernel.modules)?.closure(&MODULES)?;
    for (number, (name, content)) in modules.iter().enumerate() {
        tree.file(&format!("modules/{number:02}-{name}.ko"), content, 0o644)?;
    }
    tree.pack()
}
