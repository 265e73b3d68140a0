//! `flamingo decode` of captures that the test makes: other ports, the beginning and the end of the file, and
//! a clock that was set. Live pipes are in `decode_live.rs`, recordings of the program itself in `record.rs`.

use crate::program::{flamingo, flamingo_fed};
use crate::tcp_capture::{Tcp, answer, header, idle, kinds, position, squeezed};
use flamingo_protocol_core::{CommandCode, Flags, Frame};
use flamingo_runtime_testkit::folder::Folder;

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
    assert_eq!(read.objects()[1]["maybe_frame"], true);
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
    let callback = ["decode", &file, "--callback-port", "6000", "--stack-port", "6000"];
    flamingo(&callback).expect_error(2, &["6000", "--callback-port", "--stack-port"]);
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
    let delays = answered.iter().filter_map(|row| row["answer"]["elapsed_ms"].as_f64());
    assert_eq!(delays.collect::<Vec<_>>(), [4.0; 39], "{answered:?}");
    let unknown = answered.iter().filter(|row| row["clock_set"] == true);
    assert_eq!(unknown.count(), 1, "the answer after the clock was set: {answered:?}");
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
    let unknown = "axis y 0 mm  [delay not known: the clock was set]";
    assert_eq!(text.matches(unknown).count(), 1, "{text}");
}

#[test]
fn a_host_that_gets_its_date_while_it_captures_keeps_delays() {
    let folder = Folder::new("date");
    let mut tcp = Tcp::to(53_717);
    let mut asks = tcp.asks(10, position(1));
    // Before it has the date, the clock of the host begins in 1970.
    asks[..4].copy_from_slice(&1_u32.to_le_bytes());
    let capture = [
        header(),
        asks,
        tcp.says(20, idle()),
        tcp.says(21, answer(position(1))),
        tcp.asks(30, position(2)),
        tcp.says(34, answer(position(2))),
    ];
    let file = folder.file("run.pcap", capture.concat());
    let text = squeezed(&flamingo(&["decode", &file]).expect_done().stdout);
    let said = ["the times in the file go forward by 978307199", "[delay not known", "[4.000 ms]"];
    for words in said {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}

#[test]
fn an_answer_to_a_command_before_the_capture_is_marked() {
    let folder = Folder::new("middle");
    let mut tcp = Tcp::to(53_717);
    let capture = [
        header(),
        tcp.packet(1, 0, &answer(position(1)).encode()[28..]),
        tcp.says(1, answer(position(2))),
        tcp.says(2, idle()),
        tcp.asks(3, position(3)),
        tcp.says(5, answer(position(3))),
        tcp.says(3_100, answer(position(2))),
    ];
    let file = folder.file("run.pcap", capture.concat());
    let text = squeezed(&flamingo(&["decode", &file]).expect_done().stdout);
    for words in [
        "== control: 10.0.0.7:40000 is already connected to 10.0.0.5:53717, 2001",
        "!! 100 bytes from the instrument belong to no frame, or the recording lacks its beginning",
        "axis y 0 mm [unsolicited, or its command is not in the recording]",
        "* SYSTEM_STATE_IDLE status 0 [unsolicited]",
        "axis z 0 mm [2.000 ms]",
        "axis y 0 mm [unsolicited]",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let rows = flamingo(&["decode", "--json", &file]).expect_done().objects();
    let marked: Vec<_> = rows.iter().filter(|row| row["maybe_asked"] == true).collect();
    assert_eq!(marked.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["began_before"], true);
}

#[test]
fn a_connection_that_is_closed_leaves_its_commands_unanswered() {
    let folder = Folder::new("closed");
    let mut tcp = Tcp::to(53_717);
    let capture = [
        header(),
        tcp.begins(0),
        tcp.asks(1, position(1)),
        tcp.ends(0, 2),
        tcp.ends(1, 501),
        Tcp { client: 40_001, ..Tcp::to(53_717) }.says(9_000, idle()),
    ];
    let file = folder.file("run.pcap", capture.concat());
    let text = squeezed(&flamingo(&["decode", &file]).expect_done().stdout);
    assert!(
        text.contains("axis x -> !! no answer: the connection ends after 500.000 ms"),
        "{text}"
    );
    assert!(text.contains("10.0.0.7:40000 connects to 10.0.0.5:53717"), "{text}");
    let rows = flamingo(&["decode", "--json", &file]).expect_done().objects();
    let expected = ["opened", "silent", "closed", "closed", "opened", "unsolicited"];
    assert_eq!(kinds(&rows), expected);
    assert_eq!(rows[1]["connection_ends"], true);
    let totals = flamingo(&["decode", "--json", "--summary", &file]).expect_done().objects();
    let of_code = |name: &str| totals.iter().find(|row| row["name"] == name).unwrap();
    let asked = of_code("STAGE_POSITION_GET");
    assert_eq!((&asked["unanswered"], &asked["answered"]), (&1.into(), &0.into()));
    assert!(asked["p50_ms"].is_null() && asked["p99_ms"].is_null(), "no delay: {asked}");
    let text = flamingo(&["decode", "--summary", &file]);
    let line = text.stdout.lines().find(|line| line.starts_with("STAGE_POSITION_GET")).unwrap();
    assert!(squeezed(line).ends_with(" 1 0 - - 1 0 0"), "{line}");
}

#[test]
fn two_instruments_with_the_same_ports_are_told_apart() {
    let folder = Folder::new("two");
    let [mut one, mut two] = [5, 6].map(|host| Tcp { host, ..Tcp::to(53_717) });
    let capture = [
        header(),
        one.begins(0),
        two.begins(1),
        one.asks(10, position(1)),
        two.asks(11, position(1)),
        two.says(14, answer(position(1))),
        one.says(30, answer(position(1))),
        two.asks(40, position(2)),
        one.says(3_100, answer(position(2))),
    ];
    let file = folder.file("run.pcap", capture.concat());
    let rows = flamingo(&["decode", "--json", &file]).expect_done().objects();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let delay = row["answer"]["elapsed_ms"].as_f64().or(row["silent_ms"].as_f64());
            (row["connection"].as_u64().unwrap(), row["kind"].as_str().unwrap(), delay)
        })
        .collect();
    let expected = [
        (1, "opened", None),
        (2, "opened", None),
        (1, "answered", Some(20.0)),
        (2, "answered", Some(3.0)),
        (2, "silent", Some(3_000.0)),
        (1, "unsolicited", None),
    ];
    assert_eq!(told, expected);
    assert_eq!(rows[1]["instrument"], "10.0.0.6:53717");
    let totals = flamingo(&["decode", "--json", "--summary", &file]).expect_done().objects();
    assert_eq!(totals.last().unwrap()["instruments"], 2);
    let text = flamingo(&["decode", "--summary", &file]);
    let text = &text.expect_done().stdout;
    assert!(text.contains("2 connections to 2 instruments, "), "{text}");
}

