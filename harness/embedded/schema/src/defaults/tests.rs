//! Table tests of defaults, after what a real API server answered.

use serde_json::{Value, json};

use crate::builtin::Schemas;
use crate::model::Gvk;

fn defaulted(group: &str, version: &str, kind: &str, mut object: Value) -> Value {
    let schema = Schemas::builtin().kind(&Gvk::new(group, version, kind)).expect("built in");
    schema.canonicalize(&mut object);
    schema.default_object(&mut object);
    let once = object.clone();
    schema.default_object(&mut object);
    assert_eq!(object, once, "defaulting {kind} twice changed it");
    object
}

fn container() -> Value {
    json!({"name": "c", "image": "redis:7"})
}

fn defaulted_container() -> Value {
    json!({
        "name": "c", "image": "redis:7", "resources": {}, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"
    })
}

fn defaulted_template_spec(restart: &str) -> Value {
    json!({
        "containers": [defaulted_container()], "restartPolicy": restart, "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst", "securityContext": {}, "schedulerName": "default-scheduler"
    })
}

#[test]
fn pods_get_what_templates_get_and_service_links() {
    let pod = defaulted("", "v1", "Pod", json!({"metadata": {"name": "p"}, "spec": {"containers": [container()]}}));
    let mut expected = defaulted_template_spec("Always");
    expected["enableServiceLinks"] = json!(true);
    assert_eq!(pod, json!({"metadata": {"name": "p"}, "spec": expected, "status": {"phase": "Pending"}}));
}

#[test]
fn requests_follow_limits_in_pods_only() {
    let resources = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}});
    let spec = json!({"containers": [{"name": "c", "resources": resources}]});
    let pod = defaulted("", "v1", "Pod", json!({"spec": spec}));
    let requests = &pod["spec"]["containers"][0]["resources"]["requests"];
    assert_eq!(*requests, json!({"cpu": "100m", "memory": "1Gi"}));
    let deployment = defaulted("apps", "v1", "Deployment", json!({"spec": {"template": {"spec": spec}}}));
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["resources"], resources);
}

#[test]
fn probes_ports_hooks_and_variables_are_completed() {
    let spec = json!({"containers": [{
        "name": "c",
        "ports": [{"containerPort": 80}],
        "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 2, "initialDelaySeconds": 0},
        "lifecycle": {"preStop": {"httpGet": {"port": "http", "path": "/bye"}}}
    }]});
    let pod = defaulted("", "v1", "Pod", json!({"spec": spec}));
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["ports"], json!([{"containerPort": 80, "protocol": "TCP"}]));
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"], json!({"apiVersion": "v1", "fieldPath": "metadata.name"}));
    assert_eq!(
        container["livenessProbe"],
        json!({
            "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3
        })
    );
    assert_eq!(
        container["readinessProbe"],
        json!({
            "exec": {"command": ["true"]},
            "timeoutSeconds": 1, "periodSeconds": 2, "successThreshold": 1, "failureThreshold": 3
        })
    );
    assert_eq!(
        container["lifecycle"],
        json!({"preStop": {"httpGet": {"path": "/bye", "port": "http", "scheme": "HTTP"}}})
    );
}

#[test]
fn images_without_a_fixed_tag_are_always_pulled() {
    for (image, expected) in [
        ("redis", "Always"),
        ("redis:latest", "Always"),
        ("localhost:5000/redis", "Always"),
        ("redis:7", "IfNotPresent"),
        ("localhost:5000/redis:7", "IfNotPresent"),
        ("redis@sha256:0000", "IfNotPresent"),
    ] {
        assert_eq!(super::pod::image_pull_policy(image), expected, "{image}");
    }
}

#[test]
fn volumes_get_modes_and_a_source() {
    let volumes = json!([
        {"name": "a"},
        {"name": "b", "configMap": {"name": "m"}},
        {"name": "c", "hostPath": {"path": "/tmp"}},
        {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    ]);
    let pod = defaulted("", "v1", "Pod", json!({"spec": {"containers": [container()], "volumes": volumes}}));
    let expected = json!([
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "m", "defaultMode": 420}},
        {"name": "c", "hostPath": {"path": "/tmp", "type": ""}},
        {"name": "d", "projected": {
            "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}], "defaultMode": 420
        }}
    ]);
    assert_eq!(pod["spec"]["volumes"], expected);
}

