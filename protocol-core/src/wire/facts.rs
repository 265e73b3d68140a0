//! Command facts: what the core itself asks about a code.
//!
//! They are [`TABLE`] without what only people ask: [`TABLE`] is for people and hosts, and a
//! firmware links only this. What follows from the facts is not decided here.

use crate::wire::command::{
    CallbackFlag, CommandCode, Effect, Kind, Payload, Pushed, Row, Selector, TABLE, Timing,
};

/// What is known about one code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommandFacts {
    pub(crate) kind: Kind,
    pub(crate) selector: Selector,
    pub(crate) payload: Payload,
    pub(crate) callback: CallbackFlag,
    pub(crate) pushed: Pushed,
    pub(crate) effect: Effect,
    pub(crate) timing: Timing,
}

/// All known codes, in their order.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // when it is compiled
static CODES: [u16; TABLE.len()] = {
    let mut codes = [0; TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        assert!(TABLE[at].code.0 <= u16::MAX as u32, "a code has 16 bits here");
        codes[at] = TABLE[at].code.0 as u16;
        at += 1;
    }
    codes
};

/// Where the facts about each of [`CODES`] are in [`FACTS`]. Many codes have the same facts, so this
/// takes 240 bytes of flash less than facts for each code.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // when it is compiled
static PLACES: [u8; TABLE.len()] = {
    let mut places = [0; TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        let facts = CommandFacts::from_row(&TABLE[at]);
        let mut place = 0;
        while !facts.equals(&DISTINCT.0[place]) {
            place += 1;
        }
        places[at] = place as u8;
        at += 1;
    }
    places
};

/// All facts that differ, once each.
#[allow(clippy::indexing_slicing)] // when it is compiled
static FACTS: [CommandFacts; DISTINCT.1] = {
    let mut facts = [UNKNOWN; DISTINCT.1];
    let mut at = 0;
    while at < facts.len() {
        facts[at] = DISTINCT.0[at];
        at += 1;
    }
    facts
};

/// The facts of [`TABLE`] that differ, and their number.
#[allow(clippy::indexing_slicing)] // when it is compiled
const DISTINCT: ([CommandFacts; TABLE.len()], usize) = {
    let mut distinct = [UNKNOWN; TABLE.len()];
    let (mut number, mut at) = (0, 0);
    while at < TABLE.len() {
        let facts = CommandFacts::from_row(&TABLE[at]);
        let mut place = 0;
        while place < number && !facts.equals(&distinct[place]) {
            place += 1;
        }
        if place == number {
            distinct[place] = facts;
            number += 1;
        }
        at += 1;
    }
    (distinct, number)
};

/// Of a code that is not in the table: it may mean anything, and is never answered.
const UNKNOWN: CommandFacts = CommandFacts {
    kind: Kind::Action,
    selector: Selector::None,
    payload: Payload::None,
    callback: CallbackFlag::Needed,
    pushed: Pushed::Always,
    effect: Effect::None,
    timing: Timing::AtOnce,
};

impl CommandFacts {
    /// The facts about a code.
    #[inline(never)] // inlined, a client takes 354 bytes more flash
    pub(crate) fn of(code: CommandCode) -> &'static Self {
        Self::known(code).unwrap_or(const { &UNKNOWN })
    }

    /// The facts about a code that is in the table.
    pub(crate) fn known(code: CommandCode) -> Option<&'static Self> {
        let found = CODES.binary_search_by_key(&code.0, |known| u32::from(*known));
        FACTS.get(usize::from(*PLACES.get(found.ok()?)?))
    }

    /// `==` for constants.
    const fn equals(&self, other: &Self) -> bool {
        self.kind as u8 == other.kind as u8
            && self.selector as u8 == other.selector as u8
            && self.payload as u8 == other.payload as u8
            && self.callback as u8 == other.callback as u8
            && self.pushed as u8 == other.pushed as u8
            && self.effect as u8 == other.effect as u8
            && self.timing as u8 == other.timing as u8
    }

    const fn from_row(row: &Row) -> Self {
        Self {
            kind: row.kind,
            selector: row.selector,
            payload: row.payload,
            callback: row.callback,
            pushed: row.pushed,
            effect: row.effect,
            timing: row.timing,
        }
    }

    /// Whether int32Data0 selects something that the answer echoes.
    pub(crate) const fn selects(&self) -> bool {
        !matches!(self.selector, Selector::None)
    }

    /// Whether it is an action of one axis.
    pub(crate) const fn acts_on_axis(&self) -> bool {
        matches!((self.kind, self.selector), (Kind::Action, Selector::Axis))
    }

    /// Whether only the command has a payload, not its answer.
    pub(crate) const fn only_uploads(&self) -> bool {
        matches!(self.payload, Payload::Up)
    }
}

/// The command that a frame of `code` may answer; nearly always the code itself.
pub(crate) const fn answered_command(code: CommandCode) -> CommandCode {
    match code {
        CommandCode::COMMON_SCOPE_SETTINGS => CommandCode::COMMON_SCOPE_SETTINGS_LOAD,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_say_what_the_table_says() {
        for row in TABLE {
            let facts = CommandFacts::of(row.code);
            assert_eq!((facts.kind, facts.selector), (row.kind, row.selector));
            assert_eq!((facts.payload, facts.callback), (row.payload, row.callback));
            assert_eq!((facts.pushed, facts.effect), (row.pushed, row.effect));
            assert_eq!((facts.timing, answered_command(row.code)), (row.timing, row.answers));
        }
    }

    #[test]
    fn an_unknown_code_may_be_a_push_and_has_no_known_effect() {
        for code in [0, 0x6007, 0xFFFF, 0x0001_6008, u32::MAX] {
            let facts = CommandFacts::of(CommandCode(code));
            assert!(
                CommandFacts::known(CommandCode(code)).is_none()
                    && !facts.selects()
                    && facts.pushed == Pushed::Always
            );
            assert_eq!((facts.effect, facts.timing), (Effect::None, Timing::AtOnce));
            assert_eq!(answered_command(CommandCode(code)), CommandCode(code));
        }
    }
}
