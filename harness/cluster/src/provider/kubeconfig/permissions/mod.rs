//! What a run must be allowed to do on a cluster, asked before anything is done: all gaps at once. Without what every run
//! does there is no run; without what a power takes there are no scenarios that need the power.
//!
//! - [`table`]: which verbs these are

mod table;

use crate::access::{Access, said};
use futures::{StreamExt, TryStreamExt};
use gauntlet_core::{Capability, Trouble};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::Discovery;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Questions asked at once.
const AT_ONCE: usize = 8;

/// What is said before gaps are listed.
const DENIED: &str = "the cluster does not allow you to";

/// One thing to be allowed, in every namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    group: String,
    resource: String,
    subresource: &'static str,
    verb: &'static str,
}

impl Need {
    fn new(verb: &'static str, group: &str, resource: &str, subresource: &'static str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned(), subresource, verb }
    }

    /// What it is to be done to.
    fn object(&self) -> String {
        let Self { group, resource, subresource, .. } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let group = if group.is_empty() { String::new() } else { format!(" ({group})") };
        format!("{resource}{slash}{subresource}{group}")
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.object())
    }
}

/// Powers that are not allowed, and why.
pub type Denials = BTreeMap<Capability, String>;

/// Makes sure that everything is allowed that every run with these objects does, and finds out which of the powers are.
///
/// # Errors
/// All that is not allowed, where a run cannot do without some of it; or it cannot be asked.
pub async fn check(access: &Access, objects: &[&Value], powers: &BTreeSet<Capability>) -> Result<Denials, Trouble> {
    let kinds = access.kinds().await;
    let kinds = kinds.map_err(|error| Trouble::input(format!("cannot discover the API's kinds: {}", said(&error))))?;
    let mut always = table::always();
    always.extend(for_objects(&kinds, objects));
    let powers: BTreeMap<Capability, BTreeSet<Need>> = powers.iter().map(|power| (*power, table::of(*power))).collect();
    let asked: BTreeSet<Need> = powers.values().flatten().chain(&always).cloned().collect();
    let denied: BTreeSet<Need> = futures::stream::iter(asked)
        .map(async |need| Ok::<_, Trouble>((!is_allowed(access, &need).await?).then_some(need)))
        .buffered(AT_ONCE)
        .try_filter_map(async |denied| Ok(denied))
        .try_collect()
        .await?;
    judge(&always, &powers, &denied)
}

fn judge(
    always: &BTreeSet<Need>,
    powers: &BTreeMap<Capability, BTreeSet<Need>>,
    denied: &BTreeSet<Need>,
) -> Result<Denials, Trouble> {
    if denied.iter().any(|need| always.contains(need)) {
        return Err(Trouble::input(format!("{DENIED}:\n  {}", gaps(always, powers, denied).join("\n  ")))
            .hint("ask for a role that allows it, or name a context with one"));
    }
    let of_power = |(power, needs): (&Capability, &BTreeSet<Need>)| {
        let gaps: Vec<String> = needs.iter().filter(|need| denied.contains(need)).map(ToString::to_string).collect();
        (!gaps.is_empty()).then(|| (*power, format!("{DENIED}: {}", gaps.join(", "))))
    };
    Ok(powers.iter().filter_map(of_power).collect())
}

/// A line for each thing: what may not be done to it, and for which powers that is where a run could do without.
fn gaps(
    always: &BTreeSet<Need>,
    powers: &BTreeMap<Capability, BTreeSet<Need>>,
    denied: &BTreeSet<Need>,
) -> Vec<String> {
    let only_for = |need: &Need| {
        let takers = powers.iter().filter(|(_, needs)| needs.contains(need) && !always.contains(need));
        let takers: Vec<String> = takers.map(|(power, _)| power.to_string()).collect();
        if takers.is_empty() { String::new() } else { format!(", only for {}", takers.join(" and ")) }
    };
    let mut lines: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for need in denied {
        lines.entry((need.object(), only_for(need))).or_default().push(need.verb);
    }
    lines.iter().map(|((object, only_for), verbs)| format!("{} {object}{only_for}", verbs.join(", "))).collect()
}

/// What is done to the kinds of objects that are made.
fn for_objects(kinds: &Discovery, objects: &[&Value]) -> BTreeSet<Need> {
    let (definitions, others): (Vec<&Value>, Vec<&Value>) =
        objects.iter().partition(|object| object["kind"] == "CustomResourceDefinition");
    let resource = |object: &&Value| {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let types = TypeMeta { api_version: text("apiVersion"), kind: text("kind") };
        let gvk = GroupVersionKind::try_from(&types).ok()?;
        let served = kinds.resolve_gvk(&gvk).map(|(resource, _)| (resource.group, resource.plural));
        served.or_else(|| definitions.iter().find_map(|definition| defined(definition, &gvk)))
    };
    let resources: BTreeSet<(String, String)> = others.iter().filter_map(resource).collect();
    let owned =
        resources.iter().flat_map(|(group, resource)| table::OWNED.map(|verb| Need::new(verb, group, resource, "")));
    let is_served = |definition: &&Value| {
        let (group, kind) = (&definition["spec"]["group"], &definition["spec"]["names"]["kind"]);
        let group = kinds.get(group.as_str().unwrap_or_default());
        group.is_some_and(|group| group.recommended_kind(kind.as_str().unwrap_or_default()).is_some())
    };
    owned.chain(definitions.iter().flat_map(|definition| of_definition(is_served(definition)))).collect()
}

