//! Nodes in Docker's hands, without Docker: a program that stands in for it does to the nodes of the embedded cluster what
//! Docker would do to those of kind.

use crate::support::{Outcome, check, reaches, run_pods, shown, text};
use gauntlet_chaos::fault::{Fault, Scene, heal_all};
use gauntlet_chaos::inject;
use gauntlet_chaos::outage::NodeOutage;
use gauntlet_chaos::shape::ShapeNode;
use gauntlet_cluster::Provider;
use gauntlet_cluster::images::AGENT_IMAGE;
use gauntlet_cluster::node_agent::NodeAgents;
use gauntlet_cluster::provider::kind::Kind;
use gauntlet_cluster::provider::kind::load::Agent;
use gauntlet_cluster::provider::kind::topology::{NodeImage, Topology};
use gauntlet_cluster::traffic::Effect;
use gauntlet_core::{Capability, Evidence};
use libtest_mimic::Failed;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const ID: &str = "hands-1-1";
const RUN: &str = "hands";

const NODE: &str = "node-1";

/// A pod on that node, and one elsewhere.
const HERE: &str = r#"{"pod":{"namespace":"default","name":"a"}}"#;
const THERE: &str = r#"{"pod":{"namespace":"default","name":"client"}}"#;

pub async fn all(scene: &Scene) -> Outcome {
    let machine = Machine::new(scene)?;
    run_pods(scene, &[("a", NODE), ("client", "node-2")]).await?;
    let agents = NodeAgents::deploy(scene.cluster.access(), RUN, AGENT_IMAGE).await.map_err(text)?;
    let provider = machine.provider()?;
    let cluster = provider.find(ID).await.map_err(text)?.ok_or("the cluster is not found")?;
    drop(agents);
    let scene = Scene { cluster: cluster.into(), ..scene.clone() };
    for capability in [Capability::StopNode, Capability::NodeNetwork] {
        check(scene.cluster.capabilities().contains(&capability), format!("it lacks {capability}"))?;
    }
    is_proven_and_healed(&scene, NodeOutage::stop(NODE), true).await?;
    machine.was_told(&["docker kill node-1", "docker start node-1"])?;
    is_proven_and_healed(&scene, NodeOutage::freeze(NODE), true).await?;
    machine.was_told(&["docker pause node-1", "docker unpause node-1"])?;
    is_proven_and_healed(&scene, NodeOutage::disconnect(NODE), true).await?;
    machine.was_told(&["docker network disconnect kind node-1", "docker network connect kind node-1"])?;
    check(!machine.calls().contains("docker restart"), "a node that has its address was started again")?;
    is_proven_and_healed(&scene, ShapeNode::new(NODE, Effect::Loss { percent: 30 }), false).await?;
    is_proven_and_healed(&scene, ShapeNode::new(NODE, Effect::Delay { ms: 800, jitter_ms: 0 }), false).await?;
    // Its device has been another one since it was connected again.
    machine.was_told(&[
        "dev eth1 root handle 6a6e: netem loss 30%",
        "del dev eth1 root",
        "eth1 root handle 6a6e: netem delay 800ms",
        "del dev eth1",
    ])?;
    what_is_so_already_is_no_trouble(&scene, &machine).await?;
    what_a_node_sends_is_shaped_on_the_device_that_it_has(&scene, &machine).await?;
    a_node_that_comes_back_with_another_address_is_started_again(&scene, &machine).await?;
    what_cannot_be_done_is_undone(&scene, &machine).await?;
    what_cannot_be_undone_stays_on_record_until_it_is(&scene, &machine).await
}

async fn is_proven_and_healed(scene: &Scene, fault: impl Fault, silences: bool) -> Outcome {
    let name = fault.disturbance();
    println!("{name}");
    let injected = inject(scene, fault).await.map_err(text)?;
    shown(injected.effect())?;
    check(!silences || !reaches(scene, "client", "a").await?, format!("{name}: a pod of the node answers"))?;
    shown(&injected.heal().await.map_err(text)?)?;
    check(reaches(scene, "client", "a").await?, format!("{name}: the pod does not answer again"))
}

