use std::fs;

use super::*;
use crate::audit::{
    chain::{Why, seal},
    record::tests::denial,
};

/// Seals `records` over as many files as there are numbers, oldest first.
fn write(dir: &Path, records: &[u32]) -> PathBuf {
    let path = dir.join("audit.jsonl");
    let mut head = Head::START;
    for (count, number) in records
        .iter()
        .rev()
        .zip(0..)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        let mut lines = Vec::new();
        for second in 0..*count {
            head = seal(&denial(second, "203.0.113.7"), head, &mut lines).unwrap();
        }
        fs::write(rotated(&path, number), lines).unwrap();
    }
    path
}

fn numbers(path: &Path) -> Vec<Result<u64, String>> {
    Records::open(path)
        .unwrap()
        .map(|entry| {
            entry
                .map(|entry| entry.sealed.seq)
                .map_err(|error| error.to_string())
        })
        .collect()
}

#[test]
fn files_are_read_oldest_first_and_verified_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &[2, 0, 3, 1]);
    assert_eq!(numbers(&path), (1..=6).map(Ok).collect::<Vec<_>>());
    assert_eq!(verify(&path).unwrap().records, 6);
}

#[test]
fn a_malformed_line_is_named_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &[3]);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[1] = "\u{0}garbage".to_owned();
    lines.insert(2, "x".repeat(LONGEST_LINE + 1));
    fs::write(&path, lines.join("\n")).unwrap();
    let malformed = format!("{}:2: not a record", path.display());
    let long = format!(
        "{}:3: a line of more than 262144 bytes is not a record",
        path.display()
    );
    assert_eq!(numbers(&path), [Ok(1), Err(malformed), Err(long), Ok(3)]);
    assert!(verify(&path).is_err());
}

#[test]
fn an_unfinished_last_line_is_no_record_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &[2]);
    let mut text = fs::read(&path).unwrap();
    text.truncate(text.len() - 9);
    fs::write(&path, text).unwrap();
    assert_eq!(numbers(&path), [Ok(1)]);
    assert!(verify(&path).unwrap().torn.is_some());
}

#[test]
fn a_file_that_comes_twice_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &[2, 2]);
    fs::hard_link(rotated(&path, 1), rotated(&path, 2)).unwrap();
    assert_eq!(numbers(&path).len(), 4);
    fs::remove_file(rotated(&path, 2)).unwrap();
    fs::copy(rotated(&path, 1), rotated(&path, 2)).unwrap();
    assert_eq!(numbers(&path).len(), 4);
}

#[test]
fn a_tampered_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &[3, 3]);
    let text = fs::read_to_string(rotated(&path, 1)).unwrap();
    fs::write(rotated(&path, 1), text.replace("curl", "wget")).unwrap();
    let Err(VerifyError::Broken(broken)) = verify(&path) else {
        panic!("not found");
    };
    assert!(matches!(broken.why, Why::Changed));
    assert_eq!(broken.place.file.as_ref(), rotated(&path, 1));
}

#[test]
fn a_log_that_is_not_there_is_an_error_with_its_path() {
    let error = Lines::open(Path::new("/nowhere/audit.jsonl")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open `/nowhere/audit.jsonl`");
}
