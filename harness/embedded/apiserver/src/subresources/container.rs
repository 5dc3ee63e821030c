//! Which container of a pod `log`, `exec` and `attach` are about.

use embedded_apimachinery::{Result, Status, object};
use serde_json::Value;

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The container that was named, or the only one. Errors are 400s in the words of Kubernetes.
pub fn choose(pod: &Value, stated: &str) -> Result<String> {
    let name = object::name(pod);
    if !stated.is_empty() {
        let lists = ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"];
        let known = lists.iter().flat_map(|list| names(pod, list)).any(|c| c == stated);
        return match known {
            true => Ok(stated.to_owned()),
            false => Err(Status::bad_request(format!("container {stated} is not valid for pod {name}"))),
        };
    }
    let containers: Vec<&str> = names(pod, "/spec/containers").collect();
    if let Some(default) = object::annotation(pod, DEFAULT_CONTAINER).filter(|d| containers.contains(d)) {
        return Ok(default.to_owned());
    }
    match containers.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        many => {
            let mut message =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", many.join(" "));
            let init: Vec<&str> = names(pod, "/spec/initContainers").collect();
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(message))
        }
    }
}

fn names<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    object::list_at(pod, list).iter().map(|c| object::str_at(c, "/name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_only_container_needs_no_name() {
        let one = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}});
        assert_eq!(choose(&one, "").unwrap(), "c");
        assert_eq!(choose(&one, "z").unwrap_err().message, "container z is not valid for pod p");
    }

    #[test]
    fn several_containers_are_listed() {
        let two = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
        let message = "a container name must be specified for pod p, choose one of: [a b]";
        assert_eq!(choose(&two, "").unwrap_err().message, message);
    }
}
