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

/// The subsystems of the known codes, and one more.
const SUBSYSTEMS: usize = 12;

/// Where the numbers of each subsystem begin in [`PLACES`]. The last one is the end.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // when it is compiled
const STARTS: [u8; SUBSYSTEMS] = {
    let mut starts = [0; SUBSYSTEMS];
    let mut at = 0;
    while at < TABLE.len() {
        let (subsystem, number) = split(TABLE[at].code);
        // The codes are in their order: the last one of a subsystem is the highest.
        assert!(starts[subsystem] as usize + number < NONE as usize, "a place has 8 bits here");
        starts[subsystem + 1] = starts[subsystem] + number as u8 + 1;
        let mut next = subsystem + 2;
        while next < SUBSYSTEMS {
            starts[next] = starts[subsystem + 1];
            next += 1;
        }
        at += 1;
    }
    starts
};

/// Where the facts about each number of each subsystem are in [`FACTS`]; [`NONE`] if it is no known
/// code. Many codes have the same facts, and few numbers are free. So this takes 280 bytes of flash
/// less than facts for each code, and no search.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // when it is compiled
static PLACES: [u8; STARTS[SUBSYSTEMS - 1] as usize] = {
    let mut places = [NONE; STARTS[SUBSYSTEMS - 1] as usize];
    let mut at = 0;
    while at < TABLE.len() {
        let facts = CommandFacts::from_row(&TABLE[at]);
        let mut place = 0;
        while !facts.equals(&DISTINCT.0[place]) {
            place += 1;
        }
        let (subsystem, number) = split(TABLE[at].code);
        places[STARTS[subsystem] as usize + number] = place as u8;
        at += 1;
    }
    places
};

/// Beyond all [`FACTS`].
const NONE: u8 = u8::MAX;

/// The subsystem of a code, and its number there.
const fn split(code: CommandCode) -> (usize, usize) {
    (code.subsystem() as usize, (code.0 & 0xFFF) as usize)
}

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
    #[cfg_attr(target_os = "none", inline(never))] // inlined, a client takes 354 bytes more flash
    pub(crate) fn of(code: CommandCode) -> &'static Self {
        Self::known(code).unwrap_or(const { &UNKNOWN })
    }

    /// The facts about a code that is in the table.
    pub(crate) fn known(code: CommandCode) -> Option<&'static Self> {
        let (subsystem, number) = split(code);
        let [start, end] = *STARTS.get(subsystem..)?.first_chunk()?;
        let at = usize::from(start).wrapping_add(number);
        let place = PLACES.get(..usize::from(end))?.get(at)?;
        FACTS.get(usize::from(*place))
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