/// Docker refuses to do it twice; so it would who undoes after somebody who died in the middle.
async fn what_is_so_already_is_no_trouble(scene: &Scene, machine: &Machine) -> Outcome {
    let cluster = &scene.cluster;
    let outage = inject(scene, NodeOutage::stop(NODE)).await.map_err(text)?;
    shown(outage.effect())?;
    cluster.machines().map_err(text)?.stop(NODE).await.map_err(text)?;
    for _ in 0..2 {
        cluster.links().map_err(text)?.disconnect(NODE).await.map_err(text)?;
    }
    cluster.links().map_err(text)?.unshape(NODE).await.map_err(text)?;
    let refused = cluster.machines().map_err(text)?.freeze(NODE).await.err().ok_or("what is off was frozen")?;
    check(refused.message.contains("is not running"), &refused.message)?;
    shown(&outage.heal().await.map_err(text)?)?;

    let outage = inject(scene, NodeOutage::freeze(NODE)).await.map_err(text)?;
    shown(outage.effect())?;
    cluster.machines().map_err(text)?.freeze(NODE).await.map_err(text)?;
    let refused = cluster.links().map_err(text)?.unshape(NODE).await.err().ok_or("what is paused was changed")?;
    check(refused.message.contains("node-1 is paused"), &refused.message)?;
    for _ in 0..2 {
        cluster.links().map_err(text)?.disconnect(NODE).await.map_err(text)?;
    }
    // Somebody else has done half of it already.
    machine.docker(&["network", "connect", "kind", NODE])?;
    shown(&outage.heal().await.map_err(text)?)?;
    cluster.machines().map_err(text)?.bring_back(NODE).await.map_err(text)
}

/// One that has started anew has its first one again, and one that is off its network has none.
async fn what_a_node_sends_is_shaped_on_the_device_that_it_has(scene: &Scene, machine: &Machine) -> Outcome {
    let effect = Effect::Loss { percent: 30 };
    is_proven_and_healed(scene, NodeOutage::stop(NODE), true).await?;
    is_proven_and_healed(scene, ShapeNode::new(NODE, effect), false).await?;
    machine.was_told(&["replace dev eth0 root handle 6a6e: netem loss 30%", "qdisc del dev eth0 root"])?;
    let outage = inject(scene, NodeOutage::disconnect(NODE)).await.map_err(text)?;
    let refused =
        scene.cluster.links().map_err(text)?.shape(NODE, effect).await.err().ok_or("what has no device was shaped")?;
    check(refused.message.contains("it has no default route"), &refused.message)?;
    shown(&outage.heal().await.map_err(text)?)
}

async fn a_node_that_comes_back_with_another_address_is_started_again(scene: &Scene, machine: &Machine) -> Outcome {
    machine.write("address", "172.18.0.9")?;
    let outage = inject(scene, NodeOutage::disconnect(NODE)).await.map_err(text)?;
    shown(outage.effect())?;
    outage.heal().await.map_err(text)?;
    machine.remove("address")?;
    machine.was_told(&["docker network connect kind node-1", "docker restart -t 0 node-1"])
}

async fn what_cannot_be_done_is_undone(scene: &Scene, machine: &Machine) -> Outcome {
    let shape = ShapeNode::new(NODE, Effect::Loss { percent: 30 });
    machine.write("fail", "docker exec node-1 tc qdisc replace")?;
    let refused = inject(scene, shape).await.err().ok_or("it was shaped")?;
    check(refused.message.contains("no luck with docker exec"), &refused.message)?;
    check(refused.hints.iter().any(|hint| hint.contains("sch_netem")), format!("{:?}", refused.hints))?;
    for (fault, step) in [
        (NodeOutage::stop(NODE), "docker kill"),
        (NodeOutage::freeze(NODE), "docker pause"),
        (NodeOutage::disconnect(NODE), "docker network disconnect"),
    ] {
        machine.write("fail", step)?;
        let refused = inject(scene, fault).await.err().ok_or("the node went out")?;
        check(refused.message.contains(&format!("no luck with {step}")), &refused.message)?;
    }
    machine.remove("fail")?;
    check(scene.journal.still_open().map_err(text)?.is_empty(), "something is open")?;
    check(reaches(scene, "client", "a").await?, "the pod does not answer")
}

