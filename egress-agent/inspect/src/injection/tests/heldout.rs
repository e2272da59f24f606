//! Texts that were written before the patterns were seen or changed, and how many are found.

use std::collections::BTreeMap;

use crate::{Confidence, poison};

/// What the detectors of a channel find in a text with at least medium confidence.
fn found(family: &str, text: &str) -> Vec<String> {
    let all: Vec<_> = if family.starts_with("poison") {
        let tool = serde_json::json!({ "description": text });
        poison::findings(&tool)
            .into_iter()
            .map(|it| it.finding)
            .collect()
    } else {
        super::findings(text)
    };
    all.into_iter()
        .filter(|finding| finding.confidence >= Confidence::Medium)
        .map(|finding| format!("{} {:?}", finding.detector, text.get(finding.range)))
        .collect()
}

/// Orders found of all, and harmless texts with a finding of all.
fn measure(name: &str, orders: &str, harmless: &str) -> [usize; 4] {
    let mut by_family: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut all = [0; 4];
    for line in orders.lines() {
        let (family, text) = line.split_once('|').expect(line);
        let text = text.replace("\\n", "\n");
        let count = by_family.entry(family).or_default();
        count.1 += 1;
        all[1] += 1;
        if found(family, &text).is_empty() {
            println!("{name}: missed {family}: {text}");
        } else {
            count.0 += 1;
            all[0] += 1;
        }
    }
    for text in harmless.split("\n%%\n") {
        all[3] += 1;
        // As a result and as a description.
        let mut what = found("", text);
        what.extend(found("poison", text));
        if !what.is_empty() {
            println!("{name}: wrong {what:?}: {text}");
            all[2] += 1;
        }
    }
    println!(
        "{name}: {} of {} orders, {} of {} harmless texts; {by_family:?}",
        all[0], all[1], all[2], all[3]
    );
    all
}

/// Patterns for more of them were written, and cost four fifths of the speed over clean prose.
#[test]
fn texts_that_patterns_were_made_for_are_found() {
    let [found, orders, wrong, harmless] = measure(
        "first set",
        include_str!("first_orders.txt"),
        include_str!("first_harmless.txt"),
    );
    assert!(orders >= 60 && harmless >= 60);
    assert!(found * 100 >= orders * 55 && wrong <= 1);
    let [found, orders, ..] = measure("second set", include_str!("second_orders.txt"), "");
    assert!(orders >= 90 && found * 100 >= orders * 35);
}

/// Written after the patterns, measured, and no pattern made for it since.
#[test]
fn texts_that_no_pattern_was_made_for_are_found_less_often() {
    let [found, orders, wrong, harmless] = measure(
        "third set",
        include_str!("third_orders.txt"),
        include_str!("third_harmless.txt"),
    );
    assert!(orders >= 40 && harmless >= 40);
    assert!(found * 100 >= orders * 40 && wrong <= 1);
}
