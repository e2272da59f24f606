//! Many flows, slow ones, broken ones and ones that end with the daemon: the proxy holds its bounds,
//! and passes on how each side ends.
//!
//! The servers are threads of the tests in the internet's network; the clients are Python under the
//! guard, steered to the proxy by the kernel.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::Stdio,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    net::sockopt,
    process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit},
    time::{ClockId, clock_gettime},
};
use serde_json::{Value, json};
use xtask::world::{daemon::Daemon, wait_for};

use super::proxy_address;
use crate::harness::{Run, TestWorld};

/// At the level of names; the world's own servers leave it alone.
const PORT: u16 = 4443;
/// What each Python program begins with. `hello` is a `ClientHello` (RFC 8446 section 4.1.2).
const PRELUDE: &str = r"
import os, resource, select, socket, struct, sys, time
HOST, PORT = 'one.allowed.test', 4443
def counted(b): return struct.pack('>H', len(b)) + b
def hello(name=HOST):
    entry = b'\0' + counted(name.encode())
    extensions = counted(b'\0\0' + counted(counted(entry)) + b'\0\x2b\0\x03\x02\x03\x04')
    body = b'\3\3' + b'\7' * 32 + b'\0\0\2\x13\1\1\0' + extensions
    return b'\x16\3\1' + counted(b'\1\0' + counted(body))
def dial():
    s = socket.create_connection((HOST, PORT))
    s.settimeout(30)
    return s
def tunnel():
    s = dial()
    s.sendall(hello())
    return s
def rest(s):
    got = b''
    while True:
        piece = s.recv(65536)
        if not piece: return got
        got += piece
def say(*words): print(*words, flush=True)
";

fn policy() -> Value {
    json!({
        "version": 1,
        "network": { "allow": [
            { "name": "one", "hosts": ["one.allowed.test"], "ports": [format!("{PORT}/tcp")], "level": "name" },
        ] },
    })
}

/// Attends to every connection on a thread of its own, until the test's process ends.
#[track_caller]
fn serve(world: &TestWorld, attend: impl Fn(TcpStream) + Send + Sync + 'static) {
    let listener = world
        .internet()
        .run(|| Ok(TcpListener::bind(("::", PORT))?))
        .expect("the port is free");
    rustix::net::listen(&listener, 4096).expect("a longer backlog");
    let attend = Arc::new(attend);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let attend = Arc::clone(&attend);
            thread::spawn(move || attend(stream));
        }
    });
}

/// Reads the hello of a client, and what came with it.
fn hello(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).expect("a record");
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut body).expect("a hello");
    body
}

#[track_caller]
fn python<'world>(world: &'world TestWorld, program: &str, within: Duration) -> Run<'world> {
    let program = format!("{PRELUDE}{program}");
    let client = world.guarded(&["/usr/bin/python3", "-c", &program]);
    world.finish(client.and_then(|client| client.within(within).run()))
}

/// Resident memory of the daemon in KiB.
fn resident(world: &TestWorld) -> u64 {
    let pid = world.daemon().and_then(Daemon::pid).expect("it runs");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.expect("VmRSS")
}

#[test]
fn an_end_of_either_side_is_passed_on_and_the_other_way_goes_on() {
    let world = TestWorld::guarded(policy());
    let (tell, told) = channel();
    serve(&world, move |mut stream| {
        hello(&mut stream);
        let mut word = [0; 6];
        stream.read_exact(&mut word).expect("a word");
        if &word == b"client" {
            // The client has ended its side before it hears anything.
            let mut more = Vec::new();
            stream.read_to_end(&mut more).expect("the end");
            thread::sleep(Duration::from_millis(200));
            stream.write_all(b"after the end").expect("it listens");
        } else {
            stream.write_all(b"that was all").expect("it listens");
            stream.shutdown(Shutdown::Write).expect("half an end");
            let mut late = String::new();
            stream.read_to_string(&mut late).expect("the end");
            tell.send(late).expect("the test waits");
        }
    });
    let program = "
s = tunnel(); s.sendall(b'client'); s.shutdown(socket.SHUT_WR); say(rest(s))
s = tunnel(); s.sendall(b'server'); say(rest(s)); time.sleep(.2); s.sendall(b'late words'); s.close()";
    python(&world, program, Duration::from_secs(20))
        .works()
        .says("after the end")
        .says("that was all");
    let late = told
        .recv_timeout(Duration::from_secs(5))
        .expect("the server heard the end");
    assert_eq!(late, "late words");
}

