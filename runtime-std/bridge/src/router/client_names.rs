//! The names of the clients for people and metrics: the address, and the lowest number that no other
//! client of that address has. A client that connects again has the same name, as a rule, so that the
//! number of names stays small. The port of its address would be another one each time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::ClientId;

#[derive(Debug, Default)]
pub(super) struct ClientNames(BTreeMap<ClientId, (String, u32)>);

impl ClientNames {
    /// Names a client that has connected from `address` (`IP:PORT`).
    pub(super) fn enter(&mut self, id: ClientId, address: &str) {
        let socket = address.parse::<SocketAddr>();
        let host = socket.map_or_else(|_| address.into(), |at| at.ip().to_canonical().to_string());
        let same = self.0.values().filter(|(other, _)| *other == host);
        let taken: BTreeSet<_> = same.map(|(_, number)| *number).collect();
        let number = (1..=u32::MAX).find(|number| !taken.contains(number)).unwrap_or(u32::MAX);
        self.0.insert(id, (host, number));
    }

    pub(super) fn leave(&mut self, id: ClientId) {
        self.0.remove(&id);
    }

    /// Such as `127.0.0.1#1`.
    pub(super) fn of(&self, id: ClientId) -> String {
        self.0.get(&id).map_or_else(|| id.to_string(), |(host, number)| format!("{host}#{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_connects_again_has_the_same_name() {
        let mut names = ClientNames::default();
        for id in 1..=1000 {
            names.enter(id, &format!("127.0.0.1:{}", 40_000 + id));
            assert_eq!(names.of(id), "127.0.0.1#1");
            names.leave(id);
        }
        assert!(names.0.is_empty());
    }

    #[test]
    fn the_lowest_free_number_of_the_address_is_taken() {
        let mut names = ClientNames::default();
        let name = |names: &mut ClientNames, id, address| {
            names.enter(id, address);
            names.of(id)
        };
        assert_eq!(name(&mut names, 1, "10.0.0.7:1"), "10.0.0.7#1");
        assert_eq!(name(&mut names, 2, "10.0.0.7:2"), "10.0.0.7#2");
        assert_eq!(name(&mut names, 3, "10.0.0.8:2"), "10.0.0.8#1");
        assert_eq!(name(&mut names, 4, "[::ffff:10.0.0.7]:9"), "10.0.0.7#3");
        assert_eq!(name(&mut names, 5, "[::1]:9"), "::1#1");
        names.leave(2);
        assert_eq!(names.of(4), "10.0.0.7#3", "the others keep their numbers");
        assert_eq!(name(&mut names, 6, "10.0.0.7:5"), "10.0.0.7#2");
    }
}
