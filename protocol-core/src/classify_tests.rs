//! Each rule has tests named after it; what a rule leaves open is for the next one.

use super::*;
use crate::key::Order;
use crate::ticket::Ticket;

const OLD: Owner = Owner { ticket: Ticket::FIRST, order: Order::FIRST.next(), waits: false };
const WAITS: Owner = Owner { ticket: Ticket::FIRST.next(), order: Order::FIRST.next().next(), waits: true };

const NOTHING_KNOWN: Facts<'static> = Facts {
    server_only: false,
    positions_in_buffer: false,
    tag: None,
    token: None,
    owners: &[],
    certain: true,
    on_ambiguous: OnAmbiguous::Refuse,
};

const ANSWER: Class = Class::Solicited { ticket: WAITS.ticket, proven: true };

#[test]
fn rule_1_a_code_only_the_server_sends_is_unsolicited_if_nobody_asked() {
    let facts = Facts { server_only: true, ..NOTHING_KNOWN };
    assert_eq!(classify(&facts), UNSOLICITED);
    // What is owed for an ended request does not count as asking.
    assert_eq!(classify(&Facts { owners: &[OLD], ..facts }), UNSOLICITED);
}

#[test]
fn rule_1_leaves_a_code_that_was_asked_for_to_the_next_rules() {
    let facts = Facts { server_only: true, owners: &[WAITS], certain: false, ..NOTHING_KNOWN };
    let presumed = Class::Solicited { ticket: WAITS.ticket, proven: false };
    assert_eq!(classify(&facts), presumed);
}

#[test]
fn rule_2_positions_in_buffer_are_unsolicited_whatever_is_pending() {
    let named = Some(Named::Owner(WAITS));
    for (tag, token) in [(None, None), (Some(true), None), (None, named)] {
        let facts = Facts { positions_in_buffer: true, tag, token, ..NOTHING_KNOWN };
        assert_eq!(classify(&Facts { owners: &[WAITS], ..facts }), UNSOLICITED);
    }
}

#[test]
fn rule_3_a_peer_that_tags_sends_no_answer_without_the_tag() {
    let facts = Facts { owners: &[WAITS], token: Some(Named::Owner(WAITS)), ..NOTHING_KNOWN };
    assert_eq!(classify(&Facts { tag: Some(false), ..facts }), UNSOLICITED);
    assert_eq!(classify(&Facts { tag: Some(true), ..facts }), ANSWER);
}

#[test]
fn rule_4_the_token_decides_exactly() {
    // Two owners and no certainty: the token knows all the same.
    let facts = Facts { owners: &[OLD, WAITS], certain: false, ..NOTHING_KNOWN };
    let named = |owner| classify(&Facts { token: Some(Named::Owner(owner)), ..facts });
    assert_eq!(named(WAITS), ANSWER);
    assert_eq!(named(OLD), Class::Late { ticket: OLD.ticket, proven: true });
    assert_eq!(classify(&Facts { token: Some(Named::Nobody), ..facts }), UNSOLICITED);
}

#[test]
fn rule_5_one_possible_owner_gets_the_frame() {
    assert_eq!(classify(&Facts { owners: &[WAITS], ..NOTHING_KNOWN }), ANSWER);
    let late = classify(&Facts { owners: &[OLD], ..NOTHING_KNOWN });
    assert_eq!(late, Class::Late { ticket: OLD.ticket, proven: true });
    let unsure = classify(&Facts { owners: &[OLD], certain: false, ..NOTHING_KNOWN });
    assert_eq!(unsure, Class::Late { ticket: OLD.ticket, proven: false });
}

#[test]
fn rule_5_several_possible_owners_are_ambiguous_and_all_are_named_oldest_first() {
    let class = classify(&Facts { owners: &[OLD, WAITS], ..NOTHING_KNOWN });
    let Class::Ambiguous { owners } = class else { panic!("{class:?}") };
    assert_eq!(owners.tickets(), [OLD.ticket, WAITS.ticket]);
}

#[test]
fn rule_5_presumes_the_newest_that_waits_if_it_was_told_to() {
    let second = Owner { ticket: WAITS.ticket.next(), order: WAITS.order.next(), waits: true };
    let facts = Facts { on_ambiguous: OnAmbiguous::Presume, ..NOTHING_KNOWN };
    let newest = classify(&Facts { owners: &[OLD, WAITS, second], ..facts });
    assert_eq!(newest, Class::Solicited { ticket: second.ticket, proven: false });
    // With nobody waiting there is nobody to presume.
    let older = Owner { order: Order::FIRST, ..OLD };
    let nobody_waits = classify(&Facts { owners: &[older, OLD], ..facts });
    assert!(matches!(nobody_waits, Class::Ambiguous { .. }));
}

#[test]
fn rule_6_what_nobody_can_own_is_unsolicited() {
    assert_eq!(classify(&NOTHING_KNOWN), UNSOLICITED);
    assert_eq!(classify(&Facts { tag: Some(true), ..NOTHING_KNOWN }), UNSOLICITED);
}
