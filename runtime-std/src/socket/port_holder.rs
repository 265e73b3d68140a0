//! Why a port cannot be opened: who has it, as far as the operating system says so. It reads the tables
//! of sockets of Linux; on another system it says nothing more.

use std::io;
use std::net::SocketAddr;

/// The same error, with what is known about who has the port at `address`.
#[must_use]
pub fn explain(address: SocketAddr, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::AddrInUse {
        return error;
    }
    let holder = holder(address).map(|holder| format!("; {holder}")).unwrap_or_default();
    let range = outgoing_range(address.port()).unwrap_or_default();
    io::Error::new(error.kind(), format!("{error}{holder}{range}"))
}

#[cfg(not(target_os = "linux"))]
fn holder(_: SocketAddr) -> Option<String> {
    None
}

#[cfg(not(target_os = "linux"))]
fn outgoing_range(_: u16) -> Option<String> {
    None
}

#[cfg(target_os = "linux")]
use linux::{holder, outgoing_range};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    /// The state of a socket that listens, in the tables of Linux.
    const LISTENS: &str = "0A";

    /// A line of a table of sockets.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Line {
        pub(super) own: SocketAddr,
        pub(super) peer: SocketAddr,
        pub(super) listens: bool,
        pub(super) user: u32,
        pub(super) inode: u64,
    }

    impl Line {
        /// `None`: it is the heading, or it has another form.
        pub(super) fn read(line: &str) -> Option<Self> {
            let mut fields = line.split_whitespace().skip(1);
            let (own, peer) = (address(fields.next()?)?, address(fields.next()?)?);
            let listens = fields.next()? == LISTENS;
            let user = fields.nth(3)?.parse().ok()?;
            let inode = fields.nth(1)?.parse().ok()?;
            Some(Self { own, peer, listens, user, inode })
        }
    }

    /// Each word of the address is printed as a number of this processor.
    fn address(text: &str) -> Option<SocketAddr> {
        let (words, port) = text.split_once(':')?;
        let word = |at: usize| {
            let word = u32::from_str_radix(words.get(8 * at..8 * at + 8)?, 16).ok()?;
            Some(word.to_ne_bytes())
        };
        let ip = match words.len() {
            8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
            32 => {
                let words = [word(0)?, word(1)?, word(2)?, word(3)?];
                let bytes: [u8; 16] = words.concat().try_into().ok()?;
                IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
            }
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
    }

    /// How often the tables are read until they show a program that listens. The kernel hands them out in parts: a
    /// line can be missing while other sockets come and go.
    const READINGS: u32 = 5;

    /// Who has this port: a program that listens, or else a connection.
    pub(super) fn holder(address: SocketAddr) -> Option<String> {
        let mut line = None;
        for _ in 0..READINGS {
            line = likeliest(address).or(line);
            if line.as_ref().is_some_and(|line| line.listens) {
                break;
            }
        }
        let line = line?;
        let who = process(line.inode).unwrap_or_else(|| match line.inode {
            0 => "a program that has ended".to_owned(),
            _ => format!("a program of user {}", line.user),
        });
        Some(if line.listens {
            format!("{who} listens on it")
        } else {
            format!("{who} has a connection from it to {}", line.peer)
        })
    }

    /// The line of the socket that most likely has this port.
    fn likeliest(address: SocketAddr) -> Option<Line> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        let tables = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
        let ip = address.ip().to_canonical();
        let conflicts = |line: &Line| {
            let own = line.own.ip();
            let same = own == ip || own.is_unspecified() || ip.is_unspecified();
            line.own.port() == address.port() && same
        };
        let lines = tables.iter().flat_map(|table| table.lines().filter_map(Line::read));
        // A connection that is over for its program keeps the port for a minute, and has no inode.
        lines.filter(conflicts).max_by_key(|line| (line.listens, line.inode != 0))
    }

    /// The name and the number of the process with this socket, if this user may see that.
    fn process(inode: u64) -> Option<String> {
        let socket = format!("socket:[{inode}]");
        let has_it = |process: &fs::DirEntry| {
            let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
            if !process.file_name().to_str().is_some_and(is_number) {
                return false;
            }
            let Ok(mut files) = fs::read_dir(process.path().join("fd")) else { return false };
            files.any(|file| {
                let target = file.and_then(|file| fs::read_link(file.path()));
                target.is_ok_and(|target| target.as_os_str() == socket.as_str())
            })
        };
        let found = fs::read_dir("/proc").ok()?.flatten().find(has_it)?;
        let name = fs::read_to_string(found.path().join("comm")).unwrap_or_default();
        let number = found.file_name().into_string().ok()?;
        Some(format!("{:?} (process {number})", name.trim_end()))
    }

    /// Says so if the system gives this port to outgoing connections.
    pub(super) fn outgoing_range(port: u16) -> Option<String> {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
        let (first, last) = range.trim().split_once(char::is_whitespace)?;
        let (first, last) = (first.parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
        (first..=last).contains(&port).then(|| {
            format!(
                "; Linux takes the ports {first} to {last} for outgoing connections of any program, \
                 apart from those in net.ipv4.ip_local_reserved_ports"
            )
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::linux::Line;
    use super::*;

    fn refusal(address: SocketAddr) -> String {
        let error = TcpListener::bind(address).expect_err("the port is taken");
        let explained = explain(address, error);
        assert_eq!(explained.kind(), io::ErrorKind::AddrInUse);
        explained.to_string()
    }

    #[test]
    fn a_program_that_listens_is_named() {
        for own in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(listener) = TcpListener::bind(own) else { continue };
            let address = listener.local_addr().unwrap();
            let error = refusal(address);
            let own = format!("(process {}) listens on it", std::process::id());
            assert!(error.contains(&own), "{error}");
            assert!(error.contains("net.ipv4.ip_local_reserved_ports"), "{error}");
        }
    }

    #[test]
    fn an_outgoing_connection_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let connection = TcpStream::connect(peer).unwrap();
        let error = refusal(connection.local_addr().unwrap());
        assert!(error.contains(&format!("has a connection from it to {peer}")), "{error}");
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
    }

    #[test]
    fn another_error_is_not_explained() {
        let address = "127.0.0.1:1".parse().unwrap();
        let denied = explain(address, io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            denied.to_string(),
            io::Error::from(io::ErrorKind::PermissionDenied).to_string()
        );
    }

    #[test]
    fn a_line_that_has_another_form_is_left_out() {
        for line in ["", "  sl  local_address rem_address   st", "0: 0100007F", "0: x:y z:w 0A"] {
            assert_eq!(Line::read(line), None, "{line}");
        }
    }
}
