//! What programs do with their words: one file for each family.

pub(super) mod code;
mod containers;
mod dns;
mod files;
mod forge;
pub(crate) mod git;
mod packages;
mod remote;
mod runners;
mod web;

use super::options::Args;
use super::place;
use super::run::{Done, Input, Shell};
use super::word::is_known;

/// Runs a program that is no builtin and no wrapper.
pub(super) fn run(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: Input) -> Done {
    runners::look(shell, name, args, &input);
    if files::is_text_tool(name) {
        return files::text_tool(shell, name, args, input);
    }
    match name {
        "curl" | "curlie" => web::curl(shell, args),
        "wget" | "wget2" => web::wget(shell, args),
        "aria2c" | "axel" | "lynx" | "w3m" | "links" | "elinks" | "lftp" | "tftp" | "ncftp"
        | "ncftpget" | "ncftpput" | "websocat" | "wscat" | "grpcurl" | "ab" | "wrk" | "hey"
        | "siege" | "yt-dlp" | "youtube-dl" | "open" | "xdg-open" | "sensible-browser"
        | "firefox" | "chromium" | "google-chrome" | "fetch" | "httrack" | "lwp-request"
        | "GET" | "POST" | "HEAD" => web::browser(shell, name, args),
        "http" | "https" | "xh" | "xhs" => web::httpie(shell, name, args),
        "ssh" | "autossh" | "mosh" | "slogin" => remote::ssh(shell, name, args, input),
        "scp" | "sftp" | "rsync" | "sshfs" | "rclone" => remote::copy(shell, name, args),
        "ssh-keyscan" | "ssh-copy-id" | "nc" | "ncat" | "netcat" | "nc.openbsd"
        | "nc.traditional" | "telnet" | "ftp" | "socat" | "socat1" | "openssl" | "gnutls-cli"
        | "psql" | "mysql" | "mariadb" | "redis-cli" | "mongosh" | "mongo" | "smbclient"
        | "ldapsearch" | "sendmail" | "swaks" | "mail" | "mosquitto_pub" | "mosquitto_sub" => {
            remote::connect(shell, name, args)
        }
        "dig" | "nslookup" | "host" | "drill" | "getent" | "resolvectl" | "systemd-resolve"
        | "ping" | "ping6" | "traceroute" | "tracepath" | "mtr" | "fping" | "nmap" | "masscan"
        | "whois" | "hping3" | "delv" | "kdig" | "dog" | "doggo" | "q" | "arping" | "nping"
        | "iperf3" | "ntpdate" | "rdate" | "snmpwalk" | "snmpget" | "dnslookup" | "adig"
        | "ahost" => dns::run(shell, name, args),
        "git" => git::run(shell, args),
        "gh" | "hub" | "glab" => forge::run(shell, name, args),
        "pip" | "pip3" | "pipx" | "uv" | "uvx" | "poetry" | "pdm" | "conda" | "mamba" | "twine"
        | "npm" | "npx" | "pnpm" | "pnpx" | "yarn" | "bun" | "bunx" | "deno" | "cargo" | "go"
        | "gem" | "bundle" | "bundler" | "composer" | "brew" | "apt" | "apt-get" | "apt-key"
        | "add-apt-repository" | "dnf" | "yum" | "apk" | "pacman" | "rpm" | "dpkg" | "rustup"
        | "nix" | "nix-env" | "nix-shell" | "mvn" | "gradle" | "dotnet" | "cpan" | "cpanm"
        | "luarocks" | "mix" | "easy_install" | "snap" | "flatpak" | "opam" | "cabal" | "stack"
        | "helm" | "nuget" | "pipenv" | "mise" | "asdf" | "rye" | "hatch" | "tox" => {
            packages::run(shell, name, args, input)
        }
        "docker" | "podman" | "nerdctl" | "buildah" | "skopeo" | "crane" | "kubectl" | "oc"
        | "aws" | "gcloud" | "gsutil" | "az" | "terraform" | "tofu" | "ansible" | "vault"
        | "s3cmd" | "mc" | "docker-compose" | "kustomize" | "flyctl" | "heroku" | "vercel"
        | "netlify" | "wrangler" | "ngrok" | "cloudflared" | "tailscale" => {
            containers::run(shell, name, args, input)
        }
        _ if code::is_interpreter(name) => code::run(shell, name, args, &input),
        _ => files::other(shell, name, args),
    }
}

/// URLs among words of a program of which nothing more is known.
pub(super) fn urls(shell: &mut Shell, program: &str, args: Args<'_, '_>) {
    for arg in args {
        url(shell, program, arg, false);
    }
}

/// The places of a word that is a URL, or of an option's value that is one.
fn url(shell: &mut Shell, program: &str, word: &str, writes: bool) -> bool {
    let value = if word.starts_with('-') {
        word.split_once('=').map_or(word, |(_, value)| value)
    } else {
        word
    };
    let mut places = place::of_url(value);
    if places.is_empty()
        && let Some((_, value)) = value.split_once('=')
    {
        places = place::of_url(value);
    }
    let found = !places.is_empty();
    for place in places {
        shell.notes.contact(program, place, writes);
    }
    found
}

/// A word with a host, for programs that need no scheme.
fn host(shell: &mut Shell, program: &str, word: &str, writes: bool) {
    for place in place::of_web_word(word) {
        shell.notes.contact(program, place, writes);
    }
}

/// A file that a program reads.
fn file(shell: &mut Shell, path: &str) {
    if !path.is_empty() && path.len() <= 4096 && !path.contains('\n') {
        let path = shell.scope.place(path);
        if is_environment(&path) {
            shell.notes.environment();
        }
        shell.notes.read(&path);
    }
}

fn is_environment(path: &str) -> bool {
    path.starts_with("/proc/") && path.ends_with("/environ")
}

/// A file that a program downloads.
fn download(shell: &mut Shell, path: &str) {
    let path = shell.scope.place(path);
    shell.notes.write(&path);
    if is_known(&path) {
        shell.scope.downloads.insert(path);
    }
}
