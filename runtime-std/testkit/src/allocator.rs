//! Counts allocations for each thread apart, so that tests that run at the same time do not disturb each
//! other.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The allocator of the system, which counts. A test binary makes it its own:
/// `#[global_allocator] static ALLOCATOR: Counting = Counting;`
pub struct Counting;

fn count() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: each call goes to the allocator of the system as it is. Counting does not allocate: the
// counter needs neither a constructor nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

/// How often this thread allocates, or makes an allocation larger, in `run`.
pub fn allocations(run: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    run();
    COUNT.get() - before
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    #[test]
    fn the_allocations_of_this_thread_alone_are_counted() {
        let mut kept = Vec::<u8>::new();
        assert_eq!(allocations(|| kept.push(0)), 1);
        assert_eq!(allocations(|| kept.reserve(1 << 20)), 1);
        assert_eq!(allocations(|| kept.push(0)), 0);
        let elsewhere = |count| {
            let work = move || (0..count).for_each(|n| drop(black_box(Box::new(n))));
            allocations(|| std::thread::scope(|scope| scope.spawn(work).join().unwrap()))
        };
        elsewhere(0);
        assert_eq!(elsewhere(100), elsewhere(0));
    }
}
