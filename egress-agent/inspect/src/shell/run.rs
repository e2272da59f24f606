//! Commands: builtins, scripts within scripts, wrappers; the rest goes to the programs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::{ops::Range, path::Path};

use super::Reach;
use super::notes::Notes;
use super::options::{Args, Item, Spec};
use super::place::{self, Place};
use super::programs;
use super::read::{Output, Reader};
use super::scope::{Scope, Value};
use super::word::{FETCHED, UNKNOWN, is_fetched, is_known, unmarked};

/// Scripts inside of scripts beyond this are not read.
const MOST_DEEP: u8 = 12;

/// Programs that run programs beyond this are not followed.
const MOST_WRAPPERS: u8 = 64;

/// Who executes what comes on its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stdin {
    Shell,
    Code,
}

/// What a command gets through its pipe.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) fetched: bool,
    pub(super) text: Option<String>,
    pub(super) file: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) fetched: bool,
    /// Its output, when the text tells.
    pub(super) output: Option<String>,
    pub(super) stdin: Option<Stdin>,
}

impl Done {
    pub(super) fn fetched() -> Self {
        Self {
            fetched: true,
            ..Self::default()
        }
    }

    pub(super) fn output(text: String) -> Self {
        Self {
            output: Some(text),
            ..Self::default()
        }
    }
}

#[derive(Debug)]
pub(super) struct Shell {
    pub(super) notes: Notes,
    pub(super) scope: Scope,
    /// Bytes of scripts that may still be read.
    budget: usize,
    /// Bytes of values that may still stand in words.
    expansion: usize,
    pub(super) depth: u8,
    /// Where the simple commands of the text itself stand.
    pub(super) places: Vec<Range<usize>>,
    /// Commands that run the command at hand.
    wrappers: u8,
    /// Every command that was run, for tests that compare with what bash runs.
    #[cfg(test)]
    pub(super) ran: Vec<Vec<String>>,
}

impl Shell {
    pub(super) fn new(cwd: Option<&Path>, length: usize) -> Self {
        Self {
            notes: Notes::default(),
            scope: Scope::new(cwd),
            budget: length.saturating_mul(2).saturating_add(64 * 1024),
            expansion: length.saturating_mul(4).saturating_add(1024 * 1024),
            depth: 0,
            places: Vec::new(),
            wrappers: 0,
            #[cfg(test)]
            ran: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Reach {
        self.notes.into_reach()
    }

    pub(super) fn unclear(&mut self, why: &str) {
        self.notes.unclear(why.to_owned());
    }

    /// Whether this many more bytes of values may be read.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let Some(left) = self.expansion.checked_sub(bytes) else {
            self.unclear("the values of variables are too long to read them all");
            return false;
        };
        self.expansion = left;
        true
    }

    /// Reads a script, wherever it stood.
    pub(super) fn read(&mut self, script: &str) -> Output {
        if is_fetched(script) {
            self.notes
                .executes("what was downloaded is read as a command".to_owned());
        }
        let Some(budget) = self.budget.checked_sub(script.len()) else {
            self.unclear("too many commands inside of commands to read them all");
            return Output::default();
        };
        if self.depth >= MOST_DEEP {
            self.unclear("commands inside of commands are nested too deeply");
            return Output::default();
        }
        self.budget = budget;
        self.depth += 1;
        let output = Reader {
            text: script,
            at: 0,
            shell: self,
            nested: 0,
            sums_are_over: false,
            whole: false,
            no_words: false,
        }
        .list(None);
        self.depth -= 1;
        output
    }

    /// Reads a script that gets words of its own as `$0`, `$1` and so on.
    fn read_with(&mut self, script: &str, arguments: Vec<String>) -> Output {
        let before = std::mem::replace(&mut self.scope.arguments, vec![arguments]);
        let output = self.read(script);
        self.scope.arguments = before;
        output
    }

    /// Reads a script that runs in a shell of its own.
    fn read_apart(&mut self, script: &str, arguments: Vec<String>) -> Output {
        let certain = std::mem::replace(&mut self.scope.certain, false);
        let mark = self.scope.mark();
        self.scope.process = self.scope.process.saturating_add(1);
        let output = self.read_with(script, arguments);
        self.scope.process = self.scope.process.saturating_sub(1);
        self.scope.end(mark);
        self.scope.certain = certain;
        output
    }

