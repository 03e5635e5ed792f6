//! The memory of an idle process, made small.

use crate::abi::{Record, EFFECT_SCRATCH};
use std::alloc::{GlobalAlloc, Layout, System};

/// Tells the host that the stack means nothing between events. rustc has it linked below
/// the data. A host that does not know the effect goes without.
pub(crate) fn declare_stack() {
    extern "C" {
        static __global_base: u8;
    }
    // Safety: only the symbol's address is taken, which is where the data begins.
    let end = unsafe { &__global_base as *const u8 as u32 };
    let range = [[0; 4], end.to_le_bytes()].concat();
    let _ = Record::new(EFFECT_SCRATCH, "").payload(&range).send();
}

/// An idle process costs what its memory differs by from a new one's. Freed memory is
/// wiped, so that it does not count.
struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// Safety: it is the system's allocator; what is written to was the caller's until now.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        System.alloc(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        System.alloc_zeroed(layout)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        memory.write_bytes(0, layout.size());
        System.dealloc(memory, layout);
    }
}
