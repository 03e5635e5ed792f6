#pragma once

#include <rtd.h>

#define NONE ((rtd_bytes){0})

extern const rtd_channel join_channel, shared_channel, durable_channel;
extern const rtd_module recorder_module, server_module, counter_module, job_module, events_module, listener_module, archive_module, ledger_module;

rtd_bytes text(const rtd_event *e, rtd_bytes key); // of the payload
rtd_bytes text_object(const rtd_event *e);         // {"text": that of the payload}
rtd_bytes config_given(void);
bool is(rtd_bytes b, const char *string);
void record(rtd_bytes line);
rtd_bytes word(rtd_result r);
void respond(rtd_result r, rtd_bytes response); // replies this, or why not
bool check_schema(const rtd_event *import);

void send(const rtd_event *e, void how(rtd_bytes event, rtd_bytes payload));
void arrive(rtd_bytes name, const rtd_event *join);
bool refuse(const rtd_event *join);
bool about_others(const rtd_event *e);      // messages that ask for what can fail
rtd_bytes cut_name(rtd_bytes *names);       // takes what stands before the next comma
bool common(const rtd_event *e, rtd_bytes topic, rtd_bytes assigns, bool replay);
