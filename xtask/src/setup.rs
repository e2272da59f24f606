//! What building and testing need beyond cargo's own dependencies, and how to get it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use xtask::program;

mod sdk;

use crate::workspace::show;

/// The toolchain of the kernel programs; `egress-agent/build.rs` asks for the same.
pub(crate) const NIGHTLY: &str = "nightly";
/// The linker that fits aya 0.14 and the LLVM of that toolchain.
const BPF_LINKER: &str = "0.10.4";

/// What is looked for, and the Debian package that has it.
const PACKAGES: [(Sought, &str); 35] = [
    (Sought::Program("chromium"), "chromium"),
    (Sought::Program("chromedriver"), "chromium-driver"),
    (
        Sought::File("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
        "fonts-dejavu-core",
    ),
    (Sought::Program("promtool"), "prometheus"),
    (Sought::Program("ip"), "iproute2"),
    (Sought::Program("nsenter"), "util-linux"),
    (Sought::Program("nft"), "nftables"),
    (Sought::Program("dnsmasq"), "dnsmasq-base"),
    (Sought::Program("unbound"), "unbound"),
    (Sought::Program("nginx"), "nginx-light"),
    (Sought::Program("sshd"), "openssh-server"),
    (Sought::Program("ssh"), "openssh-client"),
    (Sought::Program("git"), "git"),
    (Sought::Program("tcpdump"), "tcpdump"),
    (Sought::Program("strace"), "strace"),
    (Sought::Program("tmux"), "tmux"),
    (Sought::Program("openssl"), "openssl"),
    (Sought::Program("curl"), "curl"),
    (Sought::Program("wget"), "wget"),
    (Sought::Program("dig"), "dnsutils"),
    (Sought::Program("kdig"), "knot-dnsutils"),
    (Sought::Program("nc"), "netcat-openbsd"),
    (Sought::Program("musl-gcc"), "musl-tools"),
    (Sought::Program("npm"), "npm"),
    (Sought::File("/usr/share/nodejs/ws/package.json"), "node-ws"),
    (Sought::Program("go"), "golang-go"),
    (Sought::Program("javac"), "default-jdk-headless"),
    (Sought::Program("squid"), "squid"),
    (Sought::Program("tinyproxy"), "tinyproxy-bin"),
    (
        Sought::File("/var/lib/dpkg/info/busybox-static.list"),
        "busybox-static",
    ),
    (Sought::File("/usr/bin/python3"), "python3"),
    (
        Sought::File("/usr/lib/python3/dist-packages/requests/__init__.py"),
        "python3-requests",
    ),
    (
        Sought::File("/usr/lib/python3/dist-packages/httpx/__init__.py"),
        "python3-httpx",
    ),
    (
        Sought::File("/usr/lib/python3/dist-packages/h2/__init__.py"),
        "python3-h2",
    ),
    (
        Sought::File("/usr/lib/python3/dist-packages/pip/__init__.py"),
        "python3-pip",
    ),
];

#[derive(Clone, Copy)]
enum Sought {
    Program(&'static str),
    File(&'static str),
}

/// What is not there.
struct Missing {
    nightly: bool,
    components: Vec<&'static str>,
    linker: bool,
    packages: Vec<&'static str>,
    sdks: Vec<&'static str>,
}

/// Installs what is missing, with one line for each thing; silent when all is there.
pub(crate) fn install() -> Result<()> {
    let missing = Missing::find();
    if missing.nightly {
        println!("setup: installing the {NIGHTLY} toolchain for the kernel programs");
        show(Command::new("rustup").args([
            "toolchain",
            "install",
            NIGHTLY,
            "--profile",
            "minimal",
            "--no-self-update",
        ]))?;
    }
    for component in &missing.components {
        println!("setup: adding {component} to the {NIGHTLY} toolchain");
        show(Command::new("rustup").args(["component", "add", component, "--toolchain", NIGHTLY]))?;
    }
    if !missing.packages.is_empty() {
        install_packages(&missing.packages)?;
    }
    if missing.linker {
        let feature = format!("rust-llvm-{}", llvm()?);
        println!("setup: building bpf-linker {BPF_LINKER} with {feature} (about two minutes)");
        let version = [
            "--version",
            BPF_LINKER,
            "--locked",
            "--force",
            "--no-default-features",
        ];
        show(
            Command::new("cargo")
                .args(["install", "bpf-linker"])
                .args(version)
                .args(["--features", &feature]),
        )?;
    }
    // After the packages, which have npm and pip.
    sdk::install()
}

/// Says what is missing and installs nothing.
pub(crate) fn check() -> ExitCode {
    let lines = Missing::find().lines();
    if lines.is_empty() {
        println!("setup: nothing is missing");
        return ExitCode::SUCCESS;
    }
    for line in lines {
        println!("setup: missing: {line}");
    }
    ExitCode::FAILURE
}

impl Missing {
    fn find() -> Self {
        let sysroot = sysroot();
        let nightly = sysroot.is_none();
        let has = |path: &str| {
            sysroot
                .as_ref()
                .is_some_and(|sysroot| sysroot.join(path).exists())
        };
        let components = [
            ("lib/rustlib/src/rust/library/core", "rust-src"),
            ("bin/cargo-clippy", "clippy"),
        ];
        let linker = program::run(Command::new("bpf-linker").arg("--version"));
        Self {
            nightly,
            components: components
                .iter()
                .filter(|(path, _)| !has(path))
                .map(|&(_, name)| name)
                .collect(),
            linker: !linker
                .is_ok_and(|version| version.split_whitespace().any(|word| word == BPF_LINKER)),
            packages: PACKAGES
                .iter()
                .filter(|(sought, _)| !sought.is_there())
                .map(|&(_, package)| package)
                .collect(),
            sdks: sdk::missing(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let Self {
            nightly,
            components,
            linker,
            packages,
            sdks,
        } = self;
        let mut lines = Vec::new();
        if *nightly {
            lines.push(format!("the {NIGHTLY} toolchain (rustup)"));
        }
        lines.extend(
            components
                .iter()
                .map(|name| format!("{name} of the {NIGHTLY} toolchain (rustup)")),
        );
        if *linker {
            lines.push(format!("bpf-linker {BPF_LINKER} (cargo install)"));
        }
        lines.extend(
            packages
                .iter()
                .map(|name| format!("{name} (Debian package)")),
        );
        lines.extend(sdks.iter().map(|name| format!("{name} (npm or pip)")));
        lines
    }
}

impl Sought {
    fn is_there(self) -> bool {
        match self {
            Self::Program(name) => program::find(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
        }
    }
}

fn install_packages(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!(
            "these packages are missing: {list}; install them: sudo apt-get install --no-install-recommends {list}"
        );
    }
    if program::find("apt-get").is_none() {
        bail!(
            "these Debian packages are missing, and this machine has no apt-get; install what they stand for: {list}"
        );
    }
    println!("setup: installing Debian packages: {list}");
    // The servers are for the tests alone: none of them starts on this machine.
    let _guard = NoServices::new()?;
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("-qq")
            .stdout(Stdio::null());
        command
    };
    show(apt().arg("update"))?;
    show(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}

/// Keeps packages from starting their services while it lives (invoke-rc.d(8)).
struct NoServices {
    made: Option<PathBuf>,
}

impl NoServices {
    fn new() -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = PathBuf::from("/usr/sbin/policy-rc.d");
        let file = fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&path);
        match file {
            Ok(mut file) => {
                io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n")
                    .context("writing policy-rc.d")?;
                Ok(Self { made: Some(path) })
            }
            // The machine has a policy of its own.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Self { made: None }),
            Err(error) => Err(error).with_context(|| format!("making {}", path.display())),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            fs::remove_file(path).ok();
        }
    }
}

/// The directory of the nightly toolchain.
fn sysroot() -> Option<PathBuf> {
    let rustc =
        program::run(Command::new("rustup").args(["which", "--toolchain", NIGHTLY, "rustc"]))
            .ok()?;
    Some(Path::new(rustc.trim()).parent()?.parent()?.to_owned())
}

/// The major version of the toolchain's LLVM: the linker must read what that one writes.
fn llvm() -> Result<String> {
    let said = program::run(Command::new("rustup").args([
        "run",
        NIGHTLY,
        "rustc",
        "--version",
        "--verbose",
    ]))?;
    let version = said
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "));
    let major = version.and_then(|version| version.split('.').next());
    major
        .map(str::to_owned)
        .with_context(|| format!("rustc of the {NIGHTLY} toolchain names no LLVM version"))
}
