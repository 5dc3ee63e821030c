//! Stores and their quorums, and budgets.

use super::{budget, deployment, proposed, store};

#[test]
fn quorums_of_known_stores_are_recognised() {
    let cluster = "[\"--cluster-enabled\", \"yes\", \"--cluster-node-timeout\", \"5000\"]";
    for (image, replicas, args, quorum) in [
        ("redis:7", 6, cluster, Some(4)),
        ("redis:7", 1, "[]", None),
        ("redis:7", 2, "[\"--replicaof\", \"db-0\", \"6379\"]", Some(1)),
        ("nats:2.10", 3, "[\"-js\"]", Some(2)),
        ("nats:2.10", 3, "[]", None),
        ("postgres:16", 3, "[]", Some(1)),
        ("postgres:16", 1, "[]", None),
        ("quay.io/coreos/etcd:v3.5", 5, "[]", Some(3)),
        ("example.com/own:1", 3, "[\"--initial-cluster=a,b,c\"]", Some(2)),
        ("example.com/own:1", 3, "[]", None),
        ("bitnami/mariadb-galera:11", 3, "[]", Some(2)),
        ("mariadb:11", 3, "[]", Some(1)),
        ("mariadb:11", 3, "[\"--wsrep-on=ON\"]", Some(2)),
        ("cassandra:5", 3, "[]", Some(2)),
        ("cassandra:5", 6, "[]", Some(5)),
        ("docker.elastic.co/elasticsearch/elasticsearch:8.13.0", 3, "[]", Some(2)),
        ("opensearchproject/opensearch:2", 3, "[]", Some(2)),
        ("redis:7", 3, "[redis-sentinel, /etc/s.conf]", Some(2)),
    ] {
        let (text, contract) = proposed(&store("db", image, replicas, args, ""));
        let found = contract.quorums.first().map(|quorum| quorum.min_ready.value);
        assert_eq!(found, quorum, "{image} with {replicas} and {args}\n{text}");
    }
}

#[test]
fn a_store_that_clients_cannot_use_as_it_is_stays_a_comment() {
    let cluster = "[\"--cluster-enabled\", \"yes\"]";
    let locked = "[\"--cluster-enabled\", \"yes\", \"--requirepass\", \"x\"]";
    for (image, replicas, args, why) in [
        ("redis:7", 6, cluster, None),
        ("redis:7", 6, locked, Some("its settings have requirepass")),
        ("redis:7", 4, cluster, Some("4 members are not three or more primaries with 1 replicas each")),
        ("bitnami/redis:7", 6, cluster, Some("a stand-in runs in place of bitnami/redis:7")),
        ("redis:7", 3, "[]", Some("who of its members is the primary cannot be told")),
    ] {
        let (text, contract) = proposed(&store("db", image, replicas, args, ""));
        assert_eq!(contract.stores.is_empty(), why.is_some(), "{text}");
        if let Some(why) = why {
            assert!(text.contains(&format!("# left out: {why}")), "{why} is not in\n{text}");
        }
        let promised = contract.guesses().any(|id| id == "store.db");
        assert_eq!(promised, why.is_none(), "a comment promises nothing\n{text}");
    }
}

#[test]
fn what_contradicts_itself_is_left_out_and_says_so() {
    for (budget, quorum, why) in [
        (budget("db", "maxUnavailable: 2"), 0, "a PodDisruptionBudget lets it go down to 1"),
        (budget("db", "minAvailable: 4"), 1, "it wants more pods available than the 3 that there are"),
        (budget("other", "minAvailable: 1"), 1, "it selects no workload of the manifests"),
        (budget("db", "minAvailable: some"), 1, "neither minAvailable nor maxUnavailable is a number of pods"),
    ] {
        let (text, contract) = proposed(&store("db", "etcd:3", 3, "[]", &budget));
        assert_eq!(contract.quorums.len(), quorum, "{text}");
        assert!(text.contains(&format!("# left out: {why}")), "{why} is not in\n{text}");
    }
}

#[test]
fn a_store_is_found_behind_a_sidecar_and_by_its_variables() {
    let kafka = |env: &str| format!("[{{name: k, image: \"confluentinc/cp-kafka:7\", env: [{env}]}}]");
    let roles = "{name: KAFKA_PROCESS_ROLES, value: \"broker,controller\"}";
    let voters = |voters: &str| format!("{roles}, {{name: KAFKA_CONTROLLER_QUORUM_VOTERS, value: \"{voters}\"}}");
    let search =
        |roles: &str| format!("[{{name: e, image: elasticsearch:8, env: [{{name: node.roles, value: \"{roles}\"}}]}}]");
    let exporter = "{name: exporter, image: oliver006/redis_exporter:v1}";
    let rabbit = format!("[{exporter}, {{name: rabbit, image: \"rabbitmq:3\"}}]");
    let watched = "[{name: r, image: redis:7}, {name: s, image: redis:7, command: [redis-sentinel, /s.conf]}]";
    let left_out = |why: &str| Err(format!("# left out: {why}"));
    for (containers, expected) in [
        (kafka(roles), Ok(2)),
        (kafka(&voters("0@db-0:9093,1@db-1:9093,2@db-2:9093")), Ok(2)),
        (kafka(&voters("0@db-0:9093")), left_out("its settings name 1 voters and it has 3 pods")),
        (kafka("{name: KAFKA_PROCESS_ROLES, value: broker}"), left_out("how many brokers must stay follows")),
        (kafka(""), left_out("how many brokers must stay follows")),
        (search("data"), left_out("its nodes do not vote")),
        (search("master,data"), Ok(2)),
        (rabbit, Ok(2)),
        (watched.to_owned(), Ok(2)),
    ] {
        let all = store("db", "x", 3, "[]", "");
        let from = all.find("containers: [").unwrap();
        let to = from + all[from..].find('\n').unwrap();
        let (text, contract) = proposed(&format!("{}containers: {containers}{}", &all[..from], &all[to..]));
        match expected {
            Ok(least) => assert_eq!(contract.quorums[0].min_ready.value, least, "{text}"),
            Err(told) => {
                assert!(text.contains(&told), "{told} is not in\n{text}");
                assert!(contract.quorums.is_empty(), "{text}");
            }
        }
    }
}

#[test]
fn the_container_of_a_store_is_the_one_that_does_the_work() {
    let containers = "[{name: exporter, image: x}, {name: rabbit, image: rabbitmq:3, ports: [{containerPort: 5672}]}]";
    let all = store("db", "x", 3, "[]", "");
    let from = all.find("containers: [").unwrap();
    let to = from + all[from..].find('\n').unwrap();
    let all = format!("{}containers: {containers}{}", &all[..from], &all[to..]);
    assert_eq!(proposed(&all).1.workloads[0].container.as_deref(), Some("rabbit"));
}

#[test]
fn an_applications_own_cache_is_no_store_unless_a_service_reaches_it() {
    let cached = |service: &str| {
        let web = deployment("web", "replicas: 3,")
            .replace("}]}]}}", "}]}, {name: c, image: redis:7, ports: [{containerPort: 6379}]}]}}");
        let service = format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: a}}, spec: {{selector: {{app: web}}, ports: [{{port: {service}}}]}}}}\n"
        );
        proposed(&format!("{web}{service}")).1.quorums.len()
    };
    assert_eq!((cached("80"), cached("6379")), (0, 1));
}
