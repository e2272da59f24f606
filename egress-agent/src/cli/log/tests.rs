use std::{fs, sync::Arc, thread};

use clap::Parser;
use tokio::sync::oneshot;

use super::*;
use crate::{
    audit::{
        feed::{Wanted, feed},
        record::tests::denial,
        sink::{Settings, Sink, Writer},
    },
    cli::table::tests::Written,
    control::{
        authorise::Standing,
        message::{Code, Failure},
        peer::Peer,
        server::{Handler, Response, serve},
        socket,
    },
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    log: LogArgs,
}

/// Runs `egressctl log` with these words, and gives its exit and what it wrote.
#[track_caller]
fn log(words: &[&str], json: bool) -> (Exit, String) {
    let (exit, text) = try_log(words, json);
    (exit.unwrap(), text)
}

fn try_log(words: &[&str], json: bool) -> (anyhow::Result<Exit>, String) {
    let words = ["log"].iter().chain(words);
    let args = Line::try_parse_from(words).unwrap().log;
    let written = Written::default();
    let exit = run(args, &mut written.screen(json, false));
    (exit, written.text())
}

fn open(dir: &Path) -> (Sink, Writer) {
    let settings = Settings::new(dir.join("audit.jsonl"));
    Sink::open(settings, Box::new(|| denial(59, "::").time)).unwrap()
}

/// A log of five denials, every other one of another host.
fn example() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let (sink, writer) = open(dir.path());
    for second in 0..5 {
        let mut record = denial(second, &format!("203.0.113.{second}"));
        record.name = (second % 2 == 1).then(|| "api.example.com".to_owned());
        sink.record(record);
    }
    writer.stop();
    let file = dir.path().join("audit.jsonl").display().to_string();
    (dir, file)
}

/// What an idle daemon would do with its log.
struct Daemon {
    sink: Sink,
    file: PathBuf,
}

impl Handler for Daemon {
    fn standing(&self, _: &str) -> Standing {
        Standing::Outside
    }

    fn owner(&self, _: &str) -> Option<u32> {
        None
    }

    async fn handle(&self, _: Peer, request: Request) -> Response {
        let Request::Log {
            filter,
            last,
            follow,
        } = request
        else {
            return Response::Failed(Failure::new(Code::Failed, "only the log"));
        };
        let wanted = Wanted {
            filter,
            last,
            follow,
        };
        Response::Log(feed(self.file.clone(), wanted, &self.sink))
    }
}

#[test]
fn records_are_exported_and_filtered() {
    let (_dir, file) = example();
    let export = |format: &str, more: &[&str]| {
        let words = ["export", "--file", &file, "--format", format];
        let (exit, text) = log(&[&words, more].concat(), false);
        assert_eq!(exit, Exit::Ok);
        text
    };
    assert_eq!(export("jsonl", &[]), fs::read_to_string(&file).unwrap());
    let text = export("csv", &["--host", ".example.com"]);
    assert_eq!(text.lines().count(), 3);
    assert!(text.starts_with("time,seq,layer,event,verdict,"), "{text}");
    assert!(text.contains(",deny,enforce,no-rule,"), "{text}");
    let text = export("ocsf", &["--denied"]);
    let classes = text.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["class_uid"].as_u64()
    });
    assert_eq!(classes.collect::<Vec<_>>(), [Some(4001); 5]);
    let gone = [
        "export",
        "--format",
        "csv",
        "--file",
        "/nonexistent/audit.jsonl",
    ];
    assert!(try_log(&gone, false).0.is_err());
}

#[test]
fn records_are_shown_and_filtered() {
    let (_dir, file) = example();
    let (exit, text) = log(&["--file", &file], false);
    assert_eq!((exit, text.lines().count()), (Exit::Ok, 6));
    let (_, text) = log(&["--file", &file, "--host", ".example.com"], false);
    assert_eq!(text.matches("api.example.com:443").count(), 2);
    let (_, text) = log(
        &["--file", &file, "-n", "2", "--denied", "--layer", "kernel"],
        true,
    );
    let records: Vec<Sealed> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        records.iter().map(|line| line.seq).collect::<Vec<_>>(),
        [4, 5]
    );
    assert_eq!(log(&["--file", &file, "--session", "other"], false).1, "");
    assert_eq!(
        log(&["--file", &file, "--since", "2026-03-01T10:20:04Z"], true)
            .1
            .lines()
            .count(),
        1
    );
}

