//! A private view of the file system: the sockets of other programs are not in it.
//!
//! What is shown is decided in [`mod@plan`], from what [`scene`] sees; here it is done. Mounts are
//! made private before anything else: neither does the view leak out, nor comes a mount in that is
//! made outside later, such as a runtime directory with a fresh socket. The price is that an
//! unmount outside is not seen inside.
//!
//! A user namespace comes first. Processes outside of it are then out of reach of ptrace(2), and of
//! what asks the same question: `/proc/PID/root`, `cwd`, `fd` and `mem`, which would lead around the
//! view. In that of an ordinary user only the own user and group are known, and files of others
//! seem to belong to nobody; root's knows everyone.

mod namespace;
mod plan;
mod scene;

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::{
                DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
                chown, symlink,
            },
        },
    },
    path::{Path, PathBuf},
};

use caps::{CapSet, Capability};
use rustix::{
    fs::{Mode, OFlags, open},
    mount::{
        MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    },
};

use self::plan::{Step, plan};
pub(super) use self::scene::is_socket;
use super::privileges::User;
use crate::control::confinement::Confinement;

/// Why there is no private view.
#[derive(Debug, thiserror::Error)]
pub(super) enum ViewError {
    #[error(
        "the kernel refuses user namespaces; allow them (`sysctl user.max_user_namespaces=10000`, on Debian `kernel.unprivileged_userns_clone=1`), or start it as root with `--user`"
    )]
    Namespace(#[source] io::Error),
    #[error(
        "the kernel allows user namespaces and no mounts in them; allow them with `sysctl kernel.apparmor_restrict_unprivileged_userns=0` or an AppArmor profile for egressctl, or start it as root with `--user`"
    )]
    Mounts(#[source] io::Error),
    #[error("{op} `{}`", .path.display())]
    Io {
        op: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Gives this thread its own view, for `user` or for who it is. Listed sockets that are not there
/// are told. Returns a word on what is missing, or none.
pub(super) fn apply(
    confinement: &Confinement,
    user: Option<User>,
    tell: &mut dyn FnMut(&str),
) -> Result<String, ViewError> {
    let user = user.unwrap_or_else(|| User {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    });
    let working = std::env::current_dir().ok();
    let in_namespace =
        !caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).unwrap_or(false);
    let word = if in_namespace {
        namespace::of_user(user)?;
        String::new()
    } else {
        namespace::of_root()?
    };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|errno| ViewError::Mounts(errno.into()))?;
    for listed in &confinement.sockets {
        match &listed.path {
            Some(path) if !is_socket(path) => tell(&format!(
                "egressd: the listed socket {} is not there: {}",
                listed.name,
                path.display()
            )),
            None if !listed.name.starts_with('@') => tell(&format!(
                "egressd: the listed socket {} is nowhere: the environment does not say where",
                listed.name
            )),
            Some(_) | None => {}
        }
    }
    let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let scene = scene::look(confinement, xdg, in_namespace, user.uid)
        .map_err(fail("look at the machine", Path::new("/proc")))?;
    Stage::new(plan(&scene), user, in_namespace)?.play()?;
    // The old directory would still lead to what the view hides.
    let back = working.as_deref().map(std::env::set_current_dir);
    if !matches!(back, Some(Ok(()))) {
        let root = Path::new("/");
        std::env::set_current_dir(root).map_err(fail("change into", root))?;
    }
    Ok(word)
}

/// The steps, with everything that they need from the old view in hand.
struct Stage {
    steps: Vec<Step>,
    user: User,
    in_namespace: bool,
    /// What is shown again, opened before anything is hidden.
    kept: BTreeMap<PathBuf, std::os::fd::OwnedFd>,
    /// What is copied.
    copies: BTreeMap<PathBuf, Vec<u8>>,
    /// The empty file that covers sockets, once there is one.
    blank: Option<PathBuf>,
}

impl Stage {
    fn new(steps: Vec<Step>, user: User, in_namespace: bool) -> Result<Self, ViewError> {
        let (mut kept, mut copies) = (BTreeMap::new(), BTreeMap::new());
        for step in &steps {
            match step {
                Step::KeepFile(path) | Step::KeepDirectory(path) => {
                    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    // Gone since it was seen: then there is nothing to show.
                    if let Ok(there) = open(path, flags, Mode::empty()) {
                        kept.insert(path.clone(), there);
                    }
                }
                Step::Copy(path) => {
                    let text = fs::read(path).map_err(fail("read", path))?;
                    copies.insert(path.clone(), text);
                }
                Step::Empty(_)
                | Step::Own(_)
                | Step::Link(..)
                | Step::Cover(_)
                | Step::Freeze(_)
                | Step::Seal(_)
                | Step::SealAlone(_) => {}
            }
        }
        Ok(Self {
            steps,
            user,
            in_namespace,
            kept,
            copies,
            blank: None,
        })
    }

