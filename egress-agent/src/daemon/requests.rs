//! Carrying out what the control socket lets through.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use egress_common::Counter;
use tokio::{sync::oneshot, task::spawn_local};

use super::{
    Daemon, answers,
    calls::{self, Heard, Hearing},
    door::Answer,
    guard::Guard,
    proxied, records,
    sessions::Session,
};
use crate::{
    audit::{
        feed::{Wanted, feed},
        record::{Kind, Layer, Mode, Record},
    },
    control::{
        confinement::{Confinement, Held},
        message::{Code, Failure, Reply, Request},
        peer::Peer,
        server::Response,
        status::{self, Entered},
    },
    kernel::{boot, cgroup},
    policy::Places,
    tools::confirm,
};

impl Daemon {
    /// Answers one request. The peer may ask it: that was decided before.
    pub(super) fn answer(&mut self, peer: &Peer, request: Request) -> Answer {
        let done = match request {
            Request::Log {
                filter,
                last,
                follow,
            } => {
                let wanted = Wanted {
                    filter,
                    last,
                    follow,
                };
                let told = feed(self.audit_file.clone(), wanted, self.records.sink());
                return Answer::Now(Response::Log(told));
            }
            Request::Status { session } => answers::status(self, session.as_deref())
                .map(|status| Reply::Status(Box::new(status))),
            Request::Sessions {} => Ok(Reply::Sessions(answers::sessions(self, None))),
            Request::Why { target, session } => {
                answers::why(self, &target, session.as_deref()).map(|why| Reply::Why(Box::new(why)))
            }
            Request::Egress { session } => match self.egress(session.as_deref()) {
                Ok(answer) => return answer,
                Err(failure) => Err(failure),
            },
            Request::Overview { session } => match self.overview(session.as_deref()) {
                Ok(answer) => return answer,
                Err(failure) => Err(failure),
            },
            Request::Denials { session } => Ok(self.denials(session.as_deref())),
            Request::Judge {
                call,
                id,
                session,
                mcp,
                passage,
                rewrites,
            } => match self.hear(
                peer,
                Heard {
                    call,
                    id,
                    mcp,
                    passage,
                    rewrites,
                },
                session,
            ) {
                Ok(hearing) => return Answer::Judge(Box::new(hearing)),
                Err(failure) => Err(failure),
            },
            Request::Aftermath { id, session } => self
                .aftermath(id.as_deref(), session.as_deref())
                .map(|aftermath| Reply::Aftermath(Box::new(aftermath))),
            Request::Dashboard {} => self.watched.link().map(Reply::Dashboard),
            Request::Reload { guard } => self.reload(guard.as_deref()).map(Reply::Done),
            Request::Release { guard } => self.release(guard.as_deref()).map(Reply::Done),
            Request::Enter {
                guard,
                session,
                command,
                places,
                observe,
            } => self
                .enter(peer, guard.as_deref(), session, &command, &places, observe)
                .map(Reply::Entered),
            Request::Confined { session, held } => self.confined(session.as_deref(), held),
            Request::End { session } => self.end(&session),
            Request::Verbosity { filter } => self.verbosity(&filter),
            Request::Allow { wish, act, claimed } => self
                .allow(peer, &wish, act, claimed)
                .map(|opening| Reply::Opening(Box::new(opening))),
            Request::Grants {} => Ok(Reply::Grants(self.granted())),
            Request::Revoke { id, claimed } => self.revoke(peer, id, claimed).map(Reply::Done),
            Request::Pending {} => Ok(Reply::Pending(self.pending())),
            Request::Approve {
                settlement,
                claimed,
            } => self.approve(peer, &settlement, claimed).map(Reply::Done),
        };
        Answer::Now(match done {
            Ok(reply) => Response::One(reply),
            Err(failure) => Response::Failed(failure),
        })
    }

    /// The guards that a request means: the named one, or all.
    pub(super) fn chosen(&self, name: Option<&str>) -> Result<Vec<usize>, Failure> {
        let Some(name) = name else {
            return Ok((0..self.guards.len()).collect());
        };
        let name = name.trim_matches('/');
        let found = self
            .guards
            .iter()
            .position(|running| running.guard.cgroup.path() == name);
        found.map(|index| vec![index]).ok_or_else(|| {
            let known: Vec<&str> = self
                .guards
                .iter()
                .map(|running| running.guard.cgroup.path())
                .collect();
            Failure::new(
                Code::NotFound,
                format!("the cgroup `{name}` is not guarded"),
            )
            .with_help(format!("guarded: {}", known.join(", ")))
        })
    }

