//! Which certificates are refused, and for which reason. Nothing such a peer sends reaches the
//! decoders of hellos and frames.

use crate::authority::{Authority, Shown, VALID, self_signed};
use crate::net::hand::{self, VERSION, hello};
use crate::net::heard::Heard;
use crate::net::{Cluster, message, next, send, until};
use crate::{believing, config, hand as tls, start, time};
use synod_transport::{ClusterId, Lane, NodeId, Security, Tcp, TcpConfig, Untrusted};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Node 1, to which each comes and says that it is node 2.
async fn come(shown: Option<&Shown>, config: TcpConfig, ca: &Authority) -> (Tcp, Vec<u8>) {
    let one = Tcp::bind(config).await.expect("binds");
    let says = hello(&Cluster::hello(2, 1), 1, VERSION, 0);
    let mut said = says.to_vec();
    // What a decoder of ours would count.
    said.extend(hand::framed(&message(1, 100)));
    let answer = tls::dial(one.local_addr(), shown, ca, said).await;
    (one, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_not_shown_that_it_is_a_node_is_refused_unheard() {
    let (ca, other) = (Authority::new("ours"), Authority::new("theirs"));
    let revoked = ca.node(2);
    let cases = [
        (None, Untrusted::NoCertificate),
        (Some(other.node(2)), Untrusted::UnknownIssuer),
        (Some(self_signed(2)), Untrusted::UnknownIssuer),
        (Some(ca.node_for(2, (2027, 2028))), Untrusted::Expired),
        (Some(ca.node_for(2, (2031, 2032))), Untrusted::NotYetValid),
        (Some(ca.sign(&["client.example"], VALID)), Untrusted::NoNode),
        (
            Some(ca.sign(&["*.c193.synod.internal"], VALID)),
            Untrusted::NoNode,
        ),
        (Some(ca.node_of(ClusterId(7), 2)), Untrusted::OtherCluster),
        (Some(ca.node(3)), Untrusted::OtherNode),
        (
            Some(ca.sign(&["n3.c193.synod.internal", "*.c193.synod.internal"], VALID)),
            Untrusted::OtherNode,
        ),
    ];
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    for (shown, reason) in cases {
        let cluster = Cluster::new(3);
        let config = config(&cluster, &ca, 1);
        let (one, answer) = come(shown.as_ref(), config, &ca).await;
        until("it is counted", || !one.status().untrusted.is_empty()).await;
        let status = one.status();
        assert_eq!(
            status.untrusted.iter().collect::<Vec<_>>(),
            [(&reason, &1)],
            "{reason}"
        );
        let heard_of = (status.hellos_refused, status.hellos_unreadable);
        // Which node it says that it is must be read; nothing is made of it.
        let read = u64::from(reason == Untrusted::OtherNode);
        assert_eq!(heard_of, (read, 0), "{reason}: its words were looked at");
        assert_eq!((status.frames_in, status.frames_corrupt), (0, 0));
        assert!(!status.peers[&NodeId(2)].accepted, "{reason}");
        // Whoever the CA has signed is told; others are told by TLS.
        let told = matches!(
            reason,
            Untrusted::NoNode | Untrusted::OtherCluster | Untrusted::OtherNode
        );
        let verdict = answer.get(6..8);
        assert_eq!(verdict, told.then_some(&[16, 0][..]), "{reason}");
    }
    // Revoked by a list that is there from the start.
    let cluster = Cluster::new(2);
    let mut config = config(&cluster, &ca, 1);
    let mut of_one = believing(&ca.node(1), &ca, &time());
    of_one.crls = ca.revoke(&[revoked.serial]).into();
    config.security = Some(Security::Tls(of_one));
    let (one, _) = come(Some(&revoked), config, &ca).await;
    until("it is counted", || !one.status().untrusted.is_empty()).await;
    assert_eq!(one.status().untrusted, [(Untrusted::Revoked, 1)].into());
}

/// The table above says nothing unless the same words are welcome with the right certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_shown_that_it_is_the_node_is_heard() {
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(2));
    let (one, two) = (start(&cluster, &ca, 1).await, start(&cluster, &ca, 2).await);
    until("they meet", || {
        one.status().peers[&NodeId(2)].accepted && two.status().peers[&NodeId(1)].accepted
    })
    .await;
    assert!(one.status().untrusted.is_empty() && two.status().untrusted.is_empty());
}

