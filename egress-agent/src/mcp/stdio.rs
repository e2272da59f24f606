//! The guard between two pairs of pipes: a client on standard input and output, and a server that
//! it starts. Standard output carries messages and nothing else; the server keeps our standard
//! error.
//!
//! No more than one message of each side is in memory, and a side that does not read holds up the
//! other as it would without a guard. Answers of our own wait in a short queue; when that is full
//! because nobody reads them, the conversation ends.

use std::{
    cell::RefCell,
    ffi::OsString,
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    sync::{Mutex, mpsc},
    time::{Instant, sleep, sleep_until},
};

use super::{
    lines::{Line, Lines},
    message::Invalid,
    session::{Action, Note, Session, Side, Step},
};

/// For a server to end after its input has; then after it was asked to; then it is killed.
const FAREWELL: Duration = Duration::from_secs(5);
const LAST_CALL: Duration = Duration::from_secs(2);
/// For the last bytes of a server that has ended: something else may hold its output open.
const DREGS: Duration = Duration::from_secs(1);
/// How often requests are looked at that wait for an answer.
const TICK: Duration = Duration::from_millis(500);
/// Answers of our own that wait to be written.
const QUEUE: usize = 256;

/// Starts `command` and stands between it and the client until one of them ends. The status of
/// the server.
pub async fn serve(
    session: Session,
    command: &[OsString],
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    witness: &dyn Fn(&Note),
) -> io::Result<ExitStatus> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::other("no command is named"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (server_in, server_out) =
        pipes.ok_or_else(|| io::Error::other("the server has no pipes"))?;
    let (reply_to_client, to_client) = mpsc::channel(QUEUE);
    let (reply_to_server, to_server) = mpsc::channel(QUEUE);
    let line = Conversation {
        session: RefCell::new(session),
        begun: Instant::now(),
        client: Mutex::new(Writer::new(output)),
        server: Mutex::new(Writer::new(server_in)),
        reply_to_client,
        reply_to_server,
        witness,
    };
    line.run(&mut child, input, server_out, to_client, to_server)
        .await
}

struct Conversation<'a, C, S> {
    session: RefCell<Session>,
    begun: Instant,
    client: Mutex<Writer<C>>,
    server: Mutex<Writer<S>>,
    reply_to_client: mpsc::Sender<Vec<u8>>,
    reply_to_server: mpsc::Sender<Vec<u8>>,
    witness: &'a dyn Fn(&Note),
}

