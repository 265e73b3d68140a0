//! Writes the comments of packets: the class of a frame, the properties of an image. Cuts the bytes of
//! a control connection into segments, one for each frame with its payload.
//!
//! The class of a frame is decided by `conversation.rs`.

use std::fmt::Write;
use std::time::Duration;

use flamingo_protocol_core::{
    Frame,
    image::ImageHeader,
    wire::{Assembler, MAX_PAYLOAD, Piece},
};

use super::Side;
use super::conversation::{Conversation, FrameClass};
use flamingo_microscope::field_words::selector_name;
use flamingo_runtime_std::ClockStep;

/// The beginning of the comment of an image whose pixels were left out. The CRC-32 in hex follows.
pub(super) const LEFT_OUT: &str = "pixels left out, crc32 ";

/// The beginning of the comment on a connection that was closed because of what the client had sent.
pub(super) const REFUSED: &str = "refused: ";
/// The comment on the end of a connection that no side has ended.
pub(super) const ENDED_HERE: &str = "ended by the program that records";

/// What the comment says about the end of a connection, and whether the program that records has ended it.
pub(super) fn note_of_end(comment: &str) -> Option<(&str, bool)> {
    let mut note = comment;
    // Other notes stand behind it.
    loop {
        let (before, last) = note.rsplit_once("; ").unwrap_or(("", note));
        let is_other =
            last == EARLIER || clock_step(last).is_some() || seen_steps(last).count() > 0;
        match is_other {
            true => note = before,
            false if note.is_empty() => return None,
            false => break,
        }
    }
    Some((note, note.starts_with(REFUSED) || note.starts_with(ENDED_HERE)))
}

/// The beginning of the comment on a connection that was open before.
const CONTINUED: &str = "continued ";

/// The comment on a connection in an anonymized copy that began before the capture.
pub(super) const CONTINUED_FROM_UNKNOWN: &str = "continued from before the recording";
/// The comment on a connection in an anonymized copy to a callback port of a bridge.
pub(super) const CALLBACK: &str = "callback port";

/// Whether the comment on the first packet says that this is a connection to a callback port.
pub(super) fn is_callback(comment: &str) -> bool {
    comment.split("; ").any(|part| part == CALLBACK)
}

/// The comment on a connection that began in an earlier file.
pub(super) const CONTINUED_FROM_BEFORE: &str = "continued from the file before";
/// The comment on a connection that begins again after a hole that sequence numbers cannot express.
pub(super) const CONTINUED_AFTER_HOLE: &str = "continued after a hole";

/// Whether the comment says that a connection was open before.
pub(super) fn is_continued(comment: &str) -> bool {
    comment.starts_with(CONTINUED)
}

/// Bytes of a control connection that become one packet, if they fit into one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) length: usize,
    /// The comment of the packet; may be empty.
    pub(super) comment: String,
}

/// The comments of a control connection, in both directions.
#[derive(Debug)]
pub(super) struct ControlComments {
    /// One for the bytes of the client, one for those of the instrument.
    assemblers: [Assembler; 2],
    conversation: Conversation,
}

impl ControlComments {
    pub(super) fn new() -> Self {
        Self { assemblers: assemblers(), conversation: Conversation::default() }
    }

    /// Cuts bytes of that side into segments.
    pub(super) fn cut(&mut self, from: Side, at: Duration, bytes: &[u8]) -> Vec<Segment> {
        let mut segments = Vec::new();
        let (mut begun, mut position) = (0, 0);
        let mut comment = String::new();
        loop {
            let rest = bytes.get(position..).unwrap_or_default();
            let (consumed, piece) = self.assemblers[from as usize].push(rest);
            position += consumed;
            let complete = match piece {
                None => break,
                Some(Piece::Frame { frame, skipped }) => {
                    comment = self.comment(from, at, &frame, skipped);
                    frame.payload_len == 0
                }
                Some(Piece::Payload { remaining, .. }) => remaining == 0,
            };
            if complete {
                let length = position - begun;
                segments.push(Segment { length, comment: std::mem::take(&mut comment) });
                begun = position;
            }
        }
        if begun < bytes.len() {
            segments.push(Segment { length: bytes.len() - begun, comment });
        }
        segments
    }

    /// Bytes of that side are missing: a part of a message will not be completed.
    pub(super) fn skip(&mut self, from: Side) {
        let [client, instrument] = assemblers();
        self.assemblers[from as usize] = if from == Side::Client { client } else { instrument };
        if from == Side::Instrument {
            self.conversation.bytes_missing();
        }
    }

    /// Whether a new file may begin here: no message is incomplete.
    pub(super) fn is_between(&self) -> bool {
        self.assemblers.iter().all(|side| side.held() == 0 && side.payload_remaining() == 0)
    }

