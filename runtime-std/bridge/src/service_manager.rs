//! Tells the service manager (systemd) the state of the bridge. Without a service manager, or on a
//! system that has none, the calls do nothing.

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
    if let Err(error) = sd_notify::notify(&messages(state)) {
        tracing::warn!(?state, %error, "the service manager was not told");
    }
    #[cfg(not(unix))]
    let _ = state;
}

#[cfg(unix)]
fn messages(state: ServiceState) -> Vec<sd_notify::NotifyState<'static>> {
    use sd_notify::NotifyState;
    match state {
        ServiceState::Ready => vec![NotifyState::Ready],
        // Type=notify-reload requires the time at which the reload began.
        ServiceState::Reloading => {
            let since = NotifyState::monotonic_usec_now().ok();
            std::iter::once(NotifyState::Reloading).chain(since).collect()
        }
        ServiceState::Stopping => vec![NotifyState::Stopping],
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn texts(state: ServiceState) -> Vec<String> {
        messages(state).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_state_is_sent_in_the_words_of_systemd() {
        assert_eq!(texts(ServiceState::Ready), ["READY=1"]);
        assert_eq!(texts(ServiceState::Stopping), ["STOPPING=1"]);
        let reloading = texts(ServiceState::Reloading);
        assert_eq!(reloading[0], "RELOADING=1");
        assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        // The environment of the tests names none.
        notify(ServiceState::Ready);
    }
}
