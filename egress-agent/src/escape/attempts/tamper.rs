//! The guard itself: its socket, its programs, its pins, its files.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use super::{
    bait::{absent, escaped},
    system::{self, Word},
};
use crate::{
    audit::filter::Filter,
    control::{
        client::{Client, ClientError},
        message::{Code, Request},
    },
    escape::{Attempt, Ground, Outcome, attempt::Tried},
};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "control-release",
        title: "asking the daemon to take the guard off",
        run: |ground| Outcome::of(command(ground, &Request::Release { guard: None })),
        limit: None,
    },
    Attempt {
        name: "control-reload",
        title: "asking the daemon to read the policy again",
        run: |ground| Outcome::of(command(ground, &Request::Reload { guard: None })),
        limit: None,
    },
    Attempt {
        name: "control-enter",
        title: "asking the daemon for another session",
        run: |ground| {
            let enter = Request::parse(br#"{"v":1,"op":"enter","command":["escape"]}"#);
            let enter = enter.map_err(|failure| Outcome::Refused(failure.message));
            Outcome::of(enter.and_then(|enter| command(ground, &enter)))
        },
        limit: None,
    },
    Attempt {
        name: "control-end",
        title: "asking the daemon to end a session",
        run: |ground| {
            let end = Request::End {
                session: "escape".to_owned(),
            };
            Outcome::of(command(ground, &end))
        },
        limit: None,
    },
    Attempt {
        name: "control-log",
        title: "asking the daemon for the log of others",
        run: |ground| {
            let log = Request::Log {
                filter: Filter::default(),
                last: Some(1),
                follow: false,
            };
            Outcome::of(command(ground, &log))
        },
        limit: None,
    },
    Attempt {
        name: "guard-links",
        title: "taking the kernel programs off by their ids",
        run: |_| Outcome::of(links()),
        limit: None,
    },
    Attempt {
        name: "guard-maps",
        title: "changing the kernel tables by their ids",
        run: |_| Outcome::of(maps()),
        limit: None,
    },
    Attempt {
        name: "guard-pins",
        title: "opening the pinned programs and tables",
        run: |ground| Outcome::of(pinned(ground)),
        limit: None,
    },
    Attempt {
        name: "guard-pins-removed",
        title: "removing the pins",
        run: |ground| Outcome::of(removable(ground)),
        limit: None,
    },
    Attempt {
        name: "guard-files",
        title: "writing the policy, the log or the runtime directory",
        run: |ground| Outcome::of(writable(ground)),
        limit: None,
    },
];

/// Asks for what only root outside may have. The control run asks for something that changes
/// nothing and needs the same standing, as the guard is to survive it.
fn command(ground: &Ground, request: &Request) -> Tried {
    let Some(socket) = &ground.guard.control else {
        return absent("no daemon was named");
    };
    let harmless = Request::Sessions {};
    let request = if ground.guarded { request } else { &harmless };
    let reply = Client::connect(socket).and_then(|mut client| client.request(request));
    match reply {
        Ok(_) => escaped("the daemon did it"),
        Err(ClientError::Failed(failure)) if failure.code == Code::Forbidden => {
            Err(Outcome::Refused(failure.message))
        }
        // It would have done it, had it been possible.
        Err(ClientError::Failed(failure)) => escaped(format!("the daemon tried: {failure}")),
        Err(error) => Err(Outcome::Refused(error.to_string())),
    }
}

/// Commands of bpf(2), `include/uapi/linux/bpf.h`.
const BPF_OBJ_GET: usize = 7;
const BPF_MAP_GET_NEXT_ID: usize = 12;
const BPF_MAP_GET_FD_BY_ID: usize = 14;
const BPF_LINK_GET_FD_BY_ID: usize = 30;
const BPF_LINK_GET_NEXT_ID: usize = 31;

/// A descriptor of a link is all that `BPF_LINK_DETACH` needs; it is closed again.
fn links() -> Tried {
    by_id("link", BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID)
}

