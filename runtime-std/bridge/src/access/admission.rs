//! Who may come in at which control port, as what, and where they get unsolicited messages: the
//! settings put together, which may change while the bridge runs. Nothing is accepted here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, Role};
use crate::settings::{ControlPort, Delivery, Events, Settings};

/// The rules in force; each copy sees a change at once.
#[derive(Debug, Clone)]
pub(crate) struct Policy(Arc<Mutex<Rules>>);

#[derive(Debug)]
struct Rules {
    access: Access,
    events: Events,
    more: BTreeMap<String, ControlPort>,
}

impl Policy {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self(Arc::new(Mutex::new(Rules::new(settings))))
    }

    pub(crate) fn replace(&self, settings: &Settings) {
        *self.rules() = Rules::new(settings);
    }

    /// Whether `address` may connect to any port at all.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.rules().access.allows(address)
    }

    /// Whether `address` may see stack images: observers may not.
    pub(crate) fn allows_stacks(&self, address: IpAddr) -> bool {
        self.rules().access.role(address).is_some_and(|role| role != Role::Observer)
    }

    /// As what `address` may come in at the control port of that name; the first one has none.
    /// `None`: not at all.
    pub(crate) fn admit(&self, port: Option<&str>, address: IpAddr) -> Option<(Role, Delivery)> {
        let rules = self.rules();
        let role = rules.access.role(address)?;
        let delivery = rules.events.delivery(address);
        let Some(name) = port else {
            return Some((role, delivery));
        };
        // One that the settings have no more: nobody is meant to come in there.
        let port = rules.more.get(name)?;
        Some((port.role.map_or(role, |own| own.max(role)), port.delivery.unwrap_or(delivery)))
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rules {
    fn new(settings: &Settings) -> Self {
        Self {
            access: settings.access.clone(),
            events: settings.events.clone(),
            more: settings.listen.more.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::new(&Settings::from_toml(text).unwrap())
    }

    const TEXT: &str = r#"
        [access]
        allow = ["127.0.0.0/8", "10.0.0.0/8"]
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
    fn a_port_takes_rights_away_and_never_gives_any() {
        let policy = policy(TEXT);
        for (address, port, role) in [
            ("127.0.0.1", None, Some(Role::Control)),
            ("127.0.0.1", Some("gui"), Some(Role::Control)),
            ("127.0.0.1", Some("guests"), Some(Role::ReadOnly)),
            ("10.0.0.1", Some("staff"), Some(Role::ReadOnly)),
            ("192.168.0.1", Some("staff"), None),
        ] {
            let admitted = policy.admit(port, address.parse().unwrap());
            assert_eq!(admitted.map(|(role, _)| role), role, "{address} at {port:?}");
        }
    }

    #[test]
    fn observers_see_live_images_and_no_stacks() {
        let policy = policy("[access]\ndefault_role = \"observer\"");
        let ip = "127.0.0.1".parse().unwrap();
        assert!(policy.allows(ip) && !policy.allows_stacks(ip));
        policy.replace(&Settings::default());
        assert!(policy.allows_stacks(ip));
        assert!(
            !policy.allows_stacks("10.0.0.1".parse().unwrap()),
            "nobody from there may connect"
        );
    }

    #[test]
    fn a_port_says_where_its_clients_get_unsolicited_messages_whatever_their_address() {
        let policy = policy(TEXT);
        let ip = "127.0.0.1".parse().unwrap();
        let delivery = |port| policy.admit(port, ip).map(|(_, delivery)| delivery);
        assert_eq!(delivery(None), Some(Delivery::Callback));
        assert_eq!(delivery(Some("guests")), Some(Delivery::Callback));
        assert_eq!(delivery(Some("gui")), Some(Delivery::Inline));
    }

    #[test]
    fn nobody_comes_in_at_a_port_that_the_settings_have_no_more() {
        let policy = policy(TEXT);
        let ip = "127.0.0.1".parse().unwrap();
        policy.replace(&Settings::default());
        assert_eq!(policy.admit(Some("gui"), ip), None);
        assert_eq!(policy.admit(None, ip), Some((Role::Control, Delivery::Callback)));
    }
}