    fn comment(&mut self, from: Side, at: Duration, frame: &Frame, skipped: u32) -> String {
        let mut text = frame.code.name().map_or_else(|| frame.code.to_string(), str::to_owned);
        let selected = selector_name(frame);
        if !selected.is_empty() {
            text = format!("{text} {selected}");
        }
        text.push_str(": ");
        match from {
            Side::Client => match self.conversation.client_sent(at, frame) {
                Some(number) => push(&mut text, format_args!("request {number}")),
                None => text.push_str("command, never answered"),
            },
            Side::Instrument => {
                let class = self.conversation.instrument_sent(at, frame);
                describe(&mut text, &class);
            }
        }
        if skipped > 0 {
            push(&mut text, format_args!("; after {skipped} bytes that are no frame"));
        }
        // The comments describe frames. A reader of the capture finds the unanswered commands.
        while self.conversation.next_unanswered(at).is_some() {}
        text
    }
}

/// The assemblers for the two directions. The echo of an upload has no payload.
pub(super) fn assemblers() -> [Assembler; 2] {
    [Assembler::new(MAX_PAYLOAD), Assembler::for_answers(MAX_PAYLOAD)]
}

fn describe(text: &mut String, class: &FrameClass) {
    text.push_str(class.name());
    match class.proven() {
        Some(true) => text.push_str(", proven"),
        Some(false) => text.push_str(", presumed"),
        None => {}
    }
    if let FrameClass::Ambiguous { among, .. } = class {
        push(text, format_args!(" among {among}"));
    }
    if let FrameClass::Unsolicited { ours: true } = class {
        text.push_str(", perhaps the echo of a command");
    }
    if let Some((to, after)) = class.answers() {
        let after = after.as_secs_f64() * 1e3;
        push(text, format_args!("; {after:.3} ms after request {to}"));
    }
}

/// The comment of an image, with the checksum of its pixels if they were left out.
pub(super) fn image(header: &ImageHeader, left_out: Option<u32>) -> String {
    let ImageHeader { width, height, device, index_start, .. } = header;
    let mut text = String::new();
    match left_out {
        Some(checksum) if header.size > 0 => {
            push(&mut text, format_args!("{LEFT_OUT}{checksum:08x}; "));
        }
        _ => {}
    }
    push(&mut text, format_args!("image {index_start}: {width} x {height}, camera {device}"));
    text
}

/// Adds to the comment of a packet that the host's clock was set before it.
pub(super) fn with_clock_step(comment: &str, step: ClockStep) -> String {
    let separator = if comment.is_empty() { "" } else { "; " };
    format!("{comment}{separator}{step}{BEFORE_THIS}")
}

/// Adds to the comment of a packet in an anonymized copy that the times of the capture had a step before it.
pub(super) fn with_seen_step(comment: &str, step: ClockStep) -> String {
    let separator = if comment.is_empty() { "" } else { "; " };
    let (way, by) = match step {
        ClockStep::Forward(by) => (SEEN[0], by),
        ClockStep::Back(by) => (SEEN[1], by),
    };
    format!("{comment}{separator}{way}{}.{:09} s{BEFORE_THIS}", by.as_secs(), by.subsec_nanos())
}

const SEEN: [&str; 2] =
    ["the capture's clock was set forward by ", "the capture's clock was set back by "];

/// The steps that the times of the capture had before the packet, as the comment says.
pub(super) fn seen_steps(comment: &str) -> impl Iterator<Item = ClockStep> {
    let find = |part: &str| {
        let text = part.strip_suffix(" s before this")?;
        let [forward, back] = SEEN.map(|way| text.strip_prefix(way).and_then(exact_seconds));
        forward.map(ClockStep::Forward).or(back.map(ClockStep::Back))
    };
    comment.split("; ").filter_map(find)
}

fn exact_seconds(text: &str) -> Option<Duration> {
    let (whole, nanos) = text.split_once('.')?;
    Some(Duration::new(whole.parse().ok()?, nanos.parse().ok().filter(|it| *it < 1_000_000_000)?))
}

/// Adds to the comment of a packet that its time is before that of an earlier packet.
pub(super) fn with_earlier(comment: &str) -> String {
    let separator = if comment.is_empty() { "" } else { "; " };
    format!("{comment}{separator}{EARLIER}")
}

/// Says that a time that goes back is no step of the clock.
const EARLIER: &str = "before a packet above";

/// Whether the comment says that the time of the packet is before that of an earlier packet.
pub(super) fn is_earlier(comment: &str) -> bool {
    comment.split("; ").any(|part| part == EARLIER)
}

/// Ends the comment of the first packet after the host's clock was set.
const BEFORE_THIS: &str = " before this";

/// How far the host's clock was set before the packet, if its comment says so.
pub(super) fn clock_step(comment: &str) -> Option<ClockStep> {
    let text = comment.rsplit("; ").next()?.strip_suffix(BEFORE_THIS)?;
    let [back, forward] = [ClockStep::Back, ClockStep::Forward].map(|step| {
        let of_nothing = step(Duration::ZERO).to_string();
        let prefix = of_nothing.strip_suffix("0.000 s")?;
        let seconds = text.strip_prefix(prefix)?.strip_suffix(" s")?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok().map(step)
    });
    back.or(forward)
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(more);
}

