//! What tree-sitter-bash takes for a command is one for the reader.
//!
//! The one is written as a grammar, the other by hand: where they disagree about where a command
//! starts, one of them is wrong. Texts that the grammar cannot read to the end are left out.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use tree_sitter::{Node, Parser, Tree};

use super::bash::ran;
use super::{DEVELOPMENT, EVASIONS, lines};

/// Text in which quotes, comments, here-documents and keywords stand in each other's way.
const TORTURE: &[&str] = &[
    "curl a # curl b\ngit c",
    "echo 'curl a' \"curl b\" c'u'rl; git d",
    "echo \"$(curl a \"$(git b 'c d')\" e)\" f",
    "cat <<EOF; curl a\n$(git b)\nEOF\nwget c",
    "cat <<'EOF'; curl a\n$(git b)\nEOF\nwget c",
    "cat <<-A <<B\n\tx\n\tA\ny\nB\ncurl d",
    "if true; then curl a; elif git b; then wget c; else nc d; fi; curl e",
    "while read -r l; do curl a; done < file; git b",
    "for x in a b c; do curl d; done; git e",
    "for ((i = 0; i < 3; i++)); do curl a; done; git b",
    "case $x in a|b) curl c;; (d) git e;; *) wget f; esac; nc g",
    "(case x in y) curl a;; esac); git b",
    "$(case x in y) curl a;; esac); git b",
    "f() { curl a; }; g() (git b); function h { wget c; }; nc d",
    "f() if true; then curl a; fi; git b",
    "{ curl a; git b; } | wget c && nc d || curl e & git f",
    "! curl a | git b; time wget c; time -p nc d",
    "[[ a == b && ! -n c || ( d < e ) ]] && curl f; [ -n x ] && git g",
    "[[ $x =~ ^a(b|c)$ ]] && curl d",
    "(( 1 + (2 * 3) )) && curl a; echo $(( (1) + 2 )); git b",
    "A=b C='d e' curl f; G=(h i); J+=k git l",
    "a=(x # y\nz); curl b",
    "curl a \\\n  b \\\n  c; git d",
    "curl a\\ b c\\;d 'e;f' \"g|h\"; git i",
    "curl a>b 2>&1 <c >>d >|e &>f; git g",
    ">a curl b; 2>&1 git c",
    "curl ${a:-b} ${c#d} \"${e[@]}\" ${#f}; git g",
    "curl \"${a:-\"b c\"}\" d; git e",
    "curl <(git a) >(wget b); nc c",
    "echo `curl a \\`git b\\``; wget c",
    "curl $'a\\'b' c; git d",
    "curl a;git b&&wget c||nc d|curl e&git f",
    "echo } { ] [ ! in do done fi; curl a",
    "echo if then else; curl a",
    "curl -- -a --b=c; git -C d e",
    "function f() { curl a; }\nf b\n\n\n# c\n\ngit d",
    "coproc curl a; git b",
    "select x in a b; do curl c; done; git d",
    "curl a |& git b",
    "if [[ -f a ]]; then\n  curl b\nfi\n\nwhile :\ndo git c\ndone",
    "x() {\n  local a=b\n  curl c\n}\n",
    "git commit -m \"$(cat <<'EOF'\nfix: it's a \"test\"\n\nEOF\n)\"; curl a",
    "curl a & wait; git b",
    "until false; do curl a; done; git b",
    "trap 'curl a' EXIT; git b",
    "declare -a x=(a b); export C=d; curl e",
    "let 'a = 1' && curl b",
    "curl a <<< \"b $(git c)\"; wget d",
    "exec 3<>file; curl a >&3; exec 3>&-; git b",
    "if curl a; then :; fi >/dev/null; git b",
    "echo \"a\\\"b\" 'c' ; curl d # \"e\n",
    "echo a#b #c\ncurl d",
    "echo ${a#b} ${c##d} # e\ncurl f",
    "echo $# $* $@ $? $$ $! $- $0; curl a",
    "{ curl a\n}; ( git b\n)",
    "time { curl a; }; ! { git b; }",
    "case a in\n  a)\n    curl b\n    ;;\n  *) git c ;;\nesac",
];

/// What the grammar makes of these is not what bash makes of them: why.
const DIFFER: &[(&str, &str)] = &[(
    "cur\\\nl evil.tld",
    "a line that goes on in the middle of a word is two words for the grammar",
)];

