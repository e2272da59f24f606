//! `egressctl allow HOST[:PORT[/PROTO]]`: opens a destination, after showing what that opens.
//!
//! For a time or a session it is a grant, which egressd holds; for good it is a rule in the policy
//! file, which this command writes and egressd reads again. A file that egressd refuses is put back.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Exit, Paint, Screen, complain,
    hook::install::{changes, write},
    table::{Cell, Table, plain},
};
use crate::{
    control::{
        client::{Client, ClientError},
        grants::{Act, Grant, Opening, Wish},
        message::{Reply, Request},
        status::Rule,
    },
    policy::{Policy, Suggestion, with_rules},
};

#[derive(Clone, Debug, clap::Args)]
pub struct AllowArgs {
    /// HOST[:PORT[/PROTO]], such as `github.com`, `*.example.com:8443`, `192.0.2.1:53/udp` or
    /// `10.0.0.0/8:22`. Without a port 443/tcp.
    #[arg(required_unless_present_any = ["list", "remove"])]
    target: Option<String>,
    /// For so long, such as `30m` or `1h`; on a clock that goes on while the machine sleeps.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// For this session alone, until it ends.
    #[arg(long, value_name = "S")]
    session: Option<String>,
    /// In this guarded cgroup.
    #[arg(long, value_name = "CGROUP")]
    guard: Option<String>,
    /// The reason, for the record.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// A pattern right below a public suffix, such as `*.github.io`, is meant.
    #[arg(long)]
    multi_tenant: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// List what was granted and has not ended.
    #[arg(long, conflicts_with_all = ["target", "remove"])]
    list: bool,
    /// Take a grant back.
    #[arg(long, value_name = "ID", conflicts_with = "target")]
    remove: Option<u64>,
}

/// Exit 1 when a rule denies it, or the answer was no.
pub fn run(args: AllowArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let mut client = Client::connect(socket)?;
    if args.list {
        return list(&mut client, screen);
    }
    if let Some(id) = args.remove {
        let claimed = claimed();
        let Reply::Done(text) = client.request(&Request::Revoke { id, claimed })? else {
            bail!("egressd answered something else");
        };
        screen.line(text)?;
        return Ok(Exit::Ok);
    }
    let wish = Wish {
        target: args.target.unwrap_or_default(),
        session: args.session,
        guard: args.guard,
        seconds: args.time.map(|time| time.as_secs()),
        why: args.why,
        multi_tenant: args.multi_tenant,
    };
    let opening = ask(&mut client, &wish, Act::Show)?;
    if !screen.is_json() {
        show(&opening, args.time, screen)?;
    }
    if let Some(rule) = &opening.denied_by {
        if screen.is_json() {
            screen.json(&opening)?;
        }
        complain(&format!(
            "egressctl: nothing is opened: rule {} denies it, and deny beats allow; change that rule",
            spell(rule)
        ));
        return Ok(Exit::No);
    }
    if let Some(rule) = &opening.allowed_by {
        if screen.is_json() {
            screen.json(&opening)?;
        } else {
            screen.line(format!("rule {} allows it already", spell(rule)))?;
        }
        return Ok(Exit::Ok);
    }
    let is_for_a_time = wish.seconds.is_some() || wish.session.is_some();
    let edit = if is_for_a_time {
        None
    } else {
        Some(Edit::of(&opening, wish.why.as_deref())?)
    };
    if let Some(edit) = &edit
        && !screen.is_json()
    {
        screen.line(format!("in {}:", edit.file.display()))?;
        for line in changes(&edit.before, &edit.after) {
            let line = screen.paint(Paint::Allow, &line);
            screen.line(line)?;
        }
    }
    if !args.yes && !agrees("open it?", screen)? {
        return Ok(Exit::No);
    }
    let done = match edit {
        None => ask(&mut client, &wish, Act::Grant)?,
        Some(edit) => {
            write(&edit.file, &edit.after)?;
            match ask(&mut client, &wish, Act::Written) {
                Ok(done) => done,
                Err(error) => {
                    edit.take_back()?;
                    return Err(error).context("the policy file is as it was before");
                }
            }
        }
    };
    if screen.is_json() {
        screen.json(&done)?;
        return Ok(Exit::Ok);
    }
    screen.line(match done.id {
        Some(id) => format!("open: grant {id}; `egressctl allow --remove {id}` closes it"),
        None => "open: the policy file has the rule, and it is in force".to_owned(),
    })?;
    Ok(Exit::Ok)
}

