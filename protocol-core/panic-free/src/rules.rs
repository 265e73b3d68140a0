//! The rules, called without a connection, as a program that only observes the wire calls them.

use flamingo_protocol_core::{
    Config,
    connection::{Candidate, Candidates, Facts, Key, Order, Token, Verdict, classify},
};

use crate::any::{any, code, frame, sink};

pub fn all() {
    sink(Key::of(&frame()));
    let order = Order::new(any(0));
    sink((Order::next(order), Order::is_before(order, Order::new(any(1)))));
    let config = any(<Config as Default>::default());
    sink(Config::keeps_order(&config, code(), code()));
    let mut candidates = any(Candidates::none());
    let candidate = Candidate { id: any(0), order, waits: any(false) };
    Candidates::add(&mut candidates, candidate);
    sink((Candidates::oldest(&candidates), Candidates::newest_waiting(&candidates)));
    sink(Candidates::count(&candidates));
    let mut facts = Facts::of(&frame(), &config);
    facts.candidates = candidates;
    facts.token = any(Token::Names(candidate));
    sink(Facts::certain(&facts));
    let verdict: Verdict<u64> = classify(&any(facts));
    sink(verdict);
}
