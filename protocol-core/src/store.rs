//! How things leave a list of fixed size, in a form of which the compiler sees that it cannot
//! panic, overflow checks or not; of `Vec::retain` it does not. What the lists hold is said where
//! they are.

use heapless::Vec;

/// Takes out all that are `gone`; the others keep their order. Gives whether there was one.
pub(crate) fn take_out<T, const N: usize>(list: &mut Vec<T, N>, gone: impl Fn(&T) -> bool) -> bool {
    let mut found = false;
    while let Some(at) = list.iter().position(&gone) {
        list.remove(at);
        found = true;
    }
    found
}

/// How many there are.
pub(crate) fn number_of<T>(items: impl Iterator<Item = T>) -> usize {
    items.fold(0, |number, _| number.saturating_add(1))
}
