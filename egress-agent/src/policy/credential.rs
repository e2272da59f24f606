//! Secrets that the proxy adds to requests: an agent uses them and never holds them.
//!
//! A rule says where a secret comes from and where it goes; [`Secrets::load`] reads it when the
//! daemon loads the policy. No secret shows in `Debug`, in a record or in an answer.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use egress_common::RuleId;
use http::{HeaderName, HeaderValue};

use super::{check::Checker, file, problem::quote, requests, rule::Rule, text::Place as At};
use crate::trust::{self, Trusted, Untrusted};

/// Stands for the secret in a value.
const SECRET: &str = "{secret}";
/// Shorter texts could stand anywhere by chance.
const SHORTEST: usize = 8;
/// No secret is longer, in bytes.
const LONGEST: u64 = 16 << 10;
/// For a command to print the secret.
const PATIENCE: Duration = Duration::from_secs(10);

/// A secret as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub place: Place,
    pub source: Source,
}

/// Where in a request it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The header is set to this text, with the secret in place of `{secret}`.
    Header { name: HeaderName, value: String },
    /// Stands for the secret wherever a header holds it.
    Placeholder(String),
}

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    /// The program and its arguments.
    Command(PathBuf, Vec<String>),
}

/// The secret itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The secrets of a policy, by rule.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<u32, Secret>);

