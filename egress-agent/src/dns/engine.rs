//! The resolver's decisions: what to answer at once, what to ask upstream, what becomes a lease.
//!
//! One engine belongs to one guard. It holds the leases, the cache and the budgets; `R` is
//! whatever leads a reply back to its client. A reply is handed out only after [`Host::install`]
//! returned for the leases behind it.

mod give;
mod judge;

use crate::policy::Name;
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use egress_common::{Client, ClientKey, Protocol, Reason, RuleId};
use hickory_proto::op::Message;

use super::{
    Host, Names, Settings,
    budget::Budgets,
    cache::{Cache, Cached},
    leases::Leases,
    local::{self, Local},
    outcome::{Decision, Outcome},
    question::{self, BadQuestion, Question},
    reply::{self, Ede, Head, OwnedHead, Rcode},
};
use give::record;
pub(super) use judge::Judged;
use judge::{Denial, judge};

/// Questions of one session that may wait for an upstream at a time.
const MAX_OPEN: usize = 256;
const SECOND: u64 = 1_000_000_000;

/// What to do for a client's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send what was written.
    Reply,
    /// Nothing is due: not a question.
    Silent,
    /// Another client's question will answer this one.
    Wait,
    /// A person is to be asked whether this client may have the name. Nothing was written or
    /// recorded; the message is to be asked again when there is an answer.
    Approve {
        client: Client,
        name: Name,
        rule: RuleId,
    },
    /// Ask an upstream, and hand the result to [`Engine::answered`].
    Ask(Lookup),
}

/// A question for an upstream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup {
    pub name: Name,
    /// The record type.
    pub kind: u16,
}

/// What an upstream answered.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub message: Box<Message>,
    pub server: SocketAddr,
    pub latency: Duration,
}

/// The state of one guard's resolver.
#[derive(Debug)]
pub struct Engine<N, R> {
    /// The policy by which the cache was filled.
    names: Option<Arc<N>>,
    cache: Cache,
    /// What those get who are only observed.
    observed: Cache,
    /// What those get who alone have more.
    alone: HashMap<u64, Cache>,
    leases: Leases,
    budgets: Budgets,
    waiting: BTreeMap<Lookup, Vec<Waiter<R>>>,
    /// Waiters of each session.
    open: HashMap<u64, usize>,
}

/// A client whose question is on its way.
#[derive(Debug)]
struct Waiter<R> {
    head: OwnedHead,
    asker: Asker,
    reply_to: R,
}

#[derive(Clone, Copy, Debug)]
struct Asker {
    from: ClientKey,
    client: Client,
}

/// One question on its way back, and to whom.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    head: &'a Head<'a>,
    from: ClientKey,
    client: Option<Client>,
    name: &'a str,
    kind: u16,
}

/// What an answer is under one policy.
type Learned<N> = (Arc<N>, Result<Rc<Cached>, Denial>);

/// How an answer came about.
#[derive(Clone, Copy, Debug)]
struct Origin {
    cached: bool,
    upstream: Option<(SocketAddr, Duration)>,
}

impl<'a> Asked<'a> {
    fn new(question: &'a Question<'a>, from: ClientKey, client: Option<Client>) -> Self {
        Self {
            head: &question.head,
            from,
            client,
            name: question.key.name(),
            kind: question.kind,
        }
    }
}

impl<N: Names, R> Engine<N, R> {
    pub fn new(leases: Leases) -> Self {
        Self {
            names: None,
            cache: Cache::new(),
            observed: Cache::new(),
            alone: HashMap::new(),
            leases,
            budgets: Budgets::default(),
            waiting: BTreeMap::new(),
            open: HashMap::new(),
        }
    }

    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Takes over the table that [`Leases::rejudged`] made, once the kernel has its image.
    pub fn replace_leases(&mut self, leases: Leases) {
        self.leases = leases;
    }

    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Answers in the cache.
    pub fn cached(&self) -> usize {
        let alone: usize = self.alone.values().map(Cache::len).sum();
        self.cache.len() + self.observed.len() + alone
    }

