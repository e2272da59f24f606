//! The control socket is given nonsense, and goes on serving.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use xtask::world::place::NAMELESS_V4;

use crate::{agent::Agent, guarantees::only, harness::TestWorld};

#[test]
fn garbage_half_a_message_and_a_gigabyte_harm_nobody() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let socket = world
        .daemon()
        .expect("there is an egressd")
        .files()
        .socket
        .clone();
    for garbage in [
        &b"\n"[..],
        b"\0\xff\xfe\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"[]\n",
        b"{\"v\":9,\"op\":\"status\"}\n",
        b"{\"v\":1,\"op\":\"format\"}\n",
    ] {
        let mut stream = connect(&socket);
        stream.write_all(garbage).expect("it is taken");
        let answer = line(&stream);
        assert!(answer.contains("\"error\""), "{garbage:?}: {answer}");
        serves(&world);
    }
    let deep = [b"{\"v\":1,\"op\":".as_slice(), &b"[".repeat(60_000), b"\n"].concat();
    let mut stream = connect(&socket);
    stream.write_all(&deep).expect("it is taken");
    assert!(line(&stream).contains("\"error\""));
    let mut half = connect(&socket);
    half.write_all(b"{\"v\":1,\"op\":\"sta")
        .expect("it is taken");
    serves(&world);
    let mut endless = connect(&socket);
    let block = vec![b'x'; 1 << 20];
    let mut sent = 0_u64;
    while sent < 1 << 30 && endless.write_all(&block).is_ok() {
        sent += block.len() as u64;
    }
    assert!(sent < 64 << 20, "egressd read {sent} bytes");
    serves(&world);
    drop(half);
}

#[test]
fn a_thousand_clients_leave_room_for_root() {
    let world = TestWorld::guarded(only(&[NAMELESS_V4]));
    let socket = world
        .daemon()
        .expect("there is an egressd")
        .files()
        .socket
        .display()
        .to_string();
    let mut outside = Agent::unguarded(&world);
    let mut inside = Agent::start(&world);
    outside.does(&format!("crowd {socket} 1000"));
    inside.does(&format!("crowd {socket} 1000"));
    serves(&world);
    inside.expect(&format!("connect {NAMELESS_V4} 9000"), "ok");
    drop((outside, inside));
    serves(&world);
}

#[track_caller]
fn serves(world: &TestWorld) {
    let begun = Instant::now();
    world.ctl(&["status"]).works();
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
}

#[track_caller]
fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("egressd listens");
    let patience = Some(Duration::from_secs(5));
    stream
        .set_read_timeout(patience)
        .expect("a socket takes a timeout");
    stream
        .set_write_timeout(patience)
        .expect("a socket takes a timeout");
    stream
}

fn line(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok();
    line
}