    pub(super) fn execute(&mut self, stdin: Stdin, text: &str) {
        match stdin {
            Stdin::Shell => {
                self.read_apart(text, vec!["bash".to_owned()]);
            }
            Stdin::Code => programs::code::read(self, "interpreter", text),
        }
    }

    pub(super) fn define(&mut self, name: &str, body: &str) {
        if multiplies(name, body) {
            self.notes.multiplies(name);
        }
        if body.len() <= 64 * 1024 {
            self.scope
                .functions
                .insert(name.to_owned(), body.to_owned());
        } else {
            self.unclear("a function is too long to be followed");
        }
    }

    /// A file that the command writes and may execute.
    pub(super) fn wrote(&mut self, path: &str, text: &str) {
        if text.len() <= 64 * 1024 && self.scope.scripts.len() < 64 {
            let known = self.scope.scripts.entry(path.to_owned()).or_default();
            known.push_str(text);
            known.push('\n');
        }
    }

    /// `/dev/tcp/host/port`, which bash itself opens.
    pub(super) fn device(&mut self, path: &str) -> bool {
        let Some(rest) = path
            .strip_prefix("/dev/tcp/")
            .or_else(|| path.strip_prefix("/dev/udp/"))
        else {
            return false;
        };
        let (host, port) = rest.split_once('/').unwrap_or((rest, ""));
        let place = Place {
            host: host.to_owned(),
            port: port.parse().ok(),
            owner: None,
        };
        self.notes.contact("bash", place, true);
        true
    }

    /// A variable of the environment that sends programs elsewhere or is a command.
    pub(super) fn environment_is(&mut self, name: &str, value: &str) {
        let lower = name.to_ascii_lowercase();
        if lower.ends_with("_proxy") && lower != "no_proxy" {
            for place in place::of_web_word(value) {
                self.notes.contact(name, place, false);
            }
        } else if matches!(name, "BASH_ENV" | "ENV") {
            self.script_file(value, Vec::new(), &Input::default(), true);
        } else if matches!(
            name,
            "GIT_SSH_COMMAND"
                | "GIT_SSH"
                | "GIT_PROXY_COMMAND"
                | "GIT_EXTERNAL_DIFF"
                | "GIT_PAGER"
                | "PAGER"
                | "EDITOR"
                | "VISUAL"
                | "GIT_EDITOR"
                | "GIT_ASKPASS"
                | "SSH_ASKPASS"
                | "PROMPT_COMMAND"
                | "RSYNC_RSH"
                | "CVS_RSH"
                | "BROWSER"
                | "LESSOPEN"
                | "MANPAGER"
        ) {
            self.read(value);
        } else if matches!(
            name,
            "PIP_INDEX_URL"
                | "PIP_EXTRA_INDEX_URL"
                | "UV_INDEX_URL"
                | "UV_DEFAULT_INDEX"
                | "GOPROXY"
                | "GOSUMDB"
                | "DOCKER_HOST"
                | "NPM_CONFIG_REGISTRY"
                | "npm_config_registry"
                | "YARN_REGISTRY"
                | "GH_HOST"
                | "AWS_ENDPOINT_URL"
                | "CARGO_REGISTRIES_CRATES_IO_INDEX"
                | "GEM_HOST"
                | "BUNDLE_MIRROR__ALL"
                | "RUSTUP_DIST_SERVER"
                | "HOMEBREW_BOTTLE_DOMAIN"
                | "PGHOST"
                | "RES_NAMESERVERS"
        ) {
            for one in value.split([',', '|', ' ']) {
                let places = place::of_url(one);
                if places.is_empty() && matches!(name, "GH_HOST" | "PGHOST") {
                    self.notes.contact(name, place::of_host_port(one), false);
                }
                for place in places {
                    self.notes.contact(name, place, false);
                }
            }
        }
    }

    /// One command with its words.
    pub(super) fn run(&mut self, args: Args<'_, '_>, input: Input) -> Done {
        if self.wrappers >= MOST_WRAPPERS {
            self.unclear("programs that run programs are nested too deeply");
            return Done::default();
        }
        self.wrappers += 1;
        let done = self.run_one(args, input);
        self.wrappers -= 1;
        done
    }

