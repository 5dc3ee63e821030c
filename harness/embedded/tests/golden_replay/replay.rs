//! Replays one file: a namespace of its own, the steps in order, the clean-up.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use libtest_mimic::Failed;
use regex::Regex;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::client::{Answer, Client, Request};
use super::rules::matcher::{Matcher, cut};
use super::rules::pointer::{holds, plain, resolve};
use super::rules::shape::shape;
use super::rules::variables::Variables;
use super::socket;

/// Between two looks at what a condition waits for; the recordings know no watch for that.
const POLL: Duration = Duration::from_millis(100);
const NAMESPACE_READY: Duration = Duration::from_secs(10);
const KEPT_HEADERS: [&str; 4] = ["Warning", "Retry-After", "Location", "Allow"];

/// Whether a file changes nodes, so that nothing else may run.
pub fn is_exclusive(file: &Path) -> Result<bool, Failed> {
    Ok(read(file)?["exclusive"] == true)
}

fn read(file: &Path) -> Result<Value, Failed> {
    let text = std::fs::read_to_string(file)?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// All differences between a recording and this cluster. The error is a cluster that cannot be reached.
pub async fn differences(client: &Client, file: &Path) -> Result<Vec<String>, Failed> {
    let recording = read(file)?;
    let namespace = format!("g-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let variables = Variables::new(&namespace, &ready_nodes(client).await?, names_nodes(&recording)?)?;
    let mut replay = Replay { client, variables, matcher: Matcher::new()?, differences: Vec::new() };
    replay.make_namespace(&namespace).await?;
    let outcome = replay.steps(&recording).await;
    for request in recording["cleanup"].as_array().into_iter().flatten() {
        replay.call(request).await?;
    }
    let path = format!("/api/v1/namespaces/{namespace}");
    client.request(&Request { method: "DELETE", ..Request::get(&path) }).await?;
    if let Err(difference) = outcome {
        replay.differences.push(difference.message().unwrap_or("failed").to_owned());
    }
    Ok(replay.differences)
}

/// Nodes are compared by number in files whose requests name them.
fn names_nodes(recording: &Value) -> Result<bool, Failed> {
    let pattern = Regex::new(r"\{node\d\}")?;
    let steps = recording["steps"].as_array().into_iter().flatten();
    Ok(steps.into_iter().any(|step| {
        let mut step = step.clone();
        step.as_object_mut().map(|map| map.shift_remove("expect"));
        pattern.is_match(&step.to_string())
    }))
}

async fn ready_nodes(client: &Client) -> Result<Vec<String>, Failed> {
    let nodes = client.get("/api/v1/nodes").await?.body;
    let ready = |node: &&Value| resolve(node, "/status/conditions/[type=Ready]/status") == Some(json!("True"));
    let mut names: Vec<String> = nodes["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(ready)
        .map(|node| plain(&node["metadata"]["name"]))
        .collect();
    names.sort();
    Ok(names)
}

/// Waits until a cluster has as many ready nodes as the recordings need.
pub async fn nodes_ready(client: &Client, count: u8, within: Duration) -> Result<(), Failed> {
    let deadline = Instant::now() + within;
    loop {
        let ready = ready_nodes(client).await?;
        if ready.len() >= usize::from(count) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("of {count} nodes only {ready:?} were ready in time").into());
        }
        sleep(POLL).await;
    }
}

struct Replay<'a> {
    client: &'a Client,
    variables: Variables,
    matcher: Matcher,
    differences: Vec<String>,
}