    /// The session is over: its leases go, and nobody waits in it.
    pub fn end(&mut self, host: &impl Host<Names = N>, session: u64) -> std::io::Result<()> {
        self.budgets.end(session);
        self.alone.remove(&session);
        self.open.remove(&session);
        for waiters in self.waiting.values_mut() {
            waiters.retain(|waiter| waiter.asker.client.session != session);
        }
        self.leases.end(session);
        self.write(host)
    }

    /// Writes what the kernel does not have yet; after a restart, everything.
    pub fn write(&mut self, host: &impl Host<Names = N>) -> std::io::Result<()> {
        let changes = self.leases.changes();
        if !changes.is_empty() {
            host.install(&changes)?;
        }
        self.leases.settle();
        Ok(())
    }

    /// Takes one message of a client. `out` has the reply when the step says so; `reply_to` is
    /// asked for only when the client has to wait.
    pub fn ask(
        &mut self,
        host: &impl Host<Names = N>,
        from: ClientKey,
        message: &[u8],
        out: &mut Vec<u8>,
        reply_to: impl FnOnce() -> R,
    ) -> Step {
        self.ask_with(host, (from, message), out, &mut Some(reply_to), false)
    }

    /// The same; but where a person could allow what is denied, says so in place of refusing, if
    /// the question `may_wait`. `reply_to` is left where nothing was made of it.
    pub fn ask_with<F: FnOnce() -> R>(
        &mut self,
        host: &impl Host<Names = N>,
        (from, message): (ClientKey, &[u8]),
        out: &mut Vec<u8>,
        reply_to: &mut Option<F>,
        may_wait: bool,
    ) -> Step {
        let question = match question::parse(message, from.protocol == Protocol::TCP) {
            Ok(question) => question,
            Err(BadQuestion::Silent) => return Step::Silent,
            Err(BadQuestion::Reply(head, rcode, text)) => {
                let text = format!("egressd: {}: {text}", Reason::BadQuestion.code());
                reply::error(out, &head, rcode, Some((Ede::OTHER, &text)));
                host.record(&Outcome {
                    from,
                    client: host.client(&from),
                    name: "",
                    kind: 0,
                    decision: deny(Reason::BadQuestion, RuleId::NONE),
                    observed: false,
                    rcode,
                    addresses: &[],
                    cached: false,
                    upstream: None,
                });
                return Step::Reply;
            }
        };
        let Some(client) = host.client(&from) else {
            let asked = Asked::new(&question, from, None);
            refuse(out, host, &asked, &Denial::new(Reason::UnknownClient), None);
            return Step::Reply;
        };
        let asker = Asker { from, client };
        let names = self.renew(host, client.session);
        let step = match self.decide(host, &*names, asker, &question, out) {
            Ok(Some(judged)) => match reply_to.take() {
                Some(reply_to) => self.enqueue(asker, &question, &judged, reply_to),
                None => Ok(Step::Silent),
            },
            Ok(None) => Ok(Step::Reply),
            Err(denial) if may_wait && denial.reason == Reason::NeedsApproval => {
                match Name::parse(question.key.name()) {
                    Ok(name) => Ok(Step::Approve {
                        client,
                        name,
                        rule: denial.rule,
                    }),
                    Err(_) => Err(denial),
                }
            }
            Err(denial) => Err(denial),
        };
        step.unwrap_or_else(|denial| {
            refuse(
                out,
                host,
                &Asked::new(&question, from, Some(client)),
                &denial,
                None,
            );
            Step::Reply
        })
    }

