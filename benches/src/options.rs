//! What the program that sets consensus cores side by side is asked for.

use std::path::PathBuf;

use crate::Cell;

/// Its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Times that each contender is measured in each cell.
    pub rounds: usize,
    /// Sizes of an entry.
    pub bytes: Vec<usize>,
    /// Sizes of a batch.
    pub in_flight: Vec<u64>,
    /// Only contenders whose name has one of these in it; all, if there is none.
    pub only: Vec<String>,
    /// Where the figures go as JSON, besides the Markdown that is printed.
    pub json: Option<PathBuf>,
    /// Count instructions too.
    pub instructions: bool,
    /// Instead of all that: so many entries of one contender in one cell, for whoever counts from outside.
    pub count: Option<Count>,
}

/// One run that somebody counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Of whom.
    pub name: String,
    /// In which cell.
    pub cell: Cell,
    /// How many.
    pub entries: u64,
}

/// Told for `--help`, and with what is wrong with the arguments.
pub const USAGE: &str = "\
cargo bench -p synod-benches --bench consensus [--features peers] -- [OPTIONS]

  --rounds N           times that each contender is measured in each cell, one after the other  [11]
  --bytes N[,N..]      bytes of an entry  [16,256,4096]
  --in-flight N[,N..]  entries proposed together  [1,64,1024]
  --only NAME          contenders whose name has NAME in it; may be given several times
  --json FILE          write the figures there too
  --instructions       count instructions too, where Valgrind is installed
  --count NAME BYTES IN_FLIGHT ENTRIES
                       run so many entries of one contender and print nothing: for valgrind and perf";

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: 11,
            bytes: vec![16, 256, 4096],
            in_flight: vec![1, 64, 1024],
            only: Vec::new(),
            json: None,
            instructions: false,
            count: None,
        }
    }
}

impl Options {
    /// Reads the arguments behind the program's name. None if they ask for help.
    ///
    /// # Errors
    /// What is wrong with them, in a sentence.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(flag) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{flag} needs a value"))
            };
            match flag.as_str() {
                // Cargo says so to every bench.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--rounds" => options.rounds = number(&value()?)?,
                "--bytes" => options.bytes = numbers(&value()?)?,
                "--in-flight" => options.in_flight = numbers(&value()?)?,
                "--only" => options.only.push(value()?),
                "--json" => options.json = Some(value()?.into()),
                "--instructions" => options.instructions = true,
                "--count" => {
                    options.count = Some(Count {
                        name: value()?,
                        cell: Cell {
                            bytes: number(&value()?)?,
                            in_flight: number(&value()?)?,
                        },
                        entries: number(&value()?)?,
                    });
                }
                _ => return Err(format!("{flag} is no option")),
            }
        }
        let count = options.count.iter().map(|count| count.cell.bytes);
        match options.bytes.iter().copied().chain(count).min() {
            Some(least) if least < crate::NUMBER_BYTES => Err(format!(
                "an entry has {} bytes at least: its number",
                crate::NUMBER_BYTES
            )),
            _ => Ok(Some(options)),
        }
    }

    /// All that is measured, sizes in the outer loop.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        let of_size = |bytes: &usize| {
            let bytes = *bytes;
            let in_flight = self.in_flight.iter();
            in_flight.map(move |in_flight| Cell {
                bytes,
                in_flight: *in_flight,
            })
        };
        self.bytes.iter().flat_map(of_size)
    }

    /// Whether this contender is asked for.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }
}

fn numbers<T: std::str::FromStr + Default + PartialEq>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(number).collect()
}

fn number<T: std::str::FromStr + Default + PartialEq>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number != T::default());
    number.ok_or_else(|| format!("{text} is no number above zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn cargo_alone_asks_for_everything() {
        assert_eq!(parse("--bench"), Ok(Some(Options::default())));
        assert_eq!(Options::default().cells().count(), 9);
    }

    #[test]
    fn every_option_is_read() {
        let line = "--rounds 3 --bytes 16,32 --in-flight 8 --only raft --only paxos --json a.json --instructions";
        let options = parse(line).unwrap().unwrap();
        let cell = |bytes| Cell {
            bytes,
            in_flight: 8,
        };
        assert_eq!(options.cells().collect::<Vec<_>>(), [16, 32].map(cell));
        assert!(options.wants("synod-raft") && !options.wants("payload"));
        assert_eq!(
            (options.rounds, options.json, options.instructions),
            (3, Some("a.json".into()), true)
        );
        let count = parse("--count omnipaxos 16 64 4096")
            .unwrap()
            .unwrap()
            .count;
        let cell = Cell {
            bytes: 16,
            in_flight: 64,
        };
        assert_eq!(
            count.map(|count| (count.cell, count.entries)),
            Some((cell, 4096))
        );
    }

    #[test]
    fn nonsense_is_told() {
        for line in [
            "--rounds",
            "--rounds 0",
            "--bytes 16,x",
            "--bytes 4",
            "fast",
            "--count a 1 1 1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(parse("--help"), Ok(None));
    }
}
