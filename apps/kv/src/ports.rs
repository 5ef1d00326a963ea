//! Loopback ports that stay a cluster's own while its nodes come and go.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::TcpSocket;

/// Ports on which only whoever is told of them will listen.
///
/// A node that is down for a moment must find its own port free again. So the ports lie below those
/// that the system gives to outgoing connections, and each is held by a socket that is bound and
/// never listens. Linux lets a listener share such a port if both sides allow the reuse of addresses,
/// as listeners do; this search does not when it tries a port, so no two searches find the same one,
/// in this process or in another.
#[derive(Debug)]
pub(crate) struct Ports(Vec<TcpSocket>);

impl Ports {
    pub(crate) fn find(count: usize) -> io::Result<Self> {
        let mut held = Vec::new();
        for _ in 0..PORT_TRIES {
            if held.len() == count {
                return Ok(Self(held));
            }
            let mut random = [0; 2];
            getrandom::fill(&mut random)?;
            let port = PORT_FIRST + u16::from_le_bytes(random) % (PORT_END - PORT_FIRST);
            held.extend(hold(port));
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "no free ports on the loopback interface",
        ))
    }

    pub(crate) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.0.iter().map(TcpSocket::local_addr).collect()
    }
}

fn hold(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Alone while it tries, and in nobody's way once it has the port.
    socket.set_reuseaddr(false)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

const PORT_FIRST: u16 = 10_000;
/// Linux gives ports from here on to outgoing connections.
const PORT_END: u16 = 32_768;
const PORT_TRIES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_is_its_owners_between_two_listeners() {
        let ports = Ports::find(1).unwrap();
        let address = ports.addresses().unwrap()[0];
        for incarnation in ["first", "second"] {
            assert!(
                hold(address.port()).is_err(),
                "before the {incarnation} incarnation"
            );
            let listener = TcpListener::bind(address).unwrap();
            let client = std::net::TcpStream::connect(address).unwrap();
            let (served, _) = listener.accept().unwrap();
            drop((served, listener, client));
            let taken = hold(address.port()).unwrap_err();
            assert_eq!(
                taken.kind(),
                io::ErrorKind::AddrInUse,
                "after the {incarnation} incarnation"
            );
        }
    }
}
