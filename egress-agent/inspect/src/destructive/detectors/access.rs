//! Who may do what: permissions, owners, other users.

use super::deletion::is_broad;
use crate::Confidence::High;
use crate::Severity;
use crate::destructive::Detector;

/// *What it does*: finds modes that let everybody write, and programs that run as their owner.
/// *Why it matters*: other users, and what they run, get in. *Known gaps*: ACLs of file systems
/// other than POSIX. *Example*: `chmod -R 777 /srv`.
pub(super) const OPEN_PERMISSIONS: Detector = Detector {
    id: "open-permissions",
    positive: &[
        "chmod 777 /var/www",
        "chmod -R 0777 .",
        "chmod a+rwx x",
        "chmod o+w x",
        "chmod u+s /bin/bash",
        "chmod 4755 x",
        "chmod 666 x",
        "chmod ugo=rwx x",
        "chmod +w,o+w x",
    ],
    negative: &[
        "chmod +x run.sh",
        "chmod 755 x",
        "chmod 600 key",
        "chmod -R u+w .",
        "chmod o-w x",
    ],
    judge: |facts| {
        facts.worst(|call| {
            if call.program != "chmod" {
                return None;
            }
            let mode = call
                .args
                .iter()
                .map(String::as_str)
                .find(|arg| !arg.starts_with('-') || arg.starts_with("-w"))?;
            let sets_id = mode.len() == 4 && mode.starts_with(['2', '4', '6', '7'])
                || mode.split(',').any(|part| {
                    part.split_once(['+', '='])
                        .is_some_and(|(_, it)| it.contains('s'))
                });
            let is_number = mode.bytes().all(|it| it.is_ascii_digit());
            if sets_id && (is_number || mode.contains('s')) {
                return Some((Severity::High, High));
            }
            let everybody = if mode.bytes().all(|it| it.is_ascii_digit()) {
                mode.bytes()
                    .last()
                    .is_some_and(|it| matches!(it, b'2' | b'3' | b'6' | b'7'))
            } else {
                mode.split(',').any(|part| {
                    part.split_once(['+', '='])
                        .is_some_and(|(who, what)| what.contains('w') && who.contains(['o', 'a']))
                })
            };
            if !everybody {
                return None;
            }
            let recursive = call.has("R", &["recursive"]);
            Some(if recursive || call.operands().skip(1).any(is_broad) {
                (Severity::High, High)
            } else {
                (Severity::Medium, High)
            })
        })
    },
};

/// *What it does*: finds changes of the owner of whole trees. *Why it matters*: nobody remembers
/// whose each file was. *Known gaps*: loops over files. *Example*: `chown -R nobody /etc`.
pub(super) const RECURSIVE_OWNERSHIP: Detector = Detector {
    id: "recursive-ownership",
    positive: &[
        "chown -R root .",
        "chgrp --recursive x /srv",
        "sudo chown -hR a:b /",
    ],
    negative: &["chown a file", "ls -R"],
    judge: |facts| {
        facts.worst(|call| {
            let recursive = call.is(&["chown", "chgrp"]) && call.has("R", &["recursive"]);
            recursive.then(|| {
                if call.operands().skip(1).any(is_broad) {
                    (Severity::High, High)
                } else {
                    (Severity::Medium, High)
                }
            })
        })
    },
};

/// *What it does*: finds deletions and changes of permission as another user. *Why it matters*:
/// no permission stands in the way any more. *Known gaps*: a shell that is already root's.
/// *Example*: `sudo rm x`.
pub(super) const PRIVILEGED: Detector = Detector {
    id: "privileged-change",
    positive: &[
        "sudo rm x",
        "sudo -u root chmod 600 a",
        "doas rm -r x",
        "sudo -E /bin/chown a b",
    ],
    negative: &["sudo ls", "rm x", "sudo apt-get update", "echo sudo rm x"],
    judge: |facts| {
        facts.worst(|call| {
            let (program, _) = call.is_wrapper.then(|| call.wrapped())??;
            matches!(
                program,
                "rm" | "chmod"
                    | "chown"
                    | "chgrp"
                    | "mv"
                    | "dd"
                    | "shred"
                    | "unlink"
                    | "tee"
                    | "truncate"
            )
            .then_some((Severity::High, High))
        })
    },
};
