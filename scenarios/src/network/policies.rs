//! Which NetworkPolicy objects have a say on a pod: for a person who looks for the cause of a difference, never for the
//! judgement.

use gauntlet_core::contract::model::Labels;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A pod as policies see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub namespace: String,
    pub labels: Labels,
}

/// A sentence for each end: the policies that select it in the direction that matters, or that none does. An end that is
/// no pod has none.
pub fn explain(policies: &[NetworkPolicy], from: Option<&Subject>, to: Option<&Subject>) -> Vec<String> {
    let ends = [(from, Direction::Egress, "the source"), (to, Direction::Ingress, "the destination")];
    ends.into_iter()
        .filter_map(|(subject, direction, which)| {
            let names = selecting(policies, subject?, direction);
            let word = direction.word();
            Some(match names.is_empty() {
                true => format!("no policy selects {which} for {word}: it is open there"),
                false => format!("{word} of {which}: {}", names.join(", ")),
            })
        })
        .collect()
}

/// Names of the policies that select a pod in a direction.
fn selecting(policies: &[NetworkPolicy], subject: &Subject, direction: Direction) -> Vec<String> {
    let selects = |policy: &&NetworkPolicy| {
        policy.namespace().as_deref() == Some(&subject.namespace)
            && acts_on(policy, direction)
            && policy.spec.as_ref().is_some_and(|spec| {
                spec.pod_selector.as_ref().is_none_or(|selector| matches(selector, &subject.labels))
            })
    };
    policies.iter().filter(selects).map(|policy| policy.name_any()).collect()
}

/// Without `policyTypes` a policy is about ingress, and about egress if it has egress rules.
fn acts_on(policy: &NetworkPolicy, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    match (&spec.policy_types, direction) {
        (Some(types), _) if !types.is_empty() => types.iter().any(|kind| kind.eq_ignore_ascii_case(direction.word())),
        (_, Direction::Ingress) => true,
        (_, Direction::Egress) => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
    }
}

fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten();
    let each = expressions.map(|expression| {
        let value = labels.get(&expression.key);
        let listed = |value: &String| expression.values.iter().flatten().any(|wanted| wanted == value);
        match expression.operator.as_str() {
            "In" => value.is_some_and(listed),
            "NotIn" => !value.is_some_and(listed),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && each.into_iter().all(|holds| holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn policy(name: &str, spec: Value) -> NetworkPolicy {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec})).unwrap()
    }

    fn subject(app: &str) -> Subject {
        Subject { namespace: "shop".into(), labels: [("app".to_owned(), app.to_owned())].into() }
    }

    #[test]
    fn a_policy_acts_where_its_types_or_their_defaults_say() {
        let everybody = json!({});
        for (spec, ingress, egress) in [
            (json!({"podSelector": everybody}), true, false),
            (json!({"podSelector": everybody, "egress": [{}]}), true, true),
            (json!({"podSelector": everybody, "egress": []}), true, false),
            (json!({"podSelector": everybody, "policyTypes": ["Egress"]}), false, true),
        ] {
            let policy = policy("p", spec);
            assert_eq!(acts_on(&policy, Direction::Ingress), ingress, "{policy:?}");
            assert_eq!(acts_on(&policy, Direction::Egress), egress, "{policy:?}");
        }
    }

    #[test]
    fn both_ends_are_explained_by_name() {
        let expression = json!({"key": "app", "operator": "In", "values": ["db", "cache"]});
        let policies = [
            policy("db-in", json!({"podSelector": {"matchExpressions": [expression]}, "policyTypes": ["Ingress"]})),
            policy("api-out", json!({"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Egress"]})),
        ];
        let (api, db, elsewhere) = (subject("api"), subject("db"), Subject { namespace: "x".into(), ..subject("db") });
        assert_eq!(
            explain(&policies, Some(&api), Some(&db)),
            ["egress of the source: api-out", "ingress of the destination: db-in"]
        );
        assert_eq!(
            explain(&policies, Some(&db), Some(&elsewhere)),
            [
                "no policy selects the source for egress: it is open there",
                "no policy selects the destination for ingress: it is open there"
            ]
        );
        assert_eq!(explain(&policies, Some(&api), None).len(), 1);
    }
}
