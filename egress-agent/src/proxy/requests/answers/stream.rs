//! The body of an answer on its way: counted, decoded, its secret covered, and read as it passes.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use egress_common::{Reason, RuleId};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{Mask, can_be_stripped, first, says, strip};
use crate::{
    content::Form,
    policy::{self, OfAnswer, Policy},
    proxy::{
        decode::Decoder,
        exchange::upstream::LocalBody,
        flow::{Denial, Witness},
        requests::{
            Judge, Memory,
            budget::{Pair, Use},
            look,
        },
    },
    sse::{Event, Events},
};

/// Bytes of an event that can be judged.
const EVENT: usize = 1 << 20;
/// Bytes that are looked at in one go beside a stream.
const WINDOW: usize = 128 << 10;
/// Of these, the bytes that are looked at again with the next.
const OVERLAP: usize = 2 << 10;

/// A body that is read while it passes.
pub(super) struct Answer {
    incoming: LocalBody,
    pub(super) decoder: Option<Decoder>,
    mask: Option<Mask>,
    pub(super) reader: Reader,
    desk: Desk,
    out: BytesMut,
    trailers: Option<HeaderMap>,
    has_ended: bool,
}

/// How it is read.
pub(super) enum Reader {
    /// Not at all.
    Pass,
    /// Beside the stream: nothing waits, and what is found is recorded.
    Beside(Vec<u8>, Told),
    Events(Events, OfAnswer),
}

/// How much of the answer has been looked at and told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    is_later: bool,
    has_found: bool,
}

/// What is needed to judge, without the place that the request came to.
struct Desk {
    policy: Arc<Policy>,
    rule: RuleId,
    witness: Witness,
    memory: Rc<RefCell<Memory>>,
    pair: Pair,
    budget: Option<policy::Budget>,
    observes: bool,
}

impl Answer {
    pub(super) fn new(judge: &Judge<'_>, incoming: LocalBody, mask: Option<Mask>) -> Self {
        Self {
            incoming,
            decoder: None,
            mask,
            reader: Reader::Pass,
            desk: Desk {
                policy: Arc::clone(&judge.policy),
                rule: judge.rule,
                witness: judge.flow.witness(),
                memory: Rc::clone(&judge.flow.place.memory),
                pair: (judge.flow.client.session, judge.host.clone()),
                budget: judge.http.budget,
                observes: judge.flow.observes(),
            },
            out: BytesMut::new(),
            trailers: None,
            has_ended: false,
        }
    }

