//! Scripts from a grammar of bash: strange in form, harmless in what they do.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

type Text = BoxedStrategy<String>;

fn one_of(texts: &'static [&'static str]) -> Text {
    select(texts).prop_map(str::to_owned).boxed()
}

/// What a word shall stand for.
fn value() -> Text {
    prop_oneof![
        6 => one_of(&["h1.tld", "h2.tld", "h3.tld", "https://h4.tld/x", "git@h5.tld:x"]),
        3 => one_of(&["-s", "-v", "x", "a-b", "push", "x=1", "--a=b"]),
        2 => one_of(&[
            "a b", "", "it's", "q\"q", "d$d", "b\\b", "p|p", "s;s", "é", "#x", "{a}", "a,b", "!",
            "x&y", "(z)", "a\tb", "$A", "`x`", "%s", "\\n", "<x>", "}", "do", "a#b", "=",
        ]),
    ]
    .boxed()
}

fn program() -> Text {
    (one_of(&["curl", "git", "wget", "nc", "other"]), styles())
        .prop_map(|(name, styles)| spelt(&name, &styles))
        .boxed()
}

fn styles() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => Just(vec![0]),
        4 => prop::collection::vec(any::<u8>(), 1..6),
    ]
}

/// A word that stands for `value`, its pieces quoted in these ways.
fn spelt(value: &str, styles: &[u8]) -> String {
    let letters: Vec<char> = value.chars().collect();
    let mut out = String::new();
    let mut styles = styles.iter().cycle();
    let mut at = 0;
    while at < letters.len() {
        let style = styles.next().copied().unwrap_or(0);
        let length = 1 + usize::from(style >> 4);
        let end = (at + length).min(letters.len());
        let piece: String = letters[at..end].iter().collect();
        at = end;
        out.push_str(&quoted(&piece, style));
    }
    if out.is_empty() { "''".to_owned() } else { out }
}

fn quoted(piece: &str, style: u8) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@,%=".contains(c);
    match style & 15 {
        1 | 2 => format!("'{}'", piece.replace('\'', r"'\''")),
        3 | 4 => format!("\"{}\"", in_double_quotes(piece)),
        5 => format!("$\"{}\"", in_double_quotes(piece)),
        6..=9 => format!("$'{}'", in_c_quotes(piece, style)),
        10 if !piece.contains('\n') => piece.chars().flat_map(|c| ['\\', c]).collect(),
        11 => format!("''{}\"\"", quoted(piece, 1)),
        12 => format!("\\\n{}", quoted(piece, 0)),
        13 => format!("$(echo {})", quoted(piece, 0)),
        14 if !piece.contains('\\') => format!("`printf %s {}`", quoted(piece, 0)),
        15 => format!("\"$(printf %s {})\"", quoted(piece, 0)),
        _ if piece.chars().all(is_plain) => piece.to_owned(),
        _ => quoted(piece, 1),
    }
}

fn in_double_quotes(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\\"$`".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The text in C escapes: octal, hexadecimal, by code point, or only where it must be.
fn in_c_quotes(text: &str, style: u8) -> String {
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        let code = u32::from(c);
        let written = match (usize::from(style) + at) % 6 {
            0 if c.is_ascii() => format!("\\x{code:x}"),
            1 if c.is_ascii() => format!("\\{code:03o}"),
            2 => format!("\\u{code:04x}"),
            3 => format!("\\U{code:08X}"),
            _ if c == '\'' || c == '\\' => format!("\\{c}"),
            _ => c.to_string(),
        };
        out.push_str(&written);
        // What would be taken for one more digit.
        if at + 1 < text.chars().count() && (usize::from(style) + at) % 6 == 0 {
            out.push_str("'$'");
        }
    }
    out
}

fn literal() -> Text {
    (value(), styles())
        .prop_map(|(value, styles)| spelt(&value, &styles))
        .boxed()
}

