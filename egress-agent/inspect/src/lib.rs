//! What stands in a text: secrets, orders hidden in it, commands that destroy, code that acts.
//!
//! ```text
//!   bytes ──view──▶ views (as written, decoded, joined) ──detectors──▶ Finding ──redact──▶ bytes
//!   command ──shell──▶ Reach (contacts, commands, code) ──detectors──▶ Finding
//! ```
//!
//! Pure: bytes and options in, findings out. A finding says where something stands, never what:
//! no secret leaves this room. Every input is read in linear time; one that was not read to its
//! end says so ([`Report::is_complete`]), and the caller refuses it.

pub mod chain;
pub mod code;
pub mod destination;
pub mod destructive;
pub mod finding;
mod fold;
pub mod injection;
mod json;
mod keywords;
pub mod known;
pub mod poison;
pub mod redact;
pub mod secrets;
pub mod shell;
pub mod suffix;
pub mod view;

use std::collections::BTreeSet;

pub use finding::{Confidence, Finding, Kind, Severity, View};
pub use known::{InvalidValue, Named};
pub use redact::{Redaction, Strategy, Tokens};
pub use secrets::{Detector, detectors};
pub use view::ViewText;

use known::{Known, Values};
use secrets::Engine;
use view::Views;

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Detectors that are left out, by id.
    pub disabled: Vec<String>,
    /// Detectors that are off unless they are named here: addresses of wallets, of mail and of
    /// machines, hashes.
    pub enabled: Vec<String>,
    /// Variables of the environment whose values are secrets.
    pub environment: Vec<Named>,
    /// Values of a secrets file; see [`known::parse_secrets`].
    pub secrets: Vec<Named>,
    /// Texts that exist only to be seen where they should not be.
    pub canaries: Vec<String>,
    /// Texts that mark what belongs to the organisation.
    pub fingerprints: Vec<String>,
    /// Domains whose names stay inside.
    pub internal_domains: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a report that is not read finds nothing"]
pub struct Report {
    /// In the order of the text.
    pub findings: Vec<Finding>,
    /// False when codings lay deeper than is read, or the budget of decoded bytes ended: something
    /// may stand there unseen.
    pub is_complete: bool,
}

/// Why there is no inspector: everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidOptions(pub Vec<InvalidOption>);

/// Why an option cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOption {
    #[error("`{id}` is no detector{}", .near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Detector { id: String, near: Option<String> },
    #[error(transparent)]
    Value(#[from] InvalidValue),
}

/// Another family of detectors: reads one text, adds what it finds. It runs over every view.
type Family = fn(&ViewText<'_>, &mut Vec<Finding>);

const OUTGOING: &[Family] = &[];
/// What comes to a model may be orders to it.
const INCOMING: &[Family] = &[orders];

/// Detectors made ready; one for many texts, from many threads.
#[derive(Debug)]
pub struct Inspector {
    secrets: Engine,
    known: Known,
}

/// Every name that a finding can have.
pub fn ids() -> impl Iterator<Item = &'static str> {
    detectors()
        .map(|detector| detector.id)
        .chain(known::IDS)
        .chain(injection::detectors().iter().map(|detector| detector.id))
        .chain(poison::detectors().iter().map(|detector| detector.id))
        .chain(destructive::detectors().iter().map(|detector| detector.id))
        .chain(code::ids())
        .chain(
            destination::Category::ALL
                .iter()
                .map(|category| category.id()),
        )
        .chain(chain::ids())
}

/// Whether a detector is off unless it is asked for.
pub fn is_optional(id: &str) -> bool {
    let mut found = detectors().filter(|detector| detector.id == id);
    found.any(|detector| detector.is_optional)
}

impl Options {
    /// Whether an inspector can look for these, without making one.
    pub fn check(&self) -> Result<(), InvalidOptions> {
        let known = Known::new(&Values {
            environment: &self.environment,
            secrets: &self.secrets,
            canaries: &self.canaries,
            fingerprints: &self.fingerprints,
            domains: &self.internal_domains,
        });
        let wrong = known.err().into_iter().flatten();
        let wrong: Vec<_> = wrong.map(InvalidOption::Value).collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(InvalidOptions(wrong))
        }
    }
}

impl Inspector {
    pub fn new(options: Options) -> Result<Self, InvalidOptions> {
        let Options {
            disabled,
            enabled,
            environment,
            secrets: values,
            canaries,
            fingerprints,
            internal_domains,
        } = options;
        let ids: BTreeSet<&str> = detectors().map(|detector| detector.id).collect();
        let mut wrong: Vec<InvalidOption> = disabled
            .iter()
            .chain(&enabled)
            .filter(|id| !ids.contains(id.as_str()))
            .map(|id| InvalidOption::Detector {
                id: id.clone(),
                near: near(id, &ids),
            })
            .collect();
        let known = Known::new(&Values {
            environment: &environment,
            secrets: &values,
            canaries: &canaries,
            fingerprints: &fingerprints,
            domains: &internal_domains,
        });
        let is_named = |list: &[String], id: &str| list.iter().any(|named| named == id);
        let secrets = Engine::new(|detector| {
            !is_named(&disabled, detector.id)
                && (!detector.is_optional || is_named(&enabled, detector.id))
        });
        match known {
            Ok(known) if wrong.is_empty() => Ok(Self { secrets, known }),
            known => {
                wrong.extend(known.err().into_iter().flatten().map(InvalidOption::Value));
                Err(InvalidOptions(wrong))
            }
        }
    }