#[test]
fn a_reset_of_either_side_is_passed_on_as_one() {
    let world = TestWorld::guarded(policy());
    let (tell, told) = channel();
    serve(&world, move |mut stream| {
        hello(&mut stream);
        let mut word = [0; 6];
        stream.read_exact(&mut word).expect("a word");
        if &word == b"server" {
            sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("SO_LINGER");
            return;
        }
        stream.write_all(b"go").expect("it listens");
        let ended = stream.read(&mut [0]).map_err(|error| error.kind());
        tell.send(ended).expect("the test waits");
    });
    let program = "
s = tunnel(); s.sendall(b'server')
try: say('end', rest(s))
except ConnectionResetError: say('was reset')
s = tunnel(); s.sendall(b'client'); s.recv(2)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()";
    python(&world, program, Duration::from_secs(20))
        .works()
        .says("was reset");
    let ended = told
        .recv_timeout(Duration::from_secs(5))
        .expect("the server heard of it");
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
}

/// Four hundred clients that never come to the point are ended in time, while another is served at
/// once and the daemon holds little.
#[test]
fn slow_hellos_and_slow_heads_are_ended_in_time() {
    let world = TestWorld::guarded(policy());
    serve(&world, |mut stream| {
        hello(&mut stream);
        stream.write_all(b"welcome").expect("it listens");
    });
    let before = resident(&world);
    let program = "
slow, ended, begun = {}, [], time.monotonic()
for n in range(400):
    s = dial()
    s.sendall(hello()[:20] if n % 2 else b'GET / HTTP/1.1\\r\\n')
    slow[s] = n
told = False
while slow and time.monotonic() - begun < 25:
    for s in select.select(list(slow), [], [], .5)[0]:
        try: end = s.recv(4096)
        except ConnectionResetError: end = b''
        if not end:
            ended.append(time.monotonic() - begun)
            del slow[s]
    for s, n in list(slow.items()):
        try: s.send(b'\\0' if n % 2 else b'X')
        except OSError: pass
    if not told:
        told, at = True, time.monotonic()
        s = tunnel(); s.recv(7)
        say('served in', time.monotonic() - at)
        say('fast' if time.monotonic() - at < 2 else 'late')
say(len(slow), 'left;', 'last after', max(ended, default=0))
sys.exit(0 if not slow and max(ended) < 20 else 1)";
    let run = python(&world, program, Duration::from_secs(40));
    run.works().says("fast");
    let grown = resident(&world).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more");
}

