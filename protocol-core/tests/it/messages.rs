//! The texts of errors: what was expected, what was found, what to do. The tests of each call show
//! when the errors come.

use flamingo_protocol_core::error::{CommandError, Full, TextError};

#[test]
fn every_refusal_of_a_command_says_what_to_change() {
    let full = |what| CommandError::Full { what };
    let expected = [
        (
            CommandError::PayloadTooLong { limit: 10, found: 11 },
            "expected at most 10 bytes, found 11",
        ),
        (CommandError::NeverAnswered, "send it instead"),
        (CommandError::Closed, "make a new one"),
        (full(Full::Requests), "requests in flight"),
        (full(Full::Tombstones), "answers still owed"),
        (full(Full::Queue), "queue of frames to send"),
        (full(Full::StopLane), "reserved for HALT and laser-off"),
    ];
    for (error, part) in expected {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(TextError::Nul.to_string(), "buffer: text must not contain a NUL");
}

#[cfg(feature = "embedded-io")]
#[test]
fn a_pump_says_what_the_port_did_and_lends_the_ports_own_error() {
    use core::error::Error as _;
    use embedded_io::ErrorKind;
    use flamingo_protocol_core::pump::PumpError;

    let broken = PumpError::Port(ErrorKind::BrokenPipe);
    assert_eq!(broken.to_string(), format!("port: {}", ErrorKind::BrokenPipe));
    let source = broken.source().unwrap();
    assert_eq!(source.downcast_ref(), Some(&ErrorKind::BrokenPipe));

    let ended = PumpError::<ErrorKind>::Ended { unfinished: 0, missing: 0 };
    assert_eq!(ended.to_string(), "the peer closed its end");
    assert!(ended.source().is_none());
    let refused = PumpError::<ErrorKind>::WriteZero.to_string();
    assert_eq!(refused, "port: expected it to take bytes, it took none");
    let empty = PumpError::<ErrorKind>::NoScratch.to_string();
    assert_eq!(empty, "scratch: expected room for at least 1 byte");
}
