//! Stories that a person reads and a machine plays: commands, and below each block of them, after
//! `----`, what happened.
//!
//! ```text
//! # The vote is inside the write that makes it true. It cannot leave before.
//! campaign 1
//! deliver 1->3
//! ----
//! 1 is a candidate in term 1
//! 3 <- 1: RequestVote(term 1)
//!
//! expect messages 3->* = 0
//! ```
//!
//! Lines that begin with `#` and empty lines are comments. What happened is written by the player
//! ([`Folder::check`], with `UPDATE` in the environment), read by a person once, and compared ever
//! after. What a story is about is said by lines that begin with `expect `: they tell nothing, and
//! no update makes them true.
//!
//! What the commands are is up to a [`Stage`], which reads their [`Arguments`]. That of
//! [`ClusterStage`](crate::cluster::ClusterStage) has those for nodes, disks and a network.
//!
//! # Example
//!
//! ```
//! use synod_sim::script::{Arguments, Stage, play};
//!
//! #[derive(Default)]
//! struct Counter(u64, Vec<String>);
//!
//! impl Stage for Counter {
//!     fn play(&mut self, command: &str) -> Result<(), String> {
//!         let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
//!         let mut arguments = Arguments::parse(rest);
//!         let number = arguments.number()?;
//!         match name {
//!             "add" => {
//!                 self.0 += number;
//!                 self.1.push(format!("{} in all", self.0));
//!             }
//!             "expect" if number == self.0 => {}
//!             "expect" => return Err(format!("it is {}", self.0)),
//!             _ => return Err(format!("there is no command `{name}`")),
//!         }
//!         arguments.end()
//!     }
//!
//!     fn take_lines(&mut self) -> Vec<String> {
//!         std::mem::take(&mut self.1)
//!     }
//! }
//!
//! let played = play("add 1\nadd 2\n\nexpect 4\n", &mut Counter::default());
//! assert_eq!(played.text, "add 1\nadd 2\n----\n1 in all\n3 in all\n\nexpect 4\n");
//! assert_eq!(played.failure.unwrap().to_string(), "4: `expect 4`: it is 3");
//! ```
//!
//! [`scripts!`](crate::scripts) makes a test of each file of a [`Folder`].

mod arguments;
mod difference;
mod fields;
mod player;
mod text;

pub use arguments::{Arguments, parse_duration, parse_number};
pub use fields::Fields;
pub use player::{Failure, Folder, Played, Stage, play};
