//! Commands in pods, and what containers have said.

use crate::access::{Access, said};
use crate::retry::{self, Interrupted};
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause};
use kube::Api;
use kube::api::{AttachParams, LogParams};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// What a command in a pod came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// 0 for success; -1 when the cluster did not say how it failed.
    pub code: i32,
}

impl Output {
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// A container of a pod.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    pub container: &'a str,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {}", self.namespace, self.pod, self.container)
    }
}

/// Runs a command to its end, once. A command that fails is an [`Output`], not an error.
///
/// # Errors
/// The command could not be run, its stream broke so that nobody knows its end, or it did not end before the deadline.
pub async fn exec(access: &Access, place: Place<'_>, command: &[&str], deadline: Duration) -> Result<Output, Trouble> {
    let once = async { run(access, place, command).await.map_err(Interrupted::why) };
    within(deadline, place, command, once).await
}

/// Runs a command that only asks for something. Where its stream breaks it is run again, a few times before the deadline.
///
/// # Errors
/// As [`exec`].
pub async fn ask(access: &Access, place: Place<'_>, command: &[&str], deadline: Duration) -> Result<Output, Trouble> {
    let asking = retry::over_broken_streams(&access.hitches, || run(access, place, command));
    within(deadline, place, command, asking).await
}

async fn within(
    deadline: Duration,
    place: Place<'_>,
    command: &[&str],
    work: impl Future<Output = Result<Output, String>>,
) -> Result<Output, Trouble> {
    match tokio::time::timeout(deadline, work).await {
        Ok(result) => result.or_trouble(|| format!("cannot run `{}` in {place}", command.join(" "))),
        Err(_) => Err(Trouble::harness(format!(
            "`{}` in {place} did not end within {}",
            command.join(" "),
            gauntlet_core::span::Span(deadline)
        ))),
    }
}

async fn run(access: &Access, place: Place<'_>, command: &[&str]) -> Result<Output, Interrupted> {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), place.namespace);
    let parameters = AttachParams::default().container(place.container).stdin(false).stdout(true).stderr(true);
    let process = pods.exec(place.pod, command.iter().copied(), &parameters).await;
    let mut process = process.map_err(|error| Interrupted::not_begun(&error))?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (process.stdout(), process.stderr());
    let status = process.take_status();
    let read_out = async {
        match out {
            Some(mut out) => out.read_to_end(&mut stdout).await.map(drop),
            None => Ok(()),
        }
    };
    let read_err = async {
        match err {
            Some(mut err) => err.read_to_end(&mut stderr).await.map(drop),
            None => Ok(()),
        }
    };
    tokio::try_join!(read_out, read_err).map_err(|error| Interrupted::StreamBroke(error.to_string()))?;
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let status =
        status.ok_or_else(|| Interrupted::StreamBroke("the stream broke before its end was told".to_owned()))?;
    Ok(Output {
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        code: exit_code(&status),
    })
}

fn exit_code(status: &Status) -> i32 {
    if status.status.as_deref() == Some("Success") {
        return 0;
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let code = |cause: &StatusCause| cause.message.as_deref().and_then(|code| code.parse().ok());
    causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode")).find_map(code).unwrap_or(-1)
}

/// The last lines that a container wrote, of its present or its previous instance.
///
/// # Errors
/// What the cluster said instead.
pub async fn logs(access: &Access, place: Place<'_>, previous: bool, lines: Option<i64>) -> Result<String, String> {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), place.namespace);
    let container = Some(place.container.to_owned());
    let parameters = LogParams { container, previous, tail_lines: lines, timestamps: true, ..LogParams::default() };
    pods.logs(place.pod, &parameters).await.map_err(|error| said(&error))
}
