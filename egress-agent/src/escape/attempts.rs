//! Every attempt, by family. One file for each; a new way out is a new line in its family's list.

use super::Attempt;

mod tcp;

/// All of them, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Attempt> {
    [tcp::ALL].into_iter().flatten()
}

/// The attempt of this name.
pub fn by_name(name: &str) -> Option<&'static Attempt> {
    all().find(|attempt| attempt.name == name)
}
