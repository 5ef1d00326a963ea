//! Certificates that are changed while connections stand, or that end while they do.

use crate::authority::{Authority, NOW, VALID};
use crate::net::hand::{self, HELLO_BYTES, VERSION};
use crate::net::heard::Heard;
use crate::net::{Cluster, message, next, send, until};
use crate::{Time, believing, hand as tls, time};
use std::sync::atomic::Ordering;
use synod_transport::{Lane, NodeId, Security, Tcp, TlsConfig, TlsError, Transport, Untrusted};

/// Two nodes that are connected both ways, and the configurations that they were told.
struct Two {
    one: Tcp,
    two: Tcp,
    of_one: TlsConfig,
    of_two: TlsConfig,
    serial_of_one: u64,
    serial_of_two: u64,
    time: Time,
}

async fn two(ca: &Authority, until_year_of_two: i32) -> Two {
    let (cluster, time) = (Cluster::new(2), time());
    let shown = ca.node_for(2, (VALID.0, until_year_of_two));
    let shown_by_one = ca.node(1);
    let of_one = believing(&shown_by_one, ca, &time);
    let of_two = believing(&shown, ca, &time);
    let mut nodes = Vec::new();
    for (id, tls) in [(1, &of_one), (2, &of_two)] {
        let mut config = cluster.config(id, 1);
        config.security = Some(Security::Tls(tls.clone()));
        nodes.push(Tcp::bind(config).await.expect("binds"));
    }
    let two = nodes.pop().expect("the second");
    let one = nodes.pop().expect("the first");
    let pair = Two {
        one,
        two,
        of_one,
        of_two,
        serial_of_one: shown_by_one.serial,
        serial_of_two: shown.serial,
        time,
    };
    until("they meet", || pair.stands()).await;
    pair
}

impl Two {
    /// Whether both ways between the two stand.
    fn stands(&self) -> bool {
        [(&self.one, 2), (&self.two, 1)]
            .iter()
            .all(|(node, other)| {
                let peer = node.status().peers[&NodeId(*other)];
                peer.connected && peer.accepted
            })
    }

    async fn exchange(&mut self) {
        send(&mut self.one, 2, Lane::Control, message(1, 100));
        assert_eq!(next(&mut self.two).await, (NodeId(1), message(1, 100)));
        send(&mut self.two, 1, Lane::Control, message(2, 100));
        assert_eq!(next(&mut self.one).await, (NodeId(2), message(2, 100)));
    }
}

#[tokio::test]
async fn a_connection_is_made_anew_before_the_old_one_ends() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let ca = Authority::new("ours");
    let mut pair = two(&ca, VALID.1).await;
    let again = believing(&ca.node(1), &ca, &pair.time);
    pair.one.reloader().reload(&again).expect("they are good");
    let mut gaps = 0;
    until("it is made anew", || {
        gaps += u64::from(!pair.one.status().peers[&NodeId(2)].connected);
        pair.one.status().renewals == 1
    })
    .await;
    assert_eq!(gaps, 0, "there was no connection for a while");
    assert_eq!(
        (heard.count("peer_lost"), heard.count("distrusted")),
        (0, 0)
    );
    assert_eq!(
        (pair.one.status().connects, pair.one.status().reloads),
        (2, 1)
    );
    pair.exchange().await;
    // What the other has dialed is its own affair, and nothing was wrong with it.
    assert_eq!(pair.two.status().connects, 1);
    assert!(pair.one.status().untrusted.is_empty() && pair.two.status().untrusted.is_empty());
}

#[tokio::test]
async fn a_reload_that_fails_leaves_all_as_it_was() {
    let (ca, other) = (Authority::new("ours"), Authority::new("theirs"));
    let mut pair = two(&ca, VALID.1).await;
    let reloader = pair.one.reloader();
    let mut other_key = pair.of_one.clone();
    other_key.key = ca.node(1).key.into();
    let error = reloader.reload(&other_key).expect_err("another key");
    assert!(matches!(error, TlsError::OtherKey), "{error}");
    let of_others = believing(&other.node(1), &ca, &pair.time);
    let error = reloader.reload(&of_others).expect_err("another CA");
    assert!(
        matches!(error, TlsError::Own(Untrusted::UnknownIssuer)),
        "{error}"
    );
    let nothing = TlsConfig::new("", "", "");
    reloader.reload(&nothing).expect_err("nothing at all");
    assert_eq!(
        (pair.one.status().reloads, pair.one.status().reloads_failed),
        (0, 3)
    );
    pair.exchange().await;
    assert_eq!(
        (pair.one.status().renewals, pair.one.status().connects),
        (0, 1)
    );
    // What it had is what it makes connections with.
    let again = pair.of_two.clone();
    pair.two.reloader().reload(&again).expect("they are good");
    until("they meet again", || {
        pair.two.status().renewals == 1 && pair.stands()
    })
    .await;
    pair.exchange().await;
}

