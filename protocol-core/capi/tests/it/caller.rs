//! A caller of the C functions: memory, and calls that must succeed. No checks of its own.

use std::mem::{MaybeUninit, size_of};

use flamingo::*;

pub(crate) const OK: flamingo_result = flamingo_result::Ok;

/// Zeroed memory, as `static` and `calloc` give it.
pub(crate) fn zeroed<T>() -> Box<T> {
    // SAFETY: the tests use this for structs of C, for which zeros are a value.
    unsafe { Box::new(MaybeUninit::<T>::zeroed().assume_init()) }
}

/// A C function that fills a struct, which it must do.
pub(crate) fn filled<T>(fill: impl FnOnce(*mut T) -> flamingo_result) -> T {
    let mut place = MaybeUninit::<T>::uninit();
    assert_eq!(fill(place.as_mut_ptr()), OK);
    // SAFETY: the function said OK, so it has written all of it.
    unsafe { place.assume_init() }
}

pub(crate) fn command(code: u32, selector: i32) -> flamingo_frame {
    // SAFETY: the place can be written.
    let mut frame: flamingo_frame = filled(|to| unsafe { flamingo_frame_command(code, to) });
    frame.int32_data[0] = selector;
    frame
}

pub(crate) fn encoded(frame: &flamingo_frame) -> Vec<u8> {
    let mut bytes = vec![0; FLAMINGO_FRAME_LEN];
    // SAFETY: there are 128 bytes.
    let result = unsafe { flamingo_frame_encode(frame, bytes.as_mut_ptr(), bytes.len()) };
    assert_eq!(result, OK);
    bytes
}

/// A connection in memory of its own.
pub(crate) struct Client(pub(crate) Box<flamingo_connection>);

impl Client {
    pub(crate) fn new() -> Self {
        Self::with(std::ptr::null())
    }

    pub(crate) fn with(config: *const flamingo_config) -> Self {
        let mut memory = zeroed();
        let size = size_of::<flamingo_connection>();
        // SAFETY: the memory is large enough, and `config` is NULL or a struct.
        assert_eq!(unsafe { flamingo_connection_init(&raw mut *memory, size, config, 0) }, OK);
        Self(memory)
    }

    pub(crate) fn pointer(&mut self) -> *mut flamingo_connection {
        &raw mut *self.0
    }

    pub(crate) fn request(
        &mut self,
        now: u64,
        command: &flamingo_frame,
        deadline: u64,
    ) -> Result<u32, flamingo_result> {
        let mut ticket = 0;
        // SAFETY: all pointers are of this test.
        let result = unsafe {
            flamingo_connection_request(self.pointer(), now, command, deadline, &raw mut ticket)
        };
        if result == OK { Ok(ticket) } else { Err(result) }
    }

    pub(crate) fn poll_transmit(&mut self, now: u64) -> flamingo_transmit {
        // SAFETY: all pointers are of this test.
        filled(|to| unsafe { flamingo_connection_poll_transmit(self.pointer(), now, to) })
    }

    pub(crate) fn transmitted(&mut self, now: u64, written: usize) -> Result<u32, flamingo_result> {
        let mut completed = 0;
        // SAFETY: all pointers are of this test.
        let result = unsafe {
            flamingo_connection_transmitted(self.pointer(), now, written, &raw mut completed)
        };
        if result == OK { Ok(completed) } else { Err(result) }
    }

    /// All bytes that go out now; `payload` is what each frame uploads.
    pub(crate) fn written(&mut self, now: u64, payload: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        loop {
            let transmit = self.poll_transmit(now);
            let bytes = match transmit.kind {
                flamingo_transmit_kind::None => return wire,
                // SAFETY: the bytes are valid until the next call.
                flamingo_transmit_kind::Bytes => unsafe {
                    std::slice::from_raw_parts(transmit.bytes, transmit.len).to_vec()
                },
                flamingo_transmit_kind::Payload => payload[transmit.offset as usize..].to_vec(),
            };
            wire.extend_from_slice(&bytes);
            self.transmitted(now, bytes.len()).unwrap();
        }
    }

    /// What the connection makes of these bytes, and the payload bytes.
    pub(crate) fn read(&mut self, now: u64, mut input: &[u8]) -> (Vec<flamingo_output>, Vec<u8>) {
        let (mut frames, mut payload) = (Vec::new(), Vec::new());
        loop {
            let mut consumed = usize::MAX;
            let output: flamingo_output = filled(|to| {
                let (bytes, len, consumed) = (input.as_ptr(), input.len(), &raw mut consumed);
                // SAFETY: all pointers are of this test.
                unsafe {
                    flamingo_connection_handle_input(self.pointer(), now, bytes, len, consumed, to)
                }
            });
            input = &input[consumed..];
            match output.kind {
                flamingo_output_kind::None => {
                    assert!(input.is_empty());
                    return (frames, payload);
                }
                flamingo_output_kind::Frame => frames.push(output),
                // SAFETY: the bytes are inside the input.
                flamingo_output_kind::Payload => payload.extend_from_slice(unsafe {
                    std::slice::from_raw_parts(output.payload, output.payload_len)
                }),
            }
        }
    }

