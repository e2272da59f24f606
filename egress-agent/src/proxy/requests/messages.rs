//! `WebSockets`: both directions are read message by message, and a message leaves when it is whole
//! and was judged.

use std::io;

use egress_common::Reason;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};

use super::{
    Judge,
    answers::{can_be_stripped, cover, first, says, strip},
    budget::Use,
    fragments::Piece,
    look::{self, Looked, Spot},
};
use crate::{
    policy::OfAnswer,
    proxy::{
        flow::{Counts, Denial, Flow},
        told::Outcome,
        websocket::{Event, Frames, POLICY_VIOLATION, Said, Sender, close},
    },
};

/// What is read in one go.
const PIECE: usize = 16 << 10;

/// Why a WebSocket ends before its sides do.
enum Ended {
    /// One side is gone.
    Io(io::Error),
    /// A message is refused, or is none: the code of the close.
    Refused(u16, Box<Denial>),
}

impl Judge<'_> {
    /// Passes messages both ways until one side ends. `rest` and `first` were read already, of the
    /// client and of the host. `counts` are for a host whose socket does not count by itself.
    pub(in crate::proxy) async fn messages<C, H>(
        &self,
        flow: &Flow<'_>,
        (client, rest): (C, &[u8]),
        (host, first): (H, &[u8]),
        (counts, outcome): (Option<&Counts>, Outcome),
    ) where
        C: AsyncRead + AsyncWrite + Unpin,
        H: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut from_client, mut to_client) = split(client);
        let (mut from_host, mut to_host) = split(host);
        let ended = {
            let up = self.pump(counts, Sender::Client, rest, &mut from_client, &mut to_host);
            let down = self.pump(
                counts,
                Sender::Server,
                first,
                &mut from_host,
                &mut to_client,
            );
            let both = async { tokio::try_join!(up, down).map(drop) };
            let ended = flow.while_allowed(both).await;
            ended.unwrap_or_else(|denial| Err(Ended::Refused(POLICY_VIOLATION, Box::new(denial))))
        };
        match ended {
            Ok(()) => flow.told(outcome, None),
            Err(Ended::Io(error)) => {
                tracing::debug!(%error, "a WebSocket broke");
                flow.told(outcome, None);
            }
            Err(Ended::Refused(code, denial)) => {
                flow.denied(&denial);
                let text = format!("egressd: {}", denial.reason.code());
                let mut mask = [0; 4];
                // Without randomness a mask of zeros: what it hides is said in the open anyway.
                getrandom::fill(&mut mask).unwrap_or_default();
                let told: io::Result<()> = async {
                    to_client.write_all(&close(code, &text, None)).await?;
                    to_client.shutdown().await?;
                    to_host.write_all(&close(code, "", Some(mask))).await?;
                    to_host.shutdown().await
                }
                .await;
                if let Err(error) = told {
                    tracing::debug!(%error, "a WebSocket was gone before it was ended");
                }
            }
        }
    }

    async fn pump(
        &self,
        counts: Option<&Counts>,
        sender: Sender,
        early: &[u8],
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Ended> {
        let longest = usize::try_from(self.http.longest_body).unwrap_or(usize::MAX);
        let mut frames = Frames::new(sender, longest);
        let mut events = Vec::new();
        let mut bytes = early.to_vec();
        loop {
            let fed = frames.feed(&bytes, &mut events);
            for event in events.drain(..) {
                let bytes = match sender {
                    Sender::Client => self.sent(event),
                    Sender::Server => self.received(event),
                };
                let bytes =
                    bytes.map_err(|denial| Ended::Refused(POLICY_VIOLATION, Box::new(denial)))?;
                to.write_all(&bytes).await.map_err(Ended::Io)?;
                to.flush().await.map_err(Ended::Io)?;
                match (counts, sender) {
                    (Some(counts), Sender::Client) => counts.add_up(bytes.len()),
                    (Some(counts), Sender::Server) => counts.add_down(bytes.len()),
                    (None, Sender::Client | Sender::Server) => {}
                }
            }
            if let Err(invalid) = fed {
                let message = format!("the WebSocket cannot be read: {invalid}");
                let denial = Denial::by(Reason::UnreadableRequest, self.rule, message);
                return Err(Ended::Refused(invalid.close_code(), Box::new(denial)));
            }
            bytes.clear();
            bytes.reserve(PIECE);
            if from.read_buf(&mut bytes).await.map_err(Ended::Io)? == 0 {
                to.shutdown().await.map_err(Ended::Io)?;
                return Ok(());
            }
        }
    }

    /// A message of the client, as it may leave.
    fn sent(&self, event: Event) -> Result<Vec<u8>, Denial> {
        let Event { said, raw } = event;
        let text = payload(&said);
        let mut looked = Looked::NOTHING;
        if !text.is_empty() && self.reads_requests() {
            let seen = self.content().leaves(look::form(text), text);
            looked.add(seen, |_| Spot::Message);
            let piece = Piece {
                place: "message".to_owned(),
                text: text.to_vec(),
            };
            self.join(vec![piece], &mut looked);
        }
        self.hold(self.weigh(looked))?;
        self.hold(self.misplaced_in(|word| memchr::memmem::find(text, word).is_some()))?;
        self.spend(Use {
            requests: 1,
            up: u64::try_from(raw.len()).unwrap_or(u64::MAX),
            down: 0,
        })?;
        Ok(raw)
    }

    /// A message of the host, as the client may have it.
    fn received(&self, event: Event) -> Result<Vec<u8>, Denial> {
        let Event { said, raw } = event;
        self.spend(Use {
            requests: 0,
            up: 0,
            down: u64::try_from(raw.len()).unwrap_or(u64::MAX),
        })?;
        let mut text = payload(&said).to_vec();
        let is_covered = self
            .secret()
            .is_some_and(|secret| cover(secret.as_bytes(), &mut text));
        let raw = if is_covered { frame(&said, &text) } else { raw };
        let act = self.of_answers();
        if act == OfAnswer::Allow || text.is_empty() {
            return Ok(raw);
        }
        let sight = self.content().comes(look::form(&text), &text);
        if sight.findings.is_empty() && sight.is_complete {
            return Ok(raw);
        }
        match act {
            OfAnswer::Allow => Ok(raw),
            OfAnswer::Warn => {
                let what = says(
                    "a message holds what reads like orders to the model",
                    &sight,
                );
                self.flow.witness().noted(self.rule, what, first(&sight));
                Ok(raw)
            }
            OfAnswer::Strip if can_be_stripped(&sight) && is_message(&said) => {
                let what = says("orders were taken out of a message", &sight);
                self.flow.witness().noted(self.rule, what, first(&sight));
                let memory = self.flow.place.memory.borrow();
                let redaction = &self.policy.inspect().redaction;
                Ok(frame(
                    &said,
                    &strip(&text, &sight, redaction, &memory.tokens),
                ))
            }
            OfAnswer::Strip | OfAnswer::Deny => Err(self.orders(&sight)),
        }
    }
}

