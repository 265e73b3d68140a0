//! Where the bridge listens. The control port gives the address and the number that the others
//! follow.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Delivery, Role};

/// Where the bridge listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The control port, and the address on which all but the status port listen:
    /// 127.0.0.1:53717. Port 0: a free one.
    pub control: SocketAddr,
    /// The port of the live images; it follows as the next one.
    pub live: Port,
    /// The port of the stack images; it follows as the second.
    pub stack: Port,
    /// The port of unsolicited messages; it follows as the third.
    pub callback: Port,
    /// Where the counters are shown over HTTP: nowhere.
    #[serde(serialize_with = "write_status", deserialize_with = "read_status")]
    pub status: Option<SocketAddr>,
    /// More control ports, by a name of their own: none.
    pub more: BTreeMap<String, ControlPort>,
}

/// A control port besides the first one, for programs that are to be treated differently though
/// they run at the same address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlPort {
    /// Where it listens. Port 0: a free one.
    pub address: SocketAddr,
    /// What its clients may do, if their address lets them: all that their address does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// How unsolicited messages reach its clients: as their address says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// A port beside the control port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Port {
    /// In its place behind the control port; a free one if that is free to choose.
    #[default]
    Next,
    /// None.
    Off,
    /// This one; 0: a free one.
    Number(u16),
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            control: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53717),
            live: Port::Next,
            stack: Port::Next,
            callback: Port::Next,
            status: None,
            more: BTreeMap::new(),
        }
    }
}

impl Listen {
    /// Where to listen for viewers of live images; `None`: nowhere.
    pub fn live_address(&self) -> Option<SocketAddr> {
        self.beside(self.live, 1)
    }

    /// Where to listen for viewers of stack images; `None`: nowhere.
    pub fn stack_address(&self) -> Option<SocketAddr> {
        self.beside(self.stack, 2)
    }

    /// Where to listen for subscribers of unsolicited messages; `None`: nowhere.
    pub fn callback_address(&self) -> Option<SocketAddr> {
        self.beside(self.callback, 3)
    }

    /// The port that is `steps` behind the control port, unless `port` says otherwise. `None` too
    /// if there is none so high, which the check of the settings refuses.
    fn beside(&self, port: Port, steps: u16) -> Option<SocketAddr> {
        let number = match (port, self.control.port()) {
            (Port::Off, _) => return None,
            (Port::Number(number), _) => number,
            (Port::Next, 0) => 0,
            (Port::Next, control) => control.checked_add(steps)?,
        };
        Some(SocketAddr::new(self.control.ip(), number))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next => f.pad("next"),
            Self::Off => f.pad("off"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "next" => Ok(Self::Next),
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::Number).map_err(|_| {
                format!("expected a port from 0 to 65535, \"off\" or \"next\", found {text:?}")
            }),
        }
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => to.serialize_u16(*number),
            Self::Next | Self::Off => to.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PortVisitor)
    }
}

/// Takes a number or a word.
struct PortVisitor;

impl Visitor<'_> for PortVisitor {
    type Value = Port;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port from 0 to 65535, \"off\" or \"next\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Port, E> {
        let port = u16::try_from(number);
        port.map(Port::Number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Port, E> {
        let port = u16::try_from(number);
        port.map(Port::Number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Port, E> {
        text.parse().map_err(E::custom)
    }
}

/// `ADDR:PORT`, or `off` for none. For the file and the command line alike.
pub fn status_address(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        format!("expected ADDR:PORT, such as 127.0.0.1:53721, or \"off\", found {text:?}")
    })
}

fn read_status<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    status_address(&String::deserialize(from)?).map_err(Error::custom)
}

// Serde gives a reference to the field.
#[allow(clippy::ref_option)]
fn write_status<S: Serializer>(status: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
    match status {
        Some(address) => to.collect_str(address),
        None => to.serialize_str("off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Listen {
        toml::from_str(text).unwrap()
    }

    fn ports(listen: &Listen) -> [Option<u16>; 3] {
        [listen.live_address(), listen.stack_address(), listen.callback_address()]
            .map(|address| address.map(|address| address.port()))
    }

    #[test]
    fn the_ports_follow_the_control_port_unless_told_otherwise() {
        assert_eq!(ports(&Listen::default()), [Some(53718), Some(53719), Some(53720)]);
        let told = listen("control = \"127.0.0.1:6000\"\nlive = 7000\nstack = \"off\"");
        assert_eq!(ports(&told), [Some(7000), None, Some(6003)]);
    }

    #[test]
    fn behind_a_free_control_port_all_are_free_and_a_number_stays() {
        let free = listen("control = \"127.0.0.1:0\"\ncallback = 7000\nlive = \"next\"");
        assert_eq!(ports(&free), [Some(0), Some(0), Some(7000)]);
    }

    #[test]
    fn all_listen_on_the_address_of_the_control_port() {
        let six = listen("control = \"[::1]:6000\"");
        assert_eq!(six.live_address(), "[::1]:6001".parse().ok());
        assert_eq!(six.stack_address(), "[::1]:6002".parse().ok());
        assert_eq!(six.callback_address(), "[::1]:6003".parse().ok());
    }

    #[test]
    fn a_port_is_written_as_it_is_read() {
        for port in [Port::Next, Port::Off, Port::Number(0), Port::Number(65535)] {
            assert_eq!(port.to_string().parse(), Ok(port));
            let json = serde_json::to_string(&port).unwrap();
            assert_eq!(serde_json::from_str::<Port>(&json).unwrap(), port, "{json}");
        }
        for bad in ["", "on", "65536", "-1", "0x10"] {
            assert!(bad.parse::<Port>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_port_or_no_address_is_refused_with_what_was_expected() {
        for (bad, expected) in [
            ("live = 65536", "a port from 0 to 65535"),
            ("live = -1", "a port from 0 to 65535"),
            ("live = true", "a port from 0 to 65535"),
            ("live = \"on\"", "a port from 0 to 65535"),
            ("status = \"localhost:1\"", "expected ADDR:PORT"),
            ("status = 9000", "a string"),
            ("control = \"53717\"", "socket address"),
        ] {
            let error = toml::from_str::<Listen>(bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
