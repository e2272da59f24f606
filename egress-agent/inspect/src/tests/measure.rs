//! How long it takes. Run with `--release -- --ignored --nocapture measures`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

const MIB: usize = 1 << 20;

/// Seconds of this thread on a processor: others may run beside it.
fn now() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    f64::from(u32::try_from(now.tv_sec).unwrap())
        + f64::from(u32::try_from(now.tv_nsec).unwrap()) / 1e9
}

fn time(name: &str, text: &[u8], inspect: impl Fn(&[u8]) -> Report) {
    let mut all = Vec::new();
    let mut found = (0, true);
    for _ in 0..5 {
        let start = now();
        let report = inspect(text);
        all.push(now() - start);
        found = (report.findings.len(), report.is_complete);
    }
    all.sort_by(f64::total_cmp);
    let median = all[2];
    let speed = f64::from(u32::try_from(text.len()).unwrap()) / 1e6 / median;
    println!(
        "{name:22} {:>9} bytes {:>9.2} ms {speed:>8.1} MB/s {:>6} findings, complete: {}",
        text.len(),
        median * 1e3,
        found.0,
        found.1
    );
}

fn source_text() -> Vec<u8> {
    // Our own sources: this module is what a tool would send.
    let parts = [
        include_str!("../view.rs"),
        include_str!("../view/runs.rs"),
        include_str!("../redact.rs"),
        include_str!("../json.rs"),
        include_str!("../lib.rs"),
    ];
    let text = parts.concat();
    text.repeat(10 * MIB / text.len() + 1).into_bytes()
}

fn json_text() -> Vec<u8> {
    let mut random = Random(1);
    let mut records = Vec::new();
    let mut length = 0;
    while length < 10 * MIB {
        let record = serde_json::json!({
            "id": random.sample("<hex:8>-<hex:4>-4<hex:3>-a<hex:3>-<hex:12>"),
            "name": format!("record number {}", records.len()),
            "path": "/var/lib/service/data/file.txt",
            "text": "An ordinary sentence, as people write them, with a few words.\nAnd one more.",
            "size": random.below(1_000_000),
            "url": "https://www.example.com/articles/2024/05/a-title?page=2&lang=en",
            "tags": ["alpha", "beta", "gamma"],
        })
        .to_string();
        length += record.len() + 1;
        records.push(record);
    }
    format!("[{}]", records.join(",")).into_bytes()
}

/// Kilobytes of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

fn nested(length: usize) -> Vec<u8> {
    let mut nested = b"an ordinary text, coded again and again. ".repeat(length / 160);
    while nested.len() < length {
        nested = STANDARD.encode(&nested).into_bytes();
    }
    nested.truncate(length);
    nested
}

/// Everything that an inspector makes when it is first needed.
fn use_everything(inspector: &Inspector) {
    let mut random = Random(4);
    for detector in detectors() {
        for text in detector.positive {
            drop(inspector.inspect(random.sample(text).as_bytes()));
        }
    }
    let orders = injection::detectors().iter().chain(poison::detectors());
    for text in orders.flat_map(|detector| detector.positive) {
        let apart: String = text.chars().flat_map(|letter| [letter, ' ']).collect();
        for text in [*text, &apart] {
            drop(inspector.inspect_incoming(text.as_bytes()));
            poison::findings(&serde_json::json!({"description": text}));
        }
    }
    let keywords = injection::detectors().iter().chain(poison::detectors());
    let keywords: Vec<&str> = keywords.flat_map(|it| it.keywords).copied().collect();
    drop(inspector.inspect_incoming(keywords.join(" ").as_bytes()));
}

