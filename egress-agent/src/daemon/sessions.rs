//! The sessions of one guard: child cgroups, from the first process to the last.
//!
//! The cgroups are the truth. A small file for each keeps what the kernel does not know (who
//! started it, with which command), so that a restarted daemon can still tell.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    control::confinement::Held,
    kernel::{Cgroup, CgroupError, Hierarchy},
};

/// What is known about one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub name: String,
    /// The process that asked for it.
    pub pid: u32,
    pub uid: u32,
    pub command: Vec<String>,
    /// RFC 3339.
    pub started: String,
    /// UNIX sockets of other programs that it may reach: absolute, with the symbolic links of
    /// their directories followed.
    #[serde(default)]
    pub sockets: Vec<PathBuf>,
    /// Denials are only recorded, whatever the policy says: whoever started it asked for that.
    #[serde(default)]
    pub observed: bool,
    /// What it is held by, once it has told.
    #[serde(default)]
    pub held: Option<Held>,
}

/// A session and its cgroup.
#[derive(Clone, Debug)]
pub struct Running {
    pub session: Session,
    pub cgroup: Cgroup,
}

/// The sessions of one guard.
#[derive(Debug)]
pub struct Sessions {
    guard: Cgroup,
    directory: PathBuf,
    /// By cgroup id, which is what events and leases carry.
    running: BTreeMap<u64, Running>,
}

/// Why a session cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("`{0}` is not a session name: letters, digits, `-` and `_`, at most 64")]
    BadName(String),
    #[error("a session or cgroup `{0}` is there already; choose another name")]
    Taken(String),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("{op} {path}: {source}", path = path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl Sessions {
    /// Opens the directory of session files and finds the sessions that are running.
    pub fn open(
        guard: Cgroup,
        directory: PathBuf,
        hierarchy: &Hierarchy,
    ) -> Result<Self, SessionError> {
        fs::DirBuilder::new()
            .recursive(true)
            // Command lines may hold secrets.
            .mode(0o700)
            .create(&directory)
            .map_err(|source| io_error("make", &directory, source))?;
        let mut sessions = Self {
            guard,
            directory,
            running: BTreeMap::new(),
        };
        let listing = fs::read_dir(sessions.guard.directory())
            .map_err(|source| io_error("read", sessions.guard.directory(), source))?;
        for entry in listing.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let cgroup = hierarchy.open(&format!("{}/{name}", sessions.guard.path()))?;
            let session = sessions.recall(&name);
            sessions
                .running
                .insert(cgroup.id(), Running { session, cgroup });
        }
        Ok(sessions)
    }

    /// Makes the cgroup of a new session. No process is in it yet.
    pub fn begin(
        &mut self,
        session: Session,
        hierarchy: &Hierarchy,
    ) -> Result<Cgroup, SessionError> {
        let name = session.name.clone();
        if !crate::launch::is_session_name(&name) {
            return Err(SessionError::BadName(name));
        }
        if self.by_name(&name).is_some() {
            return Err(SessionError::Taken(name));
        }
        // A group that is there already has processes or leases of someone else.
        let directory = self.guard.directory().join(&name);
        let made = fs::DirBuilder::new().mode(0o755).create(&directory);
        made.map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                SessionError::Taken(name.clone())
            } else {
                io_error("make", &directory, source)
            }
        })?;
        let cgroup = hierarchy.open(&format!("{}/{name}", self.guard.path()))?;
        self.write(&session)?;
        self.running.insert(
            cgroup.id(),
            Running {
                session,
                cgroup: cgroup.clone(),
            },
        );
        Ok(cgroup)
    }

    /// Notes what holds a session. Once: what was told first stays.
    pub fn note(&mut self, name: &str, held: Held) -> Result<bool, SessionError> {
        let mut running = self.running.values_mut();
        let Some(running) = running.find(|running| running.session.name == name) else {
            return Ok(false);
        };
        if running.session.held.is_some() {
            return Ok(false);
        }
        running.session.held = Some(held);
        let session = running.session.clone();
        self.write(&session).map(|()| true)
    }

    /// The UNIX sockets of other programs that any session of this guard may reach.
    pub fn sockets(&self) -> std::collections::BTreeSet<&Path> {
        self.running
            .values()
            .flat_map(|running| running.session.sockets.iter().map(PathBuf::as_path))
            .collect()
    }

    /// Takes away a session whose last process has gone.
    pub fn end(&mut self, id: u64) -> Option<Running> {
        let running = self.running.remove(&id)?;
        // Both may be gone already: whoever removed them did our work.
        drop(fs::remove_file(self.file(&running.session.name)));
        drop(running.cgroup.remove());
        Some(running)
    }

    /// Sessions without a process.
    pub fn empty(&self) -> Vec<u64> {
        self.running
            .iter()
            .filter(|(_, running)| !running.cgroup.is_populated().unwrap_or(false))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether leases of this session still serve anyone.
    pub fn is_alive(&self, id: u64) -> bool {
        id == self.guard.id() || self.running.contains_key(&id)
    }

    /// The cgroup ids of all.
    pub fn ids(&self) -> Vec<u64> {
        self.running.keys().copied().collect()
    }

    pub fn by_id(&self, id: u64) -> Option<&Running> {
        self.running.get(&id)
    }

    /// Whether denials of this session are only recorded, whatever the policy says.
    pub fn observes(&self, id: u64) -> bool {
        self.by_id(id)
            .is_some_and(|running| running.session.observed)
    }

    pub fn by_name(&self, name: &str) -> Option<&Running> {
        self.running
            .values()
            .find(|running| running.session.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Running> {
        self.running.values()
    }

    /// The session's name, for records; the guard's own processes have none.
    pub fn name_of(&self, id: u64) -> Option<String> {
        self.by_id(id).map(|running| running.session.name.clone())
    }

    /// A cgroup that systemd or someone else made below the guard becomes known when it first
    /// shows up in an event.
    pub fn discover(&mut self, id: u64, hierarchy: &Hierarchy) {
        if id == self.guard.id() || self.running.contains_key(&id) {
            return;
        }
        let Ok(listing) = fs::read_dir(self.guard.directory()) else {
            return;
        };
        for entry in listing.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Ok(cgroup) = hierarchy.open(&format!("{}/{name}", self.guard.path()))
                && cgroup.id() == id
            {
                let session = self.recall(&name);
                self.running.insert(id, Running { session, cgroup });
                return;
            }
        }
    }

    fn write(&self, session: &Session) -> Result<(), SessionError> {
        let path = self.file(&session.name);
        let text = serde_json::to_vec(session)
            .map_err(|error| io_error("write", &path, io::Error::other(error)))?;
        fs::write(&path, text).map_err(|source| io_error("write", &path, source))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    /// What the session's file says; a session that has none was not started by egressctl.
    fn recall(&self, name: &str) -> Session {
        fs::read(self.file(name))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_else(|| Session {
                name: name.to_owned(),
                pid: 0,
                uid: 0,
                command: Vec::new(),
                started: String::new(),
                sockets: Vec::new(),
                observed: false,
                held: None,
            })
    }
}

fn io_error(op: &'static str, path: &Path, source: io::Error) -> SessionError {
    SessionError::Io {
        op,
        path: path.to_path_buf(),
        source,
    }
}
