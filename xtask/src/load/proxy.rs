//! Clients of a proxy, and the server that they reach through it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    net::sockopt,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::{median, monotonic, per_second};

/// Requests and connections that are made before the first one counts.
const WARM: usize = 20;
/// What one write of a stream carries.
const WRITE: usize = 1 << 17;
/// Ends what is counted. An end of the client's side would do, if squid passed it on.
const LAST: u8 = 1;
/// The server's answer to a TLS client: an alert in form, nothing in meaning.
const WELCOME: [u8; 7] = [21, 3, 3, 0, 2, 1, 0];
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n\
    a small page of sixty-four octets, which is all there is to say\n";
/// A thread of the server does little.
const STACK: usize = 48 << 10;
/// The longest head of a response that is read.
const HEAD: usize = 8 << 10;

/// Answers requests with a small page. A client that begins with TLS is welcomed, and what it sends
/// until its last byte is counted and told.
pub(super) fn answer(address: SocketAddr) -> Result<()> {
    raise_files()?;
    let listener = TcpListener::bind(address).with_context(|| format!("binding {address}/tcp"))?;
    // The backlog of the standard library is short for thousands at a time.
    rustix::net::listen(&listener, 4096).context("listening")?;
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || {
                // A client that left is no fault.
                attend(stream).ok();
            })
            .context("starting a thread")?;
    }
}

fn attend(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0; 2048];
    let read = stream.read(&mut first)?;
    if first.first() == Some(&b'G') {
        let mut request = first.get(..read).unwrap_or_default().to_vec();
        loop {
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut first)?;
                if read == 0 {
                    return Ok(());
                }
                request.extend_from_slice(first.get(..read).unwrap_or_default());
            }
            request.clear();
            stream.write_all(PAGE)?;
        }
    }
    stream.write_all(&WELCOME)?;
    // Nothing is held for a client that says nothing more.
    stream.peek(&mut [0])?;
    let mut buffer = vec![0; WRITE * 2];
    let mut count: u64 = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            read => {
                count += read as u64;
                if buffer.get(read - 1) == Some(&LAST) {
                    break;
                }
            }
        }
    }
    stream.write_all(&count.to_be_bytes())?;
    Ok(())
}

/// Medians in nanoseconds of so many CONNECTs to `target`: from the request to the head of the
/// answer, and from the connection to the proxy on. Every answer must have this status.
pub(super) fn ask_tunnel(
    proxy: SocketAddr,
    target: &str,
    status: &str,
    count: usize,
) -> Result<[String; 2]> {
    let mut alone = Vec::with_capacity(count);
    let mut whole = Vec::with_capacity(count);
    for round in 0..count + WARM {
        let start = monotonic();
        let mut stream = connected(proxy)?;
        let before = monotonic();
        let head = connect(&mut stream, target)?;
        let end = monotonic();
        // A reset in place of a FIN leaves no port in TIME_WAIT.
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).context("SO_LINGER")?;
        expect(&head, status)?;
        if round >= WARM {
            alone.push(end - before);
            whole.push(end - start);
        }
    }
    Ok([median(alone), median(whole)].map(|nanos| nanos.to_string()))
}

/// The median in nanoseconds from connect(2) to the first byte of the server, which is told this
/// name in a hello of TLS.
pub(super) fn first_byte(address: SocketAddr, name: &str, count: usize) -> Result<u64> {
    let hello = hello(name);
    let mut times = Vec::with_capacity(count);
    for round in 0..count + WARM {
        let start = monotonic();
        let mut stream = connected(address)?;
        greet(&mut stream, &hello)?;
        let took = monotonic() - start;
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).context("SO_LINGER")?;
        if round >= WARM {
            times.push(took);
        }
    }
    Ok(median(times))
}

/// Bytes per second of one stream after a hello of TLS, counted when the server has them all.
pub(super) fn tunnel(
    address: SocketAddr,
    name: &str,
    target: Option<&str>,
    time: Duration,
) -> Result<u64> {
    let mut stream = connected(address)?;
    if let Some(target) = target {
        let head = connect(&mut stream, target)?;
        expect(&head, "200")?;
    }
    greet(&mut stream, &hello(name))?;
    let payload = vec![0_u8; WRITE];
    let start = monotonic();
    let end = start + u64::try_from(time.as_nanos())?;
    let mut sent: u64 = 0;
    while monotonic() < end {
        stream.write_all(&payload)?;
        sent += payload.len() as u64;
    }
    stream.write_all(&[LAST])?;
    sent += 1;
    let mut count = [0; 8];
    stream
        .read_exact(&mut count)
        .context("reading what arrived")?;
    let took = monotonic() - start;
    let arrived = u64::from_be_bytes(count);
    ensure!(arrived == sent, "{sent} bytes were sent, {arrived} arrived");
    Ok(per_second(sent, took))
}

