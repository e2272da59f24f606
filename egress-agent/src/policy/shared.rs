//! Hosts that one party does not hold alone: whoever has an account there can receive what an
//! agent sends, and hand it what an agent reads.
//!
//! One function answers for `policy check`, `explain`, `why`, `suggest` and the profiles, for a
//! host as for a pattern. It asks three lists: the public suffixes, below which strangers have
//! names; the drop boxes of content inspection; and what is listed here, which is too ordinary to
//! be a finding in a text.
//!
//! # Known gaps
//!
//! The lists are what is known today. Services with uploads that are on none of them, and own
//! servers of somebody, are not known.

use std::fmt;

use super::{
    name::Name,
    pattern::{NamePattern, is_public_suffix},
    suffix::suffix,
};
use crate::inspect::{Severity, destination};

/// What strangers have in common with a host or a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Everything below this suffix belongs to whoever registers it.
    Suffix(String),
    /// The name is one of many that strangers have below this suffix.
    Neighbours(String),
    /// A drop box, and what it is known as.
    Place {
        host: String,
        kind: &'static str,
        is_grave: bool,
    },
}

/// What [`PLACES`] are known as.
const STORAGE: &str = "object-storage";
const REGISTRY: &str = "registry";
const SERVICE: &str = "service";

/// Who has an account there can put something; exact names, or with a dot in front every name
/// below one too.
const PLACES: &[(&str, &str)] = &[
    (".r2.cloudflarestorage.com", STORAGE),
    (".r2.dev", STORAGE),
    (".backblazeb2.com", STORAGE),
    (".wasabisys.com", STORAGE),
    (".digitaloceanspaces.com", STORAGE),
    (".linodeobjects.com", STORAGE),
    (".core.windows.net", STORAGE),
    (".s3.amazonaws.com", STORAGE),
    ("storage.googleapis.com", STORAGE),
    (".storage.googleapis.com", STORAGE),
    ("storage.cloud.google.com", STORAGE),
    ("firebasestorage.googleapis.com", STORAGE),
    ("www.googleapis.com", STORAGE),
    ("registry.npmjs.org", REGISTRY),
    ("registry.yarnpkg.com", REGISTRY),
    ("jsr.io", REGISTRY),
    ("upload.pypi.org", REGISTRY),
    ("test.pypi.org", REGISTRY),
    ("crates.io", REGISTRY),
    ("rubygems.org", REGISTRY),
    ("www.nuget.org", REGISTRY),
    ("plugins.gradle.org", REGISTRY),
    ("central.sonatype.com", REGISTRY),
    ("oss.sonatype.org", REGISTRY),
    ("s01.oss.sonatype.org", REGISTRY),
    ("pub.dev", REGISTRY),
    ("hex.pm", REGISTRY),
    ("ghcr.io", REGISTRY),
    ("registry-1.docker.io", REGISTRY),
    ("index.docker.io", REGISTRY),
    ("hub.docker.com", REGISTRY),
    ("registry.gitlab.com", REGISTRY),
    ("quay.io", REGISTRY),
    (".gcr.io", REGISTRY),
    (".pkg.dev", REGISTRY),
    (".azurecr.io", REGISTRY),
    ("public.ecr.aws", REGISTRY),
    // Interfaces that keep files, or tell their owner who has asked for what.
    ("api.anthropic.com", SERVICE),
    ("claude.ai", SERVICE),
    ("api.openai.com", SERVICE),
    ("chatgpt.com", SERVICE),
    ("generativelanguage.googleapis.com", SERVICE),
    (".amazonaws.com", SERVICE),
    (".api.aws", SERVICE),
    ("management.azure.com", SERVICE),
    (".sentry.io", SERVICE),
    (".datadoghq.com", SERVICE),
    (".datadoghq.eu", SERVICE),
    (".statsig.com", SERVICE),
    (".posthog.com", SERVICE),
    (".segment.io", SERVICE),
];

/// Private suffixes below which only their owner makes names: on the list of public suffixes so
/// that cookies stay apart.
const OWNED: &[&str] = &["googleapis.com"];

impl Shared {
    /// What a rule shares with strangers when it allows this pattern.
    pub fn of(pattern: &NamePattern) -> Option<Self> {
        Self::of_all(pattern, &|_name| false)
    }

