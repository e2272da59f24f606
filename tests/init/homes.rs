//! A home belongs to somebody who may be hostile, and root works beside it.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// Nobody on this machine.
const UID: u32 = 23_456;

/// A root with a home that is somebody else's, and a program that everybody may start.
struct Theirs {
    root: Root,
    _programs: tempfile::TempDir,
}

impl std::ops::Deref for Theirs {
    type Target = Root;

    fn deref(&self) -> &Root {
        &self.root
    }
}

fn theirs() -> Theirs {
    let mut root = Root::new();
    open(root.path());
    root.give("home/dev", UID);
    let programs = tempfile::tempdir().expect("a directory");
    open(programs.path());
    let program = programs.path().join("egressctl");
    // The build may lie in a directory that only root may enter.
    if fs::hard_link(&root.program, &program).is_err() {
        fs::copy(&root.program, &program).expect("egressctl is built");
    }
    root.program = program;
    Theirs {
        root,
        _programs: programs,
    }
}

#[test]
fn what_is_written_in_a_home_is_its_owner_s() {
    let root = theirs();
    let before = root.snapshot();
    root.init(&["--yes"]).ends(0);
    for path in ["settings.json", "settings.json.egressctl-1"] {
        let path = root.at("home/dev/.claude").join(path);
        let metadata = fs::metadata(&path).expect("it was made");
        assert_eq!((metadata.uid(), metadata.gid()), (UID, UID), "{path:?}");
    }
    assert!(
        root.read("home/dev/.claude/settings.json")
            .contains("egressctl hook claude")
    );
    root.uninstall(&["--yes"]).ends(0);
    assert_eq!(root.snapshot(), before);
}

#[test]
fn links_in_a_home_lead_root_nowhere() {
    let root = theirs();
    root.write("root/secret.json", SETTINGS);
    let secret = root.at("root/secret.json");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(root.at("root"), fs::Permissions::from_mode(0o700)).unwrap();
    let settings = root.at("home/dev/.claude/settings.json");
    fs::remove_file(&settings).unwrap();
    symlink(&secret, &settings).unwrap();
    let said = root.init(&["--yes", "--no-units"]);
    assert!(!said.all.contains("opus"), "it was read: {}", said.all);
    assert_eq!(fs::read_to_string(&secret).unwrap(), SETTINGS);

    // The same with the directory, into which root could write.
    fs::remove_file(&settings).unwrap();
    fs::remove_dir(root.at("home/dev/.claude")).unwrap();
    symlink(root.at("etc"), root.at("home/dev/.claude")).unwrap();
    root.init(&["--yes", "--no-units"])
        .ends(2)
        .says("stopped half-way");
    assert!(!root.at("etc/settings.json").exists());

    // And with the project, which names hosts.
    fs::remove_file(root.at("home/dev/.claude")).unwrap();
    root.write(
        "root/config",
        "[remote \"o\"]\n\turl = https://secret.example.com/\n",
    );
    let config = root.at("home/dev/site/.git/config");
    fs::remove_file(&config).unwrap();
    symlink(root.at("root/config"), &config).unwrap();
    let said = root.init(&["--dry-run"]);
    assert!(
        !said.ends(0).all.contains("secret.example.com"),
        "{}",
        said.all
    );
}

#[test]
fn a_manifest_of_a_home_cannot_have_root_remove_files() {
    let root = theirs();
    root.init(&["--yes", "--no-units"]).ends(0);
    // The owner swaps the directory for a link to one of root's.
    root.write(
        "srv/settings.json",
        &root.read("home/dev/.claude/settings.json"),
    );
    let backup = "settings.json.egressctl-1";
    root.write(&format!("srv/{backup}"), SETTINGS);
    fs::rename(root.at("home/dev/.claude"), root.at("home/dev/gone")).unwrap();
    symlink(root.at("srv"), root.at("home/dev/.claude")).unwrap();
    root.uninstall(&["--yes"]).ends(1).says("FAILED");
    assert!(root.at("srv/settings.json").exists());
    assert!(root.at("srv").join(backup).exists());
}

#[test]
fn what_was_broken_off_goes_on() {
    let root = theirs();
    let before = root.snapshot();
    // The settings cannot be written by their owner.
    root.give("home/dev/.claude", 0);
    root.init(&["--yes"])
        .ends(2)
        .says("done so far")
        .says("etc/egressd/policy.json")
        .says("run init again");
    assert!(root.at("etc/systemd/system/egressd.service").exists());
    root.give("home/dev/.claude", UID);
    root.init(&["--yes"]).ends(0).says("Done");
    root.uninstall(&["--yes"]).ends(0);
    assert_eq!(root.snapshot(), before);

    root.give("home/dev/.claude", 0);
    root.init(&["--yes"]).ends(2);
    root.uninstall(&["--yes"]).ends(0);
    root.give("home/dev/.claude", UID);
    assert_eq!(root.snapshot(), before);
}

#[test]
fn under_sudo_it_is_the_home_of_the_caller() {
    let root = theirs();
    let home = root.at("home/dev").display().to_string();
    let project = root.at("home/dev/site").display().to_string();
    // nobody is in every passwd(5), and its rights are none here.
    let output = command(
        &root.program,
        &[
            "init",
            "--yes",
            "--no-units",
            "--root",
            &root.path().display().to_string(),
        ],
        Path::new("/root"),
    )
    .args(["--home", "/home/dev", "--project", &project])
    .env("SUDO_UID", "65534")
    .output()
    .unwrap();
    said(&output).ends(2).says("stopped half-way");
    assert_eq!(
        fs::read_to_string(format!("{home}/.claude/settings.json")).unwrap(),
        SETTINGS
    );
    root.give("home/dev", 65_534);
    let output = command(
        &root.program,
        &[
            "init",
            "--yes",
            "--no-units",
            "--root",
            &root.path().display().to_string(),
        ],
        Path::new("/root"),
    )
    .args(["--home", "/home/dev", "--project", &project])
    .env("SUDO_UID", "65534")
    .output()
    .unwrap();
    said(&output).ends(0);
    let metadata = fs::metadata(format!("{home}/.claude/settings.json")).unwrap();
    assert_eq!(metadata.uid(), 65_534);
}
