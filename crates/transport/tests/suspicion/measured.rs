//! Checks that the README matches the program's output.

#[path = "../../examples/detectors/cluster.rs"]
pub(crate) mod cluster;
#[path = "../../examples/detectors/draws.rs"]
mod draws;
#[path = "../../examples/detectors/measures.rs"]
pub(crate) mod measures;
#[path = "../../examples/detectors/pair.rs"]
mod pair;
#[path = "../../examples/detectors/plot.rs"]
mod plot;
#[path = "../../examples/detectors/readme.rs"]
mod readme;
#[path = "../../examples/detectors/runs.rs"]
mod runs;
#[path = "../../examples/detectors/table.rs"]
mod table;
#[path = "../../examples/detectors/traces.rs"]
pub(crate) mod traces;

use std::fs;
use std::path::Path;

#[test]
fn the_table_and_the_plot_are_what_the_program_finds() {
    let all = runs::all().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let command = "cargo run --release -p synod-transport --example detectors";
    assert!(readme.contains(command), "the README has the command");
    let now = readme::with_table(&readme, &table::markdown(&all)).expect(readme::NO_PLACE);
    let differs = readme.lines().zip(now.lines()).find(|(is, now)| is != now);
    assert!(readme == now, "run `{command}`: {differs:?}");
    let plot = fs::read_to_string(folder.join("detectors.svg")).unwrap();
    assert!(plot == plot::svg(&all), "run `{command}`");
}
