//! What is true at the end: every key read back through every node, what is missing, and whether
//! the history holds together.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use bytes::Bytes;
use synod_sim::{Checker, Kv, RecordError, Verdict};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    client::{Client, ClientError},
    demo::{
        history::{Answer, Ask, End, Record, history},
        workload::Workload,
    },
};

/// The promises that were broken, if any.
#[derive(Debug)]
pub(crate) struct Verified {
    /// Appends and write-once keys that were acknowledged.
    pub(crate) promised: u64,
    /// Those of them that at least one node does not have at the end.
    pub(crate) lost: u64,
    pub(crate) linearizable: Result<(), String>,
    /// Operations and keys that the checker saw, and how long it took.
    pub(crate) operations: u64,
    pub(crate) keys: usize,
    pub(crate) took: Duration,
}

/// Why the end could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A node did not give back all keys in time.
    #[error("node {id} did not give back all keys within {wait_max:?}; its last word: {last}")]
    ReadBack {
        /// Which node.
        id: u64,
        /// How long was waited.
        wait_max: Duration,
        /// What it said instead.
        last: String,
    },
    /// The history contradicts itself: a mistake of the demo.
    #[error("the history is not well formed: {0}")]
    History(#[from] RecordError),
}

/// Reads every key through one node by linearizable reads.
pub(crate) async fn read_back(
    id: u64,
    address: SocketAddr,
    keys: &[Bytes],
    workload: &Workload,
) -> Result<Vec<Record>, VerifyError> {
    let deadline = Instant::now() + READ_BACK_TIMEOUT;
    let mut records = Vec::with_capacity(keys.len());
    let mut readers: Vec<u64> = (0..BATCH).map(|_| workload.fresh_client()).collect();
    let mut left = keys;
    let mut last = "nothing".to_owned();
    while !left.is_empty() {
        if Instant::now() > deadline {
            return Err(VerifyError::ReadBack {
                id,
                wait_max: READ_BACK_TIMEOUT,
                last,
            });
        }
        let read = async {
            let mut client = Client::connect(address).await?;
            while !left.is_empty() {
                let batch = &left[..left.len().min(BATCH)];
                let answered =
                    read_batch(&mut client, batch, &mut readers, workload, &mut records).await?;
                // The first that was refused is asked again, with all behind it.
                left = &left[answered..];
                if answered < batch.len() {
                    break;
                }
            }
            Ok::<_, ClientError>(())
        };
        match timeout(READ_TIMEOUT, read).await {
            Ok(Ok(())) => last = "an error".into(),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = "no answer".into(),
        }
        if !left.is_empty() {
            sleep(READ_PAUSE).await;
        }
    }
    Ok(records)
}

/// One pipeline of reads. Each place in it is a reader of its own: they overlap. Returns how many
/// were answered before the first that was not.
async fn read_batch(
    client: &mut Client,
    keys: &[Bytes],
    readers: &mut [u64],
    workload: &Workload,
    records: &mut Vec<Record>,
) -> Result<usize, ClientError> {
    for key in keys {
        client.queue(&Ask::Get.args(key));
    }
    let called = workload.now();
    client.flush().await?;
    let mut answered = 0;
    for (at, key) in keys.iter().enumerate() {
        let end = Ask::Get.end(client.receive().await?);
        let returned = workload.now();
        let client = readers[at];
        if end == End::Unknown {
            readers[at] = workload.fresh_client();
        }
        if matches!(end, End::Ok(_)) && answered == at {
            answered += 1;
        }
        records.push(Record {
            client,
            key: key.clone(),
            ask: Ask::Get,
            called,
            returned,
            end,
            again: 0,
        });
    }
    Ok(answered)
}

/// The keys to read back: the shared ones, and every write-once key that was acknowledged.
pub(crate) fn keys_of(workload: &Workload, records: &[Record]) -> Vec<Bytes> {
    let once = records
        .iter()
        .filter(|record| matches!((&record.ask, &record.end), (Ask::PutOnce(_), End::Ok(_))));
    workload
        .shared_keys()
        .into_iter()
        .chain(once.map(|record| record.key.clone()))
        .collect()
}

