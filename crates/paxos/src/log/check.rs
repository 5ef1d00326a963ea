use super::Log;
use super::run::Run;
use crate::Value;

impl Log {
    /// Checks the invariants of this type, in debug builds and tests.
    pub(crate) fn check(&self) {
        assert!(self.start.slot <= self.settled, "the start is durable");
        assert!(self.settled <= self.chosen, "what is settled is chosen");
        let first = self.evicted_to();
        assert!(first <= self.settled, "what is evicted is settled");
        let mut last = first;
        let mut unsettled = self.open.values.iter().map(Value::size).sum::<usize>();
        let mut kept = unsettled;
        let open = self.open.last().map(|last| (self.open.first, last));
        let runs = self.runs.iter().map(|run| &run.votes);
        for (begin, end) in runs.map(|votes| (votes.first, votes.last())).chain(open) {
            assert!(begin > last && end >= begin, "votes ascend");
            assert!(
                last >= self.chosen || begin == last.next(),
                "the chosen prefix has no gap"
            );
            last = end;
        }
        for Run { votes, bytes, .. } in &self.runs {
            kept += bytes;
            unsettled += votes.bytes(self.settled.next(), votes.last());
        }
        assert!(last >= self.chosen, "what is not evicted is held");
        assert_eq!(self.cache_bytes, kept, "the cache counts what it keeps");
        assert_eq!(self.unsettled_bytes, unsettled, "what is not settled");
    }
}
