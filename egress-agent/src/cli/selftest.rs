//! `egressctl selftest`: about thirty known attempts and honest calls, against the configuration.
//!
//! Nothing is sent and nothing runs: every vector is judged as it would be. Each is built when it
//! is needed, so that no file holds a text that looks like a secret. Exit 1 when one is judged
//! otherwise than it should be.

mod vectors;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Exit, Paint, Screen,
    rules::Ground,
    table::{Cell, Table},
};
use crate::{
    content::{Content, Source},
    control::{
        client::Client,
        message::{Reply, Request},
    },
    policy::{Action, Policy},
    rules::Decision,
    tools::{self, Call, Verdict},
};

pub use vectors::{Category, Expected, Probe, Vector, vectors};

#[derive(Debug, clap::Args)]
pub struct SelftestArgs {
    /// The policy that is tested, with the packs that it names; without it the one that the
    /// daemon enforces.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Packs besides.
    #[arg(long, value_name = "PATH")]
    packs: Vec<PathBuf>,
    /// Only the vectors of this category.
    #[arg(long, value_enum)]
    category: Option<Category>,
}

/// What is tested: answers what would happen.
pub trait Guard {
    /// What happens to a probe; nothing when this configuration does not look at such things.
    fn answer(&self, probe: &Probe) -> Option<Action>;
}

/// A policy with its rules, as the hook and the MCP guard use them.
struct Configured<'c> {
    ground: &'c Ground,
    content: &'c Content,
}

impl Guard for Configured<'_> {
    fn answer(&self, probe: &Probe) -> Option<Action> {
        Some(match probe {
            Probe::Call(call) => self.call(call),
            Probe::Result(text) => {
                let message = json!(text).to_string();
                self.content.look(Source::Server, message.as_bytes()).action
            }
            Probe::Description(tool) => self.content.describe(tool).action,
        })
    }
}

impl Configured<'_> {
    fn call(&self, call: &Call) -> Action {
        let policy = self.ground.policy.as_ref();
        let judged = policy.map(|policy| match tools::judge(policy, call).verdict {
            Verdict::Allow => Action::Allow,
            Verdict::Ask => Action::Ask,
            Verdict::Deny => Action::Deny,
        });
        let seen = self.ground.see(call);
        let (labels, environment) = (self.ground.labels(), self.ground.environment());
        let question = seen.question(call, &labels, environment.as_deref());
        let ruled = match self.ground.rules.decide(&question).decision() {
            Some(Decision::Deny) => Action::Deny,
            Some(Decision::Ask) => Action::Ask,
            Some(Decision::Redact) => Action::Redact,
            Some(Decision::Allow | Decision::Simulate) | None => Action::Allow,
        };
        let found = self.content.call(call).action;
        judged.unwrap_or(Action::Allow).max(ruled).max(found)
    }
}

/// How one vector ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    pub name: &'static str,
    pub category: Category,
    pub status: Status,
    pub expected: Expected,
    /// `allow`, `warn`, `ask`, `redact`, `deny`; absent when nothing looks at it.
    pub answer: Option<&'static str>,
    /// What it stands for.
    pub about: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Pass,
    /// What should be stopped goes through, or goes unseen.
    Gap,
    /// What is honest is stopped.
    Fail,
}

/// Judges every vector.
pub fn test(guard: &dyn Guard, category: Option<Category>, allowed: Option<&str>) -> Vec<Ended> {
    let all = vectors(allowed).into_iter();
    all.filter(|vector| category.is_none_or(|wanted| vector.category == wanted))
        .map(|vector| {
            let answer = guard.answer(&vector.probe);
            Ended {
                name: vector.name,
                category: vector.category,
                status: vector.expected.status(answer),
                expected: vector.expected,
                answer: answer.map(Action::code),
                about: vector.about,
            }
        })
        .collect()
}

pub fn run(args: &SelftestArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let (file, digest) = match &args.policy {
        Some(file) => (file.clone(), None),
        None => live(socket)?,
    };
    let Some(ground) = Ground::load(Some(&file), &args.packs, screen)? else {
        return Ok(Exit::InvalidPolicy);
    };
    let read = ground.policy.as_ref().map(Policy::digest);
    ensure!(
        digest.is_none() || digest.as_deref() == read,
        "{} is not what egressd enforces, it has changed since: run `egressctl reload`, or name it with --policy",
        file.display()
    );
    let allowed = ground.policy.as_ref().and_then(allowed_host);
    let alone = Content::default();
    let policy = ground.policy.as_ref();
    let guard = Configured {
        ground: &ground,
        content: policy.map_or(&alone, |policy| policy.content()),
    };
    let ended = test(&guard, args.category, allowed.as_deref());
    report(&file, &ground, &ended, screen)?;
    let is_good = ended.iter().all(|one| one.status == Status::Pass);
    Ok(if is_good { Exit::Ok } else { Exit::No })
}

/// An exact host that the policy allows over HTTPS.
fn allowed_host(policy: &Policy) -> Option<String> {
    let rules = policy.rules().iter();
    let hosts = rules
        .filter(|rule| rule.effect == crate::policy::Effect::Allow)
        .flat_map(|rule| &rule.hosts)
        .filter(|host| host.is_exact())
        .map(|host| host.base().to_string());
    let mut open = hosts.filter(|host| {
        let target = format!("{host}:443/tcp").parse();
        target.is_ok_and(|target| {
            let told = crate::policy::explain_connect(policy, &target);
            told.verdict == crate::policy::Answer::Allow
        })
    });
    open.next()
}

