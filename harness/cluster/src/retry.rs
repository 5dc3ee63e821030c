//! Requests that an API server could not serve just then are sent again, and counted: throttled ones (429), failed ones
//! (5xx), and those that no answer came to.
//!
//! Only what may be done twice is sent again after a failure, since nobody knows how far it came; what was throttled was
//! not begun. A refused eviction is an answer: the budget spoke, and whoever asked must hear it.

use crate::access::said;
use http::{Method, Request, Response, StatusCode};
use kube::client::{Body, UpgradeConnectionError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tower::BoxError;
use tower::retry::Policy;

/// How often a request is sent again.
const TIMES: u32 = 5;

/// The pause before the first repetition; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What went wrong with requests to one API server. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Hitches(Arc<Mutex<BTreeMap<String, u64>>>);

impl Hitches {
    fn count(&self, what: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what.to_owned()).or_default() += 1;
    }

    /// What there was since this was asked last, in words; `None` for nothing.
    pub fn told(&self) -> Option<String> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let told: Vec<String> = counts.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        (!told.is_empty()).then(|| format!("requests that the API server did not serve at once: {}", told.join(", ")))
    }
}

/// How one request may be sent again.
#[derive(Clone, Default)]
pub struct Again {
    pub hitches: Hitches,
    sent: u32,
}

impl Again {
    pub fn counting(hitches: Hitches) -> Self {
        Self { hitches, sent: 0 }
    }
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Status(u16),
    /// No answer.
    Nothing,
}

/// What a hitch is counted as; `None` where there was none.
fn hitch(path: &str, came: Came) -> Option<String> {
    match came {
        Came::Nothing => Some("no answer".to_owned()),
        Came::Status(429) if path.ends_with("/eviction") => None,
        Came::Status(code) if code == 429 || code >= 500 => Some(code.to_string()),
        Came::Status(_) => None,
    }
}

/// Whether it may be sent again, though it may have been served.
fn may_be_repeated(method: &Method, path: &str) -> bool {
    let starts_something = ["/exec", "/attach", "/portforward", "/eviction"].iter().any(|end| path.ends_with(end));
    !starts_something && [Method::GET, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}

/// How long to wait before it is sent again; `None` where it is not.
fn pause(method: &Method, path: &str, came: Came, asked: Option<Duration>, sent: u32) -> Option<Duration> {
    hitch(path, came)?;
    let was_not_begun = came == Came::Status(429);
    if sent >= TIMES || !(was_not_begun || may_be_repeated(method, path)) {
        return None;
    }
    Some(asked.unwrap_or(FIRST_PAUSE * 2_u32.pow(sent)).min(LONGEST_PAUSE))
}

/// Does again what may be done twice, as often as a request is sent again, where a stream broke under it.
///
/// # Errors
/// What it came to otherwise, or the last time.
pub async fn over_broken_streams<T, F>(hitches: &Hitches, mut run: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, Interrupted>>,
{
    let mut done = 0;
    loop {
        match run().await {
            Err(Interrupted::StreamBroke(_)) if done < TIMES => hitches.count("broken streams"),
            came => return came.map_err(Interrupted::why),
        }
        tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(done)).await;
        done += 1;
    }
}

/// Why something over a stream did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interrupted {
    /// The server did not begin it.
    Refused(String),
    /// Nobody knows how far it came.
    StreamBroke(String),
}

impl Interrupted {
    /// Why there is no stream. What the server said is its answer, also when it speaks for a node.
    pub fn not_begun(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(_) | kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(_)) => {
                Self::Refused(said(error))
            }
            _ => Self::StreamBroke(said(error)),
        }
    }

    pub fn why(self) -> String {
        match self {
            Self::Refused(why) | Self::StreamBroke(why) => why,
        }
    }
}

