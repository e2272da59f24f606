//! `cargo xtask vm systemd`: a Debian with systemd as its first process, and the product installed
//! as its package would be.
//!
//! The disk is made once, with mmdebstrap; each run starts from it and forgets what it wrote. The
//! checks run inside, as a unit at the end of the boot (`systemd/all.sh`), and say one line
//! each: `ok NAME: …` or `failed NAME (STATUS): …`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::program::run as output;

use super::{
    CACHE,
    archive::Archive,
    debian,
    image::{Image, Tree},
    kernel::{Kernel, Wanted},
    machine::{Machine, Said},
    modules::Modules,
    programs::Programs,
};
use crate::workspace::root;

/// The release, and a number that changes with what is on the disk.
const DISK: &str = "bookworm-1.img";
const PACKAGES: &str = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,libnss-resolve,\
systemd-resolved,python3-minimal,iproute2,procps";
/// What the machine needs beside what is built in.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "veth", "ipv6"];
const LIMIT: Duration = Duration::from_mins(9);
/// The flow that must live speaks no TLS.
pub(super) const POLICY: &str = r#"{ "version": 1, "name": "checks",
  "network": { "allow": [ { "name": "site", "hosts": ["allowed.example"], "ports": ["443/tcp"],
    "level": "address" } ] } }
"#;
pub(super) const ARGUMENTS: &str = "quiet rdinit=/init systemd.show_status=no \
systemd.firstboot=no systemd.journald.forward_to_console=1";
/// As libnss-resolve sets it, so that every name goes to systemd-resolved first.
const NSSWITCH: &str = "passwd: files systemd\ngroup: files systemd\nshadow: files\n\
hosts: files resolve [!UNAVAIL=return] dns\n";
const RESOLVED: &str = "[Resolve]\nDNS=203.0.113.53\nFallbackDNS=\nDNSSEC=no\nLLMNR=no\n\
MulticastDNS=no\nCache=no\n";
/// The agent has a name and a home, and in the second the right to start sessions.
const USER: &str = "u agent 1000 \"Agent\" /home/agent /bin/sh\n";
const MEMBER: &str = "m agent egressd\n";

pub(super) fn run(archive: &Archive, programs: &Programs) -> Result<()> {
    let started = Instant::now();
    let disk = disk()?;
    let kernel = Kernel::fetch(archive, &Wanted::Series(6, 1))?;
    let image = start(&kernel, programs)?;
    let machine = Machine {
        name: "systemd",
        kernel: &kernel.image,
        initrd: image.path(),
        disk: Some(&disk),
        mebibytes: 2048,
        arguments: ARGUMENTS,
        limit: LIMIT,
    };
    let said = machine.run(|event| println!("vm: systemd: {event}"))?;
    let failed = failed(&said)?;
    let seconds = started.elapsed().as_secs();
    if failed.is_empty() {
        println!("vm: systemd: every check held, in {seconds} s");
        Ok(())
    } else {
        bail!(
            "with systemd these checks failed, in {seconds} s: {}; the console ends with\n{}",
            failed.join(", "),
            said.last(60)
        )
    }
}

/// The names of the checks that failed; an error when not every check was made.
pub(super) fn failed(said: &Said) -> Result<Vec<&str>> {
    let made = said
        .events
        .iter()
        .filter(|event| event.starts_with("ok ") || event.starts_with("failed "));
    let made = made.count().to_string();
    let end = said
        .events
        .iter()
        .find_map(|event| event.strip_prefix("end "));
    ensure!(
        end == Some(&made) && made != "0",
        "{made} checks were made and then the machine {}; its console ends with\n{}",
        if said.overdue {
            "was ended: its time was over"
        } else {
            "went off"
        },
        said.last(60)
    );
    let failed = said
        .events
        .iter()
        .filter_map(|event| event.strip_prefix("failed "));
    Ok(failed.filter_map(|rest| rest.split(' ').next()).collect())
}

