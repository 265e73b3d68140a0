//! The memory of the caller: every pointer that crosses the ABI is checked here, and nowhere else.
//!
//! An object is opened first ([`open`], [`open_shared`]); the other pointers of the call are checked
//! against it, since a reference to it must not share memory with them.

use core::mem::{align_of, size_of};
use core::slice;

use flamingo_protocol_core::connection::Connection;
use flamingo_protocol_core::image::ImageReader;
use flamingo_protocol_core::responder::Responder;

use crate::result::{Checked, flamingo_result as Code};

/// Requests in flight, entries of the pending table, frames that wait to be sent, stops in flight.
#[cfg(not(feature = "small"))]
pub(crate) type Client = Connection<64, 256, 81, 16>;
#[cfg(feature = "small")]
pub(crate) type Client = Connection<16, 64, 25, 8>;
/// The device's side: frames that wait to be sent.
pub(crate) type Device = Responder<16>;

/// The size of a connection in units of 8 bytes.
#[cfg(not(feature = "small"))]
pub const FLAMINGO_CONNECTION_WORDS: usize = 3584;
/// The size of a connection in units of 8 bytes.
#[cfg(feature = "small")]
pub const FLAMINGO_CONNECTION_WORDS: usize = 1024;
/// The size of a responder in units of 8 bytes.
pub const FLAMINGO_RESPONDER_WORDS: usize = 352;
/// The size of an image reader in units of 8 bytes.
pub const FLAMINGO_IMAGE_READER_WORDS: usize = 12;

/// The client's side of one connection, in memory of the caller. Its content is private.
///
/// The same memory may be used by one thread at a time. A zeroed object (static storage, calloc,
/// `= {0}`) is not initialised, and every function refuses it.
#[repr(C)]
pub struct flamingo_connection {
    private_words: [u64; FLAMINGO_CONNECTION_WORDS],
}

/// The device's side of one connection, in memory of the caller. Its content is private.
///
/// The same memory may be used by one thread at a time. A zeroed object is not initialised.
#[repr(C)]
pub struct flamingo_responder {
    private_words: [u64; FLAMINGO_RESPONDER_WORDS],
}

/// A reader of an image stream, in memory of the caller. Its content is private.
///
/// The same memory may be used by one thread at a time. A zeroed object is not initialised.
#[repr(C)]
pub struct flamingo_image_reader {
    private_words: [u64; FLAMINGO_IMAGE_READER_WORDS],
}

/// What is in the memory of an initialised object.
#[repr(C)]
pub(crate) struct Stored<T> {
    magic: u64,
    /// The number of bytes that the last poll offered for writing; 0 after any other change.
    offered: usize,
    value: T,
}

/// A type whose objects live in memory of the caller.
pub(crate) trait Object: Sized {
    /// The type in C.
    type Memory;
    /// The first word of an initialised object: other memory is most unlikely to hold it.
    const MAGIC: u64;
    /// An object fits into its memory, whatever the target.
    const FITS: () = {
        assert!(
            size_of::<Stored<Self>>() <= size_of::<Self::Memory>(),
            "the constant of the header is too small"
        );
        assert!(
            align_of::<Stored<Self>>() <= align_of::<Self::Memory>(),
            "the memory is not aligned enough"
        );
    };
}

impl Object for Client {
    type Memory = flamingo_connection;
    const MAGIC: u64 = u64::from_le_bytes(*b"FlamConn");
}

impl Object for Device {
    type Memory = flamingo_responder;
    const MAGIC: u64 = u64::from_le_bytes(*b"FlamResp");
}

impl Object for ImageReader {
    type Memory = flamingo_image_reader;
    const MAGIC: u64 = u64::from_le_bytes(*b"FlamImag");
}

const _: () = <Client as Object>::FITS;
const _: () = <Device as Object>::FITS;
const _: () = <ImageReader as Object>::FITS;

/// An area of memory.
#[derive(Clone, Copy)]
pub(crate) struct Area {
    start: usize,
    len: usize,
}

impl Area {
    /// No area: nothing overlaps it.
    pub(crate) const NONE: Self = Self { start: 0, len: 0 };

    pub(crate) fn check<T>(pointer: *const T, len: usize) -> Checked<Self> {
        let start = pointer.addr();
        if pointer.is_null() {
            return Err(Code::Null);
        }
        if !start.is_multiple_of(align_of::<T>()) {
            return Err(Code::Misaligned);
        }
        if len > isize::MAX as usize || start.checked_add(len).is_none() {
            return Err(Code::Length);
        }
        Ok(Self { start, len })
    }

    fn apart(self, other: Self) -> Checked<()> {
        let overlaps = self.start < other.start.wrapping_add(other.len)
            && other.start < self.start.wrapping_add(self.len);
        if overlaps && self.len > 0 && other.len > 0 { Err(Code::Overlap) } else { Ok(()) }
    }
}

/// An initialised object that was opened for change.
pub(crate) struct Open<'a, T> {
    stored: &'a mut Stored<T>,
    pub(crate) area: Area,
}

impl<'a, T> Open<'a, T> {
    /// The object, for a call that may change what is written next. Call it after all checks: what the
    /// last poll offered can not be reported as written after this.
    pub(crate) fn change(self) -> &'a mut T {
        self.stored.offered = 0;
        &mut self.stored.value
    }

    /// The object and the place for the number of bytes that a poll offers.
    pub(crate) fn offer(self) -> (&'a mut T, &'a mut usize) {
        (&mut self.stored.value, &mut self.stored.offered)
    }

    /// The object, if the last poll offered `written` bytes at least.
    pub(crate) fn written(self, written: usize) -> Checked<&'a mut T> {
        if written > self.stored.offered {
            return Err(Code::NotOffered);
        }
        Ok(self.change())
    }
}