/// Megabytes in a second, milliseconds, and memory, each beside what it should be.
#[test]
#[ignore = "measures: only a release build says anything"]
fn measures() {
    let before = resident();
    let fresh = Inspector::new(Options::default()).unwrap();
    use_everything(&fresh);
    println!(
        "everything used once: {} KB; at most 12000",
        resident() - before
    );
    let inspector = inspector();
    let source = source_text();
    let json = json_text();
    let sources = include_str!("../fold.rs").lines();
    let prose: Vec<&str> = sources
        .chain(include_str!("../lib.rs").lines())
        .chain(include_str!("../../../../README.md").lines())
        .filter_map(|line| match line.trim_start().strip_prefix("//") {
            Some(comment) => Some(comment.trim_start_matches(['/', '!'])),
            None => line
                .starts_with(|first: char| first.is_ascii_uppercase())
                .then_some(line),
        })
        .collect();
    let prose = prose.join("\n");
    let prose = prose.repeat(10 * MIB / prose.len()).into_bytes();
    time("source, 150 MB/s", &source, |text| inspector.inspect(text));
    time("prose, 150 MB/s", &prose, |text| inspector.inspect(text));
    time("prose to a model", &prose, |text| {
        inspector.inspect_incoming(text)
    });
    time("orders in prose, 80", &prose, |text| Report {
        findings: injection::findings(str::from_utf8(text).unwrap()),
        is_complete: true,
    });
    time("JSON as bytes", &json, |text| inspector.inspect(text));
    time("JSON as JSON", &json, |text| inspector.inspect_json(text));
    for (name, length) in [("nested 4 KB, 2 ms", 4096), ("nested 1 MB", MIB)] {
        let nested = nested(length);
        time(name, &nested, |text| inspector.inspect(text));
        let json = serde_json::json!({"text": String::from_utf8(nested).unwrap()}).to_string();
        time("  in JSON to a model", json.as_bytes(), |text| {
            inspector.inspect_incoming_json(text)
        });
    }
    let words = b"abandon ability ".repeat(MIB / 16);
    time("seed words, 50 ms", &words, |text| inspector.inspect(text));
    time("1 KB of source", &source[..1000], |text| {
        inspector.inspect(text)
    });
    time("10 KB of source", &source[..10_000], |text| {
        inspector.inspect(text)
    });
}

#[test]
#[ignore = "measures: only a release build says anything"]
fn measures_hostile_texts() {
    let inspector = inspector();
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("hexadecimal", b"6162".repeat(MIB / 4)),
        ("percent of percent", b"%25".repeat(MIB / 3)),
        ("dots", b"ab.cd.".repeat(MIB / 6)),
        ("zeros", vec![0; MIB]),
        ("0xff", vec![0xff; MIB]),
        ("random bytes", Random(2).bytes(MIB)),
        ("keywords", b"sk-proj-".repeat(MIB / 8)),
        ("more keywords", b"token=password=secret:".repeat(MIB / 22)),
        ("starts of tokens", b"eyJ-eyJ.".repeat(MIB / 8)),
        (
            "starts of keys",
            b"-----BEGIN PRIVATE KEY----- ".repeat(MIB / 28),
        ),
        ("addresses", b"postgres://a:b".repeat(MIB / 14)),
        ("digits", b"4111 ".repeat(MIB / 5)),
        ("questions", b"?a=b&c=d".repeat(MIB / 8)),
        ("wide letters", "\u{ff41}".repeat(MIB / 3).into_bytes()),
        ("queries", b"a=b?".repeat(MIB / 4)),
        ("one long name", vec![b'a'; MIB]),
        (
            "short base64",
            b"aGVsbG8gd29ybGQgdGhpcw== ".repeat(MIB / 25),
        ),
        ("slashes", b"////".repeat(MIB / 4)),
        ("internal hosts", b"a.internal".repeat(MIB / 10)),
    ];
    for (name, text) in &hostile {
        time(name, text, |text| inspector.inspect(text));
    }
    let escapes = format!("\"{}\"", r"\u0041\n".repeat(MIB / 8)).into_bytes();
    time("escapes", &escapes, |text| inspector.inspect_json(text));
    let quotes = b"\"a\",".repeat(MIB / 4);
    time("strings", &quotes, |text| inspector.inspect_json(text));
}
