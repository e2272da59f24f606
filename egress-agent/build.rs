//! Builds the kernel programs and gathers the maintained profiles, for the lib to include.

use std::{env, fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use aya_build::{Package, Toolchain};

fn main() -> anyhow::Result<()> {
    profiles()?;
    // aya-build watches the programs' own directory only. They also hold the decision itself, which
    // stands in egress-common: stale, they would decide otherwise than userspace does.
    for source in ["../egress-common", "../Cargo.toml", "../Cargo.lock"] {
        println!("cargo:rerun-if-changed={source}");
    }
    aya_build::build_ebpf(
        [Package {
            name: "egress-ebpf",
            root_dir: "../egress-ebpf",
            ..Package::default()
        }],
        Toolchain::Nightly,
    )
    .context("the kernel programs were not built; `cargo xtask setup` installs what that needs")
}

/// Every file of `policy/profiles/` that is a profile, by name: what a hand-kept list would forget.
fn profiles() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/profiles");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut names = Vec::new();
    let files = fs::read_dir(&folder)
        .with_context(|| format!("cannot list the profiles in {}", folder.display()))?;
    for file in files {
        let name = file?.file_name();
        let name = name.to_str().context("a profile's name is not UTF-8")?;
        names.extend(name.strip_suffix(".json").map(str::to_owned));
    }
    // NAME.test.json are the cases of a profile.
    names.retain(|name| !name.contains('.'));
    names.sort();
    let mut list = String::from("static ALL: &[Profile] = &[\n");
    for name in names {
        let path = folder.join(format!("{name}.json"));
        writeln!(
            list,
            "    Profile {{ name: {name:?}, text: include_str!({path:?}) }},"
        )?;
    }
    list.push_str("];\n");
    let out = env::var_os("OUT_DIR").context("cargo names no directory for what is built")?;
    fs::write(Path::new(&out).join("profiles.rs"), list)
        .context("cannot write the list of profiles")
}
