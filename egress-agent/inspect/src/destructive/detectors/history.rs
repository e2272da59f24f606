//! Work in git that is lost.

use crate::Confidence::High;
use crate::Severity;
use crate::destructive::Detector;

/// *What it does*: finds pushes that replace or remove what others have. *Why it matters*: the
/// history of the remote is gone for all. *Known gaps*: a forced refspec in the configuration.
/// *Example*: `git push --force`; with a lease it is less.
pub(super) const FORCE_PUSH: Detector = Detector {
    id: "force-push",
    positive: &[
        "git push --force",
        "git push -f origin main",
        "git -C x push origin +main",
        "git push -uf origin a",
        "git push --mirror",
        "git push origin --delete main",
        "git push origin :main",
        "git push --force-with-lease",
    ],
    negative: &[
        "git push",
        "git push -u origin main",
        "git pull --force",
        "git push --follow-tags",
    ],
    judge: |facts| {
        facts.worst(|call| {
            let (verb, push) = call.git()?;
            if verb != "push" || push.has("n", &["dry-run"]) {
                return None;
            }
            if push.options().any(|it| {
                it == "--force" || it == "--mirror" || (!it.starts_with("--") && it.contains('f'))
            }) || push.operands().any(|it| it.starts_with('+'))
            {
                return Some((Severity::High, High));
            }
            if push.has("d", &["delete"]) || push.operands().any(|it| it.starts_with(':')) {
                return Some((Severity::Medium, High));
            }
            push.options()
                .any(|it| it.starts_with("--force-with-lease"))
                .then_some((Severity::Low, High))
        })
    },
};

/// *What it does*: finds git commands that drop work or history of this repository. *Why it
/// matters*: what was never committed cannot be found again. *Known gaps*: aliases of git.
/// *Example*: `git reset --hard`, `git clean -fd`.
pub(super) const HISTORY_LOSS: Detector = Detector {
    id: "git-loss",
    positive: &[
        "git reset --hard",
        "git reset --hard HEAD~3",
        "git clean -fdx",
        "git clean --force",
        "git checkout -- .",
        "git restore .",
        "git branch -D topic",
        "git stash clear",
        "git stash drop",
        "git reflog expire --expire=now --all",
        "git filter-branch --all",
        "git gc --prune=now",
        "git update-ref -d refs/heads/a",
    ],
    negative: &[
        "git reset HEAD file",
        "git reset --soft HEAD~1",
        "git clean -n",
        "git clean -nfd",
        "git checkout main",
        "git branch -d topic",
        "git stash",
        "git gc",
        "git log --hard",
    ],
    judge: |facts| {
        facts.worst(|call| {
            let (verb, git) = call.git()?;
            let high = Some((Severity::High, High));
            let medium = Some((Severity::Medium, High));
            match verb {
                "reset" if git.has("", &["hard"]) => high,
                "clean" if git.has("f", &["force"]) && !git.has("n", &["dry-run"]) => high,
                "checkout" if git.says("--") && git.says(".") => medium,
                "checkout" if git.has("f", &["force"]) => medium,
                "restore" if git.operands().any(|it| matches!(it, "." | ":/" | "*")) => medium,
                "branch"
                    if git.has("D", &[])
                        || (git.has("d", &["delete"]) && git.has("f", &["force"])) =>
                {
                    medium
                }
                "stash" if matches!(git.verb(), "clear" | "drop") => medium,
                "reflog" if matches!(git.verb(), "expire" | "delete") => high,
                "filter-branch" | "filter-repo" => high,
                "gc" if git.options().any(|it| it.starts_with("--prune=now")) => medium,
                "update-ref" if git.has("d", &[]) => medium,
                "worktree" if git.verb() == "remove" && git.has("f", &["force"]) => medium,
                _ => None,
            }
        })
    },
};
