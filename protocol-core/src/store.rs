//! Taking out of a list of fixed size, and counting, in a form of which the optimiser sees that it
//! cannot panic, even with overflow checks (see `protocol-core/panic-free`). Of `Vec::retain` and
//! `Iterator::count` it does not. What the lists hold is said where they are.

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
