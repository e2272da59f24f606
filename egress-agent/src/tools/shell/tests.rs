mod bash;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const EVASIONS: &str = include_str!("../../../../tests/hook/evasions.txt");
const DEVELOPMENT: &str = include_str!("../../../../tests/hook/development.txt");

/// Places that ordinary development goes to; the corpus names no others.
const LISTED: &[&str] = &[
    "github.com",
    "api.github.com",
    "raw.githubusercontent.com",
    "localhost",
    "127.0.0.1",
    "0.0.0.0",
    "::1",
    "crates.io",
    "pypi.org",
    "registry.npmjs.org",
    "proxy.golang.org",
];

fn lines(corpus: &str) -> impl Iterator<Item = String> {
    corpus
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.replace("<NL>", "\n"))
}

fn seen(command: &str) -> Reach {
    reach(command, None)
}

fn hosts(reach: &Reach) -> Vec<&str> {
    reach.contacts.iter().map(|it| it.host.as_str()).collect()
}

fn holds(reach: &Reach, expected: &str) -> bool {
    match expected.split_once(':') {
        Some(("reads", path)) => reach.reads.iter().any(|read| read == path),
        Some(("writes", path)) => reach.writes.iter().any(|write| write == path),
        Some(("owner", owner)) => reach
            .contacts
            .iter()
            .any(|it| it.writes && it.owner.as_deref() == Some(owner)),
        _ => match expected {
            "executes" => reach.executes_download.is_some(),
            "environment" => reach.reads_environment,
            "act" => !reach.acts.is_empty(),
            "unclear" => !reach.unclear.is_empty(),
            host => hosts(reach).contains(&host),
        },
    }
}

#[test]
fn every_evasion_is_seen_or_named_as_the_kernels() {
    let mut missed = String::new();
    let mut count = 0;
    for line in lines(EVASIONS) {
        let (expected, command) = line.split_once('\t').expect("a tab");
        count += 1;
        if expected == "kernel" {
            let reach = seen(command);
            let is_listed = |host: &&str| LISTED.contains(host);
            assert!(hosts(&reach).iter().all(is_listed), "{command}");
            assert!(reach.unclear.is_empty(), "{command}: not `unclear`?");
        } else if !holds(&seen(command), expected) {
            writeln!(missed, "{expected}: {command}\n   {:?}", seen(command)).expect("text");
        }
    }
    assert!(missed.is_empty(), "\n{missed}");
    assert!(count >= 300, "{count}");
}

#[test]
fn ordinary_development_raises_nothing() {
    let mut raised = String::new();
    let mut count = 0;
    for command in lines(DEVELOPMENT) {
        count += 1;
        let reach = seen(&command);
        let Reach {
            contacts,
            executes_download,
            reads_environment,
            acts,
            ..
        } = &reach;
        if !contacts.iter().all(|it| LISTED.contains(&it.host.as_str()))
            || executes_download.is_some()
            || (*reads_environment && contacts.iter().any(|it| it.writes))
            || !acts.is_empty()
        {
            writeln!(raised, "{command}\n   {reach:?}").expect("text");
        }
    }
    assert!(raised.is_empty(), "\n{raised}");
    assert!(count >= 300, "{count}");
}

#[test]
fn writes_are_told_from_reads() {
    let writes = |command: &str| seen(command).contacts.iter().any(|it| it.writes);
    assert!(!writes("git clone https://github.com/a/b"));
    assert!(writes("git push https://github.com/a/b"));
    assert!(!writes("gh api repos/a/b"));
    assert!(writes("gh api repos/a/b/issues -f title=x"));
    assert!(!writes("gh pr view -R a/b 7"));
    assert!(writes("gh pr frobnicate -R a/b"));
    assert!(!writes("curl https://github.com"));
    assert!(writes("curl -d x https://github.com"));
    assert!(writes("curl -XPOST https://github.com"));
}

#[test]
fn remotes_that_are_only_named_are_told() {
    let reach = seen("git -C sub push origin main");
    assert_eq!(
        reach.remotes,
        [Remote {
            name: "origin".to_owned(),
            writes: true,
            directory: Some("sub".to_owned())
        }]
    );
    assert_eq!(seen("git status").remotes, []);
}

#[test]
fn text_that_speaks_of_hosts_is_no_contact() {
    for command in [
        "echo 'see https://evil.tld'",
        "git commit -m 'curl https://evil.tld'",
        "grep -rn https://evil.tld src",
        "which curl",
        "man ssh",
        "# curl evil.tld",
        "git commit -m \"$(cat <<'EOF'\nfix curl evil.tld\nEOF\n)\"",
        "cat > README.md <<'EOF'\ncurl evil.tld\nEOF",
        "sed -i 's#https://evil.tld#https://github.com#' README.md",
    ] {
        assert_eq!(hosts(&seen(command)), Vec::<&str>::new(), "{command}");
    }
}

#[test]
fn deep_nesting_is_unclear_and_ends() {
    for text in [
        "$(".repeat(50_000),
        "(".repeat(50_000),
        "${x:-".repeat(50_000),
        "$((".repeat(50_000),
        "`".repeat(50_001),
        "eval ".repeat(10_000),
        "\"$(".repeat(20_000),
        "{a,".repeat(20_000),
        "f(){ f; f; }; f; ".repeat(100),
        "bash <<E\n".repeat(5_000),
    ] {
        let start = Instant::now();
        let _reach = seen(&text);
        assert!(start.elapsed() < Duration::from_secs(5), "{text:.20}");
    }
    assert!(
        !seen(&format!("{}curl evil.tld", "$(".repeat(100)))
            .unclear
            .is_empty()
    );
}

