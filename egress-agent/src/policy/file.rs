//! The policy file as it is written: the shape of its text and nothing more.
//!
//! The JSON Schema is written from these types, and the check of the shape reads that schema: a test
//! keeps the two from drifting apart. What the texts in it mean is decided in `check`.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use crate::{inspect::Strategy, schema::POLICY};

/// What an AI coding agent may reach from this machine. Everything that is not allowed here is denied.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "egressd policy, version 1")]
pub(crate) struct File {
    /// Where an editor finds the schema of this file. Ignored by egressd.
    #[serde(
        rename = "$schema",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) schema: Option<String>,
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// Version of the format: 1.
    #[schemars(extend("const" = 1))]
    pub(crate) version: u64,
    /// Name of the policy in records and messages: letters, digits, `_`, `.` and `-`. Without it the name of the file.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) name: Option<String>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Policies that this one builds on: one or a list, each a path relative to this file or a maintained profile such as `profile:node`. The rules of all hold and their denies stay; a section `dns`, `audit` or `session` here takes the place of the one there.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Extends")]
    pub(crate) extends: Option<Extends>,
    /// What a denial does: `enforce` (the default) refuses and records, `observe` records only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Mode")]
    pub(crate) mode: Option<Mode>,
    /// Which hosts and addresses may be reached.
    #[serde(default)]
    pub(crate) network: Network,
    /// How names are resolved.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Dns")]
    pub(crate) dns: Option<Dns>,
    /// What the proxy looks at between a session and the hosts that it may reach.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Proxy")]
    pub(crate) proxy: Option<Proxy>,
    /// Where decisions are recorded.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Audit")]
    pub(crate) audit: Option<Audit>,
    /// What holds a command besides the guard of its packets, when `egressctl run` starts it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Session")]
    pub(crate) session: Option<Session>,
    /// Which tool calls of an agent are let through before they run.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Tools")]
    pub(crate) tools: Option<Tools>,
    /// What happens to calls and results for what stands in them.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Inspect")]
    pub(crate) inspect: Option<Inspect>,
}

/// One policy that another builds on, or several: paths and names of profiles.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Extends {
    One(String),
    Many(Vec<String>),
}

/// A comment: whatever it holds is skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comment;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    Enforce,
    Observe,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// What may be reached. Of several rules that fit, the most specific one is reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow: Vec<Rule>,
    /// What may not be reached, whatever the allow rules say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deny: Vec<Rule>,
    /// What waits for `egressctl approve`, where no rule allows or denies it. Written as allow rules are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ask: Vec<Rule>,
    /// Which listeners on this machine's loopback addresses may be reached.
    #[serde(default)]
    pub(crate) loopback: Loopback,
    /// Who outside the session its listeners may answer: `deny` (the default) for nobody, `loopback` for clients on this machine's loopback device.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Inbound")]
    pub(crate) inbound: Option<Inbound>,
    /// What a denied system call returns: `EPERM` (the default), `EACCES` or `ECONNREFUSED`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Errno")]
    pub(crate) errno: Option<Errno>,
}

/// One rule about hosts, addresses or both.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Name of the rule in records, unique in the policy: letters, digits, `_`, `.` and `-`.
    pub(crate) name: String,
    /// Host names: `github.com`, `*.github.com` for one label below, `**.github.com` for one or more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<String>,
    /// Addresses and ranges: `10.20.0.0/16`, `2001:db8::/32`, `10.0.0.5`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cidrs: Vec<String>,
    /// Ports: `443/tcp`, `53/udp`, `8000-8099/tcp`; a bare `443` is TCP. An allow rule must have them; a deny rule without them denies every port.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<Port>")]
    pub(crate) ports: Option<Vec<Port>>,
    /// How long a person has to answer, in a rule of `ask`: `1s` to `10m`. Without it `30s`. Who is not answered is denied.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) deadline: Option<String>,
    /// Why, for whoever is denied by this rule.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) reason: Option<String>,
    /// What is looked at on the way to these hosts: `address` leaves it to the kernel, `name` has the proxy check that a client asks for a host that the rule names, `http` has it read every request, in TLS too. Without it the level of section `proxy` for 443/tcp and 80/tcp, and `address` for every other port.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Level")]
    pub(crate) level: Option<Level>,
    /// What may be asked of these hosts, at level `http`: a request must fit one of them. Without it every request; an empty list allows none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<Request>")]
    pub(crate) requests: Option<Vec<Request>>,
    /// The longest body of a request, at level `http`: `1KiB` to `64MiB`. Without it `8MiB`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) max_body: Option<String>,
    /// How much a session may ask of each host of this rule, at level `http`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Budget")]
    pub(crate) budget: Option<Budget>,
    /// A secret that the proxy adds to requests for these hosts, at level `http`: the agent never holds it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Credential")]
    pub(crate) credential: Option<Credential>,
    /// Headers in which a client may tell these hosts a secret of its own, such as `authorization` or `x-api-key`, at level `http`. In every other place a secret is refused as `proxy.requests` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) login_headers: Vec<String>,
    /// Says that it is meant that strangers share what this rule allows: a pattern directly under a public suffix, such as `*.github.io`, or a known drop box. `description` should say why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) multi_tenant: bool,
}

