use synod_transport::NodeId;

use super::Protocol;

/// A protocol's configuration: `raft::Config` or `paxos::Config`. Its type selects the protocol.
pub trait Configured: Send + 'static {
    /// The core that this configures.
    type Protocol: Protocol<Config = Self>;

    /// The node that is configured.
    fn node(&self) -> NodeId;
    /// What a group with this configuration is founded on, as text: the protocol, the voters and
    /// their quorums. It is compared literally.
    fn founding(&self) -> String;
    /// Whether the node waits to be added to a group, which may be founded on anything of this
    /// protocol.
    fn joins(&self) -> bool;
    /// Mixes the secret of an incarnation into the seed of election timeouts, which would otherwise
    /// be predictable, and would collide again after each restart. Zero changes nothing.
    fn stir(&mut self, secret: u64);
    /// The number of the incarnation that begins, another one in each life of the node.
    fn begin_life(&mut self, _incarnation: u64) {}
    /// By how many parts per million the clocks of the group may run faster or slower than true time, if
    /// it reads by lease. `None` if it does not.
    fn drift_ppm(&self) -> Option<u32> {
        None
    }
}
