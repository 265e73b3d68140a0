//! Who may connect, and as what: the allow-list, the roles, and addresses in networks. What a role
//! may do is the router's matter.

pub(crate) mod admission;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize};

use crate::settings::choice::named;

/// Who may connect, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// The networks whose addresses may connect: loopback.
    #[serde(deserialize_with = "networks")]
    pub allow: Vec<IpNet>,
    /// The role of whoever no rule names: control.
    pub default_role: Role,
    /// The first rule that contains the address gives the role. A rule lets nobody in that
    /// `allow` keeps out.
    pub roles: Vec<RoleRule>,
}

/// The role of some networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    /// Whose role it is.
    #[serde(deserialize_with = "networks")]
    pub networks: Vec<IpNet>,
    /// What they may do.
    pub role: Role,
}

/// What a client may do, the more first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    #[default]
    Control,
    /// Ask, halt, and switch lasers off.
    ReadOnly,
    /// Listen on the callback port and look at the live images.
    Observer,
}

named!(Role { Control => "control", ReadOnly => "read-only", Observer => "observer" });

impl Default for Access {
    fn default() -> Self {
        let loopback = [
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
        ];
        Self { allow: loopback.to_vec(), default_role: Role::default(), roles: Vec::new() }
    }
}

impl Access {
    /// Whether `address` may connect.
    pub fn allows(&self, address: IpAddr) -> bool {
        contains(&self.allow, address)
    }

    /// As what `address` may connect; `None`: not at all.
    pub fn role(&self, address: IpAddr) -> Option<Role> {
        if !self.allows(address) {
            return None;
        }
        let rule = self.roles.iter().find(|rule| contains(&rule.networks, address));
        Some(rule.map_or(self.default_role, |rule| rule.role))
    }

    /// Whether nobody but this machine may connect.
    pub(crate) fn loopback_only(&self) -> bool {
        let loopback = Self::default().allow;
        self.allow.iter().all(|net| loopback.iter().any(|own| own.contains(&plain(*net))))
    }
}

/// Whether one of `networks` contains `address`. An IPv4 address that a socket for both kinds
/// shows as IPv6 counts as IPv4.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|net| plain(*net).contains(&address))
}

/// A network of IPv4 addresses that is written as IPv6 is one of IPv4.
fn plain(net: IpNet) -> IpNet {
    let IpNet::V6(six) = net else {
        return net;
    };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(96));
    let four = four.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    four.map_or(net, IpNet::V4)
}

/// Networks such as `10.0.0.0/8`; an address alone is the network of that address.
pub(crate) fn networks<'de, D>(from: D) -> Result<Vec<IpNet>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| network(text).map_err(serde::de::Error::custom)).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    text.parse().map_err(|_| {
        format!("expected a network or an address, such as 10.0.0.0/8 or ::1, found {text:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn access(text: &str) -> Access {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn by_default_only_this_machine_may_connect_and_it_has_control() {
        let access = Access::default();
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
    fn a_role_lets_nobody_in_whom_the_allow_list_keeps_out() {
        let access = access("[[roles]]\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\nrole = \"control\"");
        assert_eq!(access.role(ip("10.0.0.5")), None);
        assert_eq!(access.role(ip("2001:db8::1")), None);
        assert_eq!(access.role(ip("127.0.0.1")), Some(Role::Control));
    }

    #[test]
    fn a_network_of_mapped_addresses_is_one_of_ipv4() {
        let access = access("allow = [\"::ffff:10.0.0.0/104\"]");
        assert!(access.allows(ip("10.255.0.1")));
        assert!(access.allows(ip("::ffff:10.255.0.1")));
        assert!(!access.allows(ip("11.0.0.1")));
    }

    #[test]
    fn all_of_ipv6_lets_in_no_ipv4() {
        let access = access("allow = [\"::/0\"]");
        assert!(access.allows(ip("2001:db8::1")));
        assert!(!access.allows(ip("10.0.0.5")));
        assert!(!access.allows(ip("::ffff:10.0.0.5")));
    }

    #[test]
    fn only_networks_within_loopback_are_loopback_only() {
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

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["10.0.0.0/33", "10.0.0", "scope.lab", "", "10.0.0.1-10.0.0.9", "::1/129"] {
            let error = network(bad).unwrap_err();
            assert!(error.contains("expected a network") && error.contains(bad), "{error}");
        }
    }
}