/// A kind that is served already is left as it is; one that is made is awaited.
fn of_definition(is_served: bool) -> Vec<Need> {
    let verbs: &[&'static str] = if is_served { &["get"] } else { &table::OWNED };
    let verbs = verbs.iter().chain(&["watch"]);
    verbs.map(|verb| Need::new(verb, "apiextensions.k8s.io", "customresourcedefinitions", "")).collect()
}

/// Group and plural of a kind, where this is its definition.
fn defined(definition: &Value, gvk: &GroupVersionKind) -> Option<(String, String)> {
    let spec = &definition["spec"];
    let is_it = spec["group"] == gvk.group.as_str() && spec["names"]["kind"] == gvk.kind.as_str();
    let plural = spec["names"]["plural"].as_str().filter(|_| is_it)?;
    Some((gvk.group.clone(), plural.to_owned()))
}

async fn is_allowed(access: &Access, need: &Need) -> Result<bool, Trouble> {
    let attributes = ResourceAttributes {
        verb: Some(need.verb.to_owned()),
        group: Some(need.group.clone()),
        resource: Some(need.resource.clone()),
        subresource: Some(need.subresource.to_owned()).filter(|subresource| !subresource.is_empty()),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(access.client.clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| Trouble::input(format!("cannot ask what is allowed: {}", said(&error))))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Capability::{DrainNodes, EnterPods};
    use serde_json::json;

    fn judged(denied: &[(&'static str, &str, &'static str)]) -> Result<Denials, Trouble> {
        let powers = [DrainNodes, EnterPods].map(|power| (power, table::of(power))).into();
        let denied: BTreeSet<Need> =
            denied.iter().map(|(verb, resource, subresource)| Need::new(verb, "", resource, subresource)).collect();
        judge(&table::always(), &powers, &denied)
    }

    #[test]
    fn without_what_a_power_takes_only_the_power_is_missing() {
        assert_eq!(judged(&[]).unwrap(), Denials::new());
        let denials = judged(&[("patch", "nodes", ""), ("create", "pods", "eviction")]).unwrap();
        let why = "the cluster does not allow you to: patch nodes, create pods/eviction";
        assert_eq!(denials, [(DrainNodes, why.to_owned())].into());
    }

    #[test]
    fn without_what_every_run_does_there_is_none_and_all_gaps_are_told_at_once() {
        let denied =
            [("list", "pods", ""), ("create", "pods", ""), ("get", "pods", "log"), ("create", "pods", "eviction")];
        let trouble = judged(&denied);
        let trouble = trouble.unwrap_err();
        assert_eq!(trouble.exit_code().code(), 2);
        let gaps: Vec<&str> = trouble.message.lines().skip(1).map(str::trim).collect();
        assert_eq!(gaps, ["create, list pods", "create pods/eviction, only for drain-nodes", "get pods/log"]);
    }

    #[test]
    fn a_gap_is_said_as_a_person_would_look_for_it() {
        assert_eq!(Need::new("create", "", "pods", "eviction").to_string(), "create pods/eviction");
        assert_eq!(Need::new("list", "apps", "deployments", "").to_string(), "list deployments (apps)");
    }

    #[test]
    fn objects_of_kinds_that_are_made_first_are_asked_about_too() {
        let names = json!({"kind": "Rule", "plural": "rules"});
        let definition =
            json!({"kind": "CustomResourceDefinition", "spec": {"group": "monitoring.example", "names": names}});
        let of = |group: &str, kind: &str| defined(&definition, &GroupVersionKind::gvk(group, "v1", kind));
        assert_eq!(of("monitoring.example", "Rule"), Some(("monitoring.example".to_owned(), "rules".to_owned())));
        assert_eq!(of("monitoring.example", "Other"), None);
        assert_eq!(of("other.example", "Rule"), None);
    }

    #[test]
    fn a_kind_that_is_served_already_is_only_looked_at() {
        let verbs = |is_served| of_definition(is_served).iter().map(|need| need.verb).collect::<Vec<&str>>();
        assert_eq!(verbs(true), ["get", "watch"]);
        assert_eq!(verbs(false), ["get", "list", "create", "patch", "delete", "watch"]);
    }
}
