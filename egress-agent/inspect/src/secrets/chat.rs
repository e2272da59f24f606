//! Messages: chats, mail, telephones.

use super::{Detector, Edge, Search, TOKEN, check, near};
use std::ops::Range;

use base64::Engine as _;

use crate::{finding::Severity, view::words::is_alnum};

pub(super) const ALL: &[Detector] = &[
    SLACK,
    SLACK_APP,
    SLACK_HOOK,
    DISCORD,
    DISCORD_HOOK,
    TELEGRAM,
    TWILIO,
    TWILIO_SECRET,
    SENDGRID,
    MAILGUN,
    MAILGUN_NEW,
];

/// *What it does*: finds tokens of bots, users, sessions, refresh and configuration. *Why it
/// matters*: whoever holds it reads what the bot reads and writes in its name: also a way out for
/// data. *Known gaps*: none known. *Example*: `xoxb-`, numbers and letters with dashes.
const SLACK: Detector = Detector {
    id: "slack-token",
    what: "a Slack token",
    keywords: &[
        "xoxa-", "xoxb-", "xoxe-", "xoxe.", "xoxp-", "xoxr-", "xoxs-", "xoxc-", "xoxd-", "xoxo-",
    ],
    search: Search::Pattern(r"xox(?:[abeprscdo]-|e\.xox[bp]-)[A-Za-z0-9%-]{10,}"),
    edge: Edge::Any,
    positive: &[
        "xoxb-<dig:12>-<dig:12>-<an:24>",
        "xoxp-<dig:12>-<dig:12>-<dig:12>-<hex:32>",
        "xoxe.xoxp-1-<an:120>",
    ],
    negative: &["xoxb-x"],
    ..TOKEN
};

/// *What it does*: finds app-level tokens (socket mode). *Why it matters*: whoever holds it reads
/// what the bot reads and writes in its name: also a way out for data. *Known gaps*: none known.
/// *Example*: `xapp-1-A`, an id, digits and 64 hexadecimal digits.
const SLACK_APP: Detector = Detector {
    id: "slack-app-token",
    what: "a Slack token",
    keywords: &["xapp-"],
    search: Search::Pattern(r"xapp-[0-9]-[A-Z0-9]{6,}-[0-9]{6,}-[a-f0-9]{32,}"),
    edge: Edge::Any,
    positive: &["xapp-1-A<up:10>-<dig:13>-<hex:64>"],
    negative: &["xapp-1"],
    ..TOKEN
};

/// *What it does*: finds addresses that anybody may post to. *Why it matters*: it is a credential,
/// and a way out for data. *Known gaps*: none known. *Example*: `hooks.slack.com/services/` and
/// three parts.
const SLACK_HOOK: Detector = Detector {
    id: "slack-webhook",
    what: "a Slack webhook",
    severity: Severity::High,
    keywords: &["hooks.slack.com/"],
    search: Search::Pattern(
        r"hooks\.slack\.com/(?:services/T[A-Za-z0-9_]{6,12}/B[A-Za-z0-9_]{6,14}|workflows/T[A-Za-z0-9_]{6,12}/[A-Za-z0-9_]{6,14}/[0-9]{10,20})/[A-Za-z0-9]{20,30}",
    ),
    edge: Edge::Any,
    positive: &["https://hooks.slack.com/services/T<up:8>/B<up:10>/<an:24>"],
    negative: &["https://hooks.slack.com/services/"],
    ..TOKEN
};

/// *What it does*: finds tokens of bots: the first part is base64 of the bot's number, which is
/// looked at. *Why it matters*: whoever holds it reads what the bot reads and writes in its name:
/// also a way out for data. *Known gaps*: none known. *Example*: base64 of 17 to 19 digits, `.`,
/// six signs, `.`, 27 to 38 signs.
const DISCORD: Detector = Detector {
    id: "discord-bot-token",
    what: "a Discord bot token",
    keywords: &[],
    search: Search::Word(discord),
    positive: &["<discord>"],
    negative: &["MTIzNDU2Nzg5MDEyMzQ1Njc4OQ", "a.b.c"],
    ..TOKEN
};

/// *What it does*: finds addresses that anybody may post to. *Why it matters*: it is a credential,
/// and a way out for data. *Known gaps*: none known. *Example*: `discord.com/api/webhooks/`, a
/// number and 68 signs.
const DISCORD_HOOK: Detector = Detector {
    id: "discord-webhook",
    what: "a Discord webhook",
    severity: Severity::High,
    keywords: &["discord.com/api/", "discordapp.com/api/"],
    search: Search::Pattern(
        r"discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,80}",
    ),
    edge: Edge::Any,
    positive: &["https://discord.com/api/webhooks/<dig:18>/<url:68>"],
    negative: &["https://discord.com/api/webhooks/"],
    ..TOKEN
};

/// *What it does*: finds tokens of bots. *Why it matters*: whoever holds it reads what the bot
/// reads and writes in its name: also a way out for data. *Known gaps*: none known. *Example*:
/// eight to ten digits, `:AA` and 33 letters, digits, `-` and `_`.
const TELEGRAM: Detector = Detector {
    id: "telegram-bot-token",
    what: "a Telegram bot token",
    keywords: &[":AA"],
    search: Search::Hand(telegram),
    edge: Edge::Any,
    positive: &[
        "<dig:10>:AA<url:33>",
        "https://api.telegram.org/bot<dig:9>:AA<url:33>/getMe",
    ],
    negative: &["12:AA<url:33>", "<dig:10>:AA<url:5>"],
    ..TOKEN
};

