//! The attacks: for each, the settings of the bridge, the instrument, the load, and the limits.
//! Clients that are all alike are a [`Crowd`]; loads that converse are in `conversations.rs`.

use std::time::Duration;

use flamingo_bridge::BridgeSettings;
use flamingo_bridge::settings::Tokens;
use flamingo_runtime_std::protocol::{CommandCode, Frame};

use crate::conversations::{self, Conversation};
use crate::crowd::Crowd;
use crate::crowd_addresses::{many, many_read_only, one};
use crate::figures::ms;
use crate::instrument::Behaviour;

/// Who attacks which port.
pub(crate) enum Load {
    Control(Crowd),
    Callback(Crowd),
    Live(Crowd),
    Status(Crowd),
    Conversation(Conversation),
}

/// What must hold. Times are in ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// `None`: the instrument itself keeps everybody waiting, and only stops pass.
    pub(crate) witness_p99: Option<f64>,
    pub(crate) halt_p99: f64,
    pub(crate) halt_max: f64,
    /// Whether the answer to a HALT has the same limits. Not if the instrument cannot answer.
    pub(crate) halt_answers: bool,
}

const LIMITS: Limits =
    Limits { witness_p99: Some(50.0), halt_p99: 20.0, halt_max: 250.0, halt_answers: true };
const BEHIND_AN_UPLOAD: Limits =
    Limits { witness_p99: None, halt_p99: 1000.0, halt_max: 1000.0, halt_answers: false };
const DEAF: Limits = Limits { witness_p99: None, halt_answers: false, ..LIMITS };

pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) settings: fn(&mut BridgeSettings),
    pub(crate) instrument: Behaviour,
    pub(crate) load: Vec<Load>,
    /// The access rules are read again and again.
    pub(crate) reloads: bool,
    /// The observers halt axes.
    pub(crate) halts: bool,
    pub(crate) limits: Limits,
}

/// Nothing but the observers.
fn quiet(name: &'static str) -> Attack {
    Attack {
        name,
        settings: |_| {},
        instrument: Behaviour::default(),
        load: Vec::new(),
        reloads: false,
        halts: true,
        limits: LIMITS,
    }
}

fn attack(name: &'static str, load: Load) -> Attack {
    Attack { load: vec![load], ..quiet(name) }
}

/// A command of an attacker.
fn frame(code: CommandCode) -> Frame {
    let mut frame = Frame::command(code).with_selector(1);
    frame.hardware_id = -1;
    frame
}

fn query() -> Vec<u8> {
    frame(CommandCode::STAGE_POSITION_GET).encode().to_vec()
}

/// So many of these, to be sent at once.
fn many_of(frame: &Frame) -> Vec<u8> {
    frame.encode().repeat(2048)
}

/// Clients that send this frame as fast as they can.
fn flood(clients: u32, code: CommandCode) -> Crowd {
    Crowd {
        clients,
        threads: clients.min(2),
        from: many,
        repeat: many_of(&frame(code)),
        ..Crowd::default()
    }
}

fn request() -> Vec<u8> {
    b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".to_vec()
}

/// All attacks, in the order in which they run.
pub(crate) fn all() -> Vec<Attack> {
    [frames(), connections(), stops_and_motions(), uploads(), instruments(), other_ports()]
        .into_iter()
        .flatten()
        .collect()
}

/// Clients that send too many frames, or what is no frame.
fn frames() -> Vec<Attack> {
    let query = CommandCode::STAGE_POSITION_GET;
    let refused = Crowd {
        clients: 8,
        from: many_read_only,
        repeat: many_of(&frame(CommandCode::STAGE_POSITION_SET)),
        ..Crowd::default()
    };
    let garbage = Crowd { clients: 8, from: many, repeat: vec![0xAA; 65_536], ..Crowd::default() };
    let slow_readers = Crowd { reads: false, ..flood(16, query) };
    vec![
        quiet("quiet"),
        attack("flood-2", Load::Control(flood(2, query))),
        attack("flood-8", Load::Control(flood(8, query))),
        attack("flood-60", Load::Control(flood(60, query))),
        attack("flood-state", Load::Control(flood(8, CommandCode::SYSTEM_STATE_GET))),
        attack("flood-refused", Load::Control(refused)),
        attack("garbage", Load::Control(garbage)),
        attack("slow-readers", Load::Control(slow_readers)),
    ]
}

/// Clients that take places and send no whole frame.
fn connections() -> Vec<Attack> {
    let mute = Crowd { clients: 200, from: many, ..Crowd::default() };
    let half = query()[..60].to_vec();
    let half_frames = Crowd { opening: half.clone(), ..mute.clone() };
    let leaving = Crowd { clients: 32, leaves: true, again: ms(0), ..mute.clone() };
    // 12 names of this host in a browser, with 6 connections each.
    let browsers = Crowd { clients: 72, from: one, opening: request(), ..Crowd::default() };
    vec![
        attack("mute", Load::Control(mute.clone())),
        attack("mute-one-address", Load::Control(Crowd { from: one, ..mute })),
        attack("half-frames", Load::Control(half_frames)),
        attack("churn", Load::Control(leaving.clone())),
        attack("churn-half-frames", Load::Control(Crowd { opening: half, ..leaving })),
        attack("http", Load::Control(browsers)),
    ]
}

