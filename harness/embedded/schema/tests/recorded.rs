//! Replays what the recordings of a real API server say about schemas alone: which bodies and patches are refused, and
//! with what words. No server, no controllers: objects live in a map between the steps of a file.

use std::collections::HashMap;
use std::path::Path;

use embedded_apimachinery::Status;
use embedded_schema::managed::{self, Manager};
use embedded_schema::{FieldValidation, Gvk, KindSchema, PatchKind, Schemas, decode, patch};
use serde_json::{Value, json};

/// Steps whose answer depends on more than schemas, by file and note: on the path, on parameters of the request, on
/// addresses that were allocated.
const BEYOND_SCHEMAS: [(&str, &str); 8] = [
    ("errors-bad-request", "namespace in the body differs"),
    ("errors-bad-request", "name in the body differs"),
    ("errors-bad-request", "name missing in the body"),
    ("errors-bad-request", "bad fieldValidation"),
    ("errors-bad-request", "bad dryRun"),
    ("server-side-apply", "name differs"),
    ("service-defaults", "the cluster IP may not change"),
    ("service-defaults", "to ExternalName and the address is released"),
];

const NAMESPACE: &str = "golden";

#[test]
fn refusals_and_acceptance_are_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let mut judged = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the recordings are there") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let mut text = text.replace("{ns}", NAMESPACE);
            for node in 1..=4 {
                text = text.replace(&format!("{{node{node}}}"), &format!("node-{node}"));
            }
            let recording: Value = serde_json::from_str(&text).expect("a recording");
            let mut replay = Replay { file: name, objects: HashMap::new(), judged: 0, wrong: Vec::new() };
            recording["steps"].as_array().expect("steps").iter().for_each(|step| replay.step(step));
            judged += replay.judged;
            wrong.extend(replay.wrong);
        }
    }
    assert!(wrong.is_empty(), "{} of {judged} steps differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged > 250, "only {judged} steps were judged");
}

struct Replay {
    file: String,
    /// By path without the query.
    objects: HashMap<String, Value>,
    judged: usize,
    wrong: Vec<String>,
}

impl Replay {
    fn step(&mut self, step: &Value) {
        let (method, note) = (step["method"].as_str().unwrap_or_default(), step["note"].as_str().unwrap_or_default());
        let full = step["path"].as_str().unwrap_or_default();
        let (path, query) = full.split_once('?').unwrap_or((full, ""));
        if BEYOND_SCHEMAS.contains(&(self.file.as_str(), note)) || step.get("auth").is_some() {
            return;
        }
        let Some((schema, name)) = target(path) else { return };
        let body = match step.get("raw") {
            Some(raw) => raw.as_str().unwrap_or_default().to_owned(),
            None => step["body"].to_string(),
        };
        let media = step["headers"]["Content-Type"].as_str().unwrap_or("application/json");
        let request = Request { schema: &schema, path, query, body: body.as_bytes(), media };
        let outcome = match (method, name) {
            ("POST", None) if media == "application/json" => self.create(&request),
            ("PATCH", Some(name)) => match self.patch(&request, name) {
                Some(outcome) => outcome,
                None => return,
            },
            _ => return,
        };
        self.judge(step, note, outcome);
    }

    fn create(&mut self, request: &Request<'_>) -> Result<(), Status> {
        let decoded = decode::decode(request.schema, request.body, request.validation())?;
        let mut object = decoded.object;
        complete(request.schema, &mut object);
        refuse(request.schema, &object, request.schema.validate_create(&object))?;
        self.wrong.extend(unstable(request.schema, &object).map(|problem| format!("{}: {problem}", self.file)));
        if !request.query.contains("dryRun") {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            self.objects.insert(format!("{}/{name}", request.path), object);
        }
        Ok(())
    }

    /// `None` for what needs an object that was not made in this file.
    fn patch(&mut self, request: &Request<'_>, name: &str) -> Option<Result<(), Status>> {
        let kind = match request.media {
            "application/json-patch+json" => PatchKind::Json,
            "application/merge-patch+json" => PatchKind::Merge,
            "application/strategic-merge-patch+json" => PatchKind::Strategic,
            "application/apply-patch+yaml" => return Some(self.apply(request, name)),
            _ => return None,
        };
        let live = self.objects.get(request.path)?.clone();
        Some(self.change(request, kind, &live))
    }

    fn change(&mut self, request: &Request<'_>, kind: PatchKind, live: &Value) -> Result<(), Status> {
        let schema = request.schema;
        let mut object = patch::apply(kind, schema, live, request.body, request.validation())?.object;
        complete(schema, &mut object);
        refuse(schema, &object, schema.validate_update(&object, live))?;
        managed::track_update(schema, Some(live), &mut object, request.manager());
        self.objects.insert(request.path.to_owned(), object);
        Ok(())
    }

