//! Each rule has tests named after it; what a rule leaves open is for the next one.

use super::*;
use crate::entry::State;
use crate::key::Order;
use crate::ticket::Ticket;

const FIRST: Ticket = Ticket::NONE.next();
static OLD: Entry =
    Entry { ticket: FIRST, order: Order::FIRST.next(), state: State::Owed, ..Entry::FREE };
static WAITS: Entry = Entry {
    ticket: FIRST.next(),
    order: Order::FIRST.next().next(),
    state: State::Sent,
    ..Entry::FREE
};

const NOBODY: OwnersOfKey =
    OwnersOfKey { oldest: None, waiting: None, several: false, in_doubt: false, echo: None };
const ONLY_OLD: OwnersOfKey = OwnersOfKey { oldest: Some(&OLD), ..NOBODY };
const ONLY_WAITS: OwnersOfKey =
    OwnersOfKey { oldest: Some(&WAITS), waiting: Some(&WAITS), ..NOBODY };
const BOTH: OwnersOfKey =
    OwnersOfKey { oldest: Some(&OLD), waiting: Some(&WAITS), several: true, ..NOBODY };

const NOTHING_KNOWN: Facts = Facts {
    server_only: false,
    positions_in_buffer: false,
    untagged: false,
    token: None,
    owners: NOBODY,
    certain: true,
    on_ambiguous: OnAmbiguous::Refuse,
};

const ANSWER: Verdict = Verdict::Belongs { owner: &WAITS, proven: true };

#[test]
fn rule_1_a_code_only_the_server_sends_is_unsolicited_if_nobody_asked() {
    let facts = Facts { server_only: true, ..NOTHING_KNOWN };
    assert_eq!(classify(&facts), Verdict::Unsolicited);
    // What is owed for an ended request does not count as asking.
    assert_eq!(classify(&Facts { owners: ONLY_OLD, ..facts }), Verdict::Unsolicited);
}

#[test]
fn rule_1_leaves_a_code_that_was_asked_for_to_the_next_rules() {
    let facts = Facts { server_only: true, owners: ONLY_WAITS, certain: false, ..NOTHING_KNOWN };
    assert_eq!(classify(&facts), Verdict::Belongs { owner: &WAITS, proven: false });
}

#[test]
fn rule_2_positions_in_buffer_are_unsolicited_whatever_is_pending() {
    for (untagged, token) in [(false, None), (true, None), (false, Some(Named::Owner(&WAITS)))] {
        let facts = Facts { positions_in_buffer: true, untagged, token, ..NOTHING_KNOWN };
        assert_eq!(classify(&Facts { owners: ONLY_WAITS, ..facts }), Verdict::Unsolicited);
    }
}

#[test]
fn rule_3_a_peer_that_tags_sends_no_answer_without_the_tag() {
    let facts = Facts { owners: ONLY_WAITS, token: Some(Named::Owner(&WAITS)), ..NOTHING_KNOWN };
    assert_eq!(classify(&Facts { untagged: true, ..facts }), Verdict::Unsolicited);
    assert_eq!(classify(&facts), ANSWER);
}

#[test]
fn rule_4_the_token_decides_exactly() {
    // Two owners and no certainty: the token knows all the same.
    let facts = Facts { owners: BOTH, certain: false, ..NOTHING_KNOWN };
    let named = |owner| classify(&Facts { token: Some(owner), ..facts });
    assert_eq!(named(Named::Owner(&WAITS)), ANSWER);
    assert_eq!(named(Named::Owner(&OLD)), Verdict::Belongs { owner: &OLD, proven: true });
    assert_eq!(named(Named::Nobody), Verdict::Unsolicited);
}

#[test]
fn rule_5_one_possible_owner_gets_the_frame() {
    assert_eq!(classify(&Facts { owners: ONLY_WAITS, ..NOTHING_KNOWN }), ANSWER);
    let late = classify(&Facts { owners: ONLY_OLD, ..NOTHING_KNOWN });
    assert_eq!(late, Verdict::Belongs { owner: &OLD, proven: true });
    let unsure = classify(&Facts { owners: ONLY_OLD, certain: false, ..NOTHING_KNOWN });
    assert_eq!(unsure, Verdict::Belongs { owner: &OLD, proven: false });
}

#[test]
fn rule_5_several_possible_owners_are_ambiguous() {
    let verdict = classify(&Facts { owners: BOTH, ..NOTHING_KNOWN });
    assert_eq!(verdict, Verdict::Ambiguous { oldest: &OLD });
}

#[test]
fn rule_5_presumes_the_one_that_waits_if_it_was_told_to() {
    let facts = Facts { on_ambiguous: OnAmbiguous::Presume, owners: BOTH, ..NOTHING_KNOWN };
    assert_eq!(classify(&facts), Verdict::Belongs { owner: &WAITS, proven: false });
    // With nobody waiting there is nobody to presume.
    let owners = OwnersOfKey { waiting: None, ..BOTH };
    assert_eq!(classify(&Facts { owners, ..facts }), Verdict::Ambiguous { oldest: &OLD });
}

#[test]
fn rule_6_what_nobody_can_own_is_unsolicited() {
    assert_eq!(classify(&NOTHING_KNOWN), Verdict::Unsolicited);
}
