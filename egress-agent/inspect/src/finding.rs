//! What was found, and where.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A credential, or a value that only its owner should hold.
    Secret,
    /// A number or an address of a person or a machine: cards, accounts, host names.
    Personal,
    /// A command that destroys, hides or opens something.
    Destructive,
    /// Code that acts on the machine or the network.
    Code,
    /// An order to the model in a text that should only inform it.
    Injection,
    /// A tool whose description orders or deceives.
    Poisoning,
    /// A place that is known as a drop box.
    Destination,
    /// Calls that are harmless one by one.
    Chain,
}

/// How bad it is when it is true. Greater is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

/// How sure it is. Greater is surer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The shape alone: an honest text may have it.
    Low,
    /// The shape and its surroundings.
    Medium,
    /// A checksum, a format that nothing else has, or a value that is known.
    High,
}

/// How the text was read when it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// As it is written.
    Raw,
    /// Percent-encoding undone, as often as it was done; or references of HTML.
    Url,
    Base64,
    Hex,
    Base32,
    /// The labels of a host name, joined.
    Labels,
    /// The values of a query, joined in order.
    Query,
    /// The fields of one call, joined.
    Fields,
    /// NFKC, confusable letters folded, invisible and control characters removed.
    Folded,
    /// The words of a command after the shell has undone its quotes.
    Shell,
}

/// One thing that stands in a text. Never the thing itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable, in kebab-case: `aws-access-key`, `instruction-override`.
    pub detector: String,
    pub kind: Kind,
    pub severity: Severity,
    pub confidence: Confidence,
    pub view: View,
    /// Bytes of the original text; where a view joins several places, from the first to the last.
    pub range: Range<usize>,
}