    fn apply(&mut self, request: &Request<'_>, _name: &str) -> Result<(), Status> {
        let manager = request.manager();
        if manager.name.is_empty() {
            let cause = embedded_schema::cause::required("fieldManager", "is required for apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
        }
        let config: Value = serde_json::from_slice(request.body).expect("JSON");
        let live = self.objects.get(request.path);
        let force = request.query.contains("force=true");
        let object = managed::apply(request.schema, live, &config, manager, force)?;
        if !request.query.contains("dryRun") {
            self.objects.insert(request.path.to_owned(), object);
        }
        Ok(())
    }

    fn judge(&mut self, step: &Value, note: &str, outcome: Result<(), Status>) {
        let expected = &step["expect"];
        let status = expected["status"].as_u64().unwrap_or_default();
        let accepted = status < 300;
        let server_side = matches!(status, 403 | 404 | 405 | 415) || expected["body"]["reason"] == "AlreadyExists";
        if server_side || (status == 409 && !expected["body"]["message"].to_string().contains("Apply failed")) {
            return;
        }
        if status == 500 && expected["body"]["message"].to_string().contains("resourceVersion") {
            return;
        }
        self.judged += 1;
        let problem = match outcome {
            Ok(()) if accepted => return,
            Ok(()) => format!("accepted, but {status} was recorded: {}", expected["body"]["message"]),
            Err(found) if accepted => format!("refused, but {status} was recorded: {found}"),
            Err(found) => match differs(&found, expected) {
                Some(difference) => difference,
                None => return,
            },
        };
        self.wrong.push(format!("{}: {note}: {problem}", self.file));
    }
}

/// What should leave an accepted object as it is, and does not: completing it again, judging it as its own update,
/// and patching it with itself.
fn unstable(schema: &KindSchema, object: &Value) -> Option<String> {
    let mut again = object.clone();
    schema.canonicalize(&mut again);
    complete(schema, &mut again);
    if again != *object {
        return Some(format!("completing twice makes {again} of {object}"));
    }
    let causes = schema.validate_update(object, object);
    if !causes.is_empty() {
        return Some(format!("{object} may not stay as it is: {causes:?}"));
    }
    for kind in [PatchKind::Merge, PatchKind::Strategic] {
        match patch::apply(kind, schema, object, object.to_string().as_bytes(), FieldValidation::Strict) {
            Ok(patched) if patched.object == *object => {}
            Ok(patched) => return Some(format!("{kind:?} patch with itself makes {} of {object}", patched.object)),
            Err(status) => return Some(format!("{kind:?} patch of {object} with itself: {status}")),
        }
    }
    None
}

/// Compares what the recording kept of an error.
fn differs(found: &Status, expected: &Value) -> Option<String> {
    let body = &expected["body"];
    if expected["status"] != found.code {
        return Some(format!("{} {found}, not {} {}", found.code, expected["status"], body["message"]));
    }
    let placeholders = |text: &str| text.contains('<');
    let message = body["message"].as_str().filter(|text| !placeholders(text));
    if message.is_some_and(|message| message != found.message) {
        return Some(format!("message\n   {}\nnot\n   {}", found.message, body["message"]));
    }
    let causes = body["details"]["causes"].as_array()?;
    if placeholders(&body["details"]["causes"].to_string()) {
        return None;
    }
    let found = found.details["causes"].as_array().cloned().unwrap_or_default();
    let same = causes.len() == found.len()
        && causes.iter().zip(&found).all(|(expected, found)| {
            expected.as_object().into_iter().flatten().all(|(key, value)| value == "<any>" || found[key] == *value)
        });
    (!same).then(|| format!("causes {} not {}", json!(found), json!(causes)))
}

struct Request<'a> {
    schema: &'a KindSchema,
    path: &'a str,
    query: &'a str,
    body: &'a [u8],
    media: &'a str,
}

impl Request<'_> {
    fn parameter(&self, name: &str) -> &str {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    fn validation(&self) -> FieldValidation {
        FieldValidation::parse(self.parameter("fieldValidation")).unwrap_or_default()
    }

    fn manager(&self) -> Manager<'_> {
        Manager { name: self.parameter("fieldManager"), subresource: "", now: "2026-01-01T00:00:00Z" }
    }
}

/// What a server adds before it judges an object.
fn complete(schema: &KindSchema, object: &mut Value) {
    schema.default_object(object);
    if schema.gvk.kind == "Job" && object["spec"]["selector"].is_null() {
        object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}});
    }
    if schema.gvk.kind == "Event" {
        object["metadata"]["namespace"] = json!(NAMESPACE);
    }
}

fn refuse(schema: &KindSchema, object: &Value, causes: Vec<Value>) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid(&schema.gvk.group, &schema.gvk.kind, name, causes)),
    }
}

/// The kind that a path serves and the name in it; `None` for subresources and what has no schema.
fn target(path: &str) -> Option<(KindSchema, Option<&str>)> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (resource, name) = match rest {
        ["namespaces", _, resource] if *resource != "status" => (*resource, None),
        ["namespaces", _, resource, name] => (*resource, Some(*name)),
        [resource] => (*resource, None),
        [resource, name] => (*resource, Some(*name)),
        _ => return None,
    };
    let kinds = Schemas::builtin().kinds().filter(|gvk| gvk.group == group && gvk.version == version);
    let gvk = kinds.into_iter().find(|gvk| plural(&gvk.kind) == resource).cloned()?;
    Schemas::builtin().kind(&Gvk::new(gvk.group, gvk.version, gvk.kind)).map(|schema| (schema, name))
}

fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if lower.ends_with('s') => format!("{lower}es"),
        None => format!("{lower}s"),
    }
}