/// Puts a new object into memory of `size` bytes. `make` makes it there: on the stack it may be too large.
///
/// # Safety
/// `memory` is NULL or points to `size` bytes that can be written and that nothing else uses meanwhile.
pub(crate) unsafe fn init<T: Object>(
    memory: *mut T::Memory,
    size: usize,
    make: impl FnOnce() -> T,
) -> Checked<()> {
    let () = T::FITS;
    Area::check(memory, size)?;
    if size < size_of::<T::Memory>() {
        return Err(Code::TooSmall);
    }
    // SAFETY: the memory is aligned and large enough for `Stored<T>` (`FITS`), and the caller promises
    // that it can be written.
    unsafe {
        memory.cast::<Stored<T>>().write(Stored { magic: T::MAGIC, offered: 0, value: make() });
    };
    Ok(())
}

/// Marks an object as not initialised.
///
/// # Safety
/// As [`open`].
pub(crate) unsafe fn deinit<T: Object>(memory: *mut T::Memory) -> Checked<()> {
    // SAFETY: the same promise.
    unsafe { check_magic::<T>(memory)? };
    // SAFETY: the memory holds a `Stored<T>`, whose first word this is. Volatile: a write that nothing
    // reads must not be left out, since a later call must see it.
    unsafe { (&raw mut (*memory.cast::<Stored<T>>()).magic).write_volatile(0) };
    Ok(())
}

/// Opens an object for change.
///
/// # Safety
/// `memory` is NULL, or points to memory of its type that can be read and written, and that no other
/// thread uses during the call. `'a` ends with the call.
pub(crate) unsafe fn open<'a, T: Object>(memory: *mut T::Memory) -> Checked<Open<'a, T>> {
    // SAFETY: the same promise.
    let area = unsafe { check_magic::<T>(memory)? };
    // SAFETY: the memory is aligned and holds a `Stored<T>`, which only `init` writes there. Nothing else
    // refers to it: no reference outlives a call, one thread calls at a time, and the other pointers of
    // this call are checked against `area` before they are used.
    let stored = unsafe { &mut *memory.cast::<Stored<T>>() };
    Ok(Open { stored, area })
}

/// Opens an object for reading.
///
/// # Safety
/// As [`open`].
pub(crate) unsafe fn open_shared<'a, T: Object>(
    memory: *const T::Memory,
) -> Checked<(&'a T, Area)> {
    // SAFETY: the same promise.
    let area = unsafe { check_magic::<T>(memory)? };
    // SAFETY: as in `open`; it is only read.
    let stored = unsafe { &*memory.cast::<Stored<T>>() };
    Ok((&stored.value, area))
}

/// Checks that the memory holds an initialised object.
///
/// # Safety
/// `memory` is NULL or can be read.
unsafe fn check_magic<T: Object>(memory: *const T::Memory) -> Checked<Area> {
    let () = T::FITS;
    let area = Area::check(memory, size_of::<T::Memory>())?;
    // SAFETY: the pointer is aligned, and the caller promises that it can be read. Volatile: the content
    // is what is there, initialised or not.
    let magic = unsafe { (&raw const (*memory.cast::<Stored<T>>()).magic).read_volatile() };
    if magic == T::MAGIC { Ok(area) } else { Err(Code::NotInitialised) }
}

/// A place of the caller for one result.
pub(crate) struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// Checks the place. It must be apart from `object`.
    ///
    /// # Safety
    /// `place` is NULL or can be written until the call ends.
    pub(crate) unsafe fn new(place: *mut T, object: Area) -> Checked<Self> {
        Area::check(place, size_of::<T>())?.apart(object)?;
        Ok(Self(place))
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: `new` checked that the pointer is aligned and not NULL, and its caller promised that it
        // can be written. It is written once, and no reference to this place exists.
        unsafe { self.0.write(value) };
    }
}

/// Copies a value of the caller. It must be apart from `object`.
///
/// # Safety
/// `value` is NULL or can be read. Every content is a value of `T`.
pub(crate) unsafe fn value<T: Copy>(value: *const T, object: Area) -> Checked<T> {
    Area::check(value, size_of::<T>())?.apart(object)?;
    // SAFETY: the pointer is aligned and not NULL, and the caller promises the rest.
    Ok(unsafe { value.read() })
}

/// Bytes of the caller. They must be apart from `object`. No bytes may be NULL.
///
/// # Safety
/// `bytes` is NULL or points to `len` bytes that can be read and do not change while `'a` lasts; it ends
/// with the call.
pub(crate) unsafe fn bytes<'a>(bytes: *const u8, len: usize, object: Area) -> Checked<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    Area::check(bytes, len)?.apart(object)?;
    // SAFETY: not NULL, `len` is at most `isize::MAX` and does not wrap; the caller promises the rest.
    Ok(unsafe { slice::from_raw_parts(bytes, len) })
}

/// Copies bytes to a place of the caller, which has room for `room` bytes.
///
/// # Safety
/// `to` is NULL or points to `room` bytes that can be written.
pub(crate) unsafe fn copy_to(from: &[u8], to: *mut u8, room: usize) -> Checked<()> {
    Area::check(to, room)?;
    if room < from.len() {
        return Err(Code::Length);
    }
    // SAFETY: `to` has room for all of `from`, which is a value of this crate and no memory of the caller.
    unsafe { to.copy_from_nonoverlapping(from.as_ptr(), from.len()) };
    Ok(())
}