/// Why a secret cannot be had. Never says the secret.
#[derive(Debug, thiserror::Error)]
#[error("the credential of rule `{rule}` cannot be used: {why}")]
pub struct CredentialError {
    pub rule: String,
    #[source]
    pub why: Unreadable,
}

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("others than root can read `{0}`: `chmod 600 {0}`")]
    Readable(String),
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    #[error("cannot run `{}`: {source}", path.display())]
    Run {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{0}` failed: {1}; run it by hand to see why")]
    Failed(String, String),
    #[error(
        "it is no secret for a header: write one line of {SHORTEST} to {LONGEST} visible ASCII characters"
    )]
    Shape,
}

impl Secret {
    /// One line; what ends it is dropped.
    fn new(text: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(text).map_err(|_utf8| Unreadable::Shape)?;
        let text = text.trim_end_matches(['\r', '\n']);
        let is_visible = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if text.len() < SHORTEST || !is_visible || text.trim() != text {
            return Err(Unreadable::Shape);
        }
        Ok(Self(text.to_owned()))
    }

    /// For what must not show it anywhere.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// A value that holds it in place of every such text. `None` for no proper value.
    pub fn fill(&self, text: &str, placeholder: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(text.replace(placeholder, &self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Credential {
    /// The value of the header that is set.
    pub fn header(&self, secret: &Secret) -> Option<(HeaderName, HeaderValue)> {
        match &self.place {
            Place::Header { name, value } => Some((name.clone(), secret.fill(value, SECRET)?)),
            Place::Placeholder(_) => None,
        }
    }

    /// Reads the secret. Files and programs must be root's alone.
    fn read(&self) -> Result<Secret, Unreadable> {
        match &self.source {
            Source::File(path) => read_file(path),
            Source::Command(path, arguments) => run(path, arguments),
        }
    }
}

impl Secrets {
    /// Reads the secret of every rule that has one.
    pub fn load(rules: &[Rule]) -> Result<Self, CredentialError> {
        let mut secrets = BTreeMap::new();
        for rule in rules {
            if let Some(credential) = &rule.http.credential {
                let secret = credential.read().map_err(|why| CredentialError {
                    rule: rule.name.clone(),
                    why,
                })?;
                secrets.insert(rule.id.0, secret);
            }
        }
        Ok(Self(secrets))
    }

    pub fn get(&self, rule: RuleId) -> Option<&Secret> {
        self.0.get(&rule.0)
    }
}

fn read_file(path: &Path) -> Result<Secret, Unreadable> {
    trust::check(path, &Trusted::default())?;
    let failed = |source| Unreadable::File {
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        return Err(Unreadable::Readable(path.display().to_string()));
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
    Secret::new(&text)
}

/// What a program prints, run without a shell and without the daemon's variables.
fn run(path: &Path, arguments: &[String]) -> Result<Secret, Unreadable> {
    trust::check(path, &Trusted::default())?;
    let failed = |source| Unreadable::Run {
        path: path.to_owned(),
        source,
    };
    let mut child = Command::new(path)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let ended = wait(&mut child);
    let mut text = Vec::new();
    let told = match ended {
        Ok(None) => Some(format!("it took more than {} s", PATIENCE.as_secs())),
        Ok(Some(status)) if !status.success() => Some(status.to_string()),
        Ok(Some(_)) => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(why) = told {
        return Err(Unreadable::Failed(path.display().to_string(), why));
    }
    if let Some(out) = child.stdout.take() {
        out.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
    }
    Secret::new(&text)
}

/// Waits for the program's end. A secret fits into its pipe; one that prints more is stopped.
fn wait(child: &mut Child) -> io::Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(Duration::from_millis(5));
    }
}

/// Checks a credential as it is written.
pub(crate) fn check(
    c: &mut Checker<'_>,
    written: &file::Credential,
    place: &At<'_>,
) -> Option<Credential> {
    let file::Credential {
        comment: _,
        description: _,
        header,
        value,
        placeholder,
        file,
        command,
    } = written;
    let goes = match (header, placeholder) {
        (Some(name), None) => {
            let name = requests::header(c, name, &place.key("header"));
            let value = value.as_deref().unwrap_or(SECRET);
            let at = place.key("value");
            let is_visible = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            if value.matches(SECRET).count() != 1 || !is_visible || value.trim() != value {
                let message = format!("{} does not hold `{SECRET}` once", quote(value));
                let help = "write a value such as `Bearer {secret}`";
                c.error(&at, message, Some(help));
            }
            name.map(|name| Place::Header {
                name,
                value: value.to_owned(),
            })
        }
        (None, Some(word)) => {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.{}".contains(&byte);
            if word.len() < SHORTEST || !word.bytes().all(is_word) {
                let message = format!("{} cannot be told from other text", quote(word));
                let help = format!("write at least {SHORTEST} letters, digits and `_`");
                c.error(&place.key("placeholder"), message, Some(&help));
            }
            if value.is_some() {
                let help = Some("take it out");
                c.error(&place.key("value"), "`value` is for a `header`", help);
            }
            Some(Place::Placeholder(word.clone()))
        }
        (Some(_), Some(_)) | (None, None) => {
            let help = "write either `header` or `placeholder`";
            c.error(place, "the secret has no place, or two", Some(help));
            None
        }
    };
    let source = match (file, command) {
        (Some(path), None) => absolute(c, path, &place.key("file")).map(Source::File),
        (None, Some(words)) => {
            let at = place.key("command");
            let Some((program, arguments)) = words.split_first() else {
                c.error(&at, "the command is empty", Some("write a program"));
                return None;
            };
            absolute(c, program, &at.index(0))
                .map(|program| Source::Command(program, arguments.to_vec()))
        }
        (Some(_), Some(_)) | (None, None) => {
            let help = "write either `file` or `command`";
            c.error(
                place,
                "the secret comes from nowhere, or two places",
                Some(help),
            );
            None
        }
    };
    Some(Credential {
        place: goes?,
        source: source?,
    })
}

fn absolute(c: &mut Checker<'_>, text: &str, place: &At<'_>) -> Option<PathBuf> {
    let path = Path::new(text);
    if path.is_absolute() && path.file_name().is_some() && !text.contains('\0') {
        return Some(path.to_owned());
    }
    let message = format!("{} is no absolute path of a file", quote(text));
    let help = "write a path such as `/etc/egressd/secrets/token`";
    c.error(place, message, Some(help));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn parse(credential: &str) -> Result<Policy, String> {
        let text = format!(
            r#"{{ "version": 1, "network": {{ "allow": [
              {{ "name": "r", "hosts": ["api.example.com"], "ports": ["443/tcp"], "level": "http",
                 "credential": {credential} }} ] }} }}"#
        );
        Policy::parse(&text, "p.json").map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_help() {
        for (credential, says) in [
            ("{}", "no place, or two"),
            (r#"{ "header": "x-key" }"#, "either `file` or `command`"),
            (
                r#"{ "header": "x-key", "placeholder": "EGRESSD_TOKEN", "file": "/a/b" }"#,
                "either `header` or `placeholder`",
            ),
            (
                r#"{ "header": "authorization", "value": "Bearer", "file": "/a/b" }"#,
                "does not hold `{secret}` once",
            ),
            (r#"{ "header": "host", "file": "/a/b" }"#, "own business"),
            (r#"{ "placeholder": "X", "file": "/a/b" }"#, "told from"),
            (r#"{ "header": "x-key", "file": "b" }"#, "no absolute path"),
            (r#"{ "header": "x-key", "command": [] }"#, "is empty"),
        ] {
            let told = parse(credential).unwrap_err();
            assert!(told.contains(says), "{told}");
        }
    }

    #[test]
    fn a_secret_never_shows() {
        let secret = Secret::new(b"t0p-secret-word\n").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
        let value = secret.fill("Bearer {secret}", SECRET).unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer t0p-secret-word");
        assert!(!format!("{value:?}").contains("t0p"));
        for bad in [
            "short",
            "two\nlines of it",
            "sp ace at end ",
            "caf\u{e9}-caf\u{e9}",
        ] {
            assert!(Secret::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_command_prints_it_and_a_failure_says_why() {
        let echo = r#"{ "header": "x-key", "command": ["/bin/echo", "0123456789"] }"#;
        let mut policy = parse(echo).unwrap();
        policy.load_secrets().unwrap();
        let secret = policy.secrets().get(policy.rules()[0].id).unwrap();
        assert_eq!(secret.as_bytes(), b"0123456789");
        for (credential, says) in [
            (
                r#"{ "header": "x-key", "command": ["/bin/false"] }"#,
                "failed",
            ),
            (
                r#"{ "header": "x-key", "file": "/nonexistent/x" }"#,
                "rule `r`",
            ),
        ] {
            let error = parse(credential).unwrap().load_secrets().unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