    /// Takes what an upstream answered to a [`Step::Ask`], and says who gets which reply.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an answer is given away, and learnt from once"
    )]
    pub fn answered<E: std::fmt::Display>(
        &mut self,
        host: &impl Host<Names = N>,
        lookup: &Lookup,
        result: Result<Upstream, E>,
    ) -> Vec<(R, Vec<u8>)> {
        let waiters = self.waiting.remove(lookup).unwrap_or_default();
        if waiters.is_empty() {
            return Vec::new();
        }
        let origin = Origin {
            cached: false,
            upstream: result
                .as_ref()
                .ok()
                .map(|upstream| (upstream.server, upstream.latency)),
        };
        let mut replies = Vec::with_capacity(waiters.len());
        let mut learned: Option<Learned<N>> = None;
        for Waiter {
            head,
            asker,
            reply_to,
        } in waiters
        {
            // What one session is given is not what another may have.
            let names = self.renew(host, asker.client.session);
            let (_, cached) = match learned.take() {
                Some(known) if Arc::ptr_eq(&known.0, &names) => learned.insert(known),
                Some(_) | None => {
                    let answer = match &result {
                        Ok(upstream) => self.learn_answer(host, &*names, lookup, &upstream.message),
                        Err(error) => {
                            Err(Denial::with_text(Reason::UpstreamFailed, error.to_string()))
                        }
                    };
                    learned.insert((Arc::clone(&names), answer))
                }
            };
            if let Some(open) = self.open.get_mut(&asker.client.session) {
                *open = open.saturating_sub(1);
                if *open == 0 {
                    self.open.remove(&asker.client.session);
                }
            }
            let mut out = Vec::new();
            let finished = match &*cached {
                Ok(cached) => self
                    .finish(host, names.settings(), asker, cached, origin)
                    .map(|ttl| (cached, ttl)),
                Err(denial) => Err(denial.clone()),
            };
            match finished {
                Ok((cached, ttl)) => reply::answer(&mut out, &head.head(), &cached.template, ttl),
                Err(denial) => {
                    let asked = Asked {
                        head: &head.head(),
                        from: asker.from,
                        client: Some(asker.client),
                        name: &lookup.name,
                        kind: lookup.kind,
                    };
                    refuse(&mut out, host, &asked, &denial, origin.upstream);
                }
            }
            replies.push((reply_to, out));
        }
        replies
    }

    /// Learns what an answer to a question that did not pass here would teach: `dns.mode: snoop`.
    /// Nobody gets a reply; the outcome is recorded.
    pub fn observe(
        &mut self,
        host: &impl Host<Names = N>,
        client: Client,
        from: ClientKey,
        lookup: &Lookup,
        message: &Message,
    ) {
        let names = self.renew(host, client.session);
        let asker = Asker { from, client };
        let origin = Origin {
            cached: false,
            upstream: None,
        };
        let learned = self
            .learn_answer(host, &*names, lookup, message)
            .and_then(|cached| self.admit(&*names, asker, &cached.judged).map(|()| cached))
            .and_then(|cached| {
                self.lease(host, names.settings(), asker, &cached)?;
                Ok(cached)
            });
        match learned {
            Ok(cached) => record(
                host,
                asker,
                &cached,
                self.noted(names.settings(), asker, &cached),
                origin,
            ),
            Err(denial) => host.record(&Outcome {
                from,
                client: Some(client),
                name: &lookup.name,
                kind: lookup.kind,
                decision: deny(denial.reason, denial.rule),
                observed: true,
                rcode: Rcode::NO_ERROR,
                addresses: &[],
                cached: false,
                upstream: None,
            }),
        }
    }

    /// The running policy, as it is for a session. The cache is of one policy and goes with it.
    fn renew(&mut self, host: &impl Host<Names = N>, session: u64) -> Arc<N> {
        let names = host.names();
        if !self
            .names
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &names))
        {
            self.cache.clear();
            self.observed.clear();
            self.alone.clear();
            self.names = Some(names);
        }
        host.names_for(session)
    }

    /// The answers that may be given under these settings: those who are only observed get more,
    /// and so do those who alone were granted something.
    fn cache(&mut self, settings: &Settings) -> &mut Cache {
        match settings.alone {
            Some(session) => self.alone.entry(session).or_insert_with(Cache::new),
            None if settings.observe => &mut self.observed,
            None => &mut self.cache,
        }
    }

    /// Answers at once, or says for which judged name an upstream is needed.
    fn decide(
        &mut self,
        host: &impl Host<Names = N>,
        names: &N,
        asker: Asker,
        question: &Question<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Judged>, Denial> {
        let now = host.now();
        let found = self.cache(names.settings()).get(&question.key, now);
        if let Some(cached) = found {
            self.admit(names, asker, &cached.judged)?;
            let origin = Origin {
                cached: true,
                upstream: None,
            };
            let ttl = self.finish(host, names.settings(), asker, &cached, origin)?;
            reply::answer(out, &question.head, &cached.template, ttl);
            return Ok(None);
        }
        let name = question.key.name();
        match local::answer(name, question.kind, asker.client.session, &self.leases, now) {
            Local::Unknown => {}
            Local::Answer(template) => {
                reply::answer(out, &question.head, &template, local::TTL);
                host.record(&Outcome {
                    from: asker.from,
                    client: Some(asker.client),
                    name,
                    kind: question.kind,
                    decision: Decision::Allow {
                        rules: &[RuleId::RESOLVER],
                    },
                    observed: false,
                    rcode: template.rcode(),
                    addresses: &[],
                    cached: false,
                    upstream: None,
                });
                return Ok(None);
            }
            Local::NoSuchLease => {
                let text = "no name of this session led to the address".to_owned();
                return Err(Denial::with_text(Reason::NameDenied, text));
            }
            Local::Designation => {
                let text = "other resolvers are not announced under a guard".to_owned();
                return Err(Denial::with_text(Reason::NameDenied, text));
            }
        }
        let judged = judge(names, name, question.kind)?;
        self.admit(names, asker, &judged)?;
        Ok(Some(judged))
    }

    /// Counts the name against its wildcard's budget.
    fn admit(&mut self, names: &N, asker: Asker, judged: &Judged) -> Result<(), Denial> {
        let Some(pattern) = &judged.pattern else {
            return Ok(());
        };
        let settings = names.settings();
        let is_admitted = self.budgets.admit(
            asker.client.session,
            pattern,
            &judged.name,
            settings.wildcard_names,
        );
        if is_admitted || settings.observe {
            return Ok(());
        }
        let text = format!(
            "the session has used up its {} names under {pattern}; name the host itself in the policy",
            settings.wildcard_names
        );
        Err(Denial::with_text(Reason::NameBudget, text))
    }

    fn enqueue(
        &mut self,
        asker: Asker,
        question: &Question<'_>,
        judged: &Judged,
        reply_to: impl FnOnce() -> R,
    ) -> Result<Step, Denial> {
        let open = self.open.entry(asker.client.session).or_default();
        if *open >= MAX_OPEN {
            let text =
                format!("{MAX_OPEN} questions of the session wait for an answer; ask again later");
            return Err(Denial::with_text(Reason::TooManyQuestions, text));
        }
        *open += 1;
        let lookup = Lookup {
            name: judged.name.clone(),
            kind: question.kind,
        };
        let waiter = Waiter {
            head: question.head.to_owned(),
            asker,
            reply_to: reply_to(),
        };
        if let Some(waiters) = self.waiting.get_mut(&lookup) {
            waiters.push(waiter);
            return Ok(Step::Wait);
        }
        self.waiting.insert(lookup.clone(), vec![waiter]);
        Ok(Step::Ask(lookup))
    }
}

fn deny(reason: Reason, rule: RuleId) -> Decision<'static> {
    Decision::Deny { reason, rule }
}

/// Writes and records a denial.
fn refuse<H: Host>(
    out: &mut Vec<u8>,
    host: &H,
    asked: &Asked<'_>,
    denial: &Denial,
    upstream: Option<(SocketAddr, Duration)>,
) {
    let Asked {
        head,
        from,
        client,
        name,
        kind,
    } = *asked;
    let names = host.names();
    let (rcode, ede) = denial.codes();
    let is_refused = rcode == Rcode::REFUSED && client.is_some();
    let rcode = if is_refused && names.settings().refuse_with_nxdomain {
        Rcode::NO_SUCH_NAME
    } else {
        rcode
    };
    reply::error(
        out,
        head,
        rcode,
        Some((ede, &denial.message(&*names, name, kind))),
    );
    host.record(&Outcome {
        from,
        client,
        name,
        kind,
        decision: deny(denial.reason, denial.rule),
        observed: false,
        rcode,
        addresses: &[],
        cached: false,
        upstream,
    });
}

#[cfg(test)]
mod tests;
