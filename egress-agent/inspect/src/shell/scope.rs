//! What earlier parts of a command set: variables, functions, the directory, files it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::word::UNKNOWN;

/// A variable keeps this many values: which one holds where may depend on the run.
const MOST_VALUES: usize = 32;
/// Longer values are not followed.
const MOST_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// An array: its places and what stands in them.
    List(BTreeMap<usize, String>),
}

impl Value {
    pub(super) fn list(words: impl IntoIterator<Item = String>) -> Self {
        Self::List(words.into_iter().enumerate().collect())
    }

    pub(super) fn unknown() -> Self {
        Self::Text(UNKNOWN.to_string())
    }

    /// What `$name` gives.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::List(list) => list.get(&0).map_or("", |it| it),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(list) => list.values().map(|it| it.len() + 8).sum(),
        }
    }
}

/// The values that a variable may have. The last `live` ones are those that it may have where the
/// reader stands; the ones before stay possible, because an assignment may not be reached.
#[derive(Clone, Debug, Default)]
struct Variable {
    values: Vec<Value>,
    live: usize,
    /// The process that set it: one that another one starts does not get it.
    process: u8,
    exported: bool,
}

impl Variable {
    fn add(&mut self, value: Value, certain: bool) {
        let value = if value.bytes() > MOST_BYTES {
            Value::unknown()
        } else {
            value
        };
        self.live = if certain { 1 } else { self.live + 1 };
        self.values.retain(|known| *known != value);
        self.values.push(value);
        if self.values.len() > MOST_VALUES {
            self.values.remove(0);
            // What is forgotten is not known.
            if !self.values.contains(&Value::unknown())
                && let Some(first) = self.values.first_mut()
            {
                *first = Value::unknown();
            }
        }
        self.live = self.live.min(self.values.len());
    }

    fn live(&self) -> &[Value] {
        let first = self.values.len().saturating_sub(self.live);
        self.values.get(first..).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub(super) struct Scope {
    variables: BTreeMap<String, Variable>,
    /// Variables in the order in which they were first set.
    fresh: Vec<String>,
    /// Nothing that only a run would tell decides whether the command at hand is reached.
    pub(super) certain: bool,
    /// How many shells there are above the one at hand.
    pub(super) process: u8,
    pub(super) functions: BTreeMap<String, String>,
    /// `$0`, `$1` and so on, where a command gave them: the lists that they may be.
    pub(super) arguments: Vec<Vec<String>>,
    /// What `cd` made of the directory, relative to where the command starts.
    moved: Option<String>,
    home_is: Option<String>,
    /// Scripts that the command wrote itself.
    pub(super) scripts: BTreeMap<String, String>,
    /// Files that it downloaded.
    pub(super) downloads: BTreeSet<String>,
}

/// Always set, and nobody knows to what.
const INHERITED: &[&str] = &[
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "OLDPWD",
    "HOSTNAME",
    "BASH",
    "RANDOM",
    "SECONDS",
    "PPID",
    "UID",
    "EUID",
    "LINENO",
    "SHLVL",
    "BASHPID",
    "BASH_VERSION",
    "HOSTTYPE",
    "MACHTYPE",
    "OSTYPE",
    "OPTIND",
    "PS4",
    "SRANDOM",
    "EPOCHSECONDS",
    "EPOCHREALTIME",
    "SHELLOPTS",
    "BASHOPTS",
    "GROUPS",
    "DIRSTACK",
    "PIPESTATUS",
    "BASH_VERSINFO",
    "_",
];

impl Scope {
    pub(super) fn new(cwd: Option<&Path>) -> Self {
        let mut scope = Self {
            certain: true,
            ..Self::default()
        };
        scope.set("HOME", "~".to_owned());
        scope.set("IFS", " \t\n".to_owned());
        scope.set("TMPDIR", "/tmp".to_owned());
        scope.set("PWD", ".".to_owned());
        for name in INHERITED {
            scope.set(name, UNKNOWN.to_string());
        }
        for variable in scope.variables.values_mut() {
            variable.exported = true;
        }
        scope.fresh.clear();
        scope.home_is = cwd.and_then(home_above);
        scope
    }

    /// All values that a variable may have.
    pub(super) fn get(&self, name: &str) -> Option<Vec<Value>> {
        let variable = self.variables.get(name)?;
        let mut values = variable.values.clone();
        let empty = Value::List(BTreeMap::new());
        if variable.process < self.process && !variable.exported && !values.contains(&empty) {
            values.push(empty);
        }
        Some(values)
    }

    /// Bytes of all values that a variable may have.
    pub(super) fn size(&self, name: &str) -> usize {
        self.variables.get(name).map_or(0, |variable| {
            variable.values.iter().map(|it| it.bytes() + 8).sum()
        })
    }

    /// Shells that this one starts get it.
    pub(super) fn export(&mut self, name: &str) {
        if let Some(variable) = self.variables.get_mut(name) {
            variable.exported = true;
        }
    }

    /// Adds a value. The ones before stay possible: an assignment may not be reached.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.set_value(name, Value::Text(value));
    }

    pub(super) fn set_value(&mut self, name: &str, value: Value) {
        let certain = self.certain;
        if !self.variables.contains_key(name) {
            self.fresh.push(name.to_owned());
        }
        let process = self.process;
        let variable = self
            .variables
            .entry(name.to_owned())
            .or_insert_with(|| Variable {
                process,
                ..Variable::default()
            });
        variable.process = variable.process.min(process);
        variable.add(value, certain);
    }

    /// Each of these may be the value.
    pub(super) fn set_any(&mut self, name: &str, values: impl IntoIterator<Item = Value>) {
        let certain = self.certain;
        for value in values {
            self.set_value(name, value);
            self.certain = false;
        }
        self.certain = certain;
    }

    /// `name+=value`, for texts and arrays.
    pub(super) fn append(&mut self, name: &str, more: &Value) {
        let Some(variable) = self.variables.get(name) else {
            self.set_value(name, more.clone());
            return;
        };
        let values = if self.certain {
            variable.live()
        } else {
            variable.values.as_slice()
        };
        let longer: Vec<Value> = values.iter().map(|value| appended(value, more)).collect();
        if self.certain
            && let Some(variable) = self.variables.get_mut(name)
        {
            let kept = variable.values.len().saturating_sub(variable.live);
            variable.values.truncate(kept);
        }
        self.set_any(name, longer);
        self.fresh.push(name.to_owned());
    }

    /// `name[at]=value`.
    pub(super) fn set_element(&mut self, name: &str, at: Option<usize>, value: &str) {
        let mut lists: Vec<Value> = match self.variables.get(name) {
            Some(variable) => variable.live().to_vec(),
            None => vec![Value::List(BTreeMap::new())],
        };
        for list in &mut lists {
            let mut elements = match std::mem::replace(list, Value::unknown()) {
                Value::List(elements) => elements,
                Value::Text(text) => BTreeMap::from([(0, text)]),
            };
            let at = at.unwrap_or_else(|| next(&elements));
            elements.insert(at, value.to_owned());
            *list = Value::List(elements);
        }
        self.set_any(name, lists);
    }

    /// It may have no value any more, or one that nobody knows.
    pub(super) fn forget(&mut self, name: &str) {
        let certain = std::mem::replace(&mut self.certain, false);
        if self.variables.contains_key(name) {
            self.set_value(name, Value::unknown());
        }
        self.certain = certain;
    }

    /// Where the reader stands among the variables that were set.
    pub(super) fn mark(&self) -> usize {
        self.fresh.len()
    }

    /// What was set since `mark` may not be set for what follows.
    pub(super) fn end(&mut self, mark: usize) {
        if mark < self.fresh.len() {
            for name in self.fresh.split_off(mark) {
                self.forget(&name);
            }
        }
    }

    /// What a variable is, to be put back with [`Scope::swap`].
    pub(super) fn state(&self, name: &str) -> State {
        State(self.variables.get(name).cloned())
    }

    pub(super) fn swap(&mut self, name: &str, state: &mut State) {
        let now = match state.0.take() {
            Some(variable) => self.variables.insert(name.to_owned(), variable),
            None => self.variables.remove(name),
        };
        state.0 = now;
    }

    pub(super) fn go(&mut self, directory: &str) {
        let next = self.place(directory);
        self.moved = Some(next);
    }

    /// A path from where the command starts; the home directory as `~`.
    pub(super) fn place(&self, path: &str) -> String {
        let path = match &self.home_is {
            Some(home) => match path.strip_prefix(home.as_str()) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    return normal(&format!("~{rest}"));
                }
                Some(_) | None => path,
            },
            None => path,
        };
        match &self.moved {
            Some(moved) if !path.starts_with(['/', '~']) => normal(&format!("{moved}/{path}")),
            Some(_) | None => normal(path),
        }
    }
}

