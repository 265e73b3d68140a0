//! Settings are saved whole or not at all, and the limits are those that the instrument has. Loading
//! and saving with faults on is in `devices.rs`.

use flamingo_microscope::units::Mm;
use flamingo_microscope::{Axis, Error};
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::peer::{self, Peer};
use flamingo_runtime_testkit::test_microscope::{
    self, microscope, microscope_and_peer, microscope_and_peer_with, patience, simulator,
};
use smol::future;

/// Answers a save with a status, and then the query that reads the settings back.
async fn acknowledge(peer: &mut Peer, status: i32, said: &str, now: &str) -> Vec<u8> {
    let save = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).await;
    let sent = peer.read_bytes(save.payload_len as usize).await;
    let mut answer = peer::answer_to(&save, 0.0);
    answer.status = status;
    answer.set_text(said).unwrap();
    peer.write(&answer).await;
    let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
    let mut answer = peer::answer_to(&query, 0.0);
    answer.status = status;
    answer.payload_len = u32::try_from(now.len()).unwrap();
    peer.write_bytes(&[&answer.encode()[..], now.as_bytes()].concat()).await;
    sent
}

#[test]
fn saved_means_that_the_instrument_has_the_settings() {
    let text = test_microscope::SETTINGS.replace("12.000", "11.000");
    let padded = format!("{}\0\0", text.replace('\n', "\r\n"));
    for (status, said, now, saved) in [
        (1, "", text.as_str(), true),
        (0, "", text.as_str(), true),
        (7, "done", text.as_str(), true),
        (1, "", padded.as_str(), true),
        (1, "", test_microscope::SETTINGS, false),
        (0, "disk full", test_microscope::SETTINGS, false),
        (1, "", "<Stage limits>\n</Stage limits>\n", false),
    ] {
        smol::block_on(async {
            let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
            let settings = microscope.settings();
            let answered = acknowledge(&mut peer, status, said, now);
            let (done, sent) = future::zip(settings.save(text.as_bytes()), answered).await;
            assert_eq!(sent, text.as_bytes());
            match &done {
                Ok(seen) => assert_eq!((seen.status, seen.text.as_str()), (status, said)),
                Err(error) => {
                    let Error::NotSaved { status: seen, reason, .. } = error else {
                        panic!("{error}")
                    };
                    assert_eq!((*seen, reason.as_str()), (status, said));
                    assert!(error.to_string().contains("line 2: expected"), "{error}");
                    assert_eq!(error.exit_code(), 5);
                }
            }
            assert_eq!(done.is_ok(), saved, "status {status}: {done:?}");
            let limits = settings.get().await.unwrap().limits(Axis::X).clone();
            let within = limits.known().is_ok() && limits.check(Axis::X, Mm(11.5).into()).is_ok();
            assert_eq!(within, now == test_microscope::SETTINGS, "the limits of the instrument");
        });
    }
}

#[test]
fn one_bad_line_leaves_the_other_axes_their_limits() {
    let bad = test_microscope::SETTINGS.replace("max x-axis = 12.000", "max x-axis = 12,000");
    let bad = format!("{bad}<Type>\n");
    smol::block_on(async {
        let (microscope, _peer) = microscope_and_peer_with(&bad, patience(), |_| ()).await;
        let settings = microscope.settings().get().await.unwrap();
        let lines: Vec<_> = settings.findings().iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [Some(2), Some(12)]);
        let why = settings.limits(Axis::X).known().unwrap_err().to_string();
        assert!(why.starts_with("line 2: Soft limit max x-axis: expected a finite"), "{why}");
        for axis in [Axis::Y, Axis::Z, Axis::R] {
            assert_eq!(settings.limits(axis).known(), Ok(()), "{axis}");
        }
        assert!(microscope.stage().move_to(Axis::X, Mm(5.0)).await.is_err());
    });
}

#[test]
fn an_acknowledgement_without_its_end_marker_does_not_count() {
    smol::block_on(async {
        let (microscope, mut peer) = microscope_and_peer(|options| {
            options.timeout = std::time::Duration::from_millis(200);
        })
        .await;
        let settings = microscope.settings();
        let (saved, ()) = future::zip(settings.save(test_microscope::SETTINGS.as_bytes()), async {
            let save = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).await;
            peer.read_bytes(save.payload_len as usize).await;
            let mut bytes = peer::answer_to(&save, 0.0).encode();
            bytes[127] ^= 1;
            peer.write_bytes(&bytes).await;
        })
        .await;
        assert!(saved.is_err());
    });
}

#[test]
fn settings_that_cannot_be_read_are_never_sent() {
    smol::block_on(async {
        let simulator = simulator("").await;
        let microscope = microscope(&simulator).await;
        let broken = test_microscope::SETTINGS.replace("12.000", "twelve");
        let refused = microscope.settings().save(broken.as_bytes()).await;
        let Err(Error::Settings(error)) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("line 2"), "{error}");
        let save = CommandCode::COMMON_SCOPE_SETTINGS_SAVE;
        assert!(simulator.truth().received().iter().all(|record| record.frame.code != save));
    });
}
