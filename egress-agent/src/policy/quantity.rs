//! Durations and sizes as a policy writes them: a whole number and a unit, nothing else.

use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidQuantity {
    #[error("not a duration")]
    Duration,
    #[error("not a size")]
    Size,
    #[error("too large to count")]
    Overflow,
}

impl InvalidQuantity {
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Duration => "write a whole number and `s`, `m` or `h`, such as `30s`",
            Self::Size => "write a whole number and `KiB`, `MiB` or `GiB`, such as `64MiB`",
            Self::Overflow => "write a smaller number",
        }
    }
}

/// Reads `30s`, `5m` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, InvalidQuantity> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    scaled(text, &units, InvalidQuantity::Duration).map(Duration::from_secs)
}

/// Reads `64KiB`, `64MiB` or `1GiB` as bytes.
pub(crate) fn size(text: &str) -> Result<u64, InvalidQuantity> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    scaled(text, &units, InvalidQuantity::Size)
}

fn scaled(
    text: &str,
    units: &[(&str, u64)],
    shape: InvalidQuantity,
) -> Result<u64, InvalidQuantity> {
    let (number, scale) = units
        .iter()
        .find_map(|(unit, scale)| text.strip_suffix(unit).map(|number| (number, *scale)))
        .ok_or(shape)?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(shape);
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .ok_or(InvalidQuantity::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "30", "s", "-1s", "+1s", "1.5h", "1d", "1 s", "30S"] {
            assert_eq!(duration(text), Err(InvalidQuantity::Duration), "{text}");
        }
        for text in ["64", "64MB", "MiB", "64B", "6 MiB"] {
            assert_eq!(size(text), Err(InvalidQuantity::Size), "{text}");
        }
        let huge = format!("{}h", u64::MAX);
        assert_eq!(duration(&huge), Err(InvalidQuantity::Overflow));
    }
}
