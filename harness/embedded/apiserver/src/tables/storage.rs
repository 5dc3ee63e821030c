//! Volumes, claims and classes.

use embedded_apimachinery::object;
use serde_json::Value;

use super::Printer;
use super::column::{AGE, Column, NAME, age, name, text_or};

const UNSET: &str = "<unset>";
const CAPACITY: Column = Column::text("Capacity", "The size of the volume.");
const ACCESS: Column = Column::text("Access Modes", "How the volume can be mounted.");
const CLASS: Column = Column::text("StorageClass", "The class of the volume.");
const ATTRIBUTES: Column = Column::text("VolumeAttributesClass", "The class of the volume's attributes.");
const MODE: Column = Column::text("VolumeMode", "File system or block device.").wide();

pub const CLAIMS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Status", "Whether the claim is bound."),
        Column::text("Volume", "The volume that it is bound to."),
        CAPACITY,
        ACCESS,
        CLASS,
        ATTRIBUTES,
        AGE,
        MODE,
    ],
    cells: |o, now| {
        let bound = !object::str_at(o, "/spec/volumeName").is_empty();
        let capacity = if bound { object::str_at(o, "/status/capacity/storage") } else { "" };
        let modes = if bound { access_modes(o, "/status/accessModes") } else { String::new() };
        let status = if object::is_deleting(o) { "Terminating" } else { object::str_at(o, "/status/phase") };
        vec![
            name(o),
            status.into(),
            object::str_at(o, "/spec/volumeName").into(),
            capacity.into(),
            modes.into(),
            object::str_at(o, "/spec/storageClassName").into(),
            text_or(o, "/spec/volumeAttributesClassName", UNSET).into(),
            age(o, now),
            text_or(o, "/spec/volumeMode", UNSET).into(),
        ]
    },
};

pub const VOLUMES: Printer = Printer {
    columns: &[
        NAME,
        CAPACITY,
        ACCESS,
        Column::text("Reclaim Policy", "What becomes of the volume once it is released."),
        Column::text("Status", "Whether the volume is bound."),
        Column::text("Claim", "The claim that it is bound to."),
        CLASS,
        ATTRIBUTES,
        Column::text("Reason", "Why the volume is in its status."),
        AGE,
        MODE,
    ],
    cells: |o, now| {
        let claim = match object::str_at(o, "/spec/claimRef/name") {
            "" => String::new(),
            claim => format!("{}/{claim}", object::str_at(o, "/spec/claimRef/namespace")),
        };
        let status = if object::is_deleting(o) { "Terminating" } else { object::str_at(o, "/status/phase") };
        vec![
            name(o),
            object::str_at(o, "/spec/capacity/storage").into(),
            access_modes(o, "/spec/accessModes").into(),
            object::str_at(o, "/spec/persistentVolumeReclaimPolicy").into(),
            status.into(),
            claim.into(),
            object::str_at(o, "/spec/storageClassName").into(),
            text_or(o, "/spec/volumeAttributesClassName", UNSET).into(),
            object::str_at(o, "/status/reason").into(),
            age(o, now),
            text_or(o, "/spec/volumeMode", UNSET).into(),
        ]
    },
};

fn access_modes(object: &Value, pointer: &str) -> String {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "?",
    };
    object::list_at(object, pointer).iter().map(short).collect::<Vec<_>>().join(",")
}

pub const CLASSES: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Provisioner", "Who makes the volumes."),
        Column::text("ReclaimPolicy", "What becomes of volumes once they are released."),
        Column::text("VolumeBindingMode", "When volumes are made."),
        Column::text("AllowVolumeExpansion", "Whether volumes can grow."),
        AGE,
    ],
    cells: |o, now| {
        let default = object::annotation(o, "storageclass.kubernetes.io/is-default-class") == Some("true");
        let shown = object::name(o).to_owned() + if default { " (default)" } else { "" };
        vec![
            Value::from(shown),
            object::str_at(o, "/provisioner").into(),
            text_or(o, "/reclaimPolicy", "Delete").into(),
            text_or(o, "/volumeBindingMode", "Immediate").into(),
            object::bool_at(o, "/allowVolumeExpansion").into(),
            age(o, now),
        ]
    },
};
