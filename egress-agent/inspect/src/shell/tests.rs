mod bash;
mod grammar;

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
                let start = processor_time();
                std::hint::black_box(seen(&text));
                processor_time().saturating_sub(start)
            })
            .min()
            .expect("five");
        slow |= best > Duration::from_millis(limit);
        writeln!(table, "{name}: {best:?} (at most {limit} ms)").expect("text");
    }
    for (name, shape) in HOSTILE {
        let text = shape(1 << 20);
        let best = (0..3)
            .map(|_| {
                let start = processor_time();
                std::hint::black_box(seen(&text));
                processor_time().saturating_sub(start)
            })
            .min()
            .expect("three");
        writeln!(table, "1 MB of {name}: {best:?}").expect("text");
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

/// A name, and a text of about so many bytes.
type Shape = (&'static str, fn(usize) -> String);

/// The shapes that cost most.
const HOSTILE: &[Shape] = &[
    ("commands", |n| "echo hello world foo bar; ".repeat(n / 26)),
    ("one word", |n| "a".repeat(n)),
    ("quoted", |n| format!("echo \"{}\"", "x $y ".repeat(n / 5))),
    ("words", |n| "a ".repeat(n / 2)),
    ("contacts", |n| "curl evil.tld;".repeat(n / 14)),
    ("many contacts", |n| {
        (0..n / 20)
            .map(|it| format!("curl h{it}.tld/x;\n"))
            .collect::<Vec<_>>()
            .concat()
    }),
    ("here-document", |n| {
        format!("cat <<EOF\n{}EOF\n", "hello $x\n".repeat(n / 9))
    }),
    ("here-documents", |n| "cat <<A\n".repeat(n / 8)),
    ("brackets", |n| "$(".repeat(n / 2)),
    ("sums", |n| "$((".repeat(n / 3)),
    ("closed brackets", |n| {
        format!("{}{}", "(".repeat(n / 2), ")".repeat(n / 2))
    }),
    ("braces", |n| "{".repeat(n)),
    ("brace groups", |n| "{a,b}".repeat(n / 5)),
    ("nested braces", |n| {
        format!("{}{}", "{a,".repeat(n / 4), "}".repeat(n / 4))
    }),
    ("brace words", |n| "{a,b}{c,d} ".repeat(n / 11)),
    ("backticks", |n| "`".repeat(n)),
    ("escaped backticks", |n| "\\`".repeat(n / 2)),
    ("parameters", |n| "${x:-".repeat(n / 5)),
    ("patterns", |n| {
        format!("A={}; {}", "ab".repeat(40), "${A//?*b/x} ".repeat(n / 12))
    }),
    ("a long value", |n| {
        format!("A={}; {}", "x".repeat(n / 2), "echo $A; ".repeat(n / 18))
    }),
    ("a long value in words", |n| {
        format!("A={}; echo {}", "x ".repeat(n / 4), "$A".repeat(n / 4))
    }),
    ("values of which a run chooses", |n| {
        format!(
            "for h in 1 2 3 4 5 6 7 8; do {} done",
            "curl $h $h; ".repeat(n / 12)
        )
    }),
    ("values in one word", |n| {
        format!("for h in 1 2 3 4; do echo {}; done", "$h".repeat(n / 2))
    }),
    ("values in many words", |n| {
        format!("for h in 1 2 3 4; do echo {}; done", "$h ".repeat(n / 3))
    }),
    ("appended values", |n| "A+=xy; ".repeat(n / 7)),
    ("appended values that may be", |n| {
        "false && A+=xy; ".repeat(n / 16)
    }),
    ("appended arrays", |n| "a+=(x); ".repeat(n / 8)),
    ("elements", |n| "a[1]=x; ".repeat(n / 8)),
    ("variables", |n| {
        (0..n / 10)
            .map(|it| format!("v{it}=x;\n"))
            .collect::<Vec<_>>()
            .concat()
    }),
    ("functions", |n| "f(){ f; f; }; f; ".repeat(n / 17)),
    ("many functions", |n| {
        (0..n / 16)
            .map(|it| format!("f{it}(){{ f; }};\n"))
            .collect::<Vec<_>>()
            .concat()
    }),
    ("eval", |n| "eval ".repeat(n / 5)),
    ("wrappers", |n| "sudo env ".repeat(n / 9)),
    ("scripts", |n| "bash -c 'curl x'; ".repeat(n / 18)),
    ("arguments", |n| {
        format!(
            "set -- {}; {}",
            "x ".repeat(n / 4),
            "shift; ".repeat(n / 14)
        )
    }),
    ("pipes", |n| "echo x | ".repeat(n / 9)),
    ("pipes of groups", |n| {
        format!("echo x | {}", "{ cat; ".repeat(n / 7))
    }),
    ("a long input", |n| {
        format!(
            "echo {} | {{ {} }}",
            "x".repeat(n / 2),
            "cat; ".repeat(n / 10)
        )
    }),
    ("outputs", |n| "echo $(echo $(echo x)); ".repeat(n / 24)),
    ("conditions", |n| "x && y || z && ".repeat(n / 15)),
    ("cases", |n| "case x in y) ".repeat(n / 13)),
    ("loops", |n| "for x in a; do ".repeat(n / 15)),
    ("redirections", |n| ">x <y ".repeat(n / 6)),
    ("xargs", |n| {
        format!("echo {} | xargs -n1 curl", "x ".repeat(n / 2))
    }),
    ("separators", |n| {
        format!(
            "IFS=,; A={}; {}",
            "a,".repeat(n / 4),
            "echo $A; ".repeat(n / 18)
        )
    }),
    ("marks", |n| "\0\u{1}\u{2}\u{6}\u{8}\u{e}".repeat(n / 6)),
];

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}

/// The middle one of several runs, in time of the processor: what else runs does not count.
fn cost(text: &str) -> Duration {
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let start = processor_time();
            std::hint::black_box(seen(text));
            processor_time().saturating_sub(start)
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn twice_the_text_costs_about_twice_the_time() {
    let mut report = String::new();
    for (name, shape) in HOSTILE {
        let (half, whole) = (shape(16 << 10), shape(32 << 10));
        // A machine that is busy is asked again; what is quadratic costs four times every time.
        let linear = (0..4).any(|_| cost(&whole) <= cost(&half) * 3 + Duration::from_millis(2));
        if !linear {
            writeln!(report, "{name}: {:?} and {:?}", cost(&half), cost(&whole)).expect("text");
        }
        assert!(
            cost(&half) < Duration::from_secs(5),
            "{name}: {:?}",
            cost(&half)
        );
    }
    assert!(report.is_empty(), "\n{report}");
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
        prop_assume!(ends_in_words(&command));
        prop_assume!(!is_fed(&command) || !words.contains(" -"));
        let longer = format!("{command}{words}");
        kept(&seen(&command), &seen(&longer))?;
    }
}

/// Whether what is written behind it are words of its last command.
fn ends_in_words(command: &str) -> bool {
    !command.contains('\n') && !command.contains('#')
}

/// Whether a program gets words or code from its input. There an option may take a contact away, and
/// does when it runs: `xargs curl -m` makes a number of seconds of the word that is fed, and
/// `python3 -m x` executes its input no more.
fn is_fed(command: &str) -> bool {
    command.contains('|') || command.contains("<<<")
}

#[test]
fn no_option_takes_a_contact_away() {
    let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['-']);
    let mut report = String::new();
    for line in lines(EVASIONS) {
        let command = line.split_once('\t').map_or("", |(_, command)| command);
        if !ends_in_words(command) || is_fed(command) {
            continue;
        }
        for letter in letters.clone() {
            for behind in ["", " x", " -x"] {
                let longer = format!("{command} -{letter}{behind}");
                if kept(&seen(command), &seen(&longer)).is_err() {
                    writeln!(report, "{longer}").expect("text");
                }
            }
        }
    }
    assert!(report.is_empty(), "contacts were lost in\n{report}");
}

#[test]
fn an_option_takes_what_xargs_feeds() {
    assert!(hosts(&seen("echo evil.tld | xargs curl -m")).is_empty());
    assert_eq!(
        hosts(&seen("echo 9 evil.tld | xargs curl -m")),
        ["evil.tld"]
    );
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
