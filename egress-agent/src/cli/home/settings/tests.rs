use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

const FOREIGN: &str = "{\n  // mine\n  \"model\": \"opus\"\n}\n";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join(".claude/settings.json")
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("egressctl")
    }

    fn with(text: &str) -> Self {
        let home = Self::new();
        fs::create_dir(home.0.path().join(".claude")).unwrap();
        fs::write(home.file(), text).unwrap();
        home
    }

    fn install(&self) -> Option<Installed> {
        install(Agent::ClaudeCode, &self.file(), &self.program()).unwrap()
    }

    fn found(&self) -> Found {
        look(Agent::ClaudeCode, &self.file(), &self.program()).found
    }

    /// Names and texts of everything in it.
    fn snapshot(&self) -> Vec<(PathBuf, u32, String)> {
        let mut found = Vec::new();
        let mut left = vec![self.0.path().to_owned()];
        while let Some(place) = left.pop() {
            for entry in fs::read_dir(place).unwrap() {
                let path = entry.unwrap().path();
                let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
                if path.is_dir() {
                    left.push(path.clone());
                    found.push((path, mode, String::new()));
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push((path, mode, text));
                }
            }
        }
        found.sort();
        found
    }
}

#[test]
fn what_was_put_in_comes_out_again_byte_for_byte() {
    let home = Home::with(FOREIGN);
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o600)).unwrap();
    let before = home.snapshot();
    assert_eq!(home.found(), Found::Absent);
    let installed = home.install().unwrap();
    assert_eq!(home.found(), Found::Current);
    assert_eq!(home.install(), None);
    assert_ne!(home.snapshot(), before);
    assert_eq!(remove(&installed, true).done, Undone::AsBefore);
    assert_ne!(home.snapshot(), before, "that was dry");
    assert_eq!(remove(&installed, false).done, Undone::AsBefore);
    assert_eq!(home.snapshot(), before);
    assert_eq!(
        remove(&installed, false).done,
        Undone::TakenOut(installed.backup)
    );
}

#[test]
fn a_file_that_was_made_goes_with_its_directory() {
    let home = Home::new();
    let installed = home.install().unwrap();
    assert_eq!(installed.made.len(), 1);
    assert_eq!(remove(&installed, false).done, Undone::AsBefore);
    assert!(home.snapshot().is_empty());
    assert_eq!(remove(&installed, false).done, Undone::Gone);
    // Somebody else has put something beside it.
    let installed = home.install().unwrap();
    fs::write(home.file().with_file_name("other"), "x").unwrap();
    remove(&installed, false);
    assert_eq!(home.snapshot().len(), 2);
}

#[test]
fn what_was_changed_since_loses_only_the_hook() {
    let home = Home::with(FOREIGN);
    let installed = home.install().unwrap();
    let text = fs::read_to_string(home.file()).unwrap();
    fs::write(home.file(), text.replace("opus", "sonnet")).unwrap();
    let backup = installed.backup.clone();
    assert_eq!(
        remove(&installed, false).done,
        Undone::TakenOut(backup.clone())
    );
    let text = fs::read_to_string(home.file()).unwrap();
    assert_eq!(text, FOREIGN.replace("opus", "sonnet"));
    assert_eq!(fs::read_to_string(backup.unwrap()).unwrap(), FOREIGN);
}

#[test]
fn a_hook_of_another_program_that_is_there_is_current() {
    let home = Home::new();
    home.install().unwrap();
    let other = home.0.path().join("other/egressctl");
    let seen = || look(Agent::ClaudeCode, &home.file(), &other).found;
    assert_eq!(seen(), Found::Old, "the program is not there");
    fs::write(home.program(), "").unwrap();
    assert_eq!(seen(), Found::Current);
    let text = fs::read_to_string(home.file()).unwrap();
    fs::write(
        home.file(),
        text.replace("\"timeout\": 10", "\"timeout\": 1"),
    )
    .unwrap();
    assert_eq!(seen(), Found::Old);
}

#[test]
fn what_is_not_understood_is_left() {
    let home = Home::with("{ nonsense");
    assert!(matches!(home.found(), Found::Broken(_)));
    assert!(install(Agent::ClaudeCode, &home.file(), &home.program()).is_err());
    assert_eq!(fs::read_to_string(home.file()).unwrap(), "{ nonsense");
    fs::remove_file(home.file()).unwrap();
    // A link to what never ends, and a pipe that nobody writes.
    symlink("/dev/zero", home.file()).unwrap();
    assert!(matches!(home.found(), Found::Broken(_)));
    fs::remove_file(home.file()).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.file(),
        fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(matches!(home.found(), Found::Broken(_)));
}

#[test]
fn settings_that_are_kept_elsewhere_stay_there() {
    let home = Home::with(FOREIGN);
    let kept = home.0.path().join("dotfiles.json");
    fs::rename(home.file(), &kept).unwrap();
    symlink(&kept, home.file()).unwrap();
    let before = home.snapshot();
    let installed = home.install().unwrap();
    assert!(fs::symlink_metadata(home.file()).unwrap().is_symlink());
    assert!(fs::read_to_string(&kept).unwrap().contains("egressctl"));
    assert_eq!(remove(&installed, false).done, Undone::AsBefore);
    assert_eq!(home.snapshot(), before);
}