async fn what_cannot_be_undone_stays_on_record_until_it_is(scene: &Scene, machine: &Machine) -> Outcome {
    for (fault, step) in [
        (NodeOutage::stop(NODE), "docker start"),
        (NodeOutage::freeze(NODE), "docker unpause"),
        (NodeOutage::disconnect(NODE), "docker network connect"),
    ] {
        let outage = inject(scene, fault).await.map_err(text)?;
        machine.write("fail", step)?;
        let refused = outage.heal().await.err().ok_or("the node came back")?;
        check(refused.message.contains(&format!("no luck with {step}")), &refused.message)?;
        let troubles = heal_all(&scene.journal, scene.cluster.as_ref()).await;
        check(troubles.len() == 1, format!("{troubles:?}"))?;
        machine.remove("fail")?;
        let troubles = heal_all(&scene.journal, scene.cluster.as_ref()).await;
        check(troubles.is_empty(), format!("{troubles:?}"))?;
        check(scene.journal.still_open().map_err(text)?.is_empty(), "something is open")?;
    }
    // The node is well again: the next proof has something to begin with.
    let last = inject(scene, NodeOutage::freeze(NODE)).await.map_err(text)?;
    let answered = matches!(last.effect(), Evidence::Shown(_));
    last.heal().await.map_err(text)?;
    check(answered, "the node had not come back")
}

/// Programs that only seem to be docker, kind and kubectl, and a cluster that kind would have made.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(scene: &Scene) -> Result<Self, Failed> {
        let machine = Self { folder: tempfile::tempdir()? };
        let kubeconfig = &scene.cluster.access().kubeconfig;
        for folder in ["bin", "fake/clusters", "fake/images", &format!("state/kind/{ID}")] {
            std::fs::create_dir_all(machine.path(folder))?;
        }
        std::fs::copy(kubeconfig, machine.path("state/kind").join(ID).join("kubeconfig"))?;
        machine.write(&format!("clusters/gauntlet-{ID}"), "")?;
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kind/fake-program");
        let admin = kubeconfig.with_file_name("admin.sock");
        for name in ["docker", "kind", "kubectl"] {
            let variables = format!(
                "FAKE_NAME={name} FAKE='{}' FAKE_ADMIN='{}' FAKE_FROM='{HERE}' FAKE_TO='{THERE}'",
                machine.path("fake").display(),
                admin.display()
            );
            let program = machine.path("bin").join(name);
            std::fs::write(&program, format!("#!/bin/sh\n{variables} exec '{}' \"$@\"\n", fake.display()))?;
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Outcome {
        Ok(std::fs::write(self.path("fake").join(name), text)?)
    }

    fn remove(&self, name: &str) -> Outcome {
        Ok(std::fs::remove_file(self.path("fake").join(name))?)
    }

    fn provider(&self) -> Result<Kind, Failed> {
        let topology = Topology::choose(None, NodeImage::Default).map_err(text)?;
        let mut kind = Kind::new(self.path("state"), topology, Agent::Given(AGENT_IMAGE.to_owned()), vec![]);
        kind.path = self.path("bin").into();
        Ok(kind)
    }

    /// Tells Docker something, as somebody else would.
    fn docker(&self, arguments: &[&str]) -> Outcome {
        let ended = std::process::Command::new(self.path("bin").join("docker")).args(arguments).output()?;
        check(ended.status.success(), String::from_utf8_lossy(&ended.stderr).as_ref())
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.path("fake/calls")).unwrap_or_default()
    }

    /// Calls that contain these were made, in this order.
    fn was_told(&self, expected: &[&str]) -> Outcome {
        let calls = self.calls();
        let mut rest = calls.lines();
        for part in expected {
            check(rest.any(|call| call.contains(part)), format!("`{part}` was not called in its turn:\n{calls}"))?;
        }
        Ok(())
    }
}