    /// The bytes that it begins with; none when it is empty.
    pub(super) async fn first(&mut self) -> io::Result<&[u8]> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await?;
        Ok(&self.out)
    }

    /// Has what was read to tell the kind of the answer read again, by the reader.
    pub(super) fn read_first(&mut self) {
        let first = self.out.split();
        // Beside a stream nothing is refused.
        if self.reader.read(&self.desk, &first, &mut self.out).is_err() || self.has_ended {
            self.reader
                .end(&self.desk, &mut self.out)
                .unwrap_or_default();
        }
    }

    /// Waits until there is something to pass on, or nothing more.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out.is_empty() && !self.has_ended {
            let frame = match self.incoming.as_mut().poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    self.reader.is_silent(&self.desk, &mut self.out)?;
                    if self.out.is_empty() {
                        return Poll::Pending;
                    }
                    break;
                }
            };
            let Some(frame) = frame else {
                self.has_ended = true;
                self.end()?;
                break;
            };
            match frame?.into_data() {
                Ok(data) => {
                    self.desk.spend(data.len())?;
                    self.take(&data)?;
                }
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, data: &[u8]) -> io::Result<()> {
        let mut decoded = Vec::new();
        let data = match &mut self.decoder {
            Some(decoder) => {
                let pushed = decoder.push(data, &mut decoded);
                pushed.map_err(|error| self.desk.cut(&error.to_string()))?;
                &decoded
            }
            None => data,
        };
        match &mut self.mask {
            Some(mask) => {
                let covered = mask.push(data);
                self.reader.read(&self.desk, &covered, &mut self.out)
            }
            None => self.reader.read(&self.desk, data, &mut self.out),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(decoder) = &mut self.decoder {
            let finished = decoder.finish();
            finished.map_err(|error| self.desk.cut(&error.to_string()))?;
        }
        if let Some(mask) = &mut self.mask {
            let rest = mask.rest();
            self.reader.read(&self.desk, &rest, &mut self.out)?;
        }
        self.reader.end(&self.desk, &mut self.out)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if let Err(error) = ready!(this.poll_fill(cx)) {
            this.has_ended = true;
            this.out.clear();
            return Poll::Ready(Some(Err(error)));
        }
        if this.out.is_empty() {
            let trailers = this.trailers.take();
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        Poll::Ready(Some(Ok(Frame::data(this.out.split().freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended && self.out.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // What is decoded or read by event may have another length.
        if self.decoder.is_some() || matches!(self.reader, Reader::Events(..)) {
            return SizeHint::new();
        }
        let held = self.mask.as_ref().map_or(0, Mask::held) + self.out.len();
        match (self.incoming.size_hint().exact(), u64::try_from(held)) {
            (Some(left), Ok(held)) => SizeHint::with_exact(held + left),
            (Some(_), Err(_)) | (None, _) => SizeHint::new(),
        }
    }
}

impl Reader {
    pub(super) fn beside() -> Self {
        Self::Beside(Vec::new(), Told::default())
    }

    pub(super) fn events(act: OfAnswer) -> Self {
        Self::Events(Events::new(EVENT), act)
    }

    fn read(&mut self, desk: &Desk, data: &[u8], out: &mut BytesMut) -> io::Result<()> {
        match self {
            Self::Pass => out.extend_from_slice(data),
            Self::Beside(seen, told) => {
                out.extend_from_slice(data);
                for piece in data.chunks(WINDOW) {
                    seen.extend_from_slice(piece);
                    if seen.len() >= WINDOW {
                        desk.note(seen, told);
                        seen.drain(..seen.len() - OVERLAP);
                    }
                }
            }
            Self::Events(events, act) => {
                let mut done = Vec::new();
                let taken = events.take(data, &mut done);
                for event in &done {
                    desk.event(event, *act, out)?;
                }
                taken.map_err(|long| desk.cut(&long.to_string()))?;
            }
        }
        Ok(())
    }

    /// The stream pauses.
    fn is_silent(&mut self, desk: &Desk, out: &mut BytesMut) -> io::Result<()> {
        match self {
            Self::Pass | Self::Beside(..) => Ok(()),
            Self::Events(events, act) => match events.end() {
                Some(event) => desk.event(&event, *act, out),
                None => Ok(()),
            },
        }
    }

    fn end(&mut self, desk: &Desk, out: &mut BytesMut) -> io::Result<()> {
        match std::mem::replace(self, Self::Pass) {
            Self::Pass => {}
            Self::Beside(seen, mut told) => desk.note(&seen, &mut told),
            Self::Events(events, act) => {
                if let Some(event) = events.rest() {
                    desk.event(&event, act, out)?;
                }
            }
        }
        Ok(())
    }
}

impl Desk {
    /// Counts bytes that came.
    fn spend(&self, length: usize) -> io::Result<()> {
        let Some(budget) = &self.budget else {
            return Ok(());
        };
        let more = Use {
            down: u64::try_from(length).unwrap_or(u64::MAX),
            ..Use::default()
        };
        let mut memory = self.memory.borrow_mut();
        let taken = memory
            .spending
            .take(&self.pair, budget, more, Instant::now());
        match taken {
            Ok(()) => Ok(()),
            Err(exceeded) => {
                let message = format!("the answer was cut: the budget ends at {}", exceeded.what);
                let denial = Denial::by(Reason::HostBudget, self.rule, message.clone());
                self.witness.denied(&denial);
                if self.observes {
                    return Ok(());
                }
                Err(io::Error::other(message))
            }
        }
    }

    /// Records that an answer which cannot be read ends early.
    fn cut(&self, why: &str) -> io::Error {
        let message = format!("the answer was cut: {why}");
        let denial = Denial::by(Reason::ContentDenied, self.rule, message.clone());
        self.witness.denied(&denial);
        io::Error::other(message)
    }

    /// Records orders in a part of an answer that has passed.
    fn note(&self, text: &[u8], told: &mut Told) {
        let form = if told.is_later {
            Form::Text
        } else {
            look::form(text)
        };
        told.is_later = true;
        if told.has_found {
            return;
        }
        let sight = self.policy.content().comes(form, text);
        if !sight.findings.is_empty() {
            told.has_found = true;
            let what = says(
                "the answer holds what reads like orders to the model",
                &sight,
            );
            self.witness.noted(self.rule, what, first(&sight));
        }
    }

    /// Passes an event on, or what may be passed on of it.
    fn event(&self, event: &Event, act: OfAnswer, out: &mut BytesMut) -> io::Result<()> {
        let data = event.data.as_deref().unwrap_or_default();
        let sight = self.policy.content().comes(look::form(data), data);
        if sight.findings.is_empty() && sight.is_complete {
            out.extend_from_slice(&event.raw);
            return Ok(());
        }
        let what = says("an event holds what reads like orders to the model", &sight);
        match act {
            OfAnswer::Allow => out.extend_from_slice(&event.raw),
            OfAnswer::Warn => {
                self.witness.noted(self.rule, what, first(&sight));
                out.extend_from_slice(&event.raw);
            }
            OfAnswer::Strip if can_be_stripped(&sight) => {
                self.witness.noted(self.rule, what, first(&sight));
                let tokens = &self.memory.borrow().tokens;
                let text = strip(data, &sight, &self.policy.inspect().redaction, tokens);
                out.extend_from_slice(&event.with(Some(&text)));
            }
            OfAnswer::Strip | OfAnswer::Deny => {
                let denial = Denial::by(Reason::ContentDenied, self.rule, what.clone());
                self.witness.denied(&denial.finding(first(&sight)));
                return Err(io::Error::other(what));
            }
        }
        Ok(())
    }
}
