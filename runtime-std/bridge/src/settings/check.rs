//! Checks whether the settings fit together and are safe. Reading the file has already checked each
//! option alone, apart from the ranges of numbers, which are in `ranges.rs`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use flamingo_protocol_core::wire::FRAME_LEN;

use super::{
    BridgeSettings, BridgeSettingsError, Delivery, EventSettings, ListenSettings, PortChoice,
    PortRow, Role, UpstreamSettings,
};

type CheckResult = Result<(), BridgeSettingsError>;

impl BridgeSettings {
    /// Checks whether the bridge can run safely with these settings.
    ///
    /// # Errors
    /// [`BridgeSettingsError`] names the first option that does not fit, the reason, and what was
    /// expected.
    pub fn check(&self) -> CheckResult {
        self.upstream.check()?;
        self.listen.check()?;
        self.events.check()?;
        self.check_not_own_upstream()?;
        self.check_allow_list()?;
        self.check_rules_name_networks()?;
        self.check_ranges()?;
        self.check_sizes()?;
        if self.lease.dead_man && !self.lease.enabled {
            let problem =
                "it acts when the holder of the lease is lost: also set lease.enabled = true";
            return refused("lease.dead_man", problem);
        }
        Ok(())
    }

    /// A bridge whose instrument is the bridge itself would send its own commands to itself for ever.
    fn check_not_own_upstream(&self) -> CheckResult {
        let (host, port) = self.upstream.host_and_port()?;
        let Some(ip) = literal_address(host) else {
            return Ok(());
        };
        for (upstream, purpose) in self.upstream_ports(port) {
            for (option, address) in self.listen.ports() {
                if address.port() == upstream && same_host(address.ip(), ip) {
                    let problem = format!(
                        "{address} is also {purpose} of the instrument at {ip}: choose another port \
                         to listen on, such as 0 for a free one"
                    );
                    return refused(&option, problem);
                }
            }
        }
        Ok(())
    }

    /// The ports of the instrument to which the bridge would connect, each with its purpose.
    fn upstream_ports(&self, control: u16) -> impl Iterator<Item = (u16, &'static str)> {
        let image = |wanted: bool, steps, purpose| {
            control.checked_add(steps).filter(|_| wanted).map(|port| (port, purpose))
        };
        let rows = self.listen.rows();
        let any = |is_on: fn(&PortRow) -> bool| rows.iter().any(|(_, row)| is_on(row));
        let [live, stack] =
            [any(|row| row.live != PortChoice::Off), any(|row| row.stack != PortChoice::Off)];
        let live = image(live, 1, "the port of live images");
        let stack = image(stack, 2, "the port of stack images");
        [Some((control, "the control port")), live, stack].into_iter().flatten()
    }

    /// A port that other machines can reach needs an allow-list that names their networks.
    fn check_allow_list(&self) -> CheckResult {
        if self.access.allow.is_empty() {
            let problem = "nobody could connect: name a network, such as \"127.0.0.0/8\"";
            return refused("access.allow", problem);
        }
        if !self.access.loopback_only() {
            return Ok(());
        }
        for (option, address) in self.listen.ports() {
            if !address.ip().to_canonical().is_loopback() {
                let problem = format!(
                    "other machines can reach {option} = \"{address}\", but only this machine may \
                     connect: add their network, such as \"{}\", or listen on 127.0.0.1",
                    example_network(address.ip())
                );
                return refused("access.allow", problem);
            }
        }
        Ok(())
    }

    /// A rule without a network applies to nobody, which is a mistake.
    fn check_rules_name_networks(&self) -> CheckResult {
        let roles = self.access.roles.iter().map(|rule| rule.networks.is_empty());
        let events = self.events.rules.iter().map(|rule| rule.networks.is_empty());
        let roles = roles.enumerate().map(|(index, empty)| ("access.roles", index, empty));
        let events = events.enumerate().map(|(index, empty)| ("events.rules", index, empty));
        match roles.chain(events).find(|(_, _, empty)| *empty) {
            Some((key, index, _)) => {
                let problem = "it names no network: add one, or remove the rule";
                refused(&format!("{key}[{index}].networks"), problem)
            }
            None => Ok(()),
        }
    }