    fn denials(&self, session: Option<&str>) -> Reply {
        let sink = self.records.sink();
        let names: Vec<String> = match session {
            Some(session) => vec![session.to_owned()],
            None => answers::sessions(self, None)
                .into_iter()
                .map(|session| session.id)
                .collect(),
        };
        let mut denials = Vec::new();
        for name in names {
            sink.flush();
            denials.extend(
                sink.recent_denials(&name)
                    .iter()
                    .map(|record| (**record).clone()),
            );
        }
        Reply::Denials(denials)
    }

    /// What a session did with each host. When nothing runs in it any more, what its last flows
    /// carried is waited for.
    fn egress(&self, session: Option<&str>) -> Result<Answer, Failure> {
        let unknown = || {
            let name = session.unwrap_or_default();
            let message = format!("no session `{name}` is running, or ended not long ago");
            Failure::new(Code::NotFound, message)
                .with_help("its rows are in the log, in its record `session-end`")
        };
        let name = session.ok_or_else(unknown)?.to_owned();
        let records = Rc::clone(&self.records);
        let found = self.guards.iter().find_map(|running| {
            let sessions = running.guard.world().sessions.borrow();
            let running_session = sessions.by_name(&name)?;
            Some((Rc::clone(&running.guard), running_session.cgroup.clone()))
        });
        let Some((guard, cgroup)) = found else {
            let (_, rows) = records.ended_rows(&name).ok_or_else(unknown)?;
            return Ok(Answer::Now(Response::One(Reply::Egress(rows))));
        };
        let (answer, answered) = oneshot::channel();
        spawn_local(async move {
            if !cgroup.is_populated().unwrap_or(false) {
                proxied::settled(&guard.gate, cgroup.id()).await;
            }
            // It may have ended meanwhile.
            let ended = records.ended_rows(&name);
            let rows = match ended {
                Some((id, rows)) if id == cgroup.id() => rows,
                Some(_) | None => records.running_rows(cgroup.id()),
            };
            // The client may have left.
            drop(answer.send(Response::One(Reply::Egress(rows))));
        });
        Ok(Answer::Later(answered))
    }

    /// Finds the policy that a tool call is under: the one of the cgroup that the hook runs in.
    fn hear(
        &mut self,
        peer: &Peer,
        heard: Heard,
        session: Option<String>,
    ) -> Result<Hearing, Failure> {
        let guard = self.guard_of(peer)?;
        let world = guard.world();
        let layer = if heard.mcp { Layer::Mcp } else { Layer::Hook };
        let kind = if heard.passage.is_some() {
            Kind::Message
        } else {
            Kind::ToolCall
        };
        let mut record = Record::new(records::now(), layer, kind);
        record.guard = Some(guard.cgroup.path().to_owned());
        if let Some(session) = &session
            && world.sessions.borrow().by_name(session).is_some()
            && heard.passage.is_none()
        {
            self.calls.begin(session, heard.id.as_deref(), record.time);
        }
        // Of a session that does not run nothing is kept: nobody would forget it.
        let running = session
            .as_deref()
            .filter(|session| world.sessions.borrow().by_name(session).is_some());
        let policy = running
            .and_then(|name| {
                let sessions = world.sessions.borrow();
                let id = sessions.by_name(name)?.cgroup.id();
                Some(world.policy_for(id))
            })
            .unwrap_or_else(|| world.policy());
        let memory = self.calls.memory(running);
        record.session = session;
        record.process = Some(calls::process(peer));
        Ok(Hearing::new(
            policy,
            heard,
            record,
            self.records.sink().clone(),
            self.runtime_dir.join(confirm::DIRECTORY),
            memory,
            Duration::from_nanos(boot::now()),
        ))
    }

    /// The guard whose policy a peer is under. Outside of every guard it must be clear which one
    /// is meant.
    fn guard_of(&self, peer: &Peer) -> Result<Rc<Guard>, Failure> {
        let path = peer.cgroup.as_deref().map(|path| path.trim_matches('/'));
        let holding = self.guards.iter().find(|running| {
            path.is_some_and(|path| cgroup::holds(running.guard.cgroup.path(), path))
        });
        let found = match (holding, self.guards.as_slice()) {
            (Some(holding), _) => Ok(holding),
            (None, [only]) => Ok(only),
            (None, []) => Err("no cgroup is guarded any more"),
            (None, _) => Err("several cgroups are guarded, and the hook runs in none of them"),
        };
        found
            .map(|running| Rc::clone(&running.guard))
            .map_err(|message| {
                Failure::new(Code::NotFound, message)
                    .with_help("start the agent with `egressctl run`")
            })
    }

