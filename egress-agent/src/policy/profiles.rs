//! The maintained profiles: small policies for one job each, to be extended by name.
//!
//! They are part of the program, so that the name means the same to `egressd`, to `egressctl` and
//! to a test, and there is no directory and no variable by which somebody could change what it
//! means. The list is what stands in `policy/profiles/` when the program is built.

use std::sync::Arc;

use super::{Invalid, Policy, load::Loader, problem::nearest, quote};

/// What a profile is named by in `extends`.
pub const PREFIX: &str = "profile:";

/// A profile, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    pub text: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// Every profile, by name.
pub fn all() -> &'static [Profile] {
    ALL
}

/// The profile of this name. The error is one line.
pub fn find(name: &str) -> Result<&'static Profile, String> {
    if let Some(profile) = ALL.iter().find(|profile| profile.name == name) {
        return Ok(profile);
    }
    let advice = nearest(name, ALL.iter().map(|profile| profile.name)).map_or_else(
        || "`egressctl policy profiles` lists them".to_owned(),
        |near| format!("did you mean `{PREFIX}{near}`?"),
    );
    Err(format!("there is no profile {}: {advice}", quote(name)))
}

impl Profile {
    /// `profile:NAME`, the place of its rules.
    pub fn source(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The policy that it is.
    pub fn policy(&'static self) -> Result<Arc<Policy>, Invalid> {
        Loader::default().profile(self)
    }
}
