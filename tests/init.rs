//! From nothing to a guarded agent and back: `egressctl init`, `doctor` and `uninstall`, in file
//! systems and homes of their own.

mod guarded;
mod homes;
mod root;
mod service;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What a person has in the settings of an agent.
const SETTINGS: &str = "{\n  // mine\n  \"model\": \"opus\"\n}\n";

/// A file system with a home, an agent and a project.
struct Root {
    directory: tempfile::TempDir,
    /// The egressctl that is run.
    program: PathBuf,
}

impl Root {
    fn new() -> Self {
        Self::within(tempfile::tempdir().expect("a directory"))
    }

    fn within(directory: tempfile::TempDir) -> Self {
        let root = Self {
            directory,
            program: env!("CARGO_BIN_EXE_egressctl").into(),
        };
        root.write("etc/hostname", "test\n");
        root.write("home/dev/.claude/settings.json", SETTINGS);
        root.write("home/dev/site/package-lock.json", "{}");
        root.write("home/dev/site/api/uv.lock", "");
        root.write(
            "home/dev/site/.git/config",
            "[remote \"origin\"]\n\turl = git@git.example.com:a/b.git\n",
        );
        root
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("it is ours");
        fs::write(path, text).expect("it is ours");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn give(&self, path: &str, uid: u32) {
        let path = self.at(path);
        if path.is_dir() && !path.is_symlink() {
            for entry in fs::read_dir(&path).expect("it is ours") {
                let entry = entry.expect("it is there").path();
                self.give(
                    entry.strip_prefix(self.path()).unwrap().to_str().unwrap(),
                    uid,
                );
            }
        }
        std::os::unix::fs::lchown(&path, Some(uid), Some(uid)).expect("we are root");
    }

    /// `init` with the project of the home, and `more`.
    fn init(&self, more: &[&str]) -> Said {
        let project = self.at("home/dev/site").display().to_string();
        let words = ["init", "--home", "/home/dev", "--project", &project];
        self.ctl(&[&words[..], more].concat())
    }

    fn uninstall(&self, more: &[&str]) -> Said {
        self.ctl(&[&["uninstall"], more].concat())
    }

    fn ctl(&self, words: &[&str]) -> Said {
        let root = self.path().display().to_string();
        let words = [words, &["--root", &root]].concat();
        let output = command(&self.program, &words, self.path()).output();
        said(&output.expect("egressctl is built"))
    }

    fn snapshot(&self) -> BTreeMap<PathBuf, Entry> {
        let mut found = BTreeMap::new();
        snapshot(self.path(), &mut found);
        found
    }
}

/// What is compared of one name: kind and mode, owner, and the bytes or where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    content: Vec<u8>,
}

fn snapshot(place: &Path, found: &mut BTreeMap<PathBuf, Entry>) {
    for entry in fs::read_dir(place).expect("it is ours") {
        let path = entry.expect("it is there").path();
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        let content = if metadata.is_file() {
            fs::read(&path).expect("it is ours")
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).expect("it is a link");
            target.into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        let entry = Entry {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            content,
        };
        let is_directory = metadata.is_dir();
        found.insert(path.clone(), entry);
        if is_directory {
            snapshot(&path, found);
        }
    }
}

/// How a command ended, and what it said.
struct Said {
    code: Option<i32>,
    out: String,
    all: String,
}

impl Said {
    #[track_caller]
    fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.all);
        self
    }

    #[track_caller]
    fn says(&self, word: &str) -> &Self {
        assert!(self.all.contains(word), "no `{word}` in\n{}", self.all);
        self
    }

    #[track_caller]
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.all))
    }
}

fn command(program: &Path, words: &[&str], home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--socket", "/nowhere/control.sock"])
        .args(words)
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .stdin(Stdio::null());
    command
}

fn egressctl(words: &[&str], home: &Path) -> Said {
    let program = Path::new(env!("CARGO_BIN_EXE_egressctl"));
    let output = command(program, words, home).output();
    said(&output.expect("egressctl is built"))
}

fn said(output: &Output) -> Said {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = out.clone() + &String::from_utf8_lossy(&output.stderr);
    Said {
        code: output.status.code(),
        out,
        all,
    }
}

/// Everybody may look into a temporary directory that a child of another user works in.
fn open(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    chown(path, Some(0), Some(0)).expect("we are root");
}
