//! Findings as SARIF 2.1.0 (OASIS, <https://docs.oasis-open.org/sarif/sarif/v2.1.0/>).

use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Located, Scanned, word};
use crate::inspect::Severity;

/// What may not stand in the path of a URI reference (RFC 3986 section 3.3); a `:` in the first
/// part would be read as the end of a scheme.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A log with one run.
pub(super) fn log(scanned: &Scanned) -> Value {
    let Scanned {
        file,
        complete,
        micros: _,
        findings,
    } = scanned;
    let mut detectors: Vec<&str> = findings.iter().map(|one| one.detector.as_str()).collect();
    detectors.sort_unstable();
    detectors.dedup();
    let rules: Vec<_> = detectors
        .iter()
        .filter_map(|detector| {
            let finding = findings.iter().find(|one| one.detector == *detector)?;
            Some(json!({
                "id": detector,
                "shortDescription": { "text": about(finding) },
                "defaultConfiguration": { "level": level(finding.severity) },
                "properties": {
                    "tags": [word(&finding.kind), "security"],
                    "security-severity": score(finding.severity),
                },
            }))
        })
        .collect();
    let uri = uri(file);
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "ruleId": finding.detector,
                "ruleIndex": detectors.binary_search(&finding.detector.as_str()).unwrap_or(0),
                "level": level(finding.severity),
                "message": { "text": about(finding) },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": uri },
                        "region": {
                            "startLine": finding.line,
                            "startColumn": finding.column,
                            "endLine": finding.end_line,
                            "endColumn": finding.end_column,
                            "byteOffset": finding.offset,
                            "byteLength": finding.length,
                        },
                    },
                }],
                "properties": {
                    "kind": word(&finding.kind),
                    "severity": word(&finding.severity),
                    "confidence": word(&finding.confidence),
                    "view": word(&finding.view),
                },
            })
        })
        .collect();
    let notes: Vec<_> = (!complete)
        .then(|| {
            let text = "the text was not inspected to its end; split it and scan the parts";
            json!({ "level": "error", "message": { "text": text } })
        })
        .into_iter()
        .collect();
    let invocation = json!({
        "executionSuccessful": complete,
        "toolExecutionNotifications": notes,
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "egressctl",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation],
            "results": results,
        }],
    })
}

/// One sentence; never the thing itself.
fn about(finding: &Located) -> String {
    format!("{} ({})", finding.detector, word(&finding.kind))
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// What GitHub reads as `security-severity`: text, 0.0 to 10.0.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Info => "0.0",
    }
}

fn uri(file: &str) -> String {
    let encoded = utf8_percent_encode(file, PATH).to_string();
    if Path::new(file).is_absolute() {
        format!("file://{encoded}")
    } else {
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::scan::locate,
        inspect::{Confidence, Finding, Kind, View},
    };

    fn finding(detector: &str, severity: Severity, range: std::ops::Range<usize>) -> Finding {
        Finding {
            detector: detector.to_owned(),
            kind: Kind::Secret,
            severity,
            confidence: Confidence::High,
            view: View::Raw,
            range,
        }
    }

    fn logged(file: &str) -> Value {
        let bytes = b"first\nsecond line\n";
        let findings = vec![
            finding("b", Severity::Low, 6..12),
            finding("a", Severity::Critical, 0..5),
            finding("b", Severity::Medium, 13..17),
        ];
        log(&Scanned {
            file: file.to_owned(),
            complete: true,
            micros: None,
            findings: locate(bytes, findings),
        })
    }

    /// Members that the schema of SARIF 2.1.0 requires, and the values that it allows.
    #[track_caller]
    fn check(log: &Value) {
        assert_eq!(log["version"], "2.1.0");
        for run in log["runs"].as_array().expect("runs") {
            let driver = &run["tool"]["driver"];
            assert!(driver["name"].is_string());
            assert_eq!(run["columnKind"], "unicodeCodePoints");
            let rules = driver["rules"].as_array().expect("rules");
            let mut ids: Vec<_> = rules
                .iter()
                .map(|rule| rule["id"].as_str().expect("id"))
                .collect();
            for rule in rules {
                assert!(rule["shortDescription"]["text"].is_string());
                check_level(&rule["defaultConfiguration"]["level"]);
            }
            for invocation in run["invocations"].as_array().expect("invocations") {
                assert!(invocation["executionSuccessful"].is_boolean());
            }
            for result in run["results"].as_array().expect("results") {
                assert!(
                    !result["message"]["text"]
                        .as_str()
                        .expect("message")
                        .is_empty()
                );
                check_level(&result["level"]);
                let index = usize::try_from(result["ruleIndex"].as_u64().expect("index")).unwrap();
                assert_eq!(result["ruleId"], ids[index]);
                for location in result["locations"].as_array().expect("locations") {
                    let place = &location["physicalLocation"];
                    assert!(place["artifactLocation"]["uri"].is_string());
                    for key in ["startLine", "startColumn", "endLine", "endColumn"] {
                        assert!(place["region"][key].as_u64().expect(key) >= 1);
                    }
                    for key in ["byteOffset", "byteLength"] {
                        assert!(place["region"][key].is_u64(), "{key}");
                    }
                }
            }
            let count = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), count, "a rule is listed twice");
        }
    }

    #[track_caller]
    fn check_level(level: &Value) {
        let level = level.as_str().expect("level");
        assert!(
            ["none", "note", "warning", "error"].contains(&level),
            "{level}"
        );
    }

    #[test]
    fn a_log_has_what_the_schema_requires() {
        let log = logged("src/main.rs");
        check(&log);
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 2);
        assert_eq!(run["results"].as_array().unwrap().len(), 3);
        let second = &run["results"][1];
        assert_eq!(second["ruleId"], "b");
        assert_eq!(second["level"], "note");
        let region = &second["locations"][0]["physicalLocation"]["region"];
        assert_eq!(
            (
                &region["startLine"],
                &region["startColumn"],
                &region["endColumn"]
            ),
            (&json!(2), &json!(1), &json!(7))
        );
    }

    #[test]
    fn an_empty_log_is_a_log() {
        let log = log(&Scanned {
            file: "stdin".to_owned(),
            complete: false,
            micros: None,
            findings: Vec::new(),
        });
        check(&log);
        let notes = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"];
        assert!(notes[0]["message"]["text"].is_string());
    }

    #[test]
    fn a_path_becomes_a_reference() {
        assert_eq!(uri("a b/c#1.txt"), "a%20b/c%231.txt");
        assert_eq!(uri("/etc/ü"), "file:///etc/%C3%BC");
        assert_eq!(uri("a:b"), "a%3Ab");
    }
}