#[test]
fn floods_of_fields_and_giant_bodies_are_refused_without_being_held() {
    let world = TestWorld::guarded(policy());
    serve(&world, |mut stream| {
        // A server that takes its time: the body must not pile up.
        thread::sleep(Duration::from_secs(3));
        // One byte of it, and no more.
        stream.read_exact(&mut [0]).ok();
    });
    let before = resident(&world);
    let program = "
def ask(name, data):
    s = dial()
    try: s.sendall(data)
    except OSError: pass
    try: say(name, s.recv(4096).split(b'\\r\\n')[0].decode())
    except OSError as error: say(name, type(error).__name__)
head = b'POST / HTTP/1.1\\r\\nHost: one.allowed.test:4443\\r\\n'
ask('many', head + b'X-A: b\\r\\n' * 200 + b'\\r\\n')
ask('long', head + b'X-A: ' + b'b' * 70000 + b'\\r\\n\\r\\n')
ask('beyond', head + b'Content-Length: 18446744073709551616\\r\\n\\r\\n')
ask('chunk', head + b'Transfer-Encoding: chunked\\r\\n\\r\\nffffffffffffffffff\\r\\n')
s = dial(); s.setblocking(False); s.sendall(head + b'Content-Length: 4611686018427387904\\r\\n\\r\\n')
sent, end = 0, time.monotonic() + 2
while time.monotonic() < end:
    try: sent += s.send(b'x' * 65536)
    except BlockingIOError: time.sleep(.01)
say('giant', 'stopped' if sent < 64 << 20 else sent)
s.close()";
    let run = python(&world, program, Duration::from_secs(30));
    run.works()
        .says("many HTTP/1.1 431")
        .says("long HTTP/1.1 431")
        .says("beyond HTTP/1.1 4")
        .says("chunk HTTP/1.1 4")
        .says("giant stopped");
    let grown = resident(&world).saturating_sub(before);
    assert!(grown < 24 << 10, "{grown} KiB more");
}

/// Ten thousand, or as many as the machine gives files for: two for each, where root may not raise
/// its own limit.
#[test]
fn ten_thousand_tunnels_stand_at_a_time() {
    const TUNNELS: u64 = 10_000;
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: Some(hard.min(1 << 20)),
        maximum: Some(hard.max(1 << 20)),
    };
    let fit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => TUNNELS,
        Err(_) => TUNNELS.min((hard - 1200) / 2),
    };
    let world = TestWorld::guarded(policy());
    // One thread holds them all.
    let listener = world
        .internet()
        .run(|| Ok(TcpListener::bind(("::", PORT))?))
        .expect("the port is free");
    rustix::net::listen(&listener, 4096).expect("a longer backlog");
    thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            hello(&mut stream);
            stream.write_all(b"welcome").expect("it listens");
            held.push(stream);
        }
    });
    let program = format!(
        "
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
address = socket.getaddrinfo(HOST, PORT, type=socket.SOCK_STREAM)[0]
held = []
for n in range({fit}):
    s = socket.socket(address[0], socket.SOCK_STREAM)
    s.settimeout(20); s.connect(address[4]); s.sendall(hello())
    held.append(s)
say('welcomed', sum(s.recv(7) == b'welcome' for s in held))
sys.stdin.readline()"
    );
    let program = format!("{PRELUDE}{program}");
    let client = world.guarded(&["/usr/bin/python3", "-c", &program]);
    let mut child = client
        .expect("a guard")
        .within(Duration::from_mins(3))
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut said = String::new();
    let mut output = child.stdout.take().expect("a pipe");
    let mut byte = [0];
    while output.read(&mut byte).is_ok_and(|read| read > 0) && byte != *b"\n" {
        said.push(char::from(byte[0]));
    }
    let mebibytes = resident(&world) >> 10;
    drop(child.stdin.take());
    child.wait().expect("it was our child");
    assert_eq!(said, format!("welcomed {fit}"), "{}", world.report());
    assert!(mebibytes < 250, "{mebibytes} MiB");
}

#[test]
fn five_gigabytes_pass_and_are_counted() {
    const BYTES: u64 = 5 << 30;
    let logs = tempfile::Builder::new()
        .prefix("egressd-allowed-")
        .tempdir_in("/var/lib")
        .expect("the tests run as root");
    let mut policy = policy();
    policy["audit"] = json!({ "file": logs.path().join("audit.jsonl"), "allowed": true });
    let world = TestWorld::guarded(policy);
    let source = world.home().join("source");
    let sparse = File::create(&source).expect("the world is root's");
    sparse.set_len(BYTES).expect("a sparse file");
    serve(&world, move |mut stream| {
        hello(&mut stream);
        let mut file = File::open(&source).expect("it was made");
        std::io::copy(&mut file, &mut stream).expect("all of it goes out");
    });
    let program = "
s, count, buffer = tunnel(), 0, bytearray(1 << 20)
while (got := s.recv_into(buffer)): count += got
say('got', count)";
    let before = resident(&world);
    let run = python(&world, program, Duration::from_mins(4));
    run.works().says(&format!("got {BYTES}"));
    let grown = resident(&world).saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more");
    let counted = format!("{BYTES} bytes down");
    let recorded = wait_for("the record", Duration::from_secs(3), || {
        let log = world.ctl(&["log", "--json"]);
        log.works().outcome.stdout.contains(&counted)
    });
    assert!(recorded.is_ok(), "{}", world.report());
}

