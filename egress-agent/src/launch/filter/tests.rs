//! The programs are run here, by a small machine for what they are made of.
#![expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "numbers and flags of system calls are small and positive"
)]

use std::path::Path;

use super::*;

/// Actions of seccomp(2), the strongest last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Action {
    Allow,
    Errno(u32),
    Kill,
}

const OWN: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else {
    0xc000_00b7
};
const I386: u32 = 0x4000_0003;

/// Runs one program over `struct seccomp_data`.
fn run(program: &[sock_filter], data: &[u8]) -> u32 {
    let (mut accumulator, mut at) = (0_u32, 0_usize);
    loop {
        let sock_filter { code, jt, jf, k } = program[at].clone();
        let code = u32::from(code);
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { jt } else { jf });
        match code & 7 {
            libc::BPF_LD => {
                let from = k as usize;
                accumulator = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
            }
            libc::BPF_ALU => {
                assert_eq!(code & 0xf0, libc::BPF_AND);
                accumulator &= k;
            }
            libc::BPF_JMP => match code & 0xf0 {
                libc::BPF_JA => at += k as usize,
                libc::BPF_JEQ => jump(accumulator == k),
                libc::BPF_JGT => jump(accumulator > k),
                libc::BPF_JGE => jump(accumulator >= k),
                other => panic!("jump {other:#x}"),
            },
            libc::BPF_RET => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// What all programs together do: the kernel takes the strongest action.
fn decide(architecture: u32, number: i64, arguments: [u64; 3]) -> Action {
    let mut data = Vec::new();
    data.extend((number as u32).to_ne_bytes());
    data.extend(architecture.to_ne_bytes());
    data.extend(0_u64.to_ne_bytes());
    for argument in arguments.into_iter().chain([0; 3]) {
        data.extend(argument.to_ne_bytes());
    }
    let actions = programs()
        .unwrap()
        .into_iter()
        .map(|program| match run(&program, &data) {
            libc::SECCOMP_RET_ALLOW => Action::Allow,
            libc::SECCOMP_RET_KILL_PROCESS => Action::Kill,
            other => {
                assert_eq!(other & 0xffff_0000, libc::SECCOMP_RET_ERRNO);
                Action::Errno(other & 0xffff)
            }
        });
    actions.max().unwrap()
}

#[track_caller]
fn check(number: i64, arguments: [u64; 3], expected: Action) {
    assert_eq!(
        decide(OWN, number, arguments),
        expected,
        "{number} {arguments:?}"
    );
}

const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);
const EAFNOSUPPORT: Action = Action::Errno(97);

#[test]
fn only_four_families_of_sockets_are_left() {
    let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64;
    for family in 0..64_u64 {
        let expected = match i32::try_from(family).unwrap() {
            libc::AF_UNIX | libc::AF_INET | libc::AF_INET6 | libc::AF_NETLINK => Action::Allow,
            _ => EAFNOSUPPORT,
        };
        for number in [libc::SYS_socket, libc::SYS_socketpair] {
            check(number, [family, 1, 0], expected);
            check(number, [family, 1 | flags, 0], expected);
            // The kernel takes an int: what stands above it is not looked at.
            check(number, [family | 1 << 32, 1, 0], expected);
        }
    }
}

#[test]
fn of_netlink_only_the_routing_tables_are_left() {
    for protocol in 0..32_u64 {
        let expected = if protocol == 0 {
            Action::Allow
        } else {
            EAFNOSUPPORT
        };
        check(libc::SYS_socket, [16, 3 | 0o2_000_000, protocol], expected);
    }
}

#[test]
fn raw_sockets_are_refused_with_and_without_flags() {
    for flags in [0, libc::SOCK_CLOEXEC as u64, libc::SOCK_NONBLOCK as u64] {
        for family in [2, 10] {
            check(libc::SYS_socket, [family, 3 | flags, 1], EPERM);
            check(
                libc::SYS_socket,
                [family, u64::from(PACKET) | flags, 3],
                EPERM,
            );
            check(libc::SYS_socket, [family, 1 | flags, 0], Action::Allow);
            check(libc::SYS_socket, [family, 2 | flags, 0], Action::Allow);
        }
    }
}

#[test]
fn what_is_always_denied_is_denied_with_any_arguments() {
    for denial in DENIALS
        .iter()
        .filter(|denial| matches!(denial.when, When::Always))
    {
        let expected = Action::Errno(denial.errno.number());
        for arguments in [[0; 3], [1, 2, 3], [u64::MAX; 3]] {
            check(denial.number, arguments, expected);
        }
    }
    check(libc::SYS_io_uring_setup, [0; 3], ENOSYS);
    check(libc::SYS_clone3, [0; 3], ENOSYS);
    check(libc::SYS_ptrace, [0; 3], EPERM);
}

#[test]
fn threads_and_processes_begin_and_namespaces_do_not() {
    let thread = (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_THREAD | libc::CLONE_SETTLS) as u64;
    check(libc::SYS_clone, [thread, 0, 0], Action::Allow);
    check(libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0], Action::Allow);
    check(
        libc::SYS_unshare,
        [libc::CLONE_FILES as u64, 0, 0],
        Action::Allow,
    );
    for flag in [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ] {
        check(
            libc::SYS_clone,
            [(flag | libc::SIGCHLD) as u64, 0, 0],
            EPERM,
        );
        check(libc::SYS_unshare, [flag as u64, 0, 0], EPERM);
    }
    check(libc::SYS_unshare, [0x80, 0, 0], EPERM);
}

