//! The status of one container.

use embedded_apimachinery::{object, timestamp};
use serde_json::{Value, json};

use crate::agent::slot::{self, Role, Slot, State, Terminated};
use crate::image;

pub(super) fn status(pod: &Value, slot: &Slot) -> Value {
    let spec = slot::container(pod, &slot.name).unwrap_or(&Value::Null);
    let image = object::str_at(spec, "/image");
    let ran = !slot.container_id.is_empty();
    let mut status = json!({
        "name": slot.name,
        "state": state(&slot.state),
        "lastState": slot.last.as_ref().map_or_else(|| json!({}), terminated),
        "ready": match slot.role {
            Role::Init => slot.lets_pass(),
            _ => slot.ready,
        },
        "restartCount": slot.restarts,
        "image": if ran { image::normalise(image) } else { image.to_owned() },
        "imageID": slot.image_id,
    });
    if ran {
        status["containerID"] = slot.container_id.clone().into();
    }
    status["started"] = slot.started.into();
    if ran {
        let resources = spec.get("resources").cloned().unwrap_or_else(|| json!({}));
        if let Some(requests) = resources.get("requests") {
            status["allocatedResources"] = requests.clone();
        }
        status["resources"] = resources;
    }
    let mounts: Vec<Value> = object::list_at(spec, "/volumeMounts").iter().map(volume_mount).collect();
    if !mounts.is_empty() {
        status["volumeMounts"] = mounts.into();
    }
    if let Some(user) = &slot.user {
        let mut groups = vec![user.gid];
        groups.extend(user.additional_gids.iter().filter(|gid| **gid != user.gid));
        status["user"] = json!({"linux": {"uid": user.uid, "gid": user.gid, "supplementalGroups": groups}});
    }
    status
}

fn volume_mount(mount: &Value) -> Value {
    let mut status = json!({"name": mount["name"], "mountPath": mount["mountPath"]});
    if object::bool_at(mount, "/readOnly") {
        status["readOnly"] = true.into();
        status["recursiveReadOnly"] = "Disabled".into();
    }
    status
}

fn state(state: &State) -> Value {
    match state {
        State::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running(running) => json!({"running": {"startedAt": timestamp::format(running.since)}}),
        State::Terminated(ended) => terminated(ended),
    }
}

fn terminated(ended: &Terminated) -> Value {
    let mut value = json!({"exitCode": ended.exit_code});
    value["reason"] = ended.reason.clone().into();
    if !ended.message.is_empty() {
        value["message"] = ended.message.clone().into();
    }
    value["startedAt"] = timestamp::format(ended.started_at).into();
    value["finishedAt"] = timestamp::format(ended.finished_at).into();
    value["containerID"] = ended.container_id.clone().into();
    json!({"terminated": value})
}