/// `Retry-After` in seconds; a date is not understood, nor do API servers send one.
fn asked_for<B>(response: &Response<B>) -> Option<Duration> {
    let seconds = response.headers().get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Again {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let (came, asked) = match result {
            Ok(response) => (Came::Status(StatusCode::as_u16(&response.status())), asked_for(response)),
            Err(_) => (Came::Nothing, None),
        };
        let (method, path) = (request.method(), request.uri().path());
        if came == Came::Status(403) {
            tracing::debug!(%method, path, "not allowed");
        }
        if let Some(what) = hitch(path, came) {
            self.hitches.count(&what);
        }
        let pause = pause(method, path, came, asked, self.sent)?;
        self.sent += 1;
        Some(tokio::time::sleep(pause))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let mut clone = Request::new(request.body().try_clone()?);
        clone.method_mut().clone_from(request.method());
        clone.uri_mut().clone_from(request.uri());
        *clone.version_mut() = request.version();
        clone.headers_mut().clone_from(request.headers());
        clone.extensions_mut().clone_from(request.extensions());
        Some(clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Came::{Nothing, Status};
    use std::sync::atomic::{AtomicU32, Ordering};
    use tower::{ServiceBuilder, ServiceExt};

    const PODS: &str = "/api/v1/namespaces/n/pods";

    #[test]
    fn what_may_be_done_twice_and_what_was_not_begun_is_sent_again() {
        for (method, path, came, is_repeated) in [
            (Method::GET, PODS, Status(200), false),
            (Method::GET, PODS, Status(404), false),
            (Method::GET, PODS, Status(503), true),
            (Method::GET, PODS, Nothing, true),
            (Method::PATCH, PODS, Status(500), true),
            (Method::POST, PODS, Status(500), false),
            (Method::POST, PODS, Nothing, false),
            (Method::POST, PODS, Status(429), true),
            (Method::GET, "/api/v1/namespaces/n/pods/p/exec", Status(500), false),
            (Method::GET, "/api/v1/namespaces/n/pods/p/exec", Status(429), true),
            (Method::POST, "/api/v1/namespaces/n/pods/p/eviction", Status(429), false),
            (Method::POST, "/api/v1/namespaces/n/pods/p/eviction", Status(500), false),
        ] {
            assert_eq!(pause(&method, path, came, None, 0).is_some(), is_repeated, "{method} {path} {came:?}");
        }
    }

    #[test]
    fn pauses_grow_unless_the_server_asks_for_one_and_come_to_an_end() {
        let after = |asked, sent| pause(&Method::GET, PODS, Status(429), asked, sent);
        assert_eq!(after(None, 0), Some(Duration::from_millis(100)));
        assert_eq!(after(None, 3), Some(Duration::from_millis(800)));
        assert_eq!(after(Some(Duration::from_secs(2)), 0), Some(Duration::from_secs(2)));
        assert_eq!(after(Some(Duration::from_secs(3600)), 0), Some(LONGEST_PAUSE));
        assert_eq!(after(None, TIMES), None);
    }

    /// A server that answers with these codes one after the other, the last one ever after.
    async fn answered(method: Method, codes: &'static [u16]) -> (u16, u32, Option<String>) {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let server = tower::service_fn(move |_: Request<Body>| {
            let n = count.fetch_add(1, Ordering::SeqCst) as usize;
            let code = codes[n.min(codes.len() - 1)];
            async move { Response::builder().status(code).body(Body::empty()).map_err(BoxError::from) }
        });
        let hitches = Hitches::default();
        let layer = tower::retry::RetryLayer::new(Again::counting(hitches.clone()));
        let service = ServiceBuilder::new().layer(layer).service(server);
        let request = Request::builder().method(method).uri(PODS).body(Body::from(b"x".to_vec())).unwrap();
        let response = service.oneshot(request).await.unwrap();
        (response.status().as_u16(), asked.load(Ordering::SeqCst), hitches.told())
    }

    /// How often something is done whose stream breaks so many times, and what it comes to.
    async fn over(breaks: u32, last: Result<u8, Interrupted>) -> (u32, Result<u8, String>, Option<String>) {
        let (hitches, mut done) = (Hitches::default(), 0);
        let came = over_broken_streams(&hitches, || {
            done += 1;
            let broke = Err(Interrupted::StreamBroke("it broke".to_owned()));
            std::future::ready(if done <= breaks { broke } else { last.clone() })
        })
        .await;
        (done, came, hitches.told())
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_stream_is_survived_and_counted_and_a_refusal_is_an_answer() {
        let told = "requests that the API server did not serve at once: broken streams: 2".to_owned();
        assert_eq!(over(2, Ok(1)).await, (3, Ok(1), Some(told)));
        let refused = Err(Interrupted::Refused("no such pod".to_owned()));
        assert_eq!(over(0, refused).await, (1, Err("no such pod".to_owned()), None));
        let (done, came, _) = over(100, Ok(1)).await;
        assert_eq!((done, came), (1 + TIMES, Err("it broke".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn hitches_are_survived_and_counted() {
        let told = "requests that the API server did not serve at once: 429: 1, 503: 2".to_owned();
        assert_eq!(answered(Method::GET, &[503, 429, 503, 200]).await, (200, 4, Some(told)));
        assert_eq!(answered(Method::GET, &[200]).await, (200, 1, None));
        assert_eq!(answered(Method::POST, &[500]).await.1, 1);
        assert_eq!(answered(Method::GET, &[500]).await.1, 1 + TIMES);
    }
}
