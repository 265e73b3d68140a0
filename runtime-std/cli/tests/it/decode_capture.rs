//! `flamingo decode` of captures that the test makes: a live pipe, other ports, the end of the file, and a
//! clock that was set. Recordings of the program itself are in `record.rs`.

use std::io::Write;

use crate::program::{Running, flamingo, flamingo_fed, start_with_open_stdin};
use etherparse::PacketBuilder;
use flamingo_protocol_core::{CommandCode, Flags, Frame};
use flamingo_runtime_testkit::folder::Folder;
use serde_json::Value;

/// Link type 101: raw IP.
const HEADER: [u32; 6] = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, 101];

/// A connection in a pcap file.
struct Tcp {
    client: u16,
    instrument: u16,
    /// The next sequence number of the client, and of the instrument.
    numbers: [u32; 2],
}

impl Tcp {
    const fn to(instrument: u16) -> Self {
        Self { client: 40_000, instrument, numbers: [1, 1] }
    }

    /// A packet of the client with these bytes, so many ms after the beginning of 2001.
    fn asks(&mut self, at: u64, frame: Frame) -> Vec<u8> {
        self.packet(0, at, &frame.encode())
    }

    /// The same of the instrument.
    fn says(&mut self, at: u64, frame: Frame) -> Vec<u8> {
        self.packet(1, at, &frame.encode())
    }

    fn packet(&mut self, from: usize, at: u64, payload: &[u8]) -> Vec<u8> {
        let ends = [([10, 0, 0, 7], self.client), ([10, 0, 0, 5], self.instrument)];
        let (source, target) = (ends[from], ends[1 - from]);
        let tcp = PacketBuilder::ipv4(source.0, target.0, 64)
            .tcp(source.1, target.1, self.numbers[from], 1000)
            .ack(self.numbers[1 - from]);
        self.numbers[from] += u32::try_from(payload.len()).unwrap();
        let mut packet = Vec::new();
        tcp.write(&mut packet, payload).unwrap();
        let length = u32::try_from(packet.len()).unwrap();
        let seconds = 978_307_200 + u32::try_from(at / 1_000).unwrap();
        let micros = u32::try_from(at % 1_000).unwrap() * 1_000;
        let head = [seconds, micros, length, length].map(u32::to_le_bytes).concat();
        [head, packet].concat()
    }
}

fn header() -> Vec<u8> {
    HEADER.map(u32::to_le_bytes).concat()
}

fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

fn answer(frame: Frame) -> Frame {
    Frame { status: 1, ..frame }
}

fn idle() -> Frame {
    Frame::new(CommandCode::SYSTEM_STATE_IDLE)
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["kind"].as_str().unwrap()).collect()
}

/// The next line without repeated spaces.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind(running: &Running) -> String {
    let row: Value = serde_json::from_str(&running.line()).unwrap();
    row["kind"].as_str().unwrap().to_owned()
}

#[test]
fn a_live_pipe_shows_each_row_before_the_next_bytes() {
    for json in [false, true] {
        let options: &[&str] = if json { &["decode", "--json"] } else { &["decode", "-"] };
        let (running, mut pipe) = start_with_open_stdin(options);
        let mut tcp = Tcp::to(53_717);
        let expect = |json_kind: &str, words: &str| {
            if json {
                assert_eq!(kind(&running), json_kind);
            } else {
                let line = squeezed(&running.line());
                assert!(line.contains(words), "{words:?} in {line:?}");
            }
        };
        pipe.write_all(&header()).unwrap();
        pipe.write_all(&tcp.says(0, idle())).unwrap();
        expect("opened", "connects to 10.0.0.5:53717");
        expect("unsolicited", "* SYSTEM_STATE_IDLE");
        pipe.write_all(&tcp.asks(10, position(1))).unwrap();
        pipe.write_all(&tcp.says(14, answer(position(1)))).unwrap();
        expect("answered", "axis x -> STAGE_POSITION_GET axis x 0 mm [4.000 ms]");
        drop(pipe);
        assert_eq!(running.ended().code, Some(0));
    }
}

