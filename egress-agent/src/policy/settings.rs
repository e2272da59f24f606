//! Sections `dns` and `audit`: texts and numbers to settings within their bounds.

use std::{
    fmt::Display,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use egress_common::DnsMode;
use hickory_proto::rr::RecordType;

use super::{
    check::Checker,
    extend::{Base, add_new},
    file,
    inspect::{Action, InspectSettings},
    network,
    problem::quote,
    quantity::{self, InvalidQuantity},
    rule::{AuditSettings, DnsSettings, OfAnswer, OfRequest, ProxySettings, Upstream},
    text::Place,
};

const DNS_PORT: u16 = 53;
/// More servers than this only make a failure slower.
const UPSTREAMS: usize = 8;

/// Settings of the guard resolver: this file's, else those of the policies that it extends.
pub(crate) fn dns(
    c: &mut Checker<'_>,
    dns: Option<&file::Dns>,
    base: &Base,
    place: &Place<'_>,
) -> Option<DnsSettings> {
    let defaults = file::Dns::default();
    let dns = match (dns, &base.dns) {
        (Some(dns), _) => dns,
        (None, Some(base)) => return Some(base.clone()),
        (None, None) => &defaults,
    };
    let inherited = base.dns.as_ref().map(|base| base.private.clone());
    let at_private = place.key("private");
    let patterns = dns.private.iter().enumerate();
    let private = patterns
        .filter_map(|(index, text)| private_pattern(c, text, &at_private.index(index)))
        .chain(inherited.into_iter().flatten())
        .collect();
    let upstreams = upstreams(c, &dns.upstreams, &place.key("upstreams"));
    let wildcard_names = bounded(
        c,
        dns.wildcard_names,
        1..=65_536,
        &place.key("wildcard_names"),
    );
    let addresses = bounded(
        c,
        dns.addresses_per_name,
        1..=1024,
        &place.key("addresses_per_name"),
    );
    let hours = |hours: u64| Duration::from_secs(3600 * hours);
    let grace = duration(
        c,
        &dns.grace,
        Duration::ZERO..=hours(1),
        &place.key("grace"),
    );
    let ttl_min = duration(
        c,
        &dns.ttl_min,
        Duration::ZERO..=hours(1),
        &place.key("ttl_min"),
    );
    let at_max = place.key("ttl_max");
    let ttl_max = duration(c, &dns.ttl_max, Duration::from_secs(1)..=hours(24), &at_max);
    if let (Some(min), Some(max)) = (ttl_min, ttl_max)
        && min > max
    {
        let message = format!("`ttl_max` is shorter than `ttl_min` ({})", dns.ttl_min);
        c.error(&at_max, message, None);
    }
    Some(DnsSettings {
        mode: match dns.mode {
            file::DnsMode::Steer => DnsMode::Steer,
            file::DnsMode::Snoop => DnsMode::Snoop,
        },
        refuse_with_nxdomain: dns.refusal == file::Refusal::Nxdomain,
        upstreams,
        private,
        wildcard_names: u32::try_from(wildcard_names?).ok()?,
        grace: grace?,
        ttl_min: ttl_min?,
        ttl_max: ttl_max?,
        addresses_per_name: usize::try_from(addresses?).ok()?,
        types: dns.types.iter().copied().map(record_type).collect(),
    })
}

/// Settings of the proxy: this file's, else those of the policies that it extends. What is done about
/// content is never less than what that one does, nor than section `inspect` where none says it. Exempt hosts of both
/// are exempt.
pub(crate) fn proxy(
    c: &mut Checker<'_>,
    proxy: Option<&file::Proxy>,
    base: Option<&ProxySettings>,
    inspect: &InspectSettings,
    place: &Place<'_>,
) -> Option<ProxySettings> {
    let at_exempt = place.key("exempt");
    let written = proxy.map(|proxy| proxy.exempt.as_slice());
    let patterns = written.unwrap_or_default().iter().enumerate();
    let exempt = patterns
        .filter_map(|(index, text)| network::pattern(c, text, true, &at_exempt.index(index)))
        .chain(base.iter().flat_map(|base| base.exempt.iter().cloned()))
        .collect();
    let own = proxy.and_then(|proxy| proxy.requests);
    let requests = stricter(
        own.map(of_request),
        base.map(|base| base.requests),
        match inspect.secrets {
            Action::Allow => OfRequest::Allow,
            Action::Warn => OfRequest::Warn,
            Action::Ask | Action::Redact | Action::Deny => OfRequest::Deny,
        },
    );
    let own = proxy.and_then(|proxy| proxy.responses);
    let responses = stricter(
        own.map(of_answer),
        base.map(|base| base.responses),
        match inspect.injection {
            Action::Allow => OfAnswer::Allow,
            Action::Warn => OfAnswer::Warn,
            Action::Redact => OfAnswer::Strip,
            Action::Ask | Action::Deny => OfAnswer::Deny,
        },
    );
    let defaults = file::Proxy::default();
    let (level, answer_within, ca) = match (proxy, base) {
        (None, Some(base)) => (base.level, Some(base.answer_within), Some(base.ca.clone())),
        (proxy, _) => {
            let proxy = proxy.unwrap_or(&defaults);
            let bounds = Duration::from_secs(1)..=Duration::from_hours(24);
            let at = place.key("answer_within");
            let within = duration(c, &proxy.answer_within, bounds, &at);
            let ca = absolute(c, &proxy.ca, &place.key("ca"));
            (proxy.level, within, ca)
        }
    };
    Some(ProxySettings {
        level,
        requests,
        responses,
        answer_within: answer_within?,
        ca: ca?,
        exempt,
    })
}

/// What of the section takes the place of what another policy says.
pub(crate) fn replaced_of_proxy(proxy: &ProxySettings) -> (file::Level, Duration, PathBuf) {
    (proxy.level, proxy.answer_within, proxy.ca.clone())
}

/// Adds what another policy says, apart from that.
pub(crate) fn join_proxy(known: &mut Option<ProxySettings>, other: &ProxySettings) {
    match known {
        None => *known = Some(other.clone()),
        Some(known) => {
            known.requests = known.requests.max(other.requests);
            known.responses = known.responses.max(other.responses);
            add_new(&mut known.exempt, other.exempt.iter().cloned());
        }
    }
}

/// The stricter of two words, or the default where there is none.
fn stricter<T: Ord>(own: Option<T>, base: Option<T>, default: T) -> T {
    match (own, base) {
        (Some(own), Some(base)) => own.max(base),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => default,
    }
}

const fn of_request(written: file::OfRequest) -> OfRequest {
    match written {
        file::OfRequest::Allow => OfRequest::Allow,
        file::OfRequest::Warn => OfRequest::Warn,
        file::OfRequest::Deny => OfRequest::Deny,
    }
}

const fn of_answer(written: file::OfAnswer) -> OfAnswer {
    match written {
        file::OfAnswer::Allow => OfAnswer::Allow,
        file::OfAnswer::Warn => OfAnswer::Warn,
        file::OfAnswer::Strip => OfAnswer::Strip,
        file::OfAnswer::Deny => OfAnswer::Deny,
    }
}

/// Settings of the audit log: this file's, else those of the policies that it extends.
pub(crate) fn audit(
    c: &mut Checker<'_>,
    audit: Option<&file::Audit>,
    base: Option<&AuditSettings>,
    place: &Place<'_>,
) -> Option<AuditSettings> {
    let defaults = file::Audit::default();
    let audit = match (audit, base) {
        (Some(audit), _) => audit,
        (None, Some(base)) => return Some(base.clone()),
        (None, None) => &defaults,
    };
    let file = absolute(c, &audit.file, &place.key("file"));
    let at = place.key("rotate");
    let rotate_bytes = match quantity::size(&audit.rotate) {
        Ok(bytes) if (1 << 16..=1 << 36).contains(&bytes) => Some(bytes),
        Ok(_) => out_of_bounds(c, &quote(&audit.rotate), "64KiB", "64GiB", &at),
        Err(error) => refuse(c, &audit.rotate, error, &at),
    };
    let keep = bounded(c, audit.keep, 1..=1000, &place.key("keep"));
    Some(AuditSettings {
        file: file?,
        allowed: audit.allowed,
        rotate_bytes: rotate_bytes?,
        keep: u32::try_from(keep?).ok()?,
    })
}

fn private_pattern(
    c: &mut Checker<'_>,
    text: &str,
    place: &Place<'_>,
) -> Option<super::NamePattern> {
    let pattern = network::pattern(c, text, true, place)?;
    if let Some(suffix) = pattern.public_suffix() {
        let message = format!(
            "{} lets every name under the public suffix `{suffix}` point into private space",
            quote(text)
        );
        c.error(place, message, Some("name the domain that is yours"));
        return None;
    }
    Some(pattern)
}

fn upstreams(c: &mut Checker<'_>, texts: &[String], place: &Place<'_>) -> Vec<Upstream> {
    if texts.is_empty() || texts.len() > UPSTREAMS {
        let message = format!("1 to {UPSTREAMS} upstream servers are needed");
        c.error(
            place,
            message,
            Some("write `[\"system\"]` for the servers of resolv.conf"),
        );
    }
    let texts = texts.iter().enumerate();
    texts
        .filter_map(|(index, text)| {
            let at = place.index(index);
            match upstream(text) {
                Ok(upstream) => Some(upstream),
                Err(why) => {
                    let message = format!("{}: {why}", quote(text));
                    let help =
                        "write `system`, `192.0.2.1`, `192.0.2.1:5353` or `[2001:db8::1]:5353`";
                    c.error(&at, message, Some(help));
                    None
                }
            }
        })
        .collect()
}

fn upstream(text: &str) -> Result<Upstream, &'static str> {
    if text == "system" {
        return Ok(Upstream::System);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let server = match (bare.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(address), _) => SocketAddr::new(address, DNS_PORT),
        (Err(_), Ok(server)) => server,
        (Err(_), Err(_)) => return Err("not a server address"),
    };
    let address = server.ip().to_canonical();
    if address.is_unspecified() || address.is_multicast() {
        return Err("no server has this address");
    }
    if server.port() == 0 {
        return Err("port 0 cannot be reached");
    }
    Ok(Upstream::Address(SocketAddr::new(address, server.port())))
}