/// A variable's values at one time.
#[derive(Debug)]
pub(super) struct State(Option<Variable>);

/// The first free place behind all others.
fn next(elements: &BTreeMap<usize, String>) -> usize {
    elements
        .last_key_value()
        .map_or(0, |(at, _)| at.saturating_add(1))
}

fn appended(value: &Value, more: &Value) -> Value {
    match (value, more) {
        (Value::Text(text), Value::Text(more)) => Value::Text(format!("{text}{more}")),
        (Value::List(list), Value::Text(more)) => {
            let mut list = list.clone();
            list.entry(0).or_default().push_str(more);
            Value::List(list)
        }
        (_, Value::List(more)) => {
            let mut list = match value {
                Value::Text(text) => BTreeMap::from([(0, text.clone())]),
                Value::List(list) => list.clone(),
            };
            for word in more.values() {
                list.insert(next(&list), word.clone());
            }
            Value::List(list)
        }
    }
}

/// `/home/someone` out of a directory below it.
fn home_above(cwd: &Path) -> Option<String> {
    let rest = cwd.to_str()?;
    if rest == "/root" || rest.starts_with("/root/") {
        return Some("/root".to_owned());
    }
    let rest = rest.strip_prefix("/home/")?;
    let name = rest.split('/').next().filter(|name| !name.is_empty())?;
    Some(format!("/home/{name}"))
}

/// Without `.`, doubled slashes and what `..` takes back.
fn normal(path: &str) -> String {
    if !path.contains("/.") && !path.contains("//") && !path.starts_with('.') {
        return path.to_owned();
    }
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." && last != "~" && !last.contains(UNKNOWN) => {
                    parts.pop();
                }
                Some(_) => parts.push(".."),
                None if absolute => {}
                None => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute {
        format!("/{joined}")
    } else if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_directory_and_lose_their_detours() {
        let mut scope = Scope::new(Some(Path::new("/home/dev/work")));
        assert_eq!(scope.place("~/./.ssh/../.ssh//id_rsa"), "~/.ssh/id_rsa");
        assert_eq!(
            scope.place("/home/dev/.aws/credentials"),
            "~/.aws/credentials"
        );
        scope.go("~/.ssh");
        assert_eq!(scope.place("id_rsa"), "~/.ssh/id_rsa");
        assert_eq!(scope.place("../.aws/x"), "~/.aws/x");
    }

    #[test]
    fn an_assignment_leaves_the_values_before_it_possible() {
        let mut scope = Scope::new(None);
        scope.set("H", "evil.tld".to_owned());
        scope.set("H", "github.com".to_owned());
        assert!(scope.get("H").is_some_and(|values| values.len() == 2));
    }
}
