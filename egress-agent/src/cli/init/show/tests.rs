//! The screens as they are read, 80 columns wide. The texts stand in files beside this one.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::*;
use crate::cli::{
    home::{Agent, SeenAgent, User},
    init::{
        compose::{Choice, Chosen},
        manifest::Manifest,
        plan::Mark,
        project::Project,
        tree::Found as File,
    },
    table::tests::Written,
};

fn project() -> Project {
    Project {
        ecosystems: BTreeMap::from([
            ("node".to_owned(), "package-lock.json".to_owned()),
            ("python".to_owned(), "services/api/uv.lock".to_owned()),
        ]),
        remotes: [Remote {
            host: "git.example.com".to_owned(),
            port: 22,
        }]
        .into(),
    }
}

fn opened(source: &str, hosts: &[&str], risks: &[&str]) -> Opened {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Opened {
        rule: "rule".to_owned(),
        source: source.to_owned(),
        hosts: texts(hosts),
        ports: texts(&["443/tcp", "22/tcp"]),
        risks: texts(risks),
    }
}

fn change(path: &str, state: State, old: Option<&str>) -> Change {
    Change {
        path: PathBuf::from(path),
        text: "{\n  \"version\": 1\n}\n".to_owned(),
        state,
        old: old.map(|text| File {
            text: text.to_owned(),
            mode: 0o644,
        }),
    }
}

fn prepared() -> Prepared {
    let chosen = |profile: &str, why: &str| Chosen {
        profile: profile.to_owned(),
        why: why.to_owned(),
    };
    let hook = |agent, found, changes: &[&str]| SeenHook {
        agent,
        file: Some(PathBuf::from(format!("/home/dev/{agent:?}.json"))),
        found,
        changes: changes.iter().map(|&line| line.to_owned()).collect(),
    };
    Prepared {
        tree: Tree::open(Path::new("/")).unwrap(),
        manifest: Manifest::default(),
        place: PathBuf::new(),
        user: Some(User::known(0, 0, PathBuf::from("/home/dev"))),
        program: PathBuf::from("/usr/bin/egressctl"),
        seen: Seen {
            agents: vec![
                SeenAgent {
                    agent: Agent::ClaudeCode,
                    by: Some(PathBuf::from("/home/dev/.claude")),
                },
                SeenAgent {
                    agent: Agent::Codex,
                    by: None,
                },
                SeenAgent {
                    agent: Agent::Cursor,
                    by: Some(PathBuf::from("/home/dev/.cursor")),
                },
            ],
            hooks: vec![
                hook(
                    Agent::ClaudeCode,
                    Found::Absent,
                    &["+ {", "+   \"hooks\": {}", "- \x1b[31m"],
                ),
                hook(
                    Agent::Codex,
                    Found::Broken("it cannot be parsed".to_owned()),
                    &[],
                ),
                SeenHook {
                    agent: Agent::Cursor,
                    file: None,
                    found: Found::NoHook,
                    changes: Vec::new(),
                },
            ],
            project: Some(Ok(project())),
        },
        project: Some(PathBuf::from("/home/dev/site")),
        asked: project().remotes.into_iter().collect(),
        choice: Choice {
            chosen: vec![
                chosen("claude-code", "Claude Code"),
                chosen("node", "Node.js: package-lock.json"),
            ],
            missing: vec![chosen("debian", "Debian packages: debian/control")],
        },
        opened: vec![
            opened(
                "profile:claude-code",
                &["api.anthropic.com", "claude.ai"],
                &[],
            ),
            opened("profile:node", &["registry.npmjs.org"], &[]),
            opened(
                "/etc/egressd/policy.json",
                &["git.example.com", "*.files.example.com"],
                &["*.files.example.com: every name below files.example.com"],
            ),
        ],
        machine: "Linux 6.18.5, systemd".to_owned(),
        change: change("/etc/egressd/policy.json", State::New, None),
        units: vec![
            change(
                "/etc/systemd/system/egressd.service",
                State::Replace,
                Some("{\n  \"version\": 2\n}\n"),
            ),
            change("/etc/systemd/system/agent.slice", State::Same, None),
            change(
                "/etc/sysusers.d/egressd.conf",
                State::Kept(
                    "another one is there; `--replace` puts this in its place and keeps a backup"
                        .to_owned(),
                ),
                None,
            ),
        ],
        steps: vec![Step {
            words: vec!["systemctl", "enable", "--now", "egressd.service"],
            marks: Mark::Enabled,
        }],
        starts: true,
        notes: vec![
            "start it with: /usr/bin/egressd run --cgroup agent.slice --policy \
             /etc/egressd/policy.json"
                .to_owned(),
        ],
    }
}

#[track_caller]
fn check(name: &str, prepared: &Prepared) {
    let written = Written::default();
    all(prepared, &mut written.screen(false, false)).unwrap();
    let text = written.text();
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
        assert!(!line.ends_with(' '), "`{line}`");
    }
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/init/show");
    let expected = fs::read_to_string(place.join(name)).unwrap_or_default();
    assert_eq!(text, expected, "{name} is\n{text}");
}

#[test]
fn the_whole_screen() {
    check("whole.txt", &prepared());
}

#[test]
fn a_run_that_has_nothing_to_do_says_only_that() {
    let prepared = Prepared {
        seen: Seen::default(),
        units: Vec::new(),
        steps: Vec::new(),
        change: change("/etc/egressd/policy.json", State::Same, None),
        ..prepared()
    };
    check("same.txt", &prepared);
}

#[test]
fn the_screen_where_nothing_was_found() {
    let prepared = Prepared {
        seen: Seen {
            project: Some(Err("No such file or directory".to_owned())),
            ..Seen::default()
        },
        asked: Vec::new(),
        choice: Choice::default(),
        opened: Vec::new(),
        units: Vec::new(),
        steps: Vec::new(),
        notes: Vec::new(),
        change: change("/etc/egressd/policy.json", State::New, None),
        ..prepared()
    };
    check("nothing.txt", &prepared);
}