fn name() -> Text {
    one_of(&["A", "B", "C"])
}

/// One word as it is written; some stand for several, or for none.
fn word() -> Text {
    Union::new_weighted(vec![
        (8, literal()),
        (3, braces()),
        (3, variable()),
        (1, sum()),
        (
            2,
            (literal(), variable())
                .prop_map(|(a, b)| format!("{a}{b}"))
                .boxed(),
        ),
        (
            1,
            (variable(), literal())
                .prop_map(|(a, b)| format!("\"{a}\"{b}"))
                .boxed(),
        ),
        (1, literal().prop_map(|it| format!("$(echo {it})")).boxed()),
        (
            1,
            (literal(), literal())
                .prop_map(|(a, b)| format!("\"$(printf '%s %s' {a} {b})\""))
                .boxed(),
        ),
    ])
    .boxed()
}

fn braces() -> Text {
    prop_oneof![one_of(&[
        "{h1,h2}.tld",
        "h{1..3}.tld",
        "h{3..1}.tld",
        "{a..c}",
        "h{01..03}.tld",
        "h{1..9..4}.tld",
        "{h1.tld,}",
        "x{,h2.tld}",
        "{{h1,h2},h3}.tld",
        "{h1,{2..3}}.tld",
        "{h1}",
        "{}",
        "{,}",
        "a{b,c",
        "{a,b}{c,d}",
        "{\"h1\",h2}.tld",
        "{h1\\,h2}.tld",
        "\"{h1,h2}\".tld",
        "{'a b',c}",
        "{-s,h1.tld}",
        "h{1..3",
        "{x..}",
        "{1..b}",
        "${A}{a,b}",
        "{$A,$B}",
        "{c..a..1}",
        "{a,b}}",
        "{{a,b}",
        "a,{b,c}",
        "{-1..1}",
        "{$(echo a),b}",
        "{a,b\\}c}",
    ]),]
    .boxed()
}

fn variable() -> Text {
    prop_oneof![
        4 => name().prop_map(|name| format!("${name}")),
        2 => name().prop_map(|name| format!("\"${name}\"")),
        2 => name().prop_map(|name| format!("${{{name}}}")),
        6 => (name(), operation()).prop_map(|(name, op)| format!("${{{name}{op}}}")),
        2 => (name(), operation()).prop_map(|(name, op)| format!("\"${{{name}{op}}}\"")),
        1 => (name(), one_of(&["-", ":-", ":=", "=", "+", ":+"]), literal())
            .prop_map(|(name, op, word)| format!("${{{name}{op}{word}}}")),
        3 => one_of(&[
            "\"${a[@]}\"", "${a[@]}", "${a[0]}", "\"${a[1]}\"", "${a[*]}", "\"${a[*]}\"",
            "${a[-1]}", "${#a[@]}", "${!a[@]}", "$a", "${a}",
        ]),
        1 => one_of(&["$1", "\"$@\"", "$*", "\"$*\"", "${1}", "${@:1}", "$#", "$?", "${2:-h3.tld}"]),
        1 => one_of(&["${!N}", "\"${!N}\"", "${A}${IFS}$B", "x$IFS", "${A@Q}", "${A@U}", "${#A}"]),
    ]
    .boxed()
}

/// What may follow a name in `${…}`.
fn operation() -> Text {
    one_of(&[
        ":-h1.tld",
        "-h2.tld",
        ":=h3.tld",
        ":+h1.tld",
        "+h2.tld",
        ":-\"a b\"",
        ":-'h1.tld'",
        ":-$B",
        ":-${B:-h2.tld}",
        ":-$(echo h1.tld)",
        ":-a b",
        "#h",
        "##h",
        "#x",
        "%d",
        "%%d",
        "%.tld",
        "#*.",
        "##*.",
        "%.*",
        "%%.*",
        "#?",
        "%?",
        "#[hx]",
        "/h/x",
        "//h/x",
        "/.tld",
        "/#h/x",
        "/%d/x",
        "/h",
        "/\\./-",
        "/?/x",
        "//[0-9]/7",
        ":0:2",
        ":1",
        ":1:3",
        ": -2",
        ":0:-1",
        ":(-3):2",
        ": -4:2",
        "^^",
        ",,",
        "^",
        ",",
        "~~",
        "^h",
        "^^[a-h]",
        "@L",
        "@E",
    ])
}

