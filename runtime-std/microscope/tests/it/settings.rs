//! Settings are saved whole or not at all, and the limits are those that the instrument has. Loading
//! and saving with faults on is in `devices.rs`.

use flamingo_microscope::units::Mm;
use flamingo_microscope::{Axis, Error};
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::peer;
use flamingo_runtime_testkit::test_microscope::{self, microscope, microscope_and_peer, simulator};
use smol::future;

#[test]
fn settings_are_saved_only_if_the_acknowledgement_is_success() {
    for (status, saved) in [(1, true), (0, false), (7, false)] {
        smol::block_on(async {
            let (microscope, mut peer) = microscope_and_peer(|_| ()).await;
            let settings = microscope.settings();
            let text = test_microscope::SETTINGS.replace("12.000", "11.000");
            let (done, ()) = future::zip(settings.save(text.as_bytes()), async {
                let save = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).await;
                assert_eq!(peer.read_bytes(save.payload_len as usize).await, text.as_bytes());
                let mut answer = peer::answer_to(&save, 0.0);
                answer.status = status;
                peer.write(&answer).await;
            })
            .await;
            assert_eq!(done.is_ok(), saved, "status {status}: {done:?}");
            let limits = settings.get().await.unwrap().limits(Axis::X).clone();
            let within = limits.check(Axis::X, Mm(11.5).into()).is_ok();
            assert_eq!(within, !saved, "the limits are those that the instrument has");
        });
    }
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
