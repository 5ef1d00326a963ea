//! Where the table stands in the README.

/// The README with this table in place of the one it has.
pub(crate) fn with_table(readme: &str, table: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

const BEGIN: &str = "<!-- written by the example `detectors` -->";
const END: &str = "<!-- to here -->";
pub(crate) const NO_PLACE: &str = "the README has no place for the table";
