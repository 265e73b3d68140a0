//! The commands of the instrument as one const table, and the code newtype that looks into it.
//!
//! Facts about a single command live here and nowhere else. What follows from them for a frame
//! that came in is in `classify.rs`, for one that goes out in `outbox.rs`.

use core::fmt;

use crate::wire::status::StatusRule;

/// A command code as it stands at offset 4 of a frame. Every value is legal; [`TABLE`] knows some.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, wire::Kind};
/// let code = CommandCode::STAGE_POSITION_GET;
/// assert_eq!(code.0, 0x6008);
/// assert_eq!(code.row().map(|row| row.kind), Some(Kind::Query));
/// assert!(CommandCode(0x6FFF).row().is_none(), "unknown codes are legal");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CommandCode(pub u32);

/// How a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// Answered with data.
    Query,
    /// Acknowledged by an echo.
    Action,
    /// Not acknowledged, or not reliably: never waited for. [`Row::is_usually_acknowledged`] tells
    /// which of the two.
    FireAndForget,
    /// Sent only by the server.
    Event,
}

/// What int32Data0 selects, and the answer echoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Selector {
    /// Nothing: int32Data0 is free for a result.
    None,
    /// An axis: 1 = X, 2 = Y, 3 = Z, 4 = R; 255 = all.
    Axis,
    /// A laser line, 1 to 4.
    Laser,
    /// An LED colour, 0 to 3.
    Led,
}

/// Which way a payload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Payload {
    /// No payload is known for this command. One that comes all the same is delivered.
    None,
    /// The command uploads one.
    Up,
    /// The answer carries one.
    Down,
    /// Both.
    Both,
}

/// What TRIGGER_CALL_BACK means for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CallbackFlag {
    /// Without it there is no answer.
    Needed,
    /// Set by habit, but the answer comes without it too.
    Optional,
    /// Sent without it, and answered all the same.
    Omitted,
}

/// Whether the server also sends this code unasked, and how such a push can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pushed {
    /// Never seen unasked.
    Never,
    /// Position updates during motion, flagged STAGE_POSITIONS_IN_BUFFER by the server.
    Position,
    /// Laser and LED changes, without any flag.
    Light,
    /// A SET may push its GET, without any flag.
    AfterSet,
    /// An event: whatever comes is most likely unasked.
    Always,
}

/// What a command does to the instrument, as far as safety is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Effect {
    /// Nothing moves and nothing lights up.
    None,
    /// Starts a motion: cancelled by a HALT while it is still queued.
    Moves,
    /// Switches a laser on: cancelled by a laser-off while it is still queued.
    Lights,
    /// Both: a workflow.
    MovesAndLights,
    /// Stops motion: goes before everything that is queued.
    StopsMotion,
    /// Switches lasers off: goes before everything that is queued.
    StopsLight,
    /// Stops a workflow: goes before everything that is queued, except for HALT and laser-off.
    StopsWorkflow,
    /// Stops live images: goes before everything that is queued, except for HALT and laser-off.
    StopsLiveView,
}

/// When a command is answered, next to the others of its subsystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Timing {
    /// At once: its answer keeps the order.
    AtOnce,
    /// Perhaps only when a long motion has ended: its answer keeps no order and proves none.
    AtEnd,
}

impl Effect {
    /// Whether the command is a stop. Stops overtake all other commands that are queued, and are
    /// never withdrawn by time.
    pub const fn stops(self) -> bool {
        self.is_emergency() || matches!(self, Self::StopsWorkflow | Self::StopsLiveView)
    }

    /// Whether the command stops motion or light at once: HALT and laser-off. These have places of
    /// their own in a connection and go before the other stops.
    pub const fn is_emergency(self) -> bool {
        matches!(self, Self::StopsMotion | Self::StopsLight)
    }

    /// Whether the command starts a motion.
    pub const fn moves(self) -> bool {
        matches!(self, Self::Moves | Self::MovesAndLights)
    }

    /// Whether the command may switch a laser on.
    pub const fn lights(self) -> bool {
        matches!(self, Self::Lights | Self::MovesAndLights)
    }
}

/// What is known about one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Row {
    /// The code.
    pub code: CommandCode,
    /// How it is answered.
    pub kind: Kind,
    /// What int32Data0 selects.
    pub selector: Selector,
    /// Which way a payload goes.
    pub payload: Payload,
    /// What TRIGGER_CALL_BACK means for it.
    pub callback: CallbackFlag,
    /// Whether it is also pushed unsolicited.
    pub pushed: Pushed,
    /// What it does to the instrument.
    pub effect: Effect,
    /// Whether its answer keeps the order of its subsystem.
    pub timing: Timing,
    /// What a status of 0 says.
    pub status: StatusRule,
    /// A frame of this code may answer that command; nearly always the code itself.
    pub answers: CommandCode,
}

