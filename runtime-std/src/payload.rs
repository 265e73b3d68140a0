//! The bytes behind a frame, once they are whole. Collecting them is `message.rs`.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The payload of a frame. Its clones share the bytes; an empty one takes no memory.
///
/// ```
/// use flamingo_runtime_std::Payload;
///
/// let payload = Payload::from(b"hello".to_vec());
/// assert_eq!((payload.len(), &payload[1..]), (5, &b"ello"[..]));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload(Option<Arc<Vec<u8>>>);

impl Payload {
    /// The bytes as a vector. They are copied only if another clone still needs them.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0.map_or_else(Vec::new, Arc::unwrap_or_clone)
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |bytes| bytes)
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Payload {
    /// Takes the bytes, and does not copy them.
    fn from(bytes: Vec<u8>) -> Self {
        Self((!bytes.is_empty()).then(|| Arc::new(bytes)))
    }
}

impl From<&[u8]> for Payload {
    /// Copies the bytes.
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<String> for Payload {
    /// Takes the bytes of the text, and does not copy them.
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

/// Without the bytes: there may be millions.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_the_bytes_that_it_was_made_of() {
        let bytes = vec![1, 2, 3];
        let at = bytes.as_ptr();
        let payload = Payload::from(bytes);
        assert_eq!(payload.clone().as_ptr(), at, "neither made nor cloned by a copy");
        assert_eq!(payload.as_ref(), [1, 2, 3]);
        assert_eq!(format!("{payload:?}"), "3 bytes");
        let other = payload.clone();
        let (copied, moved) = (payload.into_vec(), other.into_vec());
        assert_ne!(copied.as_ptr(), at, "another clone needs them");
        assert_eq!(moved.as_ptr(), at);
    }

    #[test]
    fn all_empty_payloads_are_equal() {
        assert_eq!(Payload::from(Vec::new()), Payload::default());
        assert_eq!(Payload::default().len(), 0);
        assert_ne!(Payload::from(vec![0]), Payload::default());
    }
}