/// Stops, motions, and what belongs to them.
fn stops_and_motions() -> Vec<Attack> {
    let halts = |clients| Load::Control(flood(clients, CommandCode::STAGE_HALT));
    let lease: fn(&mut BridgeSettings) = |settings| {
        settings.lease.enabled = true;
        settings.lease.dead_man = true;
    };
    vec![
        attack("halts-1", halts(1)),
        attack("halts-8", halts(8)),
        // A HALT of an observer would cancel the second HOME, pass for another form, and end the
        // motion of the dead man.
        Attack {
            halts: false,
            ..attack("home-twice", Load::Conversation(conversations::home_twice))
        },
        Attack {
            halts: false,
            ..attack("halt-forms", Load::Conversation(conversations::halt_forms))
        },
        Attack {
            settings: lease,
            instrument: Behaviour { home_takes: ms(20_000), ..Behaviour::default() },
            halts: false,
            ..attack("dead-man", Load::Conversation(conversations::dead_man))
        },
        Attack { reloads: true, ..quiet("reloads") },
    ]
}

/// Payloads of clients.
fn uploads() -> Vec<Attack> {
    let mut head = frame(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(32 << 20);
    head.hardware_id = -3;
    let dribble = Crowd {
        clients: 20,
        from: many,
        opening: head.encode().to_vec(),
        repeat: vec![7],
        pace: Some(ms(100)),
        ..Crowd::default()
    };
    let upload = |name, read_bytes_per_s, small_buffer| Attack {
        instrument: Behaviour { read_bytes_per_s, small_buffer, ..Behaviour::default() },
        limits: BEHIND_AN_UPLOAD,
        ..attack(name, Load::Conversation(conversations::big_uploads))
    };
    vec![
        Attack {
            load: vec![Load::Control(dribble), Load::Conversation(conversations::small_uploads)],
            ..quiet("dribble")
        },
        upload("upload-100-mb-s", 100_000_000, false),
        upload("upload-12-mb-s", 12_500_000, false),
        upload("upload-4-mb-s", 4_000_000, false),
        upload("upload-1-mb-s", 1_000_000, true),
        Attack {
            instrument: Behaviour { ignores_payloads: true, ..Behaviour::default() },
            ..attack("smuggle", Load::Conversation(conversations::smuggle))
        },
    ]
}

/// Instruments that push, stall or answer in the wrong order.
fn instruments() -> Vec<Attack> {
    let pushes = Behaviour { pushes_per_s: 4000, ..Behaviour::default() };
    let stalls = Some(Duration::from_millis(500));
    vec![
        Attack { instrument: pushes, ..quiet("pushes") },
        Attack {
            settings: |settings| settings.upstream.request_timeout_ms = 1000,
            instrument: Behaviour { stalls_after: stalls, ..Behaviour::default() },
            limits: DEAF,
            load: vec![Load::Conversation(conversations::ends_deafness)],
            ..quiet("payload-stalls")
        },
        Attack {
            settings: |settings| settings.upstream.tokens = Tokens::ClientId,
            instrument: Behaviour { swaps: true, ..Behaviour::default() },
            ..attack("swapped-answers", Load::Control(slow_flood()))
        },
    ]
}

/// Clients that ask often, but wait for their answers.
fn slow_flood() -> Crowd {
    Crowd { clients: 4, from: many, repeat: query(), pace: Some(ms(5)), ..Crowd::default() }
}

/// The status page, the callback port and the image ports.
fn other_ports() -> Vec<Attack> {
    let holders = Crowd {
        clients: 24,
        from: one,
        opening: b"GET /status HTTP/1.1\r\nHost: 127".to_vec(),
        ..Crowd::default()
    };
    let readers = Crowd { clients: 8, again: ms(0), opening: request(), ..holders.clone() };
    let deaf = Crowd { clients: 63, from: many, reads: false, ..Crowd::default() };
    let viewers = Crowd { clients: 16, ..deaf.clone() };
    let status = |name, crowd| Attack {
        load: vec![Load::Status(crowd), Load::Conversation(conversations::read_status)],
        ..quiet(name)
    };
    let noise = Crowd { clients: 8, repeat: vec![0xAA; 65_536], ..deaf.clone() };
    vec![
        Attack {
            load: vec![Load::Callback(noise.clone()), Load::Live(noise)],
            ..quiet("noise-elsewhere")
        },
        status("status-holders", holders),
        status("status-flood", readers),
        Attack {
            instrument: Behaviour { pushes_per_s: 4000, ..Behaviour::default() },
            ..attack("callback-mute", Load::Callback(deaf))
        },
        Attack {
            instrument: Behaviour { images_per_s: 100, ..Behaviour::default() },
            ..attack("viewers-mute", Load::Live(viewers))
        },
    ]
}
