//! Where clients reach this node, as it lets the others know: whoever asks one of them finds the rest.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use synod_transport::NodeId;
use tokio::time::sleep;

use crate::{
    command::{Blob, Command},
    entry::Entry,
    group::Replicated,
    options::ServeOptions,
    store::Store,
};

/// The address to say: as it was asked for, or where the node listens. One that listens everywhere is taken to be
/// reached by the name by which its peers reach it.
pub(super) fn announced(
    options: &ServeOptions,
    listens: SocketAddr,
    peers: &BTreeMap<NodeId, String>,
) -> Option<String> {
    if let Some(said) = &options.resp_announce {
        return Some(said.clone());
    }
    if !listens.ip().is_unspecified() {
        return Some(listens.to_string());
    }
    let own = peers.get(&NodeId(options.id)).or(options.listen.as_ref())?;
    let (host, _) = own.rsplit_once(':')?;
    let is_unspecified = host
        .trim_matches(['[', ']'])
        .parse()
        .is_ok_and(|ip: std::net::IpAddr| ip.is_unspecified());
    (!is_unspecified).then(|| format!("{host}:{}", listens.port()))
}

/// Writes where clients reach this node, unless that is known; again and again until it is.
pub(super) async fn say_where(group: Replicated, node: u64, at: String) {
    let mut pause = PAUSE_MIN;
    loop {
        let said = at.clone();
        let known = group.read(move |kv| kv.addresses().get(node) == Some(&*said));
        let is_said = match known.await {
            Ok(true) => true,
            Ok(false) => {
                let at = Blob(at.as_bytes());
                let entry = Entry::new(&Command::Serves { node, at });
                group.write(entry).await.is_ok()
            }
            Err(_) => false,
        };
        if is_said {
            return;
        }
        sleep(pause).await;
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

/// A node that waits to be added is refused for as long as it waits.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: ServeOptions,
    }

    #[test]
    fn a_node_says_what_others_can_dial() {
        let said = |more: &[&str], listens: &str, own: Option<&str>| {
            let line = [
                "kv",
                "--id",
                "1",
                "--resp",
                "h:1",
                "--data",
                "d",
                "--cluster",
                "1=a:1",
            ];
            let options = Line::parse_from(line.iter().chain(more)).options;
            let peers = own.map(|own| (NodeId(1), own.to_owned()));
            announced(
                &options,
                listens.parse().unwrap(),
                &peers.into_iter().collect(),
            )
        };
        let all = "0.0.0.0:6379";
        assert_eq!(
            said(&[], "127.0.0.1:9", None).as_deref(),
            Some("127.0.0.1:9")
        );
        assert_eq!(
            said(&[], all, Some("a.example:7")).as_deref(),
            Some("a.example:6379")
        );
        assert_eq!(said(&[], all, Some("0.0.0.0:7")), None);
        assert_eq!(said(&[], all, None), None);
        let listen = ["--join", "--listen", "[::1]:7"];
        assert_eq!(said(&listen, all, None).as_deref(), Some("[::1]:6379"));
        let told = ["--resp-announce", "x:1"];
        assert_eq!(said(&told, all, None).as_deref(), Some("x:1"));
    }
}
