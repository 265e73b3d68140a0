//! A map that knows which of its values may have changed. So what is derived from the values
//! (`schedule.rs`) follows each change, and nobody can forget to report one. It does not know what the
//! values are.
//!
//! The values are in a ring buffer in the order of their keys, since keys come in their order and leave
//! nearly so: in the steady state, nothing is allocated.

use std::cmp::Ordering;
use std::collections::VecDeque;

/// A map in the order of its keys.
#[derive(Debug)]
pub(super) struct Tracked<K, V> {
    values: VecDeque<(K, V)>,
    /// The keys of values that may have changed, with repetitions.
    changed: Vec<K>,
    /// All values may have changed, or have left.
    all_changed: bool,
}

impl<K, V> Default for Tracked<K, V> {
    fn default() -> Self {
        Self { values: VecDeque::new(), changed: Vec::new(), all_changed: false }
    }
}

/// What may have changed since the last time.
#[derive(Debug)]
pub(super) enum Change<'a, K, V> {
    /// What was derived from any value is void. Each value follows.
    All,
    /// The value of this key. `None`: it has left.
    One(K, Option<&'a V>),
}

impl<K: Ord + Copy, V> Tracked<K, V> {
    fn find(&self, key: &K) -> Result<usize, usize> {
        // As a rule, the newest one is meant.
        match self.values.back().map(|(last, _)| last.cmp(key)) {
            Some(Ordering::Less) => Err(self.values.len()),
            Some(Ordering::Equal) => Ok(self.values.len() - 1),
            _ => self.values.binary_search_by(|(other, _)| other.cmp(key)),
        }
    }

    fn mark(&mut self, key: K) {
        if self.all_changed || self.changed.last() == Some(&key) {
            return;
        }
        if self.changed.len() > self.values.len() + 16 {
            // Most of them have changed.
            self.mark_all();
        } else {
            self.changed.push(key);
        }
    }

    /// Each value may have changed.
    pub(super) fn mark_all(&mut self) {
        self.changed.clear();
        self.all_changed = true;
    }

    /// Reports each value that may have changed since the last call.
    pub(super) fn take_changes(&mut self, mut each: impl FnMut(Change<'_, K, V>)) {
        if std::mem::take(&mut self.all_changed) {
            each(Change::All);
            for (key, value) in &self.values {
                each(Change::One(*key, Some(value)));
            }
        }
        // As a rule, nothing has changed.
        if self.changed.is_empty() {
            return;
        }
        let mut changed = std::mem::take(&mut self.changed);
        for key in changed.drain(..) {
            each(Change::One(key, self.get(&key)));
        }
        self.changed = changed;
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.mark(key);
        match self.find(&key) {
            Ok(at) => {
                if let Some((_, old)) = self.values.get_mut(at) {
                    *old = value;
                }
            }
            Err(at) => self.values.insert(at, (key, value)),
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        self.mark(*key);
        self.values.remove(at).map(|(_, value)| value)
    }

    pub(super) fn clear(&mut self) {
        self.mark_all();
        self.values.clear();
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.find(key).ok().and_then(|at| self.values.get(at)).map(|(_, value)| value)
    }

    /// The value may change.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        self.mark(*key);
        self.values.get_mut(at).map(|(_, value)| value)
    }

    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.values.iter().map(|(key, value)| (key, value))
    }

    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Each value may change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.mark_all();
        self.values.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Each value may change.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.iter_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Follows the changes of a map.
    fn follow(map: &mut Tracked<u32, u32>, copy: &mut BTreeMap<u32, u32>) {
        map.take_changes(|change| match change {
            Change::All => copy.clear(),
            Change::One(key, Some(value)) => drop(copy.insert(key, *value)),
            Change::One(key, None) => drop(copy.remove(&key)),
        });
    }

    #[test]
    fn who_follows_the_changes_has_the_same_values() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut map, mut model) = (Tracked::default(), BTreeMap::new());
        let mut copy = BTreeMap::new();
        for _ in 0..20_000 {
            let (key, value) = (rng.u32(..40), rng.u32(..));
            match rng.u32(..100) {
                0 => {
                    map.clear();
                    model.clear();
                }
                1 => {
                    for each in map.values_mut().chain(model.values_mut()) {
                        *each ^= value;
                    }
                }
                2..30 => {
                    map.insert(key, value);
                    model.insert(key, value);
                }
                30..60 => assert_eq!(map.remove(&key), model.remove(&key)),
                60..80 => {
                    let (own, other) = (map.get_mut(&key), model.get_mut(&key));
                    assert_eq!(own.is_some(), other.is_some());
                    for each in own.into_iter().chain(other) {
                        *each = value;
                    }
                }
                _ => follow(&mut map, &mut copy),
            }
            assert!(map.iter().eq(&model), "the same values in the same order");
            assert_eq!((map.get(&key), map.len()), (model.get(&key), model.len()));
        }
        follow(&mut map, &mut copy);
        assert_eq!(copy, model);
    }
}
