//! Checks that send queries, all of them harmless, and the meaning of the answers.

use crate::output::counted;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flamingo_microscope::scope_settings::ScopeSettings;
use flamingo_microscope::{Axis, field_words};
use flamingo_protocol_core::{
    Class, CommandCode, Flags, Frame,
    wire::{Kind, Status},
};
use flamingo_runtime_std::{Client, Error, Event};

use super::Finding;
use super::listen::Received;
use crate::connect::{DISCONNECTED, within};
use crate::failure::{LOST, PROTOCOL, REFUSED};

/// The check that finds pushes without a mark.
pub(super) const MARKS: &str = "marks of pushes";
/// A number that is unlikely to come back by chance.
const TOKEN: i32 = 0x5A17;

/// Why the connection failed.
pub(super) fn not_connected(error: &Error, received: &Received) -> Finding {
    let check = "protocol";
    let code = error.exit_code();
    match error {
        Error::Silent { .. } if received.frames > 0 => {
            let evidence = format!(
                "it sends {:.0} frames/s unrequested, but does not answer SYSTEM_STATE_GET",
                received.frames_per_s
            );
            let meaning = "its program floods its clients and reads no commands; restart it";
            Finding::failed(check, code, evidence, meaning)
        }
        Error::Silent { after, .. } => {
            let evidence = format!("it accepts, but sends nothing within {after:?}");
            let meaning = "its program hangs, or this is not the control port";
            Finding::failed(check, code, evidence, meaning)
        }
        Error::NotFlamingo { what, .. } => {
            let meaning = "another program listens on this port: is it the control port?";
            Finding::failed(check, code, what.clone(), meaning)
        }
        Error::ConnectionLost { reason, .. } => {
            let meaning = "it dropped this client during a query; look at its log";
            Finding::failed(check, LOST, reason.clone(), meaning)
        }
        other => Finding::failed(check, code, other.to_string(), "no connection"),
    }
}

pub(super) fn state(client: &Client) -> Finding {
    let check = "protocol";
    let answer = client.state_at_connect();
    let code = answer.frame.selector();
    let text = String::from_utf8_lossy(answer.frame.buffer_bytes()).into_owned();
    if answer.outcome == Status::Failure {
        let said = if text.is_empty() { String::new() } else { format!(", saying {text:?}") };
        let evidence = format!("SYSTEM_STATE_GET was refused{said}");
        let meaning = "this is a bridge, or another program in between, that cannot reach the \
            instrument: run doctor against the instrument itself";
        return Finding::failed(check, REFUSED, evidence, meaning);
    }
    let Some(state) = field_words::state_name(code) else {
        let evidence = format!("the answer to SYSTEM_STATE_GET is 0x{code:04X}");
        return Finding::failed(check, PROTOCOL, evidence, "expected 0xA001 to 0xA005");
    };
    if code == DISCONNECTED {
        let meaning = "a bridge answers, but its instrument is away or does not answer it: look at \
            the bridge's log, and run doctor against the instrument itself";
        return Finding::failed(check, LOST, "the state is DISCONNECTED", meaning);
    }
    let took = answer.elapsed.as_secs_f64() * 1e3;
    Finding::ok(check, format!("state {state} within {took:.1} ms"), "it answers")
}

/// Checks which fields of a command come back in its answer.
pub(super) async fn echoes(client: &Client) -> Vec<Finding> {
    let mut query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
    query.client_id = TOKEN;
    query.int32_data[2] = TOKEN;
    let answer = match client.request(query).await {
        Ok(answer) => answer,
        Err(error) => {
            let meaning = "the stage does not answer: is its controller on?";
            return vec![Finding::failed("echoes", error.exit_code(), error.to_string(), meaning)];
        }
    };
    let frame = &answer.frame;
    let selector = match frame.selector() {
        1 => Finding::ok(
            "int32Data0",
            "comes back as sent",
            "answers of different axes can be distinguished",
        ),
        found => {
            let evidence = format!("1 was sent, {found} comes back");
            let meaning = "answers of different axes cannot be distinguished: query one at a time";
            Finding::failed("int32Data0", PROTOCOL, evidence, meaning)
        }
    };
    let token = |check, found: i32| {
        if found == TOKEN {
            return Finding::ok(check, "comes back as sent", "it can carry tokens");
        }
        let evidence = format!("{TOKEN} was sent, {found} comes back");
        Finding::warning(check, evidence, "it cannot carry tokens; nothing else depends on that")
    };
    vec![selector, token("clientID", frame.client_id), token("int32Data2", frame.int32_data[2])]
}