    fn run_one(&mut self, args: Args<'_, '_>, input: Input) -> Done {
        let Some((program, rest)) = args.split_first() else {
            return Done::default();
        };
        self.notes.command(args, input.text.as_deref());
        #[cfg(test)]
        self.record(args);
        let place = self.scope.place(program);
        if is_fetched(program) || self.scope.downloads.contains(&place) {
            self.notes
                .executes(format!("`{}` was downloaded", super::word::shown(program)));
        }
        if !is_known(program) {
            self.unclear("the program's name is made at run time");
            programs::urls(self, "program", rest);
            return Done::default();
        }
        let name = program.rsplit('/').next().unwrap_or_default();
        let mut called = Done::default();
        if !self.scope.functions.is_empty()
            && let Some(body) = self.scope.functions.get(name).cloned()
        {
            let output = self.read_with(&body, owned(args));
            called.fetched = output.fetched;
            called.output = output.text;
        }
        if program.contains('/')
            && let Some(script) = self.scope.scripts.get(&place).cloned()
        {
            self.read_apart(&script, owned(args));
        }
        let mut done = self.builtin(name, rest, input);
        done.fetched |= called.fetched;
        done.output = done.output.or(called.output);
        done
    }

    /// Long ones would measure the record, not the reader.
    #[cfg(test)]
    fn record(&mut self, args: Args<'_, '_>) {
        if self.ran.len() < 4096 && args.len() < 256 {
            self.ran.push(owned(args));
        }
    }

    fn builtin(&mut self, name: &str, args: Args<'_, '_>, input: Input) -> Done {
        match name {
            "eval" => {
                let args = match args {
                    [first, rest @ ..] if first == "--" => rest,
                    args => args,
                };
                let script = args.join(" ");
                if !is_known(&script) {
                    self.unclear("eval: the command is made at run time");
                }
                let output = self.read(&script);
                return Done {
                    fetched: output.fetched,
                    output: output.text,
                    stdin: None,
                };
            }
            "trap" => {
                if let Some(script) = args.first() {
                    self.read(script);
                }
            }
            "alias" => {
                for (name, value) in args.iter().filter_map(|arg| arg.split_once('=')) {
                    self.define(name, &format!("{value} \"$@\""));
                    self.read(value);
                }
            }
            "export" | "declare" | "typeset" | "local" | "readonly" => self.declare(name, args),
            "set" if args.is_empty() => self.notes.environment(),
            "set" => self.set_arguments(args),
            "shift" => {
                let count = match args.first() {
                    Some(count) => count.parse().unwrap_or(1),
                    None => 1usize,
                };
                let lists = &self.scope.arguments;
                let length = lists.iter().flatten().map(|word| word.len() + 8).sum();
                if !self.spend(length) {
                    self.scope.arguments = vec![vec!["bash".to_owned(), UNKNOWN.to_string()]];
                }
                let mut shifted = self.scope.arguments.clone();
                for list in &mut shifted {
                    let end = list.len().min(count.saturating_add(1));
                    list.drain(end.min(1)..end);
                }
                for list in shifted {
                    self.arguments_may_be(list);
                }
            }
            "unset" => {
                for name in args {
                    self.scope
                        .forget(name.split('[').next().unwrap_or_default());
                }
            }
            "let" => {
                for name in args.iter().filter_map(|arg| arg.split('=').next()) {
                    let name = name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
                    self.scope.forget(name);
                }
            }
            "printenv" => {
                if args.iter().all(|arg| arg.starts_with('-')) {
                    self.notes.environment();
                }
            }
            "compgen" if args.iter().any(|arg| arg == "-e" || arg == "-v") => {
                self.notes.environment();
            }
            "read" => self.read_line(args, &input),
            "mapfile" | "readarray" => {
                let variable = args
                    .iter()
                    .rev()
                    .find(|arg| !arg.starts_with('-'))
                    .map_or("MAPFILE", |it| it);
                let value = match &input.text {
                    _ if input.fetched => Value::Text(FETCHED.to_string()),
                    Some(text) => Value::list(text.lines().map(str::to_owned)),
                    None => Value::unknown(),
                };
                self.scope.set_value(variable, value);
            }
            "for" | "select" => {
                if let Some((variable, list)) = args.split_first() {
                    if list.is_empty() {
                        let lists = self.scope.arguments.clone();
                        let words = lists.into_iter().flat_map(|list| list.into_iter().skip(1));
                        self.scope.set_any(variable, words.map(Value::Text));
                    }
                    let list = list.iter().skip(1);
                    if list.len() > 24 {
                        self.unclear("a loop goes over more words than are followed");
                    }
                    self.scope
                        .set_any(variable, list.map(|it| Value::Text(it.to_string())));
                }
            }
            "cd" | "pushd" => {
                if let Some(directory) = args.iter().find(|arg| !arg.starts_with('-')) {
                    self.scope.go(directory);
                    let place = self.scope.place(".");
                    self.notes.read(&place);
                } else {
                    self.scope.go("~");
                }
            }
            "source" | "." => {
                if let Some(file) = args.first() {
                    self.script_file(file, owned(args), &input, false);
                }
            }
            "sh" | "bash" | "zsh" | "dash" | "ksh" | "mksh" | "ash" | "fish" | "rbash" | "csh"
            | "tcsh" => return self.shell_program(name, args, &input),
            "command" if args.first().is_some_and(|arg| arg == "-v" || arg == "-V") => {}
            _ => return self.wrapped(name, args, input),
        }
        let silent = matches!(
            name,
            "shift" | "unset" | "let" | "read" | "mapfile" | "readarray" | "for" | "cd"
        ) || !args.is_empty()
            && matches!(
                name,
                "trap" | "alias" | "declare" | "local" | "export" | "readonly" | "set"
            );
        if silent {
            Done::output(String::new())
        } else {
            Done::default()
        }
    }

