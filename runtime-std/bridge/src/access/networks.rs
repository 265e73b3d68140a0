//! Networks in settings: how they are written, and whether they contain an address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer};

/// Whether one of `networks` contains `address`. An IPv4 address that a dual-stack socket reports as
/// IPv6 counts as IPv4.
pub(crate) fn any_contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| unmapped(*network).contains(&address))
}

/// The IPv4 network, if `network` is one that is written as IPv6 (`::ffff:10.0.0.0/104`).
pub(super) fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    let v4 = v4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(network, IpNet::V4)
}

/// Reads networks such as `10.0.0.0/8`. An address alone is the network of that address.
pub(crate) fn deserialize_networks<'de, D>(from: D) -> Result<Vec<IpNet>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| parse_network(text).map_err(serde::de::Error::custom)).collect()
}

fn parse_network(text: &str) -> Result<IpNet, String> {
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

    #[test]
    fn text_that_is_not_a_network_is_refused() {
        for bad in ["10.0.0.0/33", "10.0.0", "scope.lab", "", "10.0.0.1-10.0.0.9", "::1/129"] {
            let error = parse_network(bad).unwrap_err();
            assert!(error.contains("expected a network") && error.contains(bad), "{error}");
        }
    }
}