    /// What the network refused to a session since a tool call was judged.
    fn aftermath(
        &self,
        id: Option<&str>,
        session: Option<&str>,
    ) -> Result<status::Aftermath, Failure> {
        let running = session.and_then(|name| {
            self.guards.iter().find(|running| {
                let sessions = running.guard.world().sessions.borrow();
                sessions.by_name(name).is_some()
            })
        });
        let (Some(running), Some(session)) = (running, session) else {
            return Err(Failure::new(Code::NotFound, "no such session is running")
                .with_help("see `egressctl session list`"));
        };
        let Some(since) = self.calls.begun(session, id) else {
            return Ok(status::Aftermath::default());
        };
        let sink = self.records.sink();
        sink.flush();
        let denials = calls::network_denials(&sink.recent_denials(session), since);
        let world = running.guard.world();
        let id = world
            .sessions
            .borrow()
            .by_name(session)
            .map(|running| running.cgroup.id());
        let policy = id.map_or_else(|| world.policy(), |id| world.policy_for(id));
        Ok(status::Aftermath {
            denials,
            allowed: calls::allowed(&policy),
            file: policy
                .files()
                .first()
                .map(|file| file.display().to_string()),
        })
    }

    fn enter(
        &mut self,
        peer: &Peer,
        guard: Option<&str>,
        session: Option<String>,
        command: &[String],
        places: &Places,
        observe: bool,
    ) -> Result<Entered, Failure> {
        let index = match (self.chosen(guard)?.as_slice(), guard) {
            ([index], _) => *index,
            ([], _) => {
                return Err(Failure::new(
                    Code::NotFound,
                    "no cgroup is guarded any more",
                ));
            }
            (_, _) => {
                return Err(
                    Failure::new(Code::BadRequest, "several cgroups are guarded")
                        .with_help("name one with `--guard CGROUP`"),
                );
            }
        };
        if peer.pid == 0 {
            return Err(Failure::new(
                Code::Failed,
                "the process is in a PID namespace that egressd cannot see into",
            ));
        }
        let started = records::now();
        let name =
            session.unwrap_or_else(|| crate::launch::session_name(started.timestamp(), peer.pid));
        if self.guards.iter().any(|running| {
            running
                .guard
                .world()
                .sessions
                .borrow()
                .by_name(&name)
                .is_some()
        }) {
            return Err(
                Failure::new(Code::Failed, format!("a session `{name}` is running"))
                    .with_help("choose another name"),
            );
        }
        let failed = |error: &dyn std::fmt::Display| Failure::new(Code::Failed, error.to_string());
        let guard = self
            .guards
            .get(index)
            .map(|running| Rc::clone(&running.guard))
            .ok_or_else(|| Failure::new(Code::NotFound, "no such guard"))?;
        if !guard.cgroup.is_current() {
            let message = format!(
                "the cgroup {} was removed and is not guarded again yet",
                guard.cgroup.path()
            );
            return Err(Failure::new(Code::Failed, message)
                .with_help("try again; `egressctl status` says whether it is guarded by now"));
        }
        if observe && !guard.world().policy().session().observe {
            let message = format!(
                "the policy of {} wants every session enforced",
                guard.cgroup.path()
            );
            return Err(Failure::new(Code::Forbidden, message)
                .with_help("run without `--observe`, or take `\"observe\": false` out of its section `session`"));
        }
        let confinement = self.confinement(&guard, places);
        let sockets: Vec<PathBuf> = confinement.socket_paths().map(|path| real(path)).collect();
        let cgroup = guard
            .world()
            .sessions
            .borrow_mut()
            .begin(
                Session {
                    name: name.clone(),
                    pid: peer.pid,
                    uid: peer.uid,
                    command: command.to_vec(),
                    started: started.to_string(),
                    sockets: sockets.clone(),
                    observed: observe,
                    held: None,
                },
                &self.hierarchy,
            )
            .map_err(|error| failed(&error))?;
        let entered = guard
            .allow_sockets(cgroup.id(), &sockets)
            .and_then(|()| {
                if observe {
                    guard.observe(cgroup.id())
                } else {
                    Ok(())
                }
            })
            .map_err(|error| failed(&error))
            .and_then(|()| cgroup.enter(peer.pid).map_err(|error| failed(&error)));
        // Alive after the move: the number still meant this process when it was written.
        let is_there = entered.is_ok() && peer.is_alive();
        if !is_there {
            let world = guard.world();
            world.sessions.borrow_mut().end(cgroup.id());
            if let Err(error) = world.tables.borrow_mut().enforce(cgroup.id()) {
                tracing::warn!(session = name, %error, "a session that did not begin stays listed as observed");
            }
            entered?;
            return Err(Failure::new(
                Code::Failed,
                "the process ended while it entered the session",
            ));
        }
        self.watch(index, cgroup.id());
        self.know();
        self.records.life(Kind::SessionBegin, |record| {
            record.guard = Some(guard.cgroup.path().to_owned());
            record.session = Some(name.clone());
            // Arguments may be secrets, and the log outlives them.
            let program = command.first().map_or("", String::as_str);
            record.mode = observe.then_some(Mode::Observe);
            record.message = Some(format!("pid {} uid {}: {program}", peer.pid, peer.uid));
        });
        Ok(Entered {
            session: name,
            cgroup: cgroup.path().to_owned(),
            confinement,
            proxy_port: Some(guard.proxy_port()),
            ca_bundle: guard.bundle().map(Path::to_path_buf),
        })
    }

