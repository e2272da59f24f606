//! One shim: the script, and what is read back from it.

use std::{
    env,
    ffi::OsStr,
    fmt, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::given;

/// What tells a shim from a program; JSON follows.
const MARK: &str = "# egressd shim, made by `egressctl wrap install`: ";
/// A shim is shorter than this. Bytes.
const LONGEST: u64 = 16 << 10;
/// Tools that run under a policy of their own, in `policy/profiles/`.
const PINNED: [&str; 4] = ["brew", "cargo", "npm", "pip"];
/// Tools that are observed, in the guard of the agents.
const OBSERVED: [&str; 4] = ["aws", "docker", "gh", "kubectl"];
/// The guard of the agents, as the units of the service name it.
const AGENTS: &str = "agent.slice";

/// Where a tool runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) guard: String,
    pub(super) observe: bool,
    /// The policy that the guard should have.
    policy: String,
}

/// What a shim says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shim {
    pub(super) tool: String,
    pub(super) guard: String,
    pub(super) observe: bool,
    /// The program that it stands in front of.
    pub(super) real: PathBuf,
    egressctl: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    socket: Option<PathBuf>,
}

impl Profile {
    pub(super) fn of(tool: &str) -> anyhow::Result<Self> {
        if PINNED.contains(&tool) {
            return Ok(Self {
                guard: format!("tool_{tool}.slice"),
                observe: false,
                policy: format!("/usr/share/egressd/profiles/{tool}.json"),
            });
        }
        if OBSERVED.contains(&tool) {
            return Ok(Self {
                guard: AGENTS.to_owned(),
                observe: true,
                policy: "/etc/egressd/policy.json".to_owned(),
            });
        }
        bail!("`{tool}` has no profile: name the guarded cgroup to run it in with `--guard`");
    }

    pub(super) fn given(tool: &str, guard: &str, observe: bool) -> anyhow::Result<Self> {
        if !is_tool(tool) {
            bail!("`{tool}` is not the name of a program: write it without a path");
        }
        let known = Self::of(tool);
        let guard = guard.trim_matches('/').to_owned();
        let policy = known.map_or_else(|_| "FILE".to_owned(), |profile| profile.policy);
        Ok(Self {
            guard,
            observe,
            policy,
        })
    }

    /// Why a tool is not started, and what to do.
    pub(super) fn missing_guard(&self) -> String {
        let Self { guard, policy, .. } = self;
        format!(
            "the cgroup `{guard}` is not guarded: add `--cgroup {guard}={policy}` to `egressd run` in `systemctl edit egressd`, then `systemctl restart egressd`"
        )
    }
}

impl Shim {
    pub(super) fn new(
        tool: &str,
        profile: Profile,
        real: PathBuf,
        egressctl: &Path,
        socket: &Path,
    ) -> Self {
        Self {
            tool: tool.to_owned(),
            guard: profile.guard,
            observe: profile.observe,
            real,
            egressctl: egressctl.to_owned(),
            socket: given(socket).map(Path::to_owned),
        }
    }

    /// The script.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let told = serde_json::to_string(self).context("a path is not UTF-8")?;
        let mut words = vec![quote(&self.egressctl)?];
        if let Some(socket) = &self.socket {
            words.extend(["--socket".to_owned(), quote(socket)?]);
        }
        words.extend(["wrap".to_owned(), "run".to_owned(), "--guard".to_owned()]);
        words.push(quote(Path::new(&self.guard))?);
        if self.observe {
            words.push("--observe".to_owned());
        }
        words.extend(["--".to_owned(), quote(&self.real)?]);
        let words = words.join(" ");
        Ok(format!("#!/bin/sh\n{MARK}{told}\nexec {words} \"$@\"\n"))
    }

    /// What a file says, if it is a shim under the name of its tool.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let kind = fs::symlink_metadata(path).ok()?;
        if !kind.is_file() || kind.len() > LONGEST {
            return None;
        }
        let text = fs::read_to_string(path).ok()?;
        let told = text.lines().nth(1)?.strip_prefix(MARK)?;
        let shim: Self = serde_json::from_str(told).ok()?;
        (path.file_name() == Some(OsStr::new(&shim.tool))).then_some(shim)
    }
}

impl fmt::Display for Shim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.observe { "observed" } else { "enforced" };
        write!(f, "{} in {}, {how}", self.real.display(), self.guard)
    }
}