/// Requests per second over so many connections that are kept, one request at a time on each.
/// `host` is asked for; with `absolute`, as a proxy is asked.
pub(super) fn get(
    address: SocketAddr,
    host: &str,
    absolute: bool,
    connections: usize,
    time: Duration,
) -> Result<u64> {
    let origin = if absolute {
        format!("http://{host}")
    } else {
        String::new()
    };
    let request = format!("GET {origin}/page HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
    let start = monotonic();
    let end = start + u64::try_from(time.as_nanos())?;
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let request = request.clone();
            thread::spawn(move || -> Result<u64> {
                let mut stream = BufReader::new(connected(address)?);
                let mut count = 0;
                while monotonic() < end {
                    stream.get_mut().write_all(request.as_bytes())?;
                    page(&mut stream)?;
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    let mut count = 0;
    for thread in threads {
        let Ok(done) = thread.join() else {
            anyhow::bail!("a thread of the load panicked")
        };
        count += done?;
    }
    Ok(per_second(count, monotonic() - start))
}

/// Opens so many tunnels that say nothing after their beginning, says `ready`, and keeps them until
/// standard input ends.
pub(super) fn idle(proxy: SocketAddr, name: &str, target: &str, count: usize) -> Result<String> {
    raise_files()?;
    let hello = hello(name);
    let mut tunnels = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = connected(proxy)?;
        let head = connect(&mut stream, target)?;
        expect(&head, "200")?;
        greet(&mut stream, &hello)?;
        tunnels.push(stream);
    }
    let mut out = std::io::stdout();
    writeln!(out, "ready").context("saying so")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    // Both ways still work.
    let mut alive = 0;
    for stream in &mut tunnels {
        stream.write_all(&[LAST])?;
        let mut count = [0; 8];
        if stream.read_exact(&mut count).is_ok() && u64::from_be_bytes(count) == 1 {
            alive += 1;
        }
    }
    Ok(format!("{alive}"))
}

fn connected(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Asks for a tunnel, and returns the head of the answer.
fn connect(stream: &mut TcpStream, target: &str) -> Result<String> {
    write!(
        stream,
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream
            .read(&mut piece)
            .context("reading the answer to CONNECT")?;
        ensure!(
            read > 0 && head.len() < HEAD,
            "no answer to CONNECT {target}"
        );
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn expect(head: &str, status: &str) -> Result<()> {
    let found = head.split(' ').nth(1);
    ensure!(
        found == Some(status),
        "{status} was expected and this came: {head}"
    );
    Ok(())
}

fn greet(stream: &mut TcpStream, hello: &[u8]) -> Result<()> {
    stream.write_all(hello)?;
    let mut welcome = [0; WELCOME.len()];
    stream
        .read_exact(&mut welcome)
        .context("reading the welcome")?;
    ensure!(welcome == WELCOME, "the hello was answered {welcome:?}");
    Ok(())
}

/// Reads a response with a `Content-Length`.
fn page(stream: &mut BufReader<TcpStream>) -> Result<()> {
    let mut length = None;
    let mut line = String::new();
    let mut is_first = true;
    loop {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "the connection ended");
        if is_first {
            expect(&line, "200")?;
            is_first = false;
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    let mut body = vec![0; length.context("a response without a length")?];
    stream.read_exact(&mut body).context("reading a body")
}

/// A `ClientHello` for this name (RFC 8446 section 4.1.2) that no server would take further.
fn hello(name: &str) -> Vec<u8> {
    let counted = |body: &[u8]| {
        let mut out = u16::try_from(body.len())
            .unwrap_or(0)
            .to_be_bytes()
            .to_vec();
        out.extend_from_slice(body);
        out
    };
    let entry = [&[0][..], &counted(name.as_bytes())].concat();
    let server_name = [&[0, 0][..], &counted(&counted(&entry))].concat();
    let versions = [0, 43, 0, 3, 2, 3, 4];
    let extensions = counted(&[&server_name[..], &versions].concat());
    let random = [7; 32];
    let body = [&[3, 3][..], &random, &[0, 0, 2, 0x13, 1, 1, 0], &extensions].concat();
    let message = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

/// Thousands of sockets are more than a process may have by default.
fn raise_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("raising the limit for open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_the_hello_fit() {
        let hello = hello("a.test");
        assert_eq!(
            usize::from(u16::from_be_bytes([hello[3], hello[4]])),
            hello.len() - 5
        );
        assert_eq!(
            usize::from(u16::from_be_bytes([hello[7], hello[8]])),
            hello.len() - 9
        );
        assert!(hello.windows(6).any(|part| part == b"a.test"));
    }

    #[test]
    fn a_page_has_the_length_that_it_tells() {
        let text = std::str::from_utf8(PAGE).expect("text");
        let (_, body) = text.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body.len(), 64);
    }

    #[test]
    fn a_status_is_the_second_word() {
        expect("HTTP/1.1 200 OK\r\n", "200").expect("as it should be");
        expect("HTTP/1.1 403 Forbidden\r\n", "200").expect_err("another");
    }
}
