//! The filter of system calls, from inside a session: each denied call is tried for real.

use serde_json::json;

use super::policy;
use crate::harness::TestWorld;

/// Tries every line `NAME NUMBER ARGUMENTS`, and prints the name of the errno or `ok`.
const TRY: &str = r"
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
for line in sys.argv[1:]:
    name, number, *arguments = line.split()
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(int(number, 0)), *(ctypes.c_long(int(a, 0)) for a in arguments))
    print(name, 'ok' if result >= 0 else errno.errorcode[ctypes.get_errno()])
";

/// Calls with arguments that fail with something else, or succeed, where nothing denies them.
#[rustfmt::skip]
fn denied() -> Vec<(&'static str, i64, &'static str, &'static str)> {
    vec![
        ("socket-packet", libc::SYS_socket, "17 3 0", "EAFNOSUPPORT"),
        ("socket-alg", libc::SYS_socket, "38 5 0", "EAFNOSUPPORT"),
        ("socket-xdp", libc::SYS_socket, "44 3 0", "EAFNOSUPPORT"),
        ("socket-smc", libc::SYS_socket, "43 1 0", "EAFNOSUPPORT"),
        ("socket-uevent", libc::SYS_socket, "16 3 15", "EAFNOSUPPORT"),
        ("socket-audit", libc::SYS_socket, "16 3 9", "EAFNOSUPPORT"),
        ("socket-netfilter", libc::SYS_socket, "16 3 12", "EAFNOSUPPORT"),
        ("socket-raw", libc::SYS_socket, "2 3 1", "EPERM"),
        ("socket-raw-6", libc::SYS_socket, "10 3 58", "EPERM"),
        ("socket-old-packet", libc::SYS_socket, "2 10 3", "EPERM"),
        ("socketpair-tipc", libc::SYS_socketpair, "30 1 0 0", "EAFNOSUPPORT"),
        ("io_uring_setup", libc::SYS_io_uring_setup, "1 0", "ENOSYS"),
        ("io_uring_enter", libc::SYS_io_uring_enter, "-1 0 0 0 0", "ENOSYS"),
        ("io_uring_register", libc::SYS_io_uring_register, "-1 0 0 0", "ENOSYS"),
        ("add_key", libc::SYS_add_key, "0 0 0 0 0", "EPERM"),
        ("request_key", libc::SYS_request_key, "0 0 0 0", "EPERM"),
        ("keyctl", libc::SYS_keyctl, "0 -3 0", "EPERM"),
        ("ptrace-traceme", libc::SYS_ptrace, "0 0 0 0", "EPERM"),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, "-1 0 0", "EPERM"),
        ("process_vm_readv", libc::SYS_process_vm_readv, "1 0 0 0 0 0", "EPERM"),
        ("process_vm_writev", libc::SYS_process_vm_writev, "1 0 0 0 0 0", "EPERM"),
        ("kcmp", libc::SYS_kcmp, "-1 -1 0 0 0", "EPERM"),
        ("bpf", libc::SYS_bpf, "99 0 0", "EPERM"),
        ("userfaultfd", libc::SYS_userfaultfd, "1", "EPERM"),
        ("perf_event_open", libc::SYS_perf_event_open, "0 0 -1 -1 0", "EPERM"),
        ("open_tree", libc::SYS_open_tree, "-1 0 0", "EPERM"),
        ("fsopen", libc::SYS_fsopen, "0 0", "EPERM"),
        ("move_mount", libc::SYS_move_mount, "-1 0 -1 0 0", "EPERM"),
        ("setns", libc::SYS_setns, "-1 0", "EPERM"),
        ("unshare-user", libc::SYS_unshare, "0x10000000", "EPERM"),
        ("unshare-user-net", libc::SYS_unshare, "0x50000000", "EPERM"),
        ("clone-user", libc::SYS_clone, "0x10000011 0 0 0 0", "EPERM"),
        ("clone3", libc::SYS_clone3, "0 0", "ENOSYS"),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, "-1 0 0", "EPERM"),
        ("ioctl-tiocsti", libc::SYS_ioctl, "-1 0x5412 0", "EPERM"),
        ("ioctl-tioclinux", libc::SYS_ioctl, "-1 0x541c 0", "EPERM"),
    ]
}