/// A change of the policy file.
struct Edit {
    file: PathBuf,
    before: String,
    after: String,
}

impl Edit {
    fn of(opening: &Opening, why: Option<&str>) -> anyhow::Result<Self> {
        let file = PathBuf::from(&opening.file);
        let before = fs::read_to_string(&file)
            .with_context(|| format!("cannot read the policy `{}`", file.display()))?;
        let mut rule = opening.rule.clone();
        let who = claimed().map_or_else(String::new, |claimed| format!(" ({claimed})"));
        let uid = rustix::process::geteuid().as_raw();
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let day = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let comment = format!("allowed by uid {uid}{who} on {day}{why}");
        if let Some(members) = rule.as_object_mut() {
            members.insert("//".to_owned(), json!(comment));
        }
        let suggestion = Suggestion {
            rule,
            notes: Vec::new(),
        };
        let after = with_rules(&before, &[suggestion])
            .with_context(|| format!("cannot add a rule to `{}`", file.display()))?;
        let edit = Self {
            file,
            before,
            after,
        };
        edit.check()?;
        Ok(edit)
    }

    /// Whether the new text is a policy, read from where the old one is: it may extend another.
    fn check(&self) -> anyhow::Result<()> {
        let mut name = self.file.as_os_str().to_owned();
        name.push(format!(".egressctl-check-{}", std::process::id()));
        let trial = PathBuf::from(name);
        write(&trial, &self.after)?;
        let loaded = Policy::load(&trial);
        fs::remove_file(&trial).with_context(|| format!("cannot remove {}", trial.display()))?;
        loaded.context("the policy would not be valid with this rule")?;
        Ok(())
    }

    /// Puts the old text back, unless somebody has changed the file meanwhile.
    fn take_back(&self) -> anyhow::Result<()> {
        let now = fs::read_to_string(&self.file)
            .with_context(|| format!("cannot read {}", self.file.display()))?;
        ensure!(
            now == self.after,
            "{} was changed by somebody else meanwhile: take the rule out of it by hand",
            self.file.display()
        );
        write(&self.file, &self.before)
    }
}

fn ask(client: &mut Client, wish: &Wish, act: Act) -> anyhow::Result<Opening> {
    let request = Request::Allow {
        wish: wish.clone(),
        act,
        claimed: claimed(),
    };
    let Reply::Opening(opening) = client.request(&request)? else {
        return Err(ClientError::Unexpected.into());
    };
    Ok(*opening)
}

fn show(opening: &Opening, time: Option<Duration>, screen: &mut Screen) -> anyhow::Result<()> {
    let Opening {
        rule,
        guard,
        file: _,
        session,
        until,
        notes,
        denied_by: _,
        allowed_by: _,
        id: _,
    } = opening;
    let mut table = Table::plain();
    let mut row = |name: &str, value: &str| table.row([Cell::new(name), Cell::new(value)]);
    row("rule", &rule.to_string());
    row(
        "for",
        &match session {
            Some(session) => format!("session {session} of {guard}"),
            None => format!("every session of {guard}"),
        },
    );
    let end = match (until, time, session) {
        (Some(until), Some(time), _) => format!("{until} (in {})", super::duration(time)),
        (_, _, Some(_)) => "when the session ends".to_owned(),
        (_, _, None) => "never: it becomes a rule of the policy file".to_owned(),
    };
    row("ends", &end);
    table.print(screen)?;
    for note in notes {
        let note = format!("note  {}", plain(note));
        let note = if note.contains("risky") {
            screen.paint(Paint::Warn, &note)
        } else {
            note
        };
        screen.line(note)?;
    }
    Ok(())
}

fn list(client: &mut Client, screen: &mut Screen) -> anyhow::Result<Exit> {
    let Reply::Grants(grants) = client.request(&Request::Grants {})? else {
        bail!("egressd answered something else");
    };
    if screen.is_json() {
        screen.json(&grants)?;
        return Ok(Exit::Ok);
    }
    if grants.is_empty() {
        screen.line("nothing is granted beside the policy files")?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["ID", "OPENS", "FOR", "LEFT", "BY", "WHY"]);
    for grant in grants {
        let Grant {
            id,
            guard,
            session,
            rule,
            since: _,
            until: _,
            left_ms,
            uid,
            claimed,
            why,
        } = grant;
        let left = left_ms.map_or_else(
            || "session".to_owned(),
            |left| super::duration(Duration::from_millis(left)),
        );
        let by = match claimed {
            Some(claimed) => format!("uid {uid} ({claimed})"),
            None => format!("uid {uid}"),
        };
        table.row([
            Cell::new(id.to_string()),
            Cell::new(place(&rule)),
            Cell::new(session.unwrap_or(guard)),
            Cell::new(left),
            Cell::new(by),
            Cell::new(why.unwrap_or_default()),
        ]);
    }
    table.print(screen)?;
    Ok(Exit::Ok)
}

