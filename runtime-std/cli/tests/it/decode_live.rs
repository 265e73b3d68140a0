//! `flamingo decode` of a pipe that stays open, as `tcpdump -U -w -` writes it: each line is there before the
//! next packet comes.

use std::io::Write;

use crate::program::{Running, start_with_open_stdin};
use crate::tcp_capture::{
    Tcp, answer, header, idle, pcapng_header, pcapng_packet, position, squeezed,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

/// The row of the next line.
fn row(running: &Running) -> Value {
    serde_json::from_str(&running.line()).unwrap()
}

fn kind(running: &Running) -> String {
    row(running)["kind"].as_str().unwrap().to_owned()
}

/// Writes a live capture in one of the forms that are read.
struct Writer {
    pipe: Box<dyn Write>,
    pcapng: bool,
}

impl Writer {
    fn new(pipe: impl Write + 'static, pcapng: bool, packed: bool) -> Self {
        let mut pipe: Box<dyn Write> = Box::new(pipe);
        if packed {
            pipe = Box::new(GzEncoder::new(pipe, Compression::default()));
        }
        pipe.write_all(&if pcapng { pcapng_header() } else { header() }).unwrap();
        pipe.flush().unwrap();
        Self { pipe, pcapng }
    }

    fn packet(&mut self, record: &[u8]) {
        let packet = if self.pcapng { pcapng_packet(record) } else { record.to_vec() };
        self.pipe.write_all(&packet).unwrap();
        // So that gzip holds nothing back.
        self.pipe.flush().unwrap();
    }
}

#[test]
fn a_live_pipe_shows_each_row_before_the_next_bytes() {
    for form in 0..8 {
        let [json, pcapng, packed] = [1, 2, 4].map(|bit| form & bit != 0);
        let options: &[&str] = if json { &["decode", "--json"] } else { &["decode", "-"] };
        let (running, pipe) = start_with_open_stdin(options);
        let mut tcp = Tcp::to(53_717);
        let expect = |json_kind: &str, words: &str| {
            if json {
                assert_eq!(kind(&running), json_kind, "{form}");
            } else {
                let line = squeezed(&running.line());
                assert!(line.contains(words), "{words:?} in {line:?}, {form}");
            }
        };
        let mut writer = Writer::new(pipe, pcapng, packed);
        writer.packet(&tcp.says(0, idle()));
        expect("opened", "is already connected to 10.0.0.5:53717");
        expect("unsolicited", "* SYSTEM_STATE_IDLE");
        writer.packet(&tcp.asks(10, position(1)));
        writer.packet(&tcp.says(14, answer(position(1))));
        expect("answered", "axis x -> STAGE_POSITION_GET axis x 0 mm [4.000 ms]");
        writer.packet(&tcp.asks(20, position(2)));
        writer.packet(&tcp.says(3_021, idle()));
        expect("silent", "axis y -> !! no answer in 3.000 s");
        expect("unsolicited", "* SYSTEM_STATE_IDLE");
        drop(writer);
        assert_eq!(running.ended().code, Some(0), "{form}");
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
fn a_live_pipe_without_packets_shows_a_command_without_answer() {
    let (running, mut pipe) = start_with_open_stdin(&["decode", "--json"]);
    let mut tcp = Tcp::to(53_717);
    pipe.write_all(&header()).unwrap();
    pipe.write_all(&[1, 2, 3].map(|axis| tcp.asks(0, position(axis))).concat()).unwrap();
    let shown: Vec<_> = (0..4).map(|_| kind(&running)).collect();
    assert_eq!(shown, ["opened", "open", "open", "open"]);
    pipe.write_all(&tcp.says(2_900, answer(position(1)))).unwrap();
    let late = row(&running);
    assert_eq!(
        (&late["kind"], &late["frame"]["elapsed_ms"]),
        (&"solicited".into(), &2_900.0.into())
    );
    pipe.write_all(&tcp.says(2_901, idle())).unwrap();
    assert_eq!(kind(&running), "unsolicited");
    pipe.write_all(&tcp.says(3_001, idle())).unwrap();
    for axis in [2, 3] {
        let silent = row(&running);
        let told = ["kind", "silent_ms", "shown_before"].map(|key| silent[key].clone());
        assert_eq!(told, [Value::from("silent"), 3_000.0.into(), true.into()]);
        assert_eq!(silent["request"]["int32_data0"], axis);
    }
    assert_eq!(kind(&running), "unsolicited");
    drop(pipe);
    assert_eq!(running.ended().code, Some(0));
}