fn sum() -> Text {
    one_of(&[
        "$((1+2))",
        "h$((1+0)).tld",
        "$(( (1+2)*3 ))",
        "$[1+1]",
        "$((A=1))",
        "$((1<<2))",
        "$(( 0x10 ))",
        "$((1?2:3))",
    ])
}

fn words() -> Text {
    prop::collection::vec(word(), 0..4)
        .prop_map(|words| words.join(" "))
        .boxed()
}

/// A command of words alone.
fn plain() -> Text {
    (program(), words(), redirection())
        .prop_map(|(program, words, redirection)| format!("{program} {words}{redirection}"))
        .boxed()
}

fn redirection() -> Text {
    prop_oneof![
        6 => Just(String::new()),
        2 => one_of(&[
            " 2>&1", " >out", " >/dev/null", " 2>/dev/null", " &>out", " >>out", " <<<x", " >|out",
            " </dev/null", " 2>&-", " >&out", " 3>out", " {fd}>out", " <>out", "&>>out", " <<<\"a b\"",
            " <&-", " 2>out 1>&2", ">out",
        ]),
    ]
    .boxed()
}

fn assigned() -> Text {
    prop_oneof![
        6 => (name(), word()).prop_map(|(name, word)| format!("{name}={word}")),
        1 => (name(), word()).prop_map(|(name, word)| format!("{name}+={word}")),
        1 => one_of(&[
            "N=A", "N=B", "A=curl", "A='curl h1.tld'", "B=h2.tld", "A=xh1.tld", "A=h1.tldd",
            "A=H1.TLD", "C=", "A='-s -v'", "B=' h1.tld '",
        ]),
    ]
    .boxed()
}

/// A command that does not run a program, but says what later ones get.
fn setting() -> Text {
    prop_oneof![
        6 => assigned(),
        1 => (assigned(), assigned()).prop_map(|(a, b)| format!("{a} {b}")),
        2 => (one_of(&["export", "declare", "readonly", "typeset", "declare -x", "export --"]), assigned())
            .prop_map(|(verb, it)| {
                // `readonly` would make what follows fail.
                format!("{} {it}", verb.replace("readonly", "declare -g"))
            }),
        2 => words().prop_map(|words| format!("a=({words})")),
        1 => words().prop_map(|words| format!("a+=({words})")),
        1 => word().prop_map(|word| format!("a[1]={word}")),
        1 => (word(), word()).prop_map(|(a, b)| format!("a=([1]={a} [0]={b})")),
        1 => (name(), word()).prop_map(|(name, word)| format!("printf -v {name} %s {word}")),
        1 => (name(), word()).prop_map(|(name, word)| format!("read -r {name} <<< {word}")),
        1 => word().prop_map(|word| format!("read -r A B <<< {word}")),
        1 => word().prop_map(|word| format!("read -ra a <<< {word}")),
        1 => words().prop_map(|words| format!("set -- {words}")),
        1 => one_of(&["unset A", "unset a", "shift", "IFS=,", "IFS=:", "IFS=.", "unset IFS", "set -f", ":", "true", "set +f", "IFS="]),
        1 => one_of(&["let A=1", "((A=2))", "A=$((1+1))", "A=h1,h2.tld", "A=curl:h1.tld", "A='curl,h1.tld h2.tld'"]),
        1 => one_of(&["mapfile -t a <<< $'h1.tld\\nh2.tld'", "A=$(echo h1.tld; echo h2.tld)", "A=`echo h3.tld`"]),
    ]
    .boxed()
}

