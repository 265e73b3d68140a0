//! A frame together with its whole payload, and the only place that collects payloads.
//!
//! Finding frames in bytes is the core's work. What a message means to a request is `driver/`.

use flamingo_protocol_core::Frame;

/// Bytes that are reserved before a payload arrives. A peer may announce more than it sends, so
/// the rest is reserved as it arrives.
const RESERVED: usize = 64 * 1024;

/// A frame with its whole payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The frame. Its `payload_len` is the length of `payload` in bytes.
    pub frame: Frame,
    /// The payload; empty if the frame has none.
    pub payload: Vec<u8>,
}

impl Message {
    /// The bytes on the wire: the 128 bytes of the frame, then the payload.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.frame.encode()[..], &self.payload].concat()
    }
}

/// Collects a frame and the slices of its payload into a [`Message`].
///
/// It takes what [`Connection`], [`Assembler`] and [`Responder`] give out, in that order. `T` is
/// what the caller knows about the frame, for example its class or its time of arrival; it is
/// returned with the message.
///
/// ```
/// use flamingo_runtime_std::MessageCollector;
/// use flamingo_runtime_std::protocol::{CommandCode, Frame, wire::{Assembler, Piece}};
///
/// let frame = Frame::new(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(5);
/// let bytes = [&frame.encode()[..], b"hello"].concat();
///
/// let (mut assembler, mut collector) = (Assembler::default(), MessageCollector::default());
/// let (mut rest, mut messages) = (&bytes[..], Vec::new());
/// while !rest.is_empty() {
///     let (consumed, piece) = assembler.push(rest);
///     rest = &rest[consumed..];
///     messages.extend(match piece {
///         Some(Piece::Frame { frame, skipped }) => collector.frame(frame, skipped),
///         Some(Piece::Payload { bytes, remaining }) => collector.payload(bytes, remaining),
///         None => None,
///     });
/// }
/// let (message, skipped) = &messages[0];
/// assert_eq!((message.frame, &message.payload[..], *skipped), (frame, &b"hello"[..], 0));
/// ```
///
/// [`Connection`]: flamingo_protocol_core::Connection
/// [`Assembler`]: flamingo_protocol_core::wire::Assembler
/// [`Responder`]: flamingo_protocol_core::Responder
#[derive(Debug, Clone)]
pub struct MessageCollector<T = ()> {
    partial: Option<(Message, T)>,
}

impl<T> Default for MessageCollector<T> {
    fn default() -> Self {
        Self { partial: None }
    }
}

impl<T> MessageCollector<T> {
    /// Takes a frame. Returns the message at once if the frame has no payload.
    ///
    /// A frame whose payload is incomplete is forgotten.
    pub fn frame(&mut self, frame: Frame, about: T) -> Option<(Message, T)> {
        // A length that does not fit is limited by what is reserved.
        let len = usize::try_from(frame.payload_len).unwrap_or(usize::MAX);
        let message = Message { frame, payload: Vec::with_capacity(len.min(RESERVED)) };
        self.partial = Some((message, about));
        self.partial.take_if(|_| len == 0)
    }

    /// Takes the next bytes of the payload, after which `remaining` bytes are missing. Returns the
    /// message if none are.
    ///
    /// Bytes without a frame before them are ignored.
    pub fn payload(&mut self, bytes: &[u8], remaining: u32) -> Option<(Message, T)> {
        let (message, _) = self.partial.as_mut()?;
        message.payload.extend_from_slice(bytes);
        self.partial.take_if(|_| remaining == 0)
    }

    /// The frame whose payload is incomplete, with the bytes that have arrived.
    #[must_use]
    pub fn partial(&self) -> Option<&Message> {
        self.partial.as_ref().map(|(message, _)| message)
    }

    /// Forgets a frame whose payload is incomplete.
    pub fn clear(&mut self) {
        self.partial = None;
    }
}

#[cfg(test)]
mod tests {
    use flamingo_protocol_core::CommandCode;

    use super::*;

    fn frame(payload_len: u32) -> Frame {
        Frame::new(CommandCode::SYSTEM_STATE_GET).with_payload_len(payload_len)
    }

    #[test]
    fn a_frame_without_a_payload_is_a_message_at_once() {
        let mut collector = MessageCollector::default();
        let (message, about) = collector.frame(frame(0), 'a').expect("a message");
        assert_eq!((message.payload.len(), about), (0, 'a'));
        assert!(collector.partial().is_none());
    }

    #[test]
    fn slices_become_one_payload() {
        let mut collector = MessageCollector::default();
        assert!(collector.frame(frame(5), ()).is_none());
        assert!(collector.payload(b"he", 3).is_none());
        assert_eq!(collector.partial().expect("begun").payload, b"he");
        let (message, ()) = collector.payload(b"llo", 0).expect("a message");
        assert_eq!(message.to_bytes()[128..], *b"hello");
    }

    #[test]
    fn a_payload_without_its_frame_is_ignored() {
        let mut collector = MessageCollector::<()>::default();
        assert!(collector.payload(b"lost", 0).is_none());
        assert!(collector.frame(frame(4), ()).is_none());
        collector.clear();
        assert!(collector.payload(b"lost", 0).is_none());
    }
}
