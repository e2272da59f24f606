//! The licences of others: what is linked into the programs, and the text under which each piece
//! may be passed on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use xtask::program::run as output;

use crate::workspace::cargo;

/// What the programs are made of: the daemon, and the kernel programs inside it.
const ROOTS: [&str; 2] = ["egress-agent", "egress-ebpf"];
/// How the names of files with licences begin, in lower case.
const FILES: [&str; 6] = [
    "license",
    "licence",
    "copying",
    "copyright",
    "notice",
    "unlicense",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// Of a registry; none for what stands in this workspace.
    source: Option<String>,
    manifest_path: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

/// None for what is linked, a word for what only builds or tests need.
#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// One text for the package.
pub(super) fn text() -> Result<String> {
    let metadata = output(cargo().args([
        "metadata",
        "--locked",
        "--format-version=1",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]))?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("reading cargo's metadata")?;
    let mut linked = linked(&metadata);
    linked.sort_by_key(|package| (&package.name, &package.version));
    ensure!(!linked.is_empty(), "cargo names nothing that is linked");
    let mut works = Vec::new();
    for package in linked {
        works.push(Work {
            name: format!("{} {}", package.name, package.version),
            license: package
                .license
                .clone()
                .unwrap_or_else(|| "see below".to_owned()),
            texts: texts(Path::new(&package.manifest_path))?,
        });
    }
    Ok(written(&works))
}

/// Everything from elsewhere that the roots reach without what only builds or tests need.
fn linked(metadata: &Metadata) -> Vec<&Package> {
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let is_root =
        |package: &&Package| ROOTS.contains(&package.name.as_str()) && package.source.is_none();
    let roots = metadata.packages.iter().filter(is_root);
    let mut open: Vec<&str> = roots.map(|package| package.id.as_str()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id)
            && let Some(node) = nodes.get(id)
        {
            let used = node
                .deps
                .iter()
                .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            open.extend(used.map(|dependency| dependency.pkg.as_str()));
        }
    }
    metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && seen.contains(package.id.as_str()))
        .collect()
}

struct Work {
    name: String,
    license: String,
    texts: Vec<String>,
}

/// The files with licences beside a manifest, in order of their names.
fn texts(manifest: &Path) -> Result<Vec<String>> {
    let directory = manifest
        .parent()
        .context("a manifest stands in a directory")?;
    let mut files = Vec::new();
    for entry in
        fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?
    {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if path.is_file() && FILES.iter().any(|begin| name.starts_with(begin)) {
            files.push(path);
        }
    }
    files.sort();
    let read = |path: &std::path::PathBuf| {
        fs::read(path)
            .map(|bytes| {
                String::from_utf8_lossy(&bytes)
                    .replace("\r\n", "\n")
                    .trim()
                    .to_owned()
            })
            .with_context(|| format!("reading {}", path.display()))
    };
    files.iter().map(read).collect()
}

/// The works, then each different text once, with the works that it is of.
fn written(works: &[Work]) -> String {
    let mut text = String::from(
        "egressd is linked with these works of others, each under its licence; the texts follow.\n\n",
    );
    let mut texts: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for Work {
        name,
        license,
        texts: own,
    } in works
    {
        writeln!(text, "{name}: {license}").unwrap_or_default();
        for own in own {
            let place = *places.entry(own).or_insert_with(|| {
                texts.push((own, Vec::new()));
                texts.len() - 1
            });
            if let Some((_, of)) = texts.get_mut(place) {
                of.push(name);
            }
        }
    }
    for (own, of) in texts {
        write!(text, "\n{}\n{}\n\n{own}\n", "=".repeat(78), of.join(", ")).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        serde_json::from_str(
            r#"{
              "packages": [
                { "id": "agent", "name": "egress-agent", "version": "1", "license": null, "source": null, "manifest_path": "" },
                { "id": "used", "name": "used", "version": "1", "license": "MIT", "source": "r", "manifest_path": "" },
                { "id": "deep", "name": "deep", "version": "1", "license": "MIT", "source": "r", "manifest_path": "" },
                { "id": "built", "name": "built", "version": "1", "license": "MIT", "source": "r", "manifest_path": "" },
                { "id": "own", "name": "egress-common", "version": "1", "license": "MIT", "source": null, "manifest_path": "" }
              ],
              "resolve": { "nodes": [
                { "id": "agent", "deps": [
                  { "pkg": "used", "dep_kinds": [ { "kind": "dev" }, { "kind": null } ] },
                  { "pkg": "own", "dep_kinds": [ { "kind": null } ] },
                  { "pkg": "built", "dep_kinds": [ { "kind": "build" } ] } ] },
                { "id": "own", "deps": [ { "pkg": "deep", "dep_kinds": [ { "kind": null } ] } ] },
                { "id": "used", "deps": [] }, { "id": "deep", "deps": [] }, { "id": "built", "deps": [] }
              ] }
            }"#,
        )
        .expect("metadata")
    }

    #[test]
    fn what_is_linked_is_named_and_what_only_builds_is_not() {
        let metadata = metadata();
        let names: Vec<&str> = linked(&metadata)
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(names, ["used", "deep"]);
    }

    #[test]
    fn a_text_stands_once_with_all_that_it_is_of() {
        let work = |name: &str, text: &str| Work {
            name: name.to_owned(),
            license: "MIT".to_owned(),
            texts: vec![text.to_owned()],
        };
        let text = written(&[
            work("a 1", "SAME"),
            work("b 1", "OTHER"),
            work("c 1", "SAME"),
        ]);
        assert_eq!(text.matches("SAME").count(), 1, "{text}");
        assert!(text.contains("a 1, c 1\n\nSAME"), "{text}");
        assert!(text.contains("b 1: MIT\n"), "{text}");
    }
}
