//! The access rules in force: which address may use which port, with which role and which delivery
//! of unsolicited messages. A reload replaces them while the bridge runs. The sockets are in
//! `control/listener.rs`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{AccessSettings, Role};
use crate::settings::{BridgeSettings, EventDelivery, EventSettings, NamedPort};

/// The rules in force. All copies share them, so that each sees a change at once.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Mutex<Rules>>);

#[derive(Debug)]
struct Rules {
    access: AccessSettings,
    events: EventSettings,
    named_ports: BTreeMap<String, NamedPort>,
}

impl Admission {
    pub(crate) fn new(settings: &BridgeSettings) -> Self {
        Self(Arc::new(Mutex::new(Rules::new(settings))))
    }

    pub(crate) fn replace(&self, settings: &BridgeSettings) {
        *self.rules() = Rules::new(settings);
    }

    /// Whether `address` may connect to any port of the row named `row`.
    pub(crate) fn allows(&self, row: Option<&str>, address: IpAddr) -> bool {
        let rules = self.rules();
        rules.has_row(row) && rules.access.allows(address)
    }

    /// Whether `address` may see stack images of the row named `row`. Observers may not.
    pub(crate) fn allows_stacks(&self, row: Option<&str>, address: IpAddr) -> bool {
        let rules = self.rules();
        rules.has_row(row) && rules.access.role(address).is_some_and(|role| role != Role::Observer)
    }

    /// The role and the delivery of a client at `address`, on the control port named `port` (the main
    /// control port has no name). `None` if it may not connect.
    pub(crate) fn admit(
        &self,
        port: Option<&str>,
        address: IpAddr,
    ) -> Option<(Role, EventDelivery)> {
        let rules = self.rules();
        let role = rules.access.role(address)?;
        let delivery = rules.events.delivery(address);
        let Some(name) = port else {
            return Some((role, delivery));
        };
        // A reload may have removed the port from the settings: it admits nobody then.
        let port = rules.named_ports.get(name)?;
        Some((port.role.map_or(role, |own| own.max(role)), port.event_delivery(delivery)))
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rules {
    fn new(settings: &BridgeSettings) -> Self {
        if settings.access.is_reduced() {
            tracing::warn!(
                "access.allow names more than this machine, and access.default_role is not set: \
                 clients without a rule of their own are read-only; set it to \"control\" to let \
                 all of them move the stage and use lasers"
            );
        }
        Self {
            access: settings.access.clone(),
            events: settings.events.clone(),
            named_ports: settings.listen.more.clone(),
        }
    }

    /// Whether the settings still have this row. The main row has no name.
    fn has_row(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| self.named_ports.contains_key(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(text: &str) -> Admission {
        Admission::new(&BridgeSettings::from_toml(text).unwrap())
    }

    const TEXT: &str = r#"
        [access]
        allow = ["127.0.0.0/8", "10.0.0.0/8"]
        default_role = "control"
        [[access.roles]]
        networks = ["10.0.0.0/8"]
        role = "read-only"
        [listen.more.gui]
        address = "127.0.0.1:1"
        delivery = "inline"
        [listen.more.guests]
        address = "127.0.0.1:2"
        role = "read-only"
        [listen.more.staff]
        address = "127.0.0.1:3"
        role = "control"
    "#;

    #[test]
    fn a_named_port_reduces_the_role_and_never_extends_it() {
        let admission = admission(TEXT);
        for (address, port, role) in [
            ("127.0.0.1", None, Some(Role::Control)),
            ("127.0.0.1", Some("gui"), Some(Role::Control)),
            ("127.0.0.1", Some("guests"), Some(Role::ReadOnly)),
            ("10.0.0.1", Some("staff"), Some(Role::ReadOnly)),
            ("192.168.0.1", Some("staff"), None),
        ] {
            let admitted = admission.admit(port, address.parse().unwrap());
            assert_eq!(admitted.map(|(role, _)| role), role, "{address} at {port:?}");
        }
    }

    #[test]
    fn observers_see_live_images_but_not_stacks() {
        let admission = admission("[access]\ndefault_role = \"observer\"");
        let ip = "127.0.0.1".parse().unwrap();
        assert!(admission.allows(None, ip) && !admission.allows_stacks(None, ip));
        admission.replace(&BridgeSettings::default());
        assert!(admission.allows_stacks(None, ip));
        assert!(
            !admission.allows_stacks(None, "10.0.0.1".parse().unwrap()),
            "that address may not connect"
        );
    }

    #[test]
    fn the_delivery_of_a_named_port_overrides_the_address() {
        let more = "[listen.more.python]\naddress = \"127.0.0.1:4\"\npreset = \"python-gui\"\n\
            [listen.more.part]\naddress = \"127.0.0.1:5\"\nexcept = [\"STAGE_POSITION_GET\"]\n\
            [events]\ndefault = \"both\"\nexcept = [\"LASER_LEVEL_GET\"]";
        let admission = admission(&format!("{TEXT}\n{more}"));
        let ip = "127.0.0.1".parse().unwrap();
        let delivery = |port| admission.admit(port, ip).unwrap().1.to_string();
        assert_eq!(delivery(None), "both except LASER_LEVEL_GET");
        assert_eq!(delivery(Some("guests")), "both except LASER_LEVEL_GET");
        assert_eq!(delivery(Some("gui")), "inline");
        assert_eq!(delivery(Some("python")), "inline except STAGE_POSITION_GET");
        assert_eq!(delivery(Some("part")), "both except STAGE_POSITION_GET");
    }

    #[test]
    fn a_port_removed_from_the_settings_admits_nobody() {
        let admission = admission(TEXT);
        let ip = "127.0.0.1".parse().unwrap();
        admission.replace(&BridgeSettings::default());
        assert_eq!(admission.admit(Some("gui"), ip), None);
        assert!(!admission.allows(Some("gui"), ip) && !admission.allows_stacks(Some("gui"), ip));
        assert_eq!(admission.admit(None, ip), Some((Role::Control, EventDelivery::default())));
    }
}
