//! Which labels under a wildcard look like carried data and not like a host.
//!
//! # What it does
//! Judges the labels that a wildcard stood for. One is suspicious when it is longer than 40
//! characters, or has 24 and more of which too many sit where words do not put them: a letter
//! beside a digit, the fourth consonant in a row, the ninth digit in a row.
//!
//! # Why it matters
//! Who runs the zone behind a wildcard reads every label that is asked for.
//!
//! # Known gaps
//! Data spelled as words, or cut into labels of 23 characters, passes here; the wildcard's budget
//! of distinct names bounds it. A long A-label of another script may be held suspicious.
//!
//! # Example
//! `d2f1c8b07a9e4435b6d0aa17` is suspicious, `my-feature-branch-preview-42` is not.

const LONGEST: usize = 40;
const LONG: usize = 24;

/// The label that makes a name suspicious which a wildcard pattern (`*.suffix`, `**.suffix`)
/// admitted; both in lower case.
pub fn suspicious_label<'a>(name: &'a str, pattern: &str) -> Option<&'a str> {
    let suffix = pattern.trim_start_matches('*');
    let varying = name.strip_suffix(suffix).unwrap_or(name);
    varying.split('.').find(|label| is_suspicious(label))
}

fn is_suspicious(label: &str) -> bool {
    if label.len() > LONGEST {
        return true;
    }
    if label.len() < LONG {
        return false;
    }
    let mut characters = 0_usize;
    let mut oddities = 0_usize;
    let mut consonants = 0_usize;
    let mut digits = 0_usize;
    let mut previous = Kind::Separator;
    for byte in label.bytes() {
        let kind = Kind::of(byte);
        consonants = if kind == Kind::Consonant {
            consonants + 1
        } else {
            0
        };
        digits = if kind == Kind::Digit { digits + 1 } else { 0 };
        oddities += usize::from(kind.meets(previous))
            + usize::from(consonants > 3)
            + usize::from(digits > 8);
        characters += usize::from(kind != Kind::Separator);
        previous = kind;
    }
    oddities * 5 > characters
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Separator,
    Digit,
    Vowel,
    Consonant,
}

impl Kind {
    const fn of(byte: u8) -> Self {
        match byte {
            b'0'..=b'9' => Self::Digit,
            b'a' | b'e' | b'i' | b'o' | b'u' | b'y' => Self::Vowel,
            b'-' | b'_' => Self::Separator,
            _ => Self::Consonant,
        }
    }

    /// Whether a letter stands beside a digit.
    fn meets(self, other: Self) -> bool {
        self != Self::Separator
            && other != Self::Separator
            && (self == Self::Digit) != (other == Self::Digit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_long_names_pass() {
        for label in [
            "ec2-203-0-113-25",
            "ec2-203-0-113-255.compute-1",
            "my-feature-branch-preview-42",
            "k8s-prod-eu1-frontend-web2-lb3",
            "ip-10-0-23-45-eu-west-1-compute",
            "raw-githubusercontent-mirror-cache",
            "internationalizationservice",
            "deploy-preview-20261121003511-docs",
            "storage-download-europe-west4-b",
            "pipelines-actions-results-receiver",
            "productionresultssa12",
            "d2f1c8b07a9e4435b6d0aa1",
        ] {
            let name = format!("{label}.example.com");
            assert_eq!(suspicious_label(&name, "**.example.com"), None, "{label}");
        }
    }

    #[test]
    fn carried_data_is_suspicious() {
        for label in [
            "d2f1c8b07a9e4435b6d0aa17",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "123e4567-e89b-12d3-a456-426614174000",
            "mzxw6ytboi4dsmjrgezdgnbvgy3tqojq",
            "nbswy3dpeb3w64tmmqqgc3tefq",
            "c29tzxnly3jldhrva2vudmfsdwu",
            "490128350912384709213847",
            "a-perfectly-ordinary-name-that-is-far-too-long",
        ] {
            let name = format!("x.{label}.example.com");
            assert_eq!(suspicious_label(&name, "**.example.com"), Some(label));
        }
    }

    #[test]
    fn what_the_policy_itself_spells_is_not_judged() {
        let zone = "d2f1c8b07a9e4435b6d0aa17.example.com";
        assert_eq!(
            suspicious_label(&format!("www.{zone}"), &format!("*.{zone}")),
            None
        );
    }

    /// Random data in the usual alphabets, from a fixed linear congruential generator.
    #[test]
    fn random_data_hardly_ever_passes() {
        for (alphabet, allowed) in [
            ("0123456789abcdef", 10),
            ("abcdefghijklmnopqrstuvwxyz234567", 30),
            ("abcdefghijklmnopqrstuvwxyz0123456789", 10),
        ] {
            let mut state = 42_u64;
            let mut passed = 0;
            for _ in 0..1000 {
                let label: String = (0..32)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        let index = (state >> 33) as usize % alphabet.len();
                        char::from(alphabet.as_bytes()[index])
                    })
                    .collect();
                passed += usize::from(!is_suspicious(&label));
            }
            assert!(passed <= allowed, "{passed} of 1000 in {alphabet}");
        }
    }
}
