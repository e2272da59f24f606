//! `cargo xtask vm [VERSION…]`: the kernel tests on Debian's own kernels, in software emulation.
//!
//! The kernel comes from Debian's archive, the file system is an archive in memory: busybox, the
//! test program and its libraries. What counts is the line that the test program itself ends with.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::program::{need, run as output};

use crate::{
    setup,
    workspace::{cargo, need_root},
};

/// Where kernels are kept between runs.
const CACHE: &str = "/var/cache/egressd-vm";
/// An early crash of the emulated machine is tried once more, and told.
const TRIES: u32 = 2;
const GOOD: &str = "init: every kernel test passed";
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t cgroup2 none /sys/fs/cgroup
/test kernel:: && echo 'init: every kernel test passed'
poweroff -f
";

pub(crate) fn run(versions: &[String]) -> Result<()> {
    need_root("vm")?;
    setup::install()?;
    install_emulator()?;
    let test = test_program()?;
    let versions: Vec<&str> = if versions.is_empty() {
        vec!["6.1", "6.12"]
    } else {
        versions.iter().map(String::as_str).collect()
    };
    for version in versions {
        let started = Instant::now();
        let kernel = kernel(version)?;
        let file_system = file_system(&test)?;
        boot(version, &kernel, &file_system)?;
        println!(
            "vm: {}: every kernel test passed, in {:.0} s",
            kernel.file_name().unwrap_or_default().to_string_lossy(),
            started.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn install_emulator() -> Result<()> {
    let is_there = ["qemu-system-x86_64", "cpio"]
        .iter()
        .all(|name| xtask::program::find(name).is_some());
    if !is_there {
        println!("vm: installing qemu-system-x86 and cpio");
        output(Command::new("apt-get").args(["-qq", "update"]))?;
        output(
            Command::new("apt-get")
                .args(["-qq", "install", "--yes", "--no-install-recommends"])
                .args(["qemu-system-x86", "cpio", "seabios"])
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
    }
    Ok(())
}

/// The integration tests as one program.
fn test_program() -> Result<PathBuf> {
    println!("vm: building the tests");
    let built = output(cargo().args([
        "test",
        "--package",
        "egress-agent",
        "--test",
        "it",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]))?;
    let marker = "\"executable\":\"";
    let programs = built.lines().rev().filter_map(|line| {
        let (_, rest) = line.split_once(marker)?;
        rest.split_once('"').map(|(path, _)| PathBuf::from(path))
    });
    // The programs under test are built, and named, too.
    let mut tests =
        programs.filter(|path| path.components().any(|part| part.as_os_str() == "deps"));
    tests.next().context("cargo built no test program")
}

/// The newest kernel of this version that Debian offers, unpacked.
fn kernel(version: &str) -> Result<PathBuf> {
    let names = output(Command::new("apt-cache").args([
        "--names-only",
        "search",
        &format!(
            r"^linux-image-{}\.[0-9].*-cloud-amd64$",
            version.replace('.', r"\.")
        ),
    ]))?;
    let mut packages: Vec<&str> = names
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    packages.sort_by_key(|name| numbers(name));
    let Some(package) = packages.pop() else {
        bail!(
            "Debian's archive offers no kernel {version} here; `apt-cache search linux-image` lists what it does"
        );
    };
    let directory = Path::new(CACHE).join(package);
    if !directory.join("boot").is_dir() {
        println!("vm: fetching {package}");
        fs::create_dir_all(&directory)?;
        output(
            Command::new("apt-get")
                .args(["-qq", "download", package])
                .current_dir(&directory),
        )?;
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                output(
                    Command::new("dpkg-deb")
                        .arg("-x")
                        .arg(&path)
                        .arg(&directory),
                )?;
                fs::remove_file(path)?;
            }
        }
    }
    let boot = directory.join("boot");
    for entry in fs::read_dir(&boot)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        {
            return Ok(path);
        }
    }
    bail!("{package} holds no kernel")
}

/// The numbers in a package name, to find the newest.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// An initial file system with the test program in it.
fn file_system(test: &Path) -> Result<PathBuf> {
    let root = std::env::temp_dir().join(format!("egressd-vm-{}", std::process::id()));
    for directory in ["bin", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::copy(need("busybox")?, root.join("bin/busybox"))?;
    fs::copy(test, root.join("test"))?;
    for library in output(Command::new("ldd").arg(test))?
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let place = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(place.parent().context("a library has a directory")?)?;
        fs::copy(library, place)?;
    }
    fs::write(root.join("init"), INIT)?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    let archive = root.with_extension("cpio");
    let packed = output(
        Command::new("sh")
            .arg("-c")
            .arg("find . | cpio --quiet -o -H newc > \"$0\"")
            .arg(&archive)
            .current_dir(&root),
    );
    fs::remove_dir_all(&root)?;
    packed?;
    Ok(archive)
}

fn boot(version: &str, kernel: &Path, file_system: &Path) -> Result<()> {
    let mut said = String::new();
    for attempt in 1..=TRIES {
        let emulated = Command::new("timeout")
            .args(["300", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"])
            .args(["-m", "1024M", "-smp", "2", "-nographic", "-no-reboot"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(file_system)
            .args(["-append", "console=ttyS0 quiet panic=-1 rdinit=/init"])
            .output()
            .context("start qemu-system-x86_64")?;
        said = String::from_utf8_lossy(&emulated.stdout).into_owned();
        let reached_tests = said.contains("running ");
        if said.contains(GOOD) || reached_tests {
            break;
        }
        println!(
            "vm: {version}: the emulated machine crashed before the tests (attempt {attempt} of {TRIES})"
        );
    }
    fs::remove_file(file_system)?;
    ensure!(said.contains(GOOD), "Linux {version}:\n{said}");
    Ok(())
}