/// What arrives is what is sent, event by event.
#[test]
fn a_stream_of_events_is_not_held_back() {
    let world = TestWorld::guarded(policy());
    serve(&world, |mut stream| {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a request");
            request.push(byte[0]);
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("it listens");
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(60));
            let now = clock_gettime(ClockId::Monotonic);
            let event = format!("data: {}.{:09}\n\n", now.tv_sec, now.tv_nsec);
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            stream.write_all(chunk.as_bytes()).expect("it listens");
        }
        stream.write_all(b"0\r\n\r\n").expect("it listens");
    });
    let program = "
import http.client
c = http.client.HTTPConnection(HOST, PORT); c.request('GET', '/events')
r, late = c.getresponse(), []
while (line := r.readline()):
    if line.startswith(b'data: '): late.append(time.clock_gettime(time.CLOCK_MONOTONIC) - float(line[6:]))
late.sort()
say(len(late), 'events; in the middle', late[len(late) // 2], 'last', late[-1])
sys.exit(0 if len(late) == 30 and late[15] < .05 and late[-1] < 1 else 1)";
    python(&world, program, Duration::from_secs(20)).works();
}

/// A server that talks until it cannot, and says for how long after `begun` it could.
fn talkative(world: &TestWorld) -> Receiver<Instant> {
    let (tell, told): (Sender<Instant>, _) = channel();
    serve(world, move |mut stream| {
        hello(&mut stream);
        tell.send(Instant::now()).ok();
        let mut last = Instant::now();
        while stream.write_all(b"still here\n").is_ok() {
            last = Instant::now();
            thread::sleep(Duration::from_millis(20));
        }
        tell.send(last).ok();
    });
    told
}

const LISTEN: &str = "
s = tunnel()
try:
    while s.recv(4096): pass
except ConnectionResetError: pass";

#[test]
fn flows_go_on_for_a_while_when_the_daemon_stops_and_then_end() {
    let mut world = TestWorld::guarded(policy());
    let told = talkative(&world);
    let program = format!("{PRELUDE}{LISTEN}");
    let client = world.guarded(&["/usr/bin/python3", "-c", &program]);
    let mut child = client.expect("a guard").command();
    let mut child = child.spawn().expect("python starts");
    told.recv_timeout(Duration::from_secs(20))
        .expect("a flow has begun");
    let begun = Instant::now();
    world
        .with_daemon(0, |daemon, _| daemon.stop())
        .expect("it stops in time");
    let stopped = begun.elapsed();
    let last = told
        .recv_timeout(Duration::from_secs(5))
        .expect("the flow has ended");
    child.wait().expect("it was our child");
    let lasted = last.saturating_duration_since(begun);
    let bounds = Duration::from_secs(3)..Duration::from_secs(8);
    assert!(bounds.contains(&lasted), "the flow lasted {lasted:?}");
    assert!(stopped < Duration::from_secs(9), "{stopped:?}");
}

#[test]
fn flows_that_end_by_themselves_do_not_keep_the_daemon() {
    let mut world = TestWorld::guarded(policy());
    let told = talkative(&world);
    let program = format!(
        "{PRELUDE}s = tunnel()\nend = time.monotonic() + 2\nwhile time.monotonic() < end: s.recv(4096)"
    );
    let client = world.guarded(&["/usr/bin/python3", "-c", &program]);
    let mut child = client.expect("a guard").command();
    let mut child = child.spawn().expect("python starts");
    told.recv_timeout(Duration::from_secs(20))
        .expect("a flow has begun");
    let begun = Instant::now();
    world
        .with_daemon(0, |daemon, _| daemon.stop())
        .expect("it stops in time");
    let stopped = begun.elapsed();
    assert!(child.wait().expect("it was our child").success());
    assert!(stopped < Duration::from_secs(4), "{stopped:?}");
}

#[test]
fn flows_end_with_a_daemon_that_is_killed() {
    let mut world = TestWorld::guarded(policy());
    let told = talkative(&world);
    let program = format!(
        "{PRELUDE}{LISTEN}\ntry: tunnel().recv(1); say('it opened')\nexcept OSError as error: say('closed', error)"
    );
    let client = world.guarded(&["/usr/bin/python3", "-c", &program]);
    let mut child = client.expect("a guard").command();
    let child = child.stdout(Stdio::piped()).spawn().expect("python starts");
    told.recv_timeout(Duration::from_secs(20))
        .expect("a flow has begun");
    let begun = Instant::now();
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("it can be killed");
    let last = told
        .recv_timeout(Duration::from_secs(5))
        .expect("the flow has ended");
    assert!(last.saturating_duration_since(begun) < Duration::from_secs(2));
    let said = child.wait_with_output().expect("it was our child").stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("closed") && !said.contains("opened"),
        "{said}"
    );
}

