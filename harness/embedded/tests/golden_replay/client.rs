//! An HTTPS client for one API server, as an administrator or as nobody.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Failed;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client as Http, Method, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than any watch of the recordings; each has a deadline of its own.
const WATCH_TIMEOUT: Duration = Duration::from_secs(600);

/// A request as a step describes it, variables filled in.
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(String, String)],
    pub body: Option<String>,
    /// `none` for no credentials, or a whole Authorization header; absent for the administrator.
    pub auth: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub fn get(path: &'a str) -> Self {
        Self { method: "GET", path, headers: &[], body: None, auth: None }
    }
}

/// A whole answer.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as JSON, or as a string when it is none.
    pub body: Value,
}

pub struct Client {
    admin: Http,
    nobody: Http,
    server: String,
    /// For connections that are not HTTP: host and port, and the administrator's credentials.
    pub address: String,
    pub tls: Arc<rustls::ClientConfig>,
}

impl Client {
    /// Reads a kubeconfig with one cluster and one client certificate, both inline.
    pub fn from_kubeconfig(path: &Path) -> Result<Self, Failed> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let text = std::fs::read_to_string(path)?;
        let config: Value = serde_saphyr::from_str(&text)?;
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let material = |from: &Value, name: &str| -> Result<Vec<u8>, Failed> {
            let text = from[name].as_str().ok_or_else(|| format!("{}: no {name}", path.display()))?;
            Ok(STANDARD.decode(text)?)
        };
        let authority = material(cluster, "certificate-authority-data")?;
        let certificate = material(user, "client-certificate-data")?;
        let key = material(user, "client-key-data")?;
        let server = cluster["server"].as_str().ok_or("the kubeconfig names no server")?.to_owned();
        let builder = || -> Result<reqwest::ClientBuilder, Failed> {
            let root = reqwest::Certificate::from_pem(&authority)?;
            // One connection per request, as when the recordings were made: controllers get some time between.
            Ok(Http::builder().tls_certs_only([root]).pool_max_idle_per_host(0))
        };
        let identity = reqwest::Identity::from_pem(&[certificate.as_slice(), b"\n", &key].concat())?;
        let address = server.strip_prefix("https://").ok_or("the server does not speak https")?.to_owned();
        Ok(Self {
            admin: builder()?.identity(identity).build()?,
            nobody: builder()?.build()?,
            tls: Arc::new(tls(&authority, &certificate, &key)?),
            server,
            address,
        })
    }

    /// Sends a request and reads the whole answer.
    pub async fn request(&self, request: &Request<'_>) -> Result<Answer, Failed> {
        let response = self.send(request, REQUEST_TIMEOUT).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    /// The answer to a GET of the administrator.
    pub async fn get(&self, path: &str) -> Result<Answer, Failed> {
        self.request(&Request::get(path)).await
    }

    /// Starts a watch; the answer's body is still to be read.
    pub async fn watch(&self, path: &str, headers: &[(String, String)]) -> Result<Response, Failed> {
        self.send(&Request { headers, ..Request::get(path) }, WATCH_TIMEOUT).await
    }

    async fn send(&self, request: &Request<'_>, timeout: Duration) -> Result<Response, Failed> {
        let http = if request.auth.is_some() { &self.nobody } else { &self.admin };
        let method = Method::from_bytes(request.method.as_bytes())?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("golden/1"));
        if request.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(auth) = request.auth.filter(|auth| *auth != "none") {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(auth)?);
        }
        for (name, value) in request.headers {
            headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        let mut call =
            http.request(method, format!("{}{}", self.server, request.path)).headers(headers).timeout(timeout);
        if let Some(body) = &request.body {
            call = call.body(body.clone());
        }
        Ok(call.send().await?)
    }
}

fn tls(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<rustls::ClientConfig, Failed> {
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority) {
        roots.add(root?)?;
    }
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?)
}
