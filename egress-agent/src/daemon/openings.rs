//! Opening a destination by hand: grants beside the policy files, and answers to what waits.
//!
//! Every change goes through [`Guard::install`] as a reload does, so that what a grant opened is
//! closed by what closes the flows of a rule that was taken away.

mod words;

use std::{rc::Rc, time::Duration};

use super::{
    Daemon,
    approvals::Waiting,
    grants::{By, Granted},
    guard::Guard,
    records,
};
use words::{bad, because, clip, denied, from_now, place, read, told, until, who, written};

use crate::{
    audit::record::{self, Kind, Verdict},
    control::{
        grants::{Act, Grant, Opening, Pending, Settlement, Wish},
        message::{Code, Failure},
        peer::Peer,
    },
    kernel::boot,
    policy::{Effect, Given, Host, NameDecision, Policy, Rule, Wanted},
};

/// The boot clock goes on while the machine sleeps and the clock of timers does not: it is looked
/// at so often while anything may run out.
const TURN: Duration = Duration::from_secs(1);

/// What ends a grant, for the record.
/// A guard, and the session in it, by number and name.
type Meant = (Rc<Guard>, Option<(u64, String)>);

const EXPIRED: &str = "its time is up";
const SESSION_ENDED: &str = "its session ended";
const STOPPED: &str = "egressd stops";

impl Daemon {
    /// Opens a destination, or says what that would open.
    pub(super) fn allow(
        &mut self,
        peer: &Peer,
        wish: &Wish,
        act: Act,
        claimed: Option<String>,
    ) -> Result<Opening, Failure> {
        let (guard, session) = self.meant(wish)?;
        let path = guard.cgroup.path().to_owned();
        let wanted: Wanted = wish
            .target
            .parse()
            .map_err(|error: crate::policy::InvalidWanted| bad(error.to_string()))?;
        let is_for_a_time = wish.seconds.is_some() || session.is_some();
        let until = until(wish.seconds)?;
        if act == Act::Written {
            self.reload(Some(&path))?;
        }
        let policy = guard.world().policy();
        let name = if is_for_a_time {
            format!("grant-{}", self.grants.next())
        } else {
            wanted.name(&policy)
        };
        let written = wanted.rule(&name, wish.multi_tenant);
        let rule = read(&policy, &written)?;
        let mut opening = Opening {
            rule: written,
            guard: path,
            file: guard.policy_path.display().to_string(),
            session: session.as_ref().map(|(_, name)| name.clone()),
            until: wish.seconds.and_then(from_now),
            notes: policy.notes(&rule),
            denied_by: policy.denying(&rule).map(place),
            allowed_by: policy.permitting(&rule).map(place),
            id: None,
        };
        if !rule.networks.is_empty() && is_for_a_time {
            if session.is_some() {
                return Err(bad(crate::policy::CannotGrant::AddressForSession.to_string())
                    .with_help("name the host, or leave out `--session` and open the address for every session"));
            }
            opening
                .notes
                .push("every session of the guard can use it".to_owned());
        }
        let by = By {
            uid: peer.uid,
            claimed: claimed.map(|text| clip(&text)),
            why: wish.why.as_deref().map(clip),
        };
        match act {
            Act::Show => Ok(opening),
            Act::Written => {
                if opening.allowed_by.is_none() {
                    let message =
                        "the policy file was read again, and does not allow it".to_owned();
                    return Err(Failure::new(Code::Failed, message));
                }
                self.tell_written(&opening, &by);
                Ok(opening)
            }
            Act::Grant if opening.denied_by.is_some() => {
                let rule = opening.denied_by.as_ref();
                Err(denied(rule))
            }
            Act::Grant if opening.allowed_by.is_some() => Ok(opening),
            Act::Grant if !is_for_a_time => Err(bad("a grant needs an end: a time or a session")),
            Act::Grant => {
                let granted = Granted {
                    guard: opening.guard.clone(),
                    session,
                    rule,
                    written: opening.rule.clone(),
                    since: records::now(),
                    until,
                    by,
                };
                opening.id = Some(self.grant(&guard, granted)?);
                Ok(opening)
            }
        }
    }