impl Replay<'_> {
    async fn make_namespace(&self, name: &str) -> Result<(), Failed> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string();
        let request = Request { method: "POST", body: Some(body), ..Request::get("/api/v1/namespaces") };
        self.client.request(&request).await?;
        for thing in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
            let path = format!("/api/v1/namespaces/{name}/{thing}");
            let until = [json!("code == 200")];
            self.wait_for(&path, &until, Instant::now() + NAMESPACE_READY).await?;
        }
        Ok(())
    }

    /// The error is a wait that timed out, or a cluster that does not answer: the steps after it are not tried.
    async fn steps(&mut self, recording: &Value) -> Result<(), Failed> {
        for (index, step) in recording["steps"].as_array().into_iter().flatten().enumerate() {
            let place = format!("step {index} ({})", step["note"].as_str().unwrap_or_default());
            let found = if step.get("wait").is_some() {
                self.wait(&step["wait"]).await
            } else if step.get("watch").is_some() {
                self.watch(step).await
            } else if step.get("exec").is_some() {
                self.exec(step).await
            } else {
                self.http(step).await
            };
            let found = found.map_err(|failure| format!("{place}: {}", failure.message().unwrap_or("failed")))?;
            self.differences.extend(found.into_iter().map(|difference| format!("{place}: {difference}")));
        }
        Ok(())
    }

    async fn call(&self, step: &Value) -> Result<Answer, Failed> {
        let headers = self.headers(&step["headers"]);
        let body = match (step.get("raw"), step.get("body")) {
            (Some(raw), _) => raw.as_str().map(str::to_owned),
            (None, Some(body)) => Some(self.variables.fill_value(body).to_string()),
            (None, None) => None,
        };
        let path = self.variables.fill(step["path"].as_str().unwrap_or_default());
        let auth = step["auth"].as_str().map(|auth| self.variables.fill(auth));
        let method = step["method"].as_str().unwrap_or("GET");
        let request = Request { method, path: &path, headers: &headers, body, auth: auth.as_deref() };
        self.client.request(&request).await
    }

    fn headers(&self, headers: &Value) -> Vec<(String, String)> {
        let headers = headers.as_object().into_iter().flatten();
        headers.map(|(name, value)| (name.clone(), self.variables.fill(&plain(value)))).collect()
    }

    fn save(&mut self, saved: &Value, from: &Value) {
        for (name, pointer) in saved.as_object().into_iter().flatten() {
            if let Some(value) = resolve(from, &plain(pointer)) {
                self.variables.save(name, plain(&value));
            }
        }
    }

    fn shaped(&self, step: &Value, answer: &Value) -> Value {
        shape(step, &self.variables.strip(answer))
    }

    async fn http(&mut self, step: &Value) -> Result<Vec<String>, Failed> {
        let deadline = deadline(step);
        let until = list(&step["until"]);
        let answer = loop {
            let answer = self.call(step).await?;
            let unmet = self.unmet(&until, &answer)?;
            if unmet.is_empty() {
                break answer;
            }
            self.still_time(deadline, &unmet, &answer.body)?;
            sleep(POLL).await;
        };
        self.save(&step["save"], &answer.body);
        let mut found = json!({"status": answer.status});
        let headers = self.kept_headers(&answer.headers);
        if headers != json!({}) {
            found["headers"] = headers;
        }
        let part = if answer.body.is_string() { "text" } else { "body" };
        found[part] = self.shaped(step, &answer.body);
        Ok(self.matcher.differences(&step["expect"], &found))
    }

    fn kept_headers(&self, headers: &HeaderMap) -> Value {
        let mut kept = json!({});
        let texts = |name: &str| -> Vec<Value> {
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(Value::from).collect()
        };
        for name in KEPT_HEADERS {
            match texts(name).as_slice() {
                [] => {}
                [one] => kept[name] = one.clone(),
                many => kept[name] = many.to_vec().into(),
            }
        }
        if let Some(other) = texts(CONTENT_TYPE.as_str()).first().filter(|media| **media != "application/json") {
            kept["Content-Type"] = other.clone();
        }
        self.variables.strip(&kept)
    }

    async fn wait(&mut self, wait: &Value) -> Result<Vec<String>, Failed> {
        if let Some(seconds) = wait["for_s"].as_f64() {
            // The recording shows that nothing happens in this time.
            sleep(Duration::from_secs_f64(seconds)).await;
            return Ok(Vec::new());
        }
        let path = self.variables.fill(wait["path"].as_str().unwrap_or_default());
        let body = self.wait_for(&path, &list(&wait["until"]), deadline(wait)).await?;
        self.save(&wait["save"], &body);
        Ok(Vec::new())
    }

    /// What was so between two looks, of an object that is gone by the second, is known from a watch.
    async fn wait_for(&self, path: &str, until: &[Value], deadline: Instant) -> Result<Value, Failed> {
        let mut changes = match watch_of(path) {
            Some(watch) => {
                let response = self.client.watch(&watch, &[]).await?;
                Some(Lines { stream: Box::pin(response.bytes_stream()), buffer: Vec::new() })
            }
            None => None,
        };
        let mut met_meanwhile = None;
        loop {
            let next_look = Instant::now() + POLL;
            let answer = self.client.get(path).await?;
            let unmet = self.unmet(until, &answer)?;
            if unmet.is_empty() {
                return Ok(answer.body);
            }
            while let Some(lines) = &mut changes
                && let Ok(Ok(Some(line))) = timeout_at(next_look, lines.next()).await
            {
                // What is refused is told in one line, which is no event.
                let Ok(Value::Object(mut event)) = serde_json::from_slice(&line) else { break };
                let body = event.remove("object").unwrap_or_default();
                let seen = Answer { status: 200, headers: HeaderMap::new(), body };
                if self.unmet(until, &seen)?.is_empty() {
                    met_meanwhile = Some(seen.body);
                }
            }
            if answer.status == 404
                && let Some(body) = met_meanwhile
            {
                return Ok(body);
            }
            self.still_time(deadline, &unmet, &answer.body)?;
            sleep_until(next_look).await;
        }
    }

    fn unmet(&self, until: &[Value], answer: &Answer) -> Result<Vec<String>, Failed> {
        let mut unmet = Vec::new();
        for condition in until {
            let condition = self.variables.fill(&plain(condition));
            if !holds(&condition, answer.status, &answer.body)? {
                unmet.push(condition);
            }
        }
        Ok(unmet)
    }

    fn still_time(&self, deadline: Instant, unmet: &[String], last: &Value) -> Result<(), Failed> {
        if Instant::now() < deadline {
            return Ok(());
        }
        let last = cut(self.variables.strip(last).to_string(), 3000);
        Err(format!("timed out waiting for {unmet:?}; last: {last}").into())
    }

    async fn watch(&mut self, step: &Value) -> Result<Vec<String>, Failed> {
        let watch = &step["watch"];
        let deadline = deadline(watch);
        let path = self.variables.fill(watch["path"].as_str().unwrap_or_default());
        let response = self.client.watch(&path, &self.headers(&watch["headers"])).await?;
        let status = response.status().as_u16();
        if status != 200 {
            let body: Value = serde_json::from_slice(&response.bytes().await?)?;
            let found = json!({"status": status, "body": self.variables.strip(&body)});
            return Ok(self.matcher.differences(&step["expect"], &found));
        }
        let mut lines = Lines { stream: Box::pin(response.bytes_stream()), buffer: Vec::new() };
        let mut events: Vec<Value> = Vec::new();
        let mut done = false;
        while !done {
            let Ok(line) = timeout_at(deadline, lines.next()).await else {
                let seen = cut(json!(events).to_string(), 3000);
                return Err(format!("the watch timed out after {seen}").into());
            };
            let Some(line) = line? else { break };
            let event: Value = serde_json::from_slice(&line)?;
            self.save(&watch["save"], &event);
            let until = watch["until"].as_str().map(|until| self.variables.fill(until));
            done = until.is_some_and(|until| holds(&until, 200, &event) == Ok(true));
            let shaped = self.shaped(watch, &event);
            if watch.get("pick").is_none() || events.last() != Some(&shaped) {
                events.push(shaped);
            }
            done |= watch["count"].as_u64() == Some(events.len() as u64);
        }
        let mut wanted = step["expect"].clone();
        let expected = wanted.as_object_mut().and_then(|map| map.shift_remove("events")).unwrap_or_else(|| json!([]));
        let mut differences = self.matcher.differences(&wanted, &json!({"status": status}));
        differences.extend(self.matcher.events(&list(&expected), &events, watch["match"] == "subsequence"));
        Ok(differences)
    }

    async fn exec(&mut self, step: &Value) -> Result<Vec<String>, Failed> {
        let exec = &step["exec"];
        let path = self.variables.fill(exec["path"].as_str().unwrap_or_default());
        let protocols = list(&exec["protocols"]).iter().map(plain).collect::<Vec<_>>().join(", ");
        let run = socket::run(self.client, &path, &protocols, exec["stdin"].as_str());
        let found = timeout_at(deadline(exec), run).await.map_err(|_| "the command did not end")??;
        let found = self.shaped(exec, &found);
        Ok(self.matcher.differences(&step["expect"], &found))
    }
}

/// The watch of one object in a namespace; `None` for what is none.
fn watch_of(path: &str) -> Option<String> {
    let (group, rest) = path.split_once("/namespaces/")?;
    let [namespace, kind, name] = rest.split('/').collect::<Vec<_>>().try_into().ok()?;
    let is_plain = !name.contains('?');
    is_plain.then(|| format!("{group}/namespaces/{namespace}/{kind}?watch=1&fieldSelector=metadata.name={name}"))
}

fn deadline(step: &Value) -> Instant {
    Instant::now() + Duration::from_secs_f64(step["timeout_s"].as_f64().unwrap_or(60.0))
}

/// One or several.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

/// The lines of a streamed body.
struct Lines<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S, B> Lines<S>
where
    S: futures::Stream<Item = reqwest::Result<B>> + Unpin,
    B: AsRef<[u8]>,
{
    /// The next line; `None` when the server ended the stream.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failed> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            match self.stream.next().await {
                Some(chunk) => self.buffer.extend_from_slice(chunk?.as_ref()),
                None => return Ok(None),
            }
        }
    }
}
