//! What makes objects invalid beyond what was recorded: each row changes a good object in one place.

use embedded_schema::{Gvk, KindSchema, Schemas};
use serde_json::{Value, json};

fn schema(group: &str, version: &str, kind: &str) -> KindSchema {
    Schemas::builtin().kind(&Gvk::new(group, version, kind)).expect("built in")
}

/// `object` with the value at a pointer replaced, or set where it was missing; `null` removes.
fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut patch = value;
    for segment in pointer.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
        patch = json!({ segment: patch });
    }
    let mut changed = object.clone();
    merge(&mut changed, patch);
    changed
}

/// As a merge patch, but keys that are numbers are positions in lists.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if patch.is_empty() {
        *target = json!({});
    }
    for (key, value) in patch {
        match (target.is_array(), key.parse::<usize>()) {
            (true, Ok(index)) => merge(&mut target[index], value),
            _ => merge(&mut target[key.as_str()], value),
        }
    }
}

fn problems(schema: &KindSchema, object: &Value) -> Vec<String> {
    let mut object = object.clone();
    schema.canonicalize(&mut object);
    schema.default_object(&mut object);
    texts(schema.validate_create(&object))
}

fn update_problems(schema: &KindSchema, old: &Value, new: &Value) -> Vec<String> {
    let complete = |object: &Value| {
        let mut object = object.clone();
        schema.canonicalize(&mut object);
        schema.default_object(&mut object);
        object
    };
    texts(schema.validate_update(&complete(new), &complete(old)))
}

fn texts(causes: Vec<Value>) -> Vec<String> {
    let text = |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    causes.iter().map(|cause| format!("{}: {}", text(cause, "field"), text(cause, "message"))).collect()
}

fn check(schema: &KindSchema, good: &Value, rows: &[(&str, Value, &[&str])]) {
    assert_eq!(problems(schema, good), Vec::<String>::new(), "the object that rows change is not good");
    for (pointer, value, expected) in rows {
        assert_eq!(problems(schema, &with(good, pointer, value.clone())), *expected, "{pointer} = {value}");
    }
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{
                "name": "c", "image": "i:1",
                "ports": [{"containerPort": 80, "name": "http"}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "readinessProbe": {"httpGet": {"port": "http"}}
            }],
            "volumes": [{"name": "v", "emptyDir": {}}]
        }
    })
}

