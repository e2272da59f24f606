//! A command's program, options and operands.

use crate::shell::Command;

/// A command as its program would read it, without knowing which options take values.
#[derive(Debug)]
pub(super) struct Call<'r> {
    /// Without its directory.
    pub(super) program: &'r str,
    pub(super) args: &'r [String],
    pub(super) input: Option<&'r str>,
    /// The program runs for another user: `sudo`, `doas`.
    pub(super) is_wrapper: bool,
}

impl<'r> Call<'r> {
    pub(super) fn new(command: &'r Command) -> Option<Self> {
        let mut words = command.words.as_slice();
        loop {
            let (first, args) = words.split_first()?;
            let program = name(first);
            if matches!(program, "busybox" | "toybox") && !args.is_empty() {
                words = args;
                continue;
            }
            return Some(Self {
                program,
                args,
                input: command.input.as_deref(),
                is_wrapper: matches!(program, "sudo" | "doas" | "pkexec" | "run0" | "su"),
            });
        }
    }

    /// Whether an option is given: a letter alone or among others, or a long name or a part of it
    /// that begins it.
    pub(super) fn has(&self, letters: &str, long: &[&str]) -> bool {
        self.options()
            .any(|option| match option.strip_prefix("--") {
                Some(given) => {
                    let given = given.split('=').next().unwrap_or_default();
                    given.len() >= 2 && long.iter().any(|name| name.starts_with(given))
                }
                None => option
                    .strip_prefix('-')
                    .is_some_and(|given| given.contains(|letter| letters.contains(letter))),
            })
    }

    /// Words with a dash before `--`.
    pub(super) fn options(&self) -> impl Iterator<Item = &'r str> {
        self.args
            .iter()
            .map(String::as_str)
            .take_while(|arg| *arg != "--")
            .filter(|arg| arg.len() > 1 && arg.starts_with('-'))
    }

    /// Words without a dash, and all behind `--`.
    pub(super) fn operands(&self) -> impl Iterator<Item = &'r str> {
        let mut all = false;
        self.args.iter().map(String::as_str).filter(move |arg| {
            let is_end = !all && *arg == "--";
            all |= is_end;
            !is_end && (all || arg.len() == 1 || !arg.starts_with('-'))
        })
    }

    /// The first operand.
    pub(super) fn verb(&self) -> &'r str {
        self.operands().next().unwrap_or_default()
    }

    pub(super) fn is(&self, programs: &[&str]) -> bool {
        programs.contains(&self.program)
    }

    /// A word stands among the arguments.
    pub(super) fn says(&self, word: &str) -> bool {
        self.args.iter().any(|arg| arg == word)
    }

    /// What a wrapper runs: its program and what follows.
    pub(super) fn wrapped(&self) -> Option<(&'r str, &'r [String])> {
        let mut rest = self.args;
        while let Some((first, after)) = rest.split_first() {
            if first.starts_with('-') {
                let takes = matches!(
                    first.as_str(),
                    "-u" | "-g" | "-C" | "-h" | "-p" | "-D" | "-R" | "-T" | "--user" | "--group"
                );
                rest = if takes {
                    after.get(1..).unwrap_or_default()
                } else {
                    after
                };
            } else if first.contains('=') {
                rest = after;
            } else {
                return Some((name(first), after));
            }
        }
        None
    }

    /// git's own options passed over: the subcommand and its words.
    pub(super) fn git(&self) -> Option<(&'r str, Self)> {
        if self.program != "git" {
            return None;
        }
        let mut rest = self.args;
        while let Some((first, after)) = rest.split_first() {
            if matches!(
                first.as_str(),
                "-C" | "-c" | "--git-dir" | "--work-tree" | "--namespace" | "--exec-path"
            ) {
                rest = after.get(1..).unwrap_or_default();
            } else if first.starts_with('-') {
                rest = after;
            } else {
                let call = Self {
                    program: first,
                    args: after,
                    input: self.input,
                    is_wrapper: false,
                };
                return Some((first, call));
            }
        }
        None
    }

    /// The value of an option: the word behind it, or what is attached.
    pub(super) fn values(&self, short: &str, long: &[&str]) -> Vec<&'r str> {
        let mut found = Vec::new();
        let mut words = self.args.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let attached = word.split_once('=').and_then(|(name, value)| {
                long.contains(&name.trim_start_matches('-'))
                    .then_some(value)
            });
            let is_short = word.len() == short.len() + 1 && word.strip_prefix('-') == Some(short);
            let is_long = word
                .strip_prefix("--")
                .is_some_and(|name| long.contains(&name));
            if let Some(value) = attached {
                found.push(value);
            } else if is_short || is_long {
                found.extend(words.peek().copied());
            } else if !short.is_empty()
                && let Some(value) = word
                    .strip_prefix('-')
                    .filter(|it| !it.starts_with('-'))
                    .and_then(|it| it.strip_prefix(short))
            {
                found.push(value);
            } else if !short.is_empty()
                && word.starts_with('-')
                && !word.starts_with("--")
                && word.ends_with(short)
            {
                // Letters before it: `-tAc`.
                found.extend(words.peek().copied());
            }
        }
        found
    }
}

pub(super) fn name(program: &str) -> &str {
    let name = program.rsplit('/').next().unwrap_or_default();
    // An alias is passed over by it.
    name.strip_prefix('\\').unwrap_or(name)
}