/// A word for sh(1).
fn quote(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().context("a path is not UTF-8")?;
    if text.contains(['\n', '\r', '\0']) {
        bail!("{}: a line ends in this path", path.display());
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// The first program of this name in a search path, apart from shims and from what lies in their
/// directory.
pub(super) fn find(tool: &str, search: &OsStr, shims: &Path) -> Option<PathBuf> {
    let shims = shims.canonicalize();
    env::split_paths(search)
        .filter(|directory| directory.is_absolute())
        .filter(|directory| match (directory.canonicalize(), &shims) {
            (Ok(directory), Ok(shims)) => directory != *shims,
            (_, _) => true,
        })
        .map(|directory| directory.join(tool))
        .find(|path| is_program(path) && Shim::read(path).is_none())
}

/// Whether a search comes upon the shim before the program.
pub(super) fn comes_first(search: &OsStr, shim: &Path, real: &Path) -> bool {
    let directories = env::split_paths(search);
    let mut directories = directories.filter(|directory| {
        Some(directory.as_path()) == shim.parent() || Some(directory.as_path()) == real.parent()
    });
    directories.next().as_deref() == shim.parent()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_tool(tool: &str) -> bool {
    !tool.is_empty() && !tool.starts_with(['-', '.']) && !tool.contains(['/', '\n', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shim(real: &str) -> Shim {
        let profile = Profile::of("pip").unwrap();
        let egressctl = Path::new("/usr/bin/egressctl");
        Shim::new(
            "pip",
            profile,
            real.into(),
            egressctl,
            Path::new("/run/x.sock"),
        )
    }

    #[test]
    fn a_shim_is_read_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pip");
        let written = shim("/opt/it's here/pip");
        fs::write(&path, written.text().unwrap()).unwrap();
        assert_eq!(Shim::read(&path), Some(written.clone()));
        let other = directory.path().join("npm");
        fs::write(&other, written.text().unwrap()).unwrap();
        assert_eq!(Shim::read(&other), None, "another name");
        fs::write(&path, "#!/bin/sh\nexec pip\n").unwrap();
        assert_eq!(Shim::read(&path), None);
    }

    /// The shell itself says which words it makes of a script.
    #[test]
    fn a_path_with_quotes_reaches_the_program_whole() {
        for path in [
            "/opt/it's here/pip",
            "/opt/$(touch x)/`y`/\"pip\"",
            "/opt/\\/pip",
        ] {
            let script = format!("printf %s {}", quote(Path::new(path)).unwrap());
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output();
            assert_eq!(output.unwrap().stdout, path.as_bytes());
        }
        assert!(shim("/opt/a\nb").text().is_err());
    }

    #[test]
    fn the_real_program_is_the_first_that_is_no_shim() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["shims", "other", "usr"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("pip"), "#!/bin/sh\n").unwrap();
            fs::set_permissions(at(name).join("pip"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(
            at("other").join("pip"),
            shim("/usr/bin/pip").text().unwrap(),
        )
        .unwrap();
        let search = env::join_paths(["shims", "other", "none", "usr"].map(at)).unwrap();
        assert_eq!(
            find("pip", &search, &at("shims")),
            Some(at("usr").join("pip"))
        );
        assert_eq!(find("npm", &search, &at("shims")), None);
        let real = at("usr").join("pip");
        assert!(comes_first(&search, &at("shims").join("pip"), &real));
        let late = env::join_paths(["usr", "shims"].map(at)).unwrap();
        assert!(!comes_first(&late, &at("shims").join("pip"), &real));
        assert!(!comes_first(
            OsStr::new(""),
            &at("shims").join("pip"),
            &real
        ));
    }

    #[test]
    fn each_tool_has_its_place() {
        let pinned = Profile::of("npm").unwrap();
        assert_eq!(
            (pinned.guard.as_str(), pinned.observe),
            ("tool_npm.slice", false)
        );
        let said = pinned.missing_guard();
        assert!(said.contains("--cgroup tool_npm.slice=/usr/share/egressd/profiles/npm.json"));
        assert_eq!(said.lines().count(), 1);
        let observed = Profile::of("aws").unwrap();
        assert_eq!((observed.guard.as_str(), observed.observe), (AGENTS, true));
        assert!(Profile::of("make").is_err());
        assert!(Profile::given("make", "/x.slice/", false).is_ok());
        for name in ["", "../x", "a/b", "-x", ".x"] {
            assert!(Profile::given(name, "x.slice", false).is_err(), "{name}");
        }
    }

    #[test]
    fn every_pinned_tool_has_a_policy() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/profiles");
        for tool in PINNED {
            assert!(folder.join(format!("{tool}.json")).is_file(), "{tool}");
        }
    }
}
