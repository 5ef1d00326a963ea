//! How good the failure detectors are: mistakes a day against the time to detect, in five seeded worlds.
//!
//! ```sh
//! cargo run --release -p synod-transport --example detectors
//! ```
//!
//! Prints the table, and writes it into the crate's README with the plot beside it. The same on each machine,
//! so whoever changes a detector sees what that did.

mod cluster;
mod draws;
mod measures;
mod pair;
mod plot;
mod readme;
mod runs;
mod table;
mod traces;

use std::error::Error;
use std::path::Path;
use std::{fs, io};

fn main() -> Result<(), Box<dyn Error>> {
    let all = runs::all()?;
    let table = table::markdown(&all);
    print!("{table}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = folder.join("README.md");
    let text = fs::read_to_string(&readme)?;
    let text =
        readme::with_table(&text, &table).ok_or_else(|| io::Error::other(readme::NO_PLACE))?;
    fs::write(&readme, text)?;
    fs::write(folder.join("detectors.svg"), plot::svg(&all))?;
    Ok(())
}
