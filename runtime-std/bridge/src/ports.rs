//! The ports of the bridge: opening them, and their addresses. A row is a control port with the ports
//! of images and of unsolicited messages that follow it, as programs expect them.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

use smol::Async;

use crate::BridgeError;
use crate::settings::{ListenSettings, PortRow};

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

/// Opens the main row and the named ones.
pub(crate) fn open_rows(listen: &ListenSettings) -> Result<(OpenRow, Vec<OpenRow>), BridgeError> {
    // A free port that the system chooses must not be one that the settings name.
    let (chosen, free): (Vec<_>, Vec<_>) =
        listen.rows().into_iter().partition(|(_, row)| row.control.port() != 0);
    let mut rows = Vec::new();
    for (name, row) in chosen.into_iter().chain(free) {
        rows.push(open_row(name.as_deref(), &row)?);
    }
    let main = rows.iter().position(|row| row.name.is_none()).unwrap_or_default();
    let main = rows.remove(main);
    Ok((main, rows))
}

/// Opens a row. With control port 0, the ports that follow it are free ones directly above it.
fn open_row(name: Option<&str>, row: &PortRow) -> Result<OpenRow, BridgeError> {
    let mut attempts = if row.control.port() == 0 { ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match open_row_once(name, row) {
            Err(_) if attempts > 0 => {}
            result => return result,
        }
    }
}

fn open_row_once(name: Option<&str>, row: &PortRow) -> Result<OpenRow, BridgeError> {
    let failed = |source| BridgeError::Bind { address: row.control, source };
    let control = TcpListener::bind(row.control).map_err(failed)?;
    let address = control.local_addr().map_err(failed)?;
    // The address of the settings, with the port number that the system chose.
    let row = PortRow { control: SocketAddr::new(row.control.ip(), address.port()), ..*row };
    let none_left = || {
        let source = io::Error::from(io::ErrorKind::AddrNotAvailable);
        BridgeError::Bind { address: row.control, source }
    };
    if row.is_beyond_the_last_port() {
        return Err(none_left());
    }
    let open = |address: Option<SocketAddr>| address.map(bind).transpose();
    Ok(OpenRow {
        name: name.map(str::to_owned),
        control,
        live: open(row.live_address())?,
        stack: open(row.stack_address())?,
        callback: open(row.callback_address())?,
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

/// Opens one port.
pub(crate) fn bind(address: SocketAddr) -> Result<Async<TcpListener>, BridgeError> {
    Async::<TcpListener>::bind(address).map_err(|source| BridgeError::Bind { address, source })
}

pub(crate) fn local_address(listener: &Async<TcpListener>) -> SocketAddr {
    or_unknown(listener.get_ref().local_addr())
}

fn or_unknown(address: io::Result<SocketAddr>) -> SocketAddr {
    // A listening socket always has an address.
    address.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
}
