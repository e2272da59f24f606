use std::{
    fs,
    io::{BufRead as _, BufReader as StdReader, Read as _, Write as _},
    os::unix::net::UnixStream as StdStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use tokio::sync::oneshot;

use super::*;
use crate::control::{authorise::below, client::Client, socket};

/// Everything below `guard` is guarded; the path below it is the session.
struct Echo {
    guard: String,
}

impl Handler for Echo {
    fn standing(&self, cgroup: &str) -> Standing {
        match below(cgroup, &self.guard) {
            Some(session) => Standing::Guarded {
                session: Some(session.to_owned()),
            },
            None => Standing::Outside,
        }
    }

    fn owner(&self, _: &str) -> Option<u32> {
        None
    }

    async fn handle(&self, peer: Peer, request: Request) -> Response {
        let Request::Log { follow, .. } = request else {
            assert!(peer.is_alive());
            return Response::One(Reply::Done(format!("{request:?}")));
        };
        let (teller, told) = mpsc::channel(4);
        teller.send(Told::Line("first".to_owned())).await.unwrap();
        if follow {
            tokio::spawn(async move { teller.closed().await });
        }
        Response::Log(told)
    }
}

/// A server on its own thread.
struct Served {
    dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Served {
    fn new(guard: &str) -> Self {
        Self::with_patience(PATIENCE, guard)
    }

    fn with_patience(patience: Duration, guard: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = socket::bind(&dir.path().join("control.sock")).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let guard = guard.to_owned();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                let stopped = async { stopped.await.unwrap() };
                serve_with(patience, listener, Arc::new(Echo { guard }), stopped).await;
            });
        });
        Self {
            dir,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn connect(&self) -> StdStream {
        let stream = StdStream::connect(self.path()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    }

    /// A normal request is answered, and soon.
    #[track_caller]
    fn check_alive(&self) {
        let begin = Instant::now();
        let reply = Client::connect(&self.path())
            .unwrap()
            .request(&Request::Sessions {});
        assert_eq!(reply.unwrap(), Reply::Done("Sessions".to_owned()));
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
    }

    /// Sends bytes, then reads the one line that comes back.
    fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may close before it has read all.
        let _sent = stream.write_all(bytes).is_ok();
        let _shut = stream.shutdown(std::net::Shutdown::Write).is_ok();
        first_line(&stream)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn first_line(stream: &StdStream) -> String {
    let mut line = String::new();
    StdReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn one_connection_carries_several_requests() {
    let served = Served::new("/none");
    let mut client = Client::connect(&served.path()).unwrap();
    for session in [None, Some("s1".to_owned())] {
        let request = Request::Status { session };
        let reply = client.request(&request).unwrap();
        assert_eq!(reply, Reply::Done(format!("{request:?}")));
    }
}

#[test]
fn a_log_is_streamed_until_it_ends_or_the_client_leaves() {
    let served = Served::new("/none");
    let log = |follow| Request::Log {
        filter: crate::audit::filter::Filter::default(),
        last: None,
        follow,
    };
    let client = Client::connect(&served.path()).unwrap();
    let replies: Vec<_> = client
        .stream(&log(false))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(replies, [Reply::Line("first".to_owned())]);
    for _ in 0..300 {
        let client = Client::connect(&served.path()).unwrap();
        let mut replies = client.stream(&log(true)).unwrap();
        assert_eq!(
            replies.next().unwrap().unwrap(),
            Reply::Line("first".to_owned())
        );
    }
    served.check_alive();
}

#[test]
fn bad_input_is_answered_and_the_server_goes_on() {
    let served = Served::new("/none");
    assert!(
        served
            .ask(b"\xff\x00garbage\n")
            .contains(r#""code":"bad-request""#)
    );
    assert!(
        served
            .ask(b"{\"v\":1,\"op\":\"sta")
            .contains("in the middle of a request")
    );
    assert!(
        served
            .ask(b"{\"v\":3,\"op\":\"sessions\"}\n")
            .contains("version 3, and this side speaks version 1")
    );
    assert_eq!(served.ask(b""), "");
    assert!(
        served
            .ask(&vec![b'['; LONGEST_REQUEST - 1])
            .contains("in the middle")
    );
    served.check_alive();
}

#[test]
fn after_a_bad_line_the_next_request_is_answered() {
    let served = Served::new("/none");
    let mut stream = served.connect();
    stream
        .write_all(b"nonsense\n{\"v\":1,\"op\":\"sessions\"}\n")
        .unwrap();
    let mut lines = StdReader::new(stream).lines();
    assert!(lines.next().unwrap().unwrap().contains("bad-request"));
    assert!(lines.next().unwrap().unwrap().contains("Sessions"));
}

#[test]
fn a_huge_line_is_refused_after_its_first_bytes() {
    let served = Served::new("/none");
    let mut stream = served.connect();
    let chunk = vec![b'x'; 1 << 16];
    let mut sent = 0_usize;
    // A gigabyte, if the server would take it.
    while sent < 1 << 30 && stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 16 << 20, "the server took {sent} bytes");
    assert!(first_line(&stream).contains(r#""code":"too-large""#));
    served.check_alive();
}

#[test]
fn a_thousand_clients_at_once_starve_nobody_for_long() {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: most.maximum,
        ..most
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let served = Served::new("/none");
    let clients: Vec<_> = (0..1_000).map(|_| served.connect()).collect();
    let begin = Instant::now();
    let refused = clients
        .iter()
        .rev()
        .take(700)
        .filter(|client| first_line(client).contains(r#""code":"busy""#))
        .count();
    assert_eq!(refused, 700);
    assert!(begin.elapsed() < Duration::from_secs(5));
    let mut first = &clients[0];
    first.write_all(b"{\"v\":1,\"op\":\"sessions\"}\n").unwrap();
    assert!(
        first_line(first).contains("Sessions"),
        "who has a seat is served"
    );
    drop(clients);
    // The server sees the ends when it comes to them.
    let deadline = Instant::now() + Duration::from_secs(5);
    while Client::connect(&served.path())
        .unwrap()
        .request(&Request::Sessions {})
        .is_err()
    {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    served.check_alive();
}

#[test]
fn a_silent_and_a_slow_client_are_sent_away() {
    let served = Served::with_patience(Duration::from_millis(200), "/none");
    let silent = served.connect();
    assert!(first_line(&silent).contains(r#""code":"too-slow""#));
    let mut slow = served.connect();
    let reader = slow.try_clone().unwrap();
    // A byte now and then does not buy more time.
    while slow.write_all(b" ").is_ok() {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(first_line(&reader).contains(r#""code":"too-slow""#));
    served.check_alive();
}

#[test]
fn a_guarded_peer_is_known_by_its_cgroup_whatever_its_uid() {
    let cgroup = Cgroup::new("guarded");
    let served = Served::new(&cgroup.below_mount);
    let session = cgroup.child("s1");
    let ask = |line: &str| cgroup.ask_from(&session, &served.path(), line);

    let own = ask(r#"{"v":1,"op":"status"}"#);
    assert!(own.contains(r#"Status { session: Some(\"s1\") }"#), "{own}");
    for refused in [
        r#"{"v":1,"op":"release"}"#,
        r#"{"v":1,"op":"reload"}"#,
        r#"{"v":1,"op":"enter"}"#,
        r#"{"v":1,"op":"sessions"}"#,
        r#"{"v":1,"op":"log"}"#,
        r#"{"v":1,"op":"verbosity","filter":"debug"}"#,
        r#"{"v":1,"op":"end","session":"s1"}"#,
        r#"{"v":1,"op":"status","session":"s2"}"#,
    ] {
        let answer = ask(refused);
        assert!(
            answer.contains(r#""code":"forbidden""#),
            "{refused} {answer}"
        );
    }
    let outside = served.ask(b"{\"v\":1,\"op\":\"release\"}\n");
    assert!(
        outside.contains("Release"),
        "the same uid outside: {outside}"
    );
}

#[test]
fn a_peer_that_enters_after_it_connected_is_guarded_from_then_on() {
    let cgroup = Cgroup::new("entered");
    let served = Served::new(&cgroup.below_mount);
    let session = cgroup.child("s1");
    let script = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.connect(sys.argv[1])\n\
        f = s.makefile()\n\
        for line in sys.stdin:\n\
        \x20   s.sendall(b'{\"v\":1,\"op\":\"release\"}\\n')\n\
        \x20   sys.stdout.write(f.readline())\n\
        \x20   sys.stdout.flush()\n";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .arg(served.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = StdReader::new(child.stdout.take().unwrap()).lines();
    input.write_all(b"\n").unwrap();
    assert!(answers.next().unwrap().unwrap().contains("Release"));
    fs::write(session.join("cgroup.procs"), child.id().to_string()).unwrap();
    input.write_all(b"\n").unwrap();
    assert!(answers.next().unwrap().unwrap().contains("forbidden"));
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// A cgroup of its own, gone at the end.
struct Cgroup {
    path: PathBuf,
    below_mount: String,
}

impl Cgroup {
    fn new(name: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts
            .lines()
            .find(|line| line.contains(" - cgroup2 "))
            .and_then(|line| line.split(' ').nth(4))
            .expect("no cgroup2 mount");
        let below_mount = format!("/egressd-test-{name}-{}", std::process::id());
        let path = PathBuf::from(format!("{mount}{below_mount}"));
        fs::create_dir(&path).unwrap();
        Self { path, below_mount }
    }

    fn child(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// Connects from a process inside `cgroup`. It waits for a byte before it connects, so that
    /// it is inside by then.
    fn ask_from(&self, cgroup: &Path, socket: &Path, line: &str) -> String {
        assert!(cgroup.starts_with(&self.path));
        let script = "import socket, sys\n\
            sys.stdin.readline()\n\
            s = socket.socket(socket.AF_UNIX)\n\
            s.connect(sys.argv[1])\n\
            s.sendall(sys.argv[2].encode() + b'\\n')\n\
            sys.stdout.write(s.makefile().readline())\n";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(socket)
            .arg(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(cgroup.join("cgroup.procs"), child.id().to_string()).unwrap();
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let mut answer = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut answer)
            .unwrap();
        assert!(child.wait().unwrap().success());
        answer
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Whatever is still inside is a child of this test.
        let _killed = fs::write(self.path.join("cgroup.kill"), "1").is_ok();
        let deadline = Instant::now() + Duration::from_secs(5);
        let children = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let children = children
            .map(|entry| entry.path())
            .filter(|path| path.is_dir());
        for path in children.chain([self.path.clone()]).collect::<Vec<_>>() {
            while fs::remove_dir(&path).is_err() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
