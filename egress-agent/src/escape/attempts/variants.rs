//! Several ways of one family, told as one outcome.

use crate::escape::{Outcome, attempt::Tried};

/// The strongest of several outcomes: an escape, then any success, then a refusal, and absence
/// only if the machine has none of the ways.
///
/// All of them were tried by the time this looks at them.
pub(super) fn strongest(tried: impl IntoIterator<Item = Tried>) -> Tried {
    tried
        .into_iter()
        .min_by_key(|tried| match tried {
            Err(Outcome::Escaped(_)) => 0,
            Ok(()) | Err(Outcome::Sent) => 1,
            Err(Outcome::Refused(_)) => 2,
            Err(Outcome::Absent(_)) => 3,
        })
        .unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_success_is_a_success_and_absence_needs_all() {
        let refused = || Err(Outcome::Refused("connect: no".to_owned()));
        let absent = || Err(Outcome::Absent("none here".to_owned()));
        let escaped = || Err(Outcome::Escaped("read it".to_owned()));
        assert_eq!(strongest([refused(), Ok(()), absent()]), Ok(()));
        assert_eq!(strongest([absent(), refused()]), refused());
        assert_eq!(strongest([absent(), absent()]), absent());
        assert_eq!(strongest([Ok(()), escaped()]), escaped());
    }
}
