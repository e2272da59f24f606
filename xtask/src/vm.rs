//! `cargo xtask vm [VERSION…|systemd]`: Debian's own kernels, and a Debian with systemd, in
//! software emulation.
//!
//! | part | what it does |
//! |---|---|
//! | [`archive`], [`kernel`], [`modules`] | finds kernels in Debian's archive, and what is in them |
//! | [`image`], [`machine`] | puts a file system together, boots it, listens |
//! | [`matrix`] | kernel tests and escape suite on each kernel |
//! | [`systemd`] | boot order, restarts, and the rest of what systemd does to the product |
//! | [`package`] | the Debian package installed, upgraded and removed there, for `cargo xtask dist` |

use std::{path::Path, process::Command, str::FromStr};

use anyhow::Result;
use xtask::program::{find, run as output};

mod archive;
mod image;
mod kernel;
mod machine;
mod matrix;
mod modules;
mod package;
mod programs;
mod systemd;

use self::{
    archive::{Archive, KEYRING, MIRROR},
    kernel::Wanted,
    programs::Programs,
};
use crate::{setup, workspace::need_root};

/// Where kernels and disks are kept between runs.
pub(crate) const CACHE: &str = "/var/cache/egressd-vm";
/// Without a word: the refusal, the baseline, what is common, and what comes.
const DEFAULT: [&str; 4] = ["5.10", "6.1", "6.12", "newest"];
/// What is needed beside what the other tasks need, and the package that has it.
const PACKAGES: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("mmdebstrap", "mmdebstrap"),
];

#[derive(clap::Args, Debug)]
pub(crate) struct Vm {
    /// Kernel series such as 6.1, newest, or systemd [default: 5.10 6.1 6.12 newest]
    machines: Vec<What>,
    /// Keep the report of each kernel in tests/bypass/reports
    #[arg(long)]
    write: bool,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Kernel(Wanted),
    Systemd,
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "systemd" {
            return Ok(Self::Systemd);
        }
        text.parse().map(Self::Kernel)
    }
}

pub(crate) fn run(vm: Vm) -> Result<()> {
    need_root("vm")?;
    setup::install()?;
    install_tools()?;
    let Vm { machines, write } = vm;
    let machines = if machines.is_empty() {
        DEFAULT
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    } else {
        machines
    };
    let archive = Archive::open()?;
    let programs = Programs::build()?;
    let kernels: Vec<Wanted> = machines
        .iter()
        .filter_map(|what| match what {
            What::Kernel(wanted) => Some(wanted.clone()),
            What::Systemd => None,
        })
        .collect();
    if !kernels.is_empty() {
        matrix::run(&archive, &programs, &kernels, write)?;
    }
    if machines.contains(&What::Systemd) {
        systemd::run(&archive, &programs)?;
    }
    Ok(())
}

/// Installs the package on a Debian with systemd, upgrades it to the next, and removes it.
pub(crate) fn package(package: &Path, next: &Path) -> Result<()> {
    package::run(&Archive::open()?, package, next)
}

/// Where a clean Debian comes from, for mmdebstrap.
pub(crate) fn debian() -> String {
    format!("deb [signed-by={KEYRING}] {MIRROR}/debian bookworm main")
}

pub(crate) fn install_tools() -> Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|&(_, package)| package)
        .collect();
    if !missing.is_empty() {
        println!("vm: installing {}", missing.join(", "));
        output(Command::new("apt-get").args(["-qq", "update"]))?;
        output(
            Command::new("apt-get")
                .args(["-qq", "install", "--yes", "--no-install-recommends"])
                .args(missing)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
    }
    Ok(())
}
