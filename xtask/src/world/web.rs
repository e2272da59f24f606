//! The web of the small internet: one nginx with TLS and HTTP/2 for all names, whose files hold a Git
//! repository, a Python index (PEP 503), an npm registry and a sparse registry of crates.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{
    namespace::Namespace,
    tls::{Faulty, Tls},
};
use crate::program;

/// The size of `/big`, in octets. The file is sparse.
pub const BIG: u64 = 256 << 20;
/// `/slow` sends this many octets in a second.
pub const SLOW_RATE: u64 = 64 << 10;

/// Lays out the files and starts nginx; it listens when this returns.
pub(super) fn start(internet: &Namespace, home: &Path, tls: &Tls) -> Result<()> {
    let root = home.join("web");
    fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    fs::File::create(root.join("big"))?
        .set_len(BIG)
        .context("making /big")?;
    fs::File::create(root.join("slow"))?
        .set_len(BIG)
        .context("making /slow")?;
    git_repository(home, &root)?;
    python_index(&root)?;
    npm_registry(home, &root)?;
    crate_registry(home, &root)?;
    let conf = home.join("nginx.conf");
    fs::write(&conf, configuration(home, &root, tls)).context("writing nginx.conf")?;
    program::run(
        internet
            .command("nginx")
            .arg("-e")
            .arg(home.join("nginx.log"))
            .arg("-c")
            .arg(&conf),
    )
    .map(drop)
}

fn configuration(home: &Path, root: &Path, tls: &Tls) -> String {
    format!(
        r#"user root;
worker_processes 2;
pid {home}/nginx.pid;
error_log {home}/nginx.log notice;
events {{ worker_connections 4096; }}
http {{
  access_log {home}/access.log;
  client_body_temp_path {home}/nginx-body;
  proxy_temp_path {home}/nginx-proxy;
  fastcgi_temp_path {home}/nginx-fastcgi;
  uwsgi_temp_path {home}/nginx-uwsgi;
  scgi_temp_path {home}/nginx-scgi;
  types {{ text/html html; application/json json; }}
  default_type application/octet-stream;
  sendfile on;
  server {{
    listen 80 backlog=4096;
    listen [::]:80 backlog=4096;
    listen 8080;
    listen [::]:8080;
    listen 443 ssl http2 backlog=4096;
    listen [::]:443 ssl http2 backlog=4096;
    listen 8443 ssl http2;
    listen [::]:8443 ssl http2;
    server_name _;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    root {root};
    location = / {{ default_type text/plain; return 200 "hello from $host\n"; }}
    location = /moved {{ return 302 http://web.denied.test/; }}
    location = /slow {{ limit_rate {SLOW_RATE}; }}
    location /simple/ {{ index index.html; }}
    location /npm/ {{ default_type application/json; index index.json; }}
    location /npm/files/ {{ default_type application/octet-stream; }}
  }}
{faulty}}}
"#,
        home = home.display(),
        root = root.display(),
        certificate = tls.certificate.display(),
        key = tls.key.display(),
        faulty = tls.faulty.iter().map(faulty).collect::<String>(),
    )
}

fn faulty(one: &Faulty) -> String {
    format!(
        r#"  server {{
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    server_name {host};
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{ default_type text/plain; return 200 "hello from $host\n"; }}
  }}
"#,
        host = one.host,
        certificate = one.certificate.display(),
        key = one.key.display(),
    )
}

/// `project.git`, served as plain files over HTTP and by git-shell over SSH.
fn git_repository(home: &Path, root: &Path) -> Result<()> {
    let (work, bare) = (home.join("project"), root.join("git/project.git"));
    let git = || {
        let mut command = Command::new("git");
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args([
                "-c",
                "user.name=A Tester",
                "-c",
                "user.email=tester@allowed.test",
            ])
            .args([
                "-c",
                "init.defaultBranch=main",
                "-c",
                "commit.gpgsign=false",
            ]);
        command
    };
    program::run(git().args(["init", "--quiet"]).arg(&work))?;
    fs::write(work.join("README"), "a project\n").context("writing the project's README")?;
    fs::write(work.join("Cargo.toml"), PROJECT).context("writing the project's manifest")?;
    fs::write(work.join("main.rs"), MAIN).context("writing the project's program")?;
    program::run(git().arg("-C").arg(&work).args(["add", "."]))?;
    program::run(
        git()
            .arg("-C")
            .arg(&work)
            .args(["commit", "--quiet", "--message", "first"]),
    )?;
    program::run(
        git()
            .args(["clone", "--quiet", "--bare"])
            .arg(&work)
            .arg(&bare),
    )?;
    program::run(git().arg("-C").arg(&bare).arg("update-server-info")).map(drop)
}

