//! What the kernel hands to a device in one buffer of more than 64 KiB passes like the packets that
//! are cut from it ("BIG TCP"; on loopback Linux makes such buffers by itself when a reader is slow).

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
    let set = ["link", "set", LINK, "gso_max_size", "196608"];
    let status = world.machine().command("ip").args(set).status();
    assert!(status.expect("ip runs").success(), "no BIG TCP here");
    let server = NAMELESS_V6.to_string();
    let large = world.capture(&format!("host {server} and greater 70000"));
    let run = world.run(&["/usr/bin/python3", "-c", CLIENT, &server]);
    run.works().says("8388608 came back");
    let large = world.packets(&large);
    run.must(!large.is_empty(), "should have been sent in large buffers");
    // One that is dropped is sent again in pieces after 0.2 s, so that all comes back all the same.
    let denied = world.ctl(&["log", "--denied", "--json"]);
    assert_eq!(denied.outcome.stdout, "", "{}", world.report());
}
