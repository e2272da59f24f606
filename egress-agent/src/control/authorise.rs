//! Who may ask what. Pure, and the only place where it is decided.
//!
//! | peer | may |
//! |---|---|
//! | root, outside of every guard | everything |
//! | who can reach the socket, outside | look at everything, the dashboard too, enter, end sessions of the same uid |
//! | guarded, whatever its uid | `status`, `why`, `denials`, `egress`, `judge` and `aftermath` of its own session |
//! | guarded, in no session | `judge`: an agent may be guarded without one |
//! | the connection that entered a session, from inside it | tell once what holds it |
//!
//! A request of a guarded peer that names no session is narrowed to its own, so that what is
//! carried out never says "everything" for it.

use super::{
    message::{Code, Failure, Request},
    peer::Peer,
};

/// Where a peer runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    Outside,
    /// Inside a guarded cgroup, or nobody knows where.
    Guarded {
        /// Absent when it is in no session, or in one that nobody knows.
        session: Option<String>,
    },
}

/// Says what may be carried out for `peer`. `entered` is the session that it entered on this
/// connection, and has not told about; `owner` tells the uid that entered a session.
pub fn authorise(
    peer: &Peer,
    standing: &Standing,
    entered: Option<&str>,
    owner: impl FnOnce(&str) -> Option<u32>,
    request: Request,
) -> Result<Request, Failure> {
    match standing {
        Standing::Guarded { session } => narrow(session.as_deref(), entered, request),
        // Only what is inside knows what holds it.
        Standing::Outside if peer.uid == 0 && !matches!(request, Request::Confined { .. }) => {
            Ok(request)
        }
        Standing::Outside => {
            let refusal = match &request {
                Request::Status { .. }
                | Request::Sessions {}
                | Request::Why { .. }
                | Request::Log { .. }
                | Request::Denials { .. }
                | Request::Egress { .. }
                | Request::Overview { .. }
                | Request::Judge { session: None, .. }
                | Request::Aftermath { .. }
                | Request::Dashboard {}
                | Request::Enter { .. } => None,
                Request::End { session } if owner(session) == Some(peer.uid) => None,
                Request::End { .. } => Some("end a session of somebody else"),
                // Its records would say what that session did.
                Request::Judge { .. } => Some("have a call judged for a session that it is not in"),
                Request::Reload { .. } => Some("reload a policy"),
                Request::Release { .. } => Some("take a guard off"),
                Request::Verbosity { .. } => Some("change the diagnostic log"),
                Request::Confined { .. } => Some("say what holds a session"),
                Request::Allow { .. } => Some("open a destination"),
                // The reasons that people give are theirs.
                Request::Grants {} => Some("see what was granted"),
                Request::Revoke { .. } => Some("take a grant back"),
                Request::Pending {} => Some("see what waits for approval"),
                Request::Approve { .. } => Some("approve anything"),
            };
            refusal.map_or(Ok(request), |what| {
                let message = format!("uid {} may not {what}: only root may", peer.uid);
                Err(Failure::new(Code::Forbidden, message).with_help("run it with sudo"))
            })
        }
    }
}

/// What of `cgroup` is below `guard`, both as in `/proc/PID/cgroup`: empty for the guarded cgroup
/// itself, `None` outside of it. Compares whole components.
pub fn below<'a>(cgroup: &'a str, guard: &str) -> Option<&'a str> {
    // What the kernel adds to the path of a removed cgroup.
    let cgroup = cgroup.strip_suffix(" (deleted)").unwrap_or(cgroup);
    let rest = cgroup.strip_prefix(guard.trim_end_matches('/'))?;
    match rest.strip_prefix('/') {
        Some(below) => Some(below),
        None => rest.is_empty().then_some(rest),
    }
}