fn payload(said: &Said) -> &[u8] {
    match said {
        Said::Text(text) | Said::Close(Some((_, text))) => text.as_bytes(),
        Said::Binary(bytes) | Said::Ping(bytes) | Said::Pong(bytes) => bytes,
        Said::Close(None) => &[],
    }
}

fn is_message(said: &Said) -> bool {
    matches!(said, Said::Text(_) | Said::Binary(_))
}

/// What a server says, with another payload, in one frame (RFC 6455 section 5.2). A close keeps
/// its code.
fn frame(said: &Said, payload: &[u8]) -> Vec<u8> {
    let opcode = match said {
        Said::Text(_) => 1,
        Said::Binary(_) => 2,
        Said::Close(Some((code, _))) => {
            return close(*code, &String::from_utf8_lossy(payload), None);
        }
        Said::Close(None) => 8,
        Said::Ping(_) => 9,
        Said::Pong(_) => 10,
    };
    let mut bytes = vec![0x80 | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => bytes.push(length),
        (_, Ok(length)) => {
            bytes.push(126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            bytes.push(127);
            let length = u64::try_from(payload.len()).unwrap_or(u64::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_message_is_a_frame_of_its_own() {
        for length in [0, 5, 125, 126, 65_535, 65_536] {
            let text = "x".repeat(length);
            let bytes = frame(&Said::Text("before".to_owned()), text.as_bytes());
            let mut events = Vec::new();
            let mut frames = Frames::new(Sender::Server, 1 << 20);
            frames.feed(&bytes, &mut events).unwrap();
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].said, Said::Text(text));
        }
    }
}
