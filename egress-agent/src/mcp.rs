//! The MCP guard: stands between an agent and a server of the Model Context Protocol.
//!
//! ```text
//!   bytes ──message──▶ Message ──session(gate, now)──▶ Action ──stdio, http──▶ bytes
//! ```
//!
//! | file | what stands in it |
//! |---|---|
//! | [`message`] | JSON-RPC, read so that nobody can read it otherwise; pure |
//! | [`glimpse`] | whose answer a message would be that is not read; pure |
//! | [`session`] | what happens to each message of a conversation; pure but for the gate |
//! | [`inventory`], [`drift`] | tools: listed, accepted, changed |
//! | [`budget`] | how often tools may be called; pure |
//! | [`gate`], [`ruling`] | the questions that a session asks, and the policy that answers |
//! | [`store`] | the file in which tools are remembered |
//! | [`lines`], [`stdio`] | a server that is started, between pipes |
//! | [`http`] | a server that listens, behind a reverse proxy or on the far side of pipes |

pub mod budget;
pub mod drift;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod gate;
pub mod glimpse;
pub mod http;
pub mod inventory;
pub mod lines;
pub mod message;
pub mod revision;
pub mod ruling;
pub mod session;
pub mod stdio;
pub mod store;
