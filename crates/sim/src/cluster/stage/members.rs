//! Commands that change who takes part.

use super::ClusterStage;
use crate::cluster::cast::Cast;
use crate::script::{Arguments, parse_number};

impl<P: Cast> ClusterStage<P> {
    /// `change 1 1,2,4`, `change 1 1,2,3 learners=4`, `abort 1`.
    pub(super) fn members(
        &mut self,
        name: &str,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String> {
        let id = self.up(arguments)?;
        if name == "abort" {
            let begun = self.cluster()?.step(id, P::abort_change);
            self.story.line(match begun {
                Ok(()) => format!("{id} aborts the change"),
                Err(error) => format!("{id} does not abort: {error}"),
            });
            self.tell();
            return Ok(());
        }
        let voters = numbers(arguments.positional().ok_or("to which voters?")?)?;
        let learners = arguments.option("learners");
        let learners = learners.map_or_else(|| Ok(Vec::new()), numbers)?;
        let change = |core: &mut P::Core, now| P::change(core, now, &voters, &learners);
        let begun = self.cluster()?.step(id, change);
        self.story.line(match begun {
            Ok(()) => format!("{id} changes the membership"),
            Err(error) => format!("{id} changes nothing: {error}"),
        });
        self.tell();
        Ok(())
    }
}

/// `1,2,4`, or `none`.
fn numbers(text: &str) -> Result<Vec<u64>, String> {
    let words = text.split(',').filter(|word| *word != "none");
    words.map(parse_number).collect()
}
