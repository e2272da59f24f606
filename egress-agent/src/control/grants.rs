//! What is said about grants and approvals. Members may be added within a version.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::status::Rule;
use crate::audit::record::{Process, Time, Verdict};

/// What is to be opened, for whom and for how long.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// `HOST[:PORT[/PROTO]]`: a name, a pattern, an address or a network. Port 443/tcp without one.
    pub target: String,
    /// Only this session, until it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The guarded cgroup, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// For so long on the boot clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// A pattern right below a public suffix is meant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multi_tenant: bool,
}

/// What is to be done about a [`Wish`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Say what it would open.
    Show,
    /// Open it for its time.
    Grant,
    /// It stands in the policy file by now: read that again, and record who opened it.
    Written,
}

/// What a wish opens, or would open.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Opening {
    /// As it would stand in `network.allow`.
    pub rule: Value,
    pub guard: String,
    /// The file of that guard's policy.
    pub file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What a person should know before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// A rule that denies it: nothing can be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<Rule>,
    /// A rule that allows it already: nothing needs to be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<Rule>,
    /// The number of the grant, once it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

/// One grant that stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    pub id: u64,
    pub guard: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    pub rule: Value,
    pub since: Time,
    /// By the wall clock as it is now; the boot clock counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Absent where it ends with its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
    /// Who granted it, as the kernel says.
    pub uid: u32,
    /// Who that is by their own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Something that waits for a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pending {
    pub id: u64,
    pub guard: String,
    pub session: String,
    /// A name or an address, as the session asked for it.
    pub host: String,
    /// Absent for a name whose port nobody has told yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The rule of `network.ask`.
    pub rule: String,
    /// Who asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    pub since: Time,
    pub left_ms: u64,
    /// How often it was asked for.
    pub count: u64,
    /// Why to look twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<String>,
    /// What approving it opens, as it would stand in `network.allow`.
    pub opens: Value,
    /// Approving it opens it for every session: an address cannot be held to one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_all: bool,
}

/// What a person decided about something that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    pub id: u64,
    /// `allow` or `deny`.
    pub verdict: Verdict,
    /// For so long; without it until the session ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// It may be opened for every session of the guard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_all: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
