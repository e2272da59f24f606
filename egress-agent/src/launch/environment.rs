//! What a session's environment has to say otherwise. Variables that lead to sockets are unset when
//! the view hides what they lead to, so that programs say at once that there is none; those for the
//! proxy and for the local CA are set where they are wanted. Everything else stays.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Variables whose value is the address of a UNIX socket, in one of the usual spellings.
const ADDRESSES: &[&str] = &[
    "BUILDKIT_HOST",
    "CONTAINERD_ADDRESS",
    "CONTAINER_HOST",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "DOCKER_HOST",
    "GPG_AGENT_INFO",
    "I3SOCK",
    "NOTIFY_SOCKET",
    "NVIM",
    "PULSE_SERVER",
    "SSH_AUTH_SOCK",
    "SWAYSOCK",
    "TMUX",
    "VSCODE_GIT_IPC_HANDLE",
    "VSCODE_IPC_HOOK_CLI",
    "WAYLAND_DISPLAY",
];

/// What leads clients to a proxy on this loopback port. Both cases are set: curl reads `http_proxy`
/// in lower case alone, others the upper one. What the session itself serves is not asked there.
pub(super) fn proxy(port: u16) -> impl Iterator<Item = (String, String)> {
    let address = format!("http://127.0.0.1:{port}");
    let to_proxy = ["HTTP_PROXY", "HTTPS_PROXY"].map(|name| (name, address.clone()));
    let direct = ("NO_PROXY", "localhost,127.0.0.1,::1".to_owned());
    to_proxy
        .into_iter()
        .chain([direct])
        .flat_map(|(name, value)| {
            [
                (name.to_owned(), value.clone()),
                (name.to_ascii_lowercase(), value),
            ]
        })
}

/// Variables that name a file of certificates to trust, each with who reads it.
const BUNDLES: &[&str] = &[
    // OpenSSL: python's ssl, ruby, perl, php; rustls-native-certs; Go.
    "SSL_CERT_FILE",
    // curl, and what is built on it.
    "CURL_CA_BUNDLE",
    // Python: requests, and pip.
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    // Node.js: besides its own.
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
    "NIX_SSL_CERT_FILE",
];

/// What makes the usual clients trust the certificates of this file, and the variables among them
/// that named another one. One that stayed would fail wherever TLS is opened; what it added to the
/// system's is for the administrator to add there.
pub(super) fn bundle(
    file: &Path,
    get: impl Fn(&str) -> Option<OsString>,
) -> (
    impl Iterator<Item = (&'static str, &Path)>,
    Vec<&'static str>,
) {
    let names_another = |name: &&str| get(name).is_some_and(|value| value != *file);
    let replaced = BUNDLES.iter().copied().filter(names_another).collect();
    (BUNDLES.iter().map(move |name| (*name, file)), replaced)
}

/// The variables that lead nowhere. `get` has their values, `is_socket` knows what is there.
pub(super) fn dead(
    get: impl Fn(&str) -> Option<String>,
    is_socket: impl Fn(&Path) -> bool,
) -> Vec<&'static str> {
    let runtime = get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let leads_nowhere = |name: &str| {
        let value = get(name)?;
        let path = match path(&value) {
            Some(path) => path,
            None if name == "WAYLAND_DISPLAY" => runtime.as_ref()?.join(&value),
            None => return None,
        };
        Some(!is_socket(&path))
    };
    ADDRESSES
        .iter()
        .copied()
        .filter(|name| leads_nowhere(name).unwrap_or(false))
        .collect()
}

/// `/a/b`, `unix:///a/b`, `unix:/a/b`, `unix:path=/a/b,guid=…`, `/a/b,123,0`, `/a/b:0:1`.
fn path(value: &str) -> Option<PathBuf> {
    let value = value.strip_prefix("unix:").unwrap_or(value);
    let value = value.strip_prefix("path=").unwrap_or(value);
    let value = value
        .strip_prefix("//")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(value);
    let end = value.find([',', ';', ':']).unwrap_or(value.len());
    let value = value.get(..end)?;
    value.starts_with('/').then(|| PathBuf::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_spelling() {
        for text in [
            "/a/b",
            "unix:///a/b",
            "unix:/a/b",
            "unix:path=/a/b",
            "unix:path=/a/b,guid=0",
            "/a/b,123,0",
            "/a/b:0:1",
        ] {
            assert_eq!(path(text).as_deref(), Some(Path::new("/a/b")), "{text}");
        }
        for text in [
            "",
            "tcp://127.0.0.1:2375",
            "unix:abstract=/tmp/x",
            "wayland-0",
            "@/tmp/x",
        ] {
            assert_eq!(path(text), None, "{text}");
        }
    }

    #[test]
    fn what_named_other_certificates_is_told() {
        let get = |name: &str| match name {
            "SSL_CERT_FILE" => Some("/home/me/corp.pem".into()),
            "PIP_CERT" => Some("/run/egressd/ca/agents.pem".into()),
            _ => None,
        };
        let (set, replaced) = bundle(Path::new("/run/egressd/ca/agents.pem"), get);
        assert_eq!(replaced, ["SSL_CERT_FILE"]);
        assert!(
            set.into_iter()
                .any(|(name, _)| name == "NODE_EXTRA_CA_CERTS")
        );
    }

    #[test]
    fn only_what_leads_to_a_hidden_socket_is_dead() {
        let get = |name: &str| {
            let value = match name {
                "SSH_AUTH_SOCK" => "/run/user/7/agent",
                "DBUS_SESSION_BUS_ADDRESS" => "unix:path=/run/user/7/bus",
                "DOCKER_HOST" => "tcp://10.0.0.1:2375",
                "WAYLAND_DISPLAY" => "wayland-0",
                "XDG_RUNTIME_DIR" => "/run/user/7",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let dead = dead(get, |path| path.ends_with("agent"));
        assert_eq!(dead, ["DBUS_SESSION_BUS_ADDRESS", "WAYLAND_DISPLAY"]);
    }
}
