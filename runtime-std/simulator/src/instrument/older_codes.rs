//! The numbers of the camera's commands in older firmware: from CAMERA_IMAGE_SIZE_GET on, they are four higher.

use flamingo_protocol_core::CommandCode as Code;

use super::Instrument;

const SHIFT: u32 = 4;
const FIRST: u32 = Code::CAMERA_IMAGE_SIZE_GET.0;
const END: u32 = 0x4000;

impl Instrument {
    /// The command that a code on the wire means. `None`: no command of this firmware has the code.
    pub(super) fn code_from_wire(&self, code: Code) -> Option<Code> {
        if !self.scenario.camera.older_codes || !(FIRST..END).contains(&code.0) {
            return Some(code);
        }
        code.0.checked_sub(SHIFT).filter(|newer| *newer >= FIRST).map(Code)
    }

    /// The code of a command on the wire.
    pub(super) fn code_on_wire(&self, code: Code) -> Code {
        if self.scenario.camera.older_codes && (FIRST..END - SHIFT).contains(&code.0) {
            return Code(code.0 + SHIFT);
        }
        code
    }
}
