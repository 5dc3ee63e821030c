//! The command that was given, for whoever wants the same again.

use crate::cli::{Evidence, Kept, RunArgs};
use gauntlet_engine::Again;
use std::fmt::Display;
use std::path::Path;

/// What repeats the run, and what repeats a scenario of it. Where its reports went is nobody's business but the run's.
pub fn again(arguments: &RunArgs, overlay: &str) -> Again {
    Again { command: command(arguments, overlay), selection: selection(arguments) }
}

/// What decides how a scenario goes, and what of it is kept.
fn command(arguments: &RunArgs, overlay: &str) -> String {
    let mut words = Words(vec!["gauntlet run".to_owned()]);
    let (cluster, kind) = (&arguments.cluster, &arguments.kind);
    words.option("--system", &arguments.system.system);
    words.option("--overlay", overlay);
    words.option("--cluster", &cluster.cluster);
    words.option("--nodes", arguments.nodes);
    words.options("--context", &cluster.context);
    words.options("--kubeconfig", cluster.kubeconfig.as_deref().map(Path::display));
    words.options("--agent-image", &arguments.agent_image);
    words.options("--agent-base", &kind.agent_base);
    words.options("--kind-config", &kind.kind_config);
    words.options("--kubernetes", &kind.kubernetes);
    words.options("--node-image", &kind.node_image);
    words.options("--ready-within", kind.ready_within);
    words.options("--mutant", &arguments.mutant);
    words.options("--image-archive", kind.image_archive.iter().map(|file| file.display()));
    words.flag("--allow-node-faults", arguments.allow_node_faults);
    words.flag("--no-install", arguments.no_install);
    words.flag("--evidence all", arguments.evidence == Evidence::All);
    let limit = arguments.evidence_limit;
    words.options("--evidence-limit", (limit != gauntlet_engine::evidence::DEFAULT_MIB).then_some(limit));
    words.told()
}

/// Which scenarios, how often, and what becomes of their clusters and figures.
fn selection(arguments: &RunArgs) -> String {
    let mut words = Words(vec![]);
    words.options("--parallel", arguments.parallel);
    words.options("--repeat", arguments.repeat);
    words.flag("--until-fail", arguments.until_fail);
    words.flag("--keep", arguments.keep == Some(Kept::All));
    words.flag("--keep=failed", arguments.keep == Some(Kept::Failed));
    words.options("--baseline", arguments.baseline.as_deref().map(Path::display));
    words.options("--level", arguments.baseline.as_ref().map(|_| arguments.level.0));
    words.flag("--fail-on-regression", arguments.fail_on_regression);
    words.options("--skip", &arguments.skip);
    words.flag("--exact", arguments.exact);
    arguments.filters.iter().for_each(|filter| words.0.push(quoted(filter)));
    words.told()
}

/// The words of a command, each as a shell takes it.
struct Words(Vec<String>);

impl Words {
    fn flag(&mut self, flag: &str, is_given: bool) {
        if is_given {
            self.0.push(flag.to_owned());
        }
    }

    fn option(&mut self, option: &str, value: impl Display) {
        self.0.push(format!("{option} {}", quoted(&value.to_string())));
    }

    fn options(&mut self, option: &str, values: impl IntoIterator<Item: Display>) {
        values.into_iter().for_each(|value| self.option(option, value));
    }

    fn told(self) -> String {
        self.0.join(" ")
    }
}

fn quoted(word: &str) -> String {
    // Only what has a NUL in it cannot be quoted, and nobody could have given that.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::run::planned;
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use gauntlet_core::Seed;

    fn arguments(command: &str) -> RunArgs {
        let words = shlex::split(command).unwrap();
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_round_that_is_run_again_makes_its_choices_again() {
        let given = arguments("gauntlet run redis.failover drain --repeat 4");
        let again = again(&given, "production");
        for planned_then in planned(&given).unwrap() {
            let then = planned_then.seed(Seed(7));
            let command = again.scenario(&planned_then, Seed(7));
            let now = arguments(&command);
            let [planned_now] = planned(&now).unwrap()[..] else { panic!("{command} runs more than one scenario") };
            assert_eq!(planned_now.seed(Seed(now.seed.unwrap())), then, "{command}");
            assert_eq!(planned_now.scenario.info().name, planned_then.scenario.info().name);
        }
    }

    #[test]
    fn rounds_choose_independently() {
        let rounds = planned(&arguments("gauntlet run --exact redis.failover --repeat 20")).unwrap();
        let seeds: std::collections::BTreeSet<u64> = rounds.iter().map(|planned| planned.seed(Seed(7)).0).collect();
        assert_eq!(seeds.len(), 20);
    }

    #[test]
    fn a_run_that_is_run_again_is_told_the_same() {
        for given in [
            "gauntlet run",
            "gauntlet run redis nats --skip 'quorum loss' --skip drain --seed 7",
            "gauntlet run --exact redis.failover --repeat 10 --parallel 2 --keep=failed",
            "gauntlet run --until-fail --keep --evidence all --evidence-limit 7",
            "gauntlet run --system './my system' --overlay \"it's\" --cluster kubeconfig --context 'a b' --kubeconfig '/k $x'",
            "gauntlet run --cluster kind --image-archive a.tar --image-archive 'b c.tar' --kubernetes 1.35",
            "gauntlet run --cluster kind --kind-config mine.yaml --node-image 'example.com/node:1'",
            "gauntlet run --baseline b.jsonl --level 1% --fail-on-regression --allow-node-faults --mutant redis.failover/no-replicas --no-install",
        ] {
            let first = arguments(given);
            let overlay = first.overlay.clone().unwrap_or("production".to_owned());
            let command = again(&first, &overlay).run(Seed(7));
            let mut told = arguments(&command);
            assert_eq!((told.seed.take(), told.overlay.take()), (Some(7), Some(overlay)), "{command}");
            let expected = RunArgs { seed: None, overlay: None, ..first };
            assert_eq!(format!("{told:?}"), format!("{expected:?}"), "{command}");
        }
    }
}
