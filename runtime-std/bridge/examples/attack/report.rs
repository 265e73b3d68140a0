//! The table, and the limits that are broken.

use crate::attacks::Limits;
use crate::figures::{Seen, Times};

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judge {
    /// Answers, stops, and times.
    Everything,
    /// No times, since they depend on the machine.
    AnswersOnly,
}

pub(crate) fn header() -> String {
    format!(
        "{:<18} {:>6} {:>5} {:>5} {:>18} | {:>5} {:>4} {:>18} {:>18} | {:>6} {:>5} {:>5} {:>6} | {:>5} {:>4} | {}",
        "",
        "right",
        "wrong",
        "lost",
        "p50/p99/max ms",
        "HALTs",
        "lost",
        "reached ms",
        "answered ms",
        "events",
        "late",
        "lost",
        "max ms",
        "MiB",
        "fd",
        "load"
    )
}

pub(crate) fn row(name: &str, seen: &Seen) -> String {
    let Seen { witness, halts, events, usage, load, .. } = seen;
    format!(
        "{name:<18} {:>6} {:>5} {:>5} {:>18} | {:>5} {:>4} {:>18} {:>18} | {:>6} {:>5} {:>5} {:>6.0} | {:>5} {:>4} | {}",
        witness.right,
        witness.wrong,
        witness.lost,
        three(&witness.times),
        halts.sent,
        halts.lost,
        three(&halts.reached),
        three(&halts.answered),
        events.received,
        events.late,
        events.lost,
        events.times.percentile(100),
        usage.resident_kib / 1024,
        usage.descriptors,
        load.join("; ")
    )
}

fn three(times: &Times) -> String {
    if times.count() == 0 {
        return "-".to_owned();
    }
    [50, 99, 100].map(|percent| format!("{:.1}", times.percentile(percent))).join("/")
}

/// The limits that are broken, each as a sentence.
pub(crate) fn broken(seen: &Seen, limits: &Limits, judge: Judge) -> Vec<String> {
    let Seen { witness, halts, events, .. } = seen;
    let mut broken = seen.faults.clone();
    let example = |text: &Option<String>| text.clone().unwrap_or_default();
    if witness.wrong > 0 {
        broken.push(format!("{} wrong answers: {}", witness.wrong, example(&witness.example)));
    }
    if witness.lost > 0 && limits.witness_p99.is_some() {
        broken.push(format!("{} lost answers: {}", witness.lost, example(&witness.example)));
    }
    if events.lost > 0 && limits.witness_p99.is_some() {
        broken.push(format!("{} events lost", events.lost));
    }
    if witness.right == 0 {
        broken.push("the witness received no answer".to_owned());
    }
    if halts.lost > 0 && (limits.halt_answers || halts.reached.count() as u64 != halts.sent) {
        broken.push(format!("{} HALTs lost: {}", halts.lost, example(&halts.example)));
    }
    if judge == Judge::AnswersOnly {
        return broken;
    }
    broken.extend(seen.slow.iter().cloned());
    let mut above = |what: &str, found: f64, limit: f64| {
        if found > limit {
            broken.push(format!("{what} {found:.1} ms, more than {limit:.0} ms"));
        }
    };
    if let Some(limit) = limits.witness_p99 {
        above("p99 of the witness", witness.times.percentile(99), limit);
        above("longest delay of an event", events.times.percentile(100), 1000.0);
    }
    above("p99 of HALT", halts.reached.percentile(99), limits.halt_p99);
    above("longest HALT", halts.reached.percentile(100), limits.halt_max);
    if limits.halt_answers {
        above("p99 of the answer to HALT", halts.answered.percentile(99), limits.halt_p99);
        above("longest answer to HALT", halts.answered.percentile(100), limits.halt_max);
    }
    broken
}
