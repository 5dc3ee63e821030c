//! Images: found in the catalogue or not, with the events and waiting states of a pull.

use std::time::Instant;

use embedded_apimachinery::object;
use serde_json::Value;

use super::context::Node;
use super::launch::NotStarted;
use super::slot::Slot;
use crate::image::ImageRecipe;

/// The recipe of a container's image, or what the container waits with. Says in events what a pull would say.
pub fn pull<'a>(
    node: &'a Node,
    pod: &Value,
    container: &Value,
    slot: &mut Slot,
) -> Result<&'a ImageRecipe, NotStarted> {
    let image = object::str_at(container, "/image");
    let policy = object::str_at(container, "/imagePullPolicy");
    let event = |kind, reason, message| node.event(kind, pod, &slot.name, reason, message);
    if let Some(recipe) = node.machine.catalogue.find(image) {
        if policy == "Always" {
            event("Normal", "Pulling", format!("Pulling image \"{image}\""));
        }
        let pulled = match policy {
            "Always" => {
                format!("Successfully pulled image \"{image}\" in 0s (0s including waiting). Image size: 0 bytes.")
            }
            _ => format!("Container image \"{image}\" already present on machine and can be accessed by the pod"),
        };
        event("Normal", "Pulled", pulled);
        return Ok(recipe);
    }
    if policy == "Never" {
        let message = format!("Container image \"{image}\" is not present with pull policy of Never");
        event("Warning", "ErrImageNeverPull", message.clone());
        event("Warning", "Failed", "Error: ErrImageNeverPull".into());
        return Err(NotStarted { reason: "ErrImageNeverPull", message });
    }
    let missing = format!("no such image on this machine: \"{image}\" is not in the catalogue");
    event("Normal", "Pulling", format!("Pulling image \"{image}\""));
    event("Warning", "Failed", format!("Failed to pull image \"{image}\": {missing}"));
    event("Warning", "Failed", "Error: ErrImagePull".into());
    let now = Instant::now();
    slot.image_backoff.advance(now, now);
    Err(NotStarted { reason: "ErrImagePull", message: missing })
}

/// A container between two attempts to pull its image.
pub fn back_off(node: &Node, pod: &Value, container: &Value, slot: &mut Slot, cause: &str) {
    let image = object::str_at(container, "/image");
    let text = format!("Back-off pulling image \"{image}\"");
    node.event("Normal", pod, &slot.name, "BackOff", text.clone());
    node.event("Warning", pod, &slot.name, "Failed", "Error: ImagePullBackOff".into());
    slot.wait_for("ImagePullBackOff", format!("{text}: ErrImagePull: {cause}"));
}
