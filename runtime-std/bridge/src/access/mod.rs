//! Who may connect, and with which role: the section `[access]` of the settings.
//!
//! `admission.rs` applies the rules while the bridge runs; `networks.rs` compares addresses with
//! networks. What each role may send is in `router/permissions.rs`.

pub(crate) mod admission;
pub(crate) mod networks;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::settings::choice::choice;
use networks::{any_contains, deserialize_networks, unmapped};

/// Who may connect, and with which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AccessSettings {
    /// The networks whose addresses may connect. Default: loopback.
    #[serde(deserialize_with = "deserialize_networks")]
    pub allow: Vec<IpNet>,
    /// The role of addresses that no rule names. Default: control if only loopback may connect,
    /// otherwise read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_role: Option<Role>,
    /// The first rule whose networks contain the address gives the role. A rule does not admit
    /// addresses that are not in `allow`. Default: none.
    pub roles: Vec<RoleRule>,
}

/// The role of addresses in some networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RoleRule {
    /// The networks of the addresses. The check of the settings refuses an empty list.
    #[serde(deserialize_with = "deserialize_networks")]
    pub networks: Vec<IpNet>,
    /// The role.
    pub role: Role,
}

impl RoleRule {
    /// A rule for addresses in `networks`.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>, role: Role) -> Self {
        Self { networks, role }
    }
}

/// What a client may do. A role that is greater in the order of this type allows less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// The client may send every command.
    Control,
    /// The client may send queries, halt axes, and switch lasers off.
    ReadOnly,
    /// The client may use the callback port and the port of live images only.
    Observer,
}

choice!(Role { Control => "control", ReadOnly => "read-only", Observer => "observer" });

impl Default for AccessSettings {
    fn default() -> Self {
        let loopback = [
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
        ];
        Self { allow: loopback.to_vec(), default_role: None, roles: Vec::new() }
    }
}

impl AccessSettings {
    /// Whether `address` may connect.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        any_contains(&self.allow, address)
    }

    /// The role of `address`. `None` if it may not connect.
    #[must_use]
    pub fn role(&self, address: IpAddr) -> Option<Role> {
        if !self.allows(address) {
            return None;
        }
        let rule = self.roles.iter().find(|rule| any_contains(&rule.networks, address));
        Some(rule.map_or_else(|| self.default_role(), |rule| rule.role))
    }

    /// The role of addresses that no rule names. If other machines may connect, somebody must have
    /// decided that they may move the stage.
    #[must_use]
    pub fn default_role(&self) -> Role {
        let unless_set = if self.loopback_only() { Role::Control } else { Role::ReadOnly };
        self.default_role.unwrap_or(unless_set)
    }

    /// Whether other machines may connect, and nothing says with which role.
    pub(crate) fn is_reduced(&self) -> bool {
        self.default_role.is_none() && !self.loopback_only()
    }

    /// Whether only this machine may connect.
    pub(crate) fn loopback_only(&self) -> bool {
        let loopback = Self::default().allow;
        let is_loopback =
            |network: &IpNet| loopback.iter().any(|own| own.contains(&unmapped(*network)));
        self.allow.iter().all(is_loopback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn access(text: &str) -> AccessSettings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn by_default_only_this_machine_connects_and_has_control() {
        let access = AccessSettings::default();
        for own in ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(access.role(ip(own)), Some(Role::Control), "{own}");
        }
        for other in ["128.0.0.1", "10.0.0.5", "0.0.0.0", "::", "::2", "::ffff:10.0.0.5"] {
            assert!(!access.allows(ip(other)), "{other}");
            assert_eq!(access.role(ip(other)), None, "{other}");
        }
        assert!(access.loopback_only());
    }

    #[test]
    fn the_first_rule_that_contains_an_address_gives_its_role() {
        let access = access(
            r#"
            allow = ["10.0.0.0/8"]
            default_role = "observer"
            [[roles]]
            networks = ["10.1.2.3"]
            role = "control"
            [[roles]]
            networks = ["10.2.0.0/16", "10.1.0.0/16"]
            role = "read-only"
            "#,
        );
        for (address, role) in [
            ("10.1.2.3", Role::Control),
            ("::ffff:10.1.2.3", Role::Control),
            ("10.1.2.4", Role::ReadOnly),
            ("10.2.255.255", Role::ReadOnly),
            ("10.3.0.0", Role::Observer),
        ] {
            assert_eq!(access.role(ip(address)), Some(role), "{address}");
        }
    }

    #[test]
    fn wider_than_loopback_without_a_role_is_read_only() {
        for allow in ["10.0.0.0/8", "0.0.0.0/0", "126.0.0.0/7", "::/0"] {
            let list = format!("allow = [\"127.0.0.0/8\", \"10.0.0.5\", {allow:?}]\n");
            let role = |rest: &str, address| access(&format!("{list}{rest}")).role(ip(address));
            for address in ["10.0.0.5", "127.0.0.1"] {
                assert_eq!(role("", address), Some(Role::ReadOnly), "{allow}: {address}");
                let told = role("default_role = \"control\"", address);
                assert_eq!(told, Some(Role::Control), "{allow}: {address}");
            }
            let rule = "[[roles]]\nnetworks = [\"127.0.0.0/8\"]\nrole = \"control\"";
            assert_eq!(role(rule, "127.0.0.1"), Some(Role::Control), "{allow}");
            assert_eq!(role(rule, "10.0.0.5"), Some(Role::ReadOnly), "{allow}");
            assert!(access(&list).is_reduced(), "{allow}");
        }
        assert!(!access("default_role = \"control\"\nallow = [\"10.0.0.5\"]").is_reduced());
        assert!(!AccessSettings::default().is_reduced());
    }

    #[test]
    fn a_role_rule_admits_nobody_outside_the_allow_list() {
        let access = access("[[roles]]\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\nrole = \"control\"");
        assert_eq!(access.role(ip("10.0.0.5")), None);
        assert_eq!(access.role(ip("2001:db8::1")), None);
        assert_eq!(access.role(ip("127.0.0.1")), Some(Role::Control));
    }

    #[test]
    fn a_mapped_network_counts_as_ipv4() {
        let access = access("allow = [\"::ffff:10.0.0.0/104\"]");
        assert!(access.allows(ip("10.255.0.1")));
        assert!(access.allows(ip("::ffff:10.255.0.1")));
        assert!(!access.allows(ip("11.0.0.1")));
    }

    #[test]
    fn a_network_of_all_ipv6_admits_no_ipv4() {
        let access = access("allow = [\"::/0\"]");
        assert!(access.allows(ip("2001:db8::1")));
        assert!(!access.allows(ip("10.0.0.5")));
        assert!(!access.allows(ip("::ffff:10.0.0.5")));
    }

    #[test]
    fn only_networks_inside_loopback_are_loopback_only() {
        for (allow, only) in [
            ("[\"127.0.0.1\", \"::1\"]", true),
            ("[\"::ffff:127.0.0.0/104\"]", true),
            ("[\"127.0.0.0/8\", \"10.0.0.5\"]", false),
            ("[\"126.0.0.0/7\"]", false),
            ("[\"::/0\"]", false),
        ] {
            assert_eq!(access(&format!("allow = {allow}")).loopback_only(), only, "{allow}");
        }
    }
}
