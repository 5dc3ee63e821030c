//! Programs that are told what to do: within a deadline, and with their own last words where they fail.
//!
//! Each has a process group of its own. So Ctrl-C on the terminal ends none of them, cleaning up least of all; and who
//! gives one up, by a deadline or because the run is interrupted, ends what it has started, too.

use gauntlet_core::Trouble;
use gauntlet_core::span::Span;
use gauntlet_core::trouble::OrTrouble;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// Lines of a failed program's standard error that are repeated.
const LAST_WORDS: usize = 8;

/// Starts a program that holds what is its standard input, and so does whoever it starts: what a shell has opened is
/// passed on.
const HOLDING: &str = r#"exec "$0" "$@" 9<&0 < /dev/null"#;

/// One call of a program.
pub struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    within: Duration,
    held: Option<File>,
}

impl Call {
    pub fn new<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>, within: Duration) -> Self {
        Self { program: program.to_owned(), arguments: vec![], within, held: None }.with(arguments)
    }

    pub fn with<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// The program and everybody that it starts hold the file open as long as they live. By the file they are found and
    /// ended by whoever gives them up, so the end of this call is not theirs.
    pub fn holding(mut self, file: File) -> Self {
        self.held = Some(file);
        self
    }

    fn said(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy();
        let words: Vec<_> = self.arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        format!("`{name} {}`", words.join(" "))
    }

    fn command(self) -> Command {
        let mut command = match self.held {
            None => {
                let mut command = Command::new(&self.program);
                command.stdin(Stdio::null()).kill_on_drop(true);
                command
            }
            Some(file) => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", HOLDING]).arg(&self.program).stdin(Stdio::from(file));
                command
            }
        };
        command.args(&self.arguments).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end. What it printed on standard output.
    ///
    /// # Errors
    /// It cannot be started, does not end within its time, or fails: its last words.
    pub async fn run(self) -> Result<String, Trouble> {
        let (said, within, is_found_again) = (self.said(), self.within, self.held.is_some());
        // The command is dropped at once: it would keep open what the program is to hold alone.
        let child = self.command().spawn();
        let child = child.map_err(|error| Trouble::harness(format!("cannot run {said}: {error}")))?;
        let leader = child.id().filter(|_| !is_found_again);
        let mut ended = pin!(child.wait_with_output());
        // Dropped before the child is, so that the number still means this group.
        let mut group = Group::of(leader);
        let output = match tokio::time::timeout(within, ended.as_mut()).await {
            Err(_) => return Err(Trouble::harness(format!("{said} did not end within {}", Span(within)))),
            Ok(output) => output.or_trouble(|| format!("cannot wait for {said}"))?,
        };
        group.has_ended();
        if !output.status.success() {
            return Err(Trouble::harness(format!("{said} failed ({}):{}", output.status, last_words(&output))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A program and what it has started; killed when it is given up.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: Option<u32>) -> Self {
        Self(leader.and_then(|leader| i32::try_from(leader).ok()).map(Pid::from_raw))
    }

    fn has_ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may end by itself in this very moment.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// The end of what a failed program said, each line on one of its own.
fn last_words(output: &Output) -> String {
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
    if last.is_empty() { " it said nothing".to_owned() } else { format!("\n  {}", last.join("\n  ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, within: Duration) -> Call {
        Call::new(Path::new("/bin/sh"), ["-c", script], within)
    }

    #[tokio::test]
    async fn a_failure_ends_with_the_programs_own_last_words() {
        let trouble = shell("seq 1 20 >&2; exit 3", Duration::from_secs(10)).run().await.unwrap_err();
        let words: Vec<String> = (13..=20).map(|n| format!("  {n}")).collect();
        let expected = format!("`sh -c seq 1 20 >&2; exit 3` failed (exit status: 3):\n{}", words.join("\n"));
        assert_eq!(trouble.message, expected);
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_given_up() {
        let trouble = shell("sleep 60", Duration::from_millis(50)).run().await.unwrap_err();
        assert!(trouble.message.ends_with("did not end within 50ms"), "{trouble}");
    }

    #[tokio::test]
    async fn what_a_program_has_started_ends_with_it_when_it_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("started");
        let script = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let call = tokio::spawn(shell(&script, Duration::from_secs(600)).run());
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        while !file.exists() {
            assert!(tokio::time::Instant::now() < until, "the program has not begun");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        call.abort();
        let _ = call.await;
        let started: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        while runs(started) {
            assert!(tokio::time::Instant::now() < until, "process {started} goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What is dead and only waits for its parent to notice does not.
    fn runs(process: i32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !matches!(status.rsplit(") ").next().and_then(|rest| rest.chars().next()), None | Some('Z' | 'X'))
    }

    #[tokio::test]
    async fn what_it_prints_is_the_result() {
        assert_eq!(shell("echo yes", Duration::from_secs(10)).run().await.unwrap(), "yes\n");
    }
}