    fn declare(&mut self, name: &str, args: Args<'_, '_>) {
        let prints = args
            .iter()
            .all(|arg| matches!(&**arg, "-p" | "-x" | "-px" | "-xp"));
        if prints && (name == "export" || !args.is_empty()) {
            self.notes.environment();
        }
        // A number, another case, another variable: what it makes of a value is not followed.
        let changes = args
            .iter()
            .any(|arg| arg.starts_with('-') && arg.contains(['i', 'l', 'u', 'n', 'c']));
        let exports = name == "export" || args.iter().any(|arg| arg.starts_with("-x"));
        for arg in args.iter().filter(|arg| !arg.starts_with('-')) {
            match arg.split_once('=') {
                Some((variable, value)) => {
                    let value = unmarked(value.to_owned());
                    self.environment_is(variable, &value);
                    match variable.strip_suffix('+') {
                        Some(variable) => self.scope.append(variable, &Value::Text(value)),
                        None => self.scope.set(variable, value),
                    }
                    if changes {
                        self.scope.forget(variable);
                    }
                    if exports {
                        self.scope.export(variable);
                    }
                }
                None if exports => self.scope.export(arg),
                None => self.scope.forget(arg),
            }
        }
    }

    /// `set`, as far as it gives `$1` and what follows.
    fn set_arguments(&mut self, args: Args<'_, '_>) {
        let mut rest = args;
        let mut given = false;
        while let Some((first, after)) = rest.split_first() {
            if !first.starts_with(['-', '+']) {
                break;
            }
            rest = after;
            if first == "--" {
                given = true;
                break;
            }
            if first.ends_with('o') {
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        if given || !rest.is_empty() {
            let mut list = vec!["bash".to_owned()];
            list.extend(owned(rest));
            self.arguments_may_be(list);
        }
    }

    /// The lists before stay possible.
    fn arguments_may_be(&mut self, list: Vec<String>) {
        let length = list.iter().map(String::len).sum();
        if self.scope.arguments.is_empty() && !self.scope.certain {
            self.scope
                .arguments
                .push(vec!["bash".to_owned(), UNKNOWN.to_string()]);
        }
        if self.scope.arguments.len() >= 8 || !self.spend(length) {
            self.scope.arguments = vec![vec!["bash".to_owned(), UNKNOWN.to_string()]];
        }
        if !self.scope.arguments.contains(&list) {
            self.scope.arguments.push(list);
        }
    }

    /// `read`: each line may be the one that is read.
    fn read_line(&mut self, args: Args<'_, '_>, input: &Input) {
        const SPEC: Spec = Spec {
            short: "adinNptu",
            long: &[],
        };
        let (options, names) = SPEC.leading(args);
        let array = options.iter().find_map(|item| match item {
            Item::Option("a", Some(name)) => Some(*name),
            Item::Option(..) | Item::Word(_) => None,
        });
        let names: Vec<&str> = names.iter().map(|it| &**it).chain(array).collect();
        let names = if names.is_empty() {
            vec!["REPLY"]
        } else {
            names
        };
        let plain = options
            .iter()
            .all(|item| matches!(item, Item::Option("r" | "s" | "e" | "p" | "t" | "a", _)));
        let Some(text) = input.text.as_ref().filter(|_| plain) else {
            for name in names {
                let mark = if input.fetched { FETCHED } else { UNKNOWN };
                self.scope.set(name, mark.to_string());
            }
            return;
        };
        let separators: Vec<String> = match self.scope.get("IFS") {
            Some(values) => values.iter().map(|it| it.text().to_owned()).collect(),
            None => vec![" \t\n".to_owned()],
        };
        let mut lines = text.lines();
        let certain = self.scope.certain;
        let raw = options
            .iter()
            .any(|item| matches!(item, Item::Option("r", _)));
        for line in lines.by_ref().take(16) {
            for separators in &separators {
                let line = if raw {
                    line.to_owned()
                } else {
                    line.replace('\\', "")
                };
                self.read_fields(&names, array.is_some(), &line, separators);
                self.scope.certain = false;
            }
        }
        if lines.next().is_some() || text.is_empty() {
            for name in names {
                self.scope.forget(name);
            }
        }
        self.scope.certain = certain;
    }

    fn read_fields(&mut self, names: &[&str], array: bool, line: &str, separators: &str) {
        let is_separator = |c: char| separators.contains(c);
        let blank = |c: char| is_separator(c) && c.is_ascii_whitespace();
        if array {
            let words: Vec<String> = line
                .trim_matches(blank)
                .split(is_separator)
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            for name in names {
                self.scope
                    .set_value(name, Value::list(words.iter().cloned()));
            }
            return;
        }
        let mut rest = line.trim_matches(blank);
        for (at, name) in names.iter().enumerate() {
            let (word, after) = match rest.split_once(is_separator) {
                Some((word, after)) if at + 1 < names.len() => (word, after),
                Some(_) | None => (rest, ""),
            };
            self.scope.set(name, word.to_owned());
            rest = after.trim_start_matches(blank);
        }
    }

    /// `apart` where it runs in a shell of its own.
    fn script_file(&mut self, file: &str, arguments: Vec<String>, input: &Input, apart: bool) {
        if self.device(file) {
            self.notes
                .executes("a shell reads its commands from the network".to_owned());
            return;
        }
        let place = self.scope.place(file);
        if is_fetched(file) || self.scope.downloads.contains(&place) {
            self.notes
                .executes(format!("`{}` was downloaded", super::word::shown(file)));
        } else if matches!(file, "-" | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0") {
            self.stdin_script(input, arguments);
        } else if let Some(script) = substituted(file) {
            self.read_apart(script, arguments);
        } else if let Some(script) = self.scope.scripts.get(&place).cloned() {
            if apart {
                self.read_apart(&script, arguments);
            } else {
                self.read_with(&script, arguments);
            }
        } else {
            self.notes.read(&place);
            self.notes
                .unclear(format!("`{}` is a script", super::word::shown(file)));
        }
    }

    fn stdin_script(&mut self, input: &Input, words: Vec<String>) {
        if input.fetched {
            self.notes
                .executes("what is downloaded is piped into a shell".to_owned());
        }
        if let Some(text) = &input.text {
            let mut arguments = vec!["bash".to_owned()];
            arguments.extend(words);
            self.read_apart(text, arguments);
        } else if let Some(file) = &input.file {
            let file = file.clone();
            self.script_file(&file, Vec::new(), &Input::default(), true);
        }
    }

    fn shell_program(&mut self, name: &str, args: Args<'_, '_>, input: &Input) -> Done {
        let mut inline = false;
        let mut stdin = false;
        let mut rest = args;
        while let Some((first, after)) = rest.split_first() {
            if !first.starts_with(['-', '+']) || first.len() == 1 {
                break;
            }
            rest = after;
            match &**first {
                "--" => break,
                "-o" | "-O" | "+o" | "+O" => rest = rest.get(1..).unwrap_or_default(),
                "--rcfile" | "--init-file" => {
                    if let Some((file, after)) = rest.split_first() {
                        self.script_file(file, Vec::new(), &Input::default(), false);
                        rest = after;
                    }
                }
                "--command" => inline = true,
                long if long.starts_with("--") => {
                    if let Some(script) = long.strip_prefix("--command=") {
                        self.read(script);
                    }
                }
                letters => {
                    inline |= letters.contains('c');
                    stdin |= letters.contains('s');
                }
            }
        }
        if inline {
            // A word that follows cannot take back what the pipe holds.
            if let Some(text) = &input.text {
                self.read(text);
            }
            let Some((script, after)) = rest.split_first() else {
                return Done::default();
            };
            if !is_known(script) {
                self.notes
                    .unclear(format!("{name} -c: the command is made at run time"));
            }
            let arguments = if after.is_empty() {
                vec![name.to_owned()]
            } else {
                owned(after)
            };
            let output = self.read_apart(script, arguments);
            return Done {
                fetched: output.fetched,
                output: output.text,
                stdin: None,
            };
        }
        match rest.first() {
            Some(file) if !stdin => {
                // A word that follows cannot take back what the pipe holds.
                if let Some(text) = &input.text {
                    self.read(text);
                }
                self.script_file(file, owned(rest), input, true);
            }
            Some(_) | None => self.stdin_script(input, owned(rest)),
        }
        Done {
            stdin: Some(Stdin::Shell),
            ..Done::default()
        }
    }

    fn wrapped(&mut self, name: &str, args: Args<'_, '_>, input: Input) -> Done {
        let Some(wrapper) = BY_NAME.get(&(name.len(), name)) else {
            return programs::run(self, name, args, input);
        };
        let (options, mut rest) = wrapper.spec.leading(args);
        for option in &options {
            if let Item::Option("S" | "split-string" | "c" | "command", Some(script)) = option {
                self.read(script);
            }
        }
        rest = rest.get(wrapper.words..).unwrap_or_default();
        while let Some((first, after)) = rest.split_first() {
            let Some((variable, value)) = first.split_once('=') else {
                break;
            };
            if !wrapper.assigns
                || variable
                    .bytes()
                    .any(|byte| !byte.is_ascii_alphanumeric() && byte != b'_')
            {
                break;
            }
            self.environment_is(variable, value);
            rest = after;
        }
        if rest.is_empty() {
            if name == "env"
                && options
                    .iter()
                    .all(|it| matches!(it, Item::Option(_, None) | Item::Option("u", _)))
            {
                self.notes.environment();
            }
            return Done::default();
        }
        match name {
            "watch" | "parallel" | "su" | "entr" if rest.len() == 1 => {
                self.read(&rest.join(" "));
                Done::default()
            }
            "xargs" | "parallel" => self.fed(name, &options, rest, &input),
            "watch" => {
                self.read(&rest.join(" "));
                Done::default()
            }
            "flock" if rest.first().is_some_and(|it| it == "-c") => {
                self.read(&rest.get(1..).unwrap_or_default().join(" "));
                Done::default()
            }
            "busybox" | "toybox" => self.builtin(
                rest.first().map_or("", |it| it),
                rest.get(1..).unwrap_or_default(),
                input,
            ),
            _ => self.run(rest, input),
        }
    }

    /// A command that gets words from its input.
    fn fed(&mut self, name: &str, options: &[Item<'_>], rest: Args<'_, '_>, input: &Input) -> Done {
        let mark = options.iter().rev().find_map(|item| match item {
            Item::Option("I" | "replace" | "i", value) => Some(value.unwrap_or("{}")),
            Item::Option(..) | Item::Word(_) => None,
        });
        let by_line = options
            .iter()
            .any(|item| matches!(item, Item::Option("L" | "l" | "max-lines", _)));
        if let Some(text) = input.text.as_ref().filter(|_| by_line && mark.is_none())
            && name == "xargs"
        {
            for line in text.lines().take(64) {
                let mut command = rest.to_vec();
                command.extend(pieces(line, options, false).into_iter().map(Cow::Owned));
                self.run(&command, Input::default());
            }
        }
        let fed: Vec<String> = match &input.text {
            Some(text) => pieces(text, options, mark.is_some() || name != "xargs"),
            None => vec![UNKNOWN.to_string()],
        };
        // `parallel cmd ::: words`.
        let (command, given) = match rest.iter().position(|it| it.starts_with(":::")) {
            Some(at) => (
                rest.get(..at).unwrap_or_default(),
                rest.get(at + 1..).unwrap_or_default(),
            ),
            None => (rest, Default::default()),
        };
        let fed: Vec<String> = if given.is_empty() { fed } else { owned(given) };
        let mark = mark.or_else(|| {
            (name != "xargs" && command.iter().any(|it| it.contains("{}"))).then_some("{}")
        });
        if let Some(mark) = mark.filter(|mark| !mark.is_empty()) {
            let mut done = Done::default();
            for word in fed.iter().take(64) {
                let command: Vec<Cow<'_, str>> = command
                    .iter()
                    .map(|it| Cow::Owned(it.replace(mark, word)))
                    .collect();
                done.fetched |= self.run(&command, Input::default()).fetched;
            }
            return done;
        }
        let each = options.iter().find_map(|item| match item {
            Item::Option("n" | "max-args", count) => Some(
                count
                    .and_then(|it| it.parse().ok())
                    .unwrap_or(1usize)
                    .max(1),
            ),
            Item::Option(..) | Item::Word(_) => None,
        });
        let mut done = Done::default();
        let all = fed.len().max(1);
        let each = if name == "xargs" {
            each.unwrap_or(all)
        } else {
            each.unwrap_or(1)
        };
        if fed.len().div_ceil(each) > 64 {
            self.unclear("a command is run with more words than are followed");
        }
        for words in fed.chunks(each).take(64) {
            let mut command = command.to_vec();
            command.extend(words.iter().map(|word| Cow::Borrowed(word.as_str())));
            let piped = Input {
                fetched: input.fetched,
                ..Input::default()
            };
            let one = self.run(&command, piped);
            done.fetched |= one.fetched;
            done.output = one.output.filter(|_| all <= each);
            done.stdin = one.stdin;
        }
        if fed.is_empty() {
            return self.run(command, Input::default());
        }
        done
    }
}

/// Whether a function's body starts the function itself twice at once, or once behind itself.
fn multiplies(name: &str, body: &str) -> bool {
    let is_between = |sign: char| sign.is_whitespace() || ";|&(){}".contains(sign);
    let calls = body.split(is_between).filter(|word| *word == name).count();
    let alone = |sign: &str, twice: &str, file: &str| {
        let body = body.replace(twice, " ").replace(file, " ");
        body.contains(sign)
    };
    let background = alone("&", "&&", ">&");
    calls >= 1 && background || calls >= 2 && alone("|", "||", ">|")
}

/// What xargs makes of its input: lines where a mark stands for them, else words.
fn pieces(text: &str, options: &[Item<'_>], lines: bool) -> Vec<String> {
    const MOST: usize = 256;
    let parting = options.iter().rev().find_map(|item| match item {
        Item::Option("0" | "null", None) => Some('\0'),
        Item::Option("d" | "delimiter", Some(text)) => match *text {
            "\\n" => Some('\n'),
            "\\t" => Some('\t'),
            "\\0" => Some('\0'),
            text => text.chars().next(),
        },
        Item::Option(..) | Item::Word(_) => None,
    });
    if let Some(parting) = parting {
        let text = text.strip_suffix(parting).unwrap_or(text);
        return text.split(parting).take(MOST).map(str::to_owned).collect();
    }
    let mut out = Vec::new();
    for line in text.lines().take(MOST) {
        let mut word: Option<String> = None;
        let mut quote = None;
        let mut letters = line.trim_start().chars();
        while let Some(letter) = letters.next() {
            match (quote, letter) {
                (Some(open), letter) if open == letter => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (None, '\\') => word.get_or_insert_default().extend(letters.next()),
                (None, ' ' | '\t') if !lines => out.extend(word.take()),
                (_, letter) => word.get_or_insert_default().push(letter),
            }
        }
        if quote.is_some() {
            // xargs ends here.
            break;
        }
        out.extend(word);
    }
    out.truncate(MOST);
    out
}

/// The text of `<(…)`, which stands where the file would.
fn substituted(file: &str) -> Option<&str> {
    let text = file.strip_prefix("/dev/fd/")?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    (!is_number && is_known(text)).then_some(text)
}

fn owned(args: Args<'_, '_>) -> Vec<String> {
    args.iter().map(ToString::to_string).collect()
}

/// A program that runs the command among its words.
struct Wrapper {
    name: &'static str,
    spec: Spec,
    /// Words of its own before the command.
    words: usize,
    /// Whether `NAME=value` may stand before the command.
    assigns: bool,
}

const fn wrapper(
    name: &'static str,
    short: &'static str,
    long: &'static [&'static str],
    words: usize,
) -> Wrapper {
    Wrapper {
        name,
        spec: Spec { short, long },
        words,
        assigns: true,
    }
}

static BY_NAME: LazyLock<BTreeMap<(usize, &str), &Wrapper>> = LazyLock::new(|| {
    let named = |wrapper: &'static Wrapper| ((wrapper.name.len(), wrapper.name), wrapper);
    WRAPPERS.iter().map(named).collect()
});

static WRAPPERS: &[Wrapper] = &[
    wrapper(
        "sudo",
        "ugpCcDRTthrU",
        &[
            "user",
            "group",
            "prompt",
            "close-from",
            "chdir",
            "host",
            "role",
            "type",
            "chroot",
        ],
        0,
    ),
    wrapper("doas", "uC", &[], 0),
    wrapper("su", "cgGsw", &["command", "group", "shell"], 0),
    wrapper(
        "runuser",
        "cugGsw",
        &["command", "user", "group", "shell"],
        0,
    ),
    wrapper("env", "uCS", &["unset", "chdir", "split-string"], 0),
    wrapper("nohup", "", &[], 0),
    wrapper("timeout", "ks", &["kill-after", "signal"], 1),
    wrapper("gtimeout", "ks", &["kill-after", "signal"], 1),
    wrapper("nice", "n", &["adjustment"], 0),
    wrapper("ionice", "cnpPu", &["class", "classdata"], 0),
    wrapper("chrt", "TPD", &[], 1),
    wrapper("taskset", "", &[], 1),
    wrapper("numactl", "", &[], 0),
    wrapper("time", "fo", &["format", "output"], 0),
    wrapper("command", "", &[], 0),
    wrapper("builtin", "", &[], 0),
    wrapper("exec", "a", &[], 0),
    wrapper("setsid", "", &[], 0),
    wrapper("stdbuf", "ioe", &["input", "output", "error"], 0),
    wrapper("unbuffer", "", &[], 0),
    wrapper("watch", "nq", &["interval", "equexit"], 0),
    wrapper(
        "xargs",
        "adEILnPsS",
        &[
            "arg-file",
            "delimiter",
            "replace",
            "max-args",
            "max-procs",
            "max-chars",
            "max-lines",
        ],
        0,
    ),
    wrapper(
        "parallel",
        "jaIPNnLd",
        &[
            "jobs", "arg-file", "colsep", "delay", "timeout", "retries", "joblog",
        ],
        0,
    ),
    wrapper("strace", "eopsSuaOXPEb", &[], 0),
    wrapper("ltrace", "eopsSuan", &[], 0),
    wrapper("gdb", "x", &["ex"], 0),
    wrapper("valgrind", "", &[], 0),
    wrapper("perf", "eopF", &[], 1),
    wrapper("chroot", "", &["userspec", "groups"], 1),
    wrapper("unshare", "SGRwlC", &["root", "wd", "setuid", "setgid"], 0),
    wrapper("nsenter", "tSGrw", &["target", "setuid", "setgid"], 0),
    wrapper("firejail", "", &[], 0),
    wrapper(
        "systemd-run",
        "pEuM",
        &[
            "property",
            "setenv",
            "unit",
            "description",
            "slice",
            "uid",
            "gid",
        ],
        0,
    ),
    wrapper("systemd-inhibit", "", &["what", "who", "why", "mode"], 0),
    wrapper("script", "cOIBTEo", &["command"], 1),
    wrapper("flock", "wE", &["timeout", "wait", "conflict-exit-code"], 1),
    wrapper("busybox", "", &[], 0),
    wrapper("toybox", "", &[], 0),
    wrapper("proxychains", "f", &[], 0),
    wrapper("proxychains4", "f", &[], 0),
    wrapper("torsocks", "aPu", &[], 0),
    wrapper("entr", "", &[], 0),
    wrapper("caffeinate", "tw", &[], 0),
    wrapper("dotenv", "fe", &["file"], 0),
    wrapper("direnv", "", &[], 2),
    wrapper("catchsegv", "", &[], 0),
    wrapper("ld.so", "", &[], 0),
    wrapper("ld-linux-x86-64.so.2", "", &["library-path", "preload"], 0),
    wrapper("sem", "j", &[], 0),
    wrapper("noglob", "", &[], 0),
    wrapper("nocorrect", "", &[], 0),
];