/// The same for `BPF_MAP_UPDATE_ELEM`.
fn maps() -> Tried {
    by_id("map", BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID)
}

fn by_id(what: &str, next: usize, open: usize) -> Tried {
    // `struct bpf_attr`: start_id or the id, next_id, open_flags.
    let mut attributes = [0_u8; 128];
    bpf(next, &mut attributes).map_err(Outcome::refused("bpf, next id"))?;
    let (_, rest) = attributes.split_at(4);
    let (id, _) = rest.split_at(4);
    let id = id.to_vec();
    let mut attributes = [0_u8; 128];
    attributes
        .iter_mut()
        .zip(&id)
        .for_each(|(to, from)| *to = *from);
    bpf(open, &mut attributes).map_err(Outcome::refused("bpf, descriptor by id"))?;
    escaped(format!("holds a {what} of the kernel"))
}

/// Opens anything below the pin directory, for writing where it is a map.
fn pinned(ground: &Ground) -> Tried {
    let pins = pins(ground)?;
    let mut refusal = None;
    for path in below(pins).map_err(Outcome::refused("list the pins"))? {
        let name = [path.as_os_str().as_encoded_bytes(), b"\0"].concat();
        // `struct bpf_attr`: the address of the path, bpf_fd, file_flags.
        let mut attributes = [0_u8; 128];
        attributes
            .iter_mut()
            .zip((name.as_ptr().addr() as u64).to_ne_bytes())
            .for_each(|(to, from)| *to = from);
        match bpf(BPF_OBJ_GET, &mut attributes) {
            Ok(_) => return escaped(format!("holds {}", path.display())),
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err(Outcome::refused("bpf, open a pin")(error)),
        None if ground.guarded => Err(Outcome::Refused("no pin is to be seen".to_owned())),
        None => absent("no pin is there"),
    }
}

/// Who may make a directory beside the pins may remove them too; it is removed again.
fn removable(ground: &Ground) -> Tried {
    let pins = pins(ground)?;
    let mut directories = vec![pins.to_owned()];
    directories.extend(
        below(pins)
            .map_err(Outcome::refused("list the pins"))?
            .iter()
            .filter_map(|path| path.parent().map(Path::to_owned)),
    );
    let mut refusal = None;
    for directory in directories {
        match make_in(&directory, true) {
            Ok(()) => return escaped(format!("may change {}", directory.display())),
            Err(error) => refusal = Some(error),
        }
    }
    refusal.map_or(Ok(()), |error| Err(Outcome::refused("mkdir")(error)))
}

fn pins(ground: &Ground) -> Tried<&Path> {
    match &ground.guard.pins {
        Some(pins) => Ok(pins),
        None => absent("no pins were named"),
    }
}

/// Opens files for writing without writing, and makes an empty file in directories.
fn writable(ground: &Ground) -> Tried {
    let mut refusal = None;
    for path in &ground.guard.files {
        let tried = if path.is_dir() {
            make_in(path, false)
        } else {
            OpenOptions::new().append(true).open(path).map(drop)
        };
        match tried {
            Ok(()) => return escaped(format!("may write {}", path.display())),
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err(Outcome::refused("open for writing")(error)),
        None => absent("no files were named"),
    }
}

/// Makes a directory or an empty file, and removes it.
fn make_in(directory: &Path, is_directory: bool) -> std::io::Result<()> {
    let made = directory.join(format!("escape-{}", std::process::id()));
    if is_directory {
        fs::create_dir(&made)?;
        fs::remove_dir(&made)
    } else {
        fs::File::create_new(&made)?;
        fs::remove_file(&made)
    }
}

/// Every file below a directory.
fn below(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn bpf(command: usize, attributes: &mut [u8; 128]) -> std::io::Result<usize> {
    let size = attributes.len();
    system::call(
        libc::SYS_bpf,
        vec![
            Word::Number(command),
            Word::Out(attributes),
            Word::Number(size),
        ],
    )
}
