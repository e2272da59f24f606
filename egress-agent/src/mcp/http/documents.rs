//! Documents for clients that look for a way in, fetched from the server.

use hyper::{
    HeaderMap, Method, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CACHE_CONTROL},
};

use super::{
    Answer, CONNECT, Proxy,
    body::{Body, Held},
    discovery::{self, Wanted},
    empty, fail,
    failed::Failed,
    headers, json, lock,
};
use crate::mcp::gate::{DENIED, Subject};

impl Proxy {
    pub(super) fn wanted(&self, uri: &Uri) -> Option<Wanted> {
        let told = lock(&self.metadata).clone();
        discovery::wanted(uri.path(), &self.upstream.url, told.as_ref())
    }

    /// Answers with the first document that the server has.
    pub(super) async fn discover(&self, asked: &HeaderMap, wanted: Wanted) -> Answer {
        let mut headers = headers::onwards(asked);
        // Whoever looks for a way in has no access yet.
        headers.remove(AUTHORIZATION);
        let mut status = StatusCode::NOT_FOUND;
        for url in &wanted.places {
            let sent = self.send(Method::GET, url, &headers, Body::empty(), CONNECT);
            let response = match sent.await {
                Ok(response) => response,
                Err(failed) => return self.failed(None, failed),
            };
            status = response.status();
            if status == StatusCode::OK {
                let here = wanted.called.as_deref();
                return self.document(response, headers::at(asked, here)).await;
            }
            if !status.is_client_error() {
                break;
            }
        }
        empty(status)
    }

    async fn document(&self, response: Response<Incoming>, here: Option<url::Url>) -> Answer {
        let (head, incoming) = response.into_parts();
        let unreadable = Failed::Unreadable("with something that is no document");
        if headers::is_encoded(&head.headers) {
            return self.failed(None, unreadable);
        }
        let read = tokio::time::timeout(CONNECT, Held::read(incoming, &self.room));
        let Ok(Ok(held)) = read.await else {
            return self.failed(None, unreadable);
        };
        if !matches!(
            serde_json::from_slice(held.bytes()),
            Ok(serde_json::Value::Object(_))
        ) {
            return self.failed(None, unreadable);
        }
        let block = self.guard.gate.inspect(Subject::FromServer, held.bytes());
        if let Some(block) = block {
            return fail(StatusCode::BAD_GATEWAY, None, &block, DENIED);
        }
        let changed = here
            .and_then(|here| discovery::about_guard(held.bytes(), &here, &self.upstream.url))
            .map_or_else(|| held.shared(), Bytes::from);
        let mut answer = json(StatusCode::OK, changed);
        if let Some(control) = head.headers.get(CACHE_CONTROL) {
            let headers = answer.headers_mut();
            headers.insert(CACHE_CONTROL, control.clone());
        }
        answer
    }

    /// What the client gets of a server's headers, when it has called `called`.
    pub(super) fn back(&self, headers: &HeaderMap, called: Option<&url::Url>) -> HeaderMap {
        let mut back = headers::back(headers);
        if let Some(called) = called {
            let told = discovery::point_here(&mut back, called, &self.upstream.url);
            if told.is_some() {
                *lock(&self.metadata) = told;
            }
        }
        back
    }
}
