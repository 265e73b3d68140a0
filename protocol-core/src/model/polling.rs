//! Polling without a pause: after a lost answer, a late answer or a push, polling recovers while it
//! goes on, for every deadline and round trip.

use core::fmt;
use std::println;
use std::vec::Vec;

use super::device::Peer;
use super::setting::{Ask, Budget, Setting};
use super::world::{Truth, World};
use super::{FLAGGED, UNFLAGGED, ask, position};
use crate::connection::UnmarkedPushes;
use crate::{
    CommandCode, Config, Frame,
    time::{Duration, Instant},
};

/// What happens at one poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The device does not answer.
    Lost,
    /// The device answers at half of the deadline after the deadline.
    Late,
    /// The device pushes the code of the poll before it answers.
    Pushed,
}

const TROUBLES: [Trouble; 4] = [Trouble::None, Trouble::Lost, Trouble::Late, Trouble::Pushed];

/// A program that polls one command.
#[derive(Clone, Copy)]
struct Poll {
    frame: Frame,
    peer: Peer,
    deadline: Duration,
    round_trip: Duration,
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A key without a fence, a pushable key with a fence, and a key whose answers are proven.
fn polled() -> [(Frame, Peer); 3] {
    [
        (ask(CommandCode::LASER_LEVEL_GET).with_selector(1), UNFLAGGED),
        (ask(CommandCode::CAMERA_EXPOSURE_GET), UNFLAGGED),
        (position(1), FLAGGED),
    ]
}

/// Every deadline that is at least three round trips.
fn polls() -> Vec<Poll> {
    let mut polls = Vec::new();
    for (frame, peer) in polled() {
        for round_trip in [5, 20, 90, 150, 400] {
            for deadline in (50..=1500).step_by(50).chain([340]) {
                if deadline >= 3 * round_trip {
                    let (deadline, round_trip) = (ms(deadline), ms(round_trip));
                    polls.push(Poll { frame, peer, deadline, round_trip });
                }
            }
        }
    }
    polls
}

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frame, deadline, round_trip, .. } = self;
        write!(f, "{}, deadline {deadline:?}, round trip {round_trip:?}", frame.code)
    }
}

impl Poll {
    /// The time until polling gets its own answers again, after these troubles.
    fn recovers_after(self, troubles: &[Trouble]) -> Duration {
        let Self { frame, peer, deadline, round_trip } = self;
        let mut setting = Setting::new(Config::default(), peer, &[], Budget::default());
        setting.commands.push(Ask { frame, patience: Some(deadline) });
        let mut world = <World>::new(setting);
        for trouble in troubles {
            self.polls_once(&mut world, *trouble);
        }
        let healthy = world.now;
        while !world.polls_its_own(0, Instant::from_micros(0), round_trip) {
            assert!(world.now.since(healthy) < ms(120_000), "no recovery of {self:?}");
        }
        let time = world.now.since(healthy);
        for _ in 0..12 {
            let own = world.polls_its_own(0, Instant::from_micros(0), round_trip);
            assert!(own, "shifted again: {self:?} after {troubles:?}, recovered in {time:?}");
        }
        time
    }

    fn polls_once(self, world: &mut World, trouble: Trouble) {
        let ticket = world.ask(0);
        let mut came = false;
        while world.asked.iter().any(|asked| asked.ticket == ticket) {
            if !came && world.device.holds(ticket) {
                came = true;
                match trouble {
                    Trouble::None => {}
                    Trouble::Lost => world.device.lose(ticket),
                    Trouble::Late => {
                        let late = Duration::from_micros(self.deadline.as_micros() * 3 / 2);
                        world.device.delay(ticket, late);
                    }
                    Trouble::Pushed => {
                        let push = self.peer.push(&self.frame);
                        world.hear(&push, Truth::Push);
                        world.write();
                        continue;
                    }
                }
            }
            world.live(Instant::from_micros(0), self.round_trip);
        }
    }

    /// The time within which polling recovers.
    fn bound(self) -> Duration {
        let once = Config::default().grace + self.deadline;
        once + once
    }
}

/// Deadline and grace must not lock in phase.
#[test]
fn after_one_lost_answer_polling_recovers() {
    let mut longest = Duration::ZERO;
    for poll in polls() {
        for before in 0..3 {
            let mut troubles = std::vec![Trouble::None; before];
            troubles.push(Trouble::Lost);
            let time = poll.recovers_after(&troubles);
            assert!(time <= poll.bound(), "{time:?} after {troubles:?}: {poll:?}");
            longest = longest.max(time);
        }
    }
    println!("after a lost answer: {longest:?} at most");
}

#[test]
fn after_any_three_troubles_polling_recovers() {
    let mut longest = Duration::ZERO;
    let mut runs = 0;
    for poll in polls() {
        for first in TROUBLES {
            for second in TROUBLES {
                for third in TROUBLES {
                    let time = poll.recovers_after(&[first, second, third]);
                    assert!(
                        time <= poll.bound(),
                        "{time:?} after {first:?} {second:?} {third:?}: {poll:?}"
                    );
                    longest = longest.max(time);
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} runs of three troubles: {longest:?} at most");
}

/// One key is polled without a pause, another one after every few answers of the first, and a push
/// shifts the answers of the first. Keys may share the counter of presumed answers: then the other
/// key must not take all the long holds.
#[test]
fn a_shift_ends_whatever_else_is_polled_beside_it() {
    let lasers = (1..=4).map(|laser| ask(CommandCode::LASER_LEVEL_GET).with_selector(laser));
    let others = lasers.chain([position(2), ask(CommandCode::FILTER_WHEEL_POSITION_GET)]);
    let mut longest = Duration::ZERO;
    for other in others {
        for round_trip in (110..=600).step_by(10).map(ms) {
            for every in 1..=8 {
                let shifted = shifted_beside(other, round_trip, every);
                let case = format_args!("{round_trip:?}, {other} after every {every}");
                assert!(shifted < ms(10_000), "{case}: shifted for {shifted:?}");
                longest = longest.max(shifted);
            }
        }
    }
    println!("a shift beside another poll: {longest:?} at most");
}

/// How long the answers of X stay shifted after a push.
fn shifted_beside(other: Frame, round_trip: Duration, every: u32) -> Duration {
    let unmarked = UnmarkedPushes::default().with_positions(true);
    let config = Config::default().with_unmarked(unmarked);
    let (begin, end) = (Instant::from_micros(0), Instant::from_micros(20_000_000));
    let setting = Setting::new(config, UNFLAGGED, &[position(1), other], Budget::default());
    let mut world = <World>::new(setting);
    let mut asked = [world.ask(0), world.ask(1)];
    world.now = world.now + ms(5);
    world.hear(&UNFLAGGED.push(&position(1)), Truth::Push);
    world.write();
    let (mut last_shifted, mut answers) = (begin, 1);
    while world.now < end {
        let [x, beside] = asked.map(|of| world.asked.iter().all(|asked| asked.ticket != of));
        if x {
            answers += 1;
            asked[0] = world.ask(0);
        }
        if x && beside && u32::is_multiple_of(answers, every) {
            asked[1] = world.ask(1);
        }
        let heard = world.live(begin, round_trip);
        if heard.is_some_and(|of| of.answers == Some(asked[0]) && !of.seen.is_right()) {
            last_shifted = world.now;
        }
    }
    last_shifted.since(begin)
}
