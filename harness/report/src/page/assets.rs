//! What the page brings along: styles, scripts, and the chart library, whose origin `assets/uplot/README.md` tells.

pub const STYLE: &str = include_str!("../../assets/page.css");
pub const SCRIPT: &str = concat!(
    include_str!("../../assets/lanes.js"),
    include_str!("../../assets/charts.js"),
    include_str!("../../assets/timeline.js"),
    include_str!("../../assets/page.js")
);
pub const UPLOT_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");
pub const UPLOT_SCRIPT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_chart_library_is_the_published_one() {
        for (file, sum) in [
            (UPLOT_SCRIPT, "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
            (UPLOT_STYLE, "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
        ] {
            let digest = Sha256::digest(file.as_bytes());
            assert_eq!(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), sum);
        }
    }

    #[test]
    fn no_script_can_end_its_element_early_or_load_another() {
        for script in [SCRIPT, UPLOT_SCRIPT] {
            assert!(!script.contains("</script") && !script.contains("<!--"));
        }
        for text in [SCRIPT, STYLE, UPLOT_STYLE].map(|text| text.replace("url(#", "")) {
            assert!(!text.contains("url(") && !text.contains("@import") && !text.contains("import("));
        }
    }
}
