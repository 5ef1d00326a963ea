//! Jepsen's histories of transactions, as Elle takes them.
//!
//! A history is a sequence of maps, alone or in a vector, each with `:type` (`:invoke`, `:ok`,
//! `:fail` or `:info`), `:process` and `:value`, and perhaps `:time` in nanoseconds:
//!
//! ```text
//! {:type :invoke, :process 0, :time 0, :value [[:append 3 1] [:r 4 nil]]}
//! {:type :ok, :process 0, :time 9, :value [[:append 3 1] [:r 4 [1 2]]]}
//! ```
//!
//! Lists have `:append` and `:r`. Registers have `:w` and `:r`; a file holds one or the other.
//! `:fail` aborted; `:info`, and what is never completed, is of unknown outcome. Events of other
//! processes than numbers (`:nemesis`) are passed over, and so are other keys of the maps. Without
//! `:time` an event's place in the file is its time.

mod form;
mod reading;
mod writing;

pub use form::{Atom, EdnError};
pub use reading::read;
pub use writing::write;