    /// Everything that was granted and has not ended.
    pub(super) fn granted(&self) -> Vec<Grant> {
        let now = boot::now();
        let grants = self.grants.iter();
        grants.map(|(id, granted)| told(id, granted, now)).collect()
    }

    /// Takes a grant back. What it opened is closed when this returns.
    pub(super) fn revoke(
        &mut self,
        peer: &Peer,
        id: u64,
        claimed: Option<String>,
    ) -> Result<String, Failure> {
        let Some(granted) = self.grants.get(id).cloned() else {
            return Err(
                Failure::new(Code::NotFound, format!("no grant {id} stands"))
                    .with_help("see `egressctl allow --list`"),
            );
        };
        self.grants.remove(id);
        let by = By {
            uid: peer.uid,
            claimed: claimed.map(|text| clip(&text)),
            why: None,
        };
        let message = format!("taken back by {}", who(&by));
        let path = granted.guard.clone();
        self.end_all(&[(id, granted)], &message);
        if self.unclosed.contains(&path) {
            let message = format!(
                "grant {id} was taken back, and what it opened is not closed yet: the kernel did not take the tables"
            );
            return Err(Failure::new(Code::Failed, message)
                .with_help("egressd goes on trying; see its log"));
        }
        Ok(format!("grant {id} was taken back"))
    }

    /// What waits for a person, the oldest first.
    pub(super) fn pending(&self) -> Vec<Pending> {
        let now = boot::now();
        let approvals = self.approvals.borrow();
        let waiting = approvals.iter().filter(|(_, one)| now < one.until);
        waiting
            .filter_map(|(id, one)| {
                let guard = self.guard(&one.guard)?;
                let policy = guard.world().policy_for(one.session.0);
                let rule = approvable(&policy, one)?;
                Some(Pending {
                    id,
                    guard: one.guard.clone(),
                    session: one.session.1.clone(),
                    host: one.host.to_string(),
                    port: one
                        .port
                        .map(|(protocol, port)| format!("{port}/{protocol}")),
                    rule: one.rule.clone(),
                    process: one.process.clone(),
                    since: one.since,
                    left_ms: one.until.saturating_sub(now) / 1_000_000,
                    count: one.count,
                    risks: risks_of(&policy, &rule, one),
                    opens: written(&rule, &one.host, &rule.name),
                    for_all: matches!(one.host, Host::Address(_)),
                })
            })
            .collect()
    }

    /// A person has answered.
    pub(super) fn approve(
        &mut self,
        peer: &Peer,
        settlement: &Settlement,
        claimed: Option<String>,
    ) -> Result<String, Failure> {
        let Settlement {
            id,
            verdict,
            seconds,
            for_all,
            why,
        } = settlement;
        let now = boot::now();
        let waiting = self.approvals.borrow().get(*id, now).cloned();
        let Some(waiting) = waiting else {
            let message = format!("nothing waits under the number {id}; it may have run out");
            return Err(Failure::new(Code::NotFound, message)
                .with_help("see `egressctl approve`; `egressctl allow` opens a destination that nobody waits for"));
        };
        let guard = self
            .guard(&waiting.guard)
            .ok_or_else(|| Failure::new(Code::NotFound, "no cgroup is guarded any more"))?;
        let by = By {
            uid: peer.uid,
            claimed: claimed.map(|text| clip(&text)),
            why: why.as_deref().map(clip),
        };
        match verdict {
            Verdict::Deny => {
                self.approvals.borrow_mut().refuse(*id, now);
                self.settled(&guard, &waiting, Verdict::Deny, &by);
                Ok(format!(
                    "{} stays closed for session {}",
                    waiting.host, waiting.session.1
                ))
            }
            Verdict::Allow => {
                let until = until(*seconds)?;
                let policy = guard.world().policy_for(waiting.session.0);
                let Some(rule) = approvable(&policy, &waiting) else {
                    let message = format!(
                        "the policy has no rule `{}` of `ask` any more",
                        waiting.rule
                    );
                    return Err(Failure::new(Code::NotFound, message));
                };
                if let Some(deny) = policy.denying(&rule) {
                    return Err(denied(Some(&place(deny))));
                }
                let is_address = matches!(waiting.host, Host::Address(_));
                if is_address && (!for_all || seconds.is_none()) {
                    let message = "an address cannot be opened for one session alone: the kernel's table of networks is one for all";
                    return Err(Failure::new(Code::BadRequest, message).with_help(
                        "open it for every session of the guard with `--all-sessions --for TIME`",
                    ));
                }
                let name = format!("grant-{}", self.grants.next());
                let granted = Granted {
                    guard: waiting.guard.clone(),
                    session: (!for_all).then(|| waiting.session.clone()),
                    written: written(&rule, &waiting.host, &name),
                    rule: Rule { name, ..rule },
                    since: records::now(),
                    until,
                    by: by.clone(),
                };
                self.approvals.borrow_mut().settle(*id);
                let granted = self.grant(&guard, granted);
                let verdict = if granted.is_ok() {
                    Verdict::Allow
                } else {
                    Verdict::Deny
                };
                self.settled(&guard, &waiting, verdict, &by);
                let number = granted?;
                Ok(format!(
                    "{} is open for {}: grant {number}",
                    waiting.host,
                    if *for_all {
                        "every session".to_owned()
                    } else {
                        format!("session {}", waiting.session.1)
                    }
                ))
            }
            Verdict::Ask | Verdict::Redact => Err(bad("an answer is `allow` or `deny`")),
        }
    }

