use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, Instant},
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::*;
use crate::audit::{
    chain::{Place, Verified, Verifier},
    file::{read_head, rotated},
    reader::verify,
    record::{Kind, Sealed, tests::denial},
};

/// Opens the log in `dir`, with a fixed clock.
fn open(dir: &Path, change: impl FnOnce(&mut Settings)) -> (Sink, Writer) {
    let mut settings = Settings::new(dir.join("audit.jsonl"));
    change(&mut settings);
    Sink::open(settings, Box::new(|| denial(59, "::").time)).unwrap()
}

fn refusal(path: &Path) -> OpenError {
    Sink::open(Settings::new(path), Box::new(|| denial(59, "::").time)).unwrap_err()
}

/// All lines, oldest first, checked.
fn read(dir: &Path) -> (Vec<Sealed>, Verified) {
    let path = dir.join("audit.jsonl");
    let mut verifier = Verifier::new(read_head(&path));
    let mut records = Vec::new();
    for number in (0..20).rev() {
        let file = rotated(&path, number);
        let Ok(text) = fs::read(&file) else { continue };
        let file: Arc<Path> = file.into();
        for (line, number) in text.split_inclusive(|byte| *byte == b'\n').zip(1..) {
            let place = Place {
                file: Arc::clone(&file),
                line: number,
            };
            let whole = line.strip_suffix(b"\n");
            let bytes = whole.unwrap_or(line);
            verifier.line(place, bytes, whole.is_some()).unwrap();
            records.extend(serde_json::from_slice::<Sealed>(bytes));
        }
    }
    (records, verifier.finish(&Arc::from(path)).unwrap())
}

#[test]
fn records_are_written_in_order_and_the_chain_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for start in [0, 20] {
        let (sink, writer) = open(dir.path(), |_| ());
        for second in start..start + 20 {
            sink.record(denial(second, "203.0.113.1"));
        }
        writer.stop();
    }
    let (records, verified) = read(dir.path());
    assert_eq!(verified.records, 40);
    assert!(records.iter().map(|line| line.record.time).is_sorted());
    let mode = fs::metadata(dir.path().join("audit.jsonl"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777 & !0o640, 0);
    assert_eq!(read_head(&dir.path().join("audit.jsonl")).unwrap().seq, 40);
}

#[test]
fn rotation_keeps_the_chain_and_no_more_files_than_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, writer) = open(dir.path(), |settings| {
        settings.rotate_bytes = 2_000;
        settings.keep = 2;
    });
    for second in 0..40 {
        sink.record(denial(second, "203.0.113.1"));
        sink.flush();
    }
    writer.stop();
    let (records, verified) = read(dir.path());
    assert_eq!(verified.last.unwrap().seq, 40);
    assert!(verified.first.unwrap().seq > 1);
    assert_eq!(records.len() as u64, verified.records);
    assert!(rotated(&dir.path().join("audit.jsonl"), 2).exists());
    assert!(!rotated(&dir.path().join("audit.jsonl"), 3).exists());
    for number in 0..=2 {
        let file = rotated(&dir.path().join("audit.jsonl"), number);
        assert!(fs::metadata(file).unwrap().len() <= 2_000);
    }
}

/// Also of a file that an earlier start began, and when the clock was set back.
#[test]
fn the_first_line_of_a_file_says_what_the_file_before_holds() {
    let dir = tempfile::tempdir().unwrap();
    for seconds in [[50, 3, 4, 5, 6, 7, 8, 9], [40, 2, 13, 14, 15, 16, 17, 18]] {
        let (sink, writer) = open(dir.path(), |settings| settings.rotate_bytes = 2_000);
        for second in seconds {
            sink.record(denial(second, "203.0.113.1"));
            sink.flush();
        }
        writer.stop();
    }
    read(dir.path());
    let files: Vec<Vec<Sealed>> = (0..9)
        .rev()
        .filter_map(|number| {
            let file = rotated(&dir.path().join("audit.jsonl"), number);
            let text = fs::read_to_string(file).ok()?;
            let line = |line| Sealed::read(line).unwrap();
            Some(text.lines().map(line).collect())
        })
        .collect();
    assert!(files.len() > 3);
    for (older, newer) in files.iter().zip(files.iter().skip(1)) {
        let before = newer[0].before.unwrap();
        assert_eq!(before.first, older[0].seq);
        let latest = older.iter().map(|sealed| sealed.record.time).max();
        assert_eq!(Some(before.latest), latest);
        assert!(newer[1..].iter().all(|sealed| sealed.before.is_none()));
    }
    assert_eq!(files[0][0].before, None);
}