/// Words of bash's own that the grammar takes for programs.
const RESERVED: &[&str] = &["time", "-p", "coproc"];

fn parse(text: &str) -> Tree {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_bash::LANGUAGE.into())
        .expect("the grammar fits the library");
    parser.parse(text, None).expect("no time limit is set")
}

/// Every command of the tree: its name and its words, as far as they are plain text.
fn commands(tree: &Tree, text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![tree.root_node()];
    while let Some(node) = open.pop() {
        if node.kind() == "command" {
            let words: Vec<Option<String>> = node
                .children(&mut node.walk())
                .filter_map(|child| match child.kind() {
                    "command_name" => Some(child.child(0).and_then(|it| literal(it, text))),
                    "word" | "raw_string" | "string" | "concatenation" | "number" => {
                        Some(literal(child, text))
                    }
                    _ => None,
                })
                .collect();
            if let Some(Some(_)) = words.first() {
                let words = words.into_iter().flatten();
                found.push(
                    words
                        .skip_while(|it| RESERVED.contains(&it.as_str()))
                        .collect(),
                );
            }
        }
        open.extend(node.children(&mut node.walk()));
    }
    found
}

/// The text of a word in which nothing is expanded.
fn literal(node: Node<'_>, text: &str) -> Option<String> {
    let source = text.get(node.byte_range())?;
    match node.kind() {
        "word" | "number" if !source.contains(['{', '}', '*', '?', '[', '~', '$', '`']) => {
            let mut out = String::new();
            let mut letters = source.chars();
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => out.extend(letters.next().filter(|it| *it != '\n')),
                    letter => out.push(letter),
                }
            }
            Some(out)
        }
        "raw_string" => Some(source.trim_matches('\'').to_owned()),
        "string" if !source.contains(['$', '`', '\\']) => {
            Some(source.strip_prefix('"')?.strip_suffix('"')?.to_owned())
        }
        "concatenation" => node
            .children(&mut node.walk())
            .map(|child| literal(child, text))
            .collect(),
        _ => None,
    }
}

/// Words of the grammar's commands that the reader does not have.
fn unseen(ran: &[Vec<String>], commands: &[Vec<String>]) -> Vec<String> {
    let names: BTreeSet<&str> = ran
        .iter()
        .filter_map(|argv| Some(argv.first()?.as_str()))
        .collect();
    let words: BTreeSet<&str> = ran.iter().flatten().map(String::as_str).collect();
    let mut unseen = Vec::new();
    for command in commands {
        for (at, word) in command.iter().enumerate() {
            let known = if at == 0 { &names } else { &words };
            if !known.contains(word.as_str()) {
                unseen.push(format!("{word} of {command:?}"));
            }
        }
    }
    unseen
}

#[test]
fn every_command_of_the_grammar_is_one_of_the_reader() {
    let corpora = lines(DEVELOPMENT)
        .chain(lines(EVASIONS).filter_map(|line| Some(line.split_once('\t')?.1.to_owned())));
    let all: Vec<String> = corpora
        .chain(TORTURE.iter().map(ToString::to_string))
        .collect();
    let mut report = String::new();
    let (mut compared, mut broken) = (0, 0);
    for text in &all {
        let tree = parse(text);
        if tree.root_node().has_error() {
            broken += 1;
            continue;
        }
        let commands = commands(&tree, text);
        compared += commands.len();
        let unseen = unseen(&ran(text), &commands);
        let differs = DIFFER.iter().any(|(known, _)| known == text);
        assert!(!(differs && unseen.is_empty()), "they agree about `{text}`");
        if !unseen.is_empty() && !differs {
            writeln!(report, "{text}\n   {unseen:?}\n   {:?}", ran(text)).expect("text");
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(
        compared > 900 && broken * 20 < all.len(),
        "{compared}, {broken} of {}",
        all.len()
    );
}

#[test]
fn a_command_that_is_not_seen_is_found() {
    let text = "curl a; git 'b'\"c\" $d";
    let commands = commands(&parse(text), text);
    assert_eq!(commands, [["git", "bc"], ["curl", "a"]]);
    assert_eq!(unseen(&ran("curl b; a"), &commands).len(), 2);
}
