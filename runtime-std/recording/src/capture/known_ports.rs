//! Which port number is which port of an instrument.

use std::collections::BTreeMap;

use super::super::Port;

/// The number of the control port of an instrument; those of its image ports follow.
const CONTROL_PORT: u16 = 53_717;
/// The number of the callback port of a bridge.
const CALLBACK_PORT: u16 = 53_720;
/// Instruments and bridges use these numbers.
const RANGE: std::ops::RangeInclusive<u16> = 53_710..=53_810;

/// Which port number is which port of an instrument: by default 53717, 53718 and 53719, and 53720 for the
/// callback port of a bridge. A name of an interface in a recording outranks the number.
///
/// ```
/// use flamingo_recording::{Port, capture::KnownPorts};
/// let ports = KnownPorts::default().with(6000, Port::Live);
/// assert_eq!([6000, 53_717, 80].map(|number| ports.get(number)), [Some(Port::Live), Some(Port::Control), None]);
/// assert!(ports.is_callback(53_720));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPorts(BTreeMap<u16, Known>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Port(Port),
    Callback,
}

impl Default for KnownPorts {
    fn default() -> Self {
        let ports =
            Port::ALL.into_iter().map(|port| (CONTROL_PORT + port.steps(), Known::Port(port)));
        Self(ports.collect()).with_callback(CALLBACK_PORT)
    }
}

impl KnownPorts {
    /// Adds a number, or gives it another meaning.
    #[must_use]
    pub fn with(mut self, number: u16, port: Port) -> Self {
        self.0.insert(number, Known::Port(port));
        self
    }

    /// Adds a number of a callback port of a bridge: it sends unsolicited messages, in the form of the
    /// control port.
    #[must_use]
    pub fn with_callback(mut self, number: u16) -> Self {
        self.0.insert(number, Known::Callback);
        self
    }

    /// The port of the instrument that has this number. A callback port has the form of a control port.
    pub fn get(&self, number: u16) -> Option<Port> {
        self.0.get(&number).map(|known| match known {
            Known::Port(port) => *port,
            Known::Callback => Port::Control,
        })
    }

    /// Whether this is the number of a callback port.
    pub fn is_callback(&self, number: u16) -> bool {
        self.0.get(&number) == Some(&Known::Callback)
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
    fn a_number_has_one_meaning() {
        let ports = KnownPorts::default();
        assert_eq!(ports.get(53_720), Some(Port::Control), "in the form of a control port");
        let ports = ports.with(53_720, Port::Live).with_callback(53_718);
        assert_eq!([53_718, 53_720].map(|number| ports.is_callback(number)), [true, false]);
        assert_eq!(ports.get(53_720), Some(Port::Live));
    }

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
