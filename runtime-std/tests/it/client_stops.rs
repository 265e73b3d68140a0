//! HALT and uploads in front of a scripted peer: what overtakes what, what is never split, and what
//! must not run after a stop.

use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::Error;
use flamingo_runtime_testkit::peer::{connected, opened};
use smol::future;

#[test]
fn a_halt_whose_future_is_dropped_goes_out_all_the_same() {
    smol::block_on(async {
        let (client, driver, mut peer) = opened(|_| {}).await;
        // The driver does not run yet: it finds the HALT when its caller has gone.
        assert!(future::poll_once(Box::pin(client.halt(2))).await.is_none());
        let driver = smol::spawn(driver);
        assert_eq!(peer.expect(CommandCode::STAGE_HALT).await.selector(), 2);
        client.close().await;
        driver.await;
    });
}

#[test]
fn a_halt_is_sent_even_when_too_many_are_unanswered() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let halts: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                smol::spawn(async move { client.halt(1).await })
            })
            .collect();
        for _ in 0..20 {
            peer.expect(CommandCode::STAGE_HALT).await;
        }
        drop(peer);
        let mut unconfirmed = 0;
        for halt in halts {
            unconfirmed += usize::from(matches!(halt.await, Err(Error::Unconfirmed { .. })));
        }
        assert_eq!(unconfirmed, 20 - 8, "eight of one axis can be waited for");
    });
}
