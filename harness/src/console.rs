//! How words reach the person reading, and how much is logged.

use gauntlet_core::{Redactor, Trouble};
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};

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
    let redactor = Redactor::default();
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
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Whether a person watches standard error.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
}

/// Whether verdicts on standard output may be coloured.
pub fn wants_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