pub(super) async fn settings(client: &Client) -> Vec<Finding> {
    let check = "settings";
    let query = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let answer = match client.request(query).await {
        Ok(answer) => answer,
        Err(error) => {
            let meaning = "the limits of the stage are not known, so moves are refused";
            return vec![Finding::warning(check, error.to_string(), meaning)];
        }
    };
    let bytes = answer.payload.len();
    let code = answer.frame.code;
    let parsed = ScopeSettings::parse(&answer.payload);
    let has_limits = |settings: &ScopeSettings| {
        Axis::ALL.into_iter().any(|axis| settings.limits(axis).is_known())
    };
    let whole = if !parsed.as_ref().is_ok_and(has_limits) {
        let evidence = format!("{bytes} bytes, and no limit of the stage in them");
        Finding::warning(check, evidence, "expected the section <Stage limits>; moves are refused")
    } else if code == CommandCode::COMMON_SCOPE_SETTINGS_LOAD {
        Finding::ok(check, format!("{bytes} bytes under 0x{:04X}", code.0), "as documented")
    } else {
        let evidence = format!("{bytes} bytes under 0x{:04X}, not 0x1009", code.0);
        Finding::warning(check, evidence, "this is accepted as the answer, but only presumed")
    };
    let limits = match parsed {
        Ok(settings) => {
            let open: Vec<_> = Axis::ALL
                .into_iter()
                .filter(|axis| !settings.limits(*axis).is_complete())
                .map(Axis::letter)
                .collect();
            if open.is_empty() {
                Finding::ok("limits", "both limits of every axis", "targets are checked")
            } else {
                let evidence = format!("no limits for {}", open.join(", "));
                Finding::warning("limits", evidence, "the typed layer does not move these axes")
            }
        }
        Err(error) => {
            let meaning = "the settings cannot be parsed: correct this line at the instrument";
            Finding::warning("limits", error.to_string(), meaning)
        }
    };
    vec![whole, limits]
}

/// Listens to events: commands of other clients, and the interval of pushed positions.
pub(super) async fn traffic(client: &Client, span: Duration) -> Vec<Finding> {
    let mut events = client.subscribe(&[]);
    let mut codes: BTreeMap<CommandCode, u64> = BTreeMap::new();
    let (mut pushes, mut unmarked) = (Vec::new(), BTreeSet::new());
    let mut lost = false;
    let listened = within(span, async {
        while let Some(event) = events.next().await {
            match event {
                Event::Frame(event) => {
                    *codes.entry(event.frame.code).or_default() += 1;
                    let is_unasked = matches!(event.class, Class::Unsolicited { .. });
                    if is_unasked && event.frame.code == CommandCode::STAGE_POSITION_GET {
                        pushes.push((event.frame.selector(), event.at));
                        if !event.frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER) {
                            unmarked.insert(event.frame.selector());
                        }
                    }
                }
                Event::ConnectionLost => lost = true,
                _ => {}
            }
        }
    });
    let _ = listened.await;
    if lost {
        let meaning = "it drops its clients; look at its log";
        return vec![Finding::failed("traffic", LOST, "the connection was lost", meaning)];
    }
    let marks = (!unmarked.is_empty()).then(|| unmarked_positions(&unmarked));
    [others(&codes, span), push_interval(&pushes)].into_iter().chain(marks).collect()
}

/// Positions that look like answers.
fn unmarked_positions(axes: &BTreeSet<i32>) -> Finding {
    let axes: Vec<_> = axes
        .iter()
        .map(|axis| Axis::from_selector(*axis).map_or(axis.to_string(), |axis| axis.to_string()))
        .collect();
    let evidence = format!("positions of {} are pushed without their mark", axes.join(", "));
    let meaning = "a push can be taken for an answer: use --unmarked positions with every command, or \
        unmarked.positions in the profile and in bridge.toml";
    Finding::warning(MARKS, evidence, meaning)
}

fn others(codes: &BTreeMap<CommandCode, u64>, span: Duration) -> Finding {
    let check = "other clients";
    let kind = |code: &CommandCode| code.row().map(|row| row.kind);
    let theirs: Vec<_> = codes
        .keys()
        .filter(|code| matches!(kind(code), Some(Kind::Action | Kind::FireAndForget)))
        .map(ToString::to_string)
        .collect();
    let all: u64 = codes.values().sum();
    let received = format!("{} in {span:?}", counted(all, "event"));
    if theirs.is_empty() {
        return Finding::ok(check, received, "no other client sends commands");
    }
    let evidence = format!("{received}, among them {}", theirs.join(", "));
    Finding::ok(check, evidence, "another program sends commands, which the instrument broadcasts")
}

/// Checks that the pushed positions of an axis come every 25 ms.
fn push_interval(pushes: &[(i32, std::time::SystemTime)]) -> Finding {
    let check = "clock of pushes";
    let Some((axis, _)) = pushes.first() else {
        return Finding::ok(check, "nothing moves", "no positions are pushed, which is fine");
    };
    let times: Vec<_> = pushes.iter().filter(|push| push.0 == *axis).map(|push| push.1).collect();
    let mut gaps: Vec<f64> = times
        .windows(2)
        .filter_map(|pair| pair[1].duration_since(pair[0]).ok())
        .map(|gap| gap.as_secs_f64() * 1e3)
        .collect();
    gaps.sort_by(f64::total_cmp);
    let Some(median) = gaps.get(gaps.len() / 2) else {
        return Finding::ok(check, "one position was pushed", "too few to measure the interval");
    };
    let longest = gaps.last().copied().unwrap_or(*median);
    let evidence = format!("a position every {median:.1} ms, at most {longest:.1} ms apart");
    if (15.0..=40.0).contains(median) && longest < 250.0 {
        return Finding::ok(check, evidence, "as documented (25 ms)");
    }
    Finding::warning(check, evidence, "expected 25 ms: the network or the instrument is busy")
}
