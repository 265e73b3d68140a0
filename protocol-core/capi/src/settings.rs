//! The settings of a connection as a struct of numbers. Each number is checked before it becomes a value
//! of the core.

use flamingo_protocol_core::connection::{OnAmbiguous, OrderingDomain, TokenField, UnmarkedPushes};
use flamingo_protocol_core::{Config, time::Duration};

use crate::memory::{Area, Out};
use crate::result::{Checked, flamingo_result, run};

/// The commands whose answers keep their order.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_ordering {
    /// Those of one subsystem: the 0xN000 range of the code.
    Subsystem = 0,
    /// All. Only for an instrument that always answers in strict order.
    Connection = 1,
    /// None. Then only time settles an unanswered request.
    Key = 2,
}

/// The field in which the instrument repeats a number that is unique to each request.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_token_field {
    /// No field.
    None = 0,
    /// client_id.
    ClientId = 1,
    /// int32_data[2].
    Int32Data2 = 2,
}

/// What to do with a frame that may answer an older request or the waiting request.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_on_ambiguous {
    /// The waiting request ends as AMBIGUOUS.
    Refuse = 0,
    /// The waiting request takes the frame as a presumed answer.
    Presume = 1,
}

/// The settings of a connection: facts about the instrument, and how long to wait. Fill it with
/// flamingo_config_default and change what differs.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_config {
    /// How long an answer may still come after its request has ended. Default: 1 000 000.
    pub grace_us: u64,
    /// How long the true answer may still come after a presumed answer. Default: 100 000.
    pub presumed_grace_us: u64,
    /// How long a stop may wait until it is sent before STOP_BLOCKED is reported. Default: 1 000 000.
    pub stop_patience_us: u64,
    /// The longest payload in bytes, in both directions. Default: 33 554 432.
    pub payload_limit: u32,
    /// How many unanswered commands may be on the wire; 0 counts as 1. Default: 4.
    pub window: u32,
    /// A flamingo_ordering. Default: SUBSYSTEM.
    pub ordering: i32,
    /// A flamingo_token_field. Default: NONE.
    pub tokens: i32,
    /// A flamingo_on_ambiguous. Default: REFUSE.
    pub on_ambiguous: i32,
    /// 0 or 1: a payload follows the acknowledgement of an upload that declares one. Default: 0.
    pub upload_echo_has_payload: i32,
    /// 0 or 1: the instrument sets FLAMINGO_FLAG_ANSWER_TAG on answers, and on them only. Default: 0.
    pub peer_tags: i32,
    /// 0 or 1: position updates come without FLAMINGO_FLAG_STAGE_POSITIONS_IN_BUFFER. Default: 0.
    pub unmarked_positions: i32,
    /// 0 or 1: laser levels and LED changes are pushed without a mark. Default: 1.
    pub unmarked_lights: i32,
    /// 0 or 1: the GET that belongs to a SET is pushed when the SET is done. Default: 1.
    pub unmarked_after_set: i32,
    /// 0 or 1: the actions of other clients are echoed. Default: 0.
    pub unmarked_other_clients: i32,
    /// Always 0.
    pub reserved: i32,
}

