//! Whether settings fit together and are safe. What each option may be on its own, reading has
//! found out already, save for zeros.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use flamingo_protocol_core::{FRAME_LEN, MAX_PAYLOAD};

use super::{Listen, Port, Role, Settings, SettingsError, Upstream};

type Checked = Result<(), SettingsError>;

impl Settings {
    /// Whether the bridge can run with these settings, and safely.
    ///
    /// # Errors
    /// [`SettingsError`] names the first option that does not fit, why, and what would.
    pub fn check(&self) -> Checked {
        self.upstream.check()?;
        self.listen.check()?;
        self.is_another_than_upstream()?;
        self.lets_clients_in()?;
        self.names_networks()?;
        self.has_no_zero()?;
        self.has_room()?;
        if self.lease.dead_man && !self.lease.enabled {
            let problem = "it guards whoever holds the lease: also set lease.enabled = true";
            return refused("lease.dead_man", problem);
        }
        Ok(())
    }

    /// A bridge that is connected to itself would ask itself for ever.
    fn is_another_than_upstream(&self) -> Checked {
        let (host, port) = self.upstream.host_and_port()?;
        let Some(ip) = literal(host) else {
            return Ok(());
        };
        for (upstream, key) in self.upstream_ports(port) {
            for (own, address) in self.listen.ports() {
                if address.port() == upstream && same_host(address.ip(), ip) {
                    let problem = format!(
                        "{address} is where the bridge would reach the instrument ({key} at \
                         {ip}): choose another port to listen on, such as 0 for a free one"
                    );
                    return refused(&own, problem);
                }
            }
        }
        Ok(())
    }

    /// The ports of the instrument that the bridge would connect to.
    fn upstream_ports(&self, control: u16) -> impl Iterator<Item = (u16, &'static str)> {
        let image = |wanted: bool, steps, what| {
            control.checked_add(steps).filter(|_| wanted).map(|port| (port, what))
        };
        let live = image(self.listen.live != Port::Off, 1, "its live images");
        let stack = image(self.listen.stack != Port::Off, 2, "its stack images");
        [Some((control, "its control port")), live, stack].into_iter().flatten()
    }

    /// Whoever opens a port to others says to whom.
    fn lets_clients_in(&self) -> Checked {
        if self.access.allow.is_empty() {
            let problem = "nobody could connect: name a network, such as \"127.0.0.0/8\"";
            return refused("access.allow", problem);
        }
        if !self.access.loopback_only() {
            return Ok(());
        }
        for (key, address) in self.listen.ports() {
            if !address.ip().to_canonical().is_loopback() {
                let problem = format!(
                    "{key} = \"{address}\" can be reached by others, but only this machine may \
                     connect: add their network, such as \"{}\", or listen on 127.0.0.1",
                    example_network(address.ip())
                );
                return refused("access.allow", problem);
            }
        }
        Ok(())
    }

    /// A rule for nobody is a mistake.
    fn names_networks(&self) -> Checked {
        let roles = self.access.roles.iter().map(|rule| rule.networks.is_empty());
        let events = self.events.rules.iter().map(|rule| rule.networks.is_empty());
        let roles = roles.enumerate().map(|(index, empty)| ("access.roles", index, empty));
        let events = events.enumerate().map(|(index, empty)| ("events.rules", index, empty));
        match roles.chain(events).find(|(_, _, empty)| *empty) {
            Some((key, index, _)) => {
                let problem = "it names no network: add one, or leave the rule out";
                refused(&format!("{key}[{index}].networks"), problem)
            }
            None => Ok(()),
        }
    }