#[test]
fn json_lines_are_the_lines_of_the_file() {
    let (_dir, file) = example();
    assert_eq!(
        log(&["--file", &file], true).1,
        fs::read_to_string(&file).unwrap()
    );
}

#[test]
fn wrong_words_are_refused() {
    for words in [
        ["--layer", "kernal"],
        ["--host", "*.example.com"],
        ["--since", "yesterday"],
        ["-n", "-1"],
        ["--follow", "--file=x"],
    ] {
        assert!(
            Line::try_parse_from(["log"].iter().chain(&words)).is_err(),
            "{words:?}"
        );
    }
}

#[test]
fn verify_tells_a_whole_log_from_a_broken_one() {
    let (_dir, file) = example();
    let (exit, text) = log(&["verify", &file], false);
    assert_eq!(exit, Exit::Ok);
    assert_eq!(
        text,
        format!(
            "ok: {file} is whole\nrecords  5\n\
             first    2026-03-01T10:20:00.000250Z (number 1)\n\
             last     2026-03-01T10:20:04.000250Z (number 5)\nlost     0\n"
        )
    );
    let (_, report) = log(&["verify", &file], true);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["whole"], &report["records"]),
        (&true.into(), &5.into())
    );

    let text = fs::read_to_string(&file).unwrap();
    let cut: String = text.split_inclusive('\n').take(3).collect();
    fs::write(&file, cut).unwrap();
    let (exit, text) = log(&["verify", &file], false);
    assert_eq!(exit, Exit::No);
    assert!(
        text.contains("ends with record 3, and the head file says 5"),
        "{text}"
    );

    assert!(
        try_log(&["verify", "/nowhere/audit.jsonl"], false)
            .0
            .is_err()
    );
}

#[test]
fn the_schema_knows_every_member_of_a_line() {
    let (_dir, file) = example();
    let (_, schema) = log(&["schema"], false);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    for member in line.as_object().unwrap().keys() {
        assert!(schema["properties"].get(member).is_some(), "{member}");
    }
    assert_eq!(
        schema["required"],
        serde_json::json!(["v", "seq", "time", "layer", "event", "prev", "hash"])
    );
}

#[test]
fn a_followed_log_begins_with_history_and_goes_on() {
    let (dir, _) = example();
    let (sink, writer) = open(dir.path());
    let path = dir.path().join("control.sock");
    let listener = socket::bind(&path).unwrap();
    let daemon = Daemon {
        sink: sink.clone(),
        file: dir.path().join("audit.jsonl"),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            serve(listener, Arc::new(daemon), async { stopped.await.unwrap() }).await;
        });
    });
    let written = Written::default();
    let follower = thread::spawn({
        let written = written.clone();
        let words = ["log", "-f", "-n", "2", "--socket"]
            .map(Into::into)
            .into_iter();
        let words: Vec<std::ffi::OsString> = words.chain([path.into()]).collect();
        move || {
            let args = Line::try_parse_from(words).unwrap().log;
            run(args, &mut written.screen(true, false)).map_err(|error| error.to_string())
        }
    });
    let wait_for = |lines: usize| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while written.text().lines().count() < lines {
            assert!(std::time::Instant::now() < deadline, "{}", written.text());
            thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    wait_for(2);
    for second in 10..13 {
        sink.record(denial(second, "203.0.113.9"));
    }
    wait_for(5);
    stop.send(()).unwrap();
    let ended = follower.join().unwrap();
    assert!(ended.unwrap_err().contains("closed the connection"));
    server.join().unwrap();
    writer.stop();
    let numbers: Vec<u64> = written
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Sealed>(line).unwrap().seq)
        .collect();
    assert_eq!(numbers, [4, 5, 6, 7, 8]);
}

#[test]
fn a_reader_that_has_enough_ends_quietly() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (_dir, file) = example();
    let args = Line::try_parse_from(["log", "--file", &file]).unwrap().log;
    let exit = run(args, &mut Screen::new(Box::new(Closed), false, false));
    assert_eq!(exit.unwrap(), Exit::Ok);
}