/// Whoever is dialed must show that it is the node that is wanted, before anything is said to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_dialed_and_is_not_the_node_hears_nothing() {
    let (ca, other) = (Authority::new("ours"), Authority::new("theirs"));
    let revoked = ca.node(2);
    let cases = [
        (other.node(2), Untrusted::UnknownIssuer),
        (self_signed(2), Untrusted::UnknownIssuer),
        (ca.node_for(2, (2027, 2028)), Untrusted::Expired),
        (ca.node_for(2, (2031, 2032)), Untrusted::NotYetValid),
        (ca.sign(&["client.example"], VALID), Untrusted::NoNode),
        (ca.node_of(ClusterId(7), 2), Untrusted::OtherCluster),
        (ca.node(3), Untrusted::OtherNode),
        (
            ca.sign(&["*.c193.synod.internal"], VALID),
            Untrusted::NoNode,
        ),
        (
            ca.sign(&["n3.c193.synod.internal", "*.c193.synod.internal"], VALID),
            Untrusted::OtherNode,
        ),
        (revoked, Untrusted::Revoked),
    ];
    for (shown, reason) in cases {
        let cluster = Cluster::new(2);
        let listener = cluster.listeners.lock_out(2);
        let mut config = config(&cluster, &ca, 1);
        if reason == Untrusted::Revoked {
            let mut of_one = believing(&ca.node(1), &ca, &time());
            of_one.crls = ca.revoke(&[shown.serial]).into();
            config.security = Some(Security::Tls(of_one));
        }
        let one = Tcp::bind(config).await.expect("binds");
        let heard = tls::answer(listener, &shown, &ca).await;
        assert_eq!(heard, b"", "{reason}: it was told something");
        until("it is counted", || {
            one.status().untrusted.contains_key(&reason)
        })
        .await;
        assert!(!one.status().peers[&NodeId(2)].connected, "{reason}");
    }
}

/// Of two nodes one speaks TLS and the other does not: neither takes the other for damaged.
#[tokio::test]
async fn plain_and_tls_tell_each_other_apart() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(2));
    let one = start(&cluster, &ca, 1).await;
    let two = cluster.start(2).await;
    until("each is told by each", || {
        let (one, two) = (one.status().untrusted, two.status().untrusted);
        // What one accepts and what it dials; what the other dials and accepts.
        one.contains_key(&Untrusted::NotTls)
            && one.contains_key(&Untrusted::HungUp)
            && two.contains_key(&Untrusted::OnlyTls)
            && two[&Untrusted::OnlyTls] > 1
    })
    .await;
    for status in [one.status(), two.status()] {
        assert_eq!((status.hellos_refused, status.hellos_unreadable), (0, 0));
        assert_eq!(status.connects, 0);
    }
    assert!(heard.count("untrusted") > 0);
}

/// A port of ours that speaks TLS, and somebody who writes something else, or nothing.
#[tokio::test]
async fn garbage_is_no_tls_and_harms_nobody() {
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(2));
    let mut one = start(&cluster, &ca, 1).await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 500], &[0xff; 9_000]] {
        let before = one.status().untrusted.get(&Untrusted::NotTls).copied();
        let mut stranger = TcpStream::connect(one.local_addr()).await.expect("listens");
        let _closed = stranger.write_all(garbage).await;
        until("it is counted", || {
            one.status().untrusted.get(&Untrusted::NotTls).copied() > before
        })
        .await;
    }
    drop(TcpStream::connect(one.local_addr()).await.expect("listens"));
    until("it is counted", || one.status().hellos_unreadable == 1).await;
    let mut two = start(&cluster, &ca, 2).await;
    send(&mut two, 1, Lane::Control, message(1, 10));
    assert_eq!(next(&mut one).await, (NodeId(2), message(1, 10)));
}

/// A certificate that nobody would believe is refused where it is given, not by every peer.
#[tokio::test]
async fn a_node_does_not_start_with_what_its_peers_would_refuse() {
    let (ca, other) = (Authority::new("ours"), Authority::new("theirs"));
    let cluster = Cluster::new(2);
    let mut mixed = ca.node(1);
    mixed.key = ca.node(1).key;
    let revoked = ca.node(1);
    let cases = [
        (ca.node(2), "is of another node"),
        (ca.node_of(ClusterId(7), 1), "is of another cluster"),
        (ca.sign(&["client.example"], VALID), "names no node"),
        (other.node(1), "none of the trusted CAs"),
        (ca.node_for(1, (2027, 2028)), "has expired"),
        (mixed, "the key does not match the certificate"),
        (revoked, "was revoked"),
    ];
    for (shown, words) in cases {
        let mut tls = believing(&shown, &ca, &time());
        if words == "was revoked" {
            tls.crls = ca.revoke(&[shown.serial]).into();
        }
        let listener = cluster.listeners.share(1);
        let mut config = cluster.config_at(1, 1, listener);
        config.security = Some(Security::Tls(tls));
        let error = Tcp::bind(config)
            .await
            .expect_err("nobody would believe it");
        let told = format!(
            "{error}: {}",
            std::error::Error::source(&error).expect("why")
        );
        assert!(told.contains(words), "{told}");
    }
}