/// The simplest commands.
fn simple() -> Text {
    prop_oneof![
        8 => plain(),
        3 => setting(),
        2 => (assigned(), plain()).prop_map(|(a, b)| format!("{a} {b}")),
        1 => (one_of(&["<<<x", ">out", "2>&1", "</dev/null"]), plain()).prop_map(|(a, b)| format!("{a} {b}")),
        4 => (wrapper(), plain()).prop_map(|(a, b)| format!("{a} {b}")),
        2 => (setting(), variable(), words()).prop_map(|(a, b, c)| format!("{a}; {b} {c}")),
        1 => (variable(), words()).prop_map(|(a, b)| format!("A=curl; B=h1.tld; a=(git h2.tld); {a} {b}")),
        2 => fed(),
        2 => (words(), words()).prop_map(|(a, b)| format!("set -- {a}; curl \"$@\" {b}")),
        1 => words().prop_map(|words| format!("for h in {words}; do curl $h; done")),
        1 => (words(), word()).prop_map(|(a, b)| format!("for h in {a}; do curl \"$h\" {b}; done")),
    ]
    .boxed()
}

fn wrapper() -> Text {
    one_of(&[
        "env",
        "env A=x",
        "env -u A",
        "env --",
        "nohup",
        "timeout 5",
        "timeout -s 9 5",
        "timeout --signal=9 5",
        "timeout -k 1 5",
        "timeout -k1 5",
        "nice",
        "nice -n 5",
        "nice -n5",
        "nice -5",
        "nice --adjustment=5",
        "command",
        "command --",
        "exec",
        "exec -a x",
        "exec -c",
        "builtin command",
        "stdbuf -oL",
        "stdbuf -o L",
        "setsid -w",
        "setsid",
        "time",
        "time -p",
        "!",
        "coproc",
        "env nice timeout 5",
        "nohup env B=h1.tld",
        "xargs",
        "xargs -r",
        "xargs -n 1 --",
        "eval",
        "eval --",
        "e\"n\"v",
        "command env",
        "exec env",
        "find . -maxdepth 0 -exec",
    ])
}

/// Programs that get their words from a pipe.
fn fed() -> Text {
    (
        literal(),
        literal(),
        one_of(&[
            "xargs",
            "xargs -n1",
            "xargs -n 1",
            "xargs -I{}",
            "xargs -I %",
            "xargs -i",
            "xargs -d' '",
            "xargs -t -L1",
            "xargs -0",
            "xargs --max-args=1",
        ]),
        program(),
        one_of(&["", " {}", " %", " -s"]),
    )
        .prop_map(|(a, b, xargs, program, words)| {
            format!("echo {a} {b} | {xargs} {program}{words}")
        })
        .boxed()
}

/// Ends a command as `;` would; one with a here-document has ended already.
fn ended(command: &str) -> String {
    if command.ends_with('\n') {
        command.to_owned()
    } else {
        format!("{command};")
    }
}

/// In a form behind which `&&`, `|` and others may stand.
fn grouped(command: &str) -> String {
    if command.contains('\n') || command.ends_with('&') {
        format!("{{ {command}\n}}")
    } else {
        command.to_owned()
    }
}

/// A text as one word.
fn one_word(text: &str, style: u8) -> String {
    match style % 4 {
        0 => format!("\"{}\"", in_double_quotes(text)),
        1 => format!(
            "$'{}'",
            text.replace('\\', r"\\")
                .replace('\'', r"\'")
                .replace('\n', r"\n")
        ),
        _ => quoted(text, 1),
    }
}

fn in_backticks(text: &str) -> String {
    format!("`{}`", text.replace('\\', r"\\").replace('`', r"\`"))
}

