//! Registries of packages and images.

use super::{Detector, Edge, Search, TOKEN, check};

pub(super) const ALL: &[Detector] = &[NPM, PYPI, CARGO, RUBYGEMS, NUGET, DOCKER];

/// *What it does*: finds granular and classic tokens; the checksum makes it certain. *Why it
/// matters*: whoever holds it publishes in its owner's name: what others then install and run.
/// *Known gaps*: tokens from before September 2021 (UUIDs). *Example*: `npm_`, 30 letters and
/// digits, and six of checksum.
const NPM: Detector = Detector {
    id: "npm-token",
    what: "an npm token",
    keywords: &["npm_"],
    search: Search::Pattern(r"npm_[A-Za-z0-9]{36}\b"),
    edge: Edge::Any,
    check: Some(check::crc62),
    positive: &[
        "npm_<crc:30>",
        "//registry.npmjs.org/:_authToken=npm_<crc:30>",
    ],
    negative: &["npm_config_registry"],
    ..TOKEN
};

/// *What it does*: finds tokens of `PyPI` and of its test instance: macaroons that name the place.
/// *Why it matters*: whoever holds it publishes in its owner's name: what others then install and
/// run. *Known gaps*: none known. *Example*: `pypi-AgEIcHlwaS5vcmc` and at least 40 letters,
/// digits, `-` and `_`.
const PYPI: Detector = Detector {
    id: "pypi-token",
    what: "a PyPI token",
    keywords: &["pypi-AgE"],
    search: Search::Pattern(r"pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw)[A-Za-z0-9_-]{40,}"),
    edge: Edge::Any,
    positive: &[
        "pypi-AgEIcHlwaS5vcmc<url:120>",
        "pypi-AgENdGVzdC5weXBpLm9yZw<url:120>",
    ],
    negative: &["pypi-AgEx"],
    ..TOKEN
};

/// *What it does*: finds tokens of crates.io. *Why it matters*: whoever holds it publishes in its
/// owner's name: what others then install and run. *Known gaps*: older tokens without a prefix.
/// *Example*: `cio` and 32 letters and digits.
const CARGO: Detector = Detector {
    id: "cargo-token",
    what: "a crates.io token",
    keywords: &["cio"],
    search: Search::Pattern(r"cio[A-Za-z0-9]{32}\b"),
    check: Some(check::random),
    positive: &["cio<an:32>", "token = cio<an:32>"],
    negative: &["precious", "cio<let:32>"],
    ..TOKEN
};

/// *What it does*: finds API keys. *Why it matters*: whoever holds it publishes in its owner's
/// name: what others then install and run. *Known gaps*: none known. *Example*: `rubygems_` and 48
/// hexadecimal digits.
const RUBYGEMS: Detector = Detector {
    id: "rubygems-key",
    what: "a RubyGems key",
    keywords: &["rubygems_"],
    search: Search::Pattern(r"rubygems_[a-f0-9]{48}"),
    edge: Edge::Any,
    positive: &["rubygems_<hex:48>"],
    negative: &["rubygems_version"],
    ..TOKEN
};

/// *What it does*: finds API keys. *Why it matters*: whoever holds it publishes in its owner's
/// name: what others then install and run. *Known gaps*: none known. *Example*: `oy2` and 43
/// letters and digits.
const NUGET: Detector = Detector {
    id: "nuget-key",
    what: "a NuGet key",
    keywords: &["oy2"],
    search: Search::Pattern(r"oy2[a-z0-9]{43}\b"),
    check: Some(check::random),
    positive: &["oy2<low:43>"],
    negative: &["boy2men", "oy2<let:43>"],
    ..TOKEN
};

/// *What it does*: finds personal and organisation tokens of Docker Hub. *Why it matters*: whoever
/// holds it publishes in its owner's name: what others then install and run. *Known gaps*:
/// passwords. *Example*: `dckr_pat_` and 27 letters, digits, `-` and `_`.
const DOCKER: Detector = Detector {
    id: "docker-token",
    what: "a Docker Hub token",
    keywords: &["dckr_pat_", "dckr_oat_"],
    search: Search::Pattern(r"dckr_[po]at_[A-Za-z0-9_-]{27,32}"),
    edge: Edge::Any,
    positive: &["dckr_pat_<url:27>", "dckr_oat_<url:32>"],
    negative: &["dckr_pat_x"],
    ..TOKEN
};
