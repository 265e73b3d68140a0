//! Checks whether the settings fit together and are safe. Reading the file has already checked each
//! option alone, except for zeros.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use flamingo_protocol_core::wire::{FRAME_LEN, MAX_PAYLOAD};

use super::{
    BridgeSettings, BridgeSettingsError, ListenSettings, PortChoice, Role, UpstreamSettings,
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
        self.check_not_own_upstream()?;
        self.check_allow_list()?;
        self.check_rules_name_networks()?;
        self.check_no_zeros()?;
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
        let live = image(self.listen.live != PortChoice::Off, 1, "the port of live images");
        let stack = image(self.listen.stack != PortChoice::Off, 2, "the port of stack images");
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

    /// No number may be zero.
    fn check_no_zeros(&self) -> CheckResult {
        let (upstream, limits) = (&self.upstream, &self.limits);
        let numbers = [
            ("upstream.connect_timeout_ms", upstream.connect_timeout_ms == 0),
            ("upstream.request_timeout_ms", upstream.request_timeout_ms == 0),
            ("upstream.reconnect_min_ms", upstream.reconnect_min_ms == 0),
            ("upstream.reconnect_max_ms", upstream.reconnect_max_ms == 0),
            ("upstream.window", upstream.window == 0),
            ("limits.clients", limits.clients == 0),
            ("limits.viewers", limits.viewers == 0),
            ("limits.subscribers", limits.subscribers == 0),
            ("limits.commands_per_s", limits.commands_per_s == 0),
            ("limits.bytes_per_s", limits.bytes_per_s == 0),
            ("limits.upload_bytes", limits.upload_bytes == 0),
            ("limits.upload_bytes_total", limits.upload_bytes_total == 0),
            ("limits.queue_frames", limits.queue_frames == 0),
            ("limits.out_bytes", limits.out_bytes == 0),
            ("limits.noise_bytes", limits.noise_bytes == 0),
            ("limits.lost_after_s", limits.lost_after_s == 0),
            ("lease.idle_s", self.lease.idle_s == 0),
            ("record.file_mb", self.record.file_mb == 0),
            ("record.file_minutes", self.record.file_minutes == 0),
            ("record.keep_files", self.record.keep_files == 0),
        ];
        match numbers.iter().find(|(_, zero)| *zero) {
            Some((key, _)) => refused(key, "expected 1 or more, found 0"),
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
        if limits.upload_bytes > MAX_PAYLOAD {
            let problem = format!("the instrument accepts at most {MAX_PAYLOAD}");
            return refused("limits.upload_bytes", problem);
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
    fn ports(&self) -> impl Iterator<Item = (String, SocketAddr)> {
        let fixed = [
            ("listen.control", Some(self.control)),
            ("listen.live", self.live_address()),
            ("listen.stack", self.stack_address()),
            ("listen.callback", self.callback_address()),
            ("listen.status", self.status),
        ];
        let fixed = fixed.into_iter().filter_map(|(key, address)| Some((key.into(), address?)));
        let named = self.more.iter();
        fixed.chain(named.map(|(name, port)| (format!("listen.more.{name}.address"), port.address)))
    }

    /// Checks that each port exists and that no two are equal.
    fn check(&self) -> CheckResult {
        for (key, port, address) in [
            ("listen.live", self.live, self.live_address()),
            ("listen.stack", self.stack, self.stack_address()),
            ("listen.callback", self.callback, self.callback_address()),
        ] {
            if port != PortChoice::Off && address.is_none() {
                let problem = format!(
                    "it would be above 65535, since it follows the control port {}: set a number or \
                     \"off\"",
                    self.control.port()
                );
                return refused(key, problem);
            }
        }
        if let Some((name, _)) =
            self.more.iter().find(|(_, port)| port.role == Some(Role::Observer))
        {
            let problem =
                "an observer may not use a control port: expected \"control\" or \"read-only\"";
            return refused(&format!("listen.more.{name}.role"), problem);
        }
        let ports: Vec<_> = self.ports().filter(|(_, address)| address.port() != 0).collect();
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