    /// For how long nothing can run out; `None` for ever.
    pub(super) fn due(&self) -> Option<Duration> {
        let asks = self
            .guards
            .iter()
            .any(|running| running.guard.world().policy().asks());
        let waits = self.approvals.borrow().next_end();
        let end = self.grants.next_end().into_iter().chain(waits).min();
        if end.is_none() && !asks && self.unclosed.is_empty() {
            return None;
        }
        let left = end.map_or(TURN, |end| {
            Duration::from_nanos(end.saturating_sub(boot::now()))
        });
        Some(left.min(TURN))
    }

    /// Ends what has run out.
    pub(super) fn end_due(&mut self) {
        let now = boot::now();
        let ended = self.grants.expired(now);
        if ended.is_empty() {
            self.close_ended();
        } else {
            self.end_all(&ended, EXPIRED);
        }
        if let Some(running) = self.guards.first() {
            running.guard.world().forget_expired(now);
        }
    }

    /// A session is over: what it alone was granted ends, and it waits for nobody.
    pub(super) fn end_openings(&mut self, session: u64) {
        let ended = self.grants.end_session(session);
        self.end_all(&ended, SESSION_ENDED);
        let waited = self.approvals.borrow_mut().end_session(session);
        for (_, waiting) in waited {
            let message = "the session ended".to_owned();
            self.records
                .approval(&waiting, Verdict::Deny, Some(message));
        }
    }

    /// What waits and is decided by now, because the policy changed, waits no longer.
    pub(super) fn settle_answered(&self, guard: &Guard) {
        let answered: Vec<(u64, Waiting, bool)> = {
            let approvals = self.approvals.borrow();
            let of_guard = approvals
                .iter()
                .filter(|(_, one)| one.guard == guard.cgroup.path());
            of_guard
                .filter_map(|(id, one)| {
                    let policy = guard.world().policy_for(one.session.0);
                    Some((id, one.clone(), answer(&policy, one)?))
                })
                .collect()
        };
        for (id, waiting, is_allowed) in answered {
            self.approvals.borrow_mut().settle(id);
            let verdict = if is_allowed {
                Verdict::Allow
            } else {
                Verdict::Deny
            };
            let message = "the policy or a grant says so by now".to_owned();
            self.records.approval(&waiting, verdict, Some(message));
            release(guard, &waiting);
        }
    }

    /// Grants of a guard, and what waits in it.
    pub(super) fn openings(&self, guard: &str) -> (u64, u64) {
        let grants = self.grants.iter().filter(|(_, one)| one.guard == guard);
        let approvals = self.approvals.borrow();
        let waiting = approvals.iter().filter(|(_, one)| one.guard == guard);
        (grants.count() as u64, waiting.count() as u64)
    }

