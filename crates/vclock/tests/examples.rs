//! What the examples stand on.

use synod_vclock::shiviz::{Layout, Log};
use synod_vclock::{CausalOrder, Dot};

/// The case of the last ticket: the wall says that Bob was charged before he pressed, and that the
/// returned ticket came in time for Ada; the clocks say which of it anybody can know.
#[test]
fn the_log_of_the_detective_is_a_run_that_could_have_been() {
    let log = Log::parse(
        include_str!("../examples/detective.log"),
        Layout::EventFirst,
    )
    .unwrap();
    let at = |host: &str, counter| {
        let record = log
            .find(&Dot::new(host.to_owned(), counter).unwrap())
            .unwrap();
        &log.records()[record]
    };
    let order = |one: (&str, u64), other: (&str, u64)| {
        at(one.0, one.1)
            .clock()
            .causal_cmp(at(other.0, other.1).clock())
    };
    assert_eq!(at("ada", 2).event(), "[12:00:01.400] ada presses \"buy\"");
    assert_eq!(order(("ada", 2), ("bob", 1)), CausalOrder::Concurrent);
    assert_eq!(order(("hall", 1), ("bank", 4)), CausalOrder::Concurrent);
    assert_eq!(order(("hall", 1), ("hall", 2)), CausalOrder::Before);
    assert_eq!(order(("bank", 1), ("bob", 2)), CausalOrder::Before);
}
