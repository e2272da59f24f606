//! Places that are known as drop boxes: whoever knows an address there can read what was put.
//!
//! A place is known by its host name, exactly or as a name beneath it. Whether a policy admits the
//! place is not asked: a host that everybody must reach (a forge) is a drop box as well.
//!
//! # Known gaps
//!
//! The list is what is known today; own servers, buckets behind a common name and new services are
//! not on it. A host that is written as an address has no name.

use self::Category::{FileSharing, Form, Messaging, Paste, Repository, RequestBin, Tunnel};
use super::{Confidence, Finding, Kind, Severity, View};

/// What a place is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    Paste,
    FileSharing,
    /// It shows every request to whoever made the address.
    RequestBin,
    /// A way in to a machine, or out of one, through somebody's relay.
    Tunnel,
    Repository,
    Messaging,
    /// Forms and sheets that take text from anybody.
    Form,
}

impl Category {
    pub const ALL: [Self; 7] = [
        Self::Paste,
        Self::FileSharing,
        Self::RequestBin,
        Self::Tunnel,
        Self::Repository,
        Self::Messaging,
        Self::Form,
    ];

    /// The detector's name.
    pub fn id(self) -> &'static str {
        match self {
            Self::Paste => "paste-bin",
            Self::FileSharing => "file-sharing",
            Self::RequestBin => "request-bin",
            Self::Tunnel => "tunnel",
            Self::Repository => "repository",
            Self::Messaging => "messaging",
            Self::Form => "form",
        }
    }

    /// How bad it is to send something there.
    pub fn severity(self) -> Severity {
        match self {
            Self::RequestBin => Severity::Critical,
            Self::Paste | Self::FileSharing | Self::Tunnel => Severity::High,
            Self::Messaging | Self::Form => Severity::Medium,
            Self::Repository => Severity::Low,
        }
    }
}

/// What a host name is known as. In any case of letters, with or without the final dot or a port.
pub fn category(host: &str) -> Option<Category> {
    let host = host.trim();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    // The longest name wins: gist.github.com is no repository.
    let mut rest = host.as_str();
    loop {
        if let Some((_, category)) = KNOWN.iter().find(|(known, _)| *known == rest) {
            return Some(*category);
        }
        rest = rest.split_once('.')?.1;
    }
}

/// Every name that is known.
pub fn known() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(host, _)| *host)
}

/// The finding for a host that stands in a text at `range`.
pub fn finding(host: &str, range: std::ops::Range<usize>) -> Option<Finding> {
    let category = category(host)?;
    Some(Finding {
        detector: category.id().to_owned(),
        kind: Kind::Destination,
        severity: category.severity(),
        confidence: Confidence::High,
        view: View::Raw,
        range,
    })
}

