//! Commands about clocks, and about reads that rest on them.

use super::ClusterStage;
use crate::cluster::cast::Cast;
use crate::script::Arguments;

impl<P: Cast> ClusterStage<P> {
    /// `lease-read 1`
    pub(super) fn lease_read(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let read = self.cluster()?.read_by_lease(id);
        self.story.line(match read {
            Ok(place) => format!("{id} reads up to {place} by lease"),
            Err(why) => format!("{id} does not read by lease: {why}"),
        });
        Ok(())
    }

    /// `clock 1 fast 100000`, `clock 2 slow 500`: by so many parts per million, from the beginning.
    pub(super) fn clock(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.node(arguments)?;
        let way = arguments.positional().ok_or("fast or slow?")?;
        let rate = i64::try_from(arguments.number()?).map_err(|_| "too fast".to_owned())?;
        let rate = match way {
            "fast" => rate,
            "slow" => -rate,
            other => return Err(format!("`{other}` is neither fast nor slow")),
        };
        self.cluster()?.clocks.insert(P::id(id), rate);
        Ok(())
    }
}
