use std::collections::BTreeMap;

use super::*;
use synod_sim::Rng;

const ALL: ScanLimit = ScanLimit {
    versions_max: usize::MAX,
    bytes_max: usize::MAX,
};

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn write(key: &str, value: Option<&str>) -> Writes {
    let mut writes = Writes::default();
    let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    writes
        .put(Bytes::copy_from_slice(key.as_bytes()), value)
        .unwrap();
    writes
}

#[test]
fn a_read_sees_the_newest_version_that_is_not_after_it() {
    let mut store = Store::default();
    store.put(at(5), write("k", Some("a")));
    store.put(at(7), write("k", None));
    store.put(at(9), write("k", Some("b")));
    let seen = |store: &Store, t| store.get(b"k", at(t)).map(|found| found.map(|v| v.written));
    assert_eq!(
        [4, 6, 8, 9].map(|t| seen(&store, t)),
        [Ok(None), Ok(Some(at(5))), Ok(Some(at(7))), Ok(Some(at(9)))]
    );
    store.collect(at(8));
    store.sweep();
    assert_eq!(seen(&store, 7), Err(Collected { horizon: at(8) }));
    assert_eq!(
        (seen(&store, 8), seen(&store, 9)),
        (Ok(None), Ok(Some(at(9))))
    );
    assert_eq!(store.len(), 1, "a tombstone that covers nothing is nothing");
}

#[test]
fn a_scan_comes_in_parts_and_each_part_asks_the_horizon() {
    let mut store = Store::default();
    for (key, t) in [("a", 1), ("b", 2), ("b", 5), ("c", 3), ("d", 9)] {
        store.put(at(t), write(key, Some("value")));
    }
    let two = ScanLimit {
        versions_max: 2,
        bytes_max: usize::MAX,
    };
    let first = store.scan(&Span::ALL, at(4), two).unwrap();
    let keys = |scan: &Scan| {
        scan.versions
            .iter()
            .map(|v| v.key.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&first), ["a", "b"]);
    let rest = first.rest.unwrap();
    assert_eq!(rest.from, "c");
    store.collect(at(4));
    let second = store.scan(&rest, at(4), two).unwrap();
    assert_eq!((keys(&second), second.rest), (vec!["c".into()], None));
    store.collect(at(5));
    assert!(store.scan(&rest, at(4), two).is_err());
    let bytes = ScanLimit {
        versions_max: usize::MAX,
        bytes_max: 6,
    };
    assert_eq!(keys(&store.scan(&Span::ALL, at(9), bytes).unwrap()), ["a"]);
}

/// Blocks split, empty, and are shared with copies; a plain map says what must be there.
#[test]
fn the_store_is_a_map_and_its_copies_stay_as_they_were() {
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let mut store = Store::default();
        let mut model: BTreeMap<(String, Reverse<i64>), Option<String>> = BTreeMap::new();
        let (mut horizon, mut copies) = (0, Vec::new());
        for time in 1..3000 {
            let key = format!("{:03}", rng.below(400));
            let value = (rng.below(4) > 0).then(|| time.to_string());
            store.put(at(time), write(&key, value.as_deref()));
            model.insert((key, Reverse(time)), value);
            store.sweep();
            if rng.below(500) == 0 {
                horizon = horizon.max(time - rng.below(200).cast_signed());
                store.collect(at(horizon));
            }
            if rng.below(700) == 0 {
                copies.push((store.clone(), model.clone(), horizon, time));
            }
        }
        while store.sweeping.is_some() {
            store.sweep();
        }
        copies.push((store, model, horizon, 3000));
        for (store, model, horizon, upto) in copies {
            for t in [horizon.max(1), (horizon + upto) / 2, upto] {
                let t = t.max(horizon);
                let mut wanted: BTreeMap<&String, (i64, &Option<String>)> = BTreeMap::new();
                for ((key, Reverse(written)), value) in &model {
                    if *written <= t {
                        wanted.entry(key).or_insert((*written, value));
                    }
                }
                // A tombstone may be collected or not: it shows the same.
                wanted.retain(|_, (_, value)| value.is_some());
                let mut seen = store.scan(&Span::ALL, at(t), ALL).unwrap().versions;
                seen.retain(|version| version.value.is_some());
                let seen: Vec<_> = seen
                    .iter()
                    .map(|v| (std::str::from_utf8(&v.key).unwrap(), v.written.as_nanos()))
                    .collect();
                let wanted: Vec<_> = wanted
                    .iter()
                    .map(|(key, (t, _))| (key.as_str(), *t))
                    .collect();
                assert_eq!(seen, wanted, "seed {seed} at {t}");
            }
        }
    }
}