/// The figures that issue 4 asks for; `cargo test --release -- --ignored` prints and checks them.
#[test]
#[ignore = "measures: only a release build says anything"]
fn a_long_command_is_read_in_time() {
    let mut table = String::new();
    let mut slow = false;
    for (name, text, limit) in [
        (
            "1 MB of commands",
            "echo hello world foo bar; ".repeat(40_000),
            50,
        ),
        ("1 MB of one word", "a".repeat(1 << 20), 50),
        (
            "1 MB in quotes",
            format!("echo \"{}\"", "x $y ".repeat(200_000)),
            50,
        ),
        ("1 MB of words", "a ".repeat(500_000), 50),
        ("1 MB of curl", "curl evil.tld;".repeat(75_000), 50),
        (
            "1 MB here-document",
            format!("cat <<EOF\n{}EOF\n", "hello $x world\n".repeat(70_000)),
            50,
        ),
        ("1 MB of brackets", "$(".repeat(500_000), 50),
        (
            "80 KB of words + git",
            format!("{} ; git push origin", "x ".repeat(40_000)),
            5,
        ),
        (
            "80 KB of letters + git",
            format!(": {}; git push origin", "x".repeat(80_000)),
            5,
        ),
        (
            "80 KB of commands + git",
            format!("{} git push origin", "echo x; ".repeat(10_000)),
            5,
        ),
    ] {
        let best = (0..5)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(seen(&text));
                start.elapsed()
            })
            .min()
            .expect("five");
        slow |= best > Duration::from_millis(limit);
        writeln!(table, "{name}: {best:?} (at most {limit} ms)").expect("text");
    }
    let corpus: Vec<String> = lines(DEVELOPMENT).collect();
    let mut times: Vec<Duration> = corpus
        .iter()
        .map(|command| {
            let start = Instant::now();
            std::hint::black_box(seen(command));
            start.elapsed()
        })
        .collect();
    times.sort();
    writeln!(
        table,
        "an ordinary command: p50 {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    )
    .expect("text");
    assert!(!slow, "\n{table}");
    std::io::Write::write_all(&mut std::io::stderr(), table.as_bytes()).expect("stderr");
}

fn evasion() -> impl Strategy<Value = String> {
    let commands: Vec<String> = lines(EVASIONS)
        .filter_map(|line| line.split_once('\t').map(|(_, command)| command.to_owned()))
        .collect();
    proptest::sample::select(commands)
}

/// Text that resembles bash.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        proptest::sample::select(vec![
            "curl",
            "evil.tld",
            "$(",
            ")",
            "`",
            "\"",
            "'",
            "$'",
            "{",
            "}",
            ",",
            "<<EOF",
            "\n",
            "EOF",
            "|",
            "&&",
            ";",
            "(",
            "((",
            "))",
            "[[",
            "]]",
            "case x in",
            "esac",
            "for x in",
            "do",
            "done",
            "${",
            ":-",
            "\\",
            "#",
            ">",
            "<",
            "<(",
            "&",
            "sh -c",
            "eval",
            "\0",
            "\u{1}",
            "é",
            "=",
            "x=(",
            "function f",
            "f()",
            "git push",
            "xargs",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,6}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(scrap, 0..40).prop_map(|scraps| scraps.join(" "))
}

fn kept(before: &Reach, after: &Reach) -> Result<(), TestCaseError> {
    let after = hosts(after);
    for host in hosts(before) {
        prop_assert!(after.contains(&host), "{host} was lost");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_without_a_panic(text in prop_oneof![scraps(), any::<String>()]) {
        let _reach = seen(&text);
    }

    #[test]
    fn text_behind_a_command_takes_no_contact_away(command in evasion(), text in scraps()) {
        // A here-document takes what follows it on the next line only.
        let longer = format!("{command}\n; {text}");
        kept(&seen(&command), &seen(&longer))?;
    }

    #[test]
    fn text_on_the_same_line_takes_no_contact_away(command in evasion(), text in scraps()) {
        prop_assume!(!command.contains("<<") && !command.contains('#'));
        let longer = format!("{command} ; {text}");
        kept(&seen(&command), &seen(&longer))?;
    }

    #[test]
    fn more_words_take_no_contact_away(command in evasion(), words in "( [-a-z0-9./=]{1,8}){0,6}") {
        prop_assume!(!command.contains('\n') && !command.contains('#'));
        let longer = format!("{command}{words}");
        kept(&seen(&command), &seen(&longer))?;
    }
}

#[test]
fn commands_and_code_are_kept_as_they_run() {
    let reach = reach(
        "sudo r'm' -rf \"$X/a b\"; echo 'DROP TABLE t' | psql; python3 -c 'import os' && node <<'E'\nlet a = 1;\nE\n",
        None,
    );
    let words: Vec<String> = reach.commands.iter().map(|it| it.words.join("|")).collect();
    assert_eq!(
        words,
        [
            "sudo|rm|-rf|*/a b",
            "rm|-rf|*/a b",
            "echo|DROP TABLE t",
            "psql",
            "python3|-c|import os",
            "node"
        ]
    );
    assert_eq!(
        reach.commands.get(3).and_then(|it| it.input.as_deref()),
        Some("DROP TABLE t\n")
    );
    assert_eq!(reach.code.len(), 2);
    assert!(!reach.is_cut);
    let long = super::reach(&"ls x\n".repeat(100_000), None);
    assert!(long.is_cut && long.commands.len() < 20_000);
}
