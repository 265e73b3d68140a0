//! The ports of the bridge: opening them, and their addresses. A row is a control port with the ports
//! of images and of unsolicited messages that follow it, as programs expect them.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

use smol::Async;

use crate::BridgeError;
use crate::settings::{ListenSettings, PortRow, option_of};
use flamingo_runtime_std::socket::port_holder;

/// How often free ports in a row are looked for.
const ATTEMPTS: u32 = 200;

/// The open ports of one row. `None`: the port is off.
pub(crate) struct OpenRow {
    /// The name of the control port; the main one has none.
    pub(crate) name: Option<String>,
    pub(crate) control: TcpListener,
    pub(crate) live: Option<Async<TcpListener>>,
    pub(crate) stack: Option<Async<TcpListener>>,
    pub(crate) callback: Option<Async<TcpListener>>,
}

/// Where the ports of one row listen. `None`: the port is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowAddresses {
    /// The control port.
    pub control: SocketAddr,
    /// The port of live images.
    pub live: Option<SocketAddr>,
    /// The port of stack images.
    pub stack: Option<SocketAddr>,
    /// The port of unsolicited messages.
    pub callback: Option<SocketAddr>,
}

/// Where each port listens.
pub(crate) struct Addresses {
    pub(crate) main: RowAddresses,
    pub(crate) named: BTreeMap<String, RowAddresses>,
    pub(crate) status: Option<SocketAddr>,
}

/// All open ports.
pub(crate) struct OpenPorts {
    pub(crate) main: OpenRow,
    pub(crate) named: Vec<OpenRow>,
    pub(crate) status: Option<Async<TcpListener>>,
}

/// Opens all ports.
pub(crate) fn open_ports(listen: &ListenSettings) -> Result<OpenPorts, BridgeError> {
    // A free port that the system chooses must not be one that the settings name.
    let mut status = open_status(listen.status.filter(|address| address.port() != 0))?;
    let (chosen, free): (Vec<_>, Vec<_>) =
        listen.rows().into_iter().partition(|(_, row)| row.control.port() != 0);
    let mut rows = Vec::new();
    for (name, row) in chosen.into_iter().chain(free) {
        rows.push(open_row(name.as_deref(), &row)?);
    }
    if status.is_none() {
        status = open_status(listen.status)?;
    }
    let main = rows.iter().position(|row| row.name.is_none()).unwrap_or_default();
    let main = rows.remove(main);
    Ok(OpenPorts { main, named: rows, status })
}

fn open_status(address: Option<SocketAddr>) -> Result<Option<Async<TcpListener>>, BridgeError> {
    let opened = address.map(|address| bind("listen.status".to_owned(), address)).transpose();
    opened.map_err(explained)
}

/// Opens a row. With control port 0, the ports that follow it are free ones directly above it.
fn open_row(name: Option<&str>, row: &PortRow) -> Result<OpenRow, BridgeError> {
    let mut attempts = if row.control.port() == 0 { ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match open_row_once(name, row) {
            Err(_) if attempts > 0 => {}
            result => return result.map_err(explained),
        }
    }
}

fn open_row_once(name: Option<&str>, row: &PortRow) -> Result<OpenRow, BridgeError> {
    let option = |option| option_of(name, option);
    let failed =
        |source| BridgeError::Bind { option: option("control"), address: row.control, source };
    let control = TcpListener::bind(row.control).map_err(failed)?;
    let address = control.local_addr().map_err(failed)?;
    // The address of the settings, with the port number that the system chose.
    let row = PortRow { control: SocketAddr::new(row.control.ip(), address.port()), ..*row };
    if row.is_beyond_the_last_port() {
        return Err(failed(io::ErrorKind::AddrNotAvailable.into()));
    }
    let [live, stack, callback] = row.followers().map(|(follower, _, address)| {
        address.map(|address| bind(option(follower), address)).transpose()
    });
    Ok(OpenRow {
        name: name.map(str::to_owned),
        control,
        live: live?,
        stack: stack?,
        callback: callback?,
    })
}

impl OpenRow {
    pub(crate) fn addresses(&self) -> RowAddresses {
        let address = |listener: &Option<Async<TcpListener>>| listener.as_ref().map(local_address);
        RowAddresses {
            control: or_unknown(self.control.local_addr()),
            live: address(&self.live),
            stack: address(&self.stack),
            callback: address(&self.callback),
        }
    }
}

fn bind(option: String, address: SocketAddr) -> Result<Async<TcpListener>, BridgeError> {
    let opened = Async::<TcpListener>::bind(address);
    opened.map_err(|source| BridgeError::Bind { option, address, source })
}