fn two(inner: &Text) -> Text {
    (inner.clone(), inner.clone(), 0..14u8)
        .prop_map(|(a, b, how)| match how {
            0 => format!("{} {b}", ended(&a)),
            1 => format!("{a}\n{b}"),
            2 => format!("{} && {}", grouped(&a), grouped(&b)),
            3 => format!("{} || {}", grouped(&a), grouped(&b)),
            4 => format!("{} | {}", grouped(&a), grouped(&b)),
            5 => format!("{} & {b}", grouped(&a)),
            6 => format!("{} |& {}", grouped(&a), grouped(&b)),
            7 => format!("if {} then {} fi", ended(&a), ended(&b)),
            8 => format!(
                "if {} then {} else {} fi",
                ended("false"),
                ended(&a),
                ended(&b)
            ),
            9 => format!("while {} do {} break; done", ended(&a), ended(&b)),
            10 => format!("until ! {}\ndo {} break; done", grouped(&a), ended(&b)),
            11 => format!("{a} # it's \" $( `\n{b}"),
            12 => format!("! {}\n{b}", grouped(&a)),
            _ => format!("if false\nthen {a}\nelif true\nthen {b}\nfi"),
        })
        .boxed()
}

fn around(inner: &Text) -> Text {
    (inner.clone(), words(), literal(), 0..22u8)
        .prop_map(|(a, words, literal, how)| match how {
            0 => format!("({a}\n)"),
            1 => format!("{{ {} }}", ended(&a)),
            2 => format!("for C in {words}; do {} done", ended(&a)),
            3 => format!("case {literal} in *) {a}\n;; esac"),
            4 => format!(
                "case x in y|z) ;; (x) {a}\n;& q) {} esac",
                ended("curl h9.tld")
            ),
            5 => format!("f() {{ {} }}; f {words}", ended(&a)),
            6 => format!("function g {{ {} }}; g {words}", ended(&a)),
            7 => format!("h() ( {a}\n); h {words}"),
            8 => format!("echo $({a}\n)"),
            9 => format!("echo \"x$({a}\n)\" {literal}"),
            10 => format!("echo {}", in_backticks(&a)),
            11 => format!("[[ x == x && -n {literal} ]] && {}", grouped(&a)),
            12 => format!("(( 1 + (2) )) && {}", grouped(&a)),
            13 => format!("for ((i=0; i<1; i++)); do {} done", ended(&a)),
            14 => format!("cat <({a}\n)"),
            15 => format!("A=$({a}\n) curl {words}"),
            16 => format!("curl {words} \\\n {literal}\n{a}"),
            17 => format!("echo ${{Z:-$({a}\n)}}"),
            18 => format!("echo $(( $({a}\n) + 1 ))"),
            19 => format!("time {}", grouped(&a)),
            20 => format!("coproc {{ {} }}", ended(&a)),
            _ => format!("f () \n{{ {a}\n}}\nf {words}"),
        })
        .boxed()
}

