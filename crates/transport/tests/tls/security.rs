//! What a node does that was not told how its connections are protected.

use crate::net::heard::Heard;
use crate::net::{Cluster, until};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use synod_transport::{BindError, NodeId, Security, Tcp};

/// Whether others reach an address shows where it is listened at; port 0 is free on every machine.
fn everywhere() -> TcpListener {
    TcpListener::bind("0.0.0.0:0").expect("any port")
}

#[tokio::test]
async fn off_loopback_a_node_listens_only_when_that_was_chosen() {
    let cluster = Cluster::new(2);
    let config = cluster.config_at(1, 1, everywhere());
    let refused = Tcp::bind(config).await.expect_err("nothing was chosen");
    assert!(matches!(refused, BindError::Unprotected { address } if address.ip().is_unspecified()));
    let told = refused.to_string();
    for way_out in ["Security::Tls", "Security::Insecure"] {
        assert!(told.contains(way_out), "{told}");
    }
    let mut config = cluster.config_at(1, 1, everywhere());
    config.security = Some(Security::Insecure);
    Tcp::bind(config).await.expect("it was chosen");
}

#[tokio::test]
async fn off_loopback_a_node_dials_only_when_that_was_chosen() {
    let cluster = Cluster::new(2);
    // Nobody is asked there: it is for documentation.
    let elsewhere: SocketAddr = "192.0.2.1:7000".parse().expect("an address");
    let mut config = cluster.config(1, 1);
    config.peers.insert(NodeId(2), elsewhere.to_string());
    let refused = Tcp::bind(config).await.expect_err("nothing was chosen");
    assert!(matches!(refused, BindError::Unprotected { address } if address == elsewhere));
}

/// Where a name leads shows when it is looked up: it is as much off this machine as any address.
#[tokio::test]
async fn a_name_that_leads_off_this_machine_is_refused_alike() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    // Not an address as it stands, and what it leads to needs nobody to be asked.
    let name = "192.514:7000";
    assert!(name.parse::<SocketAddr>().is_err());
    let found = name
        .to_socket_addrs()
        .map(|found| found.collect::<Vec<_>>());
    if !found.is_ok_and(|found| found == ["192.0.2.2:7000".parse().expect("an address")]) {
        println!("skipped: this system does not take {name} for 192.0.2.2");
        return;
    }
    config.peers.insert(NodeId(2), name.into());
    let one = Tcp::bind(config).await.expect("here it listens");
    until("it is refused", || one.status().unprotected > 0).await;
    assert!(heard.count("unprotected") > 0);
    assert!(!one.status().peers[&NodeId(2)].connected);
}