#[test]
fn a_live_pipe_shows_events_while_a_command_waits() {
    let (running, mut pipe) = start_with_open_stdin(&["decode", "--json"]);
    let mut tcp = Tcp::to(53_717);
    pipe.write_all(&header()).unwrap();
    pipe.write_all(&tcp.asks(0, position(1))).unwrap();
    assert_eq!(kind(&running), "opened");
    pipe.write_all(&tcp.says(5, idle())).unwrap();
    assert_eq!(kind(&running), "unsolicited");
    // The time in the capture decides, not the time of the host.
    pipe.write_all(&tcp.says(2_999, idle())).unwrap();
    assert_eq!(kind(&running), "unsolicited");
    pipe.write_all(&tcp.says(3_001, idle())).unwrap();
    assert_eq!(kind(&running), "silent");
    assert_eq!(kind(&running), "unsolicited");
    drop(pipe);
    let ended = running.ended();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
}

#[test]
fn connections_on_other_ports_are_read_as_the_ports_say() {
    let folder = Folder::new("decode-as");
    let [mut control, mut other] = [Tcp::to(60_000), Tcp::to(60_001)];
    other.client = 41_000;
    // The first bytes tell nothing: the capture begins in the middle of a frame.
    let capture = [
        header(),
        control.packet(0, 0, &position(1).encode()[100..]),
        control.asks(1, position(2)),
        control.says(3, answer(position(2))),
        other.packet(0, 4, &position(1).encode()[100..]),
        other.asks(5, position(3)),
    ];
    let file = folder.file("run.pcap", capture.concat());
    let ignored = flamingo(&["decode", &file]);
    assert!(ignored.code == Some(2) && ignored.stderr.contains("found none"), "{ignored:?}");
    assert!(ignored.stderr.contains("2 TCP connections to other ports"), "{ignored:?}");
    let read = flamingo(&["decode", "--json", "--control-port", "60000", &file]);
    assert!(read.stderr.contains("1 TCP connections to other ports"), "{read:?}");
    assert_eq!(kinds(&read.objects()), ["opened", "noise", "answered"]);
    assert_eq!(read.objects()[0]["instrument"], "10.0.0.5:60000");
    let both = ["--control-port", "60000", "--control-port", "60001"];
    let read = flamingo(&[&["decode", "--json"], &both[..], &[&file]].concat());
    let rows = read.expect_done().objects();
    assert_eq!(rows.iter().filter(|row| row["kind"] == "opened").count(), 2, "{rows:?}");
    let live = flamingo(&["decode", "--json", "--live-port", "60000", &file]).objects();
    assert_eq!(live[0]["port"], "live");
    let stack = flamingo(&["decode", "--json", "--stack-port", "60000", &file]).objects();
    assert_eq!(stack[0]["port"], "stack");
}

#[test]
fn ports_that_contradict_or_mean_nothing_are_refused() {
    let folder = Folder::new("decode-as-refused");
    let file = folder.file("run.pcap", [header(), Tcp::to(53_717).says(0, idle())].concat());
    let twice = ["decode", &file, "--control-port", "6000", "--live-port", "6000"];
    flamingo(&twice).expect_error(2, &["6000", "--control-port", "--live-port"]);
    flamingo(&["decode", &file, "--stack-port", "0"]).expect_error(2, &["--stack-port", "65535"]);
    let bytes = flamingo_fed(&["decode", "--control-port", "6000"], idle().encode());
    bytes.expect_error(2, &["--control-port", "capture"]);
}

