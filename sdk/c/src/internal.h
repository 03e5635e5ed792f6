// The functions that the files of the SDK share.
#pragma once

#include "../rtd.h"
#include "abi.h"

#define NONE ((rtd_bytes){0})

// ---- memory.c

// rtd_extend returns the next bytes of the arena: not aligned, not zero, and right behind
// what was returned last.
char *rtd_extend(uint32_t size);

// rtd_top is where the arena goes on. Setting it back frees what was allocated since.
extern char *rtd_top;

// rtd_wipe empties the arena, at the end of an event.
void rtd_wipe(void);

// rtd_inbox is the event that lies there.
rtd_bytes rtd_inbox(uint32_t size);

// rtd_drop takes n bytes from the beginning.
static inline void rtd_drop(rtd_bytes *b, uint32_t n) { *b = rtd_make(rtd_at(*b) + n, rtd_size(*b) - n); }

// ---- host.c

// rtd_effect asks for an effect; if the host refuses, the process crashes. rtd_try_effect
// returns why instead. Behind the kind come flags, from bit 16 on.
void rtd_effect(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail);
rtd_result rtd_try_effect(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail);

// rtd_ask does an operation; rtd_named one that has a name alone; rtd_about one with a name, a
// payload, and a time unless that is 0.
rtd_result rtd_ask(uint32_t kind, rtd_bytes name, rtd_bytes payload, rtd_bytes detail, rtd_bytes extra);
rtd_result rtd_named(uint16_t kind, rtd_bytes name);
rtd_result rtd_about(uint16_t kind, rtd_bytes name, rtd_bytes payload, uint32_t ms);

// ---- socket.c

extern rtd_bytes rtd_at_hand; // the member that the event is about
extern bool rtd_rejoining;    // members join again, whose clients wait for no reply

// rtd_reply_by replies to whom the token stands for: to the event at hand, if it is empty.
void rtd_reply_by(rtd_bytes status, rtd_bytes response, rtd_bytes token);

// ---- callbacks.c

// rtd_run_handler calls a handler that may be missing.
void rtd_run_handler(rtd_handler *h, const rtd_event *e);

// rtd_call_back gives an event to the handler that a table has for it.
void rtd_call_back(rtd_handler *const *handlers, const rtd_event *e);

// ---- process.c

// rtd_start_process is rtd_spawn with flags; the second field of its answer is a request's ref.
rtd_result rtd_start_process(rtd_bytes module, rtd_bytes args, rtd_spawning how, uint16_t flags);

// ---- migrate.c

bool rtd_next_member(rtd_bytes *list, rtd_event *join);

// rtd_is_process says that the list of an import is of pid and arguments, and not of members.
bool rtd_is_process(rtd_bytes list);

// ---- server.c

// rtd_handle gives an event to the handler that a module has for it.
void rtd_handle(const rtd_module *m, const rtd_event *e);

// ---- module.c and channel.c: what this instance is

bool rtd_has_module(rtd_bytes name);

// rtd_open_module makes the instance a process of a module. False says that there is none.
bool rtd_open_module(rtd_bytes name);
void rtd_handle_module(const rtd_event *e);

void rtd_open_channel(rtd_bytes topic);

// rtd_begin_channel makes the instance a channel, if it is none, and says what else that wants.
void rtd_begin_channel(const rtd_event *e);

// rtd_handle_channel gives an event to the channel. False says that the instance is none.
bool rtd_handle_channel(const rtd_event *e);

// ---- plugin.c

// rtd_start describes the plugin to the host, in the event start.
void rtd_start(const rtd_event *e);

// rtd_want asks for an event that is sent on request only.
void rtd_want(rtd_bytes event);