    pub(crate) fn events(&mut self) -> Vec<flamingo_event> {
        let mut events = Vec::new();
        loop {
            // SAFETY: all pointers are of this test.
            let event: flamingo_event =
                filled(|to| unsafe { flamingo_connection_poll_event(self.pointer(), to) });
            if event.kind == flamingo_event_kind::None {
                return events;
            }
            events.push(event);
        }
    }

    pub(crate) fn timeout(&mut self) -> flamingo_timeout {
        // SAFETY: all pointers are of this test.
        filled(|to| unsafe { flamingo_connection_poll_timeout(self.pointer(), to) })
    }

    pub(crate) fn handle_timeout(&mut self, now: u64) {
        // SAFETY: all pointers are of this test.
        assert_eq!(unsafe { flamingo_connection_handle_timeout(self.pointer(), now) }, OK);
    }

    pub(crate) fn cancel(&mut self, now: u64, ticket: u32) -> flamingo_cancelled {
        // SAFETY: all pointers are of this test.
        filled(|to| unsafe { flamingo_connection_cancel(self.pointer(), now, ticket, to) })
    }

    pub(crate) fn counters(&mut self) -> flamingo_counters {
        // SAFETY: all pointers are of this test.
        filled(|to| unsafe { flamingo_connection_counters(self.pointer(), to) })
    }

    pub(crate) fn status(&mut self) -> flamingo_status {
        // SAFETY: all pointers are of this test.
        filled(|to| unsafe { flamingo_connection_status(self.pointer(), to) })
    }

    pub(crate) fn eof(&mut self) -> (usize, u32) {
        let (mut held, mut missing) = (0, 0);
        let to = (&raw mut held, &raw mut missing);
        // SAFETY: all pointers are of this test.
        assert_eq!(unsafe { flamingo_connection_handle_eof(self.pointer(), to.0, to.1) }, OK);
        (held, missing)
    }
}

/// A responder in memory of its own.
pub(crate) struct Device(pub(crate) Box<flamingo_responder>);

impl Device {
    pub(crate) fn new() -> Self {
        let mut memory = zeroed();
        let size = size_of::<flamingo_responder>();
        // SAFETY: the memory is large enough.
        assert_eq!(unsafe { flamingo_responder_init(&raw mut *memory, size, 1 << 20) }, OK);
        Self(memory)
    }

    pub(crate) fn pointer(&mut self) -> *mut flamingo_responder {
        &raw mut *self.0
    }

    pub(crate) fn read(&mut self, mut input: &[u8]) -> (Vec<flamingo_incoming>, Vec<u8>) {
        let (mut frames, mut payload) = (Vec::new(), Vec::new());
        loop {
            let mut consumed = usize::MAX;
            let incoming: flamingo_incoming = filled(|to| {
                let (bytes, len, consumed) = (input.as_ptr(), input.len(), &raw mut consumed);
                // SAFETY: all pointers are of this test.
                unsafe { flamingo_responder_handle_input(self.pointer(), bytes, len, consumed, to) }
            });
            input = &input[consumed..];
            match incoming.kind {
                flamingo_output_kind::None => return (frames, payload),
                flamingo_output_kind::Frame => frames.push(incoming),
                // SAFETY: the bytes are inside the input.
                flamingo_output_kind::Payload => payload.extend_from_slice(unsafe {
                    std::slice::from_raw_parts(incoming.payload, incoming.payload_len)
                }),
            }
        }
    }

    pub(crate) fn push(&mut self, frame: &flamingo_frame) -> Result<u32, flamingo_result> {
        let mut ticket = 0;
        // SAFETY: all pointers are of this test.
        let result = unsafe { flamingo_responder_push(self.pointer(), frame, &raw mut ticket) };
        if result == OK { Ok(ticket) } else { Err(result) }
    }

    pub(crate) fn poll_transmit(&mut self) -> flamingo_transmit {
        // SAFETY: all pointers are of this test.
        filled(|to| unsafe { flamingo_responder_poll_transmit(self.pointer(), to) })
    }

    pub(crate) fn transmitted(&mut self, written: usize) -> Result<u32, flamingo_result> {
        let mut completed = 0;
        // SAFETY: all pointers are of this test.
        let result =
            unsafe { flamingo_responder_transmitted(self.pointer(), written, &raw mut completed) };
        if result == OK { Ok(completed) } else { Err(result) }
    }

    pub(crate) fn written(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        loop {
            let transmit = self.poll_transmit();
            let bytes = match transmit.kind {
                flamingo_transmit_kind::None => return wire,
                // SAFETY: the bytes are valid until the next call.
                flamingo_transmit_kind::Bytes => unsafe {
                    std::slice::from_raw_parts(transmit.bytes, transmit.len).to_vec()
                },
                flamingo_transmit_kind::Payload => payload[transmit.offset as usize..].to_vec(),
            };
            wire.extend_from_slice(&bytes);
            self.transmitted(bytes.len()).unwrap();
        }
    }

    pub(crate) fn status(&mut self) -> flamingo_responder_status {
        // SAFETY: all pointers are of this test.
        filled(|to| unsafe { flamingo_responder_get_status(self.pointer(), to) })
    }
}
