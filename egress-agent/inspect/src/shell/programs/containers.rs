//! Containers, clusters, clouds: endpoints that are named, commands that run inside.

use std::borrow::Cow;

use crate::shell::options::{Args, Item, Spec};
use crate::shell::place;
use crate::shell::run::{Done, Input, Shell};

use super::{file, host, url};

pub(super) fn run(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: Input) -> Done {
    match name {
        "docker" | "podman" | "nerdctl" | "buildah" => docker(shell, name, args, input),
        "kubectl" | "oc" => kubectl(shell, name, args, input),
        "skopeo" | "crane" => {
            for arg in args {
                let image = arg.strip_prefix("docker://").unwrap_or(arg);
                image_of(shell, name, image, false);
            }
            Done::default()
        }
        _ => {
            for (at, arg) in args.iter().enumerate() {
                let value = args.get(at + 1).map_or("", |value| value);
                let writes = at == 0 && matches!(&**arg, "deploy" | "apply" | "destroy");
                if writes {
                    shell.notes.act("deployment");
                }
                if matches!(
                    &**arg,
                    "--endpoint-url" | "--endpoint" | "--host" | "--address"
                ) {
                    host(shell, name, value, true);
                }
                if !url(shell, name, arg, false)
                    && let Some(path) = arg
                        .strip_prefix("file://")
                        .or_else(|| arg.strip_prefix("fileb://"))
                {
                    file(shell, path);
                }
                bucket(shell, name, arg);
            }
            if name == "aws"
                && args
                    .iter()
                    .any(|arg| arg == "export-credentials" || arg == "get-session-token")
            {
                file(shell, "~/.aws/credentials");
            }
            if matches!(name, "gcloud" | "az")
                && args.iter().any(|arg| arg.contains("access-token"))
            {
                file(shell, "~/.config/gcloud");
            }
            Done::default()
        }
    }
}

fn bucket(shell: &mut Shell, name: &str, arg: &str) {
    let host = if arg.starts_with("s3://") {
        "s3.amazonaws.com"
    } else if arg.starts_with("gs://") {
        "storage.googleapis.com"
    } else {
        return;
    };
    let mut place = place::of_host_port(host);
    place.owner = arg
        .split_once("://")
        .and_then(|(_, rest)| place::owner(rest));
    shell.notes.contact(name, place, true);
}

const DOCKER: Spec = Spec {
    short: "vepwuhlmctfHaK",
    long: &[
        "volume",
        "env",
        "env-file",
        "publish",
        "workdir",
        "user",
        "name",
        "network",
        "net",
        "mount",
        "entrypoint",
        "label",
        "memory",
        "cpus",
        "add-host",
        "host",
        "hostname",
        "platform",
        "tag",
        "file",
        "build-arg",
        "context",
        "link",
        "dns",
        "cap-add",
        "cap-drop",
        "device",
        "gpus",
        "restart",
        "ip",
        "pid",
        "ipc",
        "runtime",
        "shm-size",
        "tmpfs",
        "ulimit",
        "volumes-from",
        "log-driver",
        "log-opt",
        "log-level",
        "config",
        "target",
        "output",
        "cache-from",
        "cache-to",
        "secret",
        "ssh",
        "project-name",
        "profile",
        "security-opt",
        "userns",
        "cidfile",
        "health-cmd",
        "expose",
        "pull",
        "format",
        "filter",
    ],
};

fn docker(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: Input) -> Done {
    let (options, rest) = DOCKER.leading(args);
    daemon(shell, name, &options);
    let Some((verb, rest)) = rest.split_first() else {
        return Done::default();
    };
    let (verb, rest) = match (&**verb, rest.split_first()) {
        ("container" | "image" | "compose" | "buildx" | "builder", Some(_)) => {
            let (options, rest) = DOCKER.leading(rest);
            daemon(shell, name, &options);
            match rest.split_first() {
                Some((second, rest)) => (&**second, rest),
                None => return Done::default(),
            }
        }
        (verb, _) => (verb, rest),
    };
    let (options, words) = DOCKER.leading(rest);
    daemon(shell, name, &options);
    match verb {
        "run" | "create" | "exec" => {
            let Some((image, command)) = words.split_first() else {
                return Done::default();
            };
            image_of(shell, name, image, false);
            let entry = options.iter().find_map(|item| match item {
                Item::Option("entrypoint", Some(value)) => Some(*value),
                Item::Option(..) | Item::Word(_) => None,
            });
            let mut inner: Vec<Cow<'_, str>> = entry.into_iter().map(Cow::Borrowed).collect();
            inner.extend(command.iter().cloned());
            shell.run(&inner, input)
        }
        "pull" | "push" | "login" | "search" | "tag" => {
            if verb == "push" {
                shell.notes.act("publication of an image");
            }
            for word in words {
                image_of(shell, name, word, verb == "push");
            }
            Done::default()
        }
        _ => {
            super::urls(shell, name, rest);
            Done::default()
        }
    }
}

fn daemon(shell: &mut Shell, name: &str, options: &[Item<'_>]) {
    for option in options {
        match option {
            Item::Option("H" | "host", Some(value)) => {
                url(shell, name, value, true);
            }
            Item::Option("env-file", Some(value)) => file(shell, value),
            Item::Option("v" | "volume", Some(value)) => {
                file(shell, value.split(':').next().unwrap_or_default());
            }
            Item::Option("dns", Some(value)) => host(shell, name, value, false),
            Item::Option(_, Some(value)) => {
                if let Some((_, address)) = value
                    .split_once("src=")
                    .or_else(|| value.split_once("source="))
                {
                    file(shell, address.split(',').next().unwrap_or_default());
                }
            }
            Item::Option(..) | Item::Word(_) => {}
        }
    }
}

/// `registry.tld/name:tag`; without a registry it is the default one, which nobody named.
fn image_of(shell: &mut Shell, name: &str, image: &str, writes: bool) {
    if url(shell, name, image, writes) {
        return;
    }
    let first = image.split('/').next().unwrap_or_default();
    let names_registry = (image.contains('/') && (first.contains('.') || first.contains(':')))
        || (place::looks_like_host(first) && !image.contains('/'));
    if names_registry && !first.starts_with(['.', '-']) {
        host(shell, name, image, writes);
    }
}

fn kubectl(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: Input) -> Done {
    let mut rest = args;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let value = after.first().map_or("", |value| value);
        match &**first {
            "--" => return shell.run(after, input),
            "-s" | "--server" => host(shell, name, value, true),
            "--kubeconfig" => file(shell, value),
            arg => {
                if let Some(path) = arg.strip_prefix("--kubeconfig=") {
                    file(shell, path);
                } else if let Some(server) = arg.strip_prefix("--server=") {
                    host(shell, name, server, true);
                } else if let Some(image) = arg.strip_prefix("--image=") {
                    image_of(shell, name, image, false);
                } else {
                    url(shell, name, arg, false);
                }
            }
        }
    }
    if args.iter().any(|arg| arg == "--raw") && args.iter().any(|arg| arg == "view") {
        file(shell, "~/.kube/config");
    }
    Done::default()
}
