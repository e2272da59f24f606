//! The audit log: one record for every decision, by whichever layer, and for the daemon's life.
//!
//! ```text
//! Record ─▶ Sink (bounded queue) ─▶ writer thread ─▶ chain::seal ─▶ audit.jsonl ─▶ audit.jsonl.1 …
//!                                        ├─▶ followers (`egressctl log -f`)
//!                                        └─▶ the last denials of each session (`why`, run summary), the last questions (`top`)
//! ```
//!
//! JSON Lines; [`record`] is the schema, [`chain`] the hash chain and what it does and does not
//! prove. A record that cannot be written is counted, and the count is itself recorded; nothing
//! here ever blocks or changes a decision. Secrets and inspected content never enter a record.

pub mod chain;
pub mod feed;
pub mod filter;
mod front;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod reader;
pub mod record;
pub mod sink;
pub mod tally;

pub mod file;

mod denials;
mod questions;

/// Where the log is when the policy names no other place.
pub const DEFAULT_FILE: &str = "/var/log/egressd/audit.jsonl";