/// The policy that the daemon enforces: its file and what it held.
fn live(socket: &Path) -> anyhow::Result<(PathBuf, Option<String>)> {
    let request = Request::Status { session: None };
    let Reply::Status(status) = Client::connect(socket)?.request(&request)? else {
        bail!("egressd answered something else than was asked for");
    };
    let policies: BTreeSet<_> = status
        .guards
        .iter()
        .map(|guard| (guard.policy.file.clone(), guard.policy.digest.clone()))
        .collect();
    let mut policies = policies.into_iter();
    match (policies.next(), policies.next()) {
        (Some((file, digest)), None) => Ok((file.into(), Some(digest))),
        (None, _) => bail!("egressd guards nothing: name a policy with --policy"),
        (Some(_), Some(_)) => bail!("egressd enforces several policies: name one with --policy"),
    }
}

fn report(
    file: &Path,
    ground: &Ground,
    ended: &[Ended],
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let count = |status| ended.iter().filter(|one| one.status == status).count();
    let (passed, gaps, failed) = (count(Status::Pass), count(Status::Gap), count(Status::Fail));
    let is_observing = ground
        .policy
        .as_ref()
        .is_some_and(|policy| policy.mode() == egress_common::Mode::Observe);
    if screen.is_json() {
        let names = |status| -> Vec<Value> {
            let those = ended.iter().filter(|one| one.status == status);
            those.map(|one| json!(one.name)).collect()
        };
        screen.json(&json!({
            "policy": file.display().to_string(),
            "mode": if is_observing { "observe" } else { "enforce" },
            "total": ended.len(),
            "passed": passed,
            "gaps": names(Status::Gap),
            "failed": names(Status::Fail),
            "vectors": ended,
        }))?;
        return Ok(());
    }
    let mut table = Table::new(&["STATUS", "CATEGORY", "VECTOR", "EXPECTED", "ANSWER"]);
    for one in ended {
        let (word, paint) = match one.status {
            Status::Pass => ("pass", Paint::Allow),
            Status::Gap => ("gap", Paint::Deny),
            Status::Fail => ("fail", Paint::Deny),
        };
        table.row([
            Cell::painted(word, paint),
            Cell::new(one.category.code()),
            Cell::new(one.name),
            Cell::new(one.expected.code()),
            Cell::new(one.answer.unwrap_or("unseen")),
        ]);
    }
    table.print(screen)?;
    for one in ended.iter().filter(|one| one.status != Status::Pass) {
        screen.line(format!("{}: {}", one.name, one.about))?;
    }
    let policy = super::table::plain(&file.display().to_string());
    screen.line(format!(
        "{policy}: {passed} of {} as expected, {gaps} gaps, {failed} honest calls stopped",
        ended.len()
    ))?;
    if is_observing {
        screen.line("note: the policy only observes; nothing of this is refused")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::tests::Written;

    fn repository(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
    }

    fn tested(category: Option<Category>, json: bool) -> (Exit, String) {
        let args = SelftestArgs {
            policy: Some(repository("policy/anthropic.json")),
            packs: vec![repository("policy/packs")],
            category,
        };
        let written = Written::default();
        let exit = run(
            &args,
            Path::new("/nowhere"),
            &mut written.screen(json, false),
        )
        .unwrap();
        (exit, written.text())
    }

    #[test]
    fn names_are_unique_and_every_category_has_vectors() {
        let all = vectors(Some("a.example"));
        assert!(all.len() >= 30, "{}", all.len());
        let mut names: Vec<_> = all.iter().map(|vector| vector.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        for category in Category::ALL {
            assert!(
                all.iter().any(|vector| vector.category == category),
                "{category:?}"
            );
        }
    }

    struct Always(Option<Action>);

    impl Guard for Always {
        fn answer(&self, _probe: &Probe) -> Option<Action> {
            self.0
        }
    }

    #[test]
    fn a_guard_that_answers_always_the_same_does_not_pass() {
        for (answer, status) in [
            (Some(Action::Allow), Status::Gap),
            (Some(Action::Deny), Status::Fail),
            (None, Status::Gap),
        ] {
            let ended = test(&Always(answer), None, Some("a.example"));
            let is_honest = |one: &&Ended| one.category == Category::Clean;
            let is_wrong = |one: &&Ended| one.status != Status::Pass;
            let wrong: Vec<_> = ended.iter().filter(is_wrong).collect();
            assert!(wrong.iter().all(|one| one.status == status), "{wrong:?}");
            let honest = ended.iter().filter(is_honest).count();
            let expected = if status == Status::Fail {
                honest
            } else {
                ended.len() - honest
            };
            assert_eq!(wrong.len(), expected, "{answer:?}");
        }
    }

    #[test]
    fn what_the_policy_and_the_pack_stop_is_stopped() {
        for category in [
            Category::Destinations,
            Category::Schemes,
            Category::Shell,
            Category::Clean,
        ] {
            let (exit, text) = tested(Some(category), false);
            assert_eq!(exit, Exit::Ok, "{text}");
        }
    }

    #[test]
    fn a_report_names_the_gaps() {
        let (exit, text) = tested(None, true);
        let told: Value = serde_json::from_str(&text).unwrap();
        let gaps = told["gaps"].as_array().unwrap();
        assert_eq!(exit == Exit::No, !gaps.is_empty(), "{text}");
        assert_eq!(told["failed"], json!([]));
        let vectors = told["vectors"].as_array().unwrap();
        assert_eq!(told["total"], vectors.len());
        let counted = vectors.iter().filter(|one| one["status"] == "gap").count();
        assert_eq!(counted, gaps.len());
        assert_eq!(told["passed"], vectors.len() - gaps.len());
    }

    #[test]
    fn nothing_that_looks_like_a_secret_is_told() {
        for json in [false, true] {
            let (_, text) = tested(None, json);
            assert_eq!(tools::find_secret(&text), None);
        }
    }
}
