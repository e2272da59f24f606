//! What is published is what was found: the reports have every row, and the README has the reports.

use std::{fs, path::Path};

use egress_agent::escape::attempts;
use xtask::holds;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is in the workspace")
}

fn reports() -> Vec<serde_json::Value> {
    holds::reports(&workspace().join("tests/bypass/reports")).expect("the reports can be read")
}

#[test]
fn every_report_has_exactly_the_rows_of_the_suite() {
    let rows = holds::rows(&reports()).expect("the reports are whole");
    assert!(rows.contains_key("6.18"), "{:?}", rows.keys());
    let known: Vec<&str> = attempts::all().map(|attempt| attempt.name).collect();
    for (kernel, names) in rows {
        assert_eq!(
            names, known,
            "Linux {kernel}: run the suite there again, then `cargo xtask holds`"
        );
    }
}

#[test]
fn the_readme_says_what_the_reports_say() {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("it is there");
    let section = holds::section(&reports()).expect("the reports are whole");
    let expected = holds::replace(&readme, &section).expect("the README has the markers");
    assert!(readme == expected, "run `cargo xtask holds`");
}