impl<C: AsyncWrite + Unpin, S: AsyncWrite + Unpin> Conversation<'_, C, S> {
    async fn run(
        &self,
        child: &mut Child,
        input: impl AsyncRead + Unpin,
        output: impl AsyncRead + Unpin,
        to_client: mpsc::Receiver<Vec<u8>>,
        to_server: mpsc::Receiver<Vec<u8>>,
    ) -> io::Result<ExitStatus> {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.and_then(Pid::from_raw);
        // Pinned in boxes: what follows is one task, and small.
        let mut upwards = Box::pin(self.pump(input, Side::Client));
        let mut downwards = Box::pin(self.pump(output, Side::Server));
        let mut answers = Box::pin(drain(to_client, &self.client));
        let mut refusals = Box::pin(drain(to_server, &self.server));
        let mut ended = Box::pin(wait(child, pid));
        let mut ticks = tokio::time::interval(TICK);
        let (mut reads_client, mut reads_server, mut answers_client, mut answers_server) =
            (true, true, true, true);
        // When the server is asked to end, and when it has no more time.
        let mut farewell: Option<(Instant, Signal)> = None;
        let status = loop {
            tokio::select! {
                status = &mut ended => break status,
                _ = &mut upwards, if reads_client => {
                    reads_client = false;
                    self.close_server().await;
                    farewell.get_or_insert((Instant::now() + FAREWELL, Signal::TERM));
                }
                // Whether its output ended or nobody reads ours: it is of no use any more.
                _ = &mut downwards, if reads_server => {
                    reads_server = false;
                    reads_client = false;
                    self.close_server().await;
                    farewell.get_or_insert((Instant::now() + LAST_CALL, Signal::TERM));
                }
                () = &mut answers, if answers_client => answers_client = false,
                () = &mut refusals, if answers_server => answers_server = false,
                _ = ticks.tick() => self.expire(),
                () = until(farewell.map(|(time, _)| time)), if farewell.is_some() => {
                    if let Some((_, by)) = farewell {
                        strike(pid, by);
                        farewell = Some((Instant::now() + LAST_CALL, Signal::KILL));
                    }
                }
            }
        }?;
        // What it said last is still in the pipe.
        while reads_server {
            tokio::select! {
                _ = &mut downwards => reads_server = false,
                () = &mut answers, if answers_client => answers_client = false,
                // Nothing comes any more; a client that reads slowly has its time.
                () = sleep(DREGS) => reads_server = self.client.try_lock().is_err(),
            }
        }
        drop((upwards, downwards, answers, refusals));
        let why = format!("the server has ended ({status})");
        let errors = self.session.borrow_mut().server_gone(&why);
        let mut client = self.client.lock().await;
        for error in errors {
            if client.line(&error).await.is_err() {
                break;
            }
        }
        client.close().await;
        Ok(status)
    }

    /// Ends the input of the server. Where somebody still writes to it, nobody will again: the
    /// server ends by the signal that follows.
    async fn close_server(&self) {
        if let Ok(mut server) = self.server.try_lock() {
            server.close().await;
        }
    }

    /// Passes the messages of one side on, to its end.
    async fn pump(&self, source: impl AsyncRead + Unpin, side: Side) -> io::Result<()> {
        let mut lines = Lines::new(source);
        while let Some(line) = lines.next().await? {
            let now = self.begun.elapsed();
            let (bytes, actions) = match line {
                Line::Whole(bytes) => {
                    let mut session = self.session.borrow_mut();
                    let actions = match side {
                        Side::Client => session.from_client(&bytes, now),
                        Side::Server => session.from_server(&bytes, now),
                    };
                    (bytes, actions)
                }
                Line::TooLong(glimpsed) => {
                    let mut session = self.session.borrow_mut();
                    let invalid = Invalid::TooLong;
                    let action = match side {
                        Side::Client => session.unreadable_from_client(&invalid, glimpsed),
                        Side::Server => session.unreadable_from_server(&invalid, glimpsed),
                    };
                    (Vec::new(), vec![action])
                }
            };
            for Action { step, notes } in actions {
                notes.iter().for_each(self.witness);
                match step {
                    Step::Forward => self.onwards(side, &bytes, true).await?,
                    Step::Replace(other) => self.onwards(side, &other, false).await?,
                    Step::Reply(answer) => self.back(side, answer)?,
                    Step::Drop => {}
                }
            }
        }
        Ok(())
    }

    async fn onwards(&self, from: Side, bytes: &[u8], is_as_it_came: bool) -> io::Result<()> {
        match (from, is_as_it_came) {
            (Side::Client, true) => self.server.lock().await.whole(bytes).await,
            (Side::Client, false) => self.server.lock().await.line(bytes).await,
            (Side::Server, true) => self.client.lock().await.whole(bytes).await,
            (Side::Server, false) => self.client.lock().await.line(bytes).await,
        }
    }

    fn back(&self, to: Side, answer: Vec<u8>) -> io::Result<()> {
        let queue = match to {
            Side::Client => &self.reply_to_client,
            Side::Server => &self.reply_to_server,
        };
        queue
            .try_send(answer)
            .map_err(|error| io::Error::other(error.to_string()))
    }

    fn expire(&self) {
        let expired = self.session.borrow_mut().expired(self.begun.elapsed());
        for one in expired {
            (self.witness)(&one.note);
            // With a full queue the conversation is about to end anyway.
            drop(self.back(Side::Client, one.to_client));
            drop(self.back(Side::Server, one.to_server));
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Writes our own answers; ends when nobody takes them.
async fn drain<W: AsyncWrite + Unpin>(mut queue: mpsc::Receiver<Vec<u8>>, to: &Mutex<Writer<W>>) {
    while let Some(line) = queue.recv().await {
        if to.lock().await.line(&line).await.is_err() {
            return;
        }
    }
}

/// Waits for the server, and passes on what a supervisor sends to this process.
async fn wait(child: &mut Child, pid: Option<Pid>) -> io::Result<ExitStatus> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut user1 = signal(SignalKind::user_defined1())?;
    let mut user2 = signal(SignalKind::user_defined2())?;
    // Agents stop their servers with it, and mean the whole of them.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    loop {
        let forwarded = tokio::select! {
            status = child.wait() => return status,
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
            _ = user1.recv() => Signal::USR1,
            _ = user2.recv() => Signal::USR2,
            _ = interrupt.recv() => Signal::INT,
            _ = quit.recv() => Signal::QUIT,
        };
        strike(pid, forwarded);
    }
}

fn strike(pid: Option<Pid>, signal: Signal) {
    if let Some(pid) = pid {
        // A server that has just ended cannot be reached; `wait` says so next.
        kill_process(pid, signal).unwrap_or_default();
    }
}

/// Writes whole lines, and flushes each.
struct Writer<W> {
    to: Option<W>,
    /// The last bytes were no whole line.
    is_open: bool,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    fn new(to: W) -> Self {
        Self {
            to: Some(to),
            is_open: false,
        }
    }

    /// Bytes as they came, with their line feed or without.
    async fn whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        let to = self.to.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        if self.is_open {
            to.write_all(b"\n").await?;
        }
        // Until all of it is written, the line is open: whoever waits for this may be stopped.
        self.is_open = true;
        to.write_all(bytes).await?;
        to.flush().await?;
        self.is_open = !bytes.ends_with(b"\n");
        Ok(())
    }

    async fn line(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.whole(&[bytes, b"\n"].concat()).await
    }

    async fn close(&mut self) {
        if let Some(mut to) = self.to.take() {
            // It may be gone already.
            drop(to.shutdown().await);
        }
    }
}
