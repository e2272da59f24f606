//! What a project is made with, told from the names of its files. Data only: a file chooses a name
//! among the maintained profiles, and nothing that stands in it opens a host.

/// One way to build things, and the profile with the hosts that it takes packages from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ecosystem {
    pub(super) profile: &'static str,
    pub(super) title: &'static str,
    /// Names of lock files and manifests; `*` stands for anything at the beginning.
    files: &'static [&'static str],
}

pub(super) const ALL: [Ecosystem; 9] = [
    Ecosystem {
        profile: "node",
        title: "Node.js",
        files: &[
            "package.json",
            "package-lock.json",
            "npm-shrinkwrap.json",
            "pnpm-lock.yaml",
            "yarn.lock",
            "bun.lock",
            "bun.lockb",
        ],
    },
    Ecosystem {
        profile: "python",
        title: "Python",
        files: &[
            "pyproject.toml",
            "requirements.txt",
            "uv.lock",
            "poetry.lock",
            "pdm.lock",
            "Pipfile",
            "Pipfile.lock",
            "setup.py",
            "setup.cfg",
        ],
    },
    Ecosystem {
        profile: "rust",
        title: "Rust",
        files: &["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"],
    },
    Ecosystem {
        profile: "go",
        title: "Go",
        files: &["go.mod", "go.sum", "go.work"],
    },
    Ecosystem {
        profile: "java",
        title: "Java",
        files: &[
            "pom.xml",
            "build.gradle",
            "build.gradle.kts",
            "settings.gradle",
            "settings.gradle.kts",
            "gradle.lockfile",
            "build.sbt",
        ],
    },
    Ecosystem {
        profile: "ruby",
        title: "Ruby",
        files: &["Gemfile", "Gemfile.lock", "*.gemspec"],
    },
    Ecosystem {
        profile: "dotnet",
        title: ".NET",
        files: &[
            "*.csproj",
            "*.fsproj",
            "*.sln",
            "*.slnx",
            "packages.lock.json",
            "global.json",
        ],
    },
    Ecosystem {
        profile: "docker-hub",
        title: "containers",
        files: &[
            "Dockerfile",
            "Containerfile",
            "compose.yaml",
            "compose.yml",
            "docker-compose.yaml",
            "docker-compose.yml",
        ],
    },
    Ecosystem {
        profile: "debian",
        title: "Debian packages",
        files: &["debian/control"],
    },
];

/// The ecosystem that a file shows; `path` is relative to the project.
pub(super) fn of_file(path: &str) -> Option<&'static Ecosystem> {
    ALL.iter().find(|ecosystem| {
        ecosystem.files.iter().any(|pattern| {
            let is_rooted = pattern.contains('/');
            let name = path.rsplit('/').next().unwrap_or(path);
            match pattern.strip_prefix('*') {
                Some(end) => name.len() > end.len() && name.ends_with(end),
                None if is_rooted => path == *pattern,
                None => name == *pattern,
            }
        })
    })
}

/// The profile for a host that repositories lie on.
pub(super) fn of_forge(host: &str) -> Option<&'static str> {
    match host {
        "github.com" | "ssh.github.com" | "gist.github.com" => Some("github"),
        "gitlab.com" | "altssh.gitlab.com" => Some("gitlab"),
        "bitbucket.org" | "altssh.bitbucket.org" => Some("bitbucket"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_show_an_ecosystem_by_their_whole_name() {
        let profile = |path| of_file(path).map(|found| found.profile);
        for (path, expected) in [
            ("package-lock.json", Some("node")),
            ("web/pnpm-lock.yaml", Some("node")),
            ("api/uv.lock", Some("python")),
            ("Cargo.lock", Some("rust")),
            ("go.mod", Some("go")),
            ("build.gradle.kts", Some("java")),
            ("x.gemspec", Some("ruby")),
            ("App/App.csproj", Some("dotnet")),
            ("Dockerfile", Some("docker-hub")),
            ("debian/control", Some("debian")),
            ("src/debian/control", None),
            (".gemspec", None),
            ("package.json.bak", None),
            ("my-package.json", None),
            ("README.md", None),
        ] {
            assert_eq!(profile(path), expected, "{path}");
        }
    }
}
