//! The three ports of a program that takes the place of an instrument: control, live images, stack
//! images. They are consecutive unless chosen otherwise. Accepting connections is `acceptor.rs`.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::{fmt, io};

use smol::Async;

use super::port_holder;

/// How often three consecutive free ports are looked for.
const ATTEMPTS: u32 = 200;

/// Why [`InstrumentPorts::listen`] failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// The operating system refuses to listen on an address.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The live or the stack port would be above 65535.
    PortRange,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, source } => {
                let choose = match source.kind() {
                    io::ErrorKind::AddrNotAvailable => "an address of this machine",
                    _ => "another port, or 0 for free ones",
                };
                write!(f, "cannot listen on {address}: {source}; choose {choose}")
            }
            Self::PortRange => f.write_str(
                "the live and stack ports follow the control port: it must be at most 65533",
            ),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } => Some(source),
            Self::PortRange => None,
        }
    }
}

/// Where to listen.
///
/// ```
/// use flamingo_runtime_std::socket::instrument_ports::InstrumentPorts;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ports = InstrumentPorts::consecutive("127.0.0.1:0".parse()?);
/// let (_listeners, [control, live, stack]) = ports.listen()?;
/// assert_eq!([live.port(), stack.port()], [control.port() + 1, control.port() + 2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InstrumentPorts {
    /// The address to listen on.
    pub ip: IpAddr,
    /// The control port; 0 chooses three consecutive free ports.
    pub port: u16,
    /// The port of live images; `None`: the control port + 1.
    pub live: Option<u16>,
    /// The port of stack images; `None`: the control port + 2.
    pub stack: Option<u16>,
}

impl InstrumentPorts {
    /// Consecutive ports from the control port `at` on.
    pub const fn consecutive(at: SocketAddr) -> Self {
        Self { ip: at.ip(), port: at.port(), live: None, stack: None }
    }

    /// Sets [`Self::live`]; `None`: the control port + 1.
    #[must_use]
    pub fn live(mut self, port: impl Into<Option<u16>>) -> Self {
        self.live = port.into();
        self
    }

    /// Sets [`Self::stack`]; `None`: the control port + 2.
    #[must_use]
    pub fn stack(mut self, port: impl Into<Option<u16>>) -> Self {
        self.stack = port.into();
        self
    }

    /// Listens on the control, live and stack port. Returns the listeners and their addresses.
    ///
    /// # Errors
    /// [`ListenError`], after 200 attempts if the ports may be chosen.
    pub fn listen(&self) -> Result<([Async<TcpListener>; 3], [SocketAddr; 3]), ListenError> {
        let mut attempts = if self.port == 0 { ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match self.listen_once() {
                Err(_) if attempts > 0 => {}
                Err(ListenError::Bind { address, source }) => {
                    let source = port_holder::explain(address, source);
                    return Err(ListenError::Bind { address, source });
                }
                result => return result,
            }
        }
    }

    fn listen_once(&self) -> Result<([Async<TcpListener>; 3], [SocketAddr; 3]), ListenError> {
        let (control, control_at) = listen(self.ip, Some(self.port))?;
        let port = control_at.port();
        let (live, live_at) = listen(self.ip, self.live.or(port.checked_add(1)))?;
        let (stack, stack_at) = listen(self.ip, self.stack.or(port.checked_add(2)))?;
        Ok(([control, live, stack], [control_at, live_at, stack_at]))
    }
}

/// `None`: the port would be above 65535.
fn listen(ip: IpAddr, port: Option<u16>) -> Result<(Async<TcpListener>, SocketAddr), ListenError> {
    let address = SocketAddr::new(ip, port.ok_or(ListenError::PortRange)?);
    let bound = Async::<TcpListener>::bind(address)
        .and_then(|listener| listener.get_ref().local_addr().map(|at| (listener, at)));
    bound.map_err(|source| ListenError::Bind { address, source })
}

/// The address of the image port `offset` above a control port: 1 for live images, 2 for stacks.
/// `None`: `control` is no `HOST:PORT`, or the port would be above 65535.
///
/// ```
/// use flamingo_runtime_std::socket::instrument_ports::image_port;
/// assert_eq!(image_port("scope.lab:53717", 1).as_deref(), Some("scope.lab:53718"));
/// assert_eq!(image_port("[::1]:65535", 1), None);
/// ```
#[must_use]
pub fn image_port(control: &str, offset: u16) -> Option<String> {
    let (host, port) = control.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?.checked_add(offset)?;
    Some(format!("{host}:{port}"))
}
