//! The section `[listen]`: the ports of the bridge. The image ports and the callback port follow
//! their control port unless the settings choose others; together they are a row.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CodeList, Delivery, EventDelivery, Preset, Role};

/// The ports of the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ListenSettings {
    /// The address and number of the control port. The image ports and the callback port listen on
    /// the same address. Port 0 takes free ports in a row. Default: 127.0.0.1:53717.
    pub control: SocketAddr,
    /// The port of live images. Default: control port + 1.
    pub live: PortChoice,
    /// The port of stack images. Default: control port + 2.
    pub stack: PortChoice,
    /// The port of unsolicited messages. Default: control port + 3.
    pub callback: PortChoice,
    /// The address of the status page (HTTP). Default: off.
    #[serde(serialize_with = "serialize_status", deserialize_with = "deserialize_status")]
    pub status: Option<SocketAddr>,
    /// The names of this machine in URLs of the status page. It can always be called by its IP
    /// address, and by `localhost`. Default: none.
    pub status_hosts: Vec<String>,
    /// Additional control ports, by name. Default: none.
    pub more: BTreeMap<String, NamedPort>,
}

/// An additional control port: it distinguishes programs that run at the same address. The ports of
/// images and of unsolicited messages follow it, as they follow the main one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NamedPort {
    /// The address and number. Port 0 takes a free one.
    pub address: SocketAddr,
    /// The most that clients of this port may do. It cannot extend the role that their address has.
    /// Default: the role of their address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Where clients of this port receive unsolicited messages. Default: as for their address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The codes that are not sent on the control port. Default: none, or as for their address if
    /// this port has no delivery.
    #[serde(default, skip_serializing_if = "CodeList::is_empty")]
    pub except: CodeList,
    /// A preset instead of `delivery` and `except`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// The port of live images. Default: this control port + 1.
    #[serde(default)]
    pub live: PortChoice,
    /// The port of stack images. Default: this control port + 2.
    #[serde(default)]
    pub stack: PortChoice,
    /// The port of unsolicited messages. Default: this control port + 3.
    #[serde(default)]
    pub callback: PortChoice,
}

/// A control port and the ports that follow it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortRow {
    pub(crate) control: SocketAddr,
    pub(crate) live: PortChoice,
    pub(crate) stack: PortChoice,
    pub(crate) callback: PortChoice,
}

/// The number of a port that may follow the control port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortChoice {
    /// The control port plus a fixed step. With control port 0, all of them are free ports in a row.
    #[default]
    Next,
    /// The bridge does not open this port.
    Off,
    /// This number; 0 takes a free port.
    Number(u16),
}

impl NamedPort {
    /// A control port at `address` without a role or delivery of its own.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            role: None,
            delivery: None,
            except: CodeList::new(),
            preset: None,
            live: PortChoice::Next,
            stack: PortChoice::Next,
            callback: PortChoice::Next,
        }
    }

    /// Where clients of this port receive unsolicited messages; `address` is the delivery of their
    /// address.
    pub(crate) fn event_delivery(&self, address: EventDelivery) -> EventDelivery {
        match (self.preset, self.delivery) {
            (Some(preset), _) => preset.delivery(),
            (None, Some(delivery)) => EventDelivery::new(delivery, self.except.clone()),
            (None, None) if self.except.is_empty() => address,
            (None, None) => EventDelivery::new(address.delivery, self.except.clone()),
        }
    }

    pub(crate) fn row(&self) -> PortRow {
        let Self { address: control, live, stack, callback, .. } = *self;
        PortRow { control, live, stack, callback }
    }
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            control: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53717),
            live: PortChoice::Next,
            stack: PortChoice::Next,
            callback: PortChoice::Next,
            status: None,
            status_hosts: Vec::new(),
            more: BTreeMap::new(),
        }
    }
}

impl ListenSettings {
    /// The main control port with the ports that follow it.
    pub(crate) fn row(&self) -> PortRow {
        let Self { control, live, stack, callback, .. } = *self;
        PortRow { control, live, stack, callback }
    }

    /// All rows, with the names of the additional ones.
    pub(crate) fn rows(&self) -> Vec<(Option<String>, PortRow)> {
        let named = self.more.iter().map(|(name, port)| (Some(name.clone()), port.row()));
        std::iter::once((None, self.row())).chain(named).collect()
    }

    /// The address of the port of live images. `None` if it is off.
    #[must_use]
    pub fn live_address(&self) -> Option<SocketAddr> {
        self.row().live_address()
    }

    /// The address of the port of stack images. `None` if it is off.
    #[must_use]
    pub fn stack_address(&self) -> Option<SocketAddr> {
        self.row().stack_address()
    }

    /// The address of the callback port. `None` if it is off.
    #[must_use]
    pub fn callback_address(&self) -> Option<SocketAddr> {
        self.row().callback_address()
    }
}

impl PortRow {
    pub(crate) fn live_address(&self) -> Option<SocketAddr> {
        self.following(self.live, 1)
    }

    pub(crate) fn stack_address(&self) -> Option<SocketAddr> {
        self.following(self.stack, 2)
    }