    /// Puts one more grant in force.
    fn grant(&mut self, guard: &Rc<Guard>, mut granted: Granted) -> Result<u64, Failure> {
        granted.rule.reason = Some(because(&granted));
        let session = granted.session.as_ref().map(|(id, _)| *id);
        let given = Given {
            rule: granted.rule.clone(),
            session,
            until: granted.until,
        };
        let id = self
            .grants
            .add(granted)
            .map_err(|full| Failure::new(Code::Failed, full.to_string()))?;
        let widened = self.derived(guard).and_then(|policy| {
            if !guard.widen(&policy, &given) {
                guard
                    .install(&policy, guard.gate.opener())
                    .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
            }
            Ok(())
        });
        if let Err(failure) = widened {
            self.grants.remove(id);
            return Err(failure);
        }
        self.approvals.borrow_mut().forgive(session);
        if let Some(granted) = self.grants.get(id) {
            self.tell(Kind::GrantAdded, id, granted, None);
        }
        self.settle_answered(guard);
        Ok(id)
    }

    /// The policy of a guard with everything that is granted in it by now.
    fn derived(&self, guard: &Guard) -> Result<std::sync::Arc<Policy>, Failure> {
        let given = self.grants.given(guard.cgroup.path());
        let policy = guard
            .world()
            .policy()
            .with_grants(&given)
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        if policy.opens_tls() && guard.gate.opener().is_none() {
            let message = "`proxy.level` of the policy is `http`, and no TLS is opened yet";
            return Err(Failure::new(Code::Failed, message).with_help(
                "make a CA with `egressctl ca`, and write the rule into the policy file",
            ));
        }
        Ok(policy)
    }

    /// Closes what these grants opened; they are taken out already.
    fn end_all(&mut self, ended: &[(u64, Granted)], message: &str) {
        let guards = ended.iter().map(|(_, one)| one.guard.clone());
        self.unclosed.extend(guards);
        self.close_ended();
        for (id, granted) in ended {
            self.tell(Kind::GrantEnded, *id, granted, Some(message));
        }
    }

    /// Installs the policies from which a grant was taken out. What fails is tried again.
    fn close_ended(&mut self) {
        for path in std::mem::take(&mut self.unclosed) {
            let Some(guard) = self.guard(&path) else {
                continue;
            };
            let closed = self.derived(&guard).and_then(|policy| {
                guard
                    .install(&policy, guard.gate.opener())
                    .map_err(|error| Failure::new(Code::Failed, error.to_string()))
            });
            if let Err(failure) = closed {
                tracing::error!(cgroup = path, %failure, "what a grant opened is not closed yet");
                self.unclosed.insert(path);
            }
        }
    }

    /// The daemon stops: nobody would be there to end what was granted.
    pub(super) fn end_grants(&mut self) {
        let ended = self.grants.expired(u64::MAX);
        self.end_all(&ended, STOPPED);
    }

    fn settled(&self, guard: &Guard, waiting: &Waiting, verdict: Verdict, by: &By) {
        let why = by
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        let message = format!("by {}{why}", who(by));
        self.records.approval(waiting, verdict, Some(message));
        release(guard, waiting);
    }

    fn tell(&self, kind: Kind, id: u64, granted: &Granted, ended: Option<&str>) {
        let verdict = if ended.is_some() {
            Verdict::Deny
        } else {
            Verdict::Allow
        };
        tracing::info!(id, rule = %granted.written, ?kind, "grant");
        self.records.life(kind, |record| {
            record.verdict = Some(verdict);
            record.guard = Some(granted.guard.clone());
            record.session = granted.session.as_ref().map(|(_, name)| name.clone());
            record.rule = Some(record::Rule {
                name: granted.rule.name.clone(),
                line: None,
            });
            record.name = granted.rule.hosts.first().map(ToString::to_string);
            record.allow_with = Some(granted.written.clone());
            let because = because(granted);
            record.message = Some(match ended {
                None => because,
                Some(why) => format!("{why}; {because}"),
            });
        });
    }

    fn tell_written(&self, opening: &Opening, by: &By) {
        let why = by
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        self.records.life(Kind::GrantAdded, |record| {
            record.verdict = Some(Verdict::Allow);
            record.guard = Some(opening.guard.clone());
            record.rule = opening.allowed_by.as_ref().map(|rule| record::Rule {
                name: rule.name.clone(),
                line: rule.line,
            });
            record.allow_with = Some(opening.rule.clone());
            record.message = Some(format!("written into {} by {}{why}", opening.file, who(by)));
        });
    }

