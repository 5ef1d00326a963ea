//! The refusals with another TLS implementation: `openssl s_client`, where it is installed.

use crate::authority::{Authority, Shown, VALID};
use crate::net::{Cluster, in_time, until};
use crate::start;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use synod_transport::{ClusterId, Untrusted};

/// Files of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("synod-transport-tls-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("can be made");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_meets_the_refusals() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: there is no openssl here");
        return;
    }
    let (ca, other) = (Authority::new("ours"), Authority::new("theirs"));
    let folder = Folder::new();
    let client = ca.sign(&["client.example"], VALID);
    let expired = ca.node_for(2, (2027, 2028));
    let cases = [
        ("none", None, "-tls1_3", Some(Untrusted::NoCertificate)),
        (
            "old",
            Some(ca.node(2)),
            "-tls1_2",
            Some(Untrusted::Handshake),
        ),
        (
            "other",
            Some(other.node(2)),
            "-tls1_3",
            Some(Untrusted::UnknownIssuer),
        ),
        (
            "expired",
            Some(expired),
            "-tls1_3",
            Some(Untrusted::Expired),
        ),
        ("client", Some(client), "-tls1_3", Some(Untrusted::NoNode)),
        (
            "cluster",
            Some(ca.node_of(ClusterId(7), 2)),
            "-tls1_3",
            Some(Untrusted::OtherCluster),
        ),
        // With the right one it gets as far as to what it says, which is no hello.
        ("node", Some(ca.node(2)), "-tls1_3", None),
    ];
    for (name, shown, version, reason) in cases {
        let cluster = Cluster::new(2);
        let one = start(&cluster, &ca, 1).await;
        let output = s_client(one.local_addr(), &folder, name, shown.as_ref(), version).await;
        let told = String::from_utf8_lossy(&output.stderr);
        until("it is counted", || {
            let status = one.status();
            !status.untrusted.is_empty() || status.hellos_unreadable > 0
        })
        .await;
        let status = one.status();
        let counted: Vec<_> = status.untrusted.into_iter().collect();
        let expected: Vec<_> = reason.into_iter().map(|reason| (reason, 1)).collect();
        assert_eq!(counted, expected, "{name}: {told}");
        let unreadable = u64::from(reason.is_none());
        assert_eq!(status.hellos_unreadable, unreadable, "{name}: {told}");
        // Whoever our CA has signed is told in our words, and others in those of TLS.
        let is_signed = matches!(reason, Some(Untrusted::NoNode | Untrusted::OtherCluster));
        let verdict = output.stdout.get(6..8);
        assert_eq!(verdict, is_signed.then_some(&[16, 0][..]), "{name}: {told}");
        if name == "none" {
            assert!(told.contains("certificate required"), "{told}");
        }
    }
}

/// What `openssl s_client` does that shows this and says something that is no hello, until it is hung up on.
async fn s_client(
    node: SocketAddr,
    folder: &Folder,
    name: &str,
    shown: Option<&Shown>,
    version: &str,
) -> Output {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-quiet", version, "-connect"])
        .arg(node.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(shown) = shown {
        command
            .arg("-cert")
            .arg(folder.file(&format!("{name}.pem"), &shown.certificate))
            .arg("-key")
            .arg(folder.file(&format!("{name}.key"), &shown.key));
    }
    let run = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("it runs");
        let mut says = child.stdin.take().expect("a pipe");
        // Whoever is refused may be gone before it has read it.
        let _unread = std::io::Write::write_all(&mut says, b"GET / HTTP/1.1\r\n\r\n");
        let output = child.wait_with_output();
        drop(says);
        output.expect("it ends")
    });
    in_time(run).await.expect("no panic")
}
