//! Whether a name and a type may be asked at all, and what a refusal says.

use crate::policy::Name;
use egress_common::{PortSet, Reason, RuleId};

use crate::dns::{
    NameVerdict, Names,
    answer::{TYPE_A, TYPE_AAAA, TYPE_CNAME, TYPE_HTTPS, TYPE_SVCB, is_meta},
    leases::Grant,
    reply::{Ede, Rcode},
    suspicion::suspicious_label,
};

/// A question that may be asked.
#[derive(Debug)]
pub(in crate::dns) struct Judged {
    pub(in crate::dns) name: Name,
    pub(in crate::dns) grant: Grant,
    /// The wildcard that admitted the name.
    pub(in crate::dns) pattern: Option<Box<str>>,
    /// The name may lead into private space.
    pub(in crate::dns) private: bool,
    /// The policy only observes; enforced, it would have refused for this.
    pub(in crate::dns) denied: Option<(Reason, RuleId)>,
}

/// A question that gets no answer, or an answer that nobody gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dns) struct Denial {
    pub(in crate::dns) reason: Reason,
    pub(in crate::dns) rule: RuleId,
    /// What happened and what to do; made up from the reason when absent.
    text: Option<String>,
}

impl Denial {
    pub(in crate::dns) const fn new(reason: Reason) -> Self {
        Self {
            reason,
            rule: RuleId::NONE,
            text: None,
        }
    }

    pub(in crate::dns) const fn with_text(reason: Reason, text: String) -> Self {
        Self {
            reason,
            rule: RuleId::NONE,
            text: Some(text),
        }
    }

    /// What the client's stub resolver and the client's user get to see. SERVFAIL makes a stub
    /// resolver try again or elsewhere; it stands only where that may help.
    pub(in crate::dns) fn codes(&self) -> (Rcode, Ede) {
        if self.reason == Reason::UpstreamFailed {
            (Rcode::SERVER_FAILURE, Ede::NO_REACHABLE_AUTHORITY)
        } else if self.reason == Reason::LeaseFailed {
            (Rcode::SERVER_FAILURE, Ede::OTHER)
        } else {
            (Rcode::REFUSED, Ede::PROHIBITED)
        }
    }

    /// The extra text of the extended error.
    pub(in crate::dns) fn message(&self, names: &impl Names, name: &str, kind: u16) -> String {
        let code = self.reason.code();
        if let Some(text) = &self.text {
            return format!("egressd: {code}: {text}");
        }
        if self.reason == Reason::DeniedByRule {
            return match names.denial_text(self.rule) {
                Some(text) => format!("egressd: {code}: {text}"),
                None => format!("egressd: {code}: {name} is denied by rule {}", self.rule.0),
            };
        }
        if self.reason == Reason::NeedsApproval {
            return format!(
                "egressd: {code}: {name} needs a person's approval, and nobody has given it (`egressctl approve`)"
            );
        }
        if self.reason == Reason::TypeDenied {
            return format!("egressd: {code}: records of type {kind} are not answered");
        }
        if self.reason == Reason::UnknownClient {
            return format!("egressd: {code}: only guarded sessions are answered");
        }
        format!("egressd: {code}: {name} is in no allow rule")
    }
}

/// Judges a question. Under a policy that only observes, what it would deny is noted and goes on
/// without a grant.
pub(in crate::dns) fn judge(names: &impl Names, name: &str, kind: u16) -> Result<Judged, Denial> {
    let observe = names.settings().observe;
    let private = names.is_private_allowed(name);
    let verdict = permit(names, name, kind);
    let name = Name::parse(name).map_err(|error| match &verdict {
        Err(denial) => denial.clone(),
        Ok(_) => Denial::with_text(Reason::BadQuestion, error.to_string()),
    })?;
    match verdict {
        Ok((rules, pattern, until)) => Ok(Judged {
            name,
            grant: Grant {
                rules: rules.into(),
                set: PortSet::EMPTY,
                until,
            },
            pattern,
            private,
            denied: None,
        }),
        Err(denial) if observe && !is_meta(kind) => Ok(Judged {
            name,
            grant: Grant {
                rules: [].into(),
                set: PortSet::EMPTY,
                until: u64::MAX,
            },
            pattern: None,
            private,
            denied: Some((denial.reason, denial.rule)),
        }),
        Err(denial) => Err(denial),
    }
}

type Permit = (Vec<RuleId>, Option<Box<str>>, u64);

fn permit(names: &impl Names, name: &str, kind: u16) -> Result<Permit, Denial> {
    let (rules, wildcard, until) = match names.decide_name(name) {
        NameVerdict::Allow {
            rules,
            wildcard,
            until,
        } => (rules, wildcard, until),
        NameVerdict::Deny { reason, rule } => {
            return Err(Denial {
                reason,
                rule,
                text: None,
            });
        }
    };
    let is_known = matches!(
        kind,
        TYPE_A | TYPE_AAAA | TYPE_CNAME | TYPE_HTTPS | TYPE_SVCB
    );
    if !is_known && (is_meta(kind) || !names.settings().extra_types.contains(&kind)) {
        return Err(Denial::new(Reason::TypeDenied));
    }
    if let Some(pattern) = &wildcard
        && let Some(label) = suspicious_label(name, pattern)
    {
        let text =
            format!("`{label}` looks like data; name the host itself in the policy if it is one");
        return Err(Denial::with_text(Reason::SuspiciousName, text));
    }
    Ok((rules, wildcard.map(String::into_boxed_str), until))
}