#[test]
fn the_callback_port_of_a_bridge_is_named_and_not_replayed() {
    let folder = Folder::new("callback");
    let mut usual = Tcp::to(53_720);
    let mut other = Tcp::to(60_000);
    let capture = [
        header(),
        usual.begins(0),
        usual.says(1, idle()),
        other.begins(2),
        other.packet(1, 3, &idle().encode()[100..]),
        other.says(4, idle()),
    ];
    let file = folder.file("run.pcap", capture.concat());
    let rows = flamingo(&["decode", "--json", "--callback-port", "60000", &file]);
    let rows = rows.expect_done().objects();
    assert_eq!(kinds(&rows), ["opened", "unsolicited", "opened", "noise", "unsolicited"]);
    assert!(rows.iter().all(|row| row["port"] == "callback"), "{rows:?}");
    let text = flamingo(&["decode", "--callback-port", "60000", &file]);
    assert!(text.stdout.contains("== callback: 10.0.0.7:40000 connects"), "{text:?}");
    let as_control = flamingo(&["decode", "--json", "--control-port", "53720", &file]).objects();
    assert_eq!(as_control[0]["port"], "control");
    flamingo(&["replay", &file, "--port", "0"]).expect_error(2, &["run.pcap", "found none"]);
}

#[test]
fn a_part_of_a_frame_before_missing_bytes_says_so() {
    let folder = Folder::new("part");
    let mut tcp = Tcp::to(53_717);
    let mut capture = [header(), tcp.begins(0), tcp.packet(1, 1, &idle().encode()[..60])].concat();
    tcp.numbers[1] += 68;
    capture.extend(tcp.says(2, idle()));
    // The client acknowledges the bytes that the capture lacks.
    capture.extend(tcp.asks(3, position(1)));
    capture.extend(tcp.says(5, answer(position(1))));
    let file = folder.file("run.pcap", capture);
    let text = flamingo(&["decode", &file]);
    let shown = squeezed(&text.stdout);
    let said =
        "!! 60 bytes from the instrument are incomplete: those after them are not in the recording";
    assert!(shown.contains(said), "{text:?}");
    assert!(!shown.contains("the connection ended"), "{text:?}");
    assert_eq!(text.code, Some(6), "a part of a message: {text:?}");
    let rows = flamingo(&["decode", "--json", &file]).objects();
    assert_eq!(kinds(&rows), ["opened", "rest", "hole", "unsolicited", "answered"]);
    assert_eq!(rows[1]["cut_by"], "hole");
}
