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
mod builtin;
pub mod call;
mod command;
pub mod confirm;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod judge;
pub mod judgement;
mod links;
mod owners;
mod paths;
mod place;
pub mod protocol;
mod secrets;

use serde_json::Value;

pub use crate::inspect::shell::{self, Contact, Reach, Remote, places, reach};
pub use advice::advice;
pub use call::{Call, KnownRemote};
pub use command::{remotes, shell_command};
pub use judge::{acts, amended, judge, judge_after};
pub use judgement::{Class, Judgement, Verdict};
pub use links::{Found, Reading, links};
pub use place::{Denial, Place, Standing, host, standing};
pub use secrets::find as find_secret;

/// Every text in the arguments with the nearest key above it, in order; keys are texts too.
fn strings(input: &Value) -> impl Iterator<Item = (&str, &str)> {
    // Foreign JSON is walked with a list: its depth is not ours.
    let mut open = vec![("", input)];
    let mut keys: Vec<&str> = Vec::new();
    std::iter::from_fn(move || {
        loop {
            if let Some(key) = keys.pop() {
                return Some(("", key));
            }
            let (key, value) = open.pop()?;
            match value {
                Value::String(text) => return Some((key, text)),
                Value::Array(list) => open.extend(list.iter().rev().map(|value| (key, value))),
                Value::Object(fields) => {
                    keys.extend(fields.keys().map(String::as_str));
                    open.extend(
                        fields
                            .iter()
                            .rev()
                            .map(|(key, value)| (key.as_str(), value)),
                    );
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    })
}