#[cfg(test)]
mod tests {
    use flamingo_protocol_core::{CommandCode, wire::FRAME_LEN};

    use super::*;

    fn query() -> Frame {
        Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(2)
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn comments(segments: &[Segment]) -> Vec<&str> {
        segments.iter().map(|part| part.comment.as_str()).collect()
    }

    #[test]
    fn each_frame_is_a_segment_with_its_class() {
        let mut notes = ControlComments::new();
        let segments = notes.cut(Side::Client, ms(0), &query().encode());
        assert_eq!(comments(&segments), ["STAGE_POSITION_GET axis y: request 1"]);
        let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
        let segments = notes.cut(Side::Instrument, ms(4), &[idle, query().encode()].concat());
        assert_eq!(
            comments(&segments),
            [
                "SYSTEM_STATE_IDLE: unsolicited",
                "STAGE_POSITION_GET axis y: solicited, proven; 4.000 ms after request 1",
            ]
        );
        assert!(segments.iter().all(|part| part.length == FRAME_LEN));
        assert!(notes.is_between());
    }

    #[test]
    fn a_payload_stays_in_the_segment_of_its_frame() {
        let mut notes = ControlComments::new();
        let start = Frame::new(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(5);
        let bytes = [&start.encode()[..], b"hello", &query().encode()[..50]].concat();
        let segments = notes.cut(Side::Client, ms(0), &bytes);
        let lengths: Vec<_> = segments.iter().map(|part| part.length).collect();
        assert_eq!(lengths, [FRAME_LEN + 5, 50]);
        let expected = ["CAMERA_WORK_FLOW_START: command, never answered", ""];
        assert_eq!(comments(&segments), expected);
        assert!(!notes.is_between());
        let rest = notes.cut(Side::Client, ms(1), &query().encode()[50..]);
        assert_eq!(comments(&rest), ["STAGE_POSITION_GET axis y: request 1"]);
    }

    #[test]
    fn the_comment_counts_noise_and_a_hole_ends_a_part_of_a_frame() {
        let mut notes = ControlComments::new();
        let segments =
            notes.cut(Side::Instrument, ms(0), &[&[9; 7], &query().encode()[..]].concat());
        let expected = "STAGE_POSITION_GET axis y: unsolicited; after 7 bytes that are no frame";
        assert_eq!(comments(&segments), [expected]);
        notes.cut(Side::Instrument, ms(1), &query().encode()[..100]);
        notes.skip(Side::Instrument);
        assert!(notes.is_between());
        let segments = notes.cut(Side::Instrument, ms(2), &query().encode());
        assert_eq!(comments(&segments), ["STAGE_POSITION_GET axis y: unsolicited"]);
    }

    #[test]
    fn an_image_comment_has_its_size_and_the_checksum_of_its_pixels() {
        let header =
            ImageHeader { size: 8, width: 2, height: 2, index_start: 7, ..ImageHeader::default() };
        assert_eq!(image(&header, None), "image 7: 2 x 2, camera 0");
        let text = image(&header, Some(0xAB));
        assert_eq!(text, "pixels left out, crc32 000000ab; image 7: 2 x 2, camera 0");
        assert_eq!(image(&ImageHeader::default(), Some(0)), "image 0: 0 x 0, camera 0");
    }

    #[test]
    fn a_comment_says_who_ended_a_connection() {
        let step = ClockStep::Back(ms(3_600_000));
        for (comment, ended_here) in
            [("refused: a browser", true), (ENDED_HERE, true), ("in the middle of image 1", false)]
        {
            assert_eq!(note_of_end(comment), Some((comment, ended_here)));
            assert_eq!(note_of_end(&with_clock_step(comment, step)), Some((comment, ended_here)));
        }
        assert_eq!(note_of_end(&with_clock_step("", step)), None);
    }

    #[test]
    fn a_step_of_the_clock_is_read_from_the_comment_again() {
        for step in [ClockStep::Back(ms(3_600_000)), ClockStep::Forward(ms(1_250))] {
            for comment in ["", "SYSTEM_STATE_IDLE: unsolicited"] {
                assert_eq!(clock_step(&with_clock_step(comment, step)), Some(step), "{comment}");
            }
        }
        let [seen, exact] =
            [ClockStep::Back, ClockStep::Forward].map(|way| way(Duration::new(7, 45)));
        for step in [seen, exact] {
            let text = with_earlier(&with_seen_step("x", step));
            assert_eq!(seen_steps(&text).collect::<Vec<_>>(), [step], "{text}");
            assert_eq!(clock_step(&text), None, "{text}");
            assert_eq!(note_of_end(&text), Some(("x", false)));
        }
        assert!(is_earlier(&with_earlier("")) && !is_earlier("x"));
        let both = with_clock_step(&with_earlier("x"), ClockStep::Back(ms(1_000)));
        assert!(is_earlier(&both) && clock_step(&both).is_some(), "{both}");
        for other in ["", "x", "the host's clock was set back by 3 h before this"] {
            assert_eq!(clock_step(other), None, "{other}");
        }
    }
}
