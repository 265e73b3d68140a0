//! Random conversations over faulty links with random configurations. The oracle checks each frame when it
//! is received, and all counters at the end. Proptest stores failures in
//! `properties.proptest-regressions` beside this file.

use flamingo_protocol_core::{
    Config,
    connection::{OnAmbiguous, OrderingDomain, TokenField, UnmarkedPushes},
};
use flamingo_testkit::{Faults, Harness, HarnessOptions, Op};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

fn configs() -> impl Strategy<Value = Config> {
    let ordering = prop_oneof![
        3 => Just(OrderingDomain::Subsystem),
        1 => Just(OrderingDomain::Connection),
        1 => Just(OrderingDomain::Key),
    ];
    let tokens = prop_oneof![
        4 => Just(None),
        1 => Just(Some(TokenField::ClientId)),
        1 => Just(Some(TokenField::Int32Data2)),
    ];
    let unmarked = prop::array::uniform4(any::<bool>());
    let others = (any::<bool>(), prop::bool::weighted(0.2), any::<bool>(), 0..6_usize);
    (ordering, tokens, unmarked, others).prop_map(|(ordering, tokens, unmarked, others)| {
        let [positions, lights, after_set, other_clients] = unmarked;
        let (presume, peer_tags, upload_echo_has_payload, window) = others;
        Config::default()
            .with_ordering(ordering)
            .with_tokens(tokens)
            .with_unmarked(
                UnmarkedPushes::default()
                    .with_positions(positions)
                    .with_lights(lights)
                    .with_after_set(after_set)
                    .with_other_clients(other_clients),
            )
            .with_on_ambiguous(if presume { OnAmbiguous::Presume } else { OnAmbiguous::Refuse })
            .with_peer_tags(peer_tags)
            .with_upload_echo_has_payload(upload_echo_has_payload)
            .with_window(window)
    })
}

fn faults() -> impl Strategy<Value = Faults> {
    let sizes = || prop_oneof![Just(1_usize), 2..300_usize, Just(usize::MAX)];
    let latency = prop_oneof![Just(0), 1..50_000_u64, 100_000..2_000_000_u64];
    (latency, sizes(), sizes(), prop_oneof![64..600_usize, Just(usize::MAX)])
        .prop_map(|(latency, write, read, capacity)| Faults { latency, write, read, capacity })
}

fn options() -> impl Strategy<Value = HarnessOptions> {
    (configs(), faults(), any::<u64>(), any::<Option<u8>>())
        .prop_map(|(config, faults, seed, stale)| HarnessOptions { config, faults, seed, stale })
}

/// Operations on a connection that stays open.
fn op() -> impl Strategy<Value = Op> {
    let millis = || prop_oneof![0..60_u16, 0..4000_u16];
    prop_oneof![
        20 => (any::<u8>(), millis()).prop_map(|(which, ms)| Op::Ask(which, 200 + ms)),
        2 => any::<u8>().prop_map(Op::Send),
        2 => (any::<bool>(), any::<u8>()).prop_map(|(asked, len)| Op::Upload(asked, len)),
        2 => any::<u8>().prop_map(Op::Halt),
        4 => (0..16_u8).prop_map(Op::Cancel),
        6 => millis().prop_map(Op::Pass),
        12 => Just(Op::Take),
        3 => Just(Op::Drop),
        12 => any::<u8>().prop_map(Op::Answer),
        4 => any::<u8>().prop_map(Op::Push),
        2 => any::<(u8, u8)>().prop_map(|(seed, len)| Op::Feed(seed, len)),
        2 => (any::<bool>(), millis()).prop_map(|(up, ms)| Op::Stall(up, ms)),
        3 => Just(Op::Serve),
    ]
}

fn config(cases: u32) -> ProptestConfig {
    if cfg!(miri) {
        return ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() };
    }
    let persistence = FileFailurePersistence::WithSource("proptest-regressions");
    let cases = cases.max(ProptestConfig::default().cases);
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

fn longest() -> usize {
    if cfg!(miri) { 10 } else { 150 }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn the_client_reports_the_truth_over_faulty_links(
        options in options(),
        ops in prop::collection::vec(op(), 1..longest()),
    ) {
        let mut harness = Harness::new(options);
        for op in ops {
            harness.run(op);
        }
        let oracle = harness.finish();
        prop_assert_eq!(oracle.received.len(), oracle.sent.len());
    }

    #[test]
    fn each_request_has_one_outcome_when_the_link_breaks(
        options in options(),
        before in prop::collection::vec(op(), 1..longest()),
        end in prop_oneof![Just(Op::Eof), Just(Op::Reset), Just(Op::CloseUp)],
        after in prop::collection::vec(op(), 0..10),
    ) {
        let mut harness = Harness::new(options);
        for op in before.into_iter().chain([end]).chain(after) {
            harness.run(op);
        }
        harness.finish();
    }

    #[test]
    fn doubled_answers_lose_no_frame_and_no_outcome(
        options in options(),
        ops in prop::collection::vec(prop_oneof![4 => op(), 1 => any::<u8>().prop_map(Op::Double)], 1..longest()),
    ) {
        let mut harness = Harness::new(options);
        for op in ops {
            harness.run(op);
        }
        harness.finish();
    }
}