/// What a guarded peer may ask, narrowed to its own session.
fn narrow(own: Option<&str>, entered: Option<&str>, request: Request) -> Result<Request, Failure> {
    let forbidden = |message: &str| {
        Err(Failure::new(Code::Forbidden, message)
            .with_help("ask from outside of the guarded cgroup"))
    };
    let mut request = request;
    let asked = match &mut request {
        Request::Status { session }
        | Request::Why { session, .. }
        | Request::Denials { session }
        | Request::Egress { session }
        | Request::Aftermath { session, .. } => session,
        // The policy that judges is the one of the cgroup, session or not.
        Request::Judge { session, .. } if own.is_none() && session.is_none() => return Ok(request),
        Request::Judge { session, .. } => session,
        Request::Confined { session, .. } if own.is_some() && own == entered => session,
        // Its lists are of the whole machine, and a glance at one session is `status` and `denials`.
        Request::Sessions {}
        | Request::Log { .. }
        | Request::Overview { .. }
        | Request::Dashboard {} => {
            return forbidden("a guarded process sees no more than its own session");
        }
        Request::Reload { .. }
        | Request::Release { .. }
        | Request::Enter { .. }
        | Request::End { .. }
        | Request::Allow { .. }
        | Request::Grants {}
        | Request::Revoke { .. }
        | Request::Pending {}
        | Request::Approve { .. }
        | Request::Confined { .. }
        | Request::Verbosity { .. } => {
            return forbidden("a guarded process cannot change a guard, whatever its uid");
        }
    };
    let Some(own) = own else {
        return forbidden("the process is in no session that egressd knows");
    };
    if asked.as_deref().is_some_and(|asked| asked != own) {
        return forbidden("a guarded process sees no more than its own session");
    }
    *asked = Some(own.to_owned());
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Request> {
        let session = Some("mine".to_owned());
        vec![
            Request::Status { session: None },
            Request::Status {
                session: session.clone(),
            },
            Request::Why {
                target: "x:1".to_owned(),
                session: None,
            },
            Request::Denials { session },
            Request::Judge {
                call: crate::tools::Call::new("Bash", serde_json::Value::Null),
                id: None,
                session: None,
                mcp: false,
                passage: None,
                rewrites: false,
            },
            Request::Aftermath {
                id: None,
                session: Some("mine".to_owned()),
            },
            Request::Sessions {},
            Request::Overview { session: None },
            Request::Overview {
                session: Some("mine".to_owned()),
            },
            Request::Log {
                filter: crate::audit::filter::Filter::default(),
                last: None,
                follow: false,
            },
            Request::Dashboard {},
            Request::Enter {
                guard: None,
                session: None,
                command: Vec::new(),
                places: crate::policy::Places::default(),
                observe: false,
            },
            Request::End {
                session: "mine".to_owned(),
            },
            Request::End {
                session: "other".to_owned(),
            },
            Request::Reload { guard: None },
            Request::Release { guard: None },
            Request::Verbosity {
                filter: "debug".to_owned(),
            },
        ]
    }

    /// Root outside alone opens anything, or sees what was opened and why.
    #[test]
    fn nobody_else_grants_or_approves() {
        let wish = crate::control::grants::Wish {
            target: "example.com".to_owned(),
            session: Some("mine".to_owned()),
            ..crate::control::grants::Wish::default()
        };
        let settlement = crate::control::grants::Settlement {
            id: 1,
            verdict: crate::audit::record::Verdict::Allow,
            seconds: None,
            for_all: false,
            why: None,
        };
        let requests = [
            Request::Allow {
                wish: wish.clone(),
                act: crate::control::grants::Act::Show,
                claimed: None,
            },
            Request::Allow {
                wish,
                act: crate::control::grants::Act::Grant,
                claimed: None,
            },
            Request::Grants {},
            Request::Revoke {
                id: 1,
                claimed: None,
            },
            Request::Pending {},
            Request::Approve {
                settlement,
                claimed: None,
            },
        ];
        let inside = |session: Option<&str>| Standing::Guarded {
            session: session.map(str::to_owned),
        };
        for request in requests {
            let may = |uid, standing: &Standing| {
                let peer = Peer::new(9, uid, uid, None);
                let owner = |_: &str| Some(uid);
                authorise(&peer, standing, Some("mine"), owner, request.clone()).is_ok()
            };
            assert!(may(0, &Standing::Outside), "{request:?}");
            assert!(!may(1000, &Standing::Outside), "{request:?}");
            for uid in [0, 1000] {
                assert!(!may(uid, &inside(None)), "{request:?}");
                assert!(!may(uid, &inside(Some("mine"))), "{request:?}");
            }
        }
    }

    /// How many of [`all`] are allowed: they stand in the order of the rights they need.
    #[track_caller]
    fn check(uid: u32, standing: &Standing, allowed: &[bool]) {
        let peer = Peer::new(9, uid, uid, Some("/".to_owned()));
        let owner = |session: &str| (session == "mine").then_some(1000);
        let got: Vec<_> = all()
            .into_iter()
            .map(
                |request| match authorise(&peer, standing, None, owner, request) {
                    Ok(_) => true,
                    Err(failure) => {
                        assert_eq!(failure.code, Code::Forbidden);
                        false
                    }
                },
            )
            .collect();
        assert_eq!(got, allowed, "uid {uid} {standing:?}");
    }

    #[test]
    fn rights_follow_place_before_uid() {
        const Y: bool = true;
        const N: bool = false;
        let session = |name: Option<&str>| Standing::Guarded {
            session: name.map(str::to_owned),
        };
        check(0, &Standing::Outside, &[Y; 17]);
        check(
            1000,
            &Standing::Outside,
            &[Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, N, N, N, N],
        );
        check(
            1001,
            &Standing::Outside,
            &[Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, N, N, N, N, N],
        );
        for uid in [0, 1000] {
            check(
                uid,
                &session(Some("mine")),
                &[Y, Y, Y, Y, Y, Y, N, N, N, N, N, N, N, N, N, N, N],
            );
            check(
                uid,
                &session(Some("their")),
                &[Y, N, Y, N, Y, N, N, N, N, N, N, N, N, N, N, N, N],
            );
            check(
                uid,
                &session(None),
                &[N, N, N, N, Y, N, N, N, N, N, N, N, N, N, N, N, N],
            );
        }
    }

    #[test]
    fn a_cgroup_is_below_another_by_whole_components() {
        assert_eq!(below("/agent.slice/s1/x", "/agent.slice"), Some("s1/x"));
        assert_eq!(below("/agent.slice", "/agent.slice"), Some(""));
        assert_eq!(
            below("/agent.slice/s1 (deleted)", "/agent.slice"),
            Some("s1")
        );
        assert_eq!(below("/agent.slice-2/s1", "/agent.slice"), None);
        assert_eq!(below("/", "/agent.slice"), None);
        assert_eq!(below("/agent.slice", "/"), Some("agent.slice"));
    }

    #[test]
    fn what_holds_a_session_is_told_by_the_connection_that_entered_it() {
        let peer = Peer::new(9, 0, 0, None);
        let inside = Standing::Guarded {
            session: Some("mine".to_owned()),
        };
        let told = |standing: &Standing, entered: Option<&str>, session: Option<&str>| {
            let request = Request::Confined {
                session: session.map(str::to_owned),
                held: crate::control::confinement::Held::default(),
            };
            authorise(&peer, standing, entered, |_| None, request).is_ok()
        };
        assert!(told(&inside, Some("mine"), None));
        assert!(told(&inside, Some("mine"), Some("mine")));
        assert!(!told(&inside, Some("mine"), Some("other")));
        assert!(!told(&inside, Some("other"), None));
        assert!(!told(&inside, None, None));
        assert!(!told(&Standing::Outside, Some("mine"), Some("mine")));
        let nowhere = Standing::Guarded { session: None };
        assert!(!told(&nowhere, None, None));
    }

    /// It would be a way out.
    #[test]
    fn nobody_inside_has_a_session_that_is_only_observed() {
        let request = || Request::Enter {
            guard: None,
            session: None,
            command: Vec::new(),
            places: crate::policy::Places::default(),
            observe: true,
        };
        for uid in [0, 1000] {
            let peer = Peer::new(9, uid, uid, None);
            for session in [None, Some("mine".to_owned())] {
                let inside = Standing::Guarded { session };
                assert!(authorise(&peer, &inside, None, |_| None, request()).is_err());
            }
            assert!(authorise(&peer, &Standing::Outside, None, |_| None, request()).is_ok());
        }
    }

    #[test]
    fn a_guarded_peer_sees_the_rows_of_its_own_session() {
        let peer = Peer::new(9, 1000, 1000, None);
        let inside = Standing::Guarded {
            session: Some("mine".to_owned()),
        };
        let ask = |session: Option<&str>| {
            let session = session.map(str::to_owned);
            authorise(&peer, &inside, None, |_| None, Request::Egress { session })
        };
        let session = Some("mine".to_owned());
        assert_eq!(ask(None), Ok(Request::Egress { session }));
        assert!(ask(Some("other")).is_err());
    }

    #[test]
    fn a_guarded_peer_never_asks_about_everything() {
        let peer = Peer::new(9, 0, 0, None);
        let standing = Standing::Guarded {
            session: Some("mine".to_owned()),
        };
        let request = authorise(
            &peer,
            &standing,
            None,
            |_| None,
            Request::Status { session: None },
        );
        let session = Some("mine".to_owned());
        assert_eq!(request, Ok(Request::Status { session }));
    }
}
