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

mod advice;
pub mod call;
mod judge;
pub mod judgement;
pub mod protocol;
pub mod shell;

pub use advice::advice;
pub use call::Call;
pub use judge::judge;
pub use judgement::{Class, Judgement, Verdict};
pub use shell::{Contact, Reach, reach};