const KNOWN: &[(&str, Category)] = &[
    ("pastebin.com", Paste),
    ("hastebin.com", Paste),
    ("hastebin.skyra.pw", Paste),
    ("dpaste.org", Paste),
    ("dpaste.com", Paste),
    ("ix.io", Paste),
    ("sprunge.us", Paste),
    ("termbin.com", Paste),
    ("0x0.st", Paste),
    ("paste.ee", Paste),
    ("paste.centos.org", Paste),
    ("paste.debian.net", Paste),
    ("paste.rs", Paste),
    ("paste.mozilla.org", Paste),
    ("paste.ubuntu.com", Paste),
    ("pastebin.mozilla.org", Paste),
    ("pastes.io", Paste),
    ("ghostbin.com", Paste),
    ("privatebin.net", Paste),
    ("privatebin.info", Paste),
    ("rentry.co", Paste),
    ("rentry.org", Paste),
    ("controlc.com", Paste),
    ("justpaste.it", Paste),
    ("clbin.com", Paste),
    ("bpa.st", Paste),
    ("bpaste.net", Paste),
    ("fpaste.org", Paste),
    ("p.ip.fi", Paste),
    ("paste.sr.ht", Paste),
    ("gist.github.com", Paste),
    ("gist.githubusercontent.com", Paste),
    ("telegra.ph", Paste),
    ("transfer.sh", FileSharing),
    ("file.io", FileSharing),
    ("gofile.io", FileSharing),
    ("wetransfer.com", FileSharing),
    ("we.tl", FileSharing),
    ("mediafire.com", FileSharing),
    ("mega.nz", FileSharing),
    ("mega.io", FileSharing),
    ("mega.co.nz", FileSharing),
    ("sendspace.com", FileSharing),
    ("dropbox.com", FileSharing),
    ("dropboxapi.com", FileSharing),
    ("drive.google.com", FileSharing),
    ("onedrive.live.com", FileSharing),
    ("1drv.ms", FileSharing),
    ("box.com", FileSharing),
    ("catbox.moe", FileSharing),
    ("litterbox.catbox.moe", FileSharing),
    ("bashupload.com", FileSharing),
    ("temp.sh", FileSharing),
    ("oshi.at", FileSharing),
    ("filebin.net", FileSharing),
    ("anonfiles.com", FileSharing),
    ("uguu.se", FileSharing),
    ("tmpfiles.org", FileSharing),
    ("pixeldrain.com", FileSharing),
    ("ufile.io", FileSharing),
    ("send.vis.ee", FileSharing),
    ("keep.sh", FileSharing),
    ("x0.at", FileSharing),
    ("envs.sh", FileSharing),
    ("imgur.com", FileSharing),
    ("requestbin.com", RequestBin),
    ("requestbin.net", RequestBin),
    ("requestbin.whapi.cloud", RequestBin),
    ("webhook.site", RequestBin),
    ("pipedream.net", RequestBin),
    ("pipedream.com", RequestBin),
    ("beeceptor.com", RequestBin),
    ("requestcatcher.com", RequestBin),
    ("hookbin.com", RequestBin),
    ("postb.in", RequestBin),
    ("ptsv2.com", RequestBin),
    ("ptsv3.com", RequestBin),
    ("typedwebhook.tools", RequestBin),
    ("mockbin.org", RequestBin),
    ("webhookinbox.com", RequestBin),
    ("burpcollaborator.net", RequestBin),
    ("oastify.com", RequestBin),
    ("oast.pro", RequestBin),
    ("oast.live", RequestBin),
    ("oast.site", RequestBin),
    ("oast.online", RequestBin),
    ("oast.fun", RequestBin),
    ("oast.me", RequestBin),
    ("interact.sh", RequestBin),
    ("interactsh.com", RequestBin),
    ("canarytokens.com", RequestBin),
    ("dnslog.cn", RequestBin),
    ("ceye.io", RequestBin),
    ("bxss.me", RequestBin),
    ("xss.ht", RequestBin),
    ("hookdeck.com", RequestBin),
    ("ngrok.io", Tunnel),
    ("ngrok.app", Tunnel),
    ("ngrok.dev", Tunnel),
    ("ngrok-free.app", Tunnel),
    ("ngrok-free.dev", Tunnel),
    ("ngrok.com", Tunnel),
    ("trycloudflare.com", Tunnel),
    ("serveo.net", Tunnel),
    ("loca.lt", Tunnel),
    ("localtunnel.me", Tunnel),
    ("localhost.run", Tunnel),
    ("lhr.life", Tunnel),
    ("pinggy.io", Tunnel),
    ("pinggy.link", Tunnel),
    ("bore.pub", Tunnel),
    ("playit.gg", Tunnel),
    ("portmap.io", Tunnel),
    ("tunnelmole.net", Tunnel),
    ("devtunnels.ms", Tunnel),
    ("tmate.io", Tunnel),
    ("sshx.io", Tunnel),
    ("smee.io", Tunnel),
    ("github.com", Repository),
    ("githubusercontent.com", Repository),
    ("gitlab.com", Repository),
    ("bitbucket.org", Repository),
    ("codeberg.org", Repository),
    ("sourceforge.net", Repository),
    ("sr.ht", Repository),
    ("gitee.com", Repository),
    ("launchpad.net", Repository),
    ("huggingface.co", Repository),
    ("slack.com", Messaging),
    ("hooks.slack.com", Messaging),
    ("files.slack.com", Messaging),
    ("discord.com", Messaging),
    ("discordapp.com", Messaging),
    ("discordapp.net", Messaging),
    ("discord.gg", Messaging),
    ("api.telegram.org", Messaging),
    ("telegram.org", Messaging),
    ("t.me", Messaging),
    ("teams.microsoft.com", Messaging),
    ("webhook.office.com", Messaging),
    ("graph.facebook.com", Messaging),
    ("matrix.org", Messaging),
    ("chat.googleapis.com", Messaging),
    ("api.twilio.com", Messaging),
    ("ntfy.sh", Messaging),
    ("api.pushover.net", Messaging),
    ("api.pushbullet.com", Messaging),
    ("maker.ifttt.com", Messaging),
    ("hooks.zapier.com", Messaging),
    ("hook.eu1.make.com", Messaging),
    ("forms.gle", Form),
    ("docs.google.com", Form),
    ("script.google.com", Form),
    ("script.googleusercontent.com", Form),
    ("typeform.com", Form),
    ("formspree.io", Form),
    ("airtable.com", Form),
    ("notion.so", Form),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(host: &str, expected: Option<Category>) {
        assert_eq!(category(host), expected, "{host}");
    }

    #[test]
    fn a_place_is_known_by_its_name_and_names_beneath_it() {
        check("pastebin.com", Some(Paste));
        check("www.PASTEBIN.com.", Some(Paste));
        check("pastebin.com:443", Some(Paste));
        check("a.b.webhook.site", Some(RequestBin));
        check("hooks.slack.com", Some(Messaging));
        check("transfer.sh", Some(FileSharing));
        check("drive.google.com", Some(FileSharing));
    }

    #[test]
    fn the_longest_name_wins() {
        check("gist.github.com", Some(Paste));
        check("api.github.com", Some(Repository));
        check("paste.sr.ht", Some(Paste));
        check("git.sr.ht", Some(Repository));
    }

    #[test]
    fn names_that_only_look_alike_are_not_known() {
        for host in [
            "notpastebin.com",
            "pastebin.com.example.org",
            "google.com",
            "com",
            "",
            ".",
            "127.0.0.1",
            "example.io",
            "file.io.example",
        ] {
            check(host, None);
        }
    }

    #[test]
    fn every_place_stands_once_and_in_lower_case() {
        for (at, (host, _)) in KNOWN.iter().enumerate() {
            assert_eq!(*host, host.to_ascii_lowercase());
            assert!(
                !KNOWN.iter().skip(at + 1).any(|(other, _)| other == host),
                "{host}"
            );
            assert!(finding(host, 0..1).is_some());
        }
    }

    proptest! {
        #[test]
        fn any_host_is_answered(host in any::<String>()) {
            let known = category(&host);
            prop_assert_eq!(known, category(&host.to_ascii_uppercase()));
        }
    }
}
