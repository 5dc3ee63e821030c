//! Clients for HTTP that also start where there are no certificate authorities, as in an image with this program alone.

use anyhow::{Context, Result};
use reqwest::{Client, ClientBuilder};

/// A client that trusts the machine's certificate authorities. Where there are none it is for plain HTTP only.
///
/// # Errors
/// What was configured does not fit together.
pub fn client(configure: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client> {
    configure(Client::builder()).build().or_else(|_| plain(&configure))
}

/// A client for plain HTTP, which looks for no certificate authorities.
///
/// # Errors
/// As with [`client`].
pub fn plain(configure: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client> {
    configure(Client::builder().tls_certs_only([])).build().context("the HTTP client could not be set up")
}
