//! How words reach the person reading, and how much is logged.

use gauntlet_core::{Redactor, Trouble};
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

/// Knows the secrets of the run that is under way.
static OF_THE_RUN: OnceLock<Redactor> = OnceLock::new();

/// From now on errors and logs pass this redactor, which goes on learning.
pub fn redact_with(redactor: Redactor) {
    // There is one run in a process.
    let _ = OF_THE_RUN.set(redactor);
}

fn redactor() -> Redactor {
    OF_THE_RUN.get().cloned().unwrap_or_default()
}

/// Prints a line on standard output. Who stops reading (`| head`) wants no more, and that is no trouble.
pub fn say(line: impl Display) {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => eprintln!("error: cannot write the output: {error}"),
        _ => {}
    }
}

/// Message lines, then each hint on a line of its own, on standard error. Programs whose words it repeats may have said
/// what must not be told.
pub fn report(trouble: &Trouble) {
    let redactor = redactor();
    eprintln!("error: {}", redactor.text(&trouble.message));
    for hint in &trouble.hints {
        eprintln!("hint: {}", redactor.text(hint));
    }
}

/// Logs of the libraries, on standard error: warnings, or everything of ours when verbose. `RUST_LOG` overrides it.
pub fn init_logging(verbose: bool) {
    let default = if verbose { "warn,gauntlet_engine=debug,gauntlet_cluster=debug" } else { "error,kube_client=off" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Redacted(std::io::stderr())).init();
}

/// Writes what may be told. A line of the log comes in one piece.
struct Redacted<W>(W);

impl<W: Write> Write for Redacted<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(redactor().text(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Whether a person watches standard error.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
}

/// Whether verdicts on standard output may be coloured.
pub fn wants_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_libraries_keep_no_secret_of_the_run() {
        let of_the_run = Redactor::default();
        redact_with(of_the_run.clone());
        of_the_run.learn([&serde_json::json!({"kind": "Secret", "stringData": {"a": "pl4nted-value"}})]);
        let mut log = Vec::new();
        writeln!(Redacted(&mut log), "the password is pl4nted-value").unwrap();
        assert_eq!(String::from_utf8(log).unwrap(), "the password is REDACTED\n");
    }
}