/// The disk, from the cache or made.
pub(super) fn disk() -> Result<PathBuf> {
    let disk = Path::new(CACHE).join(DISK);
    if disk.is_file() {
        return Ok(disk);
    }
    println!("vm: making a disk with Debian and systemd (about a minute)");
    let tree = disk.with_extension("tree");
    if tree.is_dir() {
        fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    output(
        Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", "--mode=root"])
            .arg(format!("--include={PACKAGES}"))
            .args(
                ["doc", "man", "locale"]
                    .map(|part| format!("--dpkgopt=path-exclude=/usr/share/{part}/*")),
            )
            .arg("bookworm")
            .arg(&tree)
            .arg(debian()),
    )?;
    let partial = disk.with_extension("partial");
    output(
        Command::new("mkfs.ext4")
            .args(["-q", "-F", "-d"])
            .arg(&tree)
            .arg(&partial)
            .arg("900M"),
    )?;
    fs::remove_dir_all(tree)?;
    fs::rename(partial, &disk)?;
    Ok(disk)
}

/// What the machine starts with: the kernel's modules, and what goes over the disk.
fn start(kernel: &Kernel, programs: &Programs) -> Result<Image> {
    let tree = base("systemd", kernel, &["checks", "flow", "prober", "world"])?;
    install(&tree, programs)?;
    tree.file("product/etc/egressd/policy.json", POLICY, 0o644)?;
    tree.file("product/etc/sysusers.d/member.conf", MEMBER, 0o644)?;
    tree.pack()
}

/// A machine without the product: modules, the small internet, an agent, the checks, and of the
/// units here those that start with it.
pub(super) fn base(name: &str, kernel: &Kernel, started: &[&str]) -> Result<Tree> {
    let tree = Tree::new(name)?;
    let own = root().join("xtask/src/vm/systemd");
    tree.copy(&own.join("init.sh"), "init")?;
    tree.mode("init", 0o755)?;
    let modules = Modules::of(&kernel.modules)?.closure(&MODULES)?;
    for (number, (name, content)) in modules.iter().enumerate() {
        tree.file(&format!("modules/{number:02}-{name}.ko"), content, 0o644)?;
    }
    for entry in fs::read_dir(&own)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            tree.copy(&path, &format!("product/opt/checks/{name}"))?;
        }
    }
    tree.copy(
        &root().join("xtask/src/checks.sh"),
        "product/opt/checks/checks.sh",
    )?;
    for entry in fs::read_dir(own.join("units"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let at = format!("etc/systemd/system/{name}");
        if name
            .strip_suffix(".service")
            .is_some_and(|name| started.contains(&name))
        {
            enable(&tree, &path, &at)?;
        } else {
            tree.copy(&path, &format!("product/{at}"))?;
        }
    }
    let files = [
        ("nsswitch.conf", NSSWITCH),
        ("systemd/resolved.conf", RESOLVED),
        ("sysusers.d/checks.conf", USER),
        (
            "tmpfiles.d/checks.conf",
            "d /home/agent 0755 agent agent -\n",
        ),
        ("hostname", "checks\n"),
        ("machine-id", "4d3c2b1a000000000000000000000001\n"),
    ];
    for (at, content) in files {
        tree.file(&format!("product/etc/{at}"), content, 0o644)?;
    }
    tree.link(
        "product/etc/resolv.conf",
        "/run/systemd/resolve/stub-resolv.conf",
    )?;
    Ok(tree)
}

/// The product, where its package puts it.
fn install(tree: &Tree, programs: &Programs) -> Result<()> {
    let Programs { egressd, egressctl } = programs;
    for (program, name) in [(egressd, "egressd"), (egressctl, "egressctl")] {
        tree.copy(program, &format!("product/usr/bin/{name}"))?;
    }
    let units = root().join("egress-agent/systemd");
    let lib = "usr/lib";
    for (file, at) in [
        ("user/agent.slice", "systemd/user/agent.slice"),
        ("agent.slice", "systemd/system/agent.slice"),
        (
            "egressd-gate.service",
            "systemd/system/egressd-gate.service",
        ),
        ("sysusers.conf", "sysusers.d/egressd.conf"),
        ("tmpfiles.conf", "tmpfiles.d/egressd.conf"),
    ] {
        tree.copy(&units.join(file), &format!("product/{lib}/{at}"))?;
    }
    let service = units.join("egressd.service");
    enable(tree, &service, "usr/lib/systemd/system/egressd.service")
}

/// Copies a unit, and lets the targets want it that its `[Install]` section names.
fn enable(tree: &Tree, unit: &Path, at: &str) -> Result<()> {
    tree.copy(unit, &format!("product/{at}"))?;
    let name = unit.file_name().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(unit)?;
    for target in text
        .lines()
        .filter_map(|line| line.strip_prefix("WantedBy="))
    {
        let link = format!("product/etc/systemd/system/{target}.wants/{name}");
        tree.link(&link, &format!("/{at}"))?;
    }
    Ok(())
}
