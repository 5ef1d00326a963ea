//! The replacement for TLS when the feature is off: connections are plain.

use super::config::BindError;
use super::security::{Security, is_here};
use super::wire::Wire;
use crate::{Hello, NodeId, Untrusted};
use bytes::BytesMut;
use std::future::pending;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use tokio::net::TcpStream;

#[derive(Debug)]
pub(crate) struct Guard {
    is_insecure: bool,
}

impl Guard {
    pub(crate) fn new(security: Option<Security>, _: &Hello) -> Result<Self, BindError> {
        let is_insecure = matches!(security, Some(Security::Insecure));
        Ok(Self { is_insecure })
    }

    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.is_insecure || is_here(address)
    }

    #[expect(
        clippy::unused_async,
        reason = "with TLS there is something to wait for"
    )]
    pub(crate) async fn dial(&self, socket: TcpStream, _: NodeId) -> io::Result<Wire> {
        Ok(Wire::new(socket, None))
    }

    #[expect(
        clippy::unused_async,
        reason = "with TLS there is something to wait for"
    )]
    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
        _: bool,
    ) -> Result<Wire, (io::Error, Wire)> {
        Ok(Wire::new(socket, None))
    }

    pub(crate) fn is_of(&self, _: &Wire, _: NodeId) -> Result<(), Untrusted> {
        Ok(())
    }

    pub(crate) fn expired(&self) -> u64 {
        0
    }

    pub(crate) fn untrusted(&self, _: &Wire, _: NodeId) -> Option<Untrusted> {
        None
    }

    pub(crate) async fn distrust(&self, _: &Wire, _: NodeId) -> Untrusted {
        pending().await
    }

    pub(crate) async fn renewal(&self, _: &Wire, _: NodeId) {
        pending::<()>().await;
    }

    pub(crate) fn is_alike(&self, _: &Wire, _: &Wire) -> bool {
        true
    }
}

/// Uninhabited: there is no TLS state.
#[derive(Debug)]
pub(crate) enum Seal {}

impl Seal {
    pub(crate) fn read_much(&self) {
        match *self {}
    }

    pub(crate) fn try_write(&self, _: &TcpStream, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn try_flush(&self, _: &TcpStream) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn try_end(&self, _: &TcpStream) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn try_read(&self, _: &TcpStream, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn try_read_buf(&self, _: &TcpStream, _: &mut BytesMut) -> io::Result<usize> {
        match *self {}
    }
}