impl flamingo_config {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            grace_us: config.grace.as_micros(),
            presumed_grace_us: config.presumed_grace.as_micros(),
            stop_patience_us: config.stop_patience.as_micros(),
            payload_limit: config.payload_limit,
            window: u32::try_from(config.window).unwrap_or(u32::MAX),
            ordering: match config.ordering {
                OrderingDomain::Subsystem => flamingo_ordering::Subsystem,
                OrderingDomain::Connection => flamingo_ordering::Connection,
                OrderingDomain::Key => flamingo_ordering::Key,
            } as i32,
            tokens: match config.tokens {
                None => flamingo_token_field::None,
                Some(TokenField::ClientId) => flamingo_token_field::ClientId,
                Some(TokenField::Int32Data2) => flamingo_token_field::Int32Data2,
            } as i32,
            on_ambiguous: match config.on_ambiguous {
                OnAmbiguous::Refuse => flamingo_on_ambiguous::Refuse,
                OnAmbiguous::Presume => flamingo_on_ambiguous::Presume,
            } as i32,
            upload_echo_has_payload: i32::from(config.upload_echo_has_payload),
            peer_tags: i32::from(config.peer_tags),
            unmarked_positions: i32::from(config.unmarked.positions),
            unmarked_lights: i32::from(config.unmarked.lights),
            unmarked_after_set: i32::from(config.unmarked.after_set),
            unmarked_other_clients: i32::from(config.unmarked.other_clients),
            reserved: 0,
        }
    }

    pub(crate) fn checked(&self) -> Checked<Config> {
        if self.reserved != 0 {
            return Err(flamingo_result::Value);
        }
        let unmarked = UnmarkedPushes::DEFAULT
            .with_positions(flag(self.unmarked_positions)?)
            .with_lights(flag(self.unmarked_lights)?)
            .with_after_set(flag(self.unmarked_after_set)?)
            .with_other_clients(flag(self.unmarked_other_clients)?);
        Ok(Config::DEFAULT
            .with_grace(Duration::from_micros(self.grace_us))
            .with_presumed_grace(Duration::from_micros(self.presumed_grace_us))
            .with_stop_patience(Duration::from_micros(self.stop_patience_us))
            .with_payload_limit(self.payload_limit)
            .with_window(usize::try_from(self.window).unwrap_or(usize::MAX))
            .with_ordering(ordering(self.ordering)?)
            .with_tokens(tokens(self.tokens)?)
            .with_on_ambiguous(on_ambiguous(self.on_ambiguous)?)
            .with_upload_echo_has_payload(flag(self.upload_echo_has_payload)?)
            .with_peer_tags(flag(self.peer_tags)?)
            .with_unmarked(unmarked))
    }
}

fn flag(number: i32) -> Checked<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(flamingo_result::Value),
    }
}

fn ordering(number: i32) -> Checked<OrderingDomain> {
    const SUBSYSTEM: i32 = flamingo_ordering::Subsystem as i32;
    const CONNECTION: i32 = flamingo_ordering::Connection as i32;
    const KEY: i32 = flamingo_ordering::Key as i32;
    match number {
        SUBSYSTEM => Ok(OrderingDomain::Subsystem),
        CONNECTION => Ok(OrderingDomain::Connection),
        KEY => Ok(OrderingDomain::Key),
        _ => Err(flamingo_result::Value),
    }
}

fn tokens(number: i32) -> Checked<Option<TokenField>> {
    const NONE: i32 = flamingo_token_field::None as i32;
    const CLIENT_ID: i32 = flamingo_token_field::ClientId as i32;
    const INT32_DATA_2: i32 = flamingo_token_field::Int32Data2 as i32;
    match number {
        NONE => Ok(None),
        CLIENT_ID => Ok(Some(TokenField::ClientId)),
        INT32_DATA_2 => Ok(Some(TokenField::Int32Data2)),
        _ => Err(flamingo_result::Value),
    }
}

fn on_ambiguous(number: i32) -> Checked<OnAmbiguous> {
    const REFUSE: i32 = flamingo_on_ambiguous::Refuse as i32;
    const PRESUME: i32 = flamingo_on_ambiguous::Presume as i32;
    match number {
        REFUSE => Ok(OnAmbiguous::Refuse),
        PRESUME => Ok(OnAmbiguous::Presume),
        _ => Err(flamingo_result::Value),
    }
}

/// Writes the default settings, which are safe for every known instrument.
///
/// Errors: NULL, MISALIGNED.
///
/// # Safety
/// `config` is NULL or points to a struct that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_config_default(config: *mut flamingo_config) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let config = unsafe { Out::new(config, Area::NONE)? };
        config.write(flamingo_config::of(&Config::DEFAULT));
        Ok(())
    })
}
