//! egressd and egressctl: everything but the kernel programs.
//!
//! ```text
//!  policy file ──policy──▶ Policy ──compile──▶ kernel tables, look-ups by name        pure
//!  DNS message ──dns::Engine──▶ reply, leases ──┐                                     pure
//!  kernel event, request, signal ──daemon──▶ ───┼──────────────────────────────────
//!                                               ▼
//!     dns::Server   control::server   audit::sink   launch   kernel                  shells
//!  ─────────────────────────────────────────────┼──────────────────────────────────
//!     egress-ebpf  ◀── maps ──▶  decide() of egress-common, in the kernel as here
//! ```
//!
//! | room | what stands in it |
//! |---|---|
//! | [`policy`] | text to checked rules to tables; `explain`, `suggest`; the one parser of host names |
//! | [`dns`] | the guard resolver: questions, the answer filter, leases, cache, upstreams, snooping |
//! | [`kernel`] | cgroups, programs, pins, tables, events: thin shells over aya and cgroupfs |
//! | [`daemon`] | the one task that owns guards, sessions and the order of start and stop |
//! | [`control`] | the socket: messages, who may ask what, server and client |
//! | [`audit`] | the record of every layer, the hash chain, files, followers |
//! | [`dashboard`] | the page for a browser and the numbers for a monitoring system; it only looks |
//! | [`escape`] | every known way out, tried for real: the tests and `egressctl doctor --escape` |
//! | `fuzz` | what must hold for any foreign bytes; only in tests and under the fuzzer |
//! | [`content`] | what a policy wants done about content: rules and findings, made ready once |
//! | [`inspect`] | what stands in a text: secrets, hidden orders, destructive commands; pure; a crate of its own |
//! | [`launch`] | entering a session and giving up everything that could undo it |
//! | [`mcp`] | the guard between an agent and its MCP servers |
//! | [`cli`] | the verbs of `egressctl` |
//! | [`programs`] | `egressd` and `egressctl` themselves: which one is meant, and what it takes |
//! | [`proxy`] | what is asked of a host that was reached: names, and what is said |
//! | [`report`] | what agents did: records to a page for a reviewer; pure |
//! | [`rules`] | packs of rules about the content of tool calls: check, decide, import; pure |
//! | `schema` | the JSON Schemas of policy, pack and record, each a file that a test holds to its type |
//! | [`sse`] | streams of events, for the MCP guard and the proxy; pure |
//! | [`tools`] | tool calls of agents, judged before they run: the hook; [`inspect::shell`] reads commands |
//! | [`trust`] | whether someone else could change a file |
//!
//! Rules of the house: what decides takes values and the time, and touches nothing; one task owns
//! what changes, and no borrow of it lasts across an await; whatever fails, denies.
#![deny(unsafe_code)]

pub mod audit;
pub mod cli;
pub mod content;
pub mod control;
pub mod daemon;
pub mod dashboard;
pub mod dns;
pub mod escape;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod kernel;
pub mod launch;
pub mod mcp;
pub mod policy;
pub mod programs;
pub mod proxy;
pub mod report;
pub mod rules;
mod schema;
pub mod sse;
pub mod tools;
pub mod trust;

pub use egress_inspect as inspect;
