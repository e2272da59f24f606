//! What must hold for any bytes in the place of the log.

use std::{fs, path::Path, thread};

use super::{
    chain::{Head, Link, Verified, seal},
    reader::{Records, verify},
    record::{Kind, Layer, Record, Sealed, Time},
};

/// A log that is found whole, its end included, is not found the same after any change; and whatever text a record
/// carries, it is one line that reads back.
pub(crate) fn log(bytes: &[u8]) {
    let directory = std::env::temp_dir().join(format!(
        "egressd-fuzz-{}-{:?}",
        std::process::id(),
        thread::current().id()
    ));
    assert!(fs::create_dir_all(&directory).is_ok());
    let file = directory.join("audit.jsonl");
    let found = look(&file, bytes);
    if let Some(verified) = found.filter(|verified| verified.records > 0 && verified.torn.is_none())
    {
        let mut changed = bytes.to_vec();
        let at = bytes.iter().fold(7_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
        }) % bytes.len();
        for byte in changed.iter_mut().skip(at).take(1) {
            *byte ^= 1;
        }
        assert_ne!(
            look(&file, &changed),
            Some(verified),
            "byte {at} does not count"
        );
    }
    fs::remove_dir_all(&directory).ok();
    sealed(&String::from_utf8_lossy(bytes));
}

fn look(file: &Path, bytes: &[u8]) -> Option<Verified> {
    assert!(fs::write(file, bytes).is_ok(), "{}", file.display());
    let records = Records::open(file).map(Iterator::count);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(records.is_ok_and(|records| records <= lines));
    verify(file).ok()
}

fn sealed(text: &str) {
    let mut record = Record::new(
        Time::new(jiff::Timestamp::UNIX_EPOCH),
        Layer::Dns,
        Kind::Question,
    );
    record.name = Some(text.to_owned());
    record.message = Some(text.to_owned());
    let mut line = Vec::new();
    assert!(seal(&record, Head::START, &mut line).is_ok());
    let body = line.strip_suffix(b"\n").unwrap_or_default();
    assert!(!body.contains(&b'\n'), "a record is one line");
    assert!(Link::read(body).is_ok());
    let read: Option<Sealed> = serde_json::from_slice(body).ok();
    assert_eq!(read.map(|sealed| sealed.record), Some(record));
}