impl Row {
    /// The server's name of the command.
    #[cfg(feature = "names")]
    pub fn name(&self) -> &'static str {
        self.code.name().unwrap_or_default()
    }

    /// Whether the server answers this command even without TRIGGER_CALL_BACK.
    pub const fn answers_without_flag(&self) -> bool {
        !matches!(self.callback, CallbackFlag::Needed)
    }

    /// Whether the server usually acknowledges this command with an echo, although nothing waits for
    /// one: a fire-and-forget command of the LEDs or of the illumination. Lasers get none.
    pub const fn is_usually_acknowledged(&self) -> bool {
        matches!((self.kind, self.code.subsystem()), (Kind::FireAndForget, 0x4 | 0x7))
    }

    /// Whether the server also sends this code unasked.
    pub const fn also_pushed(&self) -> bool {
        !matches!(self.pushed, Pushed::Never)
    }
}

macro_rules! commands {
    (@selector) => { Selector::None };
    (@selector $value:ident) => { Selector::$value };
    (@payload) => { Payload::None };
    (@payload $value:ident) => { Payload::$value };
    (@callback) => { CallbackFlag::Needed };
    (@callback $value:ident) => { CallbackFlag::$value };
    (@pushed) => { Pushed::Never };
    (@pushed $value:ident) => { Pushed::$value };
    (@effect) => { Effect::None };
    (@effect $value:ident) => { Effect::$value };
    (@timing) => { Timing::AtOnce };
    (@timing $value:ident) => { Timing::$value };
    (@status) => { StatusRule::Unknown };
    (@status $value:ident) => { StatusRule::$value };
    (@answers $code:literal) => { CommandCode($code) };
    (@answers $code:literal $other:literal) => { CommandCode($other) };
    ($($code:literal $name:ident $kind:ident
        $(, sel $sel:ident)? $(, payload $payload:ident)? $(, callback $callback:ident)?
        $(, pushed $pushed:ident)? $(, effect $effect:ident)? $(, timing $timing:ident)?
        $(, status $status:ident)? $(, answers $answers:literal)? ;)*) => {
        impl CommandCode {
            $(
                #[doc = concat!("`", stringify!($code), "`")]
                pub const $name: Self = Self($code);
            )*
        }

        /// Everything known about the commands, in the order of their codes.
        pub const TABLE: &[Row] = &[$(Row {
            code: CommandCode($code),
            kind: Kind::$kind,
            selector: commands!(@selector $($sel)?),
            payload: commands!(@payload $($payload)?),
            callback: commands!(@callback $($callback)?),
            pushed: commands!(@pushed $($pushed)?),
            effect: commands!(@effect $($effect)?),
            timing: commands!(@timing $($timing)?),
            status: commands!(@status $($status)?),
            answers: commands!(@answers $code $($answers)?),
        }),*];

        /// The server's names, in the order of [`TABLE`].
        #[cfg(feature = "names")]
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

commands! {
    0x1007 COMMON_SCOPE_SETTINGS Event, payload Down, pushed Always, answers 0x1009;
    0x1008 COMMON_SCOPE_SETTINGS_SAVE Action, payload Up;
    0x1009 COMMON_SCOPE_SETTINGS_LOAD Query, payload Down, callback Optional;
    0x100B COMMON_CONTROL_SETTINGS_SAVE Action, payload Up;
    0x1013 STORAGE_PATH_SET Query, payload Down;
    0x1014 STORAGE_PATH_UNMOUNT Action;
    0x1015 STORAGE_PATH_TEST Action;
    0x1017 COMMON_SYSTEM_UPDATE_LIVE_VIEW Action;
    0x2001 LASER_LEVEL_SET FireAndForget, sel Laser;
    0x2002 LASER_LEVEL_GET Query, sel Laser, pushed Light;
    0x2003 LASER_ENABLE FireAndForget, sel Laser, effect Lights;
    0x2004 LASER_ENABLE_PREVIEW FireAndForget, sel Laser, effect Lights;
    0x2005 LASER_ENABLE_LINE FireAndForget, sel Laser, effect Lights;
    0x2006 LASER_DISABLE FireAndForget, sel Laser, effect StopsLight;
    0x2007 LASER_DISABLE_ALL FireAndForget, sel Laser, effect StopsLight;
    0x3001 CAMERA_ALL_SETTINGS_GET Query;
    0x3004 CAMERA_WORK_FLOW_START FireAndForget, payload Up, effect MovesAndLights;
    0x3005 CAMERA_WORK_FLOW_STOP Action, callback Omitted, effect StopsWorkflow;
    0x3006 CAMERA_SNAPSHOT_GET Action;
    0x3007 CAMERA_LIVE_VIEW_START Action, status Set;
    0x3008 CAMERA_LIVE_VIEW_STOP Action, effect StopsLiveView, status NothingToStop;
    0x3009 CAMERA_EXPOSURE_SET Action;
    0x300A CAMERA_EXPOSURE_GET Query, pushed AfterSet;
    0x300F CAMERA_ROI_LEFT_SET Action;
    0x3010 CAMERA_ROI_LEFT_GET Query, pushed AfterSet;
    0x3011 CAMERA_ROI_TOP_SET Action;
    0x3012 CAMERA_ROI_TOP_GET Query, pushed AfterSet;
    0x3014 CAMERA_STACK_COMPLETE Event, pushed Always;
    0x3027 CAMERA_IMAGE_SIZE_GET Query, status Set;
    0x302B CAMERA_CHECK_STACK Query, payload Both;
    0x3036 CAMERA_CHECK_STACK_UPDATES Query, payload Both;
    0x3037 CAMERA_PIXEL_FIELD_OF_VIEW_GET Query;
    0x4001 LED_SET FireAndForget, sel Led;
    0x4002 LED_PREVIEW_ENABLE FireAndForget;
    0x4003 LED_PREVIEW_DISABLE FireAndForget, pushed Light;
    0x4006 LED_SELECTION_CHANGE Action;
    0x5001 FILTER_WHEEL_POSITION_SET Action;
    0x5002 FILTER_WHEEL_POSITION_GET Query, pushed AfterSet;
    0x6001 STAGE_FIND_REFERENCE Action, sel Axis, effect Moves, timing AtEnd;
    0x6002 STAGE_HOME Action, sel Axis, effect Moves, timing AtEnd;
    0x6003 STAGE_HALT Action, sel Axis, effect StopsMotion;
    0x6004 STAGE_POSITION_SET Action, sel Axis, effect Moves;
    0x6005 STAGE_POSITION_SET_SLIDER Action, sel Axis, effect Moves;
    0x6006 STAGE_POSITION_SET_TEXT Action, sel Axis, effect Moves;
    0x6008 STAGE_POSITION_GET Query, sel Axis, pushed Position;
    0x6009 STAGE_VELOCITY_SET Action, sel Axis;
    0x600F STAGE_WAIT_FOR_MOTION_TO_STOP Action, sel Axis, timing AtEnd;
    0x6010 STAGE_MOTION_STOPPED Event, sel Axis, pushed Always, status Set;
    0x7004 ILLUMINATION_LEFT_ENABLE FireAndForget;
    0x7005 ILLUMINATION_LEFT_DISABLE FireAndForget;
    0x7006 ILLUMINATION_RIGHT_ENABLE FireAndForget;
    0x7007 ILLUMINATION_RIGHT_DISABLE FireAndForget;
    0x9003 UI_SET_GAUGE_SIZE Event, pushed Always;
    0x9004 UI_SET_GAUGE_VALUE Event, pushed Always;
    0x9005 UI_LIVE_VIEW_UPDATE_ON_CHANGE_ENABLED Event, pushed Always;
    0x9007 UI_IMAGES_SAVED_TO_STORAGE Event, pushed Always;
    0x9008 UI_END Event, pushed Always;
    0xA001 SYSTEM_STATE_DISCONNECTED Event, pushed Always;
    0xA002 SYSTEM_STATE_IDLE Event, pushed Always;
    0xA003 SYSTEM_STATE_SNAP_SHOT Event, pushed Always;
    0xA004 SYSTEM_STATE_LIVE_VIEW Event, pushed Always;
    0xA005 SYSTEM_STATE_WORK_FLOW_RUNNING Event, pushed Always;
    0xA007 SYSTEM_STATE_GET Query, callback Optional, status Set;
}

impl CommandCode {
    /// What is known about this code, if anything.
    pub fn row(self) -> Option<&'static Row> {
        TABLE.get(self.place()?)
    }

    fn place(self) -> Option<usize> {
        TABLE.binary_search_by_key(&self, |row| row.code).ok()
    }

    /// The subsystem: the code's `0xN000` range, as `N`.
    pub const fn subsystem(self) -> u32 {
        self.0 >> 12
    }

    /// The server's name of the code, if it is a known one.
    #[cfg(feature = "names")]
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(self.place()?).copied()
    }

    /// The code of a name, upper or lower case.
    ///
    /// ```
    /// use flamingo_protocol_core::CommandCode;
    /// assert_eq!(CommandCode::from_name("stage_halt"), Some(CommandCode::STAGE_HALT));
    /// assert_eq!(CommandCode::from_name("STAGE_STOP"), None);
    /// ```
    #[cfg(feature = "names")]
    pub fn from_name(name: &str) -> Option<Self> {
        let place = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        TABLE.get(place).map(|row| row.code)
    }
}

impl fmt::Display for CommandCode {
    /// The name where it is known, the number otherwise: `STAGE_HALT (0x6003)`, `0x6FFF`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "names")]
        if let Some(name) = self.name() {
            return write!(f, "{name} (0x{:04X})", self.0);
        }
        write!(f, "0x{:04X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_the_search_finds_every_row() {
        assert!(TABLE.is_sorted_by(|a, b| a.code < b.code));
        for row in TABLE {
            assert_eq!(row.code.row(), Some(row));
        }
    }

    #[cfg(feature = "names")]
    #[test]
    fn every_name_leads_back_to_its_code() {
        for row in TABLE {
            assert_eq!(CommandCode::from_name(row.name()), Some(row.code));
        }
    }

    #[test]
    fn an_answer_under_another_code_names_a_known_query() {
        for row in TABLE.iter().filter(|row| row.answers != row.code) {
            let answered = row.answers.row().map(|row| row.kind);
            assert_eq!(answered, Some(Kind::Query));
        }
    }
}