/// The same error; if a port is taken, it also says by whom.
fn explained(error: BridgeError) -> BridgeError {
    match error {
        BridgeError::Bind { option, address, source } => {
            let source = port_holder::explain(address, source);
            BridgeError::Bind { option, address, source }
        }
        other => other,
    }
}

/// What to do if the port of `option` cannot be opened.
pub(crate) fn another_port(option: &str, source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::AddrNotAvailable {
        return format!("set {option} to an address of this machine");
    }
    let (argument, what) = match option {
        "listen.control" => (" (--listen)", "another port, or 0 for free ones in a row"),
        "listen.callback" => (" (--callback-port)", "another port, 0 for a free one, or \"off\""),
        "listen.live" => (" (--live-port)", "another port, 0 for a free one, or \"off\""),
        "listen.stack" => (" (--stack-port)", "another port, 0 for a free one, or \"off\""),
        "listen.status" => (" (--status)", "another port, or 0 for a free one"),
        _ => ("", "another port, or 0 for a free one"),
    };
    format!("set {option}{argument} to {what}")
}

pub(crate) fn local_address(listener: &Async<TcpListener>) -> SocketAddr {
    or_unknown(listener.get_ref().local_addr())
}

fn or_unknown(address: io::Result<SocketAddr>) -> SocketAddr {
    // A listening socket always has an address.
    address.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PortChoice;

    /// Uses the port at this address for one purpose.
    type Take = fn(&mut ListenSettings, SocketAddr);

    fn settings(control: &str) -> ListenSettings {
        ListenSettings { control: control.parse().unwrap(), ..ListenSettings::default() }
    }

    fn refusal(listen: &ListenSettings) -> String {
        match open_ports(listen) {
            Ok(_) => panic!("a port is taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_taken_port_is_named_with_its_option_and_its_holder() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let cases: [(&str, &str, Take); 5] = [
            ("listen.control", "--listen", |listen, at| listen.control = at),
            ("listen.callback", "--callback-port", |listen, at| {
                listen.callback = PortChoice::Number(at.port());
            }),
            ("listen.live", "--live-port", |listen, at| {
                listen.live = PortChoice::Number(at.port());
            }),
            ("listen.stack", "--stack-port", |listen, at| {
                listen.stack = PortChoice::Number(at.port());
            }),
            ("listen.status", "--status", |listen, at| listen.status = Some(at)),
        ];
        for (option, argument, take) in cases {
            let mut listen = settings("127.0.0.1:0");
            take(&mut listen, address);
            let error = refusal(&listen);
            assert!(error.starts_with(&format!("{option}: cannot listen on {address}")), "{error}");
            assert!(error.contains(&format!("; set {option} ({argument}) to another")), "{error}");
            #[cfg(target_os = "linux")]
            assert!(
                error.contains(&format!("(process {}) listens", std::process::id())),
                "{error}"
            );
        }
    }

    #[test]
    fn a_taken_port_after_the_control_port_is_named() {
        let row = || {
            let open = open_ports(&settings("127.0.0.1:0")).ok()?;
            let addresses = open.main.addresses();
            drop(open.main.control);
            Some((addresses.control, addresses.callback?, open.main.callback))
        };
        let (control, callback, _taken) = row().expect("free ports in a row");
        let error = refusal(&settings(&control.to_string()));
        // Another program may have taken the control port in between, but not the callback port.
        let control = format!("listen.control: cannot listen on {control}");
        let callback = format!("listen.callback: cannot listen on {callback}");
        assert!(error.starts_with(&callback) || error.starts_with(&control), "{error}");
    }

    #[test]
    fn free_ports_are_in_a_row() {
        let mut rows = Vec::new();
        for _ in 0..30 {
            let mut listen = settings("127.0.0.1:0");
            listen.status = Some(listen.control);
            let open = open_ports(&listen).expect("free ports");
            let RowAddresses { control, live, stack, callback } = open.main.addresses();
            let after = |steps| Some(SocketAddr::new(control.ip(), control.port() + steps));
            assert_eq!([live, stack, callback], [after(1), after(2), after(3)]);
            assert!(open.status.is_some());
            rows.push(open);
        }
    }

    #[test]
    fn an_address_of_another_machine_is_named() {
        let error = refusal(&settings("192.0.2.1:0"));
        assert!(error.starts_with("listen.control: cannot listen on 192.0.2.1:0"), "{error}");
        assert!(error.ends_with("set listen.control to an address of this machine"), "{error}");
    }
}