/// A script as a text inside of another.
fn within(inner: &Text) -> Text {
    (inner.clone(), word(), any::<u8>(), 0..41u8)
        .prop_map(|(a, extra, style, how)| {
            let text = one_word(&a, style);
            match how {
                0 | 1 => format!("eval {text}"),
                2 | 3 => format!("bash -c {text}"),
                4 => format!("bash -c {text} {extra} {extra}"),
                5 => format!("bash -ec {text}"),
                6 => format!("env bash -c {text}"),
                7 => format!("timeout 5 bash -c {text} x {extra}"),
                8 => format!("bash <<< {text}"),
                9 => format!("bash -s {extra} <<< {text}"),
                10 => format!("bash <<'EOF'\n{a}\nEOF\n"),
                11 => format!("cat <<'EOF' | bash\n{a}\nEOF\n"),
                12 => format!("printf '%s\\n' {text} | bash"),
                13 => format!("echo -E {text} | bash -s"),
                14 => format!("printf %s {text} > x.sh; bash x.sh {extra}"),
                15 => format!("echo -E {text} > x.sh; . ./x.sh"),
                16 => format!("cat > y.sh <<'EOF'\n{a}\nEOF\nbash y.sh"),
                17 => format!("trap {text} EXIT"),
                18 => format!("eval eval {}", one_word(&text, style / 4)),
                19 => format!(
                    "bash -c {}",
                    one_word(&format!("bash -c {text}"), style / 4)
                ),
                20 => format!("X={text}; eval \"$X\""),
                21 => format!("X={text}; bash -c \"$X\""),
                22 => format!("export X={text}; bash -c 'eval \"$X\"'"),
                23 => format!("echo {text} | xargs -d '\\n' -I{{}} bash -c {{}}"),
                24 => format!("find . -maxdepth 0 -exec bash -c {text} \\;"),
                25 => format!("bash -O extglob -c {text}"),
                26 => format!("bash --norc -c {text}"),
                27 => format!("nohup nice bash -c {text}"),
                28 => format!("exec bash -c {text}"),
                29 => format!("{{ echo true; printf %s {text}; }} | bash"),
                30 => format!("(echo -E {text}) | bash"),
                31 => format!("p() {{ printf '%s\\n' {text}; }}; p | bash"),
                32 => format!("if true; then echo -E {text}; fi | bash"),
                33 => format!("echo -E {text} | {{ bash; }}"),
                34 => format!("echo -E {text} | (true; cat | bash)"),
                35 => format!("echo curl {extra} | while read -r l; do eval \"$l\"; done"),
                36 => format!("echo {extra} | while read -r l; do curl \"$l\"; done; {a}"),
                37 => format!("local_() {{ local A=x; {} }}; local_", ended(&a)),
                38 => format!("declare -a b=({text}); eval \"${{b[0]}}\""),
                39 => format!("[[ -n {extra} ]] && eval {text}"),
                _ => format!("eval \"$(cat <<'EOF'\n{a}\nEOF\n)\""),
            }
        })
        .boxed()
}

/// Here-documents of text, with substitutions.
fn documents(inner: &Text) -> Text {
    (
        inner.clone(),
        word(),
        one_of(&["EOF", "-EOF", "- EOF", " 'E'OF", "\"EOF\"", "\\EOF"]),
        0..5u8,
    )
        .prop_map(|(a, word, mark, how)| match how {
            0 => format!("cat <<{mark}\n$({a}\n)\nEOF\n"),
            1 => format!(
                "cat <<{mark} >out; {}\n{word} it's \" $A\n\tEOF\nEOF\n",
                grouped(&a).replace('\n', " ; ")
            ),
            2 => format!("curl <<{mark} {word}\nx\n\\$(nothing)\nEOF\n{a}"),
            3 => format!("cat <<A <<{mark}\n$(curl h7.tld)\nA\n{word}\nEOF\n{a}"),
            _ => format!("bash <<EOF\ncurl {} $A\nEOF\n{a}", word.replace('\n', "")),
        })
        .boxed()
}

/// Whole scripts.
pub(super) fn script() -> Text {
    let all = simple().prop_recursive(4, 24, 3, |inner| {
        let inner = inner.boxed();
        prop_oneof![
            4 => two(&inner),
            4 => around(&inner),
            3 => within(&inner),
            1 => documents(&inner),
        ]
    });
    let set = one_of(&[
        "",
        "",
        "A=h1.tld B=h2.tld C=-s a=(x h3.tld)\n",
        "A=-s; B=h3.tld; C=x; a=(h1.tld)\n",
    ]);
    let script = prop_oneof![
        2 => simple(),
        1 => (setting(), simple()).prop_map(|(a, b)| format!("{a}\n{b}")),
        1 => (setting(), setting(), plain()).prop_map(|(a, b, c)| format!("{a}; {b}; {c}")),
        4 => all,
    ];
    (set, script)
        .prop_map(|(set, script)| format!("{set}{script}"))
        .boxed()
}
