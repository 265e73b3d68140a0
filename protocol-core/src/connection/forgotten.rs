//! The keys in doubt for which the table has no place: a bit each, and when the newest of them was
//! sent.
//!
//! Doubts that have a place are entries of the table (`pending.rs`); what puts a key in doubt, and
//! what ends a doubt, is `settlement.rs`.

use crate::connection::entry::Entry;
use crate::connection::key::{Domain, Key, Order};
use crate::wire::command::CommandCode;

/// One set for each ordering domain of the known commands; the first is for keys without a domain.
const SETS: usize = 12;

/// The keys of each domain. Several keys may share a bit: then more keys are in doubt than need be,
/// never fewer.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Forgotten {
    keys: [u32; SETS],
    newest: [Order; SETS],
    /// How many answers of the keys may still come.
    missing: [u8; SETS],
}

impl Forgotten {
    /// No key: all zero.
    pub(crate) const NONE: Self =
        Self { keys: [0; SETS], newest: [Order::FIRST; SETS], missing: [0; SETS] };

    pub(crate) fn has(&self, key: Key, domain: Domain) -> bool {
        self.keys.get(set_of(domain)).is_some_and(|keys| keys & bit_of(key) != 0)
    }

    /// Whether any key is in doubt.
    pub(crate) fn any(&self) -> bool {
        self.keys.iter().any(|keys| *keys != 0)
    }

    /// Puts the key of an entry in doubt.
    pub(crate) fn add(&mut self, doubt: &Entry) {
        let at = set_of(doubt.domain);
        let places = (self.keys.get_mut(at), self.newest.get_mut(at), self.missing.get_mut(at));
        let (Some(keys), Some(newest), Some(missing)) = places else { return };
        if *keys == 0 || newest.is_before(doubt.order) {
            *newest = doubt.order;
        }
        *keys |= bit_of(doubt.key);
        *missing = missing.saturating_add(u8::try_from(doubt.missing).unwrap_or(u8::MAX));
    }

    /// How many answers of this key may still come: at most this many.
    pub(crate) fn missing(&self, key: Key, domain: Domain) -> u16 {
        let missing = self.missing.get(set_of(domain)).filter(|_| self.has(key, domain));
        match missing {
            None => 0,
            Some(&u8::MAX) => u16::MAX, // too many to be counted
            Some(missing) => u16::from(*missing),
        }
    }

    /// A proven answer to a command with this order settles the domain, if all that was forgotten
    /// was sent before.
    pub(crate) fn settle(&mut self, domain: Domain, order: Order) {
        let at = set_of(domain);
        if self.newest.get(at).is_some_and(|newest| newest.is_before(order))
            && let (Some(keys), Some(missing)) = (self.keys.get_mut(at), self.missing.get_mut(at))
        {
            (*keys, *missing) = (0, 0);
        }
    }
}

/// The set of a domain. Domains that no known command has share the set that nothing settles.
const fn set_of(domain: Domain) -> usize {
    let number = domain.number();
    if number < SETS { number } else { 0 }
}

/// The bit of a key. No fence shares its bit with another known key of its domain. Of the other known
/// keys that may be in doubt, only CAMERA_ROI_LEFT_SET and CAMERA_CHECK_STACK share one.
const fn bit_of(key: Key) -> u32 {
    let Key { code: CommandCode(code), selector } = key;
    // The codes of the camera have six bits that differ: the highest moves to a place of its own.
    let code = code ^ ((code & 0x20) >> 3);
    1 << ((code ^ ((selector as u32) << 3)) & 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::config::Config;
    use crate::connection::ticket::Ticket;
    use crate::wire::command::{Kind, TABLE};

    #[test]
    fn two_known_keys_of_a_domain_share_a_bit_and_no_others() {
        let mut doubts = std::vec::Vec::new();
        for row in TABLE.iter().filter(|row| row.kind != Kind::FireAndForget) {
            for selector in 1..=4 {
                let entry = Entry::new(Ticket::NONE, row.code, selector, &Config::DEFAULT);
                if entry.certain && !doubts.contains(&entry) {
                    doubts.push(entry);
                }
            }
        }
        let mut shared = std::vec::Vec::new();
        for (at, one) in doubts.iter().enumerate() {
            for other in doubts.iter().skip(at + 1) {
                if one.domain == other.domain && bit_of(one.key) == bit_of(other.key) {
                    shared.push((one.key.code, other.key.code));
                }
            }
        }
        let expected = (CommandCode::CAMERA_ROI_LEFT_SET, CommandCode::CAMERA_CHECK_STACK);
        assert_eq!(shared, [expected]);
    }
}
