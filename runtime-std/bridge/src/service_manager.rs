//! Tells the service manager (systemd) the state of the bridge, and that it still serves its clients.
//! Without a service manager, or on a system that has none, the calls do nothing.

use std::future::Future;
use std::time::Duration;

use smol::{Timer, future};

use crate::Bridge;

/// A state of the bridge that the service manager waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceState {
    /// All ports listen, or a reload is complete.
    Ready,
    /// The access rules are being read again; [`Self::Ready`] follows.
    Reloading,
    /// The bridge accepts no more clients.
    Stopping,
    /// The bridge serves its clients; see [`feed_watchdog`].
    Alive,
}

/// Tells the service manager. A failure is logged and has no other effect.
///
/// ```
/// use flamingo_bridge::service_manager::{ServiceState, notify};
///
/// notify(ServiceState::Ready);
/// ```
pub fn notify(state: ServiceState) {
    #[cfg(unix)]
    if let Some(to) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = unix::send(&to, state)
    {
        tracing::warn!(?state, %error, "the service manager was not told");
    }
    #[cfg(not(unix))]
    let _ = state;
}

/// Tells the service manager again and again that the bridge is alive, if it wants to know (in systemd,
/// `WatchdogSec`). Each time, the thread that serves the clients must have answered before: if it
/// hangs, nothing is sent, and the service manager restarts the bridge. Never ends.
///
/// Cancel-safe: it only reads.
pub async fn feed_watchdog<T>(bridge: &Bridge) -> T {
    let [time, process] = ["WATCHDOG_USEC", "WATCHDOG_PID"].map(|name| std::env::var(name).ok());
    let Some(time) = watchdog_time(time.as_deref(), process.as_deref(), std::process::id()) else {
        return future::pending().await;
    };
    let serves = || async { bridge.status().await.is_some() };
    feed(time / 2, serves, || notify(ServiceState::Alive)).await
}

/// Calls `tell` again and again, each time after `serves` has ended with `true`.
async fn feed<T, F: Future<Output = bool>>(
    every: Duration,
    serves: impl Fn() -> F,
    tell: impl Fn(),
) -> T {
    loop {
        if serves().await {
            tell();
        }
        Timer::after(every).await;
    }
}

/// The time within which the service manager waits for [`ServiceState::Alive`]. `None`: it does not
/// wait, or it waits for another process than `own`.
fn watchdog_time(micros: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    if process.is_some_and(|process| process.parse() != Ok(own)) {
        return None;
    }
    let micros = micros?.parse::<u64>().ok().filter(|micros| *micros > 0)?;
    // Not more often: a shorter time is a mistake, and would keep a processor busy.
    Some(Duration::from_micros(micros.max(10_000)))
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::net::UnixDatagram;

    use sd_notify::NotifyState;

    use super::ServiceState;

    /// Sends one datagram to the socket of the service manager: a path, or on Linux a name after `@`.
    pub(super) fn send(to: &OsStr, state: ServiceState) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        connect(&socket, to)?;
        let lines: Vec<_> = messages(state).iter().map(ToString::to_string).collect();
        socket.send(lines.join("\n").as_bytes()).map(|_| ())
    }

    fn connect(socket: &UnixDatagram, to: &OsStr) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt;
            use std::os::unix::ffi::OsStrExt;
            use std::os::unix::net::SocketAddr;
            if let Some(name) = to.as_bytes().strip_prefix(b"@") {
                return socket.connect_addr(&SocketAddr::from_abstract_name(name)?);
            }
        }
        socket.connect(to)
    }

    pub(super) fn messages(state: ServiceState) -> Vec<NotifyState<'static>> {
        match state {
            ServiceState::Ready => vec![NotifyState::Ready],
            // Type=notify-reload requires the time at which the reload began.
            ServiceState::Reloading => {
                let since = NotifyState::monotonic_usec_now().ok();
                std::iter::once(NotifyState::Reloading).chain(since).collect()
            }
            ServiceState::Stopping => vec![NotifyState::Stopping],
            ServiceState::Alive => vec![NotifyState::Watchdog],
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn texts(state: ServiceState) -> Vec<String> {
        unix::messages(state).iter().map(ToString::to_string).collect()
    }

    fn received(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut bytes = [0; 200];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn each_state_is_sent_in_the_words_of_systemd() {
        assert_eq!(texts(ServiceState::Ready), ["READY=1"]);
        assert_eq!(texts(ServiceState::Stopping), ["STOPPING=1"]);
        assert_eq!(texts(ServiceState::Alive), ["WATCHDOG=1"]);
        let reloading = texts(ServiceState::Reloading);
        assert_eq!(reloading[0], "RELOADING=1");
        assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    }

    #[test]
    fn a_socket_with_a_path_is_told() {
        let folder = flamingo_runtime_testkit::folder::Folder::new("notify");
        let path = folder.path("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        unix::send(path.as_ref(), ServiceState::Reloading).unwrap();
        let text = received(&socket);
        assert!(text.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{text}");
        drop(folder);
        unix::send(path.as_ref(), ServiceState::Ready).unwrap_err();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_socket_with_an_abstract_name_is_told() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("flamingo-notify-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        unix::send(format!("@{name}").as_ref(), ServiceState::Ready).unwrap();
        assert_eq!(received(&socket), "READY=1");
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_fed() {
        let second = Some(Duration::from_secs(1));
        for (micros, process, expected) in [
            (Some("1000000"), Some("7"), second),
            (Some("1000000"), None, second),
            (Some("1000000"), Some("8"), None),
            (Some("1000000"), Some(""), None),
            (Some("0"), Some("7"), None),
            (Some("soon"), Some("7"), None),
            (None, Some("7"), None),
            (Some("1"), None, Some(Duration::from_millis(10))),
        ] {
            assert_eq!(watchdog_time(micros, process, 7), expected, "{micros:?} {process:?}");
        }
    }

    #[test]
    fn a_bridge_that_hangs_or_has_ended_is_not_reported_alive() {
        let (asked, told) = (AtomicU32::new(0), AtomicU32::new(0));
        let (hangs, hung) = async_channel::bounded::<()>(1);
        // It serves twice, has ended once, and then hangs.
        let serves = || {
            let (time, hangs) = (asked.fetch_add(1, Ordering::Relaxed), hangs.clone());
            async move {
                if time == 3 {
                    hangs.try_send(()).unwrap();
                    future::pending::<()>().await;
                }
                time < 2
            }
        };
        let tell = || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let fed = feed(Duration::from_millis(1), serves, tell);
        let until_hung = async { hung.recv().await.unwrap() };
        smol::block_on(future::or(fed, until_hung));
        assert_eq!(told.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        // The environment of the tests names none.
        notify(ServiceState::Ready);
    }
}