    fn guard(&self, path: &str) -> Option<Rc<Guard>> {
        let mut guards = self.guards.iter().map(|running| &running.guard);
        guards
            .find(|guard| guard.cgroup.path() == path)
            .map(Rc::clone)
    }

    /// The guard and the session that a wish is about.
    fn meant(&self, wish: &Wish) -> Result<Meant, Failure> {
        let chosen = self.chosen(wish.guard.as_deref())?;
        let mut guards = chosen
            .iter()
            .filter_map(|index| self.guards.get(*index))
            .map(|running| &running.guard);
        let Some(name) = &wish.session else {
            return match (guards.next(), guards.next()) {
                (Some(guard), None) => Ok((Rc::clone(guard), None)),
                (None, _) => Err(Failure::new(
                    Code::NotFound,
                    "no cgroup is guarded any more",
                )),
                (Some(_), Some(_)) => Err(bad("several cgroups are guarded, each with its policy")
                    .with_help("name one with `--guard CGROUP`, or a session with `--session`")),
            };
        };
        let found = guards.find_map(|guard| {
            let sessions = guard.world().sessions.borrow();
            let id = sessions.by_name(name)?.cgroup.id();
            Some((Rc::clone(guard), Some((id, name.clone()))))
        });
        found.ok_or_else(|| {
            Failure::new(Code::NotFound, format!("no session `{name}` is running"))
                .with_help("see `egressctl session list`")
        })
    }
}

/// Lets the resolver answer what waited.
fn release(guard: &Guard, waiting: &Waiting) {
    if let Host::Name(name) = &waiting.host {
        guard.resolver.settle(waiting.session.0, name);
    }
}

/// Whether what waits is allowed by now; `None` where a person is still asked about it.
fn answer(policy: &Policy, waiting: &Waiting) -> Option<bool> {
    use egress_common::{Flow, Reason, Verdict as Decision};
    match (&waiting.host, waiting.port) {
        (Host::Name(name), None) => match policy.decide_name(name) {
            NameDecision::Allow(_) => Some(true),
            NameDecision::Deny {
                reason: Reason::NeedsApproval,
                ..
            } => None,
            NameDecision::Deny { .. } => Some(false),
        },
        (Host::Name(name), Some((protocol, port))) => {
            match policy.decide_host(name, protocol, port) {
                Ok(_) => Some(true),
                Err((Reason::NeedsApproval, _)) => None,
                Err(_) => Some(false),
            }
        }
        (Host::Address(address), port) => {
            let (protocol, port) = port?;
            let flow = Flow::new(protocol, (*address).into(), port);
            match policy.decide_address(&flow) {
                Decision::Allow(_) => Some(true),
                Decision::Deny(Reason::NeedsApproval, _) => None,
                Decision::Deny(..) => Some(false),
            }
        }
    }
}

/// What approving it would open.
fn approvable(policy: &Policy, waiting: &Waiting) -> Option<Rule> {
    let mut rules = policy.rules().iter();
    let ask = rules.find(|rule| rule.effect == Effect::Ask && rule.name == waiting.rule)?;
    policy.approvable(&waiting.host, ask.id)
}

fn risks_of(policy: &Policy, rule: &Rule, waiting: &Waiting) -> Vec<String> {
    let mut notes = policy.notes(rule);
    let Host::Name(name) = &waiting.host else {
        return notes;
    };
    let mut rules = policy.rules().iter();
    let ask = rules.find(|rule| rule.effect == Effect::Ask && rule.name == waiting.rule);
    let patterns = ask.into_iter().flat_map(|rule| &rule.hosts);
    let labels = patterns.filter_map(|pattern| {
        let label = (!pattern.is_exact() && pattern.covers(name.as_str()))
            .then(|| crate::dns::suspicious_label(name.as_str(), &pattern.to_string()));
        label.flatten()
    });
    notes.extend(
        labels
            .take(1)
            .map(|label| format!("risky: `{label}` looks like data")),
    );
    notes
}
