//! What the core itself asks of a code: the facts of `command.rs`, packed into one word a command.
//!
//! [`TABLE`] is for people and hosts; a firmware links only these words. What follows from them is
//! not decided here.

use crate::wire::command::{
    CallbackFlag, CommandCode, Effect, Kind, Payload, Pushed, Row, Selector, TABLE, Timing,
};

/// The facts about one code, as bits: a fact's value, shifted to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Traits(u16);

const SELECTOR: u32 = 2;
const PAYLOAD: u32 = 4;
const CALLBACK: u32 = 6;
const PUSHED: u32 = 8;
const EFFECT: u32 = 11;
const TIMING: u32 = 14;
const ELSEWHERE: u32 = 15;
const CODE: u32 = 16;

/// The one query that may be answered under another code.
const ANSWERED_ELSEWHERE: CommandCode = CommandCode::COMMON_SCOPE_SETTINGS_LOAD;

const fn pack(row: &Row) -> u32 {
    let elsewhere = row.answers.0 != row.code.0;
    assert!(!elsewhere || row.answers.0 == ANSWERED_ELSEWHERE.0, "name the other query, too");
    assert!(row.code.0 < 0xFFFF, "a code has 16 bits here");
    (row.code.0 << CODE)
        | ((elsewhere as u32) << ELSEWHERE)
        | ((row.timing as u32) << TIMING)
        | ((row.effect as u32) << EFFECT)
        | ((row.pushed as u32) << PUSHED)
        | ((row.callback as u32) << CALLBACK)
        | ((row.payload as u32) << PAYLOAD)
        | ((row.selector as u32) << SELECTOR)
        | row.kind as u32
}

/// A power of two, so that halving it leads to any place.
const PLACES: usize = TABLE.len().next_power_of_two();

/// In the order of their codes; an unknown code, beyond all others, fills the end.
#[allow(clippy::indexing_slicing)] // when it is compiled
static PACKED: [u32; PLACES] = {
    let mut packed = [0xFFFF << CODE | Traits::UNKNOWN.0 as u32; PLACES];
    let mut at = 0;
    while at < TABLE.len() {
        packed[at] = pack(&TABLE[at]);
        at += 1;
    }
    packed
};

impl Traits {
    /// Of nothing: an entry that is free.
    pub(crate) const NONE: Self = Self(0);

    /// Of a code that is not in the table: it may mean anything, and is never answered.
    const UNKNOWN: Self =
        Self((3 << CALLBACK) | ((Pushed::Always as u16) << PUSHED) | Kind::Action as u16);

    #[allow(clippy::cast_possible_truncation)] // the upper half is the code
    #[inline(never)]
    pub(crate) fn of(code: CommandCode) -> Self {
        let word_at = |at: usize| PACKED.get(at % PLACES).copied().unwrap_or(u32::MAX);
        let mut at = 0;
        let mut step = PLACES / 2;
        while step > 0 {
            if word_at(at + step) >> CODE <= code.0 {
                at += step;
            }
            step /= 2;
        }
        let word = word_at(at);
        if word >> CODE == code.0 { Self(word as u16) } else { Self::UNKNOWN }
    }

    const fn field(self, at: u32, mask: u32) -> u32 {
        (self.0 as u32 >> at) & mask
    }

    pub(crate) const fn is_known(self) -> bool {
        self.field(CALLBACK, 3) != 3
    }

    pub(crate) const fn is(self, kind: Kind) -> bool {
        self.field(0, 3) == kind as u32
    }

    /// Whether int32Data0 selects something that the answer echoes.
    pub(crate) const fn selects(self) -> bool {
        self.field(SELECTOR, 3) != Selector::None as u32
    }

    pub(crate) const fn acts_on_axis(self) -> bool {
        self.field(SELECTOR, 3) == Selector::Axis as u32 && self.is(Kind::Action)
    }

    pub(crate) const fn only_uploads(self) -> bool {
        self.field(PAYLOAD, 3) == Payload::Up as u32
    }

    pub(crate) const fn callback(self, flag: CallbackFlag) -> bool {
        self.field(CALLBACK, 3) == flag as u32
    }

    /// How it is pushed unasked: a [`Pushed`], as a number.
    pub(crate) const fn pushed(self) -> u32 {
        self.field(PUSHED, 7)
    }

    const fn effect(self, effect: Effect) -> bool {
        self.field(EFFECT, 7) == effect as u32
    }

    /// Whether the command goes before everything queued.
    pub(crate) const fn stops(self) -> bool {
        self.stops_motion() || self.stops_light()
    }

    pub(crate) const fn stops_motion(self) -> bool {
        self.effect(Effect::StopsMotion)
    }

    pub(crate) const fn stops_light(self) -> bool {
        self.effect(Effect::StopsLight)
    }

    pub(crate) const fn moves(self) -> bool {
        self.effect(Effect::Moves) || self.effect(Effect::MovesAndLights)
    }

    pub(crate) const fn lights(self) -> bool {
        self.effect(Effect::Lights) || self.effect(Effect::MovesAndLights)
    }

    /// Perhaps answered only when a long motion has ended: it keeps no order and fills no window.
    pub(crate) const fn at_end(self) -> bool {
        self.field(TIMING, 1) == Timing::AtEnd as u32
    }

    /// The command that a frame of `code` may answer; nearly always the code itself.
    pub(crate) const fn answers(self, code: CommandCode) -> CommandCode {
        if self.field(ELSEWHERE, 1) == 0 { code } else { ANSWERED_ELSEWHERE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packed_words_say_what_the_table_says() {
        for row in TABLE {
            let traits = Traits::of(row.code);
            assert!(
                traits.is_known() && traits.is(row.kind) && traits.pushed() == row.pushed as u32
            );
            assert!(traits.callback(row.callback) && traits.effect(row.effect));
            assert_eq!(traits.selects(), row.selector != Selector::None);
            let acts = row.selector == Selector::Axis && row.kind == Kind::Action;
            assert_eq!(traits.acts_on_axis(), acts);
            assert_eq!(traits.only_uploads(), row.payload == Payload::Up);
            assert_eq!(traits.stops(), row.effect.stops());
            assert_eq!(traits.moves(), row.effect.moves());
            assert_eq!(traits.lights(), row.effect.lights());
            assert_eq!(traits.at_end(), row.timing == Timing::AtEnd);
            assert_eq!(traits.answers(row.code), row.answers);
        }
    }

    #[test]
    fn an_unknown_code_may_be_a_push_and_does_nothing_that_is_known() {
        for code in [0, 0x6007, 0xFFFF, 0x0001_6008, u32::MAX] {
            let traits = Traits::of(CommandCode(code));
            assert!(!traits.is_known() && traits.pushed() == Pushed::Always as u32);
            assert!(!traits.stops() && !traits.moves() && !traits.lights() && !traits.at_end());
            assert!(!traits.selects() && !traits.is(Kind::Query) && !traits.is(Kind::Event));
            assert_eq!(traits.answers(CommandCode(code)), CommandCode(code));
        }
    }
}
