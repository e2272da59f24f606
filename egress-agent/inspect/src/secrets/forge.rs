//! Forges and trackers.

use super::{Detector, Edge, Search, TOKEN, check};
use crate::finding::Severity;

pub(super) const ALL: &[Detector] = &[GITHUB, GITHUB_APP, GITHUB_FINE, GITLAB, BITBUCKET, LINEAR];

/// *What it does*: finds personal, OAuth, user-to-server, server-to-server and refresh tokens; the
/// checksum (CRC32 in base 62) makes it certain. *Why it matters*: whoever holds it reads and
/// changes code, and through it whatever runs that code. *Known gaps*: tokens from before April
/// 2021 (40 hexadecimal digits). *Example*: `ghp_`, 30 letters and digits, and six of checksum.
const GITHUB: Detector = Detector {
    id: "github-token",
    what: "a GitHub token",
    keywords: &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
    search: Search::Pattern(r"gh[pousr]_[A-Za-z0-9]{36}"),
    edge: Edge::Any,
    check: Some(check::crc62),
    positive: &["ghp_<crc:30>", "token=gho_<crc:30>", "ghs_<crc:30>!"],
    negative: &["ghp_short", "ghp_<an:30>"],
    ..TOKEN
};

/// *What it does*: finds installation tokens in the form that carries a JSON web token. *Why it
/// matters*: whoever holds it reads and changes code, and through it whatever runs that code.
/// *Known gaps*: none known. *Example*: `ghs_`, the id of the app, `_` and a JSON web token.
const GITHUB_APP: Detector = Detector {
    id: "github-app-token",
    what: "a GitHub token",
    keywords: &["ghs_"],
    search: Search::Pattern(
        r"ghs_[0-9]{1,12}_eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    ),
    edge: Edge::Any,
    positive: &["ghs_<dig:6>_<jwt>"],
    negative: &["ghs_12_x"],
    ..TOKEN
};

/// *What it does*: finds fine-grained personal tokens. *Why it matters*: whoever holds it reads
/// and changes code, and through it whatever runs that code. *Known gaps*: none known. *Example*:
/// `github_pat_`, 22 signs, `_`, 59 signs.
const GITHUB_FINE: Detector = Detector {
    id: "github-fine-grained-token",
    what: "a GitHub token",
    keywords: &["github_pat_"],
    search: Search::Pattern(r"github_pat_[A-Za-z0-9_]{60,}"),
    edge: Edge::Any,
    positive: &["github_pat_<an:22>_<an:59>"],
    negative: &["github_pat_name"],
    ..TOKEN
};

/// *What it does*: finds personal, deploy, runner, CI job, trigger, feed, agent, mail and OAuth
/// tokens. *Why it matters*: whoever holds it reads and changes code, and through it whatever runs
/// that code. *Known gaps*: prefixes that an administrator chose. *Example*: `glpat-` and 20
/// letters, digits, `-` and `_`.
const GITLAB: Detector = Detector {
    id: "gitlab-token",
    what: "a GitLab token",
    keywords: &[
        "glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-",
        "gloas-", "glsoat-", "glffct-",
    ],
    search: Search::Pattern(
        r"gl(?:pat|dt|rtr?|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_.-]{20,}",
    ),
    edge: Edge::Any,
    positive: &["glpat-<url:20>", "glrt-<url:20>", "glptt-<hex:40>"],
    negative: &["glpat-x", "glft-format"],
    ..TOKEN
};

/// *What it does*: finds app passwords, repository tokens and API tokens of Atlassian. *Why it
/// matters*: whoever holds it reads and changes code, and through it whatever runs that code.
/// *Known gaps*: none known. *Example*: `ATBB` and 32 letters and digits.
const BITBUCKET: Detector = Detector {
    id: "bitbucket-token",
    what: "an Atlassian token",
    keywords: &["ATBB", "ATCTT3xFfG", "ATATT3xFfG"],
    search: Search::Pattern(r"(?:ATBB[A-Za-z0-9]{32}|AT[CA]TT3xFfG[A-Za-z0-9_=-]{60,})"),
    edge: Edge::Any,
    positive: &[
        "ATBB<an:24><HEX:8>",
        "ATATT3xFfG<url:171>=<HEX:8>",
        "ATCTT3xFfG<url:171>=<HEX:8>",
    ],
    negative: &["ATBBx"],
    ..TOKEN
};

/// *What it does*: finds personal keys and OAuth tokens. *Why it matters*: whoever holds it reads
/// and changes the plans of a team. *Known gaps*: none known. *Example*: `lin_api_` and 40 letters
/// and digits.
const LINEAR: Detector = Detector {
    id: "linear-key",
    what: "a Linear key",
    severity: Severity::High,
    keywords: &["lin_api_", "lin_oauth_"],
    search: Search::Pattern(r"lin_(?:api|oauth)_[A-Za-z0-9]{40,64}"),
    edge: Edge::Any,
    positive: &["lin_api_<an:40>", "lin_oauth_<hex:64>"],
    negative: &["lin_api_url"],
    ..TOKEN
};