#[test]
fn containers_of_pods() {
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                         start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let at = |rest: &str| format!("spec.containers[0].{rest}");
    let name = at(&format!("name: Invalid value: \"C\": {LABEL}"));
    let limit = at("resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1");
    check(
        &schema("", "v1", "Pod"),
        &pod(),
        &[
            ("/spec/containers", json!([]), &["spec.containers: Required value"]),
            ("/spec/containers/0/name", json!("C"), &[&name]),
            ("/spec/containers/0/name", json!(""), &[&at("name: Required value")]),
            ("/spec/containers/0/image", json!(""), &[&at("image: Required value")]),
            (
                "/spec/containers/0/imagePullPolicy",
                json!("Often"),
                &[&at(
                    "imagePullPolicy: Unsupported value: \"Often\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
                )],
            ),
            ("/spec/containers/0/ports/0/containerPort", json!(0), &[&at("ports[0].containerPort: Required value")]),
            (
                "/spec/containers/0/ports/0/containerPort",
                json!(70_000),
                &[&at("ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive")],
            ),
            (
                "/spec/containers/0/ports/0/protocol",
                json!("ICMP"),
                &[&at("ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"")],
            ),
            ("/spec/containers/0/volumeMounts/0/name", json!("w"), &[&at("volumeMounts[0].name: Not found: \"w\"")]),
            (
                "/spec/containers/0/volumeMounts/0/mountPath",
                json!(""),
                &[&at("volumeMounts[0].mountPath: Required value")],
            ),
            ("/spec/containers/0/resources", json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}), &[&limit]),
            (
                "/spec/containers/0/resources",
                json!({"limits": {"cpu": "-1"}}),
                &[
                    &at("resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"),
                    &at("resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"),
                ],
            ),
            (
                "/spec/containers/0/resources",
                json!({"limits": {"pods": "1"}, "requests": {}}),
                &[
                    &at("resources.limits[pods]: Invalid value: \"pods\": must be a standard resource for containers"),
                    &at(
                        "resources.requests[pods]: Invalid value: \"pods\": must be a standard resource for containers",
                    ),
                ],
            ),
            (
                "/spec/containers/0/readinessProbe",
                json!({"exec": {"command": ["x"]}}),
                &[&at("readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type")],
            ),
            (
                "/spec/containers/0/livenessProbe",
                json!({"tcpSocket": {"port": 80}, "successThreshold": 2}),
                &[&at("livenessProbe.successThreshold: Invalid value: 2: must be 1")],
            ),
            (
                "/spec/containers/0/livenessProbe",
                json!({"periodSeconds": 5}),
                &[&at("livenessProbe: Required value: must specify a handler type")],
            ),
            (
                "/spec/containers/0/securityContext",
                json!({"privileged": true, "allowPrivilegeEscalation": false}),
                &[&at(
                    "securityContext: Invalid value: {\"privileged\":true,\"allowPrivilegeEscalation\":false}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
                )],
            ),
            (
                "/spec/containers/0/env",
                json!([{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
                &[&at("env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty")],
            ),
            ("/spec/containers/0/env", json!([{"name": ""}]), &[&at("env[0].name: Required value")]),
        ],
    );
}

#[test]
fn pods_beyond_their_containers() {
    let two = json!([{"name": "c", "image": "i:1"}, {"name": "c", "image": "i:1"}]);
    check(
        &schema("", "v1", "Pod"),
        &pod(),
        &[
            ("/spec/containers", two, &["spec.containers[1].name: Duplicate value: \"c\""]),
            (
                "/spec/restartPolicy",
                json!("Sometimes"),
                &[
                    "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
                ],
            ),
            (
                "/spec/volumes/0",
                json!({"emptyDir": {}, "hostPath": {"path": "/x"}}),
                &[
                    "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
                    "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
                ],
            ),
            (
                "/spec/volumes",
                json!([{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]),
                &["spec.volumes[1].name: Duplicate value: \"v\""],
            ),
            (
                "/spec/initContainers",
                json!([{"name": "i", "image": "i:1", "livenessProbe": {"tcpSocket": {"port": 1}}}]),
                &[
                    "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
                ],
            ),
            (
                "/spec/initContainers",
                json!([{"name": "i", "image": "i:1", "restartPolicy": "Always", "livenessProbe": {"tcpSocket": {"port": 1}}}]),
                &[],
            ),
            (
                "/spec/activeDeadlineSeconds",
                json!(0),
                &["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
            ),
            (
                "/spec/securityContext",
                json!({"runAsUser": -1}),
                &["spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"],
            ),
            (
                "/spec/topologySpreadConstraints",
                json!([{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "DoNotSchedule"}]),
                &[
                    "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
                    "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
                ],
            ),
            (
                "/spec/affinity",
                json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "podAffinityTerm": {"topologyKey": "k"}}]}}),
                &[
                    "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
                ],
            ),
            (
                "/spec/ephemeralContainers",
                json!([{"name": "e", "image": "i:1"}]),
                &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
            ),
        ],
    );
}

#[test]
fn of_a_running_pod_little_may_change() {
    let schema = schema("", "v1", "Pod");
    for (pointer, value, refused_at) in [
        ("/spec/containers/0/image", json!("i:2"), None),
        ("/metadata/labels", json!({"a": "b"}), None),
        ("/spec/activeDeadlineSeconds", json!(5), None),
        ("/spec/tolerations", json!([{"key": "t", "operator": "Exists"}]), None),
        ("/spec/nodeSelector", json!({"a": "b"}), Some("spec")),
        ("/spec/containers/0/command", json!(["x"]), Some("spec")),
        ("/spec/containers", json!([]), Some("spec.containers")),
        ("/metadata/uid", json!("other"), Some("metadata.uid")),
    ] {
        let old = with(&pod(), "/metadata/uid", json!("u"));
        let found = update_problems(&schema, &old, &with(&old, pointer, value.clone()));
        let fields: Vec<&str> = found.iter().map(|text| text.split(": ").next().unwrap_or_default()).collect();
        assert_eq!(fields.first().copied(), refused_at, "{pointer} = {value}: {found:?}");
    }
}

#[test]
fn metadata_of_every_object() {
    let good = json!({"metadata": {"name": "m"}});
    let found = |pointer: &str, value: Value| problems(&schema("", "v1", "ConfigMap"), &with(&good, pointer, value));
    assert_eq!(found("/metadata/name", json!("")), ["metadata.name: Required value: name or generateName is required"]);
    assert_eq!(found("/metadata/labels", json!({"a b": "x"})).len(), 1);
    assert_eq!(found("/metadata/labels", json!({"a": "x y"})).len(), 1);
    assert_eq!(found("/metadata/annotations", json!({"A/b": "any text at all"})), Vec::<String>::new());
    assert_eq!(
        found("/metadata/annotations", json!({"a": "x".repeat(300_000)})),
        ["metadata.annotations: Too long: may not be more than 262144 bytes"]
    );
    assert_eq!(found("/metadata/generateName", json!("m-")), Vec::<String>::new());
}

