use std::{fs, path::Path, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::audit::record::{Gap, Kind, Layer, tests::denial};

/// A log of `records` lines, each with its newline.
fn sealed(records: u32) -> Vec<Vec<u8>> {
    let mut head = Head::START;
    (0..records)
        .map(|number| {
            let mut line = Vec::new();
            head = seal(&denial(number % 60, "203.0.113.7"), head, &mut line).unwrap();
            line
        })
        .collect()
}

fn verify(log: &[u8], known: Option<Head>) -> Result<Verified, Broken> {
    let file: Arc<Path> = Path::new("audit.jsonl").into();
    let mut verifier = Verifier::new(known);
    for (line, number) in log.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        let place = Place {
            file: Arc::clone(&file),
            line: number,
        };
        let whole = line.strip_suffix(b"\n");
        verifier.line(place, whole.unwrap_or(line), whole.is_some())?;
    }
    verifier.finish(&file)
}

#[track_caller]
fn check_broken(log: &[Vec<u8>], at_line: u64, why: &str) {
    let broken = verify(&log.concat(), None).unwrap_err();
    assert_eq!(broken.place.line, at_line, "{broken:?}");
    assert!(broken.why.to_string().contains(why), "{broken:?}");
}

#[test]
fn a_whole_log_is_verified_and_counted() {
    let log = sealed(61);
    let verified = verify(&log.concat(), None).unwrap();
    assert_eq!(verified.records, 61);
    assert_eq!(verified.first.unwrap().seq, 1);
    assert_eq!(verified.last.unwrap().seq, 61);
    assert_eq!(verified.torn, None);
}

#[test]
fn a_log_whose_beginning_was_rotated_away_is_whole() {
    let verified = verify(&sealed(9)[4..].concat(), None).unwrap();
    assert_eq!(verified.records, 5);
    assert_eq!(verified.first.unwrap().seq, 5);
}

#[test]
fn a_dropped_a_repeated_and_a_swapped_line_are_found_where_they_are() {
    let whole = sealed(9);
    let mut log = whole.clone();
    log.remove(3);
    check_broken(&log, 4, "record 5 stands where record 4 belongs");
    let mut log = whole.clone();
    log.insert(3, whole[2].clone());
    check_broken(&log, 4, "record 3 stands where record 4 belongs");
    let mut log = whole;
    log.swap(3, 4);
    check_broken(&log, 4, "record 5 stands where record 4 belongs");
}

#[test]
fn a_line_that_was_sealed_elsewhere_is_found() {
    let mut log = sealed(5);
    let mut line = Vec::new();
    let head = Head {
        seq: 2,
        hash: Hash::of(b"another log"),
    };
    seal(&denial(3, "198.51.100.1"), head, &mut line).unwrap();
    log[2] = line;
    check_broken(&log, 3, "does not carry the hash");
}

#[test]
fn a_changed_line_is_found() {
    let mut log = sealed(5);
    let text = String::from_utf8(log[2].clone()).unwrap();
    log[2] = text.replace("203.0.113.7", "203.0.113.8").into_bytes();
    check_broken(&log, 3, "changed after it was written");
}

#[test]
fn a_torn_end_is_no_tampering() {
    let mut log = sealed(3).concat();
    log.truncate(log.len() - 10);
    let verified = verify(&log, None).unwrap();
    assert_eq!(verified.records, 2);
    assert!(verified.torn.is_some());
}

#[test]
fn a_torn_line_stays_accounted_for_by_the_record_after_it() {
    let mut log = sealed(2);
    let head = head_of(log.last().unwrap());
    let torn = br#"{"v":1,"seq":3,"#.to_vec();
    let mended = |hash: Hash| {
        let mut record = denial(9, "203.0.113.7");
        record.event = Kind::Mended;
        record.layer = Layer::Daemon;
        record.gap = Some(Gap {
            torn_bytes: torn.len() as u64,
            torn_hash: Some(hash),
            missing: 0,
        });
        let mut line = Vec::new();
        seal(&record, head, &mut line).unwrap();
        line
    };
    log.push([torn.as_slice(), b"\n"].concat());
    let mut right = log.clone();
    right.push(mended(Hash::of(&torn)));
    let verified = verify(&right.concat(), None).unwrap();
    assert_eq!((verified.records, verified.mended), (3, 1));

    let mut wrong = log.clone();
    wrong.push(mended(Hash::of(b"something else")));
    check_broken(&wrong, 3, "not a record");
    let mut without = log.clone();
    without.pop();
    without.push(mended(Hash::of(&torn)));
    check_broken(&without, 3, "there is none");
    check_broken(&log, 3, "not a record");
}

