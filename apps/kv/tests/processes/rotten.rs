//! A record that has rotted on the disk of a node, and what an operator does about it.

use std::{fs, path::Path};

use synod_kv::{ExitStatus, Protocol};

use super::{
    TIMEOUT,
    closed::status_of_itself,
    connect,
    identity::logs,
    members::{holds, managed, write},
    other_than, start_by,
};

/// One bit of an acknowledged record flips while its node is down. The node names the record and does not start,
/// although its peers could send what is lost: a record holds promises too. It is replaced under a new id, and
/// nothing is lost.
pub(crate) async fn a_rotten_record_is_named_and_its_node_replaced(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let rotten = other_than(&cluster, leader);
    let written = write(connect(&cluster, rotten).await, "key".into(), 50).await;
    assert_eq!(written.len(), 50);
    holds(&cluster, rotten, &written).await;
    cluster.kill(&[rotten]).await.unwrap();
    let segment = flip_one_bit(&directory.path().join(format!("node-{rotten}")), b"key-10");

    cluster.restart(rotten).unwrap();
    let status = status_of_itself(&mut cluster, rotten).await;
    assert_eq!(status, ExitStatus::Failed);
    let log = fs::read_to_string(cluster.log(rotten)).unwrap();
    let last = log.lines().last().unwrap_or_default();
    let named = format!("kv: log: segment {segment} is corrupt at offset ");
    assert!(last.starts_with(&named), "{log}");

    let new = cluster.join().unwrap();
    let at = cluster.peer_address(new);
    let replaced = managed(&cluster, &format!("MEMBER REPLACE {rotten} {new} {at}")).await;
    assert_eq!(replaced, "OK");
    holds(&cluster, new, &written).await;
}

/// Flips a bit of the first place in the log that holds these bytes. Returns the name of the segment.
fn flip_one_bit(data: &Path, bytes: &[u8]) -> String {
    for path in logs(data) {
        let mut log = fs::read(&path).unwrap();
        let mut windows = log.windows(bytes.len());
        if let Some(at) = windows.position(|window| window == bytes) {
            log[at] ^= 1;
            fs::write(&path, log).unwrap();
            return path.file_name().unwrap().to_str().unwrap().to_owned();
        }
    }
    panic!("no segment holds the bytes");
}