    fn play(mut self) -> Result<(), ViewError> {
        for step in std::mem::take(&mut self.steps) {
            self.step(&step)?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), ViewError> {
        match step {
            Step::Empty(at) => self.empty(at),
            Step::Own(at) => {
                make_directory(at)?;
                empty_file_system(at, 0o700)?;
                self.give(at)
            }
            Step::Link(at, to) => symlink(to, at).map_err(fail("link", at)),
            Step::KeepFile(at) => self.keep(at, false),
            Step::KeepDirectory(at) => self.keep(at, true),
            Step::Cover(at) => self.cover(at),
            Step::Copy(at) => self.copy(at),
            Step::Freeze(at) => {
                mount_bind_recursive(at, at).map_err(errno("mount", at))?;
                read_only(at, true)
            }
            Step::Seal(at) => read_only(at, true),
            Step::SealAlone(at) => {
                self.drop_blank()?;
                read_only(at, false)
            }
        }
    }

    /// Covers a directory with an empty one that has its mode and, if it can be given, its owner.
    fn empty(&mut self, at: &Path) -> Result<(), ViewError> {
        let was = fs::metadata(at).map_err(fail("look at", at))?;
        empty_file_system(at, was.mode() & 0o7777)?;
        if !self.in_namespace {
            chown(at, Some(was.uid()), Some(was.gid())).map_err(fail("set the owner of", at))?;
        }
        Ok(())
    }

    fn give(&self, at: &Path) -> Result<(), ViewError> {
        if self.in_namespace {
            return Ok(());
        }
        chown(at, Some(self.user.uid), Some(self.user.gid)).map_err(fail("set the owner of", at))
    }

    fn keep(&mut self, at: &Path, is_directory: bool) -> Result<(), ViewError> {
        let Some(there) = self.kept.get(at) else {
            return Ok(());
        };
        let source = format!("/proc/self/fd/{}", there.as_raw_fd());
        if is_directory {
            make_directory(at)?;
            mount_bind_recursive(source, at).map_err(errno("mount", at))
        } else {
            if let Some(parent) = at.parent() {
                make_directory(parent)?;
            }
            make_file(at, &[])?;
            mount_bind(source, at).map_err(errno("mount", at))
        }
    }

    fn cover(&mut self, at: &Path) -> Result<(), ViewError> {
        let blank = if let Some(blank) = &self.blank {
            blank.clone()
        } else {
            let blank = Path::new("/run").join(format!(".blank-{}", std::process::id()));
            make_file(&blank, &[])?;
            let none = Permissions::from_mode(0o000);
            fs::set_permissions(&blank, none).map_err(fail("set the mode of", &blank))?;
            self.blank = Some(blank.clone());
            blank
        };
        match mount_bind(&blank, at) {
            // Gone since it was seen.
            Err(rustix::io::Errno::NOENT) => Ok(()),
            done => done.map_err(errno("mount", at)),
        }
    }

    /// A file that covers others needs no name of its own.
    fn drop_blank(&mut self) -> Result<(), ViewError> {
        match self.blank.take() {
            Some(blank) => fs::remove_file(&blank).map_err(fail("remove", &blank)),
            None => Ok(()),
        }
    }

    fn copy(&self, at: &Path) -> Result<(), ViewError> {
        let text = self.copies.get(at).map(Vec::as_slice).unwrap_or_default();
        make_file(at, text)
    }
}

fn empty_file_system(at: &Path, mode: u32) -> Result<(), ViewError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = CString::new(format!("mode={mode:o},size=16m")).unwrap_or_default();
    mount("egressd", at, "tmpfs", flags, options.as_c_str()).map_err(errno("mount", at))
}

fn make_directory(at: &Path) -> Result<(), ViewError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(at)
        .map_err(fail("make", at))
}

fn make_file(at: &Path, text: &[u8]) -> Result<(), ViewError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(at);
    made.and_then(|mut file: File| io::Write::write_all(&mut file, text))
        .map_err(fail("make", at))
}

/// Makes a mount read-only and leaves its other flags, which a user namespace may not change.
#[expect(unsafe_code, reason = "no safe wrapper of mount_setattr(2) is at hand")]
fn read_only(at: &Path, recursive: bool) -> Result<(), ViewError> {
    /// `struct mount_attr`.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const READ_ONLY: u64 = 1;
    let attributes = Attributes {
        set: READ_ONLY,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    let path = CString::new(at.as_os_str().as_bytes())
        .map_err(|error| fail("name", at)(io::Error::other(error)))?;
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path ends with a zero byte and the attributes have the size that is told; both
    // outlive the call, which only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(fail("make read-only", at)(io::Error::last_os_error()))
    }
}

fn fail(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ViewError {
    let path = path.to_path_buf();
    move |source| ViewError::Io { op, path, source }
}

fn errno(op: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> ViewError {
    let fail = fail(op, path);
    move |errno| fail(errno.into())
}
