//! What a call costs more with the guard between.

use super::*;

const CALLS: u32 = 1_000;

#[test]
fn a_call_through_the_guard_is_hardly_slower() {
    let script = SERVER.replace("#MORE#", "");
    let mut direct = Command::new("python3");
    direct.args(["-c", &script]);
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.json");
    std::fs::write(&policy, r#"{ "version": 1 }"#).unwrap();
    let mut guarded = Command::new(EGRESSCTL);
    guarded
        .args(["mcp", "--name", "t", "--policy"])
        .arg(&policy)
        .arg("--state")
        .arg(state(dir.path()))
        .args(["--", "python3", "-c", &script]);
    let (direct, guarded) = (times(&mut direct), times(&mut guarded));
    let at = |times: &[Duration], percent: usize| times[times.len() * percent / 100];
    for percent in [50, 99] {
        let (direct, guarded) = (at(&direct, percent), at(&guarded, percent));
        println!(
            "tools/call over pipes, p{percent}: {direct:?} without, {guarded:?} with the guard, \
             {:?} added",
            guarded.saturating_sub(direct)
        );
    }
    let added = at(&guarded, 50).saturating_sub(at(&direct, 50));
    // A build without optimisation on a machine that builds: the promise is 1 ms with it, and
    // `cargo xtask bench mcp` measures it.
    let most = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(added < Duration::from_millis(most), "{added:?}");
}

/// The times of calls one after the other, shortest first.
fn times(command: &mut Command) -> Vec<Duration> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |message: &Value| {
        let line = format!("{message}\n");
        let begun = Instant::now();
        input.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        let took = begun.elapsed();
        assert!(answer.contains("result"), "{answer}");
        took
    };
    ask(&json!({ "jsonrpc": "2.0", "id": 0, "method": "tools/list" }));
    let mut times: Vec<_> = (1..=CALLS)
        .map(|id| ask(&call(id, "add", &json!({ "text": "a few words" }))))
        .collect();
    drop(input);
    child.wait().unwrap();
    times.sort();
    times
}
