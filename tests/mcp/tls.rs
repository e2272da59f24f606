//! A server behind TLS: with a certificate that is trusted, and with others.

use std::path::PathBuf;

use super::{
    http::{UPSTREAM, World},
    *,
};

/// An authority, and a certificate that it has issued for `localhost`.
struct Certificates {
    dir: TempDir,
}

impl Certificates {
    fn make() -> Self {
        let made = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let (ca, ca_key) = (made.file("ca.pem"), made.file("ca.key"));
        made.request("ca", &["-subj", "/CN=an authority of this test"]);
        let (ca, ca_key) = (ca.to_str().unwrap(), ca_key.to_str().unwrap());
        let issued = ["-CA", ca, "-CAkey", ca_key, "-subj", "/CN=server"];
        let names = ["-addext", "subjectAltName=DNS:localhost"];
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
        made.request("server", &[&issued[..], &names, &leaf].concat());
        made
    }

    fn request(&self, name: &str, more: &[&str]) {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(more)
            .arg("-keyout")
            .arg(self.file(&format!("{name}.key")))
            .arg("-out")
            .arg(self.file(&format!("{name}.pem")))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A server with the certificate, and its port.
    fn serve(&self) -> (Child, u16) {
        let mut server = Command::new("python3")
            .args(["-c", UPSTREAM])
            .arg(self.file("server.pem"))
            .arg(self.file("server.key"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        (server, line.trim().parse().unwrap())
    }

    /// A guard that trusts the authority in this file.
    fn guarded(&self, host: &str, trusted: &str) -> World {
        let (server, port) = self.serve();
        let url = format!("https://{host}:{port}/mcp");
        let file = self.file(trusted).display().to_string();
        World::before_with(server, &url, &[("SSL_CERT_FILE", &file)])
    }
}

#[test]
fn a_server_with_a_certificate_of_a_trusted_authority_is_called() {
    let world = Certificates::make().guarded("localhost", "ca.pem");
    let listed = world.post(&json!({ "jsonrpc": "2.0", "id": 0, "method": "tools/list" }));
    assert_eq!(listed.status, 200, "{}", listed.body);
    let answer = world.call("json");
    assert_eq!((answer.status, text(&answer.value())), (200, "ok"));
    let stream = world.call("stream").body;
    assert!(stream.starts_with("id: 7\r\n"), "{stream}");
    assert!(stream.contains("fine") && !stream.contains("a1a1"));
    let token = format!("ghp_{}", "a1".repeat(18));
    let answer = world.post(&call(1, "json", &json!({ "t": token })));
    assert_eq!((answer.status, answer.code().as_str()), (200, "secret"));
}

#[test]
fn a_certificate_that_is_not_trusted_or_for_another_name_is_refused_with_the_reason() {
    let certificates = Certificates::make();
    certificates.request("other", &["-subj", "/CN=another authority"]);
    for (host, trusted, why) in [
        ("localhost", "other.pem", "does not trust who issued it"),
        ("127.0.0.1", "ca.pem", "it is for another name"),
    ] {
        let world = certificates.guarded(host, trusted);
        let answer = world.post(&json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/list" }));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "untrusted-server")
        );
        let error = &answer.value()["error"];
        let reason = error["data"]["reason"].as_str().unwrap();
        assert!(reason.contains(why), "{error}");
        assert!(
            error["data"]["hint"]
                .as_str()
                .unwrap()
                .contains("SSL_CERT_FILE")
        );
        assert_eq!(answer.value()["id"], 5);
        let said = world.said();
        let lines: Vec<_> = said.lines().filter(|line| line.contains(why)).collect();
        assert_eq!(lines.len(), 1, "{said}");
    }
}

#[test]
fn a_server_without_tls_and_a_file_without_an_authority_are_told() {
    let certificates = Certificates::make();
    let mut plain = Command::new("python3")
        .args(["-c", UPSTREAM])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(plain.stdout.take().unwrap())
        .read_line(&mut port)
        .unwrap();
    let url = format!("https://localhost:{}/mcp", port.trim());
    let ca = certificates.file("ca.pem").display().to_string();
    let world = World::before_with(plain, &url, &[("SSL_CERT_FILE", &ca)]);
    let answer = world.post(&json!({ "jsonrpc": "2.0", "id": 5, "method": "ping" }));
    assert_eq!((answer.status, answer.code().as_str()), (502, "no-tls"));

    let output = Command::new(EGRESSCTL)
        .args(["mcp", "--listen", "127.0.0.1:0", "--upstream", &url])
        .arg("--state")
        .arg(state(certificates.dir.path()))
        .env("SSL_CERT_FILE", certificates.file("nothing.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("look at SSL_CERT_FILE"), "{said}");
}
