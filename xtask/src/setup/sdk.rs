//! The official SDKs of the Model Context Protocol, which the tests of the guard talk with. They
//! stand below `target/`, each in the version that is named here, and touch nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::workspace::{root, show};

const NODE: &str = "@modelcontextprotocol/sdk@1.32.2";
const PYTHON: &str = "mcp==2.3.0";

/// One SDK: its name and version, and how it gets into a directory.
struct Sdk {
    what: &'static str,
    directory: &'static str,
    command: fn(&Path) -> Command,
}

const SDKS: [Sdk; 2] = [
    Sdk {
        what: NODE,
        directory: "node",
        command: |directory| {
            let mut command = Command::new("npm");
            command
                .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
                .arg("--prefix")
                .arg(directory)
                .arg(NODE);
            command
        },
    },
    Sdk {
        what: PYTHON,
        directory: "python",
        command: |directory| {
            let mut command = Command::new("/usr/bin/python3");
            command
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--root-user-action=ignore",
                ])
                .args(["--disable-pip-version-check", "--upgrade", "--target"])
                .arg(directory)
                .arg(PYTHON);
            command
        },
    },
];

/// The names of what is not there.
pub(super) fn missing() -> Vec<&'static str> {
    let sdks = SDKS.iter().filter(|sdk| !sdk.is_there());
    sdks.map(|sdk| sdk.what).collect()
}

pub(super) fn install() -> Result<()> {
    for sdk in SDKS.iter().filter(|sdk| !sdk.is_there()) {
        println!("setup: installing {}", sdk.what);
        let home = sdk.home();
        fs::create_dir_all(&home).with_context(|| format!("making {}", home.display()))?;
        show((sdk.command)(&home).stdout(Stdio::null()))?;
        fs::write(sdk.mark(), sdk.what).context("noting the version of an SDK")?;
    }
    Ok(())
}

impl Sdk {
    fn home(&self) -> PathBuf {
        Path::new(root()).join("target/sdk").join(self.directory)
    }

    /// Written last: it says that all is there, and in which version.
    fn mark(&self) -> PathBuf {
        self.home().join(".version")
    }

    fn is_there(&self) -> bool {
        fs::read_to_string(self.mark()).is_ok_and(|version| version == self.what)
    }
}
