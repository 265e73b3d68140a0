//! What the service manager is told. Without one (or on a system that has none) nothing happens.

/// What the bridge is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// All ports listen; also after a reload.
    Ready,
    /// The allow-list and the roles are being read again; `Ready` follows.
    Reloading,
    /// No client is let in any more.
    Stopping,
}

/// Tells the service manager. That it could not be told is logged, and changes nothing.
pub fn notify(notice: Notice) {
    #[cfg(unix)]
    if let Err(error) = sd_notify::notify(&states(notice)) {
        tracing::warn!(?notice, %error, "the service manager could not be told");
    }
    #[cfg(not(unix))]
    let _ = notice;
}

#[cfg(unix)]
fn states(notice: Notice) -> Vec<sd_notify::NotifyState<'static>> {
    use sd_notify::NotifyState;
    match notice {
        Notice::Ready => vec![NotifyState::Ready],
        // Type=notify-reload wants to know when it began.
        Notice::Reloading => {
            let since = NotifyState::monotonic_usec_now().ok();
            std::iter::once(NotifyState::Reloading).chain(since).collect()
        }
        Notice::Stopping => vec![NotifyState::Stopping],
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn words(notice: Notice) -> Vec<String> {
        states(notice).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_service_manager_is_told_in_its_own_words() {
        assert_eq!(words(Notice::Ready), ["READY=1"]);
        assert_eq!(words(Notice::Stopping), ["STOPPING=1"]);
        let reloading = words(Notice::Reloading);
        assert_eq!(reloading[0], "RELOADING=1");
        assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        // The environment of the tests names none.
        notify(Notice::Ready);
    }
}
