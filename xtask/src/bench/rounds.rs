//! Interleaved rounds: every arm of a comparison once in each round, so that what else the machine
//! does meets all of them alike.

use anyhow::Result;

/// The values of one arm, one for each round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl Series {
    pub(crate) fn median(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    /// The median of the ratios within each round.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        let ratios: Vec<f64> = self
            .pairs(other)
            .map(|(ours, other)| ours / other)
            .collect();
        quantile(&ratios, 0.5)
    }

    /// The median of the differences within each round.
    pub(crate) fn difference(&self, other: &Self) -> f64 {
        let differences: Vec<f64> = self
            .pairs(other)
            .map(|(ours, other)| ours - other)
            .collect();
        quantile(&differences, 0.5)
    }

    fn pairs<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.0.iter().copied().zip(other.0.iter().copied())
    }
}

/// Runs `arm` for every number below `arms` in every round, there and back in turn, and returns
/// what each arm's runs measured: `result[arm][value]`.
pub(crate) fn run<const VALUES: usize>(
    rounds: usize,
    arms: usize,
    mut arm: impl FnMut(usize, usize) -> Result<[f64; VALUES]>,
) -> Result<Vec<[Series; VALUES]>> {
    let mut result: Vec<[Series; VALUES]> = (0..arms)
        .map(|_| std::array::from_fn(|_| Series::default()))
        .collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..arms).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for which in order {
            let values = arm(round, which)?;
            for (series, value) in result.iter_mut().skip(which).take(1).flatten().zip(values) {
                series.0.push(value);
            }
        }
    }
    Ok(result)
}

/// The value below which `share` of the values lie; 0 of none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index below the length, of a few thousand values"
    )]
    let index = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(index.min(last)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_runs_once_in_each_round_there_and_back() {
        let mut order = Vec::new();
        let series = run(2, 3, |round, arm| {
            order.push(arm);
            let value = u8::try_from(10 * round + arm)?;
            Ok([f64::from(value)])
        })
        .expect("no arm fails");
        assert_eq!(order, [0, 1, 2, 2, 1, 0]);
        assert_eq!(series[1][0], Series(vec![1.0, 11.0]));
    }

    #[test]
    fn a_slow_round_does_not_move_the_ratio() {
        let ours = Series(vec![11.0, 110.0, 11.0]);
        let other = Series(vec![10.0, 100.0, 10.0]);
        assert!((ours.ratio(&other) - 1.1).abs() < 1e-9);
        assert!((ours.difference(&other) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_stay_inside() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        assert!((quantile(&values, 0.99) - 99.0).abs() < 1e-9);
        assert!((quantile(&values, 0.5) - 50.0).abs() < 1e-9);
        assert!((quantile(&values, 1.0) - 99.0).abs() < 1e-9);
        assert!(quantile(&[], 0.5).abs() < 1e-9);
    }
}