/// Compares what was acknowledged with what each node has, and checks the whole history. `at_end`
/// holds the reads of each node.
pub(crate) fn verify(
    mut records: Vec<Record>,
    at_end: Vec<Vec<Record>>,
) -> Result<(Vec<Record>, Verified), VerifyError> {
    let promised = promises(&records);
    let mut lost: BTreeSet<(&Bytes, Promise<'_>)> = BTreeSet::new();
    for reads in &at_end {
        let found = found(reads);
        let absent = promised
            .iter()
            .filter(|(key, promise)| !promise.is_kept(found.get(*key)));
        lost.extend(absent.copied());
    }
    let (promised, lost) = (promised.len() as u64, lost.len() as u64);
    records.extend(at_end.into_iter().flatten());
    let started = Instant::now();
    let history = history(&records)?;
    let (linearizable, operations) = match Checker::new(Kv).check(&history) {
        Verdict::Ok {
            operations_checked, ..
        } => (Ok(()), operations_checked),
        Verdict::Violation(violation) => (Err(violation.to_string()), 0),
        Verdict::Undecided { key, steps_max } => (
            Err(format!(
                "key {key:?} could not be decided within {steps_max} steps"
            )),
            0,
        ),
    };
    let took = started.elapsed();
    let keys = records
        .iter()
        .map(|record| &record.key)
        .collect::<BTreeSet<_>>()
        .len();
    Ok((
        records,
        Verified {
            promised,
            lost,
            linearizable,
            operations,
            keys,
            took,
        },
    ))
}

/// Something that was acknowledged and that nobody may take away: it stays until the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Promise<'a> {
    Contains(&'a Bytes),
    Is(&'a Bytes),
}

impl Promise<'_> {
    fn is_kept(&self, found: Option<&Found<'_>>) -> bool {
        match self {
            Self::Contains(token) => found.is_some_and(|found| found.tokens.contains(&token[..])),
            Self::Is(value) => found.is_some_and(|found| found.value == *value),
        }
    }
}

struct Found<'a> {
    value: &'a Bytes,
    /// Of a list: its elements, each with the semicolon that ends it.
    tokens: BTreeSet<&'a [u8]>,
}

fn promises<'a>(records: &'a [Record]) -> Vec<(&'a Bytes, Promise<'a>)> {
    let acknowledged = records
        .iter()
        .filter(|record| matches!(record.end, End::Ok(_)));
    let promise = |record: &'a Record| match &record.ask {
        Ask::Append(token) => Some((&record.key, Promise::Contains(token))),
        Ask::PutOnce(value) => Some((&record.key, Promise::Is(value))),
        _ => None,
    };
    acknowledged.filter_map(promise).collect()
}

fn found(reads: &[Record]) -> BTreeMap<&Bytes, Found<'_>> {
    let mut found = BTreeMap::new();
    for record in reads {
        if let End::Ok(Answer::Value(Some(value))) = &record.end {
            let is_list = record.key.starts_with(b"a");
            let tokens = if is_list {
                value.split_inclusive(|byte| *byte == b';').collect()
            } else {
                BTreeSet::new()
            };
            found.insert(&record.key, Found { value, tokens });
        }
    }
    found
}

const BATCH: usize = 128;
const READ_BACK_TIMEOUT: Duration = Duration::from_secs(15);
/// For one connection's worth of batches.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const READ_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn record(client: u64, key: &'static str, ask: Ask, at: u64, end: End) -> Record {
        let [called, returned] = [at, at + 1].map(Duration::from_millis);
        Record {
            client,
            key: key.into(),
            ask,
            called,
            returned,
            end,
            again: 0,
        }
    }

    fn read(client: u64, key: &'static str, value: Option<&'static str>) -> Record {
        record(
            client,
            key,
            Ask::Get,
            100,
            End::Ok(Answer::Value(value.map(Bytes::from))),
        )
    }

    fn load() -> Vec<Record> {
        vec![
            record(
                1,
                "a0.0",
                Ask::Append("1.1;".into()),
                0,
                End::Ok(Answer::Length(4)),
            ),
            record(2, "a0.0", Ask::Append("2.1;".into()), 2, End::Unknown),
            record(
                1,
                "a0.0",
                Ask::Append("1.2;".into()),
                4,
                End::Ok(Answer::Length(12)),
            ),
            record(
                1,
                "w1.3",
                Ask::PutOnce("v".into()),
                6,
                End::Ok(Answer::Done),
            ),
        ]
    }

    #[test]
    fn what_every_node_has_is_not_lost() {
        let reads = |base| {
            vec![
                read(base, "a0.0", Some("1.1;2.1;1.2;")),
                read(base + 1, "w1.3", Some("v")),
            ]
        };
        let (records, verified) = verify(load(), vec![reads(10), reads(20)]).unwrap();
        assert_eq!((verified.promised, verified.lost), (3, 0));
        assert_eq!(verified.linearizable, Ok(()));
        assert_eq!((records.len(), verified.keys), (8, 2));
    }

    #[test]
    fn what_one_node_lacks_is_lost_once_and_breaks_the_history() {
        for (list, once, lost) in [
            (Some("2.1;1.2;"), Some("v"), 1),
            (Some("11.1;2.1;1.2;"), Some("v"), 1),
            (None, Some("v"), 2),
            (None, None, 3),
            (Some("1.1;2.1;1.2;"), Some("w"), 1),
        ] {
            let good = vec![
                read(10, "a0.0", Some("1.1;2.1;1.2;")),
                read(11, "w1.3", Some("v")),
            ];
            let bad = vec![read(20, "a0.0", list), read(21, "w1.3", once)];
            let (_, verified) = verify(load(), vec![good, bad]).unwrap();
            assert_eq!(verified.lost, lost, "{list:?} {once:?}");
            assert!(verified.linearizable.is_err(), "{list:?} {once:?}");
        }
    }
}