#[test]
fn a_known_head_tells_of_a_cut_and_of_a_log_written_anew() {
    let log = sealed(9);
    let head = head_of(&log[8]);
    assert!(verify(&log.concat(), Some(head)).is_ok());
    let cut = verify(&log[..7].concat(), Some(head)).unwrap_err();
    assert!(matches!(cut.why, Why::Cut { last: 7, head: 9 }), "{cut:?}");
    let other = Head {
        seq: 4,
        hash: Hash::of(b"another log"),
    };
    let anew = verify(&log.concat(), Some(other)).unwrap_err();
    assert!(matches!(anew.why, Why::Exchanged(4)), "{anew:?}");
}

#[test]
fn hashes_have_one_spelling() {
    let hash = Hash::of(b"x");
    assert_eq!(hash.to_string().parse(), Ok(hash));
    for wrong in [
        "",
        "00",
        &hash.to_string().to_uppercase(),
        &format!("{hash}0"),
    ] {
        assert_eq!(wrong.parse::<Hash>(), Err(InvalidHash), "{wrong}");
    }
}

#[test]
fn the_script_of_the_module_documentation_agrees() {
    let source = include_str!("../chain.rs");
    let script: Vec<_> = source
        .lines()
        .skip_while(|line| *line != "//! ```python")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| line.strip_prefix("//! ").unwrap_or_default())
        .collect();
    let script = script.join(
        "
",
    );
    let dir = tempfile::tempdir().unwrap();
    let run = |log: &[u8]| {
        fs::write(dir.path().join("log"), log).unwrap();
        let input = fs::File::open(dir.path().join("log")).unwrap();
        let mut python = std::process::Command::new("python3");
        python.args(["-c", &script]).stdin(input).output().unwrap()
    };
    let mut log = sealed(5);
    let output = run(&log.concat());
    assert!(output.status.success(), "{output:?}");
    log.remove(2);
    assert!(!run(&log.concat()).status.success());
}

fn head_of(line: &[u8]) -> Head {
    Link::read(line.strip_suffix(b"\n").unwrap()).unwrap().head
}

proptest! {
    #[test]
    fn flipping_any_one_byte_is_detected(at in any::<prop::sample::Index>(), bits in 1..=255u8) {
        let mut log = sealed(4).concat();
        let whole = verify(&log, None).unwrap();
        let at = at.index(log.len());
        log[at] ^= bits;
        let detected = verify(&log, None).map_or(true, |verified| verified != whole);
        prop_assert!(detected, "byte {at}");
    }

    #[test]
    fn any_other_order_of_lines_is_detected(order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle()) {
        let log = sealed(6);
        let shuffled: Vec<u8> = order.iter().flat_map(|index| log[*index].clone()).collect();
        prop_assert_eq!(verify(&shuffled, None).is_ok(), order.is_sorted());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(log in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ended = verify(&log, None).is_ok();
    }

    #[test]
    fn a_cut_anywhere_is_torn_at_most(at in any::<prop::sample::Index>()) {
        let log = sealed(4).concat();
        let cut = &log[..at.index(log.len())];
        let verified = verify(cut, None).unwrap();
        let whole = cut.split(|byte| *byte == b'\n').count() as u64 - 1;
        prop_assert!(verified.records == whole || verified.records == whole + 1);
        prop_assert!(verify(cut, Some(head_of(&sealed(4)[3]))).is_err() || verified.records == 4);
    }
}
