//! The addresses that clients of an attack connect from: all of loopback, and their role in the
//! settings. A bridge limits the clients of one address, so that a crowd that means to be many has many.

use std::net::IpAddr;

use crate::observers::address;

/// The clients of these addresses are read-only.
pub(crate) const READ_ONLY_NETWORKS: [&str; 2] = ["127.0.0.2/32", "127.0.2.0/24"];

/// All clients have one address, as the pages of a browser on this host.
pub(crate) const fn one(_: u32) -> IpAddr {
    address([127, 0, 0, 1])
}

/// Each client has its own address.
pub(crate) fn many(number: u32) -> IpAddr {
    address([127, 0, 1, last(number)])
}

/// Each client has its own address, and may not move anything.
pub(crate) fn many_read_only(number: u32) -> IpAddr {
    address([127, 0, 2, last(number)])
}

fn last(number: u32) -> u8 {
    1 + u8::try_from(number % 250).unwrap_or(0)
}
