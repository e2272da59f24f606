//! Files that are gone, here and elsewhere.

use crate::Confidence::High;
use crate::Severity;
use crate::destructive::Detector;
use crate::destructive::words::name;

/// *What it does*: finds `rm` with `-r` or `-f`, in any spelling. *Why it matters*: what it takes
/// does not come back. *Known gaps*: files that a script removes. *Example*: `rm -rf /srv`.
pub(super) const RECURSIVE_DELETION: Detector = Detector {
    id: "recursive-deletion",
    positive: &[
        "rm -rf build",
        "rm -r -f /",
        "r''m -fR ~",
        "sudo rm --recursive x",
        "xargs rm -rf < list",
        "eval 'rm -rf /srv'",
        "X=rm; $X -rf a",
        "busybox rm -rf /",
        "rm x -rf",
        "rm -f x",
    ],
    negative: &[
        "rm file",
        "rm  file",
        "rm -i file",
        "rm -- -rf",
        "echo 'rm -rf /'",
        "git rm -r x",
        "grep 'rm -rf' README.md",
        "rmdir a",
    ],
    judge: |facts| {
        facts.worst(|call| {
            if !call.is(&["rm", "grm"]) {
                return None;
            }
            let recursive = call.has("rR", &["recursive"]);
            let forced = call.has("f", &["force"]);
            if !recursive {
                return forced.then_some((Severity::Medium, High));
            }
            let severity = if call.has("", &["no-preserve-root"]) || call.operands().any(is_broad) {
                Severity::Critical
            } else if call.operands().all(is_made_again) {
                Severity::Medium
            } else {
                Severity::High
            };
            Some((severity, High))
        })
    },
};

/// *What it does*: finds deletions of a pattern or of files that nobody can tell beforehand.
/// *Why it matters*: the shell decides what it takes. *Known gaps*: a list that is read from a
/// file looks like a pattern. *Example*: `rm *`.
pub(super) const WILDCARD_DELETION: Detector = Detector {
    id: "wildcard-deletion",
    positive: &["rm *", "rm -f /var/lib/*", "unlink $F", "shred a?b"],
    negative: &["rm a b", "ls *", "rm"],
    judge: |facts| {
        facts.worst(|call| {
            if !call.is(&["rm", "grm", "unlink", "shred", "srm", "rmdir"]) {
                return None;
            }
            let pattern = call.operands().find(|it| it.contains(['*', '?', '[']))?;
            let bare = matches!(pattern, "*" | "./*" | "/*" | "~/*" | ".*" | "*/*");
            Some(if bare {
                (Severity::High, High)
            } else {
                (Severity::Medium, High)
            })
        })
    },
};