#[tokio::test]
async fn whom_a_new_list_revokes_is_dropped_and_nobody_else() {
    let ca = Authority::new("ours");
    let mut pair = two(&ca, VALID.1).await;
    let mut listed = pair.of_one.clone();
    // A list that names somebody else changes nothing.
    listed.crls = ca.revoke(&[9_999]).into();
    pair.one.reloader().reload(&listed).expect("they are good");
    until("it is made anew", || pair.one.status().renewals == 1).await;
    pair.exchange().await;
    assert!(pair.one.status().untrusted.is_empty());
    listed.crls = ca.revoke(&[9_999, pair.serial_of_two]).into();
    pair.one.reloader().reload(&listed).expect("they are good");
    until("both ways end", || {
        let peer = pair.one.status().peers[&NodeId(2)];
        !peer.connected && !peer.accepted
    })
    .await;
    assert!(pair.one.status().untrusted[&Untrusted::Revoked] >= 2);
    let refused = pair.one.status().untrusted[&Untrusted::Revoked];
    until("it comes again and is refused", || {
        pair.one.status().untrusted[&Untrusted::Revoked] > refused + 2
    })
    .await;
    assert!(!pair.one.status().peers[&NodeId(2)].accepted);
}

#[tokio::test]
async fn whom_the_new_authorities_have_not_signed_is_dropped() {
    let (ca, other) = (Authority::new("ours"), Authority::new("theirs"));
    let mut pair = two(&ca, VALID.1).await;
    // First both are believed, as when a cluster changes its CA; this node shows the new one's already.
    let mut both = believing(&other.node(1), &other, &pair.time);
    both.ca = [ca.pem(), other.pem()].concat().into();
    let mut of_two = pair.of_two.clone();
    of_two.ca = both.ca.clone();
    pair.two.reloader().reload(&of_two).expect("they are good");
    pair.one.reloader().reload(&both).expect("they are good");
    // Either way: what is on its way on an old connection may be lost.
    until("both are made anew", || {
        (pair.one.status().renewals, pair.two.status().renewals) == (1, 1)
    })
    .await;
    pair.exchange().await;
    both.ca = other.pem().into();
    pair.one.reloader().reload(&both).expect("they are good");
    until("both ways end", || {
        let peer = pair.one.status().peers[&NodeId(2)];
        !peer.connected && !peer.accepted
    })
    .await;
    assert!(
        pair.one
            .status()
            .untrusted
            .contains_key(&Untrusted::UnknownIssuer)
    );
}

/// Its own certificate has ended, or was revoked, and nobody has brought another. What it is told of others counts all
/// the same.
#[tokio::test]
async fn a_node_whose_certificate_is_of_no_use_still_hears_whom_to_refuse() {
    let ca = Authority::new("ours");
    let pair = two(&ca, VALID.1).await;
    let mut listed = pair.of_one.clone();
    let both = [pair.serial_of_one, pair.serial_of_two];
    listed.crls = ca.revoke(&both).into();
    let trouble = pair.one.reloader().reload(&listed).expect("in force");
    assert_eq!(trouble, Some(Untrusted::Revoked));
    until("both ways end", || {
        let peer = pair.one.status().peers[&NodeId(2)];
        !peer.connected && !peer.accepted
    })
    .await;
    assert!(
        pair.one
            .status()
            .untrusted
            .contains_key(&Untrusted::Revoked)
    );
    // Another one that is of no use is no change for the better.
    let mut other = believing(&ca.node_for(1, (2027, 2028)), &ca, &pair.time);
    other.crls = listed.crls.clone();
    let error = pair.one.reloader().reload(&other).expect_err("has ended");
    assert!(
        matches!(error, TlsError::Own(Untrusted::Expired)),
        "{error}"
    );
    // Nor are CAs that have not signed it: with those this node would be alone.
    let mut foreign = pair.of_two.clone();
    foreign.ca = Authority::new("theirs").pem().into();
    let error = pair
        .two
        .reloader()
        .reload(&foreign)
        .expect_err("not its own");
    assert!(
        matches!(error, TlsError::Own(Untrusted::UnknownIssuer)),
        "{error}"
    );
    pair.time.store(END_OF_YEAR * 2, Ordering::Relaxed);
    let mut late = pair.of_two.clone();
    late.crls = ca.revoke(&[pair.serial_of_one]).into();
    let trouble = pair.two.reloader().reload(&late).expect("in force");
    assert_eq!(trouble, Some(Untrusted::Expired));
}