#[test]
fn an_object_that_is_being_deleted_gets_no_new_finalizers() {
    let old = json!({"metadata": {"name": "m", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a.b/c"]}});
    let new = with(&old, "/metadata/finalizers", json!(["a.b/c", "d.e/f"]));
    assert_eq!(
        update_problems(&schema("", "v1", "ConfigMap"), &old, &new),
        ["metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
          finalizers []string{\"d.e/f\"}"]
    );
}

#[test]
fn configuration_that_is_immutable_stays() {
    let old = json!({"metadata": {"name": "m"}, "data": {"k": "1"}, "immutable": true});
    let maps = schema("", "v1", "ConfigMap");
    let says = "field is immutable when `immutable` is set";
    assert_eq!(update_problems(&maps, &old, &with(&old, "/data/k", json!("2"))), [format!("data: Forbidden: {says}")]);
    assert_eq!(
        update_problems(&maps, &old, &with(&old, "/immutable", json!(false))),
        [format!("immutable: Forbidden: {says}")]
    );
    let secret = json!({"metadata": {"name": "s"}, "type": "kubernetes.io/tls", "data": {"tls.crt": ""}});
    assert_eq!(problems(&schema("", "v1", "Secret"), &secret), ["data[tls.key]: Required value"]);
}

#[test]
fn services() {
    let good = json!({"metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}});
    check(
        &schema("", "v1", "Service"),
        &good,
        &[
            (
                "/spec/ports/0/port",
                json!(0),
                &[
                    "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                    "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                "/spec/type",
                json!("Magic"),
                &[
                    "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
                ],
            ),
            ("/spec/type", json!("ExternalName"), &["spec.externalName: Required value"]),
            (
                "/spec/ports",
                json!([{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]),
                &["spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}"],
            ),
            (
                "/spec/ports",
                json!([{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]),
                &["spec.ports[1].name: Duplicate value: \"a\""],
            ),
            (
                "/spec/sessionAffinity",
                json!("Sticky"),
                &["spec.sessionAffinity: Unsupported value: \"Sticky\": supported values: \"ClientIP\", \"None\""],
            ),
        ],
    );
}

#[test]
fn autoscalers_quotas_and_roles() {
    let scaler = json!({
        "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 3}
    });
    check(
        &schema("autoscaling", "v2", "HorizontalPodAutoscaler"),
        &scaler,
        &[
            (
                "/spec/minReplicas",
                json!(0),
                &["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"],
            ),
            (
                "/spec/minReplicas",
                json!(5),
                &["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
            ),
            ("/spec/scaleTargetRef/name", json!(""), &["spec.scaleTargetRef.name: Required value"]),
        ],
    );
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1", "requests.cpu": "500m", "count/jobs.batch": "2"}}});
    check(
        &schema("", "v1", "ResourceQuota"),
        &quota,
        &[
            (
                "/spec/hard",
                json!({"pods": "-1"}),
                &["spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0"],
            ),
            ("/spec/hard", json!({"pods": "500m"}), &["spec.hard[pods]: Invalid value: \"500m\": must be an integer"]),
            (
                "/spec/hard",
                json!({"wings": "1"}),
                &["spec.hard[wings]: Invalid value: \"wings\": must be a standard resource type or fully qualified"],
            ),
        ],
    );
    let role = json!({"kind": "Role", "metadata": {"name": "system:r"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
    check(
        &schema("rbac.authorization.k8s.io", "v1", "Role"),
        &role,
        &[
            ("/rules/0/verbs", json!([]), &["rules[0].verbs: Required value: verbs must contain at least one value"]),
            (
                "/rules/0/apiGroups",
                json!([]),
                &["rules[0].apiGroups: Required value: resource rules must supply at least one api group"],
            ),
            ("/metadata/name", json!("a/b"), &["metadata.name: Invalid value: \"a/b\": may not contain '/'"]),
        ],
    );
}

#[test]
fn claims_change_only_in_size_once_bound() {
    let claims = schema("", "v1", "PersistentVolumeClaim");
    let old = json!({
        "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "x", "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    });
    let storage = "/spec/resources/requests/storage";
    assert_eq!(update_problems(&claims, &old, &with(&old, storage, json!("2Gi"))), Vec::<String>::new());
    assert_eq!(update_problems(&claims, &old, &with(&old, "/spec/volumeName", json!("v"))), Vec::<String>::new());
    assert_eq!(
        update_problems(&claims, &old, &with(&old, storage, json!("1Mi"))),
        ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    );
    let other = update_problems(&claims, &old, &with(&old, "/spec/storageClassName", json!("y")));
    assert!(other.len() == 1 && other[0].starts_with("spec: Forbidden: spec is immutable"), "{other:?}");
}