    /// The same, where places that are denied do not count.
    pub(crate) fn of_all(pattern: &NamePattern, is_denied: &dyn Fn(&Name) -> bool) -> Option<Self> {
        let base = pattern.base().as_str();
        let is_suffix = is_public_suffix(base);
        match pattern {
            NamePattern::Exact(name) => place(base)
                .or_else(|| (is_suffix && is_private(base)).then(|| Self::Suffix(base.to_owned())))
                .or_else(|| neighbours(name.as_str())),
            NamePattern::One(_) | NamePattern::Many(_) if is_suffix => {
                Some(Self::Suffix(base.to_owned()))
            }
            NamePattern::One(_) | NamePattern::Many(_) => {
                let covered = covered(pattern, is_denied);
                let own = place(base);
                match (covered, own) {
                    (Some(covered), Some(own)) if own.needs_mark() && !covered.needs_mark() => {
                        Some(own)
                    }
                    (covered, own) => covered.or(own).or_else(|| neighbours(base)),
                }
            }
        }
    }

    /// What somebody shares with strangers who reaches this name.
    pub fn of_name(name: &Name) -> Option<Self> {
        Self::of(&NamePattern::Exact(name.clone()))
    }

    /// Whether a rule that allows it has to say that it is meant. What every developer needs (a
    /// forge, a registry, the API of a model) is told and not asked about.
    pub fn needs_mark(&self) -> bool {
        match self {
            Self::Suffix(_) => true,
            Self::Neighbours(_) => false,
            Self::Place { is_grave, .. } => *is_grave,
        }
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suffix(suffix) => {
                write!(
                    f,
                    "anybody can have a name below {suffix}, and receive what is sent there"
                )
            }
            Self::Neighbours(suffix) => write!(
                f,
                "anybody can have a name beside it below {suffix}, and be mistaken for it"
            ),
            Self::Place { host, kind, .. } => write!(
                f,
                "{host} is known as a drop box ({kind}): what is sent there under a stranger's account is the stranger's"
            ),
        }
    }
}

/// What a host is known as.
fn place(host: &str) -> Option<Shared> {
    if let Some(category) = destination::category(host) {
        return Some(Shared::Place {
            host: host.to_owned(),
            kind: category.id(),
            is_grave: category.severity() >= Severity::Medium,
        });
    }
    let fits = |known: &str| match known.strip_prefix('.') {
        None => host == known,
        Some(base) => {
            host == base
                || host
                    .strip_suffix(base)
                    .is_some_and(|above| above.ends_with('.'))
        }
    };
    let (_, kind) = PLACES.iter().find(|(known, _)| fits(known))?;
    Some(Shared::Place {
        host: host.to_owned(),
        kind,
        is_grave: *kind == STORAGE,
    })
}

/// The gravest of the known places that a pattern covers.
fn covered(pattern: &NamePattern, is_denied: &dyn Fn(&Name) -> bool) -> Option<Shared> {
    let listed = PLACES
        .iter()
        .map(|(known, _)| known.trim_start_matches('.'));
    let mut covered = destination::known()
        .chain(listed)
        .filter(|host| pattern.covers(host))
        .filter(|host| !Name::parse(host).is_ok_and(|name| is_denied(&name)))
        .filter_map(place);
    let first = covered.next()?;
    if first.needs_mark() {
        return Some(first);
    }
    covered.find(Shared::needs_mark).or(Some(first))
}

/// The private suffix below which this name is one of many.
fn neighbours(name: &str) -> Option<Shared> {
    let suffix = suffix(name)?;
    if suffix.typ() != Some(psl::Type::Private) || suffix.as_bytes() == name.as_bytes() {
        return None;
    }
    let suffix = std::str::from_utf8(suffix.as_bytes()).ok()?;
    if OWNED.contains(&suffix) {
        return None;
    }
    Some(Shared::Neighbours(suffix.to_owned()))
}

