//! `cargo xtask dist`: what is shipped, and with `--check` whether it works.
//!
//! | part | what it does |
//! |---|---|
//! | [`deny`] | licences, sources and advisories of everything that is linked |
//! | [`stage`], [`notices`] | manual pages, completions, profiles, and the licences of others |
//! | [`package`] | the Debian package, the tarball of the same tree, their checksums |
//! | [`root`] | installed, used, upgraded and purged in a clean Debian |
//! | [`newcomer`] | a new user's way there, from `init` to `uninstall`, with an agent that is denied |
//! | `vm::package` | the same in an emulated machine with systemd, with an agent that runs meanwhile |
//!
//! All of it lies in `target/dist`. The same sources give the same bytes: times are those of the
//! commit, or `SOURCE_DATE_EPOCH`.

use anyhow::{Context as _, Result};
use xtask::program::{self, run as output};

mod deny;
mod newcomer;
mod notices;
mod package;
mod root;
mod stage;

use crate::{
    setup, vm,
    workspace::{cargo, need_root, show},
};

/// The tools that only this task needs, and their versions. They take minutes to build, so
/// `cargo xtask setup` leaves them out.
const TOOLS: [(&str, &str); 2] = [("cargo-deb", "3.8.0"), ("cargo-deny", "0.20.2")];

#[derive(clap::Args, Debug)]
pub(crate) struct Dist {
    /// Install, use, upgrade and purge it in a clean Debian, and in an emulated one with systemd
    #[arg(long)]
    check: bool,
    /// Only check licences, sources and advisories of what is linked, and build nothing
    #[arg(long, conflicts_with = "check")]
    deny: bool,
}

pub(crate) fn run(dist: &Dist) -> Result<()> {
    if dist.check {
        need_root("dist --check")?;
    }
    setup::install()?;
    install_tools()?;
    deny::run()?;
    if dist.deny {
        return Ok(());
    }
    let build = package::Build::new()?;
    let shipped = build.ship()?;
    println!("{shipped}");
    if dist.check {
        let next = build.next()?;
        build.is_reproducible(&shipped)?;
        root::check(&shipped.package, &next)?;
        newcomer::check(&shipped.package)?;
        vm::package(&shipped.package, &next)?;
    }
    Ok(())
}

fn install_tools() -> Result<()> {
    for (tool, version) in TOOLS {
        let found = program::find(tool)
            .and_then(|path| output(std::process::Command::new(path).arg("--version")).ok());
        if found.is_some_and(|said| said.split_whitespace().any(|word| word == version)) {
            continue;
        }
        println!("dist: building {tool} {version} (some minutes)");
        show(cargo().args([
            "install",
            "--quiet",
            "--locked",
            "--force",
            tool,
            "--version",
            version,
        ]))
        .with_context(|| format!("{tool} {version} is needed"))?;
    }
    Ok(())
}
