//! The policies in `policy/` of the repository: valid, without warnings, and as their cases say.

use std::path::{Path, PathBuf};

use super::{Policy, schema};
use crate::cli::{
    Exit, Screen,
    policy::{Command, run},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy")
}

fn screen() -> Screen {
    Screen::new(Box::new(std::io::stdout()), false, false)
}

#[test]
fn every_shipped_policy_is_valid_and_passes_its_cases() {
    let expected = [
        "anthropic-storage-db.json",
        "anthropic.json",
        "cluster.json",
        "default.json",
        "development.json",
        "requests.json",
    ];
    assert_eq!(checked(&folder()), expected);
    let profiles = ["brew.json", "cargo.json", "npm.json", "pip.json"];
    assert_eq!(checked(&folder().join("profiles")), profiles);
}

/// The names of the policies in a folder, each of which is good.
fn checked(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let ["json", stem] = *name.rsplitn(2, '.').collect::<Vec<_>>() else {
            continue;
        };
        if stem.contains('.') {
            continue;
        }
        let policy = Policy::load(&file).unwrap();
        assert!(
            policy.warnings().is_empty(),
            "{name}: {:?}",
            policy.warnings()
        );
        assert_eq!(policy.name(), stem);
        let exit = run(
            Command::Test { file, cases: None },
            Path::new("/nonexistent"),
            &mut screen(),
        )
        .unwrap();
        assert_eq!(exit, Exit::Ok, "{name}");
        names.push(name);
    }
    names.sort();
    names
}

#[test]
fn the_shipped_schema_is_the_one_of_the_types() {
    let shipped = std::fs::read_to_string(folder().join("policy.schema.json")).unwrap();
    let generated = serde_json::to_string_pretty(&schema()).unwrap();
    assert!(
        shipped.trim_end() == generated,
        "policy/policy.schema.json is old; write it again with `egressctl policy schema`"
    );
}

#[test]
fn every_key_of_the_schema_is_explained_in_the_readme() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let schema = schema();
    let mut keys = Vec::new();
    let definitions = schema["$defs"].as_object().unwrap().values();
    for definition in definitions.chain([&schema]) {
        let properties = definition["properties"].as_object();
        keys.extend(properties.into_iter().flatten().map(|(key, _)| key.clone()));
        let words = definition["enum"].as_array();
        keys.extend(
            words
                .into_iter()
                .flatten()
                .map(|word| word.as_str().unwrap().to_owned()),
        );
    }
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        assert!(
            readme.contains(&format!("`{key}`")),
            "`{key}` is missing in policy/README.md"
        );
    }
}

#[test]
fn every_policy_in_the_readme_is_valid() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let blocks: Vec<_> = readme.split("```json\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let text = block.split("```").next().unwrap();
        let checked = if text.contains("\"cases\"") {
            let cases: serde_json::Value = serde_json::from_str(text).unwrap();
            assert!(cases["cases"].is_array());
            continue;
        } else {
            Policy::parse(text, "README.md")
        };
        let policy = checked.unwrap_or_else(|invalid| panic!("{invalid}"));
        assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    }
}