#[test]
fn nobody_types_for_the_terminal() {
    check(libc::SYS_ioctl, [0, libc::TIOCSTI, 0], EPERM);
    check(libc::SYS_ioctl, [0, libc::TIOCSTI | 1 << 32, 0], EPERM);
    check(libc::SYS_ioctl, [0, libc::TIOCLINUX, 0], EPERM);
    check(libc::SYS_ioctl, [0, libc::TIOCGWINSZ, 0], Action::Allow);
}

#[test]
fn nobody_joins_a_group_and_other_options_pass() {
    for (level, joins) in [
        (0, &[35, 39, 41, 42, 46, 48][..]),
        (41, &[20, 27, 42, 46, 48]),
    ] {
        for option in 0..80 {
            let expected = if joins.contains(&option) {
                EPERM
            } else {
                Action::Allow
            };
            check(libc::SYS_setsockopt, [7, level, option], expected);
        }
    }
    // SO_BINDTODEVICE and TCP_NODELAY.
    check(libc::SYS_setsockopt, [7, 1, 25], Action::Allow);
    check(libc::SYS_setsockopt, [7, 6, 1], Action::Allow);
}

#[test]
fn other_architectures_and_x32_end_the_process() {
    assert_eq!(decide(I386, 20, [0; 3]), Action::Kill);
    for number in [0, 41, 101, 512, 547] {
        check(0x4000_0000 | number, [2, 1, 0], Action::Kill);
    }
}

#[test]
fn ordinary_calls_pass() {
    for number in [
        libc::SYS_read,
        libc::SYS_openat,
        libc::SYS_execve,
        libc::SYS_connect,
        libc::SYS_sendmsg,
        libc::SYS_chroot,
        libc::SYS_seccomp,
        libc::SYS_prctl,
        libc::SYS_name_to_handle_at,
        libc::SYS_landlock_create_ruleset,
    ] {
        check(number, [1, 1, 1], Action::Allow);
    }
}

#[test]
fn the_page_shows_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/README.md");
    let text = std::fs::read_to_string(file).unwrap();
    // The two calls of x86_64 alone are on the page of every architecture.
    if cfg!(target_arch = "x86_64") {
        assert!(
            text.contains(&page()),
            "policy/README.md should have\n{}",
            page()
        );
    }
}