/// What a rule opens, in a few words.
pub(super) fn place(rule: &serde_json::Value) -> String {
    let words = |key: &str| -> Vec<String> {
        let list = rule.get(key).and_then(serde_json::Value::as_array);
        let words = list.into_iter().flatten();
        words
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect()
    };
    let hosts = [words("hosts"), words("cidrs")].concat().join(", ");
    format!("{hosts} ({})", words("ports").join(", "))
}

fn spell(rule: &Rule) -> String {
    let name = plain(&rule.name);
    match (&rule.file, rule.line) {
        (Some(file), Some(line)) => format!("`{name}` ({}:{line})", plain(file)),
        _ => format!("`{name}`"),
    }
}

/// Asks on a terminal; anything but `y` and `yes` is a no.
pub(super) fn agrees(question: &str, screen: &mut Screen) -> anyhow::Result<bool> {
    ensure!(
        io::stdin().is_terminal() && !screen.is_json(),
        "nobody can be asked here: say `--yes` if it is meant"
    );
    screen.line(format!("{question} [y/N]"))?;
    screen.flush()?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Who this is by the word of the environment: sudo's, or the login's. No proof of anything.
pub(super) fn claimed() -> Option<String> {
    let word = |name: &str| std::env::var(name).ok().filter(|word| !word.is_empty());
    match (word("SUDO_USER"), word("SUDO_UID")) {
        (Some(user), Some(uid)) => Some(format!("{user}, uid {uid}, through sudo")),
        (Some(user), None) => Some(format!("{user}, through sudo")),
        (None, _) => word("LOGNAME").or_else(|| word("USER")),
    }
}

/// A length of time that a person writes: `90s`, `30m`, `1h 30m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let read: Result<SignedDuration, _> = text.parse();
    let time = read
        .ok()
        .and_then(|time| Duration::try_from(time).ok())
        .filter(|time| time.as_secs() >= 1);
    time.ok_or_else(|| "write a time of 1s or more, such as `30m`, `1h` or `1h 30m`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_or_refused() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(time("1h 30m"), Ok(Duration::from_mins(90)));
        for text in ["", "1", "-1h", "0s", "10ms", "soon", "1y"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_is_told_in_a_few_words() {
        let rule = json!({ "name": "g", "hosts": ["a.test"], "ports": ["443/tcp", "22/tcp"] });
        assert_eq!(place(&rule), "a.test (443/tcp, 22/tcp)");
        assert_eq!(place(&json!("nothing")), " ()");
    }

    #[test]
    fn an_edit_adds_one_rule_with_its_reason_and_keeps_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy.json");
        let base = directory.path().join("base.json");
        fs::write(&base, r#"{ "version": 1 }"#).unwrap();
        let text = r#"{
  "//": "of the house",
  "version": 1,
  "extends": "base.json",
  "network": { "allow": [
    { "name": "git", "hosts": ["github.com"],   "ports": ["443/tcp"] }
  ] }
}
"#;
        fs::write(&file, text).unwrap();
        let opening = |rule: serde_json::Value| Opening {
            rule,
            guard: "agent".to_owned(),
            file: file.display().to_string(),
            session: None,
            until: None,
            notes: Vec::new(),
            denied_by: None,
            allowed_by: None,
            id: None,
        };
        let rule = json!({ "name": "pypi.org", "hosts": ["pypi.org"], "ports": ["443/tcp"] });
        let edit = Edit::of(&opening(rule), Some("for the build")).unwrap();
        assert!(edit.after.contains(r#""//": "of the house""#));
        assert!(edit.after.contains(r#"["github.com"],   "ports""#));
        assert!(edit.after.contains("for the build") && edit.after.contains("allowed by uid"));
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        write(&edit.file, &edit.after).unwrap();
        assert_eq!(Policy::load(&file).unwrap().rules().len(), 2);
        edit.take_back().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert!(edit.take_back().is_err(), "somebody else changed it");
        // Nothing is left beside it, and what is no policy is not written.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        let twice = json!({ "name": "git", "hosts": ["a.test"], "ports": ["443/tcp"] });
        assert!(Edit::of(&opening(twice), None).is_err());
    }
}
