//! The rendered copies of overlays are what the overlays render to. `GAUNTLET_BLESS=1` writes them anew.

use gauntlet_cluster::render::{self, Renderer};
use gauntlet_core::yaml;
use scenarios::systems;

#[tokio::test]
async fn rendered_copies_are_current() {
    if let Err(why) = render::find_renderer().await {
        eprintln!("SKIPPED: nothing can render here: {why}");
        return;
    }
    let mut compared = 0;
    for system in systems::names() {
        let found = systems::load(&system).unwrap();
        for (name, overlay) in &found.contract.overlays {
            let Some(copy) = overlay.rendered.as_ref().map(|copy| found.folder.join(&copy.value)) else { continue };
            let source = found.folder.join(&overlay.path.value);
            let rendered = render::render(&source, None).await.unwrap_or_else(|trouble| panic!("{trouble}"));
            assert!(!matches!(rendered.by, Renderer::File(_)), "{name} needs no copy: it is a file");
            if std::env::var_os("GAUNTLET_BLESS").is_some() {
                bless(&copy, &rendered.objects);
            }
            let text = std::fs::read_to_string(&copy).unwrap_or_else(|error| panic!("{}: {error}", copy.display()));
            let kept = yaml::parse_all("copy", &text).unwrap();
            assert!(kept == rendered.objects, "{} is stale: run this test with GAUNTLET_BLESS=1", copy.display());
            compared += 1;
        }
    }
    assert!(compared > 0, "no overlay has a copy");
}

/// Written as JSON documents, which are YAML too: no second renderer's taste to argue with.
fn bless(copy: &std::path::Path, objects: &[serde_json::Value]) {
    let documents: Vec<String> = objects.iter().map(|object| serde_json::to_string_pretty(object).unwrap()).collect();
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::write(copy, format!("---\n{}\n", documents.join("\n---\n"))).unwrap();
}
