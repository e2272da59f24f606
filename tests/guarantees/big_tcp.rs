//! What the kernel hands to a device in one buffer of more than 64 KiB passes like the packets that
//! are cut from it ("BIG TCP"; on loopback Linux makes such buffers by itself when a reader is slow).

use serde_json::json;
use xtask::world::place::{LINK, NAMELESS_V6};

use super::policy;
use crate::harness::TestWorld;

const CLIENT: &str = r"
import socket, sys, threading
stream = socket.create_connection((sys.argv[1], 9000))
def send():
    stream.sendall(bytes(8 << 20))
    stream.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
count = 0
while piece := stream.recv(1 << 20):
    count += len(piece)
print(count, 'came back')
";

#[test]
fn ipv6_buffers_of_more_than_64_kib_pass() {
    let world = TestWorld::guarded(policy());
    takes_large_buffers(&world, LINK);
    let server = NAMELESS_V6.to_string();
    let large = world.capture(&format!("host {server} and greater 70000"));
    let run = world.run(&["/usr/bin/python3", "-c", CLIENT, &server]);
    run.works().says("8388608 came back");
    let large = world.packets(&large);
    run.must(!large.is_empty(), "should have been sent in large buffers");
    denied_nothing(&world);
}

/// Where the kernel leads connections to the proxy, and where programs of a session talk.
#[test]
fn they_pass_on_loopback() {
    let allow = json!({ "loopback": { "allow": ["session"] } });
    let world = TestWorld::guarded(json!({ "version": 1, "network": allow }));
    takes_large_buffers(&world, "lo");
    let run = world.run(&["/usr/bin/python3", "-c", BOTH_ENDS]);
    run.works().says("8388608 arrived");
    denied_nothing(&world);
}

const BOTH_ENDS: &str = r"
import socket, threading, time
listener = socket.create_server(('::1', 0), family=socket.AF_INET6)
def send():
    with socket.create_connection(listener.getsockname()[:2]) as stream:
        stream.sendall(bytes(8 << 20))
threading.Thread(target=send).start()
stream, _ = listener.accept()
time.sleep(0.2)
count = 0
while piece := stream.recv(1 << 20):
    count += len(piece)
print(count, 'arrived')
";

#[track_caller]
fn takes_large_buffers(world: &TestWorld, device: &str) {
    let set = ["link", "set", device, "gso_max_size", "196608"];
    let status = world.machine().command("ip").args(set).status();
    assert!(status.expect("ip runs").success(), "no BIG TCP here");
}

/// A buffer that is dropped is sent again in pieces after 0.2 s, so that all comes all the same.
#[track_caller]
fn denied_nothing(world: &TestWorld) {
    let denied = world.ctl(&["log", "--denied", "--json"]);
    assert_eq!(denied.outcome.stdout, "", "{}", world.report());
}
