use std::fs;

use super::*;
use crate::audit::{
    chain::{seal, seal_after},
    file::rotated,
    record::{Before, Record, Time, tests::denial},
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
    let error = Records::open(Path::new("/nowhere/audit.jsonl")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open `/nowhere/audit.jsonl`");
}

/// Files of records at these seconds, oldest first, each told of in the next one.
fn told(dir: &Path, files: &[&[u32]]) -> PathBuf {
    let path = dir.join("audit.jsonl");
    let (mut head, mut before) = (Head::START, None);
    for (seconds, number) in files.iter().zip((0..files.len()).rev()) {
        let mut lines = Vec::new();
        let first = head.seq + 1;
        for second in *seconds {
            let record = denial(*second, "203.0.113.7");
            head = seal_after(before.take(), &record, head, &mut lines).unwrap();
        }
        let latest = seconds.iter().max();
        before = latest.map(|latest| Before {
            first,
            latest: denial(*latest, "::").time,
        });
        fs::write(rotated(&path, u32::try_from(number).unwrap()), lines).unwrap();
    }
    path
}

fn since(second: u32) -> Filter {
    Filter {
        since: Some(time(second)),
        ..Filter::default()
    }
}

fn time(second: u32) -> Time {
    denial(second, "::").time
}

/// Numbers of the files that are read for it, the log itself being 0.
fn read_for(path: &Path, second: u32) -> Vec<u32> {
    let mut files = Files::open(path).unwrap();
    files.leave_older(time(second));
    let number = |file: &Path| {
        (0..9)
            .find(|number| rotated(path, *number) == file)
            .unwrap()
    };
    files.0.iter().map(|(file, _)| number(file)).collect()
}

fn found(path: &Path, filter: &Filter) -> Vec<u64> {
    let one = Records::matching(path, filter).unwrap();
    let one: Vec<u64> = one.map(|entry| entry.unwrap().sealed.seq).collect();
    let several = Records::matching_at_once(path, filter).unwrap();
    let several: Vec<u64> = several.map(|entry| entry.unwrap().sealed.seq).collect();
    assert_eq!(one, several);
    one
}

#[test]
fn files_that_are_older_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = told(dir.path(), &[&[1, 2], &[3, 4], &[5, 6], &[7]]);
    assert!(verify(&path).is_ok());
    assert_eq!(read_for(&path, 5), [1, 0]);
    assert_eq!(found(&path, &since(5)), [5, 6, 7]);
    assert_eq!(read_for(&path, 4), [2, 1, 0]);
    assert_eq!(found(&path, &since(4)), [4, 5, 6, 7]);
    assert_eq!(found(&path, &since(0)).len(), 7);
    // The newest one is always looked at.
    assert_eq!(read_for(&path, 59), [0]);
    assert!(found(&path, &since(59)).is_empty());
}

#[test]
fn a_clock_that_was_set_back_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = told(
        dir.path(),
        &[&[10, 50, 11], &[12, 13], &[14, 40, 15], &[16]],
    );
    assert_eq!(read_for(&path, 40), [3, 1, 0]);
    assert_eq!(found(&path, &since(40)), [2, 7]);
    assert_eq!(found(&path, &since(13)), [2, 5, 6, 7, 8, 9]);
}

#[test]
fn what_is_said_of_another_file_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = told(dir.path(), &[&[1, 9], &[2, 3], &[8]]);
    // Somebody took the one in the middle away: what `.0` says of it is not true of `.2`.
    fs::remove_file(rotated(&path, 1)).unwrap();
    assert_eq!(read_for(&path, 9), [2, 0]);
    assert_eq!(found(&path, &since(9)), [2]);
}

#[test]
fn a_first_line_that_was_changed_or_torn_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = told(dir.path(), &[&[1, 9], &[8]]);
    assert_eq!(read_for(&path, 10), [0]);
    let text = fs::read_to_string(&path).unwrap();
    let forged = text.replace(
        r#""latest":"2026-03-01T10:20:09"#,
        r#""latest":"2026-03-01T10:20:01"#,
    );
    assert_ne!(forged, text);
    fs::write(&path, forged).unwrap();
    assert_eq!(read_for(&path, 9), [1, 0]);
    assert_eq!(found(&path, &since(9)), [2]);
    // Torn, and mended behind.
    fs::write(&path, format!("{}\n{text}", text.get(..200).unwrap())).unwrap();
    assert_eq!(read_for(&path, 10), [1, 0]);
    // The older one begins with something else.
    fs::write(&path, text).unwrap();
    let older = fs::read_to_string(rotated(&path, 1)).unwrap();
    fs::write(rotated(&path, 1), format!("garbage\n{older}")).unwrap();
    assert_eq!(read_for(&path, 10), [1, 0]);
}

/// Nobody hides what comes after by a number that is too large.
#[test]
fn a_forged_number_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &[2, 2]);
    let text = fs::read_to_string(rotated(&path, 1)).unwrap();
    let forged = text.replace(r#""seq":2"#, r#""seq":18446744073709551615"#);
    fs::write(rotated(&path, 1), forged).unwrap();
    assert_eq!(found(&path, &Filter::default()), [1, u64::MAX, 3, 4]);
    assert!(verify(&path).is_err());
}

#[test]
fn the_last_number_is_that_of_the_last_record_matching_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &[2, 3]);
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str(r#"{"v":1,"seq":6,"time":"2026-03-01T10:20:00.000000Z","layer"#);
    fs::write(&path, text).unwrap();
    let mut none = Records::matching(&path, &since(59)).unwrap();
    assert_eq!(none.next().map(|entry| entry.is_ok()), None);
    assert_eq!(none.last_seq(), Some(5));
}

/// Many threads find what one finds, in a log of many pieces with everything that is wrong in one.
#[test]
fn several_threads_say_the_same_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let mut record: Record = denial(1, "203.0.113.7");
    record.message = Some("x".repeat(2_000));
    let (mut head, mut lines) = (Head::START, Vec::new());
    for second in 0..3_000 {
        record.time = time(second % 60);
        head = seal(&record, head, &mut lines).unwrap();
    }
    fs::write(&path, &lines).unwrap();
    assert!(Files::open(&path).unwrap().threads() >= 1);
    assert_eq!(verify(&path).unwrap().records, 3_000);
    assert_eq!(found(&path, &since(30)).len(), 1_500);
    let mut text = String::from_utf8(lines).unwrap();
    let at = text.len() / 2;
    let at = at + text.get(at..).unwrap().find('\n').unwrap();
    text.insert_str(at, "\ngarbage");
    fs::write(&path, &text).unwrap();
    let tell = |records: Records| -> Vec<String> {
        records
            .map(|entry| entry.map_or_else(|error| error.to_string(), |entry| entry.text))
            .collect()
    };
    let one = tell(Records::matching(&path, &since(30)).unwrap());
    let several = tell(Records::matching_at_once(&path, &since(30)).unwrap());
    assert_eq!(one, several);
    assert_eq!(one.len(), 1_501);
    let Err(VerifyError::Broken(broken)) = verify(&path) else {
        panic!("not found");
    };
    let garbage = text.lines().position(|line| line == "garbage").unwrap() + 1;
    assert_eq!(broken.place.line, u64::try_from(garbage).unwrap());
}