fn record_type(written: file::RecordType) -> RecordType {
    match written {
        file::RecordType::Caa => RecordType::CAA,
        file::RecordType::Cert => RecordType::CERT,
        file::RecordType::Dnskey => RecordType::DNSKEY,
        file::RecordType::Ds => RecordType::DS,
        file::RecordType::Hinfo => RecordType::HINFO,
        file::RecordType::Mx => RecordType::MX,
        file::RecordType::Naptr => RecordType::NAPTR,
        file::RecordType::Ns => RecordType::NS,
        file::RecordType::Openpgpkey => RecordType::OPENPGPKEY,
        file::RecordType::Smimea => RecordType::SMIMEA,
        file::RecordType::Soa => RecordType::SOA,
        file::RecordType::Srv => RecordType::SRV,
        file::RecordType::Sshfp => RecordType::SSHFP,
        file::RecordType::Tlsa => RecordType::TLSA,
        file::RecordType::Txt => RecordType::TXT,
    }
}

fn absolute(c: &mut Checker<'_>, text: &str, place: &Place<'_>) -> Option<PathBuf> {
    let path = Path::new(text);
    let is_plain = path.components().all(|part| match part {
        Component::RootDir | Component::Normal(_) => true,
        Component::Prefix(_) | Component::CurDir | Component::ParentDir => false,
    });
    let is_file = path.file_name().is_some() && !text.ends_with('/') && !text.contains('\0');
    if path.is_absolute() && is_plain && is_file {
        return Some(path.to_owned());
    }
    let message = format!("{} is not the absolute path of a file", quote(text));
    c.error(
        place,
        message,
        Some("write a path such as `/var/log/egressd/audit.jsonl`"),
    );
    None
}

