//! `pods/proxy` and `services/proxy`: HTTP requests passed on to a pod.
//!
//! Names may carry a port: `web`, `web:8080`, `web:http`. Upgrades and TLS towards the pod are not supported.

use std::sync::Arc;

use embedded_apimachinery::resource::{PODS, SERVICES};
use embedded_apimachinery::{Object, Result, Status, object};
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::catalog::Resource;
use crate::server::respond::Answer;
use crate::server::{Call, Server};

const DEFAULT_PORT: u16 = 80;
/// They are about one connection, and the pod's is another one than the client's.
const HOP_BY_HOP: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub async fn forward(
    server: &Arc<Server>,
    call: &Call,
    resource: &Resource,
    request: Request<Incoming>,
) -> Result<Answer> {
    let (name, port) = split_name(&call.info.name)?;
    let namespace = call.info.namespace.as_str();
    let (pod, port) = match &*resource.id.resource {
        "services" => behind_service(server, namespace, name, port)?,
        _ => {
            let pod = server.api.find(&PODS, namespace, name).ok_or_else(|| Status::not_found(&PODS, name))?;
            let number = pod_port(&pod, port).ok_or_else(|| no_such_port(name, port))?;
            (pod, number)
        }
    };
    let connection =
        server.kubelet.port_forward(&pod, port).await.map_err(|error| unreachable(&pod, &error.message))?;
    let failed = |error: hyper::Error| unreachable(&pod, &error.to_string());
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(failed)?;
    let shutdown = server.shutdown.clone().cancelled_owned();
    tokio::spawn(async move {
        tokio::select! {
            // How it ends is seen by whoever reads the answer.
            _ = driver => {}
            () = shutdown => {}
        }
    });
    let answer = sender.send_request(outgoing(call, name, request)?).await.map_err(failed)?;
    let (mut parts, body) = answer.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    Ok(Response::from_parts(parts, body.map_err(std::io::Error::other).boxed_unsync()))
}

/// The request as the pod gets it.
fn outgoing(call: &Call, host: &str, request: Request<Incoming>) -> Result<Request<Incoming>> {
    let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
    let path = format!("/{}{query}", call.info.rest);
    let uri = path.parse().map_err(|_| Status::bad_request(format!("{path:?} is no path that can be asked for")))?;
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    parts.version = http::Version::HTTP_11;
    remove_hop_by_hop(&mut parts.headers);
    // The pod must not learn the client's credentials.
    parts.headers.remove(header::AUTHORIZATION);
    if let Ok(host) = host.parse() {
        parts.headers.insert(header::HOST, host);
    }
    Ok(Request::from_parts(parts, body))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// `name`, `name:port` or `scheme:name:port`.
fn split_name(name: &str) -> Result<(&str, &str)> {
    match name.split(':').collect::<Vec<_>>().as_slice() {
        [name] => Ok((name, "")),
        [name, port] | ["http" | "", name, port] => Ok((name, port)),
        _ => Err(Status::bad_request(format!(
            "invalid proxy target {name:?}: expected name, name:port or http:name:port"
        ))),
    }
}

/// A port of a pod by number or name; without one, the first that it declares.
fn pod_port(pod: &Value, port: &str) -> Option<u16> {
    if let Ok(number) = port.parse() {
        return Some(number);
    }
    let containers = object::list_at(pod, "/spec/containers");
    let mut ports = containers.iter().flat_map(|c| object::list_at(c, "/ports"));
    let declared = match port {
        "" => ports.next(),
        name => Some(ports.find(|p| object::str_at(p, "/name") == name)?),
    };
    let number = declared.and_then(|p| object::int_at(p, "/containerPort")).and_then(|n| u16::try_from(n).ok());
    number.or((port.is_empty()).then_some(DEFAULT_PORT))
}

/// A ready pod of a Service, and its port.
fn behind_service(server: &Server, namespace: &str, name: &str, port: &str) -> Result<(Object, u16)> {
    use embedded_apimachinery::selector::LabelSelector;
    let service = server.api.find(&SERVICES, namespace, name).ok_or_else(|| Status::not_found(&SERVICES, name))?;
    let target = target_port(&service, port).ok_or_else(|| no_such_port(name, port))?;
    let selector = LabelSelector::from_map(service.pointer("/spec/selector"));
    let (pods, _) = server.api.store.list(&PODS, Some(namespace));
    let mut ready = pods.into_iter().filter(|p| selector.matches_object(p) && object::pod_is_ready(p));
    let pod = ready.next().filter(|_| !selector.is_empty());
    let pod = pod.ok_or_else(|| {
        Status::new(503, "ServiceUnavailable", format!("no endpoints available for service \"{name}\""))
    })?;
    let number = pod_port(&pod, &target).ok_or_else(|| no_such_port(object::name(&pod), &target))?;
    Ok((pod, number))
}

/// What a port of a Service leads to: a number or a name.
fn target_port(service: &Value, port: &str) -> Option<String> {
    let ports = object::list_at(service, "/spec/ports");
    let found = match (port, ports) {
        ("", [only]) => Some(only),
        _ => {
            let number = port.parse::<i64>().ok();
            let is = |p: &&Value| object::str_at(p, "/name") == port || number.is_some_and(|n| p["port"] == n);
            ports.iter().find(is)
        }
    }?;
    Some(match found.get("targetPort") {
        Some(Value::String(name)) => name.clone(),
        Some(number) => number.to_string(),
        None => found["port"].to_string(),
    })
}

fn no_such_port(name: &str, port: &str) -> Status {
    Status::new(503, "ServiceUnavailable", format!("no service port {port:?} found for \"{name}\""))
}

fn unreachable(pod: &Value, why: &str) -> Status {
    let message = format!("error trying to reach pod \"{}\": {why}", object::name(pod));
    Status::new(503, "ServiceUnavailable", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_carry_ports() {
        for (text, expected) in [("a", ("a", "")), ("a:80", ("a", "80")), ("http:a:web", ("a", "web"))] {
            assert_eq!(split_name(text).unwrap(), expected);
        }
        assert_eq!(split_name("https:a:443").unwrap_err().code, 400);
    }

    #[test]
    fn ports_are_found_by_name_and_by_default() {
        let pod = json!({"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]}});
        assert_eq!(pod_port(&pod, "9090"), Some(9090));
        assert_eq!(pod_port(&pod, "http"), Some(8080));
        assert_eq!(pod_port(&pod, ""), Some(8080));
        assert_eq!(pod_port(&pod, "nope"), None);
        assert_eq!(pod_port(&json!({}), ""), Some(80));
    }

    #[test]
    fn service_ports_lead_to_their_targets() {
        let service = json!({"spec": {"ports": [{"name": "web", "port": 80, "targetPort": "http"}]}});
        for port in ["", "web", "80"] {
            assert_eq!(target_port(&service, port).as_deref(), Some("http"), "{port:?}");
        }
        assert_eq!(target_port(&service, "81"), None);
    }
}
