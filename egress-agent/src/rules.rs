//! Rules about the content of tool calls, of results and of descriptions, in packs.
//!
//! ```text
//!   pack file ──check──▶ Pack ─┐
//!   pack file ──check──▶ Pack ─┴─▶ RuleSet ──decide(question)──▶ Outcome
//! ```
//!
//! A rule sees what detectors found and what the arguments say; it decides nothing about the
//! network, which `network` of the policy does. A pack with one problem is refused whole, with the
//! place of every problem. Nothing here does I/O but [`RuleSet::load`].
//!
//! ```
//! use std::collections::BTreeMap;
//! use egress_agent::rules::{Category, Decision, On, Pack, Question, RuleSet};
//!
//! let text = r#"{ "version": 1, "name": "mine", "rules": [
//!   { "name": "no-disks", "priority": 10, "decision": "deny",
//!     "when": { "categories": ["shell"], "content": ["\\bmkfs\\b"] } }
//! ] }"#;
//! let pack = Pack::parse(text, "mine.json", None).unwrap();
//! let rules = RuleSet::new(vec![pack]).unwrap();
//! let question = Question {
//!     on: On::Call,
//!     tool: "Bash",
//!     categories: &Category::of("Bash"),
//!     destinations: &[],
//!     is_unreadable: false,
//!     arguments: &serde_json::json!({ "command": "mkfs /dev/sda" }),
//!     findings: &[],
//!     labels: &BTreeMap::new(),
//!     environment: None,
//! };
//! assert_eq!(rules.decide(&question).decision(), Some(Decision::Deny));
//! ```

pub mod argument;
pub mod category;
mod check;
pub mod code;
pub mod content;
mod decide;
pub mod destination;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod import;
mod rule;
pub mod seen;

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::policy::{Invalid, PackSource, quote};

pub use self::{
    category::Category,
    code::Code,
    decide::{Hit, Match, Outcome, Standing, Told, decide},
    file::schema,
    import::{Imported, InvalidImport, from_meg},
    rule::{Condition, Decision, FindingTest, On, Question, Rule},
    seen::{Inspect, Seen},
};

/// No pack is read beyond this many bytes.
const MAX_BYTES: u64 = 8 << 20;
/// Packs of one set.
const MAX_PACKS: usize = 256;

/// A checked pack. Immutable.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    name: Arc<str>,
    source: Arc<str>,
    is_shadow: bool,
    rules: Vec<Rule>,
}

/// Packs that can be used together. Immutable; share it in an `Arc`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    packs: Vec<Pack>,
}

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("cannot read the pack `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("the directory `{}` holds no packs; a pack is a file `NAME.json`", .0.display())]
    NoPacks(PathBuf),
    #[error("more than {MAX_PACKS} packs; join some of them")]
    TooMany,
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

/// Packs that contradict each other: one line for each contradiction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packs contradict each other: {}", .0.join("; "))]
pub struct Conflict(pub Vec<String>);

impl Pack {
    /// Checks a pack. `source` is the name of its file for messages; `detectors` are the names of
    /// all detectors where they are known, so that a rule about another one is refused.
    pub fn parse(text: &str, source: &str, detectors: Option<&[&str]>) -> Result<Self, Invalid> {
        check::check(text, source, detectors)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether its rules are recorded and not enforced.
    pub fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    /// In the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The pack in shadow if `shadow`, else as its file says.
    #[must_use]
    pub fn in_shadow(self, shadow: bool) -> Self {
        Self {
            is_shadow: self.is_shadow || shadow,
            ..self
        }
    }
}

impl RuleSet {
    /// Packs together. Refuses packs of one name, and rules of one priority that decide
    /// differently.
    pub fn new(packs: Vec<Pack>) -> Result<Self, Conflict> {
        let conflicts = conflicts(&packs);
        if conflicts.is_empty() {
            Ok(Self { packs })
        } else {
            Err(Conflict(conflicts))
        }
    }

    /// Reads packs: files, and of a directory every `NAME.json` but `NAME.test.json` and
    /// `NAME.schema.json`.
    pub fn load(sources: &[PackSource], detectors: Option<&[&str]>) -> Result<Self, PackError> {
        let mut packs = Vec::new();
        for PackSource { path, shadow } in sources {
            for file in files(path)? {
                if packs.len() == MAX_PACKS {
                    return Err(PackError::TooMany);
                }
                packs.push(read(&file, detectors)?.in_shadow(*shadow));
            }
        }
        Ok(Self::new(packs)?)
    }

    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// Every rule, disabled ones too, with the standing of its pack.
    pub fn rules(&self) -> impl Iterator<Item = Standing<'_>> {
        self.packs.iter().flat_map(|pack| {
            pack.rules.iter().map(|rule| Standing {
                rule,
                is_shadow: pack.is_shadow,
            })
        })
    }

    /// Every file that it was read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.packs.iter().map(|pack| Path::new(&*pack.source))
    }

    /// Whether an enforced rule fits what `is_wanted` says.
    pub fn has(&self, is_wanted: impl Fn(&Rule) -> bool) -> bool {
        self.rules()
            .any(|Standing { rule, is_shadow }| !is_shadow && rule.is_enabled && is_wanted(rule))
    }

    pub fn decide(&self, question: &Question<'_>) -> Outcome<'_> {
        decide(self.rules(), question)
    }
}

/// Whether a rule takes part in the order of priorities.
fn is_deciding(rule: &Rule) -> bool {
    rule.is_enabled && rule.decision != Decision::Simulate
}

fn conflicts(packs: &[Pack]) -> Vec<String> {
    let mut conflicts = Vec::new();
    let mut names: BTreeMap<&str, &Pack> = BTreeMap::new();
    for pack in packs {
        if let Some(other) = names.insert(&pack.name, pack) {
            conflicts.push(format!(
                "{} and {} are both called {}: rename one",
                quote(&other.source),
                quote(&pack.source),
                quote(&pack.name)
            ));
        }
    }
    let mut priorities: BTreeMap<u32, &Rule> = BTreeMap::new();
    let rules = packs.iter().flat_map(Pack::rules);
    for rule in rules.filter(|rule| is_deciding(rule)) {
        let first = *priorities.entry(rule.priority).or_insert(rule);
        if first.decision != rule.decision {
            conflicts.push(format!(
                "{}:{}: priority {} of {} ({}) is that of {} ({}) in {}:{}; give one of the two \
                 another number",
                rule.source,
                rule.line,
                rule.priority,
                quote(&rule.full_name()),
                rule.decision.code(),
                quote(&first.full_name()),
                first.decision.code(),
                first.source,
                first.line
            ));
        }
    }
    conflicts
}

fn files(path: &Path) -> Result<Vec<PathBuf>, PackError> {
    let failed = |source| PackError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_pack = name.ends_with(".json")
            && !name.starts_with('.')
            && !name.ends_with(".test.json")
            && !name.ends_with(".schema.json");
        if is_pack {
            files.push(file);
        }
        // A directory of packs that grows without end is not read to its end.
        if files.len() > MAX_PACKS {
            return Err(PackError::TooMany);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(PackError::NoPacks(path.to_owned()));
    }
    Ok(files)
}

fn read(path: &Path, detectors: Option<&[&str]>) -> Result<Pack, PackError> {
    let failed = |source| PackError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        let message = format!("it is larger than {} MiB", MAX_BYTES >> 20);
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("byte {at} is not UTF-8; save the file as UTF-8");
        failed(io::Error::new(io::ErrorKind::InvalidData, message))
    })?;
    Ok(Pack::parse(&text, &path.display().to_string(), detectors)?)
}

#[cfg(test)]
mod tests;