#[test]
fn every_denied_call_is_refused_in_a_session_and_not_outside() {
    let world = TestWorld::guarded(policy());
    let lines: Vec<String> = denied()
        .iter()
        .map(|(name, number, arguments, _)| format!("{name} {number} {arguments}"))
        .collect();
    let mut words = vec!["/usr/bin/python3", "-c", TRY];
    words.extend(lines.iter().map(String::as_str));
    let inside = world.run(&words);
    let expected: Vec<String> = denied()
        .iter()
        .map(|(name, _, _, errno)| format!("{name} {errno}"))
        .collect();
    let said: Vec<&str> = inside.works().outcome.stdout.lines().collect();
    assert_eq!(said, expected, "{}", inside.outcome);
    // Outside, at least these are let through: the test tells the filter from the kernel.
    let outside = ["socket-uevent", "ptrace-traceme", "unshare-user", "keyctl"];
    let lines: Vec<String> = denied()
        .iter()
        .filter(|(name, ..)| outside.iter().any(|one| one.starts_with(name)))
        .map(|(name, number, arguments, _)| format!("{name} {number} {arguments}"))
        .collect();
    let mut words = vec!["/usr/bin/python3", "-c", TRY];
    words.extend(lines.iter().map(String::as_str));
    let free = world.run_unguarded(&words);
    for line in free.works().outcome.stdout.lines() {
        free.must(
            line.ends_with(" ok"),
            &format!("should have let through: {line}"),
        );
    }
    assert_eq!(free.outcome.stdout.lines().count(), outside.len());
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_of_x32_ends_the_process() {
    let world = TestWorld::guarded(policy());
    let getpid = format!("getpid {}", 0x4000_0000 + libc::SYS_getpid);
    let run = world.run(&["/usr/bin/python3", "-c", TRY, &getpid]);
    // SIGSYS.
    run.must(run.outcome.status == 128 + 31, "should have been ended");
    let socket = format!("socket {} 2 1 0", 0x4000_0000 + libc::SYS_socket);
    let run = world.run(&["/usr/bin/python3", "-c", TRY, &socket]);
    run.must(run.outcome.status == 128 + 31, "should have been ended");
}

#[test]
fn what_programs_need_is_left() {
    let world = TestWorld::guarded(policy());
    let python = r"
import os, socket, subprocess, threading
for family in socket.AF_UNIX, socket.AF_INET, socket.AF_INET6:
    socket.socket(family, socket.SOCK_STREAM).close()
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
socket.socketpair()
thread = threading.Thread(target=lambda: print('thread'), daemon=False); thread.start(); thread.join()
print(subprocess.check_output(['echo', 'process'], text=True), end='')
if os.fork() == 0: os._exit(0)
os.wait()
os.unshare(os.CLONE_FILES) if hasattr(os, 'unshare') else None
print(socket.if_nameindex()[0][1], os.environ['EGRESSD_SESSION'] != '')
";
    let run = world.run(&["/usr/bin/python3", "-c", python]);
    run.works().says("thread").says("process").says("lo True");
    let node = "new (require('worker_threads').Worker)('console.log(1 + 1)', { eval: true }); console.log(Object.keys(require('os').networkInterfaces()).length > 0)";
    world
        .run(&["node", "-e", node])
        .works()
        .says("2")
        .says("true");
}

#[test]
fn a_policy_can_leave_the_filter_out_and_every_run_says_so() {
    let mut policy = policy();
    policy["session"] = json!({ "seccomp": "off" });
    let world = TestWorld::guarded(policy);
    let keyctl = format!("keyctl {} 0 -3 0", libc::SYS_keyctl);
    let run = world.run(&["/usr/bin/python3", "-c", TRY, &keyctl]);
    run.works()
        .says("keyctl ok")
        .says("egressd: not active in this run: seccomp (off in the policy)");
}
