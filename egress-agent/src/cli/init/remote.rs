//! The hosts of a repository's remotes, read from the text of `.git/config`. Pure; git is not run,
//! and neither includes nor rewritten prefixes are followed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::policy::Name;

/// More remotes than these are no project's.
pub(super) const MOST: usize = 16;

/// Where a remote is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::cli) struct Remote {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Remote {
    /// Whether it is one that a configuration leads to: a name and no pattern. What a child says
    /// may be made up.
    pub(super) fn is_sound(&self) -> bool {
        let name = Name::parse(&self.host);
        let is_name = name.is_ok_and(|name| name.as_str() == self.host);
        is_name && self.host.contains('.') && self.port != 0
    }
}

/// The remotes of a configuration, each once.
pub(super) fn remotes(config: &str) -> BTreeSet<Remote> {
    let mut is_remote = false;
    let mut found = BTreeSet::new();
    for line in config.lines() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_start().to_ascii_lowercase();
            is_remote = section.starts_with("remote ") || section.starts_with("remote\t");
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let key = key.trim().to_ascii_lowercase();
        if is_remote && (key == "url" || key == "pushurl") && found.len() < MOST {
            found.extend(place(value.trim().trim_matches('"')));
        }
    }
    found
}

/// The host and the port that an address of a repository leads to; `None` for paths, and for what is
/// no full name: an alias of ssh, an address without a name.
fn place(address: &str) -> Option<Remote> {
    let (host, port) = if address.contains("://") {
        let url = Url::parse(address).ok()?;
        let port = match url.scheme() {
            "https" => 443,
            "http" => 80,
            "ssh" | "git+ssh" | "ssh+git" => 22,
            "git" => 9418,
            _ => return None,
        };
        let host = match url.host()? {
            Host::Domain(host) => host.to_owned(),
            Host::Ipv4(_) | Host::Ipv6(_) => return None,
        };
        (host, url.port().unwrap_or(port))
    } else {
        // user@host:path, as scp writes it; a slash before the colon makes it a path.
        let (place, _) = address.split_once(':')?;
        if place.contains('/') {
            return None;
        }
        let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
        (host.to_owned(), 22)
    };
    let name = Name::parse(&host).ok()?;
    let is_full = name.as_str().contains('.') && host.parse::<std::net::Ipv4Addr>().is_err();
    is_full.then(|| Remote {
        host: name.as_str().to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(address: &str, expected: Option<(&str, u16)>) {
        let found = place(address);
        let found = found.as_ref().map(|one| (one.host.as_str(), one.port));
        assert_eq!(found, expected, "{address}");
    }

    #[test]
    fn an_address_leads_to_a_host_and_a_port() {
        check("https://github.com/a/b.git", Some(("github.com", 443)));
        check(
            "https://user:secret@git.example.com:8443/a",
            Some(("git.example.com", 8443)),
        );
        check("git@GitHub.com:a/b.git", Some(("github.com", 22)));
        check(
            "ssh://git@git.example.com:2222/a",
            Some(("git.example.com", 2222)),
        );
        check("git://git.example.com/a", Some(("git.example.com", 9418)));
        check("http://git.example.com/a", Some(("git.example.com", 80)));
    }

    #[test]
    fn what_is_no_full_name_is_none() {
        for address in [
            "/srv/git/a.git",
            "../other",
            "file:///srv/git/a",
            "work:a/b.git",
            "ext::sh -c evil%",
            "https://192.0.2.1/a",
            "git@192.0.2.1:a",
            "https://[2001:db8::1]/a",
            "./a:b",
            "javascript://x.example.com/",
            "git@evil host.example:a",
            "git@evil\u{1b}[31m.example:a",
            "",
        ] {
            check(address, None);
        }
    }

    #[test]
    fn what_was_made_up_is_no_remote() {
        let sound = |host: &str, port| {
            let host = host.to_owned();
            Remote { host, port }.is_sound()
        };
        assert!(sound("git.example.com", 22));
        for host in [
            "*.example.com",
            "**.com",
            "com",
            "GIT.example.com",
            "a b.c",
            "",
            "x.\n",
        ] {
            assert!(!sound(host, 22), "{host}");
        }
        assert!(!sound("git.example.com", 0));
    }

    #[test]
    fn only_remotes_count() {
        let config = "[core]\n\turl = https://core.example.com/x\n\
            [remote \"origin\"]\n\turl = git@github.com:a/b.git\n\tpushurl = \"https://push.example.com/a\"\n\
            \tfetch = +refs/heads/*:refs/remotes/origin/*\n\
            [branch \"main\"]\n\tremote = https://branch.example.com/x\n\
            [REMOTE \"up\"]\n\tURL=https://github.com/up/b\n";
        let found: Vec<_> = remotes(config)
            .into_iter()
            .map(|one| (one.host, one.port))
            .collect();
        assert_eq!(
            found,
            [
                ("github.com".to_owned(), 22),
                ("github.com".to_owned(), 443),
                ("push.example.com".to_owned(), 443),
            ]
        );
        let many: Vec<String> = (0..100)
            .map(|number| format!("[remote \"r{number}\"]\nurl = https://h{number}.example.com/"))
            .collect();
        assert_eq!(remotes(&many.join("\n")).len(), MOST);
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic_or_an_unreadable_host(text in "\\PC*", address in "[a-z:/@.\\[\\]\"%\\\\-]{0,40}") {
            let config = format!("[remote \"x\"]\nurl = {address}\n{text}");
            for found in remotes(&config) {
                prop_assert!(Name::parse(&found.host).is_ok());
            }
        }
    }
}
