//! Stories that a person reads and a machine plays.

mod arguments;
mod difference;
mod fields;
mod player;
mod text;

pub use arguments::{Arguments, parse_duration, parse_number};
pub use fields::Fields;
pub use player::{Failure, Folder, Played, Stage, play};
