//! The agent as a program of its own, for images built without the rest of Gauntlet.

use std::process::ExitCode;

fn main() -> ExitCode {
    gauntlet_agent::dispatch(std::env::args_os().skip(1))
}