/// Requests that may be made. Every key that is given must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Methods, such as `GET`; without it any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) methods: Option<Vec<String>>,
    /// Paths without a query: `/repos/acme/*` for one segment, `/v1/**` for any number of them. Without it any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) paths: Option<Vec<String>>,
    /// Headers that must be there, each with the values that it may have; `*` in a value stands for any text.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "distinct"
    )]
    pub(crate) headers: BTreeMap<String, Vec<String>>,
}

/// How much a session may ask of one host.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Requests, and messages over a web socket.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "u64")]
    pub(crate) requests: Option<u64>,
    /// Bytes to the host, such as `10MiB`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) up: Option<String>,
    /// Bytes from the host.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) down: Option<String>,
    /// When it begins anew: `session` (the default) for never, or a time such as `1m`, `1s` to `24h`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) per: Option<String>,
}

/// A secret that the proxy adds, as a header or in place of a placeholder.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credential {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// The header that is set, such as `authorization`; what the client has sent in it is dropped.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) header: Option<String>,
    /// What the header holds, with `{secret}` in it. Without it the secret alone.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) value: Option<String>,
    /// In place of `header`: a word that stands for the secret in headers. A request that takes it to another host is refused.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) placeholder: Option<String>,
    /// The file that holds the secret, which only root can read: an absolute path.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) file: Option<String>,
    /// In place of `file`: a program, by its absolute path, and its arguments. It prints the secret when the policy is loaded.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) command: Option<Vec<String>>,
}

/// How deep the way to a host is looked into.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The kernel alone decides, by the address.
    Address,
    /// The proxy checks the host that the client asks for, in TLS or in HTTP.
    Name,
    /// TLS is opened with the local CA (`egressctl ca init`), and every request is judged.
    Http,
}

/// Section `proxy`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Proxy {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// The level of rules for hosts that name none, on 443/tcp and 80/tcp.
    pub(crate) level: Level,
    /// What happens at level `http` to a request that holds a secret: `allow`, `warn` records it, `deny` refuses it. Without it as `inspect.secrets` says, where `ask` and `redact` refuse it too.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(with = "OfRequest")]
    pub(crate) requests: Option<OfRequest>,
    /// What happens at level `http` to an answer that holds orders to the model: `allow`, `warn` records them, `strip` takes them out, `deny` refuses the answer. Without it as `inspect.injection` says.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(with = "OfAnswer")]
    pub(crate) responses: Option<OfAnswer>,
    /// How long a host may take to begin its answer: `1s` to `24h`.
    pub(crate) answer_within: String,
    /// The directory of the local CA that level `http` opens TLS with, as `egressctl ca init` makes it: an absolute path.
    pub(crate) ca: String,
    /// Hosts whose TLS is not opened where a rule has level `http`, because their clients pin a certificate or show one of their own: names and patterns. Of them the names are checked, and no request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exempt: Vec<String>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            comment: None,
            description: String::new(),
            level: Level::Name,
            requests: None,
            responses: None,
            // Models think for minutes before the first byte.
            answer_within: "15m".to_owned(),
            ca: crate::proxy::ca::DIRECTORY.to_owned(),
            exempt: Vec::new(),
        }
    }
}

/// What is done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OfRequest {
    Allow,
    Warn,
    Deny,
}

/// What is done about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OfAnswer {
    Allow,
    Warn,
    Strip,
    Deny,
}

