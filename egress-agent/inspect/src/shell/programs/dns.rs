//! Programs that ask for names, or test whether a host answers.

use crate::shell::options::{Args, Item, Spec, words};
use crate::shell::place;
use crate::shell::run::{Done, Shell};

use super::{file, url};

pub(super) fn run(shell: &mut Shell, name: &str, args: Args<'_, '_>) -> Done {
    match name {
        "dig" | "delv" | "kdig" | "dog" | "doggo" | "drill" | "q" | "adig" | "ahost"
        | "dnslookup" => dig(shell, name, args),
        "getent" => {
            let mut words = args.iter().filter(|arg| !arg.starts_with('-'));
            if words.next().is_some_and(|database| {
                database.ends_with("hosts")
                    || database.starts_with("hosts")
                    || database.starts_with("ahosts")
            }) {
                for word in words {
                    shell.notes.contact(name, place::of_host_port(word), false);
                }
            }
        }
        "resolvectl" | "systemd-resolve" => {
            let mut words: Vec<&str> = words(
                &Spec {
                    short: "itcp",
                    long: &["type", "class", "interface", "protocol"],
                }
                .items(args),
            );
            let verb = words.first().copied().unwrap_or_default();
            if matches!(verb, "query" | "service" | "openpgp" | "tlsa") {
                words.remove(0);
            } else if name == "resolvectl" {
                return Done::default();
            }
            for word in words {
                shell.notes.contact(name, place::of_host_port(word), false);
            }
        }
        "nslookup" | "host" => {
            const SPEC: Spec = Spec {
                short: "ctNRWm",
                long: &[],
            };
            if name == "nslookup" {
                for word in args.iter().filter(|arg| !arg.starts_with('-')) {
                    shell.notes.contact(name, place::of_host_port(word), false);
                }
            } else {
                for word in words(&SPEC.items(args)) {
                    shell.notes.contact(name, place::of_host_port(word), false);
                }
            }
        }
        _ => hosts(shell, name, args),
    }
    Done::fetched()
}

fn dig(shell: &mut Shell, name: &str, args: Args<'_, '_>) {
    const SPEC: Spec = Spec {
        short: "bcfkptqxy",
        long: &[],
    };
    for item in SPEC.items(args) {
        match item {
            Item::Option("f", Some(path)) => {
                file(shell, path);
                shell.unclear("dig reads its questions from a file");
            }
            Item::Option("q" | "x", Some(value)) => {
                shell.notes.contact(name, place::of_host_port(value), false);
            }
            Item::Word(word) if word.starts_with('+') || is_type(word) => {}
            Item::Word(word) => {
                if !url(shell, name, word, false) {
                    let word = word.strip_prefix('@').unwrap_or(word);
                    shell.notes.contact(name, place::of_host_port(word), false);
                }
            }
            Item::Option(..) => {}
        }
    }
}

fn is_type(word: &str) -> bool {
    const TYPES: &[&str] = &[
        "A", "AAAA", "ANY", "AXFR", "CAA", "CH", "CNAME", "DNSKEY", "DS", "HINFO", "HS", "HTTPS",
        "IN", "IXFR", "MX", "NAPTR", "NS", "NSEC", "PTR", "RRSIG", "SOA", "SPF", "SRV", "SSHFP",
        "SVCB", "TLSA", "TXT",
    ];
    TYPES.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn hosts(shell: &mut Shell, name: &str, args: Args<'_, '_>) {
    let short = match name {
        "ping" | "ping6" | "fping" => "cDFiIlmMnpQsStTwWO",
        "traceroute" | "tracepath" | "mtr" => "fgimNpqsTwzlcoaPB",
        "nmap" | "masscan" | "nping" => "pigseDSoT",
        "whois" => "hp",
        "iperf3" => "pcBtPibfwlJ",
        _ => "pcidw",
    };
    for item in (Spec {
        short,
        long: &["client", "count", "interval", "exclude"],
    })
    .items(args)
    {
        match item {
            Item::Option("c" | "client", Some(value)) if name == "iperf3" => {
                shell.notes.contact(name, place::of_host_port(value), true);
            }
            Item::Option("h", Some(value)) if name == "whois" => {
                shell.notes.contact(name, place::of_host_port(value), false);
            }
            Item::Word(word)
                if !url(shell, name, word, false)
                    && !word.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                shell.notes.contact(name, place::of_host_port(word), false);
            }
            Item::Word(_) | Item::Option(..) => {}
        }
    }
}