#[test]
fn workloads_are_completed_as_recorded() {
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container()]}});
    let completed =
        |restart: &str| json!({"metadata": {"labels": {"app": "a"}}, "spec": defaulted_template_spec(restart)});
    let selector = json!({"matchLabels": {"app": "a"}});
    let spec = json!({"selector": selector, "template": template});
    for (group, kind, spec, expected) in [
        (
            "apps",
            "Deployment",
            spec.clone(),
            json!({
                "replicas": 1, "selector": selector, "template": completed("Always"),
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
                "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600
            }),
        ),
        (
            "apps",
            "DaemonSet",
            spec.clone(),
            json!({
                "selector": selector, "template": completed("Always"), "revisionHistoryLimit": 10,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
            }),
        ),
        (
            "apps",
            "StatefulSet",
            json!({"selector": selector, "serviceName": "s", "template": template, "volumeClaimTemplates": [{"metadata": {"name": "d"}}]}),
            json!({
                "replicas": 1, "selector": selector, "serviceName": "s", "template": completed("Always"),
                "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
                "volumeClaimTemplates": [{
                    "kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": {"name": "d"},
                    "spec": {"resources": {}, "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}
                }]
            }),
        ),
        (
            "batch",
            "Job",
            json!({"template": template}),
            json!({
                "parallelism": 1, "completions": 1, "backoffLimit": 6, "manualSelector": false, "suspend": false,
                "completionMode": "NonIndexed", "podReplacementPolicy": "TerminatingOrFailed",
                "template": completed("Always")
            }),
        ),
    ] {
        assert_eq!(defaulted(group, "v1", kind, json!({"spec": spec}))["spec"], expected, "{kind}");
    }
}

#[test]
fn job_templates_of_cron_jobs_are_left_to_the_job() {
    let job = json!({"spec": {"template": {"spec": {"containers": [container()], "restartPolicy": "Never"}}}});
    let cron = defaulted("batch", "v1", "CronJob", json!({"spec": {"schedule": "0 3 * * *", "jobTemplate": job}}));
    assert_eq!(
        cron["spec"],
        json!({
            "schedule": "0 3 * * *", "concurrencyPolicy": "Allow", "suspend": false,
            "jobTemplate": {"metadata": {}, "spec": {"template": {"metadata": {}, "spec": defaulted_template_spec("Never")}}},
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1
        })
    );
}

#[test]
fn services_are_completed_by_type() {
    for (spec, expected) in [
        (
            json!({"ports": [{"port": 80}]}),
            json!({
                "ports": [{"protocol": "TCP", "port": 80, "targetPort": 80}], "type": "ClusterIP",
                "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"
            }),
        ),
        (
            json!({"ports": [{"port": 80, "targetPort": "http"}], "type": "LoadBalancer"}),
            json!({
                "ports": [{"protocol": "TCP", "port": 80, "targetPort": "http"}], "type": "LoadBalancer",
                "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster",
                "allocateLoadBalancerNodePorts": true
            }),
        ),
        (
            json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"}),
        ),
    ] {
        assert_eq!(defaulted("", "v1", "Service", json!({"spec": spec}))["spec"], expected);
    }
}

#[test]
fn policy_types_follow_the_rules_given() {
    for (spec, expected) in [
        (json!({}), json!(["Ingress"])),
        (json!({"egress": []}), json!(["Ingress"])),
        (json!({"egress": [{}]}), json!(["Ingress", "Egress"])),
        (json!({"policyTypes": ["Egress"]}), json!(["Egress"])),
    ] {
        let policy = defaulted("networking.k8s.io", "v1", "NetworkPolicy", json!({"spec": spec}));
        assert_eq!(policy["spec"]["policyTypes"], expected, "{spec}");
    }
}

#[test]
fn string_data_becomes_data() {
    let secret = defaulted("", "v1", "Secret", json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}}));
    assert_eq!(secret, json!({"metadata": {}, "type": "Opaque", "data": {"a": "eA==", "b": "eQ=="}}));
}

#[test]
fn limit_ranges_inherit_within_an_item() {
    let item = json!({"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}});
    let range = defaulted("", "v1", "LimitRange", json!({"spec": {"limits": [item]}}));
    assert_eq!(
        range["spec"]["limits"][0],
        json!({
            "type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"},
            "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1", "memory": "1Mi"}
        })
    );
}

#[test]
fn autoscalers_get_a_metric_and_completed_behavior() {
    let spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}});
    let scaler = defaulted("autoscaling", "v2", "HorizontalPodAutoscaler", json!({"spec": spec}));
    assert_eq!(scaler["spec"]["minReplicas"], 1);
    assert_eq!(scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
    assert_eq!(
        scaler["spec"]["behavior"]["scaleDown"],
        json!({
            "stabilizationWindowSeconds": 60, "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]
        })
    );
    assert_eq!(scaler["spec"]["behavior"]["scaleUp"]["stabilizationWindowSeconds"], 0);
}
