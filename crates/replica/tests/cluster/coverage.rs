//! What a campaign must have covered to mean anything.

/// How often a thousand runs together must cover each event: about a third of what they usually do.
/// The world's own counts are named by [`Coverage::of`](synod_sim::Coverage::of).
pub(crate) const MINIMUMS: &[(&str, u64)] = &[
    // As seen by clients.
    ("requests answered", 35_000),
    ("unknown outcomes", 9_000),
    ("requests tried again", 8_000),
    ("rejected: busy", 4_000),
    ("rejected: expired", 3_500),
    ("rejected: no space", 1_000),
    ("rejected: poisoned", 300),
    ("rejected: too large", 1_500),
    ("stale reads", 500),
    // What operators ask for. Of each node only the last step down is known.
    ("transfers asked for", 1_500),
    ("leaderships handed over at last", 200),
    // Faults.
    ("lost", 10_000),
    ("duplicated", 20_000),
    ("old copies", 1_500),
    ("overflowed", 2_000),
    ("clogged", 4_000),
    ("partitions", 400),
    ("crashes", 2_000),
    ("power losses", 1_400),
    ("power losses of all", 400),
    ("crashes before send", 60),
    ("crashes by error", 600),
    ("pauses", 700),
    ("clock changes", 3_000),
    ("disk stalls", 700),
    ("sync errors", 700),
    ("disks full", 800),
    ("rots", 250),
    ("nodes left outside", 250),
    ("full disks left outside", 15),
    ("runs on slow disks", 20),
    // Their effects on storage.
    ("unsynced writes that a crash took", 250),
    ("unsynced writes that a crash kept", 350),
    // These are rare: two hundred runs see few of the first and often none of the last. So fewer
    // than five in a thousand are required, which is none of two hundred.
    ("writes lost with the power", 4),
    ("writes torn by a power loss", 3),
    ("names lost with the power", 30),
    ("writes in several records", 20),
    ("starts refused for damage", 1_000),
    ("lives ended by damage", 2),
];