#[test]
fn a_rotation_that_was_cut_short_loses_nothing_at_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let rotating = |settings: &mut Settings| {
        settings.rotate_bytes = 2_000;
        settings.keep = 4;
    };
    let (sink, writer) = open(dir.path(), rotating);
    for second in 0..12 {
        sink.record(denial(second, "203.0.113.1"));
        sink.flush();
    }
    writer.stop();
    let before = read(dir.path()).1.records;
    // A crash after the files moved up, before the log itself did.
    fs::rename(rotated(&path, 2), rotated(&path, 3)).unwrap();
    fs::rename(rotated(&path, 1), rotated(&path, 2)).unwrap();
    assert_eq!(verify(&path).unwrap().records, before);
    let (sink, writer) = open(dir.path(), rotating);
    for second in 20..24 {
        sink.record(denial(second, "203.0.113.1"));
        sink.flush();
    }
    writer.stop();
    assert_eq!(verify(&path).unwrap().records, before + 4);
    assert!(rotated(&path, 1).exists());
    assert!(!rotated(&path, 4).exists());

    // A crash after the log moved, before a new one was begun.
    fs::remove_file(rotated(&path, 3)).unwrap();
    fs::rename(rotated(&path, 2), rotated(&path, 3)).unwrap();
    fs::rename(rotated(&path, 1), rotated(&path, 2)).unwrap();
    fs::rename(&path, rotated(&path, 1)).unwrap();
    let last = read_head(&path).unwrap().seq;
    let (sink, writer) = open(dir.path(), rotating);
    sink.record(denial(30, "203.0.113.1"));
    writer.stop();
    assert_eq!(verify(&path).unwrap().last.unwrap().seq, last + 1);
}

#[test]
fn a_torn_end_is_mended_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (sink, writer) = open(dir.path(), |_| ());
    sink.record(denial(1, "203.0.113.1"));
    writer.stop();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"v\":1,\"seq\":2,\"time\":\"2026")
        .unwrap();
    let (sink, writer) = open(dir.path(), |_| ());
    sink.record(denial(2, "203.0.113.1"));
    writer.stop();
    let (records, verified) = read(dir.path());
    assert_eq!(
        (verified.records, verified.mended, verified.missing),
        (3, 1, 0)
    );
    assert_eq!(records[1].record.event, Kind::Mended);
    assert_eq!(records[1].record.gap.as_ref().unwrap().torn_bytes, 27);
}

#[test]
fn records_that_are_gone_at_a_start_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (sink, writer) = open(dir.path(), |_| ());
    for second in 0..5 {
        sink.record(denial(second, "203.0.113.1"));
    }
    writer.stop();
    let text = fs::read_to_string(&path).unwrap();
    let first: String = text.split_inclusive('\n').take(2).collect();
    fs::write(&path, first).unwrap();
    open(dir.path(), |_| ()).1.stop();
    let (records, verified) = read(dir.path());
    assert_eq!((verified.records, verified.missing), (3, 3));
    assert_eq!(
        records[2].record.message.as_deref(),
        Some("3 records are missing at the end of the log")
    );
}

#[test]
fn a_log_that_is_moved_away_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (sink, writer) = open(dir.path(), |_| ());
    sink.record(denial(1, "203.0.113.1"));
    sink.flush();
    fs::rename(&path, rotated(&path, 1)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    sink.record(denial(2, "203.0.113.1"));
    writer.stop();
    let (records, _) = read(dir.path());
    let kinds: Vec<_> = records.iter().map(|line| line.record.event).collect();
    assert_eq!(kinds, [Kind::Flow, Kind::Mended, Kind::Flow]);
}

#[test]
fn a_full_disk_loses_records_counts_them_and_leaves_whole_lines() {
    let disk = SmallDisk::new();
    let filler = disk.path().join("filler");
    let (sink, writer) = open(disk.path(), |_| ());
    sink.record(denial(1, "203.0.113.1"));
    sink.flush();
    fill(&filler);
    for second in 0..60 {
        sink.record(denial(second, "203.0.113.2"));
    }
    sink.flush();
    let health = sink.health();
    assert!(health.lost[&Layer::Kernel] > 0, "{health:?}");
    assert!(health.failure.is_some());
    assert!(
        fs::read(disk.path().join("audit.jsonl"))
            .unwrap()
            .ends_with(b"\n")
    );
    assert_eq!(
        sink.recent_denials("s1").len(),
        2,
        "denials are known without the disk"
    );

    fs::remove_file(&filler).unwrap();
    sink.record(denial(3, "203.0.113.3"));
    sink.flush();
    assert_eq!(sink.health().failure, None);
    writer.stop();
    let (records, verified) = read(disk.path());
    let flows = records
        .iter()
        .filter(|line| line.record.event == Kind::Flow);
    assert_eq!(flows.count() as u64 + verified.lost[&Layer::Kernel], 62);
    assert_eq!(records[records.len() - 2].record.event, Kind::Lost);
    assert_eq!(
        records.last().unwrap().record.flow,
        denial(3, "203.0.113.3").flow
    );
}

