//! Every known way out, as a test of its own: the escape suite is run once, with the real programs,
//! and each row has to be held.
//!
//! The control run decides what counts: a way that this kernel lacks proves nothing, and a way that
//! is there but was refused to the control run is a failure of the suite.

mod published;
mod rows;
mod strays;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use egress_agent::escape::{
    Outcome,
    driver::End,
    suite::{self, Options},
    verdict::{Identity, Judged, Report, Row, Verdict},
};

/// The whole table of this machine.
fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let identities = vec![Identity::Agent, Identity::Root, Identity::Bare];
        play(identities, &[], false)
    })
}

/// Runs the suite with the programs under test.
fn play(identities: Vec<Identity>, names: &[&str], opens_bait: bool) -> Report {
    let options = Options {
        programs: programs(),
        identities,
        names: names.iter().map(|&name| name.to_owned()).collect(),
        opens_bait,
    };
    suite::run(&options, &mut |_| {}).unwrap_or_else(|error| panic!("the suite: {error:#}"))
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_egressctl"))
        .parent()
        .expect("a program is in a directory")
        .to_owned()
}

fn row<'a>(report: &'a Report, name: &str) -> &'a Row {
    report
        .rows
        .iter()
        .find(|row| row.name == name)
        .unwrap_or_else(|| panic!("no row `{name}`"))
}

fn judged(row: &Row, identity: Identity) -> &Judged {
    row.judged
        .get(&identity)
        .unwrap_or_else(|| panic!("`{}` was not tried as {identity}", row.name))
}

/// The name of the row that a test is for.
fn name(test: &str) -> String {
    test.trim_start_matches('_').replace('_', "-")
}

/// The row of this name is held, for an agent and for root, and would not be without a guard.
#[track_caller]
fn is_held(test: &str) {
    let row = row(report(), &name(test));
    let is_absent = matches!(row.control.end, End::Said(Outcome::Absent(_)));
    assert!(
        is_absent || row.control.escape().is_some(),
        "nothing got out without a guard either: {}",
        row.control.end.describe()
    );
    for identity in [Identity::Agent, Identity::Root] {
        let judged = judged(row, identity);
        let expected: &[Verdict] = match (is_absent, &row.limit) {
            (true, _) => &[Verdict::NotApplicable],
            (false, None) => &[Verdict::Held],
            // A limit may be narrower than its row.
            (false, Some(_)) => &[Verdict::Held, Verdict::Limit],
        };
        assert!(
            expected.contains(&judged.verdict),
            "as {identity}: {}: {}\nit said: {}\nwhat arrived: {:#?}",
            judged.verdict,
            judged.reason,
            judged.run.end.describe(),
            judged.run.frames
        );
    }
}