/// *What it does*: finds the ids of keys and accounts. *Why it matters*: beside the secret it
/// sends messages and calls at its owner's cost; alone it names the account. *Known gaps*: the
/// secret itself has no form of its own; see `twilio-auth-token`. *Example*: `SK` and 32
/// hexadecimal digits.
const TWILIO: Detector = Detector {
    id: "twilio-key",
    what: "the id of a Twilio key",
    severity: Severity::Medium,
    keywords: &["SK", "AC"],
    search: Search::Pattern(r"(?:SK|AC)[0-9a-f]{32}\b"),
    check: Some(check::random),
    positive: &["SK<hex:32>", "TWILIO_ACCOUNT_SID=AC<hex:32>"],
    negative: &["SKIP", "AC<hex:12>"],
    ..TOKEN
};

/// *What it does*: finds 32 hexadecimal digits that are given to a name with `twilio` and `token`
/// or `secret` in it. *Why it matters*: it sends messages and calls at its owner's cost. *Known
/// gaps*: tokens without the name near them. *Example*: `TWILIO_AUTH_TOKEN=` and 32 hexadecimal
/// digits.
const TWILIO_SECRET: Detector = Detector {
    id: "twilio-auth-token",
    what: "a Twilio token",
    keywords: &["twilio"],
    search: Search::Given(
        near!("twilio[a-z_. -]{0,16}(?:token|secret)"),
        r"[0-9A-Za-z]{32}\b",
    ),
    edge: Edge::Any,
    check: Some(check::random_near),
    positive: &["TWILIO_AUTH_TOKEN=<hex:32>"],
    negative: &["twilio token: none"],
    ..TOKEN
};

/// *What it does*: finds API keys. *Why it matters*: whoever holds it sends mail in its owner's
/// name. *Known gaps*: none known. *Example*: `SG.`, 22 signs, `.`, 43 signs.
const SENDGRID: Detector = Detector {
    id: "sendgrid-key",
    what: "a SendGrid key",
    keywords: &["SG."],
    search: Search::Pattern(r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{36,50}"),
    edge: Edge::Any,
    positive: &["SG.<url:22>.<url:43>"],
    negative: &["SG.x.y"],
    ..TOKEN
};

/// *What it does*: finds private keys with the old prefix, and newer ones beside the service's
/// name. *Why it matters*: whoever holds it sends and reads mail in its owner's name. *Known
/// gaps*: newer keys without the name near them. *Example*: `key-` and 32 hexadecimal digits.
const MAILGUN: Detector = Detector {
    id: "mailgun-key",
    what: "a Mailgun key",
    severity: Severity::High,
    keywords: &["key-"],
    search: Search::Pattern(r"key-[0-9a-f]{32}\b"),
    check: Some(check::random),
    positive: &["key-<hex:32>"],
    negative: &["key-value", "primary key-columns"],
    ..TOKEN
};

/// *What it does*: finds keys of three hexadecimal parts that are given to a name with `mailgun`
/// in it. *Why it matters*: whoever holds it sends and reads mail in its owner's name. *Known
/// gaps*: keys without the name near them. *Example*: `MAILGUN_API_KEY=`, 32, 8 and 8 hexadecimal
/// digits.
const MAILGUN_NEW: Detector = Detector {
    id: "mailgun-new-key",
    what: "a Mailgun key",
    severity: Severity::High,
    keywords: &["mailgun"],
    search: Search::Given(near!("mailgun"), r"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b"),
    edge: Edge::Any,
    positive: &["MAILGUN_API_KEY=<hex:32>-<hex:8>-<hex:8>"],
    negative: &["mailgun: on"],
    ..TOKEN
};

/// Three parts, of which the first is base64 of a number.
fn discord(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let id = bytes.get(word.clone())?;
    if !(22..=28).contains(&id.len()) || !id.first().is_some_and(|byte| b"MNO".contains(byte)) {
        return None;
    }
    let rest = bytes.get(word.end..bytes.len().min(word.end + 64))?;
    let is_sign = |byte: &&u8| is_alnum(**byte) || matches!(byte, b'-' | b'_');
    let middle = rest.strip_prefix(b".")?.iter().take_while(is_sign).count();
    let last = rest
        .get(middle + 1..)?
        .strip_prefix(b".")?
        .iter()
        .take_while(is_sign)
        .count();
    let number = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(id)
        .ok()?;
    let is_number = (16..=20).contains(&number.len()) && number.iter().all(u8::is_ascii_digit);
    (is_number && (6..=7).contains(&middle) && last >= 27)
        .then(|| word.start..word.end + middle + last + 2)
}

/// Walks back over the number of the bot.
fn telegram(bytes: &[u8], colon: usize) -> Option<Range<usize>> {
    let before = bytes.get(..colon)?.iter().rev().take(11);
    let digits = before.take_while(|byte| byte.is_ascii_digit()).count();
    let after = bytes.get(colon + 1..bytes.len().min(colon + 40))?;
    let is_sign = |byte: &&u8| is_alnum(**byte) || matches!(byte, b'-' | b'_');
    let signs = after.iter().take_while(is_sign).count();
    ((8..=10).contains(&digits) && signs >= 35).then(|| colon - digits..colon + 36)
}