#[test]
fn a_file_that_ends_in_the_middle_of_a_request_says_so() {
    let folder = Folder::new("ends");
    let mut tcp = Tcp::to(53_717);
    let asked = [header(), tcp.asks(0, position(1)), tcp.asks(500, position(2))].concat();
    let file = folder.file("asked.pcap", &asked);
    let text = flamingo(&["decode", &file]);
    let text = squeezed(&text.expect_done().stdout);
    assert!(text.contains("axis x -> (the recording ends here, after 500.000 ms)"), "{text}");
    assert!(!text.contains("no answer"), "{text}");
    let rows = flamingo(&["decode", "--json", &file]).expect_done().objects();
    assert_eq!(kinds(&rows), ["opened", "unfinished", "unfinished"]);
    assert_eq!(rows[1]["silent_ms"], 500.0);
    let totals = flamingo(&["decode", "--json", "--summary", &file]).expect_done().objects();
    let counts = ["commands", "unanswered", "unfinished"].map(|key| totals[0][key].as_u64());
    assert_eq!(counts, [Some(2), Some(0), Some(2)]);

    let half = tcp.packet(0, 600, &position(3).encode()[..60]);
    let file = folder.file("half.pcap", [asked, half].concat());
    let text = flamingo(&["decode", &file]);
    let said = "60 bytes from the client are incomplete: the recording ends here";
    assert!(text.code == Some(6) && text.stdout.contains(said), "{text:?}");
}

#[test]
fn an_unknown_code_that_asks_in_vain_has_no_answer() {
    let folder = Folder::new("unknown-code");
    let mut tcp = Tcp::to(53_717);
    let unknown = Frame::command(CommandCode(0x6FFF));
    let capture = [
        header(),
        tcp.asks(0, unknown),
        tcp.asks(1, Frame { flags: Flags(0), ..unknown }),
        tcp.says(4_000, idle()),
        tcp.asks(5_000, unknown),
        tcp.says(5_004, answer(unknown)),
    ];
    let file = folder.file("run.pcap", capture.concat());
    let text = squeezed(&flamingo(&["decode", &file]).expect_done().stdout);
    assert!(text.contains("0x6FFF -> !! no answer in 3.000 s"), "{text}");
    let rows = flamingo(&["decode", "--json", &file]).expect_done().objects();
    let expected = ["opened", "silent", "command", "unsolicited", "answered"];
    assert_eq!(kinds(&rows), expected);
}

#[test]
fn a_capture_whose_time_goes_back_keeps_order_and_delays() {
    let folder = Folder::new("back");
    let hour = 3_600_000;
    let mut tcp = Tcp::to(53_717);
    let mut capture = header();
    for n in 0..20 {
        let at = hour + n * 100;
        capture.extend(tcp.asks(at, position(1)));
        capture.extend(tcp.says(at + 4, answer(position(1))));
    }
    // The clock is set back by an hour within a request.
    capture.extend(tcp.asks(hour + 2_000, position(2)));
    capture.extend(tcp.says(2_004, answer(position(2))));
    for n in 21..40 {
        capture.extend(tcp.asks(n * 100, position(1)));
        capture.extend(tcp.says(n * 100 + 4, answer(position(1))));
    }
    capture.extend(tcp.asks(4_000, position(3)));
    capture.extend(tcp.says(8_000, idle()));
    let file = folder.file("run.pcap", capture);
    let rows = flamingo(&["decode", "--json", &file]).expect_done().objects();
    let of = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).collect::<Vec<_>>();
    let answered = of("answered");
    assert_eq!(answered.len(), 40, "{rows:?}");
    let delays = answered.iter().map(|row| row["answer"]["elapsed_ms"].as_f64().unwrap());
    assert!(delays.into_iter().all(|delay| (0.0..=4.0).contains(&delay)), "{answered:?}");
    let times: Vec<_> = rows.iter().map(|row| row["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let [step] = of("clock_step")[..] else { panic!("{rows:?}") };
    assert_eq!((&step["clock_step_s"], &step["noted"]), (&(-3_599.996).into(), &false.into()));
    let [silent] = of("silent")[..] else { panic!("{rows:?}") };
    assert_eq!(silent["silent_ms"], 3_000.0);
    let text = flamingo(&["decode", &file]);
    let text = &text.expect_done().stdout;
    assert!(text.contains("== the times in the file go back by 3599.996 s here"), "{text}");
    assert_eq!(text.matches("no answer").count(), 1, "{text}");
}
