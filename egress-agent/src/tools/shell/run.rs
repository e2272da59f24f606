//! Commands: builtins, scripts within scripts, wrappers; the rest goes to the programs.

use std::borrow::Cow;
use std::path::Path;

use super::Reach;
use super::notes::Notes;
use super::options::{Args, Item, Spec};
use super::place::{self, Place};
use super::programs;
use super::read::{Output, Reader};
use super::scope::Scope;
use super::word::{FIELD, UNKNOWN, is_fetched, is_known};

/// Scripts inside of scripts beyond this are not read.
const MOST_DEEP: u8 = 12;

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
    depth: u8,
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
            depth: 0,
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
        }
        .list(None);
        self.depth -= 1;
        output
    }

    /// Reads a script that gets words of its own as `$0`, `$1` and so on.
    fn read_with(&mut self, script: &str, arguments: Vec<String>) -> Output {
        let before = std::mem::replace(&mut self.scope.arguments, arguments);
        let output = self.read(script);
        self.scope.arguments = before;
        output
    }

    pub(super) fn execute(&mut self, stdin: Stdin, text: &str) {
        match stdin {
            Stdin::Shell => {
                self.read(text);
            }
            Stdin::Code => programs::code::read(self, "interpreter", text),
        }
    }

    pub(super) fn define(&mut self, name: &str, body: &str) {
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
                | "BASH_ENV"
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
        let Some((program, rest)) = args.split_first() else {
            return Done::default();
        };
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
            self.read_with(&script, owned(args));
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
            "set" => {
                if let Some(at) = args.iter().position(|arg| arg == "--") {
                    let mut arguments = vec!["bash".to_owned()];
                    arguments.extend(args.iter().skip(at + 1).map(ToString::to_string));
                    self.scope.arguments = arguments;
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
            "read" | "mapfile" | "readarray" => {
                if let (Some(text), Some(variable)) = (input.text, args.last()) {
                    for line in text.lines().take(8) {
                        self.scope.set(variable, line.trim().to_owned());
                    }
                }
            }
            "for" | "select" => {
                if let Some((variable, list)) = args.split_first() {
                    let list: Vec<String> = list.iter().skip(1).map(ToString::to_string).collect();
                    if list.len() > 8 {
                        self.unclear("a loop goes over more words than are followed");
                    }
                    self.scope.set_any(variable, list);
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
                    self.script_file(file, owned(args), &input);
                }
            }
            "sh" | "bash" | "zsh" | "dash" | "ksh" | "mksh" | "ash" | "fish" | "rbash" | "csh"
            | "tcsh" => return self.shell_program(name, args, &input),
            "command" if args.first().is_some_and(|arg| arg == "-v" || arg == "-V") => {}
            _ => return self.wrapped(name, args, input),
        }
        Done::default()
    }

    fn declare(&mut self, name: &str, args: Args<'_, '_>) {
        let prints = args
            .iter()
            .all(|arg| matches!(&**arg, "-p" | "-x" | "-px" | "-xp"));
        if prints && (name == "export" || !args.is_empty()) {
            self.notes.environment();
        }
        for arg in args {
            if let Some((variable, value)) = arg.split_once('=') {
                self.environment_is(variable, value);
                self.scope.set(variable, value.replace(FIELD, " "));
            }
        }
    }

    fn script_file(&mut self, file: &str, arguments: Vec<String>, input: &Input) {
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
            self.stdin_script(input);
        } else if let Some(script) = self.scope.scripts.get(&place).cloned() {
            self.read_with(&script, arguments);
        } else {
            self.notes.read(&place);
            self.notes
                .unclear(format!("`{}` is a script", super::word::shown(file)));
        }
    }

    fn stdin_script(&mut self, input: &Input) {
        if input.fetched {
            self.notes
                .executes("what is downloaded is piped into a shell".to_owned());
        } else if let Some(text) = &input.text {
            self.read(text);
        } else if let Some(file) = &input.file {
            let file = file.clone();
            self.script_file(&file, Vec::new(), &Input::default());
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
                        self.script_file(file, Vec::new(), &Input::default());
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
            let output = self.read_with(script, owned(after));
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
                self.script_file(file, owned(rest), input);
            }
            Some(_) | None => self.stdin_script(input),
        }
        Done {
            stdin: Some(Stdin::Shell),
            ..Done::default()
        }
    }

    fn wrapped(&mut self, name: &str, args: Args<'_, '_>, input: Input) -> Done {
        let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.name == name) else {
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
            "xargs" | "parallel" => self.fed(&options, rest, &input),
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
    fn fed(&mut self, options: &[Item<'_>], rest: Args<'_, '_>, input: &Input) -> Done {
        let mark = options.iter().find_map(|item| match item {
            Item::Option("I" | "replace" | "i", value) => Some(value.unwrap_or("{}")),
            Item::Option(..) | Item::Word(_) => None,
        });
        let fed: Vec<String> = match &input.text {
            // In place of a mark stands a whole line.
            Some(text) if mark.is_some() => text.lines().take(256).map(str::to_owned).collect(),
            Some(text) => text
                .split_whitespace()
                .take(256)
                .map(str::to_owned)
                .collect(),
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
        let mark = mark.or_else(|| command.iter().any(|it| it.contains("{}")).then_some("{}"));
        if let Some(mark) = mark.filter(|mark| !mark.is_empty()) {
            let mut done = Done::default();
            for word in fed.iter().take(64) {
                let command: Vec<Cow<'_, str>> = command
                    .iter()
                    .map(|it| Cow::Owned(it.replace(mark, word)))
                    .collect();
                done.fetched |= self.run(&command, Input::default()).fetched;
            }
            done
        } else {
            let mut command = command.to_vec();
            command.extend(fed.into_iter().map(Cow::Owned));
            let piped = Input {
                fetched: input.fetched,
                ..Input::default()
            };
            self.run(&command, piped)
        }
    }
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

const WRAPPERS: &[Wrapper] = &[
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
        "adEeILlnPsS",
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
