//! What was decided about a tool call, and why.

use serde::{Deserialize, Serialize};

use crate::inspect::Finding;

/// The decision. Allow is silence to the agent's own permission system, never an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Allow,
    Deny,
    /// A person must confirm it.
    Ask,
}

/// Which question decided: the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// `tools.deny`.
    HardDeny,
    /// A secret, a credential path or a path of the control plane in the arguments.
    Sensitive,
    /// `tools.url_tools` and the agents' own web tools.
    Url,
    Shell,
    Connector,
    /// A network-sounding name of a server that is not local.
    NetworkName,
    /// What stands in the arguments: section `inspect`.
    Content,
    /// An unknown tool that carries a URL or a host with a port.
    CarriesHost,
    /// `tools.confirm`.
    Confirm,
    /// Nothing that concerns the network.
    Other,
}

impl Class {
    /// The word that stands in records.
    pub const fn code(self) -> &'static str {
        match self {
            Self::HardDeny => "hard-deny",
            Self::Sensitive => "sensitive",
            Self::Url => "url",
            Self::Shell => "shell",
            Self::Connector => "connector",
            Self::NetworkName => "network-name",
            Self::Content => "content",
            Self::CarriesHost => "carries-host",
            Self::Confirm => "confirm",
            Self::Other => "other",
        }
    }
}

/// A judgement with all that a person needs to understand it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    pub verdict: Verdict,
    pub class: Class,
    /// A stable code; absent when allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One line for the agent and its person: what happened, why, what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Every host that was found, canonical, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The rule that decided, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What could not be told and is left to the kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unclear: Vec<String>,
    /// What was found in the arguments, and where; never the thing itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}
