//! A process without free descriptors: accepting waits and resumes when there are some.

#![cfg(unix)]

mod net;

use net::heard::Heard;
use net::{Cluster, until};
use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

/// Alone in this file, because exhausting the descriptors of a process would break other tests too.
/// It runs in its own process with a low limit.
#[test]
fn a_port_outlasts_a_lack_of_descriptors() {
    const INSIDE: &str = "SYNOD_FEW_DESCRIPTORS";
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let played = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "a_port_outlasts_a_lack_of_descriptors",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .expect("a shell");
    // Without the output of the inner test harness, which would be a list of failures within this
    // one's.
    let harness = String::from_utf8_lossy(&played.stdout);
    let told = String::from_utf8_lossy(&played.stderr);
    assert!(
        played.status.success() && harness.contains("1 passed"),
        "{told}"
    );
}

fn inside() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let heard = Heard::default();
        let _guard = tracing::subscriber::set_default(heard.clone());
        // Without peers nothing is dialed, so nothing else takes or frees a descriptor.
        let cluster = Cluster::new(1);
        let one = cluster.start(1).await;
        let program = std::env::current_exe().expect("this program");
        let mut files: Vec<File> = std::iter::from_fn(|| File::open(&program).ok()).collect();
        drop(files.pop());
        // The system accepts the connection into its backlog, and the node cannot.
        let mut stranger = TcpStream::connect(one.local_addr()).expect("listens");
        until("it fails", || one.status().accepts_failed > 0).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let failed = one.status().accepts_failed;
        assert!(failed < 50, "tried at full speed: {failed} times");
        until("it is tried again", || {
            one.status().accepts_failed > failed + 3
        })
        .await;
        let told = heard.count("accept_failed");
        assert!((1..=3).contains(&told), "{told} lines");
        drop(files);
        stranger.write_all(&[b'x'; 92]).expect("taken");
        until("it is heard out", || one.status().hellos_unreadable == 1).await;
    });
}