    pub(crate) fn callback_address(&self) -> Option<SocketAddr> {
        self.following(self.callback, 3)
    }

    /// The ports that follow the control port: the name of the option, the choice and the address.
    pub(crate) fn followers(&self) -> [(&'static str, PortChoice, Option<SocketAddr>); 3] {
        [
            ("live", self.live, self.live_address()),
            ("stack", self.stack, self.stack_address()),
            ("callback", self.callback, self.callback_address()),
        ]
    }

    /// Whether a port that is not off would be above 65535.
    pub(crate) fn is_beyond_the_last_port(&self) -> bool {
        let is_beyond = |(_, choice, address): (_, PortChoice, Option<SocketAddr>)| {
            choice != PortChoice::Off && address.is_none()
        };
        self.followers().into_iter().any(is_beyond)
    }

    /// The address for `port`; [`PortChoice::Next`] is `steps` above the control port. `None` also if
    /// that number is above 65535, which the check of the settings refuses.
    fn following(&self, port: PortChoice, steps: u16) -> Option<SocketAddr> {
        let number = match (port, self.control.port()) {
            (PortChoice::Off, _) => return None,
            (PortChoice::Number(number), _) => number,
            (PortChoice::Next, 0) => 0,
            (PortChoice::Next, control) => control.checked_add(steps)?,
        };
        Some(SocketAddr::new(self.control.ip(), number))
    }
}

impl fmt::Display for PortChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next => f.pad("next"),
            Self::Off => f.pad("off"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl FromStr for PortChoice {
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

impl Serialize for PortChoice {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => to.serialize_u16(*number),
            Self::Next | Self::Off => to.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for PortChoice {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PortVisitor)
    }
}

/// Reads a number or a word.
struct PortVisitor;

impl Visitor<'_> for PortVisitor {
    type Value = PortChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port from 0 to 65535, \"off\" or \"next\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<PortChoice, E> {
        let port = u16::try_from(number);
        port.map(PortChoice::Number)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<PortChoice, E> {
        let port = u16::try_from(number);
        port.map(PortChoice::Number)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PortChoice, E> {
        text.parse().map_err(E::custom)
    }
}

/// Reads the address of the status page: `ADDR:PORT`, or `off` for `None`. The settings file and the
/// command line use the same form.
///
/// # Errors
/// A message that says what was expected.
pub fn parse_status_address(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        format!("expected ADDR:PORT, such as 127.0.0.1:53721, or \"off\", found {text:?}")
    })
}

fn deserialize_status<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    parse_status_address(&String::deserialize(from)?).map_err(Error::custom)
}

// Serde passes a reference to the field.
#[allow(clippy::ref_option)]
fn serialize_status<S: Serializer>(status: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
    match status {
        Some(address) => to.collect_str(address),
        None => to.serialize_str("off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> ListenSettings {
        toml::from_str(text).unwrap()
    }

    fn ports(listen: &ListenSettings) -> [Option<u16>; 3] {
        [listen.live_address(), listen.stack_address(), listen.callback_address()]
            .map(|address| address.map(|address| address.port()))
    }

    #[test]
    fn the_ports_follow_the_control_port_by_default() {
        assert_eq!(ports(&ListenSettings::default()), [Some(53718), Some(53719), Some(53720)]);
        let told = listen("control = \"127.0.0.1:6000\"\nlive = 7000\nstack = \"off\"");
        assert_eq!(ports(&told), [Some(7000), None, Some(6003)]);
    }

    #[test]
    fn ports_after_control_port_0_are_free_but_a_number_stays() {
        let free = listen("control = \"127.0.0.1:0\"\ncallback = 7000\nlive = \"next\"");
        assert_eq!(ports(&free), [Some(0), Some(0), Some(7000)]);
    }

    #[test]
    fn all_ports_use_the_address_of_the_control_port() {
        let six = listen("control = \"[::1]:6000\"");
        assert_eq!(six.live_address(), "[::1]:6001".parse().ok());
        assert_eq!(six.stack_address(), "[::1]:6002".parse().ok());
        assert_eq!(six.callback_address(), "[::1]:6003".parse().ok());
    }

    #[test]
    fn a_port_choice_is_written_as_it_is_read() {
        for port in
            [PortChoice::Next, PortChoice::Off, PortChoice::Number(0), PortChoice::Number(65535)]
        {
            assert_eq!(port.to_string().parse(), Ok(port));
            let json = serde_json::to_string(&port).unwrap();
            assert_eq!(serde_json::from_str::<PortChoice>(&json).unwrap(), port, "{json}");
        }
        for bad in ["", "on", "65536", "-1", "0x10"] {
            assert!(bad.parse::<PortChoice>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_port_is_refused_with_what_was_expected() {
        for (bad, expected) in [
            ("live = 65536", "a port from 0 to 65535"),
            ("live = -1", "a port from 0 to 65535"),
            ("live = true", "a port from 0 to 65535"),
            ("live = \"on\"", "a port from 0 to 65535"),
            ("status = \"localhost:1\"", "expected ADDR:PORT"),
            ("status = 9000", "a string"),
            ("control = \"53717\"", "socket address"),
        ] {
            let error = toml::from_str::<ListenSettings>(bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
