//! The slots of clients: how many clients may be connected, in all and from one address. When they are
//! taken, a further client gets a reserved slot, in which only stops pass and the state is reported. So
//! a HALT finds a way in. How much a connected client may send is in `client_quota.rs`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use flamingo_protocol_core::{CommandCode, Frame};

use super::client::Client;
use super::permissions::is_stop;
use super::{ClientId, Router};

/// Why a command is refused in a reserved slot.
pub(super) const STOPS_ONLY: &str = "all slots for clients are taken: only stops pass";

/// Whether this command passes in a reserved slot.
pub(super) fn passes_in_reserved_slot(frame: &Frame) -> bool {
    is_stop(frame) || frame.code == CommandCode::SYSTEM_STATE_GET
}

/// A slot for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Every command passes that its role permits.
    Full,
    /// It is reserved for stops.
    StopsOnly,
}

impl Slot {
    /// The most commands per second from one client, whatever the settings permit.
    pub(super) const fn commands_per_s(self) -> u32 {
        match self {
            Self::Full => u32::MAX,
            // There may be many reserved slots, and stops are few.
            Self::StopsOnly => 20,
        }
    }
}

impl Router {
    /// Finds a slot for a client. Clients that only wait for answers do not count, but the bridge
    /// disconnects the oldest of them when there are too many.
    pub(super) fn take_slot(&mut self, address: &str) -> Slot {
        if let Some(limit) = self.reached_limit(address) {
            self.free_reserved_slot();
            self.log_client(format!(
                "the client at {address} gets a reserved slot: {limit} are connected"
            ));
            return Slot::StopsOnly;
        }
        let limit = self.options.limits.clients;
        let mut half_closed = self.clients.values_mut().filter(|client| client.only_waits());
        if let Some(oldest) = half_closed.next()
            && half_closed.count() + 1 >= limit
        {
            oldest.closing = true;
        }
        Slot::Full
    }

    /// The limit that keeps one more client of this address out of the slots, if there is one.
    fn reached_limit(&self, address: &str) -> Option<String> {
        let limits = &self.options.limits;
        let in_slot = || self.clients.values().filter(|client| client.is_active());
        if in_slot().count() >= limits.clients {
            return Some(format!("limits.clients = {} clients", limits.clients));
        }
        let network = network(address)?;
        let same = in_slot().filter(|client| self::network(&client.address) == Some(network));
        (same.count() >= limits.clients_per_address).then(|| {
            format!("limits.clients_per_address = {} clients of it", limits.clients_per_address)
        })
    }

    /// Makes sure that a reserved slot is free. If all are taken, a client leaves: of those without an
    /// unanswered stop, if there are any, the oldest of the address that has most of them. What it has
    /// sent before is still read, and its answers are written, so that its stop is not lost. If too many
    /// are leaving, the oldest of them is closed; its stop is sent all the same.
    fn free_reserved_slot(&mut self) {
        let reserved = self.clients.iter().filter(|(_, client)| client.slot == Slot::StopsOnly);
        let reserved = reserved.filter(|(_, client)| !client.closing);
        let (leaving, staying): (Vec<_>, Vec<_>) =
            reserved.partition(|(_, client)| client.half_closed);
        let slots = self.options.limits.stop_slots;
        if staying.len() < slots {
            return;
        }
        let stopping = self.clients_with_unanswered_stops();
        let mut of_same = BTreeMap::<_, usize>::new();
        for (_, client) in &staying {
            *of_same.entry(network(&client.address)).or_default() += 1;
        }
        let first_to_leave = |(id, client): &&(&ClientId, &Client)| {
            let same = of_same.get(&network(&client.address)).copied();
            (!stopping.contains(id), same, Reverse(**id))
        };
        let first_to_close =
            |(id, _): &&(&ClientId, &Client)| (!stopping.contains(id), Reverse(**id));
        let leaves = staying.iter().max_by_key(first_to_leave).map(|(id, _)| **id);
        let closes = leaving.iter().max_by_key(first_to_close).map(|(id, _)| **id);
        let closes = closes.filter(|_| leaving.len() >= slots);
        if let Some(client) = leaves.and_then(|id| self.clients.get_mut(&id)) {
            client.half_closed = true;
        }
        if let Some(client) = closes.and_then(|id| self.clients.get_mut(&id)) {
            client.closing = true;
        }
    }

    fn clients_with_unanswered_stops(&self) -> BTreeSet<ClientId> {
        let sent = self.forwarded.values();
        let sent = sent.filter(|sent| !sent.ended && is_stop(&sent.command.frame));
        let sent = sent.flat_map(|sent| &sent.recipients).map(|recipient| recipient.id);
        let delayed = self.clients.iter().filter(|(_, client)| !client.stops.is_empty());
        sent.chain(self.clients_with_unsent_stops()).chain(delayed.map(|(id, _)| *id)).collect()
    }
}

impl Client {
    /// Whether it occupies a slot, since it may send more commands.
    fn is_active(&self) -> bool {
        self.slot == Slot::Full && self.may_send_more()
    }

    /// Whether it only waits for answers, in no slot.
    fn only_waits(&self) -> bool {
        self.slot == Slot::Full && (self.half_closed || self.ending) && !self.closing
    }
}

/// What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, since one machine may use
/// all addresses of it. `None` if it is not known.
fn network(address: &str) -> Option<IpAddr> {
    let address: SocketAddr = address.parse().ok()?;
    Some(match address.ip().to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip @ IpAddr::V4(_) => ip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_of_64_bits_counts_as_one_address() {
        assert_eq!(network("[2001:db8::1]:5"), network("[2001:db8::ffff:1]:6"));
        assert_ne!(network("[2001:db8::1]:5"), network("[2001:db8:0:1::1]:5"));
        assert_eq!(network("[::ffff:10.0.0.1]:5"), network("10.0.0.1:6"));
        assert_ne!(network("10.0.0.1:5"), network("10.0.0.2:5"));
        assert_eq!(network("nobody"), None);
    }
}
