//! A name's addresses for a client that is led through the proxy: the same engine, the same
//! policy and the same leases as for a question that came over a socket.

use std::{net::IpAddr, rc::Rc, time::Duration};

use egress_common::ClientKey;
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name as WireName, RData, RecordType, rdata::opt::EdnsOption},
};
use tokio::sync::oneshot;

use super::{
    Host,
    engine::Step,
    server::{Route, Shared},
};
use crate::policy::Name;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// How long that may be remembered: the shortest of the records'.
    pub ttl: Duration,
}

/// Why there is no address, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAddress {
    pub message: String,
    /// The policy refused, and not the world.
    pub is_denial: bool,
}

/// Asks for A and AAAA at once. IPv4 stands first: it is what every place can reach.
pub(super) async fn addresses<H: Host + 'static>(
    shared: &Rc<Shared<H>>,
    from: ClientKey,
    name: &Name,
) -> Result<Addresses, NoAddress> {
    let (v4, v6) = tokio::join!(
        ask(shared, from, name, RecordType::A),
        ask(shared, from, name, RecordType::AAAA),
    );
    match (v4, v6) {
        (Ok(mut v4), Ok(v6)) => {
            v4.addresses.extend(v6.addresses);
            v4.ttl = v4.ttl.min(v6.ttl);
            if v4.addresses.is_empty() {
                return Err(NoAddress {
                    message: format!("{name} has no address"),
                    is_denial: false,
                });
            }
            Ok(v4)
        }
        (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.addresses.is_empty() => Ok(one),
        (Err(why), _) | (_, Err(why)) => Err(why),
    }
}

async fn ask<H: Host + 'static>(
    shared: &Rc<Shared<H>>,
    from: ClientKey,
    name: &Name,
    kind: RecordType,
) -> Result<Addresses, NoAddress> {
    let broken = |what: String| NoAddress {
        message: what,
        is_denial: false,
    };
    let wire =
        WireName::from_ascii(format!("{name}.")).map_err(|error| broken(error.to_string()))?;
    let mut question = Message::new(0, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(wire, kind));
    question.edns = Some(Edns::new());
    let bytes = question
        .to_vec()
        .map_err(|error| broken(error.to_string()))?;
    let (reply, answered) = oneshot::channel();
    let mut out = Vec::new();
    let step = shared.ask(from, &bytes, &mut out, || Route::Inside(reply));
    let bytes = match step {
        Step::Reply => out,
        Step::Silent => return Err(broken(format!("{name} cannot be asked for"))),
        Step::Wait | Step::Ask(_) | Step::Approve { .. } => answered
            .await
            .map_err(|_closed| broken("the guard resolver gave no answer".to_owned()))?,
    };
    read(&bytes).map_err(|error| broken(error.to_string()))?
}

fn read(bytes: &[u8]) -> Result<Result<Addresses, NoAddress>, hickory_proto::ProtoError> {
    let message = Message::from_vec(bytes)?;
    let code = message.metadata.response_code;
    if code != ResponseCode::NoError {
        return Ok(Err(NoAddress {
            message: extended(&message).unwrap_or_else(|| code.to_string()),
            is_denial: code == ResponseCode::Refused,
        }));
    }
    let addresses = message.answers.iter().filter_map(|record| {
        if let RData::A(address) = &record.data {
            Some(IpAddr::V4(address.0))
        } else if let RData::AAAA(address) = &record.data {
            Some(IpAddr::V6(address.0))
        } else {
            None
        }
    });
    // A type that the name does not have says nothing about how long the other is good for.
    let ttl = message.answers.iter().map(|record| record.ttl).min();
    Ok(Ok(Addresses {
        addresses: addresses.collect(),
        ttl: ttl.map_or(Duration::MAX, |ttl| Duration::from_secs(ttl.into())),
    }))
}

/// The text of the Extended DNS Error (RFC 8914 section 2), which is the engine's own.
fn extended(message: &Message) -> Option<String> {
    const EDE: u16 = 15;
    let options = message.edns.as_ref()?.options();
    let (_, EdnsOption::Unknown(_, data)) = options
        .as_ref()
        .iter()
        .find(|(code, _)| u16::from(*code) == EDE)?
    else {
        return None;
    };
    let text = String::from_utf8_lossy(data.get(2..)?).into_owned();
    (!text.is_empty()).then_some(text)
}
