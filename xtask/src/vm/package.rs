//! The Debian package on a Debian with systemd: installed, used, upgraded while an agent runs,
//! refused to be removed under it, removed, purged. The machine is that of `vm systemd`, without
//! the product; the checks are `package/all.sh`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{
    archive::Archive,
    kernel::{Kernel, Wanted},
    machine::Machine,
    systemd,
};
use crate::workspace::root;

const LIMIT: Duration = Duration::from_mins(9);

pub(super) fn run(archive: &Archive, package: &Path, next: &Path) -> Result<()> {
    let started = Instant::now();
    let disk = systemd::disk()?;
    let kernel = Kernel::fetch(archive, &Wanted::Series(6, 1))?;
    let tree = systemd::base("package", &kernel, &["checks", "world"])?;
    for (from, at) in [(package, "0.deb"), (next, "1.deb")] {
        tree.copy(from, &format!("product/opt/checks/{at}"))?;
    }
    let checks = root().join("xtask/src/vm/package/all.sh");
    tree.copy(&checks, "product/opt/checks/all.sh")?;
    tree.file("product/opt/checks/policy.json", systemd::POLICY, 0o644)?;
    let image = tree.pack()?;
    let machine = Machine {
        name: "package",
        kernel: &kernel.image,
        initrd: image.path(),
        disk: Some(&disk),
        mebibytes: 2048,
        arguments: systemd::ARGUMENTS,
        limit: LIMIT,
    };
    let said = machine.run(|event| println!("vm: package: {event}"))?;
    let failed = systemd::failed(&said)?;
    let seconds = started.elapsed().as_secs();
    if failed.is_empty() {
        println!("vm: package: every check held, in {seconds} s");
        Ok(())
    } else {
        bail!(
            "of the package, with systemd, these checks failed, in {seconds} s: {}; the console ends with\n{}",
            failed.join(", "),
            said.last(60)
        )
    }
}
