//! One line of the result: what was measured, against what, what it should be, and whether it is.

use std::fmt;

use serde_json::{Value, json};

/// A measured value with its unit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Quantity {
    pub(crate) value: f64,
    pub(crate) unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    Micros,
    Millis,
    PerSecond,
    BytesPerSecond,
    Mebibytes,
    Percent,
    Count,
}

/// What a figure should reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Target {
    RatioBelow(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
    AtMost(Quantity),
    AtLeast(Quantity),
    /// Shown because it explains another figure.
    None,
}

#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) ours: Quantity,
    /// What it is compared with, and the value of that.
    pub(crate) against: Option<(String, Quantity)>,
    /// Ours divided by the other.
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Target,
}

impl Figure {
    pub(crate) fn alone(name: impl Into<String>, ours: Quantity, target: Target) -> Self {
        Self {
            name: name.into(),
            ours,
            against: None,
            ratio: None,
            target,
        }
    }

    /// Whether the target is reached; `None` without one.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        match self.target {
            Target::RatioBelow(bound) => Some(self.ratio? < bound),
            Target::RatioAtMost(bound) => Some(self.ratio? <= bound),
            Target::RatioAtLeast(bound) => Some(self.ratio? >= bound),
            Target::AtMost(bound) => Some(self.ours.value <= bound.value),
            Target::AtLeast(bound) => Some(self.ours.value >= bound.value),
            Target::None => None,
        }
    }

    /// The cells of a table: figure, ours, compared with, ratio, target, reached.
    pub(crate) fn cells(&self) -> [String; 6] {
        let against = self.against.as_ref();
        [
            self.name.clone(),
            self.ours.to_string(),
            against.map_or_else(String::new, |(what, value)| format!("{value} {what}")),
            self.ratio
                .map_or_else(String::new, |ratio| format!("{ratio:.3}")),
            self.target.to_string(),
            match self.is_reached() {
                Some(true) => "yes".to_owned(),
                Some(false) => "NO".to_owned(),
                None => String::new(),
            },
        ]
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "figure": self.name,
            "unit": self.ours.unit.name(),
            "ours": self.ours.value,
            "compared_with": self.against.as_ref().map(|(what, _)| what),
            "other": self.against.as_ref().map(|(_, other)| other.value),
            "ratio": self.ratio,
            "target": self.target.to_string(),
            "reached": self.is_reached(),
        })
    }
}

impl Unit {
    pub(crate) fn of(self, value: f64) -> Quantity {
        Quantity { value, unit: self }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::PerSecond => "1/s",
            Self::BytesPerSecond => "B/s",
            Self::Mebibytes => "MiB",
            Self::Percent => "%",
            Self::Count => "",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.unit {
            Unit::Micros => write!(f, "{value:.2} µs"),
            Unit::Millis => write!(f, "{value:.1} ms"),
            Unit::PerSecond => write!(f, "{:.1} k/s", value / 1e3),
            Unit::BytesPerSecond => write!(f, "{:.2} GB/s", value / 1e9),
            Unit::Mebibytes => write!(f, "{value:.1} MiB"),
            Unit::Percent => write!(f, "{value:.1} %"),
            Unit::Count => write!(f, "{value:.0}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioBelow(bound) => write!(f, "ratio < {bound:.2}"),
            Self::RatioAtMost(bound) => write!(f, "ratio ≤ {bound:.2}"),
            Self::RatioAtLeast(bound) => write!(f, "ratio ≥ {bound:.2}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(ratio: f64, target: Target) -> Figure {
        Figure {
            name: "connect".to_owned(),
            ours: Unit::Micros.of(21.0),
            against: Some(("unguarded".to_owned(), Unit::Micros.of(20.0))),
            ratio: Some(ratio),
            target,
        }
    }

    #[test]
    fn a_bound_is_met_at_the_bound() {
        assert_eq!(
            compared(1.05, Target::RatioAtMost(1.05)).is_reached(),
            Some(true)
        );
        assert_eq!(
            compared(0.98, Target::RatioAtLeast(0.98)).is_reached(),
            Some(true)
        );
        assert_eq!(
            compared(1.0, Target::RatioBelow(1.0)).is_reached(),
            Some(false)
        );
    }

    #[test]
    fn a_figure_without_a_target_is_neither_reached_nor_missed() {
        assert_eq!(compared(9.0, Target::None).is_reached(), None);
    }

    #[test]
    fn cells_carry_units() {
        let cells = compared(1.05, Target::RatioAtMost(1.04)).cells();
        assert_eq!(
            cells,
            [
                "connect",
                "21.00 µs",
                "20.00 µs unguarded",
                "1.050",
                "ratio ≤ 1.04",
                "NO"
            ]
        );
    }

    #[test]
    fn an_absolute_target_looks_at_the_value() {
        let bound = Target::AtMost(Unit::Mebibytes.of(16.0));
        assert_eq!(
            Figure::alone("memory", Unit::Mebibytes.of(16.5), bound).is_reached(),
            Some(false)
        );
    }
}