    /// Of nothing that is counted may there be none.
    fn has_no_zero(&self) -> Checked {
        let (upstream, limits) = (&self.upstream, &self.limits);
        let counted = [
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
        match counted.iter().find(|(_, zero)| *zero) {
            Some((key, _)) => refused(key, "expected 1 or more, found 0"),
            None => Ok(()),
        }
    }

    /// What must pass through the bridge must fit into it.
    fn has_room(&self) -> Checked {
        let (upstream, limits) = (&self.upstream, &self.limits);
        if upstream.reconnect_max_ms < upstream.reconnect_min_ms {
            let problem = format!(
                "expected upstream.reconnect_min_ms or more: {}",
                upstream.reconnect_min_ms
            );
            return refused("upstream.reconnect_max_ms", problem);
        }
        if limits.upload_bytes > MAX_PAYLOAD {
            let problem = format!("the instrument takes no more than {MAX_PAYLOAD}");
            return refused("limits.upload_bytes", problem);
        }
        if limits.upload_bytes_total < u64::from(limits.upload_bytes) {
            let problem = format!("expected limits.upload_bytes or more: {}", limits.upload_bytes);
            return refused("limits.upload_bytes_total", problem);
        }
        let frame = FRAME_LEN as u64;
        if limits.bytes_per_s < frame {
            return refused("limits.bytes_per_s", format!("expected a frame or more: {frame}"));
        }
        if limits.out_bytes < FRAME_LEN {
            return refused("limits.out_bytes", format!("expected a frame or more: {frame}"));
        }
        Ok(())
    }
}

impl Upstream {
    /// Whether the address can be one.
    fn check(&self) -> Checked {
        self.host_and_port().map(|_| ())
    }

    fn host_and_port(&self) -> Result<(&str, u16), SettingsError> {
        let key = "upstream.address";
        if self.address.is_empty() {
            let problem = "the instrument is needed: HOST:PORT here or with --upstream, such as \
                           10.0.0.5:53717";
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
        if host.contains(':') && literal(host).is_none_or(|_| !host.starts_with('[')) {
            return expected("IPv6 in brackets and a port");
        }
        match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok((host, port)),
            _ => expected("a port from 1 to 65535"),
        }
    }
}

impl Listen {
    /// Each port on which the bridge would listen, by its option.
    fn ports(&self) -> impl Iterator<Item = (String, SocketAddr)> {
        let first = [
            ("listen.control", Some(self.control)),
            ("listen.live", self.live_address()),
            ("listen.stack", self.stack_address()),
            ("listen.callback", self.callback_address()),
            ("listen.status", self.status),
        ];
        let first = first.into_iter().filter_map(|(key, address)| Some((key.into(), address?)));
        let more = self.more.iter();
        first.chain(more.map(|(name, port)| (format!("listen.more.{name}.address"), port.address)))
    }

    /// Whether each port can be had.
    fn check(&self) -> Checked {
        for (key, port, address) in [
            ("listen.live", self.live, self.live_address()),
            ("listen.stack", self.stack, self.stack_address()),
            ("listen.callback", self.callback, self.callback_address()),
        ] {
            if port != Port::Off && address.is_none() {
                let problem = format!(
                    "there is no port so far behind the control port {}: give a number or \"off\"",
                    self.control.port()
                );
                return refused(key, problem);
            }
        }
        if let Some((name, _)) =
            self.more.iter().find(|(_, port)| port.role == Some(Role::Observer))
        {
            let problem = "an observer has no control port: expected \"control\" or \"read-only\"";
            return refused(&format!("listen.more.{name}.role"), problem);
        }
        let ports: Vec<_> = self.ports().filter(|(_, address)| address.port() != 0).collect();
        for (at, (key, address)) in ports.iter().enumerate() {
            let before = ports.iter().take(at);
            let mut same = before.filter(|(_, other)| other.port() == address.port());
            if let Some((other, _)) = same.find(|(_, other)| overlap(address.ip(), other.ip())) {
                let problem = format!("port {} is that of {other} already", address.port());
                return refused(key, problem);
            }
        }
        Ok(())
    }
}

/// The address that a host is, if no name has to be looked up.
fn literal(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    six.unwrap_or(host).parse().ok()
}

/// Whether who listens on `own` may be who is found at `other`. Who listens everywhere is found at
/// each address of this machine, of which we know loopback.
fn same_host(own: IpAddr, other: IpAddr) -> bool {
    let (own, other) = (own.to_canonical(), other.to_canonical());
    let local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    own == other || (own.is_unspecified() && local(other)) || (other.is_unspecified() && local(own))
}

/// Whether one port cannot be listened on at both addresses of this machine.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one.to_canonical() == other.to_canonical() || one.is_unspecified() || other.is_unspecified()
}

/// A network like that of the address, to put into a hint.
fn example_network(ip: IpAddr) -> &'static str {
    if ip.to_canonical().is_ipv4() { "10.0.0.0/8" } else { "2001:db8::/32" }
}

fn refused<T>(key: &str, problem: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError { line: None, key: key.to_owned(), problem: problem.into() })
}
