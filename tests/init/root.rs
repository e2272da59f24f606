//! Into a file system of its own, and out of it again.

use super::*;

#[test]
fn what_init_does_uninstall_takes_back_byte_for_byte() {
    let root = Root::new();
    let before = root.snapshot();
    root.init(&["--dry-run"])
        .ends(0)
        .says("Nothing was changed")
        .says("profile:claude-code")
        .says("git.example.com:22; no profile has it");
    assert_eq!(root.snapshot(), before, "a dry run");
    root.init(&[]).ends(2).says("nobody can be asked here");
    assert_eq!(root.snapshot(), before, "without a yes");

    root.init(&["--yes"]).ends(0).says("Done");
    let policy = root.read("etc/egressd/policy.json");
    for profile in ["profile:claude-code", "profile:node", "profile:python"] {
        assert!(policy.contains(profile), "{policy}");
    }
    assert!(!policy.contains("git.example.com"), "{policy}");
    for (path, says) in [
        (
            "etc/systemd/system/egressd.service",
            "ExecStart=/usr/bin/egressd run",
        ),
        (
            "etc/systemd/system/egressd-gate.service",
            "egressctl status",
        ),
        ("etc/systemd/system/agent.slice", "[Slice]"),
        ("etc/systemd/user/agent.slice", "[Slice]"),
        ("etc/sysusers.d/egressd.conf", "g egressd"),
        ("etc/tmpfiles.d/egressd.conf", "/etc/egressd"),
        (
            "home/dev/.claude/settings.json",
            "/usr/bin/egressctl hook claude",
        ),
    ] {
        let text = root.read(path);
        assert!(text.contains(says), "{path}: {text}");
    }
    let installed = root.snapshot();
    root.init(&["--yes"])
        .ends(0)
        .says("Nothing had to be changed");
    assert_eq!(root.snapshot(), installed, "a second run");

    root.uninstall(&["--dry-run"]).ends(0).says("as it was");
    assert_eq!(root.snapshot(), installed, "a dry run");
    root.uninstall(&[]).ends(2).says("nobody can be asked here");
    root.uninstall(&["--yes"])
        .ends(0)
        .says("All is as it was before");
    assert_eq!(root.snapshot(), before);
    root.uninstall(&["--yes"])
        .ends(0)
        .says("Nothing to take back");
}

#[test]
fn a_remote_comes_in_only_when_somebody_says_so() {
    let root = Root::new();
    root.init(&["--yes", "--remote-hosts", "--no-hooks", "--no-units"])
        .ends(0);
    let policy = root.read("etc/egressd/policy.json");
    assert!(
        policy.contains("git.example.com") && policy.contains("22/tcp"),
        "{policy}"
    );
    assert!(!root.at("etc/systemd").exists());
    assert_eq!(root.read("home/dev/.claude/settings.json"), SETTINGS);
}

#[test]
fn a_person_is_asked_once_and_for_remotes() {
    let root = Root::new();
    let before = root.snapshot();
    let ask = |answers: &str| {
        let words = format!(
            "{} init --root {} --home /home/dev --project {} --no-units",
            env!("CARGO_BIN_EXE_egressctl"),
            root.path().display(),
            root.at("home/dev/site").display(),
        );
        let mut child = Command::new("script")
            .args(["-qec", &words, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1) is there");
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), answers.as_bytes()).unwrap();
        said(&child.wait_with_output().expect("it ends"))
    };
    ask("n\nn\n")
        .ends(1)
        .says("names git.example.com:22")
        .says("Nothing was changed");
    assert_eq!(root.snapshot(), before);
    ask("n\ny\n").ends(0).says("Done");
    assert!(
        !root
            .read("etc/egressd/policy.json")
            .contains("git.example.com")
    );
    root.uninstall(&["--yes"]).ends(0);
    assert_eq!(root.snapshot(), before);
    ask("y\ny\n").ends(0).says("Done");
    assert!(
        root.read("etc/egressd/policy.json")
            .contains("git.example.com")
    );
}

#[test]
fn another_policy_is_kept_or_replaced_with_a_backup() {
    let root = Root::new();
    let mine = "{ \"version\": 1, \"name\": \"mine\" }\n";
    root.write("etc/egressd/policy.json", mine);
    let before = root.snapshot();
    root.init(&["--yes"]).ends(0).says("--replace");
    assert_eq!(root.read("etc/egressd/policy.json"), mine);
    root.init(&["--yes", "--replace"]).ends(0);
    assert_eq!(root.read("etc/egressd/policy.json.egressctl-1"), mine);
    assert!(root.read("etc/egressd/policy.json").contains("profile:"));
    // A second one that differs is not overwritten either, and the first backup stays the one.
    root.init(&["--yes", "--profile", "rust"])
        .ends(0)
        .says("--replace");
    root.init(&["--yes", "--replace", "--profile", "rust"])
        .ends(0);
    assert!(!root.read("etc/egressd/policy.json").contains("node"));
    root.uninstall(&["--yes"]).ends(0);
    assert_eq!(root.snapshot(), before);
}

