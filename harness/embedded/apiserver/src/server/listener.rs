//! Listening: TCP, TLS, HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::{Server, router};
use crate::auth::authenticate::user_of_certificate;

/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long connections may take to end after the shutdown.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves on all listeners until the shutdown, then ends all connections.
///
/// # Errors
/// When a listener cannot be handed to the runtime. Errors of single connections are theirs alone.
pub async fn serve(server: Arc<Server>, listeners: Vec<TcpListener>, tls: rustls::ServerConfig) -> std::io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let tasks = TaskTracker::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tasks.spawn(accept(server.clone(), listener, acceptor.clone(), tasks.clone()));
    }
    server.shutdown.cancelled().await;
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::debug!("connections were still open when the API server stopped");
    }
    Ok(())
}

async fn accept(server: Arc<Server>, listener: tokio::net::TcpListener, acceptor: TlsAcceptor, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = server.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(connection(server.clone(), stream, acceptor.clone()));
            }
            Err(error) => {
                // Out of descriptors: the next accept may find some.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn connection(server: Arc<Server>, stream: TcpStream, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let user = certificates.first().and_then(|c| user_of_certificate(c)).map(Arc::new);
    let shutdown = server.shutdown.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (server, user) = (server.clone(), user.clone());
        async move { Ok::<_, Infallible>(router::answer(server, user, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
