//! Asking by a command inside the container: it succeeds with exit code 0.

use std::time::Duration;

use embedded_apimachinery::kubelet::{ExecOptions, ExecOutput, ExecSession};
use embedded_apimachinery::object::list_at;
use serde_json::Value;

use super::check::{Outcome, within};
use crate::runtime::ContainerRuntime;

/// Bytes of output that are kept, as the kubelet keeps them.
const OUTPUT_LIMIT: usize = 10 << 10;

pub async fn check(
    action: &Value,
    container: &str,
    runtime: &dyn ContainerRuntime,
    limit: Option<Duration>,
) -> Outcome {
    let words = list_at(action, "/command").iter().filter_map(Value::as_str);
    let command: Vec<String> = words.map(str::to_owned).collect();
    let line = command.join(" ");
    let options = ExecOptions { command, stdout: true, stderr: true, ..ExecOptions::default() };
    let run = async { Ok(finish(runtime.exec(container, &options).await.map_err(|e| e.to_string())?).await) };
    match within(limit, run).await {
        Some(Ok((Ok(0), _))) => Outcome::Success,
        Some(Ok((Ok(_), output))) => Outcome::Failure(output),
        Some(Ok((Err(why), _)) | Err(why)) => Outcome::Errored(why),
        // Dropping the session has ended the command.
        None => {
            let after = limit.unwrap_or_default().as_secs();
            Outcome::Failure(format!("command timed out: \"{line}\" timed out after {after}s"))
        }
    }
}

/// The exit code, or why there is none, and what was printed.
async fn finish(mut session: ExecSession) -> (Result<i32, String>, String) {
    let mut text = Vec::new();
    while let Some(ExecOutput::Stdout(bytes) | ExecOutput::Stderr(bytes)) = session.output.recv().await {
        let room = OUTPUT_LIMIT.saturating_sub(text.len());
        text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    let exit = match session.exit.await {
        Ok(exit) => exit.map_err(|status| status.message),
        Err(_) => Err("the command's end was not told".into()),
    };
    (exit, String::from_utf8_lossy(&text).into_owned())
}
