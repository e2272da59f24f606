//! Both programs in one file, as the package has them: `egressd`, and a link `egressctl` to it.

use std::{
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use xtask::world::place::{ALLOWED_V4, DENIED_V4};

use crate::harness::TestWorld;

/// What a package puts into `/usr/bin`.
fn package(directory: &Path) -> PathBuf {
    fs::create_dir_all(directory).expect("a directory");
    let egressd = directory.join("egressd");
    fs::copy(env!("CARGO_BIN_EXE_egressd"), &egressd).expect("egressd is built");
    let egressctl = directory.join("egressctl");
    symlink("egressd", &egressctl).expect("a link");
    egressctl
}

fn run(command: &mut Command) -> Output {
    command.output().expect("it starts")
}

fn says(output: &Output) -> String {
    let Output { stdout, stderr, .. } = output;
    format!(
        "{}{}",
        String::from_utf8_lossy(stdout),
        String::from_utf8_lossy(stderr)
    )
}

#[test]
fn the_name_of_the_link_tells_which_program_it_is() {
    let directory = TempDir::new().unwrap();
    let egressctl = package(directory.path());
    let egressd = directory.path().join("egressd");
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&egressctl, elsewhere.join("egressctl")).unwrap();
    let path = directory.path().display().to_string();
    for (mut command, name) in [
        (Command::new(&egressctl), "egressctl "),
        (Command::new(&egressd), "egressd "),
        (Command::new(elsewhere.join("egressctl")), "egressctl "),
        (shell(&path, "egressctl --version"), "egressctl "),
        (shell(&path, "exec egressd --version"), "egressd "),
        (
            shell(&path, &format!("cd {path} && ./egressctl --version")),
            "egressctl ",
        ),
    ] {
        let said = run(command.arg("--version"));
        assert!(says(&said).starts_with(name), "{command:?}: {said:?}");
    }
    // The file cargo makes for people who build it is egressctl whatever it is called.
    let mut renamed = Command::new(env!("CARGO_BIN_EXE_egressctl"));
    let said = run(renamed.arg0("mine").arg("--version"));
    assert!(says(&said).starts_with("egressctl "), "{said:?}");
}

#[test]
fn under_another_name_it_does_nothing_and_says_why() {
    let directory = TempDir::new().unwrap();
    package(directory.path());
    for name in [
        "guard",
        "egressd.old",
        "",
        "/proc/self/exe",
        "\u{1b}[31megressctl\u{1b}[0m",
    ] {
        let mut command = Command::new(directory.path().join("egressd"));
        let output = run(command.arg0(name).arg("--version"));
        let said = says(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains("call it egressd"), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(!said.contains('\u{1b}'), "{name}: {said:?}");
    }
}

#[test]
fn what_is_written_into_settings_is_the_link_and_not_the_file_behind_it() {
    let directory = TempDir::new().unwrap();
    let egressctl = package(&directory.path().join("bin"));
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    let installed = run(Command::new(&egressctl)
        .args(["hook", "install", "claude"])
        .env_remove("CLAUDE_CONFIG_DIR")
        .env("HOME", &home));
    assert!(installed.status.success(), "{}", says(&installed));
    let settings = fs::read_to_string(home.join(".claude/settings.json")).unwrap();
    let wanted = format!("{} hook claude", egressctl.display());
    assert!(settings.contains(&wanted), "{settings}");
    assert!(!settings.contains("egressd hook"), "{settings}");
    // And it is a hook: without a daemon it denies.
    let event = r#"{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"curl https://paste.example/"}}"#;
    let judged = run(&mut shell(
        "/usr/bin:/bin",
        &format!("echo '{event}' | EGRESSD_SOCKET=/nowhere/x {wanted}"),
    ));
    assert!(says(&judged).contains("deny"), "{judged:?}");
    // Without a link beside it there is no path to write.
    fs::remove_file(&egressctl).unwrap();
    let mut alone = Command::new(egressctl.with_file_name("egressd"));
    let refused = run(alone
        .arg0("egressctl")
        .args(["hook", "install", "claude", "--dry-run"])
        .env("HOME", &home));
    assert_eq!(refused.status.code(), Some(2), "{}", says(&refused));
    assert!(
        says(&refused).contains("ln -s egressd"),
        "{}",
        says(&refused)
    );
}

/// The launcher starts the file anew, and a shim calls it by its path.
#[test]
fn the_link_starts_sessions_and_shims() {
    let world = TestWorld::guarded(json!({
        "version": 1,
        "network": { "allow": [
            { "name": "site", "cidrs": [format!("{ALLOWED_V4}/32")], "ports": ["9000/tcp"] },
        ] },
    }));
    let home = world.agent_home();
    let bin = home.join("packaged");
    package(&bin);
    let tools = home.join("tools");
    fs::create_dir(&tools).expect("a directory");
    symlink("/bin/nc", tools.join("speak")).expect("a link");
    let shims = home.join("shims");
    let daemon = world.daemon().expect("a daemon");
    let socket = daemon.files().socket.display().to_string();
    let path = [&shims, &tools, &bin].map(|path| path.display().to_string());
    let path = format!("{}:/usr/bin:/bin", path.join(":"));
    let shell = |line: &str| {
        let client = world
            .unguarded(&["sh", "-c", line])
            .env("PATH", &*path)
            .env("EGRESSD_SOCKET", &*socket)
            .within(Duration::from_secs(20));
        world.finish(client.run())
    };
    let echo = |program: &str, host: &dyn std::fmt::Display| {
        format!("echo over | {program} -N {host} 9000")
    };
    let guarded = |host| shell(&format!("echo over | egressctl run -- nc -N {host} 9000"));
    guarded(ALLOWED_V4).works().says("over");
    let denied = guarded(DENIED_V4);
    denied.must(!denied.outcome.succeeded(), "should have been denied");
    shell(&format!(
        "egressctl wrap install speak --dir {} --guard {}",
        shims.display(),
        daemon.cgroup()
    ))
    .works();
    let shim = fs::read_to_string(shims.join("speak")).expect("a shim");
    assert!(shim.contains("packaged/egressctl"), "{shim}");
    shell(&echo("speak", &ALLOWED_V4)).works().says("over");
    let denied = shell(&echo("speak", &DENIED_V4));
    denied.must(!denied.outcome.succeeded(), "should have been denied");
    denied.says("egressd denied");
}

fn shell(path: &str, line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env("PATH", path);
    command
}