/// A port or range of ports: text such as `443/tcp`, or a number for TCP.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Port {
    Number(u64),
    Text(String),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Loopback {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// `session` for listeners that the same session opened, and ports such as `3000-3999/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow: Vec<Port>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Inbound {
    Deny,
    Loopback,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Errno {
    Eperm,
    Eacces,
    Econnrefused,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dns {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// `steer` leads every question to the guard resolver; `snoop` leaves the resolver alone and learns from the answers that pass, best effort.
    pub(crate) mode: DnsMode,
    /// How a denied name is answered: `REFUSED` says what happened; `NXDOMAIN` is for C libraries such as musl, which wait for their timeout on `REFUSED`.
    pub(crate) refusal: Refusal,
    /// Where the guard resolver asks: `system` for the servers in resolv.conf, or addresses such as `192.0.2.1` or `[2001:db8::1]:5353`.
    pub(crate) upstreams: Vec<String>,
    /// Host patterns that may resolve to private, shared and link-local addresses.
    pub(crate) private: Vec<String>,
    /// Distinct names that one session may ask for under one wildcard pattern, 1 to 65536.
    #[schemars(range(min = 1, max = 65536))]
    pub(crate) wildcard_names: u64,
    /// How long an address stays allowed after its time to live has passed: `0s` to `1h`.
    pub(crate) grace: String,
    /// The shortest time to live that is honoured: `0s` to `1h`.
    pub(crate) ttl_min: String,
    /// The longest time to live that is honoured: `1s` to `24h`.
    pub(crate) ttl_max: String,
    /// Addresses that one name may hold allowed at a time, 1 to 1024; the oldest give way.
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) addresses_per_name: u64,
    /// Record types that are answered for allowed names besides A, AAAA, CNAME, HTTPS, SVCB and PTR.
    pub(crate) types: Vec<RecordType>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            comment: None,
            description: String::new(),
            mode: DnsMode::Steer,
            refusal: Refusal::Refused,
            upstreams: vec!["system".to_owned()],
            private: Vec::new(),
            wildcard_names: 64,
            grace: "30s".to_owned(),
            ttl_min: "5s".to_owned(),
            ttl_max: "1h".to_owned(),
            addresses_per_name: 32,
            types: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DnsMode {
    Steer,
    Snoop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Refusal {
    Refused,
    Nxdomain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum RecordType {
    Caa,
    Cert,
    Dnskey,
    Ds,
    Hinfo,
    Mx,
    Naptr,
    Ns,
    Openpgpkey,
    Smimea,
    Soa,
    Srv,
    Sshfp,
    Tlsa,
    Txt,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// The audit log, as an absolute path.
    pub(crate) file: String,
    /// Whether allowed flows are recorded too.
    pub(crate) allowed: bool,
    /// The size at which a new file is begun: `64KiB` to `64GiB`.
    pub(crate) rotate: String,
    /// Finished files that are kept, 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) keep: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            comment: None,
            description: String::new(),
            file: "/var/log/egressd/audit.jsonl".to_owned(),
            allowed: false,
            rotate: "64MiB".to_owned(),
            keep: 8,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Session {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// The filter of system calls: socket families, `io_uring`, keys, tracing, mounts, namespaces.
    pub(crate) seccomp: Need,
    /// The kernel's file rules: cgroups, pins and the files of egressd cannot be written, abstract UNIX sockets of others not reached.
    pub(crate) landlock: Need,
    /// A private view of the file system: the UNIX sockets of other programs are hidden.
    pub(crate) view: Need,
    /// Whether `egressctl run --observe` may start a session that is only observed.
    pub(crate) observe: bool,
    /// UNIX sockets of other programs that the session may reach: an absolute path, `$SSH_AUTH_SOCK`, `$XDG_RUNTIME_DIR/…`, `~/…`, or `@name` for an abstract one.
    pub(crate) unix_sockets: Vec<String>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            comment: None,
            description: String::new(),
            seccomp: Need::Require,
            landlock: Need::BestEffort,
            view: Need::Require,
            observe: true,
            unix_sockets: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Need {
    Require,
    BestEffort,
    Off,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields are the keys of the file"
)]
pub(crate) struct Tools {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Tools that go to the URL in their arguments, as patterns of names: every host of theirs must be allowed. The web tools of the agents are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) url_tools: Vec<String>,
    /// Tools of hosted services that may be used, and for whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) connectors: Vec<Connector>,
    /// Tools that are connectors: what matches here and not `connectors` is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) connector_tools: Vec<String>,
    /// Owners that tools may act for, whatever else allows them: every scope that fits a tool must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) owner_scopes: Vec<OwnerScope>,
    /// MCP servers of this machine that reach no network, by their exact names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) local_servers: Vec<String>,
    /// Names that sound like the network: such tools of servers that are not local are denied. Without it `mcp__*fetch*`, `mcp__*http*`, `mcp__*send*`, `mcp__*upload*` and `mcp__*webhook*`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) network_names: Option<Vec<String>>,
    /// Tools that are never let through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deny: Vec<String>,
    /// Tools that a person must confirm with `egressctl confirm`, each time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) confirm: Vec<String>,
    /// Where git and gh may write.
    #[serde(default)]
    pub(crate) git: Git,
    /// Files that no tool may be pointed at.
    #[serde(default)]
    pub(crate) sensitive_paths: SensitivePaths,
    /// What is asked of shell commands.
    #[serde(default)]
    pub(crate) shell: Shell,
}

/// Tools of a hosted service.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connector {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Patterns of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<String>,
    /// The owners (users, organisations) that they may act for; without it any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) owners: Option<Vec<String>>,
}

/// Owners that tools may act for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnerScope {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Patterns of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<String>,
    /// The owners: users and organisations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) owners: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Git {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// The owners that git and gh may write to; without it any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) owners: Option<Vec<String>>,
    /// The hosts that git and gh may write to; without it every allowed host.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) hosts: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensitivePaths {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Files and directories with credentials below a home directory, such as `.ssh`; without it a list of the known ones.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) home: Option<Vec<String>>,
    /// Names of files with secrets in any directory, such as `.env` or `*.pem`; without it a list of the known ones.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Vec<String>")]
    pub(crate) project: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shell {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// What happens to a command when it cannot be told what it reaches: `allow` (the default) leaves it to the kernel, `ask` asks a person, `deny` refuses it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Unclear")]
    pub(crate) unclear: Option<Unclear>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unclear {
    Allow,
    Ask,
    Deny,
}

/// What happens to calls and results for what stands in them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inspect {
    /// A comment for people: any JSON value.
    #[serde(
        rename = "//",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "serde_json::Value")]
    pub(crate) comment: Option<Comment>,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// What happens when a secret is found: `allow`, `warn` records it, `ask` asks a person, `redact` takes it out, `deny` (the default) refuses the call.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Action")]
    pub(crate) secrets: Option<Action>,
    /// What happens to a command that destroys, hides or opens something: `allow`, `warn` (the default), `ask` or `deny`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Action")]
    pub(crate) destructive: Option<Action>,
    /// What happens to code that acts on the machine or the network: `allow`, `warn` (the default), `ask` or `deny`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Action")]
    pub(crate) code: Option<Action>,
    /// What happens when a result holds orders to the model: `allow`, `warn` (the default), `ask`, `redact` or `deny`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Action")]
    pub(crate) injection: Option<Action>,
    /// What happens to the description of a tool that gives orders or deceives: `allow`, `warn`, `ask` or `deny` (the default) hides the tool.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "Action")]
    pub(crate) poisoning: Option<Action>,
    /// How a finding of a detector is taken out: `full`, `partial`, `tokenised` or `type-preserving`. Naming one that is off by itself (`ipv4`, `email`, `hash-sha1` and so on) has it looked for and taken out.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "distinct"
    )]
    pub(crate) redaction: BTreeMap<String, Strategy>,
    /// Variables in the environment of egressd whose values are secrets: they are found wherever they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) environment_values: Vec<String>,
    /// A file of secrets, one a line, as a path relative to this file.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) secrets_file: Option<String>,
    /// Texts that exist only to be seen where they should not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) canaries: Vec<String>,
    /// Texts that mark what belongs to the organisation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fingerprints: Vec<String>,
    /// Domains whose names stay inside, such as `corp.example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) internal_domains: Vec<String>,
    /// Packs of content rules, and directories of packs, as paths relative to this file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) packs: Vec<String>,
    /// Whether the packs named here only record what they would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) shadow: bool,
    /// Where the agent works, for rules that ask for it, such as `production`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    #[schemars(with = "String")]
    pub(crate) environment: Option<String>,
    /// Marks of this agent, for rules that ask for them, such as `{ "team": "core" }`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "distinct"
    )]
    pub(crate) labels: BTreeMap<String, String>,
}

/// What is done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Allow,
    Warn,
    Ask,
    Redact,
    Deny,
}

/// The JSON Schema of the policy file, as `policy/policy.schema.json` holds it.
pub fn schema() -> serde_json::Value {
    POLICY.value()
}

/// Refuses `null` where serde would take it for an absent key.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Refuses a key that is given twice: serde would take the last.
pub(crate) fn distinct<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    struct Distinct<V>(PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Distinct<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut pairs = BTreeMap::new();
            while let Some((key, value)) = map.next_entry::<String, V>()? {
                if pairs.contains_key(&key) {
                    return Err(M::Error::custom(format_args!("key `{key}` is given twice")));
                }
                pairs.insert(key, value);
            }
            Ok(pairs)
        }
    }
    from.deserialize_map(Distinct(PhantomData))
}

impl<'de> Deserialize<'de> for Comment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(from).map(|IgnoredAny| Self)
    }
}

impl Serialize for Comment {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("")
    }
}
