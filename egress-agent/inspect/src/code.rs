//! Code in Python and JavaScript that acts on the machine or the network, told from its syntax
//! tree: text in strings and comments is no call.
//!
//! ```text
//!   text ──tree-sitter──▶ tree ──one walk──▶ names (imports, aliases) and calls ──table──▶ Finding
//! ```
//!
//! The walk goes once from left to right and keeps what each name stands for, so that `import os as
//! o`, `from subprocess import run as r` and `getattr(os, "sys" + "tem")` are what they mean.
//!
//! # Known gaps
//!
//! Names that are made at run time, values that come from a function's result or from another
//! file, languages other than these two. A text that is too long, or takes too long to read, is
//! told (`code-not-read`).

mod javascript;
mod python;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use tree_sitter::{Node, ParseOptions, ParseState, Parser};

use super::{Confidence, Finding, Kind, Severity, View};

/// What the code is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    Python,
    JavaScript,
}

/// Longer code is not read.
pub const LONGEST: usize = 512 * 1024;

/// What an interpreter of this name reads.
pub fn language(program: &str) -> Option<Language> {
    let name = program.rsplit('/').next().unwrap_or_default();
    let base = name.trim_end_matches(|it: char| it.is_ascii_digit() || it == '.');
    match base {
        "python" | "pypy" | "ipython" => Some(Language::Python),
        "node" | "nodejs" | "ts-node" | "tsx" | "bun" | "deno" | "qjs" => {
            Some(Language::JavaScript)
        }
        _ => None,
    }
}

/// The names of what is found.
pub(super) fn ids() -> impl Iterator<Item = &'static str> {
    let acts = [python::ALL, javascript::ALL];
    let acts = acts.into_iter().flatten().flat_map(|acts| acts.iter());
    acts.map(|act| act.id).chain(["code-not-read"])
}

/// What the code does, in the order in which it stands. `patience` bounds the time of the parser.
pub fn findings(language: Language, code: &str, patience: Duration) -> Vec<Finding> {
    let not_read = || {
        vec![Finding {
            detector: "code-not-read".to_owned(),
            kind: Kind::Code,
            severity: Severity::Medium,
            confidence: Confidence::Medium,
            view: View::Raw,
            range: 0..code.len(),
        }]
    };
    if code.len() > LONGEST {
        return not_read();
    }
    let mut parser = Parser::new();
    let grammar = match language {
        Language::Python => tree_sitter_python::LANGUAGE.into(),
        Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
    };
    if parser.set_language(&grammar).is_err() {
        return not_read();
    }
    let start = Instant::now();
    let mut over = |_: &ParseState| {
        if start.elapsed() > patience {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let bytes = code.as_bytes();
    let tree = parser.parse_with_options(
        &mut |at, _| bytes.get(at..).unwrap_or_default(),
        None,
        Some(ParseOptions::new().progress_callback(&mut over)),
    );
    let Some(tree) = tree else {
        return not_read();
    };
    let mut scene = Scene {
        code,
        names: BTreeMap::new(),
        findings: Vec::new(),
    };
    let complete = match language {
        Language::Python => walk(tree.root_node(), |node, field| {
            python::visit(&mut scene, node, field);
        }),
        Language::JavaScript => walk(tree.root_node(), |node, _| {
            javascript::visit(&mut scene, node);
        }),
    };
    let mut found = scene.findings;
    if !complete {
        found.extend(not_read());
    }
    found
}

/// Code within a command, whatever reads it. Where nothing says what it is, both are tried.
pub fn in_reach(reach: &crate::shell::Reach, patience: Duration) -> Vec<Finding> {
    let mut found = Vec::new();
    for code in &reach.code {
        match language(&code.program) {
            Some(language) => found.extend(findings(language, &code.text, patience)),
            None if code.program == "interpreter" => {
                found.extend(findings(Language::Python, &code.text, patience));
                found.extend(findings(Language::JavaScript, &code.text, patience));
            }
            None => {}
        }
    }
    for finding in &mut found {
        // The place in the code is none in the command.
        finding.view = View::Shell;
    }
    found
}

/// Findings beyond these say nothing new.
const MOST: usize = 256;
/// Nodes that are visited.
const MOST_NODES: usize = 4_000_000;
/// Names that are followed.
const MOST_NAMES: usize = 4096;
/// Expressions inside of expressions that are read.
const MOST_DEEP: u8 = 24;
/// Bytes of a name or a text that is put together.
const LONGEST_NAME: usize = 512;

/// What is known on the way through a tree.
struct Scene<'t> {
    code: &'t str,
    /// What a name stands for, as a path from a module: `o` is `os`, `r` is `subprocess.run`.
    names: BTreeMap<String, String>,
    findings: Vec<Finding>,
}

impl<'t> Scene<'t> {
    fn text(&self, node: Node<'_>) -> &'t str {
        self.code.get(node.byte_range()).unwrap_or_default()
    }

    fn call_it(&mut self, name: &str, path: &str) {
        if self.names.len() < MOST_NAMES && name.len() <= LONGEST_NAME && path.len() <= LONGEST_NAME
        {
            self.names.insert(name.to_owned(), path.to_owned());
        }
    }

    fn known(&self, name: &str) -> Option<&str> {
        self.names.get(name).map(String::as_str)
    }

    fn found(&mut self, act: &Act, range: Range<usize>) {
        let finding = Finding {
            detector: act.id.to_owned(),
            kind: Kind::Code,
            severity: act.severity,
            confidence: act.confidence,
            view: View::Raw,
            range,
        };
        if self.findings.len() < MOST && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

/// Something that code can do, and the paths by which it does it. A path with a final dot stands
/// for all beneath it.
#[derive(Debug)]
pub struct Act {
    /// Stable, in kebab-case.
    pub id: &'static str,
    pub paths: &'static [&'static str],
    pub severity: Severity,
    pub confidence: Confidence,
}

fn act_of<'a>(acts: &'a [Act], path: &str) -> Option<&'a Act> {
    acts.iter().find(|act| {
        act.paths.iter().any(|known| {
            path == *known
                || known
                    .strip_suffix('.')
                    .is_some_and(|module| path == module || path.starts_with(known))
        })
    })
}

/// Visits every node, with what it is to its parent, before those in it; `false` when there were too many.
fn walk<'t>(root: Node<'t>, mut visit: impl FnMut(Node<'t>, Option<&str>)) -> bool {
    let mut cursor = root.walk();
    for _ in 0..MOST_NODES {
        visit(cursor.node(), cursor.field_name());
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return true;
            }
        }
    }
    false
}

/// The children that are no signs.
fn parts(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .filter(|it| it.kind() != "comment")
        .take(MOST)
        .collect()
}

const fn act(
    id: &'static str,
    severity: Severity,
    confidence: Confidence,
    paths: &'static [&'static str],
) -> Act {
    Act {
        id,
        paths,
        severity,
        confidence,
    }
}
