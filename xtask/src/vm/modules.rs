//! Kernel modules: the files, in an order in which they can be loaded.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// The modules of one kernel, by name.
pub(super) struct Modules {
    files: BTreeMap<String, PathBuf>,
}

impl Modules {
    pub(super) fn of(directory: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(directory, &mut files)
            .with_context(|| format!("reading {}", directory.display()))?;
        Ok(Self { files })
    }

    /// `wanted` and what they need, uncompressed, each after what it needs. A name that this
    /// kernel has no module of is left out: it is built in, or gone.
    pub(super) fn closure(&self, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut ordered = Vec::new();
        for name in wanted {
            self.add(name, &mut ordered)?;
        }
        Ok(ordered)
    }

    fn add(&self, name: &str, ordered: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        let name = name.replace('-', "_");
        let Some(file) = self.files.get(&name) else {
            return Ok(());
        };
        if ordered.iter().any(|(other, _)| *other == name) {
            return Ok(());
        }
        let module = read(file).with_context(|| format!("reading {}", file.display()))?;
        for other in needs(&module) {
            self.add(&other, ordered)?;
        }
        ordered.push((name, module));
        Ok(())
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(&path, files)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            files.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_none_or(|extension| extension != "xz") {
        return Ok(fs::read(file)?);
    }
    let output = Command::new("xz").arg("-dc").arg(file).output()?;
    anyhow::ensure!(output.status.success(), "xz failed ({})", output.status);
    Ok(output.stdout)
}

/// What a module says that it needs: `depends=a,b` between two NULs of its `.modinfo` section.
fn needs(module: &[u8]) -> Vec<String> {
    let line = module
        .split(|byte| *byte == 0)
        .find_map(|line| line.strip_prefix(b"depends="));
    let names = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_found_between_nuls() {
        let module = b"\x7fELF\0x_depends7\0license=GPL\0depends=vsock,a-b\0name=x\0";
        assert_eq!(needs(module), ["vsock", "a-b"]);
        assert_eq!(needs(b"license=GPL\0depends=\0"), Vec::<String>::new());
    }
}