    /// Limits that depend on each other must agree, and a frame must fit.
    fn check_sizes(&self) -> CheckResult {
        let (upstream, limits) = (&self.upstream, &self.limits);
        if upstream.reconnect_max_ms < upstream.reconnect_min_ms {
            let least = upstream.reconnect_min_ms;
            let problem = format!("expected at least upstream.reconnect_min_ms, which is {least}");
            return refused("upstream.reconnect_max_ms", problem);
        }
        if limits.upload_bytes_total < u64::from(limits.upload_bytes) {
            let least = limits.upload_bytes;
            let problem = format!("expected at least limits.upload_bytes, which is {least}");
            return refused("limits.upload_bytes_total", problem);
        }
        let problem = format!("expected at least the length of a frame, {FRAME_LEN}");
        if limits.bytes_per_s < FRAME_LEN as u64 {
            return refused("limits.bytes_per_s", problem);
        }
        if limits.bytes_per_s < limits.upload_bytes_per_s_min {
            let least = limits.upload_bytes_per_s_min;
            let problem =
                format!("expected at least limits.upload_bytes_per_s_min, which is {least}");
            return refused("limits.bytes_per_s", problem);
        }
        if limits.out_bytes < FRAME_LEN {
            return refused("limits.out_bytes", problem);
        }
        Ok(())
    }
}

impl UpstreamSettings {
    /// Checks the form of the address.
    fn check(&self) -> CheckResult {
        self.host_and_port().map(|_| ())
    }

    fn host_and_port(&self) -> Result<(&str, u16), BridgeSettingsError> {
        let key = "upstream.address";
        if self.address.is_empty() {
            let problem = "the address of the instrument is missing: set HOST:PORT here or with \
                           --upstream, such as 10.0.0.5:53717";
            return refused(key, problem);
        }
        let expected = |what: &str| {
            refused(
                key,
                format!("expected {what}, such as 10.0.0.5:53717, found {:?}", self.address),
            )
        };
        let Some((host, port)) = self.address.rsplit_once(':').filter(|(host, _)| !host.is_empty())
        else {
            return expected("HOST:PORT");
        };
        if host.contains(':') && literal_address(host).is_none_or(|_| !host.starts_with('[')) {
            return expected("IPv6 in brackets and a port");
        }
        match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok((host, port)),
            _ => expected("a port from 1 to 65535"),
        }
    }
}

impl ListenSettings {
    /// Each port on which the bridge would listen, with its option.
    fn ports(&self) -> Vec<(String, SocketAddr)> {
        let mut ports = Vec::new();
        for (name, row) in self.rows() {
            ports.push((option_of(name.as_deref(), "control"), row.control));
            let followers = row.followers().into_iter();
            ports.extend(followers.filter_map(|(option, _, address)| {
                Some((option_of(name.as_deref(), option), address?))
            }));
        }
        ports.extend(self.status.map(|address| ("listen.status".to_owned(), address)));
        ports
    }

    /// Checks that each port exists and that no two are equal.
    fn check(&self) -> CheckResult {
        for (name, row) in self.rows() {
            for (option, port, address) in row.followers() {
                if port != PortChoice::Off && address.is_none() {
                    let problem = format!(
                        "it would be above 65535, since it follows the control port {}: set a \
                         number or \"off\"",
                        row.control.port()
                    );
                    return refused(&option_of(name.as_deref(), option), problem);
                }
            }
        }
        self.check_named_ports()?;
        self.check_status_hosts()?;
        let ports = self.ports();
        let ports: Vec<_> = ports.iter().filter(|(_, address)| address.port() != 0).collect();
        for (at, (key, address)) in ports.iter().enumerate() {
            let before = ports.iter().take(at);
            let mut same = before.filter(|(_, other)| other.port() == address.port());
            if let Some((other, _)) = same.find(|(_, other)| overlap(address.ip(), other.ip())) {
                let problem = format!("port {} is already used by {other}", address.port());
                return refused(key, problem);
            }
        }
        Ok(())
    }

