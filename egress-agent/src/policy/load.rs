//! Reading a policy and those that it extends: each once, however many ways lead to it.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Invalid, Policy, PolicyError,
    check::check,
    extend::{LoadBase, MAX_DEPTH},
    problem::quote,
    profiles::{self, PREFIX, Profile},
    text::{locate, syntax},
};

/// No policy is read beyond this many bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Policies that are read for one.
const MAX_FILES: usize = 256;

/// One load of a policy.
#[derive(Debug, Default)]
pub(super) struct Loader {
    read: HashMap<Key, Arc<Policy>>,
    /// Those that are being read, each extended by the one before it.
    open: Vec<Key>,
}

/// What tells one policy from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Its name in the directory as the kernel finds it. Not what a link leads to: paths in a file
    /// are relative to where it was found.
    File(PathBuf),
    Profile(&'static str),
}

impl Loader {
    pub(super) fn file(&mut self, path: &Path) -> Result<Policy, PolicyError> {
        let read = |source| PolicyError::Read {
            path: path.to_owned(),
            source,
        };
        let bytes = read_bounded(path).map_err(read)?;
        let source = path.display().to_string();
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(&source, &error))?;
        Ok(self.text(&text, path)?)
    }

    /// A text in the place of a file.
    pub(super) fn text(&mut self, text: &str, path: &Path) -> Result<Policy, Invalid> {
        self.open.push(Key::of(path));
        let base = &mut |name: &str| self.base(name, path.parent());
        let policy = parse(text, &path.display().to_string(), base);
        self.open.pop();
        let mut policy = policy?;
        policy.files.insert(0, path.to_owned());
        Ok(policy)
    }

    /// A text that stands nowhere: it can extend profiles only.
    pub(super) fn placeless(&mut self, text: &str, source: &str) -> Result<Policy, Invalid> {
        parse(text, source, &mut |name| self.base(name, None))
    }

    pub(super) fn profile(&mut self, profile: &'static Profile) -> Result<Arc<Policy>, Invalid> {
        self.open.push(Key::Profile(profile.name));
        let policy = self.placeless(profile.text, &profile.source());
        self.open.pop();
        let policy = Arc::new(policy?);
        let key = Key::Profile(profile.name);
        self.read.insert(key, Arc::clone(&policy));
        Ok(policy)
    }

    /// What an entry of `extends` leads to, from a file in this directory.
    fn base(&mut self, name: &str, directory: Option<&Path>) -> Result<Arc<Policy>, String> {
        let profile = match name.strip_prefix(PREFIX) {
            Some(name) => Some(profiles::find(name)?),
            None => None,
        };
        let path = directory.map(|directory| directory.join(name));
        let key = match (profile, &path) {
            (Some(profile), _) => Key::Profile(profile.name),
            (None, Some(path)) => Key::of(path),
            (None, None) => {
                return Err("`extends` needs a policy that is read from a file".to_owned());
            }
        };
        if let Some(policy) = self.read.get(&key) {
            return Ok(Arc::clone(policy));
        }
        if self.open.contains(&key) {
            let name = quote(name);
            return Err(format!(
                "the policies extend each other in a circle that {name} closes"
            ));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(too_deep());
        }
        if self.read.len() >= MAX_FILES {
            return Err(format!("it extends more than {MAX_FILES} policies"));
        }
        if let Some(profile) = profile {
            return self.profile(profile).map_err(|invalid| told(&invalid));
        }
        let path = path.unwrap_or_default();
        let policy = self.file(&path).map_err(|error| match error {
            PolicyError::Read { path, source } => {
                let path = quote(&path.display().to_string());
                format!("cannot read the extended policy {path}: {source}")
            }
            // Packs are read when all settings are known.
            error @ PolicyError::Content(_) => format!("{error:#}"),
            PolicyError::Invalid(invalid) => told(&invalid),
        })?;
        let policy = Arc::new(policy);
        self.read.insert(key, Arc::clone(&policy));
        Ok(policy)
    }
}

impl Key {
    fn of(path: &Path) -> Self {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            Some(_) | None => Path::new("."),
        };
        let found = directory.canonicalize().ok().zip(path.file_name());
        Self::File(found.map_or_else(|| path.to_owned(), |(directory, name)| directory.join(name)))
    }
}

pub(super) fn too_deep() -> String {
    format!("more than {MAX_DEPTH} policies extend each other in a row")
}

fn told(invalid: &Invalid) -> String {
    let first = invalid.problems().first().map(ToString::to_string);
    let count = match invalid.problems().len() {
        1 => String::new(),
        count => format!(", {count} problems"),
    };
    format!(
        "the extended policy is not valid{count}: {}:{}",
        invalid.source(),
        first.unwrap_or_default()
    )
}

fn parse(text: &str, source: &str, load: LoadBase<'_>) -> Result<Policy, Invalid> {
    match check(text, source, load) {
        Ok(checked) => Ok(Policy::new(text, source, checked)),
        Err(problems) => Err(Invalid::new(source, text, problems)),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_BYTES) {
        return Ok(bytes);
    }
    let message = format!("it is larger than {} MiB", MAX_BYTES >> 20);
    Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
}

fn not_utf8(source: &str, error: &std::string::FromUtf8Error) -> Invalid {
    let valid = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
    let help = Some("save the file as UTF-8");
    let mut problems = vec![syntax("the text is not UTF-8", valid..valid, help)];
    locate(&mut problems, &text);
    Invalid::new(source, &text, problems)
}
