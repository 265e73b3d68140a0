//! The section `[events]`: where unsolicited messages go, by the address of the client. The types of
//! a delivery are in `delivery.rs`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{CodeList, Delivery, EventDelivery, Preset};
use crate::access::networks::{any_contains, deserialize_networks};

/// How unsolicited messages reach the clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EventSettings {
    /// The delivery for clients that no rule names. Default: the callback port only.
    pub default: Delivery,
    /// The codes that the default delivery does not send on the control port. Default: none.
    pub except: CodeList,
    /// A preset instead of `default` and `except`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
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
        Self {
            default: Delivery::default(),
            except: CodeList::default(),
            preset: None,
            rules: Vec::new(),
            tag: false,
            echo_actions: true,
        }
    }
}

impl EventSettings {
    /// Where a client at `address` receives unsolicited messages.
    #[must_use]
    pub fn delivery(&self, address: IpAddr) -> EventDelivery {
        let rule = self.rules.iter().find(|rule| any_contains(&rule.networks, address));
        match (rule, self.preset) {
            (Some(rule), _) => EventDelivery::new(rule.delivery, rule.except.clone()),
            (None, Some(preset)) => preset.delivery(),
            (None, None) => EventDelivery::new(self.default, self.except.clone()),
        }
    }

    /// Chooses a preset for the clients that no rule names, instead of the delivery so far.
    pub fn use_preset(&mut self, preset: Preset) {
        self.preset = Some(preset);
        (self.default, self.except) = (Delivery::default(), CodeList::default());
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
    /// The codes that are not sent on the control port. Default: none.
    #[serde(default)]
    pub except: CodeList,
}

impl DeliveryRule {
    /// A rule for clients in `networks`.
    #[must_use]
    pub fn new(networks: Vec<IpNet>, delivery: Delivery) -> Self {
        Self { networks, delivery, except: CodeList::default() }
    }
}