    /// Checks that each name can be the host of a URL.
    fn check_status_hosts(&self) -> CheckResult {
        let is_name = |name: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !name.is_empty() && !name.ends_with('.') && name.bytes().all(allowed)
        };
        match self.status_hosts.iter().find(|name| !is_name(name)) {
            Some(name) => refused(
                "listen.status_hosts",
                format!("expected a name without port, such as \"scope.lab\", found {name:?}"),
            ),
            None => Ok(()),
        }
    }

    fn check_named_ports(&self) -> CheckResult {
        for (name, port) in &self.more {
            if port.role == Some(Role::Observer) {
                let problem =
                    "an observer may not use a control port: expected \"control\" or \"read-only\"";
                return refused(&format!("listen.more.{name}.role"), problem);
            }
            let own = port.delivery.is_some() || !port.except.is_empty();
            if port.preset.is_some() && own {
                return refused(&format!("listen.more.{name}.preset"), PRESET_ALONE);
            }
            if port.delivery == Some(Delivery::Callback) && !port.except.is_empty() {
                return refused(&format!("listen.more.{name}.except"), EXCEPT_NEEDS_INLINE);
            }
        }
        Ok(())
    }
}

impl EventSettings {
    /// Checks that no option is without effect.
    fn check(&self) -> CheckResult {
        let own = self.default != Delivery::Callback || !self.except.is_empty();
        if self.preset.is_some() && own {
            return refused("events.preset", PRESET_ALONE);
        }
        if self.default == Delivery::Callback && !self.except.is_empty() {
            return refused("events.except", EXCEPT_NEEDS_INLINE);
        }
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.delivery == Delivery::Callback && !rule.except.is_empty() {
                return refused(&format!("events.rules[{index}].except"), EXCEPT_NEEDS_INLINE);
            }
        }
        Ok(())
    }
}

/// A preset chooses the delivery and the codes that it leaves out.
const PRESET_ALONE: &str =
    "it replaces the delivery and `except`: set either the preset, or these options";

/// The callback port sends everything.
const EXCEPT_NEEDS_INLINE: &str = "it leaves out codes on the control port, to which the delivery \
     \"callback\" sends none: also set the delivery \"inline\" or \"both\"";

/// The name of an option of the main row, or of the row of a named port.
pub(crate) fn option_of(row: Option<&str>, option: &str) -> String {
    match (row, option) {
        (None, option) => format!("listen.{option}"),
        (Some(name), "control") => format!("listen.more.{name}.address"),
        (Some(name), option) => format!("listen.more.{name}.{option}"),
    }
}

/// The address of `host`, if that needs no name lookup.
fn literal_address(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    v6.unwrap_or(host).parse().ok()
}

/// Whether a socket that listens on `own` may answer at `other`. A socket on the unspecified address
/// answers at every address of this machine, of which loopback is known.
fn same_host(own: IpAddr, other: IpAddr) -> bool {
    let (own, other) = (own.to_canonical(), other.to_canonical());
    let local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    own == other || (own.is_unspecified() && local(other)) || (other.is_unspecified() && local(own))
}

/// Whether two sockets with the same port number conflict on these addresses of this machine.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one.to_canonical() == other.to_canonical() || one.is_unspecified() || other.is_unspecified()
}

/// An example network of the same address family, for a hint.
fn example_network(ip: IpAddr) -> &'static str {
    if ip.to_canonical().is_ipv4() { "10.0.0.0/8" } else { "2001:db8::/32" }
}

fn refused<T>(key: &str, problem: impl Into<String>) -> Result<T, BridgeSettingsError> {
    Err(BridgeSettingsError { line: None, key: key.to_owned(), problem: problem.into() })
}
