//! A plain client of the API: paths and JSON.

use std::error::Error;
use std::path::Path;
use std::pin::Pin;

use futures::{AsyncBufRead, AsyncBufReadExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[derive(Clone)]
pub struct Client {
    client: kube::Client,
}

impl Client {
    /// Trusts and presents what the kubeconfig says.
    pub async fn new(kubeconfig: &Path) -> Result<Self> {
        // The first call decides; later ones find it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self { client: kube::Client::try_from(config)? })
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let text = self.client.request_text(http::Request::get(path).body(Vec::new())?).await?;
        // Health checks answer in plain text.
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let request = http::Request::post(path).header("content-type", "application/json");
        Ok(self.client.request(request.body(serde_json::to_vec(&body)?)?).await?)
    }

    /// A JSON merge patch.
    pub async fn patch(&self, path: &str, body: Value) -> Result<Value> {
        let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
        Ok(self.client.request(request.body(serde_json::to_vec(&body)?)?).await?)
    }

    pub async fn delete(&self, path: &str) -> Result<Value> {
        Ok(self.client.request(http::Request::delete(path).body(Vec::new())?).await?)
    }

    /// Events from now on.
    pub async fn watch(&self, path: &str) -> Result<Events> {
        let list = self.get(&format!("{path}?limit=1")).await?;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let request = http::Request::get(format!("{path}?watch=1&resourceVersion={version}")).body(Vec::new())?;
        Ok(Events { stream: Box::pin(self.client.request_stream(request).await?) })
    }
}

/// A watch.
pub struct Events {
    stream: Pin<Box<dyn AsyncBufRead>>,
}

impl Events {
    /// The next event; an error when the watch ends.
    pub async fn next(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err("the watch ended".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