#[test]
fn losses_are_recorded_without_a_further_record() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, writer) = open(dir.path(), |_| ());
    sink.lose(Layer::Kernel, 7);
    writer.stop();
    let (_, verified) = read(dir.path());
    assert_eq!(verified.lost, BTreeMap::from([(Layer::Kernel, 7)]));
}

#[test]
fn a_full_queue_never_blocks_and_every_record_is_written_or_counted() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path().join("audit.jsonl"));
    let clock = Box::new(|| denial(59, "::").time);
    let (sink, writer) = Sink::with_queue(settings, clock, 4).unwrap();
    for second in 0..20_000 {
        sink.record(denial(second % 60, "203.0.113.1"));
    }
    writer.stop();
    let (records, verified) = read(dir.path());
    let lost: u64 = verified.lost.values().sum();
    assert!(lost > 0);
    let flows = records
        .iter()
        .filter(|line| line.record.event == Kind::Flow);
    assert_eq!(flows.count() as u64 + lost, 20_000);
}

#[test]
fn a_record_that_is_too_long_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, writer) = open(dir.path(), |_| ());
    let mut record = denial(1, "203.0.113.1");
    record.message = Some("x".repeat(1 << 20));
    sink.record(record);
    writer.stop();
    let (records, verified) = read(dir.path());
    assert_eq!((records.len(), verified.lost[&Layer::Kernel]), (1, 1));
}

#[tokio::test]
async fn a_follower_sees_each_line_within_ten_milliseconds() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, writer) = open(dir.path(), |_| ());
    let mut follower = sink.follow();
    let mut times = Vec::new();
    for second in 0..50 {
        let begin = Instant::now();
        sink.record(denial(second, "203.0.113.1"));
        let Some(Followed::Line(line)) = follower.next().await else {
            panic!("no line");
        };
        times.push(begin.elapsed());
        let sealed: Sealed = serde_json::from_str(&line.text).unwrap();
        assert_eq!(
            (sealed.seq, line.seq),
            (u64::from(second) + 1, u64::from(second) + 1)
        );
        assert_eq!(sealed.record, *line.record);
    }
    times.sort();
    assert!(
        times[times.len() / 2] < Duration::from_millis(10),
        "{times:?}"
    );
    writer.stop();
    drop(sink);
    assert_eq!(follower.next().await, None);
}

#[tokio::test]
async fn a_slow_follower_is_told_how_many_lines_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, writer) = open(dir.path(), |_| ());
    let mut follower = sink.follow();
    for _ in 0..FOLLOWER_QUEUE + 10 {
        sink.record(denial(1, "203.0.113.1"));
    }
    sink.flush();
    assert_eq!(follower.next().await, Some(Followed::Missed(10)));
    let Some(Followed::Line(line)) = follower.next().await else {
        panic!("no line");
    };
    assert_eq!(line.seq, 11);
    writer.stop();
}

#[test]
fn a_place_that_is_no_safe_plain_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    fs::write(&target, "").unwrap();
    let link = dir.path().join("link");
    symlink(&target, &link).unwrap();
    assert!(matches!(refusal(&link), OpenError::NotAFile(_)));
    assert!(matches!(refusal(dir.path()), OpenError::NotAFile(_)));

    let passwd = dir.path().join("passwd");
    fs::write(&passwd, "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    assert!(matches!(refusal(&passwd), OpenError::NotALog(_)));

    let shared = dir.path().join("shared");
    fs::write(&shared, "").unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(refusal(&shared), OpenError::Untrusted(_)));
    assert!(matches!(
        refusal(&dir.path().join("no/such/log")),
        OpenError::Untrusted(_)
    ));

    let _first = open(dir.path(), |_| ());
    let second = refusal(&dir.path().join("audit.jsonl"));
    assert!(matches!(second, OpenError::Locked(_)), "{second}");
}

/// A file system of a few pages.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        mount(
            "audit-test",
            dir.path(),
            "tmpfs",
            MountFlags::empty(),
            Some(c"size=32k,mode=0700"),
        )
        .unwrap();
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

/// Takes every free page.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while file.write_all(&[0; 4_096]).is_ok() {}
}
