//! Real processes, real files, real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod backup;
mod closed;
mod crowd;
mod descriptors;
#[cfg(feature = "raft")]
mod diverged;
#[cfg(all(feature = "raft", feature = "paxos"))]
mod flags;
mod full;
mod heavy;
mod identity;
mod leases;
mod listeners;
mod majority;
mod members;
mod mixed;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(all(feature = "raft", feature = "paxos"))]
mod operations;
mod operator;
mod patterns;
mod redis_py;
mod rotten;
mod slow;
mod stopped;
mod strangers;
mod tls;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use clap::Parser;
use redis_protocol::resp2::types::BytesFrame;
use synod_kv::{
    Client, Cluster, ClusterOptions, Listener, MemoryOptions, Protocol, info_field, memory,
    value_of,
};
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{Instant, timeout},
};

/// What a group does as a whole, by each protocol.
macro_rules! tests {
    ($protocol:literal, $module:ident, $variant:ident) => {
        #[cfg(feature = $protocol)]
        mod $module {
            use synod_kv::Protocol;

            use super::majority::{Absence, survive};

            #[tokio::test]
            async fn reads_by_lease_are_not_stale() {
                super::leases::reads_by_lease_are_not_stale(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_connection_says_how_fresh_its_reads_are() {
                super::leases::a_connection_says_how_fresh_its_reads_are(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn two_killed_nodes_leave_a_leader_that_admits_it() {
                survive(Protocol::$variant, Absence::Killed, true).await;
            }

            #[tokio::test]
            async fn two_stopped_nodes_leave_a_follower_that_admits_it() {
                survive(Protocol::$variant, Absence::Stopped, false).await;
            }

            tests!(
                $variant,
                the_leader_is_killed_and_writes_go_on,
                what_was_acknowledged_survives_the_loss_of_power_on_all_nodes,
                a_large_value_goes_through_a_follower_and_a_larger_one_is_refused,
                info_agrees_on_the_leader,
                redis_tools_work_against_leader_and_follower,
            );

            #[tokio::test]
            async fn certificates_change_while_a_cluster_runs() {
                super::tls::certificates_change_while_it_runs(Protocol::$variant).await;
            }

            #[cfg(target_os = "linux")]
            #[tokio::test]
            async fn nodes_are_machines_to_each_other() {
                super::namespaces::nodes_are_machines_to_each_other(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_crowd_of_bad_clients_does_not_keep_an_honest_one_out() {
                super::crowd::serves_the_honest(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn what_no_node_can_say_ends_no_cluster_and_locks_nobody_out() {
                super::strangers::say_what_no_node_can(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn who_was_away_while_the_others_were_led_up_comes_back() {
                super::strangers::lead_the_others_up(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn nodes_of_other_voters_are_no_cluster() {
                super::mixed::of_other_voters(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn half_hellos_keep_no_node_out_that_comes_back() {
                super::strangers::say_half_a_hello(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn redis_py_sets_and_gets_with_its_defaults() {
                super::redis_py::sets_and_gets(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn locks_sessions_and_limits_hold() {
                super::patterns::hold(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_transaction_is_not_obeyed_by_half() {
                super::crowd::refuses_transactions(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_stream_that_nobody_reads_does_not_hold_up_a_node() {
                super::listeners::serves_unheard(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_long_value_grows_and_a_large_map_is_flushed_under_one_leader() {
                super::heavy::appends_and_flushes(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn nodes_that_are_told_otherwise_do_not_differ() {
                super::heavy::settings_do_not_matter(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn slow_disks_everywhere_cost_time_and_no_service() {
                super::slow::serves_on_slow_disks(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_snapshot_under_way_does_not_hold_up_a_node_that_is_told_to_stop() {
                super::stopped::gives_its_snapshot_up(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_node_whose_disk_fails_ends_and_the_others_go_on() {
                super::closed::ends_when_its_disk_fails(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_rotten_record_is_named_and_its_node_replaced() {
                super::rotten::a_rotten_record_is_named_and_its_node_replaced(Protocol::$variant)
                    .await;
            }

            #[tokio::test]
            async fn a_log_that_is_not_whole_does_not_start() {
                super::identity::a_log_that_is_not_whole(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_copy_of_a_directory_is_told_from_the_node() {
                super::identity::a_copy_of_a_directory(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_disk_that_was_replaced_is_taken_once_the_others_forget_the_old_one() {
                super::identity::a_disk_that_was_replaced(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_node_whose_snapshot_makes_no_sense_ends_and_the_others_go_on() {
                super::closed::ends_when_its_snapshot_makes_no_sense(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_leader_with_a_full_disk_gives_way_and_takes_its_part_again() {
                super::full::leader(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_follower_with_a_full_disk_does_not_fill_its_leaders() {
                super::full::follower(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn full_disks_everywhere_refuse_writes_and_say_so() {
                super::full::everywhere(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_dead_node_is_replaced_under_load() {
                super::members::replaces_a_dead_node(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn all_nodes_are_replaced_and_those_that_go_say_so() {
                super::members::replaces_all(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn commands_of_an_operator_reach_the_leader() {
                super::operator::commands_reach_the_leader(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_backup_begins_clusters_of_another_size_and_protocol() {
                super::backup::begins_other_clusters(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn the_last_disk_of_three_begins_a_new_cluster() {
                super::backup::comes_back_from_a_lost_majority(Protocol::$variant).await;
            }

            #[tokio::test]
            async fn a_follower_away_for_100_000_writes_catches_up_by_snapshot_under_load() {
                super::away::catches_up_by_snapshot(Protocol::$variant).await;
            }
        }
    };
    ($variant:ident, $($name:ident,)*) => {
        $(#[tokio::test] async fn $name() { super::$name(Protocol::$variant).await; })*
    };
}

tests!("raft", raft, Raft);
tests!("paxos", paxos, Paxos);

async fn the_leader_is_killed_and_writes_go_on(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &["--power-loss"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let follower = other_than(&cluster, leader);
    let mut client = connect(&cluster, follower).await;
    assert_eq!(
        show(&client.call(&[b"SET", b"before", b"1"]).await.unwrap()),
        "OK"
    );

    cluster.kill(&[leader]).await.unwrap();
    write_until_acknowledged(&cluster, follower, "after").await;
    let next = cluster.leader(TIMEOUT).await.unwrap();
    assert_ne!(next, leader);

    cluster.restart(leader).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    for id in cluster.ids() {
        let mut client = connect(&cluster, id).await;
        assert_eq!(
            show(&client.call(&[b"MGET", b"before", b"after"]).await.unwrap()),
            "[1, 1]",
            "node {id}"
        );
    }
}

#[tokio::test]
async fn a_pipeline_to_a_follower_keeps_its_order() {
    let (cluster, _directory) = start(3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let mut client = connect(&cluster, other_than(&cluster, leader)).await;
    let mut expected = Vec::new();
    for round in 0..200 {
        let token = format!("{round};");
        client.queue(&[b"APPEND", b"list", token.as_bytes()]);
        expected.push(None);
        if round % 7 == 0 {
            client.queue(&[b"GET", b"list"]);
            expected.push(Some(
                (0..=round)
                    .map(|round| format!("{round};"))
                    .collect::<String>(),
            ));
        }
    }
    client.flush().await.unwrap();
    for expected in expected {
        let answer = timeout(TIMEOUT, client.receive())
            .await
            .expect("an answer")
            .unwrap();
        match expected {
            None => assert!(matches!(answer, BytesFrame::Integer(_)), "{answer:?}"),
            Some(list) => assert_eq!(value_of(answer).unwrap(), list.as_bytes()),
        }
    }
}

async fn what_was_acknowledged_survives_the_loss_of_power_on_all_nodes(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &["--power-loss"]).await;
    let written: BTreeMap<_, _> = (0..50)
        .map(|number| (format!("key-{number}"), format!("value-{number}")))
        .collect();
    let mut client = connect(&cluster, 1).await;
    for (key, value) in &written {
        let answer = client
            .call(&[b"SET", key.as_bytes(), value.as_bytes()])
            .await
            .unwrap();
        assert_eq!(show(&answer), "OK");
    }
    for _ in 0..2 {
        let all = cluster.ids();
        cluster.kill(&all).await.unwrap();
        all.iter().for_each(|id| cluster.restart(*id).unwrap());
        cluster.ready(TIMEOUT).await.unwrap();
        for id in all {
            let mut client = connect(&cluster, id).await;
            for (key, value) in &written {
                assert_eq!(
                    show(&client.call(&[b"GET", key.as_bytes()]).await.unwrap()),
                    *value,
                    "{key} on node {id}"
                );
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_readme_says_of_several_machines_is_right() {
    namespaces::the_readme_is_right().await;
}

#[tokio::test]
async fn nodes_that_lie_about_syncing_forget() {
    let (mut cluster, _directory) = start(3, &["--skip-sync"]).await;
    let mut client = connect(&cluster, 1).await;
    assert_eq!(
        show(&client.call(&[b"SET", b"k", b"v"]).await.unwrap()),
        "OK"
    );
    let all = cluster.ids();
    cluster.kill(&all).await.unwrap();
    all.iter().for_each(|id| cluster.restart(*id).unwrap());
    cluster.ready(TIMEOUT).await.unwrap();
    let mut client = connect(&cluster, 1).await;
    assert_eq!(show(&client.call(&[b"GET", b"k"]).await.unwrap()), "(nil)");
}

async fn a_large_value_goes_through_a_follower_and_a_larger_one_is_refused(protocol: Protocol) {
    let (cluster, _directory) = start_by(protocol, 3, &["--request-bytes-max", "2097152"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let follower = other_than(&cluster, leader);
    let mut client = connect(&cluster, follower).await;
    let large = vec![b'v'; 2_000_000];
    let answer = timeout(TIMEOUT, client.call(&[b"SET", b"large", &large]))
        .await
        .expect("an answer")
        .unwrap();
    assert_eq!(show(&answer), "OK");
    let mut reader = connect(&cluster, leader).await;
    let answer = timeout(TIMEOUT, reader.call(&[b"GET", b"large"]))
        .await
        .expect("an answer")
        .unwrap();
    assert_eq!(value_of(answer).unwrap(), large);
    let larger = vec![b'v'; 2_200_000];
    client.queue(&[b"SET", b"larger", &larger]);
    // The server refuses at the header and closes, maybe before all is sent.
    let _ = client.flush().await;
    assert!(client.receive().await.is_err() || client.receive().await.is_err());
    assert_eq!(show(&reader.call(&[b"DBSIZE"]).await.unwrap()), "1");
}

async fn info_agrees_on_the_leader(protocol: Protocol) {
    let (cluster, _directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    write_until_acknowledged(&cluster, leader, "k").await;
    for id in cluster.ids() {
        let mut client = connect(&cluster, id).await;
        // Whoever answers a read has applied what was written.
        assert_eq!(show(&client.call(&[b"GET", b"k"]).await.unwrap()), "1");
        let text = client.info().await.unwrap();
        assert_eq!(info_field(&text, "id"), Some(&*id.to_string()), "{text}");
        assert_eq!(
            info_field(&text, "leader_id"),
            Some(&*leader.to_string()),
            "{text}"
        );
        assert_eq!(
            info_field(&text, "role"),
            Some(if id == leader { "leader" } else { "follower" }),
            "{text}"
        );
        assert_eq!(
            info_field(&text, "protocol"),
            Some(protocol.name()),
            "{text}"
        );
        for field in [
            "term",
            "commit_index",
            "applied_index",
            "log_bytes",
            "log_syncs",
        ] {
            let number: u64 = info_field(&text, field).unwrap().parse().unwrap();
            assert!(number > 0, "{field} is zero in\n{text}");
        }
        assert_eq!(info_field(&text, "closed"), Some(""), "{text}");
        // Who leads tells how far the others are behind it; nobody else knows.
        for other in cluster.ids().into_iter().filter(|other| *other != id) {
            let peer = info_field(&text, &format!("peer{other}")).unwrap_or_default();
            let lag = peer
                .rsplit_once("lag=")
                .map(|(_, lag)| lag)
                .unwrap_or_default();
            assert_eq!(lag.parse::<u64>().is_ok(), id == leader, "{text}");
        }
        // These are looked at now and then, not at each turn.
        let deadline = Instant::now() + TIMEOUT;
        for field in ["frames_in", "frames_out", "connects"] {
            while number(&cluster, id, field).await == 0 {
                assert!(Instant::now() < deadline, "{field} stays zero on node {id}");
            }
        }
    }
}

async fn redis_tools_work_against_leader_and_follower(protocol: Protocol) {
    if Command::new("redis-benchmark")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .await
        .is_err()
    {
        skipped(
            "redis_tools_work_against_leader_and_follower",
            "redis-cli and redis-benchmark are not installed (Debian: redis-tools)",
        );
        return;
    }
    let (cluster, _directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    for id in [leader, other_than(&cluster, leader)] {
        let port = cluster.address(id).port().to_string();
        let output = tool(
            "redis-benchmark",
            &[
                "-p",
                &port,
                "-t",
                "set,get,incr",
                "-c",
                "50",
                "-P",
                "16",
                "-n",
                "4000",
                "-q",
            ],
        )
        .await;
        for test in ["SET:", "GET:", "INCR:"] {
            assert!(output.contains(test), "no line for {test} in\n{output}");
        }
        assert!(!output.to_lowercase().contains("error"), "{output}");
        assert_eq!(
            tool("redis-cli", &["-p", &port, "set", "k", "v"])
                .await
                .trim(),
            "OK"
        );
        assert_eq!(
            tool("redis-cli", &["-p", &port, "get", "k"]).await.trim(),
            "v"
        );
        assert_eq!(
            tool("redis-cli", &["-p", &port, "cas", "k", "v", "w"])
                .await
                .trim(),
            "1"
        );
    }
}

#[tokio::test]
async fn a_node_stops_in_order_when_it_is_asked_to_and_when_its_parent_is_gone() {
    let directory = TempDir::new().unwrap();
    for how in ["terminate", "parent"] {
        let mut node = Command::new(PROGRAM)
            .args([
                "serve",
                "--id",
                "1",
                "--cluster",
                "1=127.0.0.1:0",
                "--resp",
                "127.0.0.1:0",
                "--exit-with-parent",
            ])
            .arg("--data")
            .arg(directory.path().join(how))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // It says when it is there.
        let mut line = String::new();
        let stdout = node.stdout.take().unwrap();
        let mut stdout = tokio::io::BufReader::new(stdout);
        timeout(
            TIMEOUT,
            tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line),
        )
        .await
        .unwrap()
        .unwrap();
        let expected = format!("node 1 of 1: {}, RESP on 127.0.0.1:", Protocol::default());
        assert!(line.starts_with(&expected), "{line}");
        let _pipe = match how {
            "parent" => {
                drop(node.stdin.take());
                None
            }
            _ => {
                signal("TERM", &[node.id().unwrap()]).await;
                node.stdin.take()
            }
        };
        let status = timeout(TIMEOUT, node.wait())
            .await
            .expect("it stops")
            .unwrap();
        assert!(status.success(), "{how}: {status}");
    }
}

/// The short form of what `cargo run --release -p synod-kv --example memory` does for a minute.
#[tokio::test]
async fn nodes_keep_their_limits_while_a_follower_is_gone() {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        memory: MemoryOptions,
    }
    let options = Cli::parse_from(["memory", "--seconds", "4"]).memory;
    assert!(memory(&options, PROGRAM.into()).await.unwrap());
}

#[tokio::test]
async fn a_lease_without_a_bound_is_refused() {
    leases::a_lease_without_a_bound_is_refused().await;
}

async fn start(nodes: u64, arguments: &[&str]) -> (Cluster, TempDir) {
    start_by(Protocol::default(), nodes, arguments).await
}

async fn start_by(protocol: Protocol, nodes: u64, arguments: &[&str]) -> (Cluster, TempDir) {
    let directory = TempDir::new().unwrap();
    let options = ClusterOptions {
        program: Path::new(PROGRAM).to_owned(),
        nodes,
        directory: directory.path().to_owned(),
        arguments: ["--protocol", protocol.name()]
            .iter()
            .chain(arguments)
            .map(|argument| (*argument).to_owned())
            .collect(),
        listener: Listener::File,
    };
    (ready(options).await, directory)
}

async fn ready(options: ClusterOptions) -> Cluster {
    let mut cluster = Cluster::start(options).unwrap();
    cluster
        .ready(TIMEOUT)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    cluster
}

/// The answer to a request, as a text.
async fn ask(cluster: &Cluster, id: u64, request: &[&str]) -> String {
    let args: Vec<_> = request.iter().map(|arg| arg.as_bytes()).collect();
    let mut client = connect(cluster, id).await;
    let answer = timeout(TIMEOUT, client.call(&args))
        .await
        .unwrap_or_else(|_| panic!("node {id} never answered {request:?}"))
        .unwrap();
    show(&answer)
}

/// Past the harness, which shows the output of a test only if it fails.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {why}");
}

/// A number that a node tells of itself.
async fn number(cluster: &Cluster, id: u64, field: &str) -> u64 {
    let mut client = connect(cluster, id).await;
    let text = timeout(TIMEOUT, client.info()).await.unwrap().unwrap();
    info_field(&text, field)
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{field} is no number in\n{text}"))
}

async fn connect(cluster: &Cluster, id: u64) -> Client {
    let client = Client::connect(cluster.address(id)).await;
    client.unwrap_or_else(|error| {
        let log = std::fs::read_to_string(cluster.log(id)).unwrap_or_default();
        panic!("node {id}: {error}; it has told:\n{log}")
    })
}

/// The answer may be an error while there is no leader; that there is one again is what is waited
/// for.
async fn write_until_acknowledged(cluster: &Cluster, id: u64, key: &str) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = connect(cluster, id)
            .await
            .call(&[b"SET", key.as_bytes(), b"1"])
            .await
            .unwrap();
        match show(&answer).as_str() {
            "OK" => return,
            error => assert!(
                Instant::now() < deadline,
                "no write is acknowledged; the last answer: {error}"
            ),
        }
    }
}

fn other_than(cluster: &Cluster, id: u64) -> u64 {
    cluster
        .ids()
        .into_iter()
        .find(|other| *other != id)
        .unwrap()
}

async fn tool(program: &str, args: &[&str]) -> String {
    let output = timeout(TIMEOUT, Command::new(program).args(args).output())
        .await
        .expect("it ends")
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text.into_owned()
}

/// By the shell, which is there where no program `kill` is installed.
async fn signal(name: &str, processes: &[u32]) {
    let ids: Vec<_> = processes.iter().map(u32::to_string).collect();
    let kill = format!("kill -s {name} {}", ids.join(" "));
    let status = Command::new("sh").args(["-c", &kill]).status().await;
    assert!(status.unwrap().success(), "{kill}");
}

fn show(frame: &BytesFrame) -> String {
    match frame {
        BytesFrame::SimpleString(text) | BytesFrame::BulkString(text) => {
            String::from_utf8_lossy(text).into_owned()
        }
        BytesFrame::Error(text) => format!("-{text}"),
        BytesFrame::Integer(number) => number.to_string(),
        BytesFrame::Array(frames) => format!(
            "[{}]",
            frames.iter().map(show).collect::<Vec<_>>().join(", ")
        ),
        BytesFrame::Null => "(nil)".into(),
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_kv");
const TIMEOUT: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(20);
