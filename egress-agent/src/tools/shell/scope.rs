//! What earlier parts of a command set: variables, functions, the directory, files it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::word::UNKNOWN;

/// A variable keeps this many values: which one holds where may depend on the run.
const MOST_VALUES: usize = 8;

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// One of these.
    Any(Vec<String>),
    /// All of these, an array.
    List(Vec<String>),
}

#[derive(Debug, Default)]
pub(super) struct Scope {
    variables: BTreeMap<String, Value>,
    pub(super) functions: BTreeMap<String, String>,
    /// `$0`, `$1` and so on, where a command gave them.
    pub(super) arguments: Vec<String>,
    /// What `cd` made of the directory, relative to where the command starts.
    moved: Option<String>,
    home_is: Option<String>,
    /// Scripts that the command wrote itself.
    pub(super) scripts: BTreeMap<String, String>,
    /// Files that it downloaded.
    pub(super) downloads: BTreeSet<String>,
}

impl Scope {
    pub(super) fn new(cwd: Option<&Path>) -> Self {
        let mut scope = Self::default();
        scope.set("HOME", "~".to_owned());
        scope.set("IFS", " ".to_owned());
        scope.set("TMPDIR", "/tmp".to_owned());
        scope.set("PWD", ".".to_owned());
        scope.home_is = cwd.and_then(home_above);
        scope
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    /// Adds a value. The ones before stay possible: an assignment may not be reached.
    pub(super) fn set(&mut self, name: &str, value: String) {
        match self.variables.get_mut(name) {
            Some(Value::Any(values)) => {
                if values.len() < MOST_VALUES && !values.contains(&value) {
                    values.push(value);
                }
            }
            Some(Value::List(values)) => values.push(value),
            None => {
                self.variables
                    .insert(name.to_owned(), Value::Any(vec![value]));
            }
        }
    }

    pub(super) fn set_any(&mut self, name: &str, values: Vec<String>) {
        for value in values {
            self.set(name, value);
        }
    }

    pub(super) fn set_list(&mut self, name: &str, values: Vec<String>) {
        match self.variables.get_mut(name) {
            Some(Value::List(known)) => known.extend(values),
            Some(Value::Any(_)) | None => {
                self.variables.insert(name.to_owned(), Value::List(values));
            }
        }
    }

    pub(super) fn append(&mut self, name: &str, value: &str) {
        let longer = match self.variables.get(name) {
            Some(Value::Any(values)) => values
                .last()
                .filter(|last| last.len() < 64 * 1024)
                .map(|last| format!("{last}{value}")),
            Some(Value::List(_)) | None => None,
        };
        self.set(name, longer.unwrap_or_else(|| value.to_owned()));
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
        assert!(matches!(scope.get("H"), Some(Value::Any(values)) if values.len() == 2));
    }
}