/// Whoever checks certificates does not look whether the CA is valid still.
#[tokio::test]
async fn an_authority_that_has_expired_is_not_believed() {
    let (ca, old) = (
        Authority::new("ours"),
        Authority::for_years("old", (2027, 2029)),
    );
    let bind = async |tls: TlsConfig| {
        let mut config = Cluster::new(2).config(1, 1);
        config.security = Some(Security::Tls(tls));
        Tcp::bind(config).await
    };
    let error = bind(believing(&old.node(1), &old, &time())).await;
    assert!(
        error.is_err_and(|error| crate::told(&error).contains("all CAs have expired")),
        "the only one"
    );
    // A node shows what the old one has signed to one that believes both: beside a good one the old one is left out.
    let mut both = believing(&ca.node(1), &ca, &time());
    both.ca = [ca.pem(), old.pem()].concat().into();
    let one = bind(both.clone()).await.expect("one of them is good");
    assert_eq!(one.status().authorities_expired, 1);
    let says = hand::hello(&Cluster::hello(2, 1), 1, VERSION, 0);
    tls::dial(one.local_addr(), Some(&old.node(2)), &ca, says.to_vec()).await;
    until("it is counted", || !one.status().untrusted.is_empty()).await;
    assert_eq!(
        one.status().untrusted,
        [(Untrusted::UnknownIssuer, 1)].into()
    );
    let mut only = both.clone();
    only.ca = old.pem().into();
    let error = one.reloader().reload(&only).expect_err("nobody is left");
    assert!(matches!(error, TlsError::ExpiredAuthorities), "{error}");
    one.reloader().reload(&both).expect("one of them is good");
    let status = one.status();
    let counted = (
        status.reloads,
        status.reloads_failed,
        status.authorities_expired,
    );
    assert_eq!(counted, (1, 1, 2));
}

/// While hands are shaken with a peer, its certificate is revoked. It is not sent what waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_for_whom_the_certificates_in_force_refuse() {
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(2));
    let listener = cluster.listeners.lock_out(2);
    let of_two = ca.node(2);
    let of_one = believing(&ca.node(1), &ca, &time());
    let mut config = cluster.config(1, 1);
    config.security = Some(Security::Tls(of_one.clone()));
    let mut one = Tcp::bind(config).await.expect("binds");
    one.send(NodeId(2), Lane::Control, message(1, 100).into());
    one.flush();
    let (mut listed, reloader) = (of_one, one.reloader());
    listed.crls = ca.revoke(&[of_two.serial]).into();
    let answer = hand::hello(&Cluster::hello(2, 1), 1, VERSION, 0);
    let meanwhile = move || {
        let reloaded = reloader.reload(&listed);
        assert!(reloaded.is_ok(), "they are good");
    };
    let heard = tls::answer_after(
        listener,
        &of_two,
        &ca,
        (HELLO_BYTES, meanwhile, answer.to_vec()),
    );
    assert_eq!(heard.await.len(), HELLO_BYTES, "and nothing else");
    until("it is counted", || !one.status().untrusted.is_empty()).await;
    let status = one.status();
    assert_eq!(
        (status.frames_out, status.untrusted[&Untrusted::Revoked]),
        (0, 1)
    );
    assert!(status.peers[&NodeId(2)].queued_bytes > 0);
}

/// The time comes at which a certificate ends. A minute before it does it is asked whether there is another.
#[tokio::test]
async fn a_connection_ends_with_the_certificate_that_it_was_made_with() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let ca = Authority::new("ours");
    let mut pair = two(&ca, 2031).await;
    pair.time.store(END_OF_YEAR, Ordering::Relaxed);
    pair.exchange().await;
    assert!(pair.stands(), "in its last second");
    pair.time.store(END_OF_YEAR + 1_000, Ordering::Relaxed);
    until("both ways end", || {
        let peer = pair.one.status().peers[&NodeId(2)];
        !peer.connected && !peer.accepted
    })
    .await;
    assert!(heard.count("distrusted") >= 2);
    assert!(pair.one.status().untrusted[&Untrusted::Expired] >= 2);
    // With another certificate it is believed again.
    let another = believing(&ca.node(2), &ca, &pair.time);
    pair.two.reloader().reload(&another).expect("they are good");
    until("they meet again", || pair.stands()).await;
    pair.exchange().await;
}

/// The other node has another certificate already, and no reason to end what was made with the old one.
#[tokio::test]
async fn a_connection_is_made_anew_before_the_certificate_ends() {
    let heard = Heard::default();
    let _guard = tracing::subscriber::set_default(heard.clone());
    let ca = Authority::new("ours");
    let mut pair = two(&ca, 2031).await;
    let another = believing(&ca.node(2), &ca, &pair.time);
    pair.two.reloader().reload(&another).expect("they are good");
    until("its own is made anew", || pair.two.status().renewals == 1).await;
    assert_eq!(pair.one.status().renewals, 0);
    // Less than six looks of 20 ms before the end of its last second.
    pair.time.store(END_OF_YEAR + 950, Ordering::Relaxed);
    until("the other way too", || pair.one.status().renewals == 1).await;
    pair.time.store(END_OF_YEAR + 1_000, Ordering::Relaxed);
    pair.exchange().await;
    assert!(pair.one.status().untrusted.is_empty() && pair.two.status().untrusted.is_empty());
}

/// The last second of what is valid until 2031, in milliseconds.
const END_OF_YEAR: u64 = (NOW + 365 * 24 * 60 * 60) * 1_000;