/// Whether somebody lets others have names below this one; no registry of the DNS does.
fn is_private(base: &str) -> bool {
    let probe = format!("0-probe.{base}");
    suffix(&probe).is_some_and(|suffix| suffix.typ() == Some(psl::Type::Private))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Option<Shared> {
        Shared::of(&NamePattern::parse(text).unwrap())
    }

    #[track_caller]
    fn told(text: &str, part: &str, needs_mark: bool) {
        let shared = of(text).unwrap_or_else(|| panic!("{text} is shared"));
        assert!(shared.to_string().contains(part), "{text}: {shared}");
        assert_eq!(shared.needs_mark(), needs_mark, "{text}: {shared}");
    }

    #[test]
    fn patterns_that_let_anybody_in_need_a_mark() {
        for text in [
            "*.githubusercontent.com",
            "*.s3.amazonaws.com",
            "**.s3.amazonaws.com",
            "*.blob.core.windows.net",
            "*.cloudfront.net",
            "*.github.io",
            "**.co.uk",
            "*.com",
            "**.googleapis.com",
        ] {
            told(text, "anybody can have a name below", true);
        }
        for text in [
            "**.github.com",
            "*.github.com",
            "**.amazonaws.com",
            "**.windows.net",
            "**.google.com",
            "*.webhook.site",
            "**.slack.com",
        ] {
            told(text, "known as a drop box", true);
        }
    }

    #[test]
    fn hosts_where_anybody_can_put_something_are_known_and_graver_ones_need_a_mark() {
        for (text, kind, needs_mark) in [
            ("gist.github.com", "paste-bin", true),
            ("pastebin.com", "paste-bin", true),
            ("storage.googleapis.com", "object-storage", true),
            ("s3.amazonaws.com", "object-storage", true),
            ("api.github.com", "repository", false),
            ("github.com", "repository", false),
            ("raw.githubusercontent.com", "repository", false),
            ("ghcr.io", "registry", false),
            ("registry.npmjs.org", "registry", false),
            ("sts.us-east-1.amazonaws.com", "service", false),
            ("api.anthropic.com", "service", false),
            ("hooks.slack.com", "messaging", true),
        ] {
            told(text, &format!("drop box ({kind})"), needs_mark);
        }
        told("blob.core.windows.net", "drop box (object-storage)", true);
        told("s3.us-west-2.amazonaws.com", "drop box", false);
        told("cloudfront.net", "below cloudfront.net", true);
        told(
            "d111.cloudfront.net",
            "beside it below cloudfront.net",
            false,
        );
        told("someone.github.io", "beside it below github.io", false);
    }

    #[test]
    fn what_one_party_holds_alone_is_not_shared() {
        for text in [
            "static.crates.io",
            "index.crates.io",
            "files.pythonhosted.org",
            "pypi.org",
            "deb.debian.org",
            "*.debian.org",
            "proxy.golang.org",
            "oauth2.googleapis.com",
            "www.bbc.co.uk",
            "example.com",
            "**.example.com",
            "*.svc.cluster.local",
            "evilgithub.com",
            "github.com.evil.example",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_place_that_is_denied_does_not_count() {
        let pattern = NamePattern::parse("*.github.com").unwrap();
        let is_gist = |name: &Name| name.as_str() == "gist.github.com";
        let left = Shared::of_all(&pattern, &is_gist).unwrap();
        assert!(!left.needs_mark(), "{left}");
    }

    #[test]
    fn every_place_is_a_name_and_stands_once() {
        for (at, (known, _)) in PLACES.iter().enumerate() {
            let host = known.trim_start_matches('.');
            assert_eq!(Name::parse(host).unwrap().as_str(), host);
            assert!(place(host).is_some());
            assert!(PLACES.iter().skip(at + 1).all(|(other, _)| other != known));
        }
    }

    proptest! {
        #[test]
        fn a_pattern_over_a_grave_place_needs_a_mark(
            index in 0..destination::known().count(),
            stars in prop::sample::select(vec!["*.", "**."]),
        ) {
            let host = destination::known().nth(index).unwrap();
            let grave = of(host).is_some_and(|shared| shared.needs_mark());
            let (_, above) = host.split_once('.').unwrap();
            if let Ok(pattern) = NamePattern::parse(&format!("{stars}{above}")) && grave {
                prop_assert!(Shared::of(&pattern).is_some_and(|shared| shared.needs_mark()));
            }
        }
    }
}
