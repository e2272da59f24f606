//! What stands in a text: secrets, orders hidden in it, commands that destroy, code that acts.
//!
//! ```text
//!   bytes ──view──▶ views (as written, decoded, joined) ──detectors──▶ Finding
//! ```
//!
//! Pure: bytes and options in, findings out. A finding says where something stands, never what:
//! no secret leaves this room.

pub mod chain;
pub mod code;
pub mod destination;
pub mod destructive;
pub mod finding;
mod fold;
pub mod injection;
pub mod poison;

pub use finding::{Confidence, Finding, Kind, Severity, View};
