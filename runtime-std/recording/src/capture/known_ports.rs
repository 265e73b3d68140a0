//! Which port number is which port of an instrument.

use std::collections::BTreeMap;

use super::super::Port;

/// The number of the control port of an instrument; those of its image ports follow.
const CONTROL_PORT: u16 = 53_717;
/// Instruments and bridges use these numbers.
const RANGE: std::ops::RangeInclusive<u16> = 53_710..=53_810;

/// Which port number is which port of an instrument. By default 53717, 53718 and 53719. A name of an
/// interface in a recording outranks the number.
///
/// ```
/// use flamingo_recording::{Port, capture::KnownPorts};
/// let ports = KnownPorts::default().with(6000, Port::Live);
/// assert_eq!([6000, 53_717, 80].map(|number| ports.get(number)), [Some(Port::Live), Some(Port::Control), None]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPorts(BTreeMap<u16, Port>);

impl Default for KnownPorts {
    fn default() -> Self {
        Self(Port::ALL.into_iter().map(|port| (CONTROL_PORT + port.steps(), port)).collect())
    }
}

impl KnownPorts {
    /// Adds a number, or gives it another meaning.
    #[must_use]
    pub fn with(mut self, number: u16, port: Port) -> Self {
        self.0.insert(number, port);
        self
    }

    /// The port of the instrument that has this number.
    pub fn get(&self, number: u16) -> Option<Port> {
        self.0.get(&number).copied()
    }

    /// Of two numbers, whether the first is that of the instrument: by the ports that are known, by the
    /// range of the instruments, or as the lower one.
    pub(super) fn is_first_the_instrument(&self, first: u16, second: u16) -> bool {
        let rank = |number| (self.get(number).is_some(), RANGE.contains(&number));
        let [one, other] = [first, second].map(rank);
        if one == other { first < second } else { one > other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_port_outranks_the_range_and_the_lower_number() {
        let ports = KnownPorts::default().with(60_000, Port::Control);
        for (instrument, client) in
            [(60_000, 53_750), (60_000, 1_024), (53_717, 53_750), (53_750, 40_000), (80, 40_000)]
        {
            assert!(ports.is_first_the_instrument(instrument, client), "{instrument} {client}");
            assert!(!ports.is_first_the_instrument(client, instrument), "{client} {instrument}");
        }
    }
}