/// *What it does*: finds `find` and its like with an action that removes. *Why it matters*: it
/// takes whole trees by a test that is easily wrong. *Known gaps*: actions of scripts. *Example*:
/// `find . -name '*.log' -delete`.
pub(super) const FIND_DELETION: Detector = Detector {
    id: "find-deletion",
    positive: &[
        "find . -delete",
        "find / -name x -exec rm {} +",
        "find . -execdir /bin/rm -f {} ';'",
        "fd -e log -x rm",
        "find . -exec sh -c 'rm \"$1\"' _ {} ';'",
        "rsync -a --delete a/ b/",
        "find . -name x | xargs rm",
    ],
    negative: &[
        "find . -name delete",
        "find . -exec grep rm {} +",
        "fd rm",
        "rsync -a a/ b/",
    ],
    judge: |facts| {
        let feeds = facts
            .calls
            .iter()
            .any(|it| it.is(&["find", "fd", "fdfind"]));
        facts.worst(|call| match call.program {
            "find" | "gfind" => {
                let removes = call.says("-delete")
                    || call.args.windows(2).any(|pair| match pair {
                        [action, program] => {
                            matches!(action.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir")
                                && is_remover(program)
                        }
                        _ => false,
                    })
                    || (call.args.iter().any(|arg| arg.starts_with("-exec"))
                        && call.args.iter().any(|arg| {
                            arg.contains(' ') && arg.split_whitespace().any(is_remover)
                        }));
                removes.then_some((Severity::High, High))
            }
            "fd" | "fdfind" => {
                let at = call.args.iter().position(|arg| {
                    matches!(arg.as_str(), "-x" | "-X" | "--exec" | "--exec-batch")
                })?;
                let program = call.args.get(at + 1)?;
                is_remover(program).then_some((Severity::High, High))
            }
            "rsync" => call
                .options()
                .any(|it| it.starts_with("--delete") || it == "--del")
                .then_some((Severity::Medium, High)),
            "xargs" | "parallel" if feeds => {
                let (program, _) = call.wrapped()?;
                is_remover(program).then_some((Severity::High, High))
            }
            _ => None,
        })
    },
};

/// *What it does*: finds programs that overwrite files so that nothing can be restored. *Why it
/// matters*: a copy in the trash does not help. *Known gaps*: a plain redirection that empties a
/// file. *Example*: `shred -u key`.
pub(super) const OVERWRITING: Detector = Detector {
    id: "overwriting",
    positive: &[
        "shred -u key",
        "truncate -s 0 data.db",
        "mv data /dev/null",
        "cp /dev/null a",
    ],
    negative: &[
        "truncate -s 10M image",
        "cp a b",
        "mv a b",
        "cat a > /dev/null",
    ],
    judge: |facts| {
        facts.worst(|call| {
            let emptied = call.values("s", &["size"]).contains(&"0");
            match call.program {
                "shred" | "srm" | "wipe" => Some((Severity::High, High)),
                "truncate" => emptied.then_some((Severity::Medium, High)),
                "mv" => {
                    (call.operands().last() == Some("/dev/null")).then_some((Severity::High, High))
                }
                "cp" => (call.verb() == "/dev/null").then_some((Severity::Medium, High)),
                _ => None,
            }
        })
    },
};

/// *What it does*: finds deletions in clusters, clouds, containers and forges. *Why it matters*:
/// they reach further than this machine. *Known gaps*: other providers, and calls of their APIs.
/// *Example*: `terraform destroy`.
pub(super) const REMOTE_DELETION: Detector = Detector {
    id: "remote-deletion",
    positive: &[
        "terraform destroy -auto-approve",
        "kubectl delete ns prod",
        "aws s3 rm s3://b --recursive",
        "aws ec2 terminate-instances --instance-ids i-1",
        "gh repo delete a/b --yes",
        "docker system prune -af",
        "gcloud sql instances delete x",
        "docker volume rm x",
        "helm uninstall x",
        "npm unpublish x --force",
    ],
    negative: &[
        "terraform plan",
        "kubectl get pods",
        "aws s3 ls",
        "docker ps",
        "gh repo view",
        "docker rm x",
        "terraform plan -destroy",
    ],
    judge: |facts| {
        facts.worst(|call| {
            let high = Some((Severity::High, High));
            let medium = Some((Severity::Medium, High));
            match call.program {
                "terraform" | "tofu" | "pulumi" | "cdk" | "terragrunt"
                    if call.verb() == "destroy"
                        || (call.verb() == "apply" && call.says("-destroy")) =>
                {
                    high
                }
                "kubectl" | "oc" if call.operands().any(|it| it == "delete" || it == "drain") => {
                    high
                }
                "helm" if matches!(call.verb(), "uninstall" | "delete") => high,
                "aws"
                    if call.operands().any(|it| {
                        it == "rb"
                            || it.starts_with("delete-")
                            || it.starts_with("terminate-")
                            || it.starts_with("purge-")
                            || it == "rm"
                    }) =>
                {
                    high
                }
                "gcloud" | "az" | "gsutil" | "doctl" | "flyctl" | "heroku" | "rclone" | "s3cmd"
                    if call.operands().any(|it| {
                        matches!(
                            it,
                            "delete"
                                | "rm"
                                | "destroy"
                                | "purge"
                                | "del"
                                | "rb"
                                | "apps:destroy"
                                | "deletefile"
                        )
                    }) =>
                {
                    high
                }
                "gh" | "glab" | "hub"
                    if call.operands().any(|it| matches!(it, "delete" | "archive"))
                        || (call.verb() == "api"
                            && call
                                .args
                                .iter()
                                .any(|it| it == "DELETE" || it == "-XDELETE")) =>
                {
                    high
                }
                "docker" | "podman" | "nerdctl" | "docker-compose" => {
                    let words: Vec<&str> = call.operands().take(3).collect();
                    let prunes = words.contains(&"prune")
                        || (words.contains(&"volume") && words.contains(&"rm"))
                        || ((words.contains(&"down")
                            || call.program == "docker-compose" && words.contains(&"rm"))
                            && call.has("v", &["volumes"]));
                    if prunes { medium } else { None }
                }
                "npm" | "pnpm" if call.verb() == "unpublish" => high,
                "cargo" if call.verb() == "yank" => medium,
                _ => None,
            }
        })
    },
};

pub(super) fn is_unknown(path: &str) -> bool {
    path.contains('*')
}

/// Roots, homes, the whole directory, and what may be anything.
pub(super) fn is_broad(path: &str) -> bool {
    let path = path.trim_end_matches(['*', '/']);
    let path = path.strip_prefix("./").unwrap_or(path);
    matches!(path, "" | "." | ".." | "~" | "~root" | "$HOME" | ".git")
        || path.starts_with("../..")
        || matches!(
            path,
            "/bin"
                | "/boot"
                | "/dev"
                | "/etc"
                | "/home"
                | "/lib"
                | "/lib64"
                | "/media"
                | "/mnt"
                | "/opt"
                | "/proc"
                | "/root"
                | "/run"
                | "/sbin"
                | "/srv"
                | "/sys"
                | "/usr"
                | "/var"
                | "/var/lib"
                | "/var/log"
                | "/usr/local"
                | "/usr/lib"
                | "/usr/bin"
                | "/Users"
        )
        || path
            .strip_prefix("/home/")
            .or_else(|| path.strip_prefix("/Users/"))
            .is_some_and(|user| !user.contains('/'))
        || path.starts_with("/etc/")
        || path.starts_with("/boot/")
}

/// Trees that a build makes again.
fn is_made_again(path: &str) -> bool {
    let is_temporary = path.starts_with("/tmp/") && !path.contains("..");
    is_temporary
        || !path.contains('*')
            && matches!(
                path.trim_end_matches('/')
                    .rsplit('/')
                    .next()
                    .unwrap_or_default(),
                "node_modules"
                    | "target"
                    | "build"
                    | "dist"
                    | "__pycache__"
                    | ".pytest_cache"
                    | ".mypy_cache"
                    | ".ruff_cache"
                    | "coverage"
                    | ".next"
                    | ".cache"
                    | ".tox"
                    | "venv"
                    | ".venv"
                    | "out"
                    | "tmp"
            )
}

fn is_remover(word: &str) -> bool {
    matches!(name(word), "rm" | "unlink" | "shred" | "rmdir" | "srm")
}
