//! From an upstream's answer to leases: the second half of every question.

use std::{rc::Rc, time::Duration};

use egress_common::{Reason, RuleId};
use hickory_proto::op::Message;

use super::{Asker, Denial, Engine, Judged, Lookup, Origin, SECOND, deny, judge::judge};
use crate::dns::{
    Decision, Host, Names, Outcome, Settings, Terms,
    answer::{Filter, Filtered, wire_name},
    cache::Cached,
    leases::Grant,
    question::Key,
    reply::Template,
};

impl<N: Names, R> Engine<N, R> {
    /// Judges the name by the present policy, filters the answer and keeps it for its TTL.
    pub(super) fn learn_answer(
        &mut self,
        host: &impl Host<Names = N>,
        names: &N,
        lookup: &Lookup,
        message: &Message,
    ) -> Result<Rc<Cached>, Denial> {
        let judged = judge(names, &lookup.name, lookup.kind)?;
        let settings = names.settings();
        let filter = Filter {
            names,
            keep_private: judged.private || settings.observe,
            max_addresses: settings.terms.addresses_per_name,
            ttl_max: u32::try_from(settings.terms.ttl_max.as_secs()).unwrap_or(u32::MAX),
        };
        let (Some(wire), Some(key)) =
            (wire_name(&lookup.name), Key::new(&lookup.name, lookup.kind))
        else {
            return Err(Denial::new(Reason::BadQuestion));
        };
        let filtered = filter
            .apply(message, &wire, lookup.kind)
            .map_err(|useless| Denial::with_text(Reason::UpstreamFailed, useless.to_string()))?;
        let is_private = filtered.is_private && !judged.private;
        if is_private && !settings.observe {
            let text = format!(
                "{} leads into private space; list it in dns.private if it should",
                lookup.name
            );
            return Err(Denial::with_text(Reason::PrivateAnswer, text));
        }
        let Filtered {
            rcode,
            answers,
            authorities,
            addresses,
            ttl,
            is_private: _,
        } = filtered;
        let template = Template::new(&wire, lookup.kind, rcode, answers, authorities)
            .map_err(|error| Denial::with_text(Reason::UpstreamFailed, error.to_string()))?;
        let judged = if addresses.is_empty() || judged.denied.is_some() {
            judged
        } else {
            let set = host.port_set(&judged.grant.rules).map_err(|error| {
                Denial::with_text(
                    Reason::LeaseFailed,
                    format!("the rules' ports could not be written: {error}"),
                )
            })?;
            Judged {
                grant: Grant {
                    set,
                    ..judged.grant
                },
                ..judged
            }
        };
        let cached = Rc::new(Cached {
            kind: lookup.kind,
            template,
            judged: Rc::new(judged),
            addresses,
            expires: host.now().saturating_add(u64::from(ttl) * SECOND),
            is_private,
        });
        if ttl > 0 {
            self.cache(settings).insert(&key, &cached);
        }
        Ok(cached)
    }

    /// Leases what the answer leads to and records it. It may be given then, for so many seconds.
    pub(super) fn finish(
        &mut self,
        host: &impl Host<Names = N>,
        settings: &Settings,
        asker: Asker,
        cached: &Cached,
        origin: Origin,
    ) -> Result<u32, Denial> {
        let left = self.lease(host, settings, asker, cached)?;
        record(
            host,
            asker,
            cached,
            self.noted(settings, asker, cached),
            origin,
        );
        Ok(u32::try_from(left.as_secs()).unwrap_or(u32::MAX))
    }

    /// What a policy that only observes would have refused the answer for.
    pub(super) fn noted(
        &self,
        settings: &Settings,
        asker: Asker,
        cached: &Cached,
    ) -> Option<(Reason, RuleId)> {
        if !settings.observe {
            return None;
        }
        let Judged {
            name,
            pattern,
            denied,
            ..
        } = &*cached.judged;
        let session = asker.client.session;
        let is_over = pattern
            .as_ref()
            .is_some_and(|pattern| !self.budgets.counts(session, pattern, name));
        denied
            .or(is_over.then_some((Reason::NameBudget, RuleId::NONE)))
            .or(cached
                .is_private
                .then_some((Reason::PrivateAnswer, RuleId::NONE)))
    }

    /// Makes sure that the session's leases outlive the answer; returns how long that lives.
    pub(super) fn lease(
        &mut self,
        host: &impl Host<Names = N>,
        settings: &Settings,
        asker: Asker,
        cached: &Cached,
    ) -> Result<Duration, Denial> {
        let now = host.now();
        let left = Duration::from_nanos(cached.expires.saturating_sub(now));
        if cached.addresses.is_empty() {
            return Ok(left);
        }
        let session = asker.client.session;
        let Judged { name, grant, .. } = &*cached.judged;
        let terms = &settings.terms;
        if self.leases.touch(
            session,
            name,
            &cached.addresses,
            lasting(terms, left, now).min(grant.until),
        ) {
            return Ok(left);
        }
        self.leases
            .learn(session, name, grant, (&cached.addresses, left), terms, now)
            .map_err(|error| Denial::with_text(Reason::LeaseFailed, error.to_string()))?;
        if let Err(error) = self.write(host) {
            self.leases.withdraw(session, name, &cached.addresses);
            let text = format!("the kernel did not take the leases: {error}");
            return Err(Denial::with_text(Reason::LeaseFailed, text));
        }
        Ok(left)
    }
}

/// Until when a lease must last to go unrenewed: somewhat less than a fresh one would, so that a
/// name that is asked all the time is not written all the time, and never less than the answer.
fn lasting(terms: &Terms, left: Duration, now: u64) -> u64 {
    let slack = terms.ttl_min / 4 + terms.grace / 2;
    let slack = u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX);
    let answer = now.saturating_add(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
    terms.expiry(left, now).saturating_sub(slack).max(answer)
}
/// Records an answer; `noted` is what it would have been refused for.
pub(super) fn record<H: Host>(
    host: &H,
    asker: Asker,
    cached: &Cached,
    noted: Option<(Reason, RuleId)>,
    origin: Origin,
) {
    let Judged { name, grant, .. } = &*cached.judged;
    host.record(&Outcome {
        from: asker.from,
        client: Some(asker.client),
        name,
        kind: cached.kind,
        decision: noted.map_or(
            Decision::Allow {
                rules: &grant.rules,
            },
            |(reason, rule)| deny(reason, rule),
        ),
        observed: noted.is_some(),
        rcode: cached.template.rcode(),
        addresses: &cached.addresses,
        cached: origin.cached,
        upstream: origin.upstream,
    });
}
