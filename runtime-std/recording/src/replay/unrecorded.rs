//! The commands of clients that are not in the recording. All are counted, and each of the first 256 codes is
//! reported once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_channel::{Receiver, Sender};
use flamingo_protocol_core::CommandCode;

/// So many codes are told apart, so that no client can fill the memory.
const MOST_CODES: usize = 256;

/// Counts for each code the commands that are not in the recording. They get no answer.
#[derive(Debug)]
pub(super) struct Unrecorded {
    counts: Mutex<BTreeMap<CommandCode, u64>>,
    /// Commands of all further codes.
    others: AtomicU64,
    /// Each code once.
    found: Sender<CommandCode>,
    finds: Receiver<CommandCode>,
}

impl Default for Unrecorded {
    fn default() -> Self {
        let (found, finds) = async_channel::unbounded();
        Self { counts: Mutex::default(), others: AtomicU64::new(0), found, finds }
    }
}

impl Unrecorded {
    pub(super) fn count(&self, code: CommandCode) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = counts.len() >= MOST_CODES;
        match counts.get_mut(&code) {
            Some(count) => *count += 1,
            None if is_full => {
                self.others.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                counts.insert(code, 1);
                // It fails only if nobody is left who could be told.
                let _ = self.found.try_send(code);
            }
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<CommandCode, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many commands had none of the codes in [`Self::counts`].
    pub(super) fn others(&self) -> u64 {
        self.others.load(Ordering::Relaxed)
    }

    /// The next code that came for the first time. Cancel-safe.
    pub(super) async fn next(&self) -> CommandCode {
        match self.finds.recv().await {
            Ok(code) => code,
            // Not possible: the sender is beside it.
            Err(_) => smol::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_reported_once_and_counted() {
        let unrecorded = Unrecorded::default();
        let [one, two] = [CommandCode::STAGE_HOME, CommandCode(0x6FFF)];
        for code in [one, two, one] {
            unrecorded.count(code);
        }
        smol::block_on(async {
            assert_eq!([unrecorded.next().await, unrecorded.next().await], [one, two]);
        });
        assert!(unrecorded.finds.is_empty());
        assert_eq!(unrecorded.counts(), BTreeMap::from([(one, 2), (two, 1)]));
    }

    #[test]
    fn ever_new_codes_fill_no_memory_and_are_counted() {
        let unrecorded = Unrecorded::default();
        (0..10_000).for_each(|code| unrecorded.count(CommandCode(code)));
        assert_eq!(unrecorded.counts().len(), MOST_CODES);
        assert_eq!(unrecorded.finds.len(), MOST_CODES);
        let told_apart: u64 = unrecorded.counts().values().sum();
        assert_eq!(told_apart + unrecorded.others(), 10_000);
    }
}