    /// What the policy of a guard wants of its sessions.
    fn confinement(&self, guard: &Guard, places: &Places) -> Confinement {
        let policy = guard.world().policy();
        let mut protected = vec![self.runtime_dir.clone(), self.pin_dir.clone()];
        protected.extend(self.audit_file.parent().map(Path::to_path_buf));
        protected.extend(policy.files().iter().cloned());
        let mut secret = Vec::new();
        if policy.opens_tls() {
            protected.push(policy.proxy().ca.clone());
            secret.push(policy.proxy().ca.clone());
        }
        Confinement::new(
            policy.session(),
            places,
            protected,
            secret,
            self.runtime_dir.clone(),
        )
    }

    /// Notes what a session says that it is held by. The answer lets its command begin.
    fn confined(&mut self, session: Option<&str>, held: Held) -> Result<Reply, Failure> {
        let found = self.guards.iter().find(|running| {
            let sessions = running.guard.world().sessions.borrow();
            session.is_some_and(|name| sessions.by_name(name).is_some())
        });
        let (Some(running), Some(session)) = (found, session) else {
            return Err(Failure::new(Code::NotFound, "no such session is running"));
        };
        if let Some(piece) = held.lacks(running.guard.world().policy().session()) {
            let message = format!("the policy requires {piece}, and the session is not held by it");
            return Err(Failure::new(Code::Forbidden, message));
        }
        let noted = running
            .guard
            .world()
            .sessions
            .borrow_mut()
            .note(session, held);
        match noted {
            Ok(true) => Ok(Reply::Done(String::new())),
            Ok(false) => Err(Failure::new(
                Code::Forbidden,
                "what holds the session was told before",
            )),
            Err(error) => Err(Failure::new(Code::Failed, error.to_string())),
        }
    }

    /// Kills what runs in a session; the watch takes it away.
    fn end(&mut self, session: &str) -> Result<Reply, Failure> {
        for running in &self.guards {
            let sessions = running.guard.world().sessions.borrow();
            let Some(running) = sessions.by_name(session) else {
                continue;
            };
            let kill = running.cgroup.directory().join("cgroup.kill");
            std::fs::write(&kill, "1").map_err(|error| {
                Failure::new(Code::Failed, format!("write {}: {error}", kill.display()))
            })?;
            return Ok(Reply::Done(format!("session {session} was ended")));
        }
        Err(
            Failure::new(Code::NotFound, format!("no session `{session}` is running"))
                .with_help("see `egressctl session list`"),
        )
    }

    fn verbosity(&mut self, filter: &str) -> Result<Reply, Failure> {
        (self.set_verbosity)(filter).map_err(|error| {
            Failure::new(
                Code::BadRequest,
                format!("`{filter}` is not a filter: {error}"),
            )
            .with_help("write one like `info` or `egress_agent::dns=debug`")
        })?;
        self.records.life(Kind::SettingChanged, |record| {
            record.message = Some(format!("verbosity: {filter}"));
        });
        Ok(Reply::Done(format!(
            "the diagnostic log now shows {filter}"
        )))
    }

    /// Takes guards off. Everything that they guarded is free from then on.
    fn release(&mut self, name: Option<&str>) -> Result<String, Failure> {
        let mut released = Vec::new();
        for index in self.chosen(name)?.into_iter().rev() {
            let running = self.guards.remove(index);
            for task in &running.tasks {
                task.abort();
            }
            let guard = running.guard;
            self.grants.end_guard(guard.cgroup.path());
            guard
                .pins
                .release()
                .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
            let path = guard.cgroup.path().to_owned();
            tracing::warn!(cgroup = path, "the guard was taken off");
            self.records.life(Kind::GuardReleased, |record| {
                record.guard = Some(path.clone());
            });
            released.push(path);
        }
        self.know();
        Ok(format!("no longer guarded: {}", released.join(", ")))
    }

    /// What the kernel counted for one guard.
    pub(super) fn counter(guard: &Guard, counter: Counter) -> u64 {
        guard.world().tables.borrow().counter(counter).unwrap_or(0)
    }
}

/// A path with the symbolic links of its directories followed: what the kernel calls it.
fn real(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path.to_path_buf(),
    }
}
