//! What is said beside a packet: whose frame it is, what an image is like. And where the bytes of
//! a control connection are cut into packets: behind a frame, or the end of its payload.
//!
//! Whose a frame is, `conversation.rs` decides.

use std::fmt::Write;
use std::time::Duration;

use flamingo_protocol_core::{Assembler, Frame, ImageHeader, MAX_PAYLOAD, Piece};

use super::Side;
use super::conversation::{Conversation, FrameClass};
use flamingo_microscope::meaning::selector_name;

/// Begins the comment of an image whose pixels were left out; behind it the CRC-32 in hex.
pub(super) const LEFT_OUT: &str = "pixels left out, crc32 ";

/// Bytes of a control connection, as they are cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) length: usize,
    /// Empty: there is nothing to say.
    pub(super) comment: String,
}

/// A control connection, both ways.
#[derive(Debug)]
pub(super) struct ControlComments {
    /// Of the client's bytes and of the instrument's.
    assemblers: [Assembler; 2],
    conversation: Conversation,
}

impl ControlComments {
    pub(super) fn new() -> Self {
        Self { assemblers: assemblers(), conversation: Conversation::default() }
    }

    /// Cuts what came from that side.
    pub(super) fn cut(&mut self, from: Side, at: Duration, bytes: &[u8]) -> Vec<Segment> {
        let mut parts = Vec::new();
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
                parts.push(Segment { length, comment: std::mem::take(&mut comment) });
                begun = position;
            }
        }
        if begun < bytes.len() {
            parts.push(Segment { length: bytes.len() - begun, comment });
        }
        parts
    }

    /// Bytes of that side are missing: what had begun will not be completed.
    pub(super) fn skip(&mut self, from: Side) {
        let [client, instrument] = assemblers();
        self.assemblers[from as usize] = if from == Side::Client { client } else { instrument };
    }

    /// Whether a file may begin here: no frame is half out.
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
                say(&mut text, &class);
            }
        }
        if skipped > 0 {
            push(&mut text, format_args!("; behind {skipped} bytes that are no frame"));
        }
        // The comments carry what came; the silences are for whoever reads it as a whole.
        while self.conversation.next_unanswered(at).is_some() {}
        text
    }
}

/// For the two directions. What a server sends back as the echo of an upload has no payload.
pub(super) fn assemblers() -> [Assembler; 2] {
    [Assembler::new(MAX_PAYLOAD), Assembler::for_answers(MAX_PAYLOAD)]
}

fn say(text: &mut String, class: &FrameClass) {
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

/// What is said of an image; with the checksum of its pixels if those are left out.
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

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = text.write_fmt(more);
}

#[cfg(test)]
mod tests {
    use flamingo_protocol_core::{CommandCode, FRAME_LEN};

    use super::*;

    fn query() -> Frame {
        Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(2)
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn comments(parts: &[Segment]) -> Vec<&str> {
        parts.iter().map(|part| part.comment.as_str()).collect()
    }

    #[test]
    fn each_frame_is_a_part_with_its_class() {
        let mut notes = ControlComments::new();
        let parts = notes.cut(Side::Client, ms(0), &query().encode());
        assert_eq!(comments(&parts), ["STAGE_POSITION_GET axis y: request 1"]);
        let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
        let parts = notes.cut(Side::Instrument, ms(4), &[idle, query().encode()].concat());
        assert_eq!(
            comments(&parts),
            [
                "SYSTEM_STATE_IDLE: unsolicited",
                "STAGE_POSITION_GET axis y: solicited, proven; 4.000 ms after request 1",
            ]
        );
        assert!(parts.iter().all(|part| part.length == FRAME_LEN));
        assert!(notes.is_between());
    }

    #[test]
    fn a_payload_stays_with_its_frame_where_it_came_with_it() {
        let mut notes = ControlComments::new();
        let start = Frame::new(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(5);
        let bytes = [&start.encode()[..], b"hello", &query().encode()[..50]].concat();
        let parts = notes.cut(Side::Client, ms(0), &bytes);
        let lengths: Vec<_> = parts.iter().map(|part| part.length).collect();
        assert_eq!(lengths, [FRAME_LEN + 5, 50]);
        let expected = ["CAMERA_WORK_FLOW_START: command, never answered", ""];
        assert_eq!(comments(&parts), expected);
        assert!(!notes.is_between());
        let rest = notes.cut(Side::Client, ms(1), &query().encode()[50..]);
        assert_eq!(comments(&rest), ["STAGE_POSITION_GET axis y: request 1"]);
    }

    #[test]
    fn noise_is_said_with_the_frame_behind_it_and_a_hole_is_not_bridged() {
        let mut notes = ControlComments::new();
        let parts = notes.cut(Side::Instrument, ms(0), &[&[9; 7], &query().encode()[..]].concat());
        let expected = "STAGE_POSITION_GET axis y: unsolicited; behind 7 bytes that are no frame";
        assert_eq!(comments(&parts), [expected]);
        notes.cut(Side::Instrument, ms(1), &query().encode()[..100]);
        notes.skip(Side::Instrument);
        assert!(notes.is_between());
        let parts = notes.cut(Side::Instrument, ms(2), &query().encode());
        assert_eq!(comments(&parts), ["STAGE_POSITION_GET axis y: unsolicited"]);
    }

    #[test]
    fn an_image_says_what_it_is_and_the_checksum_of_what_is_not_there() {
        let header =
            ImageHeader { size: 8, width: 2, height: 2, index_start: 7, ..ImageHeader::default() };
        assert_eq!(image(&header, None), "image 7: 2 x 2, camera 0");
        let text = image(&header, Some(0xAB));
        assert_eq!(text, "pixels left out, crc32 000000ab; image 7: 2 x 2, camera 0");
        assert_eq!(image(&ImageHeader::default(), Some(0)), "image 0: 0 x 0, camera 0");
    }
}
