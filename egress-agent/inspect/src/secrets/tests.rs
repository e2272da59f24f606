use super::{sample::Random, *};
use crate::{Inspector, Options};

fn inspector() -> Inspector {
    let enabled = detectors().filter(|detector| detector.is_optional);
    Inspector::new(Options {
        enabled: enabled.map(|detector| detector.id.to_owned()).collect(),
        ..Options::default()
    })
    .unwrap()
}

#[test]
fn every_detector_is_whole() {
    let mut ids = BTreeSet::new();
    for detector in detectors() {
        assert!(ids.insert(detector.id), "{} is there twice", detector.id);
        assert!(
            !detector.positive.is_empty() && !detector.negative.is_empty(),
            "{}",
            detector.id
        );
        match detector.search {
            Search::Pattern(pattern) => {
                assert!(compile(pattern).is_some(), "{}: {pattern}", detector.id);
                assert!(!detector.keywords.is_empty(), "{}", detector.id);
            }
            Search::Given(name, value) => {
                assert!(compile(name).is_some(), "{}: {name}", detector.id);
                assert!(compile(value).is_some(), "{}: {value}", detector.id);
                assert!(!detector.keywords.is_empty(), "{}", detector.id);
            }
            Search::Hand(_) => assert!(!detector.keywords.is_empty(), "{}", detector.id),
            Search::Word(_) | Search::Phrase => {
                assert!(detector.keywords.is_empty(), "{}", detector.id);
            }
        }
    }
    assert!(ids.len() >= 75, "{} detectors", ids.len());
}

#[test]
fn samples_are_found_and_counter_samples_are_not() {
    let inspector = inspector();
    let mut wrong = Vec::new();
    for detector in detectors() {
        let mut random = Random(7);
        for template in detector.positive {
            for _ in 0..20 {
                let text = random.sample(template);
                let report = inspector.inspect(text.as_bytes());
                if !report
                    .findings
                    .iter()
                    .any(|finding| finding.detector == detector.id)
                {
                    let found: Vec<_> = report.findings.iter().map(|f| &f.detector).collect();
                    wrong.push(format!(
                        "{}: missed {template}: {text}: {found:?}",
                        detector.id
                    ));
                    break;
                }
            }
        }
        for template in detector.negative {
            let text = random.sample(template);
            let report = inspector.inspect(text.as_bytes());
            let is_found = report.findings.iter().any(|finding| {
                finding.detector == detector.id
                    && (detector.id != "github-token" || finding.confidence == Confidence::High)
            });
            if is_found {
                wrong.push(format!("{}: found in {template}: {text}", detector.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_published_checksum_of_github_is_ours() {
    // From a revoked token: the random part, and its checksum.
    let random = ["zQWBuTSOoRi4A9sp", "HcVY5ncnsDkxkJ"].concat();
    assert_eq!(
        &check::base62(crc32fast::hash(random.as_bytes())),
        b"0mLq17"
    );
}
