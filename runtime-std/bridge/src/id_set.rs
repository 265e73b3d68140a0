//! A set of numbers in their order. It is small and changes with each frame: in the steady state, nothing is
//! allocated.

/// Numbers in their order.
#[derive(Debug, Default)]
pub(crate) struct IdSet(Vec<u64>);

impl IdSet {
    /// Puts the number into the set, or takes it out.
    pub(crate) fn set(&mut self, id: u64, is_in: bool) {
        match self.0.binary_search(&id) {
            Ok(at) if !is_in => drop(self.0.remove(at)),
            Err(at) if is_in => self.0.insert(at, id),
            _ => {}
        }
    }

    /// The numbers.
    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.0
    }

    /// The numbers in their order, but those from `first` on come before the others.
    pub(crate) fn in_turn(&self, first: u64) -> impl Iterator<Item = u64> {
        let (before, from) = self.0.split_at(self.0.partition_point(|id| *id < first));
        from.iter().chain(before).copied()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_each_number_once_and_begins_anywhere() {
        let mut set = IdSet::default();
        for (id, is_in) in [(5, true), (2, true), (9, true), (5, true), (7, true), (2, false)] {
            set.set(id, is_in);
        }
        assert_eq!(set.as_slice(), [5, 7, 9]);
        for (first, order) in [(0, [5, 7, 9]), (6, [7, 9, 5]), (9, [9, 5, 7]), (10, [5, 7, 9])] {
            assert_eq!(set.in_turn(first).collect::<Vec<_>>(), order, "from {first} on");
        }
    }
}
