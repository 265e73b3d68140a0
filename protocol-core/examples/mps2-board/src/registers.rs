//! The registers of the board's devices.
#![allow(unsafe_code)]

use core::ptr;

/// A register with 32 bits at this address.
#[derive(Clone, Copy)]
pub(crate) struct Register(usize);

/// A device of the board, by the address of its first register.
#[derive(Clone, Copy)]
pub(crate) struct Device(usize);

impl Device {
    pub(crate) const TIMER: Self = Self(0x4000_0000);
    pub(crate) const UARTS: [Self; 4] =
        [Self(0x4000_4000), Self(0x4000_5000), Self(0x4000_6000), Self(0x4000_7000)];
    #[cfg(feature = "ethernet")]
    pub(crate) const ETHERNET: Self = Self(0x4020_0000);

    /// The register at this offset, a multiple of 4 below the size of each device.
    pub(crate) const fn at(self, offset: u8) -> Register {
        Register(self.0 + (offset & 0xFC) as usize)
    }
}

impl Register {
    pub(crate) fn read(self) -> u32 {
        // SAFETY: it is made only of a device above and an offset below 256, so it is an aligned register of
        // this board. Reading one touches no memory of the program.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance(self.0)) }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as above. None of these devices accesses the memory of the program.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(self.0), value) }
    }
}
