// Garbage, and when it is collected. AssemblyScript's "minimal" runtime collects when told to, which
// here is between two events, when nothing is on the stack. That makes code half as large as with the
// incremental one, and faster. The garbage of one event has to fit into memory.
//
// asconfig.json puts the functions below before those of the memory manager.
import { __alloc as allocate, __free as release, __realloc as reallocate } from "rt/tlsf";

/** Up to here a heap is collected after each event; above, when it has doubled. */
const SMALL: usize = 4096;

// @ts-ignore: decorator
@lazy
let used: usize = 0; // bytes of blocks
// @ts-ignore: decorator
@lazy
let due: usize = 0; // collect above this

function sizeOfBlock(at: usize): usize {
  return load<usize>(at - sizeof<usize>()) & ~3;
}

export function __alloc(size: usize): usize {
  const at = allocate(size);
  used += sizeOfBlock(at);
  return at;
}

export function __realloc(at: usize, size: usize): usize {
  used -= sizeOfBlock(at);
  at = reallocate(at, size);
  used += sizeOfBlock(at);
  return at;
}

/** Wipes the freed memory, so that an idle process does not differ by it from a new one. */
export function __free(at: usize): void {
  if (at < __heap_base) return;
  const size = sizeOfBlock(at);
  used -= size;
  memory.fill(at, 0, size);
  release(at);
}

/** Frees what was allocated by heap.alloc and counted as if it were of use for long. */
export function freeLarge(at: usize): void {
  heap.free(at);
  due = 0;
}

/** Collects if it is time. Call it when no function holds an object. */
export function collectIfDue(): void {
  if (used > due) collect();
}

export function collect(): void {
  __collect();
  due = used > SMALL ? 2 * used : used;
}
