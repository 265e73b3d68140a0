//! Codes, rows, flags, settings, counters, tickets, time.

use core::ops::{Add, Sub};

use flamingo_protocol_core::{
    CommandCode, Config, Flags, Ticket,
    connection::{Counters, OnAmbiguous, OrderingDomain, TokenField, UnmarkedPushes},
    time::{Duration, Instant},
    wire::{Effect, FIELDS, Row, TABLE},
};

use crate::any::{any, bytes, code, frame, now, sink, span, text};

pub fn all() {
    codes();
    flags();
    settings();
    time();
    sink(&TABLE);
    sink(FIELDS);
    sink(Counters::frames_received(&any(<Counters as Default>::default())));
    sink(bytes());
}

pub fn ticket(ticket: Ticket) {
    let ticket = any(ticket);
    sink((Ticket::number(ticket), Ticket::is_fence(ticket), Ticket::token(ticket)));
    sink(Ticket::from_number(any(0)));
}

fn codes() {
    sink(CommandCode::row(code()));
    sink(CommandCode::subsystem(code()));
    sink(CommandCode::name(code()));
    sink(CommandCode::from_name(text()));
    let Some(row) = any(None::<&'static Row>) else { return };
    sink((Row::answers_without_flag(row), Row::also_pushed(row), Row::name(row)));
    sink(Row::is_usually_acknowledged(row));
    sink((Effect::stops(row.effect), Effect::is_emergency(row.effect)));
    sink((Effect::moves(row.effect), Effect::lights(row.effect)));
}

fn flags() {
    let (one, other) = (Flags(any(0)), Flags(any(0)));
    sink(Flags::contains(one, other));
    sink((Flags::with(one, other), Flags::without(one, other)));
    sink(Flags::NAMED);
}

fn settings() {
    let config = any(<Config as Default>::default());
    sink((Config::pushable(&config, code()), Config::marked_as_push(&config, &frame())));
    sink((<UnmarkedPushes as Default>::default(), any(OrderingDomain::default())));
    let unmarked = UnmarkedPushes::with_positions(UnmarkedPushes::default(), any(false));
    let unmarked = UnmarkedPushes::with_lights(unmarked, any(false));
    let unmarked = UnmarkedPushes::with_after_set(unmarked, any(false));
    let unmarked = UnmarkedPushes::with_other_clients(unmarked, any(false));
    let config = Config::with_payload_limit(config, any(0));
    let config = Config::with_upload_echo_has_payload(config, any(false));
    let config = Config::with_ordering(config, any(OrderingDomain::Key));
    let config = Config::with_unmarked(config, unmarked);
    let config = Config::with_peer_tags(config, any(false));
    let config = Config::with_tokens(config, any(None));
    let config = Config::with_on_ambiguous(config, any(OnAmbiguous::Refuse));
    let config = Config::with_grace(config, span());
    let config = Config::with_presumed_grace(config, span());
    let config = Config::with_window(config, any(0));
    sink(Config::with_stop_patience(config, span()));
    let mut frame = frame();
    let field = any(TokenField::ClientId);
    sink(TokenField::get(field, &frame));
    sink(TokenField::replace(field, &mut frame, any(0)));
    sink(frame);
}

fn time() {
    sink((Instant::as_micros(now()), Instant::since(now(), now()), Instant::from_micros(any(0))));
    sink(<Instant as Add<Duration>>::add(now(), span()));
    sink((
        Duration::from_millis(any(0)),
        Duration::from_micros(any(0)),
        Duration::as_micros(span()),
    ));
    sink((<Duration as Add>::add(span(), span()), <Duration as Sub>::sub(span(), span())));
    let core = any(core::time::Duration::ZERO);
    sink(<Duration as From<core::time::Duration>>::from(core));
    sink(<core::time::Duration as From<Duration>>::from(span()));
}
