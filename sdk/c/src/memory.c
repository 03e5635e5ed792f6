// The arena, which is emptied after each event.
#include "internal.h"

// It begins behind the static variables and grows with the memory. The event at hand lies
// at its beginning, where inbox has put it.

extern char __heap_base;

char *rtd_top;
static char *dirty; // below it, the event has written

enum { MAX_EVENT = (4 << 20) + (64 << 10) }; // what processes may send at once, and names

static char *arena(void) { return (char *)(((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7); }

static bool reserve(char *until) {
	uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) << 16, want = (uintptr_t)until;
	return want <= have || __builtin_wasm_memory_grow(0, (want - have + 0xffff) >> 16) != SIZE_MAX;
}

char *rtd_extend(uint32_t size) {
	char *at = rtd_top;
	if (size > 64 << 20 || !reserve(at + size)) __builtin_trap(); // out of memory
	rtd_top = at + size;
	if (rtd_top > dirty) dirty = rtd_top;
	return at;
}

void *rtd_alloc(uint32_t size) {
	rtd_extend(-(uintptr_t)rtd_top & 7);
	return __builtin_memset(rtd_extend(size), 0, size);
}

void rtd_wipe(void) {
	__builtin_memset(arena(), 0, dirty - arena());
	rtd_top = dirty = 0;
}

__attribute__((export_name("inbox"))) char *inbox(uint32_t size) {
	if (size > MAX_EVENT || !reserve(arena() + size)) return 0;
	rtd_top = dirty = arena() + size;
	return arena();
}

rtd_bytes rtd_inbox(uint32_t size) { return rtd_make(arena(), size); }
