//! The section `[events]`: where unsolicited messages go, by the address of the client.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::choice::choice;
use crate::access::networks::{any_contains, deserialize_networks};

/// How unsolicited messages reach the clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EventSettings {
    /// The delivery for clients that no rule names. Default: the callback port only.
    pub default: Delivery,
    /// The first rule whose networks contain the client's address applies. Default: none.
    pub rules: Vec<DeliveryRule>,
    /// Whether the bridge sets bit 0x40000000 of `cmdDataBits0` on answers and clears it on
    /// unsolicited messages. Default: no.
    pub tag: bool,
    /// Whether the bridge reports each client's actions to the other clients. Default: yes.
    pub echo_actions: bool,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { default: Delivery::default(), rules: Vec::new(), tag: false, echo_actions: true }
    }
}

impl EventSettings {
    /// Where a client at `address` receives unsolicited messages.
    #[must_use]
    pub fn delivery(&self, address: IpAddr) -> Delivery {
        let rule = self.rules.iter().find(|rule| any_contains(&rule.networks, address));
        rule.map_or(self.default, |rule| rule.delivery)
    }
}

/// The delivery for clients in some networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DeliveryRule {
    /// The networks of the clients. [`check`](super::BridgeSettings::check) refuses an empty list.
    #[serde(deserialize_with = "deserialize_networks")]
    pub networks: Vec<IpNet>,
    /// Where these clients receive unsolicited messages.
    pub delivery: Delivery,
}

impl DeliveryRule {
    /// A rule for clients in `networks`.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>, delivery: Delivery) -> Self {
        Self { networks, delivery }
    }
}

/// Where a client receives unsolicited messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Delivery {
    /// Only on the callback port.
    #[default]
    Callback,
    /// Only on the control port, between the answers, as the instrument does.
    Inline,
    /// On both.
    Both,
}

choice!(Delivery { Callback => "callback", Inline => "inline", Both => "both" });
