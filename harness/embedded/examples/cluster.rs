//! Runs a cluster in the foreground until Ctrl-C, for development:
//! `cargo run -p gauntlet-embedded --example cluster -- --state DIR [--id ID] [--nodes N] [--control-plane] [--port P]`.

use std::process::ExitCode;
use std::time::Duration;

use gauntlet_embedded::{Config, Error, launch};

const DEADLINE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    gauntlet_embedded::dispatch();
    let config = match config(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            if let Some(remedy) = error.remedy() {
                eprintln!("hint: {remedy}");
            }
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(config: Config) -> Result<(), Error> {
    let log = config.paths().log();
    let cluster = launch(config, DEADLINE).await?;
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("# admin socket {}, log {}; Ctrl-C ends the cluster", cluster.admin_socket().display(), log.display());
    if tokio::signal::ctrl_c().await.is_err() {
        return cluster.ended().await;
    }
    cluster.stop(DEADLINE).await
}

fn config(mut arguments: impl Iterator<Item = String>) -> Result<Config, String> {
    let mut config = Config::new("dev", 4);
    let mut control_plane = false;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--state" => config.state_dir = value()?.into(),
            "--id" => config.id = value()?,
            "--port" => config.port = value()?.parse().map_err(|error| format!("--port: {error}"))?,
            "--nodes" => {
                let nodes = value()?.parse().map_err(|error| format!("--nodes: {error}"))?;
                config.nodes = Config::new("", nodes).nodes;
            }
            "--control-plane" => control_plane = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(if control_plane { config.with_control_plane() } else { config })
}
