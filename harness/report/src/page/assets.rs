//! What the page brings along: styles, scripts, and the chart library, whose origin `assets/uplot/README.md` tells.

pub const STYLE: &str = concat!(include_str!("../../assets/page.css"), include_str!("../../assets/matrix.css"));
pub const SCRIPT: &str = concat!(
    include_str!("../../assets/lanes.js"),
    include_str!("../../assets/charts.js"),
    include_str!("../../assets/timeline.js"),
    include_str!("../../assets/matrix.js"),
    include_str!("../../assets/page.js")
);
pub const UPLOT_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");
pub const UPLOT_SCRIPT: &str = include_str!("../../assets/uplot/uPlot.iife.js");

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_chart_library_is_the_published_one() {
        for (file, sum) in [
            (UPLOT_SCRIPT, "655bc8aa33781e8721c5af6b59f1699c03c9bda951aa74a6ab518ac20cc4326d"),
            (UPLOT_STYLE, "3f121cd4a997b634e07a887658850018e475c26f0bddd874109a8d382c19de87"),
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