    /// Inspects any bytes.
    pub fn inspect(&self, bytes: &[u8]) -> Report {
        self.report(bytes, &Views::of(bytes), OUTGOING)
    }

    /// Inspects any bytes that a model will read: orders to it are found besides.
    pub fn inspect_incoming(&self, bytes: &[u8]) -> Report {
        self.report(bytes, &Views::of(bytes), INCOMING)
    }

    /// Inspects JSON: names and values are texts of their own, and the values of one call are
    /// also read as one. Ranges are bytes of `json`. What is not JSON is read as well as it goes.
    pub fn inspect_json(&self, json: &[u8]) -> Report {
        self.report(json, &Views::of_json(json), OUTGOING)
    }

    /// As [`Inspector::inspect_json`], for what a model will read.
    pub fn inspect_incoming_json(&self, json: &[u8]) -> Report {
        self.report(json, &Views::of_json(json), INCOMING)
    }

    fn report(&self, bytes: &[u8], views: &Views<'_>, families: &[Family]) -> Report {
        let mut findings = Vec::new();
        for text in &views.texts {
            self.secrets.find(text, &mut findings);
            self.known.find(text, &mut findings);
            for family in families {
                family(text, &mut findings);
            }
        }
        for finding in &mut findings {
            on_boundaries(bytes, finding);
        }
        Report {
            findings: tidy(findings),
            is_complete: views.is_complete,
        }
    }
}

/// Orders to a model. They fold letters by themselves, and stand in sentences.
fn orders(text: &ViewText<'_>, findings: &mut Vec<Finding>) {
    match text.view() {
        View::Raw | View::Url | View::Base64 | View::Hex | View::Base32 => {}
        View::Labels | View::Query | View::Fields | View::Folded | View::Shell => return,
    }
    let mut at = 0;
    for chunk in text.bytes().utf8_chunks() {
        for finding in injection::findings(chunk.valid()) {
            let range = finding.range.start + at..finding.range.end + at;
            let view = if text.view() == View::Raw {
                finding.view
            } else {
                text.view()
            };
            findings.push(Finding {
                view,
                range: text.origin(&range),
                ..finding
            });
        }
        at += chunk.valid().len() + chunk.invalid().len();
    }
}

/// Moves the ends of a range outwards to whole characters.
fn on_boundaries(bytes: &[u8], finding: &mut Finding) {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    for _ in 0..3 {
        if finding.range.start > 0 && is_inside(finding.range.start) {
            finding.range.start -= 1;
        }
        if is_inside(finding.range.end) {
            finding.range.end += 1;
        }
    }
}

/// Findings in the order of the text. The same thing at the same place is said once, and what a
/// format explains is not said again as something that looks secret.
fn tidy(mut findings: Vec<Finding>) -> Vec<Finding> {
    let generic: BTreeSet<&str> = detectors()
        .filter(|detector| detector.is_generic)
        .map(|detector| detector.id)
        .collect();
    let is_generic = |finding: &Finding| generic.contains(finding.detector.as_str());
    // Longer ranges first, surer ones first among equals, as written before decoded.
    findings.sort_by(|one, other| {
        let key = |finding: &Finding| {
            (
                finding.range.start,
                std::cmp::Reverse(finding.range.end),
                is_generic(finding),
                std::cmp::Reverse(finding.confidence),
                finding.view,
            )
        };
        key(one)
            .cmp(&key(other))
            .then_with(|| one.detector.cmp(&other.detector))
    });
    // How far the ranges reach that began before, by what they are.
    let mut by_detector: std::collections::HashMap<String, usize> =
        std::collections::HashMap::new();
    let mut by_format = 0;
    findings.retain(|finding| {
        let end = finding.range.end;
        let is_said = by_detector
            .get(&finding.detector)
            .is_some_and(|reach| end <= *reach)
            || is_generic(finding) && finding.kind == Kind::Secret && end <= by_format;
        if !is_said {
            by_detector.insert(finding.detector.clone(), end);
            if !is_generic(finding) && finding.kind == Kind::Secret {
                by_format = by_format.max(end);
            }
        }
        !is_said
    });
    findings
}

fn near(id: &str, ids: &BTreeSet<&str>) -> Option<String> {
    ids.iter()
        .map(|known| (strsim::damerau_levenshtein(id, known), known))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, known)| (*known).to_owned())
}

#[cfg(test)]
mod tests;
