//! The resolver on real sockets: Debian's dnsmasq behind it, dig and raw sockets before it, and a
//! stub upstream where a real one cannot be told to misbehave. All of it on loopback.

mod clients;
mod upstreams;

use std::{
    io::Read as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    Server, bind,
    fake::{FakeHost, FakeNames},
    leases::Leases,
};

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn names() -> FakeNames {
    let mut names = FakeNames::new(&[
        ("www.example.com", 1),
        ("v6.example.com", 1),
        ("alias.example.com", 2),
        ("big.example.com", 3),
        ("huge.example.com", 3),
        ("missing.example.com", 4),
        ("rebind.example.com", 5),
        ("text.example.com", 6),
        ("**.wild.example.com", 7),
    ]);
    names.settings.wildcard_names = 100_000;
    names.settings.terms.addresses_per_name = 200;
    names
}

/// Runs a test against a served resolver; the port is the first slot's.
fn with_server(upstreams: &[SocketAddr], test: impl AsyncFnOnce(Server<FakeHost>, u16)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let sockets = bind([0; 4]).unwrap();
        let port = sockets.ports()[0];
        let server = Server::new(FakeHost::new(names()), Leases::default(), upstreams);
        let running = server.clone();
        let task = tokio::task::spawn_local(async move { running.run(sockets).await });
        tokio::time::timeout(PATIENCE, test(server, port))
            .await
            .expect("the test hangs");
        assert!(!task.is_finished(), "the server ended");
        task.abort();
    });
}

/// dig(1) against the resolver; what it prints, and whether it got an answer.
async fn dig(port: u16, arguments: &str) -> (String, bool) {
    let output = tokio::process::Command::new("dig")
        .args(["-p", &port.to_string(), "+tries=1", "+time=6"])
        .args(arguments.split_whitespace())
        .output()
        .await
        .expect("dig (package bind9-dnsutils) must be installed");
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.success(),
    )
}

/// The `+short` answer lines, sorted.
async fn short(port: u16, arguments: &str) -> Vec<String> {
    let (text, is_answered) = dig(port, &format!("@127.0.0.1 +short {arguments}")).await;
    assert!(is_answered, "{text}");
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A running dnsmasq with a zone of its own and a log of the questions that it saw.
struct Dnsmasq {
    child: Child,
    directory: tempfile::TempDir,
    address: SocketAddr,
}

impl Dnsmasq {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut hosts = String::from(
            "203.0.113.1 www.example.com\n2001:db8::1 v6.example.com\n203.0.113.2 edge.example.org\n",
        );
        hosts += "10.1.2.3 rebind.example.com\n";
        for last in 1..=60 {
            hosts.extend(["203.0.113.", &last.to_string(), " big.example.com\n"]);
        }
        for last in 1..=150 {
            hosts.extend(["198.51.100.", &last.to_string(), " huge.example.com\n"]);
        }
        std::fs::write(directory.path().join("hosts"), hosts).unwrap();
        let port = free_port();
        let child = Command::new("dnsmasq")
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--user=root",
                "--group=root",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--log-queries",
                "--pid-file=",
                "--local-ttl=60",
            ])
            .arg(format!("--port={port}"))
            .arg(format!(
                "--addn-hosts={}",
                directory.path().join("hosts").display()
            ))
            .arg(format!(
                "--log-facility={}",
                directory.path().join("log").display()
            ))
            .args([
                "--cname=alias.example.com,mid.example.net",
                "--cname=mid.example.net,edge.example.org",
            ])
            .args([
                "--txt-record=text.example.com,hello",
                "--local=/example.com/",
                "--address=/wild.example.com/203.0.113.77",
            ])
            .stderr(Stdio::piped())
            .spawn()
            .expect("dnsmasq (package dnsmasq-base) must be installed");
        let mut dnsmasq = Self {
            child,
            directory,
            address: ([127, 0, 0, 1], port).into(),
        };
        dnsmasq.wait();
        dnsmasq
    }

    /// Until it answers.
    fn wait(&mut self) {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        socket.connect(self.address).unwrap();
        for _ in 0..200 {
            let sent = socket.send(&super::fake::query("ready.example.com", 1));
            if sent.and_then(|_| socket.recv(&mut [0; 512])).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut text = String::new();
        self.child.kill().unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        panic!("dnsmasq does not answer: {text}");
    }

    /// The lines of its log that name this.
    fn seen(&self, name: &str) -> usize {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        log.lines()
            .filter(|line| line.contains("query[") && line.contains(name))
            .count()
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
