//! Builds the kernel programs and gathers the maintained profiles, for the lib to include, and says how
//! the programs are linked.

use std::{env, ffi::OsString, fmt::Write as _, fs, io::Write as _, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use aya_build::{Package, Toolchain};
use flate2::{Compression, write::GzEncoder};

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
    .context("the kernel programs were not built; `cargo xtask setup` installs what that needs")?;
    let object = env::var_os("OUT_DIR").context("cargo names no directory for what is built")?;
    let object = Path::new(&object).join("egress-ebpf");
    without_debug_info(&object).context("taking the debug info out of the kernel programs")?;
    pack(&object).context("packing the kernel programs")?;
    link();
    Ok(())
}

/// BTF is made from the debug info, and then three quarters of the object are for nobody.
fn without_debug_info(object: &Path) -> anyhow::Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).args(["--print", "sysroot"]).output()?;
    let said = String::from_utf8(said.stdout).context("rustc names its directory")?;
    let sysroot = Path::new(said.trim());
    let host = env::var("HOST").context("cargo names no HOST")?;
    // Comes with every toolchain, and strips what that links; its library is the compiler's.
    let strip = sysroot
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-objcopy");
    let mut libraries = OsString::from(sysroot.join("lib"));
    if let Some(others) = env::var_os("LD_LIBRARY_PATH") {
        libraries.push(":");
        libraries.push(others);
    }
    let status = Command::new(&strip)
        .env("LD_LIBRARY_PATH", libraries)
        .arg("--strip-debug")
        .arg(object)
        .status()
        .with_context(|| format!("starting {}", strip.display()))?;
    ensure!(status.success(), "{} failed: {status}", strip.display());
    Ok(())
}

/// Packed, what is left has a fifth of its size (65 of 342 KB).
fn pack(object: &Path) -> anyhow::Result<()> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&fs::read(object)?)?;
    fs::write(object.with_extension("gz"), packer.finish()?)?;
    Ok(())
}

/// What is shipped is small: addresses to mend at the start are packed (glibc 2.36), and functions
/// with the same code are one. The latter is the default linker's of this architecture alone.
fn link() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
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
        let path = path.to_str().context("a profile's path is not UTF-8")?;
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
