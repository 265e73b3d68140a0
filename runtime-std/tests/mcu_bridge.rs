//! The bridge in firmware, in an emulator: the simulated instrument at UART 0, a host at UART 1, a
//! subscriber at UART 2. The simulator's ground truth judges.
#![cfg(unix)]

mod firmware;
mod raw;

use std::time::Duration;

use firmware::cable::Cable;
use firmware::log::Log;
use firmware::{Firmware, Running};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::simulator::{Simulator, TrueClass};
use flamingo_runtime_std::{Client, Options};
use raw::{Raw, command, query, simulator};

const INSTRUMENT: usize = 0;
const HOST: usize = 1;
const PUSH: usize = 2;
const LOG: usize = 3;

/// The firmware with everything plugged in.
struct Bench {
    instrument: Simulator,
    push: Raw,
    cable: Option<Cable>,
    log: Log,
    running: Running,
}

impl Bench {
    /// `None`: there is no emulator here.
    fn new(scenario: &str) -> Option<Self> {
        let program = Firmware::build("mcu-bridge")?;
        let running = Firmware::run(&program, "mps2-an386", 4);
        let instrument = simulator(scenario);
        let push = Raw::over(running.plug(PUSH));
        let log = running.log(LOG);
        let mut bench = Self { instrument, push, cable: None, log, running };
        bench.plug_instrument();
        Some(bench)
    }

    fn plug_instrument(&mut self) {
        self.cable = Some(Cable::new(self.running.plug(INSTRUMENT), self.instrument.control()));
    }

    fn client(&self) -> Client {
        let mut options = Options::new(self.running.uart(HOST).to_string());
        // A busy machine may be slow: what is judged is whether anything is wrong or lost.
        options.timeout = Duration::from_secs(20);
        smol::block_on(Client::connect(options)).expect("it answers")
    }

    /// What the instrument really sent over the cable that is plugged in.
    fn sent(&self, wanted: impl Fn(&TrueClass) -> bool) -> Vec<Frame> {
        let cable = self.cable.as_ref().expect("it is plugged in").address();
        let sent = self.instrument.truth().sent_to(cable).into_iter();
        sent.filter(|record| wanted(&record.truth)).map(|record| record.frame).collect()
    }
}

#[test]
fn a_thousand_queries_under_pushes_get_their_own_answers_and_each_push_comes_once_where_it_belongs()
{
    let Some(mut bench) = Bench::new("seed = 3\n[stage]\ncontinuous_axes = [\"y\"]\n") else {
        return;
    };
    let client = bench.client();
    let mut events = client.subscribe(&[]);
    let mut answers = Vec::new();
    for number in 1..=1000 {
        let mut question = query([1, 3, 4][number as usize % 3]);
        question.int32_data[1] = number;
        let answer = smol::block_on(client.request(question)).expect("it is answered");
        assert!(answer.proven);
        assert_eq!(answer.frame.int32_data, question.int32_data);
        answers.push(answer.frame);
    }
    smol::block_on(client.halt(2)).expect("it is answered");
    let (mut pushes, last) = bench.push.until_code(CommandCode::STAGE_MOTION_STOPPED);
    pushes.push(last);
    let pushes: Vec<_> = pushes.into_iter().map(|got| got.frame).collect();
    let truly = bench.sent(|truth| matches!(truth, TrueClass::Answer { .. }));
    let asked = |frame: &Frame| frame.code == CommandCode::STAGE_POSITION_GET;
    assert_eq!(answers, truly.into_iter().filter(asked).collect::<Vec<_>>());
    assert_eq!(pushes, bench.sent(|truth| *truth == TrueClass::Unsolicited));
    assert!(pushes.len() > 20, "{} pushes", pushes.len());
    assert!(events.try_next().is_none(), "the host gets answers only");
    println!("{} pushes", pushes.len());
}
