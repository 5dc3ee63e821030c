//! The agent itself as processes, as it runs in pods.

use std::process::Command;
use std::time::{Duration, Instant};

use gauntlet_core::history::History;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Process, await_that, free_port, strings};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_gauntlet-agent");

/// What the agent prints when run with these arguments.
pub fn json(args: &[&str], env: &[(String, String)]) -> Value {
    let output = Command::new(PROGRAM).args(args).envs(env.iter().cloned()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A workload under its control interface.
pub struct Workload {
    port: u16,
    pub process: Process,
    _folder: TempDir,
}

impl Workload {
    /// Starts the process, and its workers once the system answers.
    pub fn start(kind: &str, env: &[(String, String)], extra: Value) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut config = json!({
            "client": kind, "history_dir": folder.path().join("history"), "control": format!("127.0.0.1:{port}"),
            "pause_ms": 5, "op_timeout_ms": 1000, "start_timeout_ms": 30_000, "verify_timeout_ms": 40_000,
        });
        for (key, value) in extra.as_object().unwrap() {
            config[key] = value.clone();
        }
        let mut env = env.to_vec();
        env.push(("GAUNTLET_WORKLOAD".into(), config.to_string()));
        let process = Process::start(kind, folder.path(), PROGRAM, &strings(&["workload", kind]), &env);
        let mut workload = Self { port, _folder: folder, process };
        await_that("the workload listens", Duration::from_secs(10), || {
            workload.process.assert_running();
            workload.say("status").map(drop)
        });
        workload.say("start").unwrap_or_else(|error| panic!("the workload did not start: {error}"));
        workload
    }

    /// The answer to `agent control WORD`, or what it complained of.
    pub fn say(&self, word: &str) -> Result<String, String> {
        let output = Command::new(PROGRAM)
            .args(["control", word, "--addr", &format!("127.0.0.1:{}", self.port)])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(text) } else { Err(text + &String::from_utf8_lossy(&output.stderr)) }
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.say("status").unwrap()).unwrap()
    }

    /// Waits until every group has had `more` further successes.
    pub fn await_ok(&self, more: u64, deadline: Duration) -> Duration {
        let counts = |status: &Value| -> Vec<(String, u64)> {
            let groups = status["groups"].as_object().cloned().unwrap_or_default();
            groups.into_iter().map(|(name, group)| (name, group["ok"].as_u64().unwrap())).collect()
        };
        let (began, before) = (Instant::now(), counts(&self.status()));
        await_that("every group succeeds again and again", deadline, || {
            let status = self.status();
            let now = counts(&status);
            let enough = |(name, ok): &(String, u64)| {
                let had = before.iter().find(|(known, _)| known == name).map_or(0, |(_, ok)| *ok);
                ok - had >= more
            };
            if !now.is_empty() && now.iter().all(enough) { Ok(()) } else { Err(status.to_string()) }
        });
        began.elapsed()
    }

    /// Stops, reads the final state back, and gives the whole history.
    pub fn verified_history(&self) -> History {
        self.say("verify").unwrap_or_else(|error| panic!("the final state was not read: {error}"));
        History::parse(&self.say("history").unwrap()).unwrap()
    }
}
