//! Programs outside that do what they are asked: over UNIX sockets, and over loopback.
//!
//! The helper stands for all of them: a container engine, a terminal multiplexer, a proxy.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::bait::{abstracted, ask, unix};
use crate::escape::{
    Attempt, Ground, Limit, Outcome,
    attempt::Tried,
    ground::{NEAR_V4, NEAR_V6},
    helper::{AMONG_FILES, WANTED},
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "unix-socket",
        title: "asking a program outside over its UNIX socket",
        run: |ground| Outcome::of(unix(&ground.helper_socket).and_then(ask)),
        limit: None,
    },
    Attempt {
        name: "unix-abstract",
        title: "the same over an abstract UNIX socket",
        run: |ground| Outcome::of(abstracted(&ground.helper_abstract).and_then(ask)),
        limit: None,
    },
    Attempt {
        name: "unix-through-root",
        title: "the same through /proc/PID/root of a process outside",
        run: |ground| Outcome::of(through(ground, "root", &ground.helper_socket)),
        limit: None,
    },
    Attempt {
        name: "unix-through-cwd",
        title: "the same through /proc/PID/cwd of a process outside",
        run: |ground| Outcome::of(through_cwd(ground)),
        limit: None,
    },
    Attempt {
        name: "unix-by-link",
        title: "the same by a hard link to the socket",
        run: |ground| Outcome::of(by_link(ground)),
        limit: None,
    },
    Attempt {
        name: "unix-among-files",
        title: "the same in a directory of the agent's own",
        run: |ground| {
            let path = ground.scratch.join(AMONG_FILES);
            Outcome::of(unix(&path).and_then(ask))
        },
        limit: None,
    },
    Attempt {
        name: "unix-made-later",
        title: "a UNIX socket that a program outside makes later",
        run: |ground| Outcome::of(made(ground, "later.sock")),
        limit: Some(LATER_LIMIT),
    },
    Attempt {
        name: "unix-made-again",
        title: "a UNIX socket that a program outside makes again",
        run: |ground| Outcome::of(made(ground, AMONG_FILES)),
        limit: Some(LATER_LIMIT),
    },
    Attempt {
        name: "loopback-proxy",
        title: "asking a proxy on 127.0.0.1",
        run: |ground| Outcome::of(proxy(ground, Ipv4Addr::LOCALHOST.into())),
        limit: None,
    },
    Attempt {
        name: "loopback-proxy-v6",
        title: "asking a proxy on ::1",
        run: |ground| Outcome::of(proxy(ground, Ipv6Addr::LOCALHOST.into())),
        limit: None,
    },
    Attempt {
        name: "loopback-proxy-mapped",
        title: "asking a proxy on ::ffff:127.0.0.1",
        run: |ground| Outcome::of(proxy(ground, Ipv4Addr::LOCALHOST.to_ipv6_mapped().into())),
        limit: None,
    },
    Attempt {
        name: "loopback-proxy-unspecified",
        title: "asking a proxy on 0.0.0.0",
        run: |ground| Outcome::of(proxy(ground, Ipv4Addr::UNSPECIFIED.into())),
        limit: None,
    },
    Attempt {
        name: "own-address-proxy",
        title: "asking a proxy on the machine's own address",
        run: |ground| Outcome::of(proxy(ground, NEAR_V4.into())),
        limit: None,
    },
    Attempt {
        name: "own-address-proxy-v6",
        title: "asking a proxy on the machine's own IPv6 address",
        run: |ground| Outcome::of(proxy(ground, NEAR_V6.into())),
        limit: None,
    },
];

/// The private view knows the sockets that were there when the session began.
const LATER_LIMIT: Limit = Limit::Everyone(
    "sockets that programs outside make later, where the agent may look, are held by the LSM \
     programs or Landlock ABI 9 alone",
);

const PATIENCE: Duration = Duration::from_millis(800);

fn proxy(ground: &Ground, address: IpAddr) -> Tried {
    let proxy = SocketAddr::from((address, ground.helper_port));
    let stream =
        TcpStream::connect_timeout(&proxy, PATIENCE).map_err(Outcome::refused("connect"))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(Outcome::refused("setsockopt"))?;
    ask(stream)
}

/// Goes to the helper's socket through a link of the helper's, where no private view hides it.
fn through(ground: &Ground, link: &str, path: &Path) -> Tried {
    let link = PathBuf::from(format!("/proc/{}/{link}", ground.helper_pid));
    short(ground, &link.join(path.strip_prefix("/").unwrap_or(path)))
}

fn through_cwd(ground: &Ground) -> Tried {
    // Enough steps up from any directory.
    let up: PathBuf = std::iter::repeat_n("..", 16).collect();
    through(
        ground,
        "cwd",
        &up.join(
            ground
                .helper_socket
                .strip_prefix("/")
                .unwrap_or(&ground.helper_socket),
        ),
    )
}

/// Connects over a symbolic link of the own: socket names hold about a hundred bytes.
fn short(ground: &Ground, path: &Path) -> Tried {
    let link = ground.scratch.join(format!("to-{}", std::process::id()));
    std::os::unix::fs::symlink(path, &link).map_err(Outcome::refused("symlink"))?;
    let stream = unix(&link);
    fs::remove_file(&link).unwrap_or_default();
    ask(stream?)
}

/// Has a socket made now, and asks it as soon as it answers.
fn made(ground: &Ground, name: &str) -> Tried {
    let draft = ground.scratch.join("draft");
    fs::write(&draft, name).map_err(Outcome::refused("write"))?;
    fs::rename(&draft, ground.scratch.join(WANTED)).map_err(Outcome::refused("rename"))?;
    let path = ground.scratch.join(name);
    let until = Instant::now() + PATIENCE;
    loop {
        match unix(&path) {
            Ok(stream) => return ask(stream),
            Err(refusal) if Instant::now() > until => return Err(refusal),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// A second name for the socket, made where nothing hides it.
fn by_link(ground: &Ground) -> Tried {
    let link = ground.scratch.join(format!("link-{}", std::process::id()));
    fs::hard_link(&ground.helper_socket, &link).map_err(Outcome::refused("link"))?;
    let stream = unix(&link);
    fs::remove_file(&link).unwrap_or_default();
    ask(stream?)
}