pub(crate) fn bounded(
    c: &mut Checker<'_>,
    number: u64,
    bounds: RangeInclusive<u64>,
    place: &Place<'_>,
) -> Option<u64> {
    if bounds.contains(&number) {
        return Some(number);
    }
    out_of_bounds(
        c,
        &format!("`{number}`"),
        bounds.start(),
        bounds.end(),
        place,
    )
}

pub(crate) fn duration(
    c: &mut Checker<'_>,
    text: &str,
    bounds: RangeInclusive<Duration>,
    place: &Place<'_>,
) -> Option<Duration> {
    match quantity::duration(text) {
        Ok(duration) if bounds.contains(&duration) => Some(duration),
        Ok(_) => {
            let spell = |duration: &Duration| match duration.as_secs() {
                seconds if seconds >= 3600 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
                seconds => format!("{seconds}s"),
            };
            let (low, high) = (spell(bounds.start()), spell(bounds.end()));
            out_of_bounds(c, &quote(text), low, high, place)
        }
        Err(error) => refuse(c, text, error, place),
    }
}

pub(crate) fn out_of_bounds<T>(
    c: &mut Checker<'_>,
    word: &str,
    low: impl Display,
    high: impl Display,
    place: &Place<'_>,
) -> Option<T> {
    let help = format!("write a value from `{low}` to `{high}`");
    c.error(place, format!("{word} is out of bounds"), Some(&help));
    None
}

pub(crate) fn refuse<T>(
    c: &mut Checker<'_>,
    text: &str,
    error: InvalidQuantity,
    place: &Place<'_>,
) -> Option<T> {
    c.error(
        place,
        format!("{}: {error}", quote(text)),
        Some(error.help()),
    );
    None
}