#[test]
fn a_policy_without_the_rule_ends_what_it_had_let_through() {
    let mut without = policy();
    without["network"]["allow"][0]["hosts"] = json!(["two.allowed.test"]);
    ended_by(&without);
}

/// The name is still allowed; where it led is not.
#[test]
fn a_policy_that_denies_the_address_ends_what_it_had_let_through() {
    let mut denying = policy();
    denying["network"]["deny"] = json!([
        { "name": "that-net", "cidrs": ["203.0.113.0/28", "2001:db8:10::/48"] },
    ]);
    ended_by(&denying);
}

/// A flow that has begun ends when this policy comes.
#[track_caller]
fn ended_by(policy_then: &Value) {
    let world = TestWorld::guarded(policy());
    let told = talkative(&world);
    let program = format!("{PRELUDE}{LISTEN}");
    let client = world.guarded(&["/usr/bin/python3", "-c", &program]);
    let mut child = client.expect("a guard").command();
    let mut child = child.spawn().expect("python starts");
    told.recv_timeout(Duration::from_secs(20))
        .expect("a flow has begun");
    let begun = reload(&world, policy_then);
    let last = told
        .recv_timeout(Duration::from_secs(10))
        .expect("the flow has ended");
    assert!(last.saturating_duration_since(begun) < Duration::from_secs(3));
    child.wait().expect("it was our child");
    world.records_a_denial_of("revoked");
}

fn reload(world: &TestWorld, policy: &Value) -> Instant {
    let daemon = world.daemon().expect("there is an egressd");
    daemon.write_policy(policy).expect("the file is ours");
    daemon.signal("HUP").expect("it runs");
    Instant::now()
}