/// The project is a program in Rust as well.
const PROJECT: &str = r#"[package]
name = "project"
version = "1.0.0"
edition = "2021"

[[bin]]
name = "project"
path = "main.rs"

[dependencies]
tinycrate = "1"

[workspace]
"#;
const MAIN: &str = "fn main() { println!(\"a {} project\", tinycrate::WORD) }\n";

/// One package, `tinypkg` 1.0, as a wheel.
fn python_index(root: &Path) -> Result<()> {
    let directory = root.join("simple/tinypkg");
    fs::create_dir_all(&directory).context("making the Python index")?;
    let wheel = "tinypkg-1.0-py3-none-any.whl";
    program::run(
        Command::new("/usr/bin/python3")
            .args(["-c", WHEEL])
            .arg(directory.join(wheel)),
    )?;
    fs::write(
        root.join("simple/index.html"),
        "<a href=\"tinypkg/\">tinypkg</a>\n",
    )?;
    fs::write(
        directory.join("index.html"),
        format!("<a href=\"{wheel}\">{wheel}</a>\n"),
    )?;
    Ok(())
}

/// A wheel is a zip file with its own list of contents (PEP 427).
const WHEEL: &str = r#"
import sys, zipfile
info = "tinypkg-1.0.dist-info/"
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("tinypkg.py", "word = 'tiny'\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tinypkg\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: world\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "tinypkg.py,,\n" + "".join(info + f + ",,\n" for f in ("METADATA", "WHEEL", "RECORD")))
"#;

/// One package, `tinypkg` 1.0.0. The address of its tarball is always below `npm.allowed.test`.
fn npm_registry(home: &Path, root: &Path) -> Result<()> {
    let (package, files) = (home.join("npm/package"), root.join("npm/files"));
    fs::create_dir_all(&package).context("making the npm package")?;
    fs::create_dir_all(&files).context("making the npm registry")?;
    let manifest = json!({ "name": "tinypkg", "version": "1.0.0", "main": "index.js" });
    fs::write(package.join("package.json"), manifest.to_string())?;
    fs::write(package.join("index.js"), "module.exports = 'tiny';\n")?;
    let tarball = files.join("tinypkg-1.0.0.tgz");
    program::run(
        Command::new("tar")
            .arg("-czf")
            .arg(&tarball)
            .arg("-C")
            .arg(home.join("npm"))
            .arg("package"),
    )?;
    let mut version = manifest;
    if let Some(fields) = version.as_object_mut() {
        let address = "https://npm.allowed.test/npm/files/tinypkg-1.0.0.tgz";
        fields.insert("dist".to_owned(), json!({ "tarball": address }));
    }
    let listing = json!({
        "name": "tinypkg",
        "dist-tags": { "latest": "1.0.0" },
        "versions": { "1.0.0": version },
    });
    fs::write(root.join("npm/tinypkg"), listing.to_string()).context("writing the npm registry")
}

/// One crate, `tinycrate` 1.0.0, in a sparse registry. Its file is always below
/// `crates.allowed.test`.
fn crate_registry(home: &Path, root: &Path) -> Result<()> {
    let (sources, crates) = (home.join("crates"), root.join("crates"));
    let package = sources.join("tinycrate-1.0.0");
    fs::create_dir_all(package.join("src")).context("making the crate")?;
    fs::create_dir_all(crates.join("ti/ny")).context("making the registry of crates")?;
    let manifest = "[package]\nname = \"tinycrate\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    fs::write(package.join("Cargo.toml"), manifest)?;
    fs::write(
        package.join("src/lib.rs"),
        "pub const WORD: &str = \"tiny\";\n",
    )?;
    let file = crates.join("tinycrate-1.0.0.crate");
    program::run(
        Command::new("tar")
            .arg("-czf")
            .arg(&file)
            .arg("-C")
            .arg(&sources)
            .arg("tinycrate-1.0.0"),
    )?;
    let sum = program::run(Command::new("sha256sum").arg(&file))?;
    let line = json!({
        "name": "tinycrate",
        "vers": "1.0.0",
        "deps": [],
        "cksum": sum.split_whitespace().next(),
        "features": {},
        "yanked": false,
    });
    fs::write(crates.join("ti/ny/tinycrate"), format!("{line}\n"))?;
    let download = "https://crates.allowed.test/crates/{crate}-{version}.crate";
    fs::write(
        crates.join("config.json"),
        json!({ "dl": download }).to_string(),
    )
    .context("writing the registry of crates")
}
