//! `gauntlet`: deploys a system on a cluster, breaks it on purpose, and says honestly whether it held.
//!
//! - `cli`: the command line; `commands`: one module per subcommand
//! - `console`: how errors reach the person reading
//! - `interrupt`: Ctrl-C
//!
//! The same program is the server of the embedded cluster and the agent inside it.

mod cli;
mod commands;
mod console;
mod interrupt;

use clap::Parser;
use gauntlet_core::ExitCode;

fn main() -> std::process::ExitCode {
    gauntlet_embedded::dispatch();
    if let Some(arguments) = gauntlet_agent::asked() {
        return gauntlet_agent::dispatch(arguments);
    }
    let cli = cli::Cli::parse();
    match start(cli) {
        Ok(exit) => std::process::ExitCode::from(exit.code()),
        Err(trouble) => {
            console::report(&trouble);
            std::process::ExitCode::from(trouble.exit_code().code())
        }
    }
}

fn start(cli: cli::Cli) -> Result<ExitCode, gauntlet_core::Trouble> {
    console::init_logging(cli.verbose);
    // Fails only when a provider is installed already, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| gauntlet_core::Trouble::harness(format!("cannot start: {error}")))?;
    let exit = runtime.block_on(commands::dispatch(cli));
    // A blocked thread (a read of standard input, say) must not keep the program from ending.
    runtime.shutdown_background();
    exit
}