/// Judged and sent, and not yet answered.
#[test]
fn a_request_that_waits_for_its_answer_ends_with_its_rule() {
    let world = TestWorld::guarded(policy());
    let (asked, told) = channel();
    serve(&world, move |mut stream| {
        let mut head = [0; 1024];
        if stream.read(&mut head).is_ok_and(|length| length > 0) {
            asked.send(Instant::now()).ok();
            thread::sleep(Duration::from_secs(20));
        }
    });
    let program = format!(
        "{PRELUDE}
s = dial()
s.sendall(b'GET / HTTP/1.1\\r\\nHost: one.allowed.test:4443\\r\\nConnection: close\\r\\n\\r\\n')
say(rest(s).decode())
"
    );
    let client = world.guarded(&["/usr/bin/python3", "-c", &program]);
    let mut child = client.expect("a guard").command();
    let child = child.stdout(Stdio::piped()).spawn().expect("python starts");
    told.recv_timeout(Duration::from_secs(20))
        .expect("the request has come");
    let mut without = policy();
    without["network"]["allow"][0]["hosts"] = json!(["two.allowed.test"]);
    let begun = reload(&world, &without);
    wait_for("the record", Duration::from_secs(5), || {
        let denials = world.ctl(&["log", "--denied", "--json"]);
        denials.works().outcome.stdout.contains("revoked")
    })
    .expect("the request is given up");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let said = child.wait_with_output().expect("it was our child").stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("403") && said.contains("revoked"), "{said}");
}

/// Tunnels that are open when the last descriptor is gone have no pipes, and move on all the same.
#[test]
fn a_tunnel_goes_on_when_the_daemon_has_no_descriptor_left() {
    const LENGTH: usize = 1 << 20;
    let world = TestWorld::guarded(policy());
    let (begun, told) = channel();
    serve(&world, move |mut stream| {
        hello(&mut stream);
        begun.send(()).ok();
        let mut bytes = vec![0; LENGTH];
        stream.read_exact(&mut bytes).expect("all of it");
        stream.write_all(&bytes).expect("it listens");
    });
    let program = format!(
        "{PRELUDE}
s = tunnel()
sys.stdin.readline()
s.sendall(bytes({LENGTH}))
s.shutdown(socket.SHUT_WR)
say('had back', len(rest(s)))"
    );
    let client = world.guarded(&["/usr/bin/python3", "-c", &program]);
    let mut command = client.expect("a guard").command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python starts");
    told.recv_timeout(Duration::from_secs(20))
        .expect("the tunnel is open");
    let pid = world.daemon().and_then(Daemon::pid).expect("it runs");
    let none_left = Rlimit {
        current: Some(4),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let daemon = Pid::from_raw(pid.try_into().expect("a number"));
    prlimit(daemon, Resource::Nofile, none_left).expect("root may");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"go\n").expect("it waits");
    drop(stdin);
    let said = child.wait_with_output().expect("it was our child").stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains(&format!("had back {LENGTH}")), "{said}");
}

#[test]
fn a_guarded_command_keeps_its_limit_for_open_files() {
    let world = TestWorld::unguarded();
    let file = world.home().join("policy.json");
    fs::write(&file, policy().to_string()).expect("the world is root's");
    let words = [
        "prlimit",
        "--nofile=1000:15000",
        "egressd",
        "run",
        "--pin-dir",
        &world.home().join("bpf/files").display().to_string(),
        "--policy",
        &file.display().to_string(),
        "--user",
        "nobody",
        "--",
        "sh",
        "-c",
        "echo soft $(ulimit -Sn) hard $(ulimit -Hn)",
    ]
    .map(ToOwned::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    world
        .finish(world.unguarded(&words).as_root().run())
        .works()
        .says("soft 1000 hard 15000");
}

/// One of them cannot be reached: the answer says so, in time.
#[test]
fn a_host_that_does_not_answer_a_dial_is_given_up() {
    let world = TestWorld::guarded(policy());
    let drop = format!(
        "add table inet silent; add chain inet silent in {{ type filter hook input priority 0; }}; add rule inet silent in tcp dport {PORT} drop"
    );
    let mut nft = world.internet().command("nft");
    xtask::program::run(nft.arg(drop)).expect("nft takes the rule");
    let proxy = proxy_address(&world);
    let target = format!("https://one.allowed.test:{PORT}/");
    let run = world.finish(
        world
            .guarded(&["curl", "-sSv", "-x", &proxy, &target])
            .and_then(|client| client.within(Duration::from_secs(45)).run()),
    );
    run.fails_within(Duration::from_secs(40));
    run.says("502");
}
