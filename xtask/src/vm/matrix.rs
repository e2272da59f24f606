//! The kernel matrix: what each kernel does with the tests and the escape suite.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use xtask::program::need;

mod table;

use self::table::{Report, table};
use super::{
    archive::Archive,
    image::{Image, Tree},
    kernel::{Kernel, Wanted},
    machine::{Machine, Said},
    modules::Modules,
    programs::{self, Programs},
};
use crate::{publish, workspace::root};

const INIT: &str = include_str!("matrix/init.sh");
/// What the suite tries that a cloud kernel has as modules; some kernels lack some.
const MODULES: [&str; 14] = [
    "veth",
    "dummy",
    "tun",
    "sctp",
    "dccp_ipv4",
    "dccp_ipv6",
    "vsock_loopback",
    "smc",
    "rds_tcp",
    "tipc",
    "dns_resolver",
    "xfrm_user",
    "ipv6",
    "ip6_tunnel",
];
/// The oldest kernel that egressd enforces on is 5.15.
const OLDEST: (u32, u32) = (5, 15);
/// Ten minutes alone, and more beside a build, as in CI.
const LIMIT: Duration = Duration::from_mins(20);

pub(super) fn run(
    archive: &Archive,
    programs: &Programs,
    wanted: &[Wanted],
    write: bool,
) -> Result<()> {
    let tests = programs::tests()?;
    let mut failed = Vec::new();
    let mut reports = Vec::new();
    for wanted in wanted {
        let kernel = Kernel::fetch(archive, wanted)?;
        let release = kernel.release.clone();
        match one(&kernel, programs, &tests, write, &mut reports) {
            Ok(seconds) => println!("vm: {release}: as it should be, in {seconds} s"),
            Err(error) => {
                println!("vm: {release}: {error:#}");
                failed.push(release);
            }
        }
    }
    if !reports.is_empty() {
        println!("\n{}", table(&reports));
    }
    if failed.is_empty() {
        println!("vm: every kernel did what it should");
        Ok(())
    } else {
        bail!("not as it should be on {}", failed.join(", "))
    }
}

/// Everything on one kernel; says how many seconds it took.
fn one(
    kernel: &Kernel,
    programs: &Programs,
    tests: &Path,
    write: bool,
    reports: &mut Vec<Report>,
) -> Result<u64> {
    let started = Instant::now();
    let image = file_system(kernel, programs, tests)?;
    if is_too_old(&kernel.release) {
        refused(&boot(kernel, &image, "refusal")?)?;
        return Ok(started.elapsed().as_secs());
    }
    // The report of a suite that ran is shown and kept though a test has failed.
    let said = boot(kernel, &image, "tests,escapes")?;
    let report = Report::read(&said.report);
    if let Ok(report) = &report {
        reports.push(report.clone());
        println!("vm: {}: {}", kernel.release, report.sum());
        if write {
            publish::keep(&said.report)?;
        }
    }
    offers_layers(&said)?;
    passed(&said, "tests")?;
    // Status 1: something was not held, and the report says what.
    let open = report?.open;
    ensure!(open.is_empty(), "not held: {}", open.join("; "));
    passed(&said, "escapes")?;
    tells_without_landlock(&boot(kernel, &image, "unsealed lsm=lockdown,yama,bpf")?)?;
    Ok(started.elapsed().as_secs())
}

fn boot(kernel: &Kernel, image: &Image, what: &str) -> Result<Said> {
    let name = &kernel.release;
    let machine = Machine {
        name,
        kernel: &kernel.image,
        initrd: image.path(),
        disk: None,
        mebibytes: 2048,
        arguments: &format!("quiet rdinit=/init egressd.do={what}"),
        limit: LIMIT,
    };
    machine.run(|event| println!("vm: {name}: {event}"))
}

/// Debian's kernels stack Landlock and BPF without being told to.
fn offers_layers(said: &Said) -> Result<()> {
    let booted = said
        .events
        .iter()
        .find_map(|event| event.strip_prefix("booted "));
    let modules = booted.and_then(|booted| booted.split(' ').nth(2));
    let modules: Vec<&str> = modules.unwrap_or_default().split(',').collect();
    ensure!(
        modules.contains(&"bpf") && modules.contains(&"landlock"),
        "the kernel should run the security modules bpf and landlock; it runs {}",
        modules.join(", ")
    );
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
    println!("vm: it said: {}", said.report.trim());
    Ok(())
}

/// Required, Landlock keeps a command from starting where it is off; as best effort the command
/// starts, and its user is told.
fn tells_without_landlock(said: &Said) -> Result<()> {
    let status = |need: &str| {
        let words = ending(said, &format!("unsealed-{need}"));
        words.and_then(|words| words.first().copied())
    };
    let lines = |need: &str| -> Vec<&str> {
        let lines = said
            .report
            .lines()
            .filter_map(|line| line.strip_prefix(need));
        lines.collect()
    };
    let (required, best) = (lines("require: "), lines("best-effort: "));
    let names_it = |lines: &[&str]| lines.iter().any(|line| line.contains("andlock"));
    ensure!(
        status("require").is_some_and(|status| status != "0")
            && names_it(&required)
            && !required.contains(&"started"),
        "without Landlock, a policy that requires it should have kept the command from starting; it said: {}",
        required.join(" | ")
    );
    ensure!(
        status("best-effort") == Some("0") && names_it(&best) && best.contains(&"started"),
        "without Landlock, a policy that only wishes it should have started the command and named the gap; it said: {}",
        best.join(" | ")
    );
    println!("vm: without Landlock it said: {}", required.join(" | "));
    Ok(())
}

fn passed(said: &Said, name: &str) -> Result<()> {
    let ending = ending(said, name);
    let passed = ending
        .as_ref()
        .is_some_and(|words| words.first() == Some(&"0"));
    let over = if said.overdue {
        "; the machine was ended when its time was over"
    } else {
        ""
    };
    ensure!(
        passed,
        "{name} ended with {ending:?}{over}; the console ends with\n{}",
        said.last(60)
    );
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