#[test]
fn the_policy_of_a_package_makes_way_and_its_units_stay() {
    let root = Root::new();
    let shipped = include_str!("../../policy/default.json");
    root.write("etc/egressd/policy.json", shipped);
    root.write("usr/lib/systemd/system/egressd.service", "[Unit]\n");
    let before = root.snapshot();
    root.init(&["--yes"]).ends(0).says("those of the package");
    assert!(root.read("etc/egressd/policy.json").contains("profile:"));
    assert!(!root.at("etc/systemd").exists());
    let other = root.init(&["--dry-run", "--policy", "/srv/policy.json"]);
    other.ends(2).says("--no-units");
    root.uninstall(&["--yes"]).ends(0);
    assert_eq!(root.snapshot(), before);
}

#[test]
fn what_was_changed_since_is_left_and_named() {
    let root = Root::new();
    root.init(&["--yes"]).ends(0);
    let path = "etc/egressd/policy.json";
    let mine = root.read(path).replace("enforce", "observe");
    root.write(path, &mine);
    root.uninstall(&["--yes"])
        .ends(0)
        .says("--force")
        .says("etc/egressd/policy.json");
    assert_eq!(root.read(path), mine);
    assert!(!root.at("etc/systemd").exists());
    assert_eq!(root.read("home/dev/.claude/settings.json"), SETTINGS);
    // It is still known, and can be taken back.
    root.uninstall(&["--yes", "--force"]).ends(0);
    assert!(!root.at("etc/egressd").exists());
    assert!(!root.at("var").exists());
}

#[test]
fn answers_for_programs_are_whole() {
    let root = Root::new();
    let told = root.init(&["--dry-run", "--json"]).ends(0).json();
    assert_eq!(told["done"], false);
    assert_eq!(told["changed"], true);
    assert_eq!(told["policy"]["state"], "new");
    assert_eq!(told["remotes_left"][0]["host"], "git.example.com");
    let profiles: Vec<&str> = told["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["profile"].as_str())
        .collect();
    assert_eq!(profiles, ["claude-code", "node", "python"]);
    assert_eq!(told["hooks"][0]["found"], "absent");
    let told = root.init(&["--yes", "--json"]).ends(0).json();
    assert_eq!(told["done"], true);
    let told = root.init(&["--yes", "--json"]).ends(0).json();
    assert_eq!(told["changed"], false);
    let told = root.uninstall(&["--dry-run", "--json"]).ends(0).json();
    assert_eq!(told["files"].as_array().unwrap().len(), 7);
    let told = root.uninstall(&["--yes", "--json"]).ends(0).json();
    assert_eq!(told["left"].as_array().unwrap().len(), 0);
}

#[test]
fn the_audit_log_goes_only_when_asked_for() {
    let root = Root::new();
    root.write("var/log/egressd/other", "x");
    root.init(&["--yes", "--no-units"]).ends(0);
    for name in ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.head"] {
        root.write(&format!("var/log/egressd/{name}"), "x");
    }
    root.uninstall(&["--yes"]).ends(0);
    assert!(root.at("var/log/egressd/audit.jsonl").exists());
    root.init(&["--yes", "--no-units"]).ends(0);
    root.uninstall(&["--yes", "--purge"]).ends(0);
    let left: Vec<_> = fs::read_dir(root.at("var/log/egressd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["other"]);
}

#[test]
fn profiles_and_agents_can_be_named() {
    let root = Root::new();
    root.init(&["--dry-run", "--profile", "nodee"])
        .ends(2)
        .says("node");
    root.init(&["--dry-run", "--agent", "claude", "codex"])
        .ends(0)
        .says("Codex (named)")
        .says(".codex/hooks.json");
    root.init(&["--dry-run", "--agent", "nobody"]).ends(2);
    let told = root
        .init(&[
            "--dry-run",
            "--json",
            "--profile",
            "rust",
            "debian",
            "--mode",
            "observe",
        ])
        .ends(0)
        .json();
    let text = told["policy"]["text"].as_str().unwrap();
    assert!(
        text.contains("\"observe\"") && text.contains("profile:debian"),
        "{text}"
    );
    assert!(!text.contains("claude"), "{text}");
}
