//! How many files this process may have open: a tunnel of the proxy has two sockets, and one that
//! moves bytes up to two pipes.

use rustix::{
    io::Errno,
    process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit},
};

/// For the flows of several guards ([`crate::proxy::gate`] bounds those of one), all of them busy.
const WANTED: u64 = 128 << 10;

/// Raises the limit as far as it is useful or may be, and returns what it was.
pub(super) fn raise() -> Rlimit {
    let was = getrlimit(Resource::Nofile);
    if was.current.is_none_or(|files| files >= WANTED) {
        return was;
    }
    let wanted = Some(WANTED);
    let raised = match was.maximum {
        Some(most) if most < WANTED => {
            // The hard limit is CAP_SYS_RESOURCE's to raise.
            let further = Rlimit {
                current: wanted,
                maximum: wanted,
            };
            setrlimit(Resource::Nofile, further).or_else(|_forbidden| {
                tracing::debug!(
                    most,
                    "fewer files may be open than a full proxy takes; raise LimitNOFILE to {WANTED}"
                );
                let most = Rlimit {
                    current: was.maximum,
                    maximum: was.maximum,
                };
                setrlimit(Resource::Nofile, most)
            })
        }
        maximum => setrlimit(
            Resource::Nofile,
            Rlimit {
                current: wanted,
                maximum,
            },
        ),
    };
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit for open files stays as it is");
    }
    was
}

/// Gives a child the limit that this process was started with: programs that use select(2) break
/// beyond 1,024 files, and some close every descriptor that they might have.
pub(super) fn restore(child: Pid, was: Rlimit) -> Result<(), Errno> {
    prlimit(Some(child), Resource::Nofile, was).map(drop)
}
