//! Where a node is and where it listens: what cannot be is refused in words, before anything is served.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

/// A node that reaches nobody: its clients' port is any.
fn serve(data: &Path, cluster: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv"));
    command
        .args(["serve", "--id", "1", "--resp", "127.0.0.1:0"])
        .args(["--cluster", cluster, "--data"])
        .arg(data)
        .args(more)
        .stdin(Stdio::null());
    command
}

/// What a node says that does not start.
fn refused(cluster: &str, more: &[&str]) -> String {
    let data = tempfile::tempdir().unwrap();
    let output = serve(data.path(), cluster, more).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_address_for_two_nodes_is_refused() {
    let said = refused("1=127.0.0.1:7001,2=127.0.0.1:7002,3=127.0.0.1:7001", &[]);
    assert!(
        said.contains("the address 127.0.0.1:7001 for two nodes, 1 and 3"),
        "{said}"
    );
}

/// An address that is kept for documentation is of no machine, and a name with an empty part of none.
#[test]
fn an_address_that_is_not_of_this_machine_is_refused_and_says_what_helps() {
    for address in ["192.0.2.1:7001", "a..b:7001"] {
        for (cluster, more) in [
            (format!("1={address}"), vec![]),
            ("1=127.0.0.1:7001".to_owned(), vec!["--listen", address]),
        ] {
            let said = refused(&cluster, &more);
            assert!(
                said.contains(&format!("cannot listen for peers at {address}: ")),
                "{said}"
            );
            assert!(said.contains("--listen says where"), "{said}");
        }
    }
}

/// Behind a translation of addresses, or before its name resolves.
#[test]
fn a_node_listens_elsewhere_than_its_peers_reach_it() {
    for address in ["192.0.2.1:7001", "a..b:7001"] {
        let data = tempfile::tempdir().unwrap();
        let cluster = format!("1={address}");
        let mut node = serve(data.path(), &cluster, &["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = node.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        node.kill().unwrap();
        node.wait().unwrap();
        assert!(said.contains("node 1 of 1"), "{said}");
    }
}
