//! Tool calls of agents, judged before they run.
//!
//! ```text
//!   event on stdin ──hook──▶ Call ──judge(policy, call)──▶ Judgement ──hook──▶ stdout, exit
//!                                     │
//!                   shell commands ───┴──▶ shell::reach(command) ▶ Reach
//! ```
//!
//! Pure: the policy and the call in, the judgement out. What cannot be told from a command is left
//! to the kernel, and said so ([`Reach::unclear`]).

pub mod call;
pub mod judgement;
pub mod shell;

pub use call::Call;
pub use judgement::{Class, Judgement, Verdict};
pub use shell::{Contact, Reach, reach};
