package script

// Format describes the language to people.
const Format = `A script is a list of steps, one in a line. A line that begins with white space goes on
with the one before; # begins a comment line. JSON payloads end a line, and may be left out.

  connect NAME [PARAMS]            a client connects; PARAMS are those of its URL
  NAME refused [STATUS]            right after connect: a plugin refuses it, with this HTTP status
  NAME join TOPIC [PAYLOAD]        and leave [TOPIC]
  NAME push [TOPIC] EVENT [PAYLOAD]
  NAME ok [RESPONSE]               waits for the reply to its last join, push or leave;
  NAME error [RESPONSE]            reply STATUS [RESPONSE] is for any other status
  NAME expect [TOPIC] EVENT [PAYLOAD]
                                   waits for a push or broadcast, passing over those of other events
  NAME crash [TOPIC] EVENT [PAYLOAD]
                                   push, and the handler must crash: the reply is the error
                                   {"reason": "crashed"}, and another one takes its place
  NAME quiet                       all that is under way has been done, and nothing came
                                   that no step has waited for, replies aside
  NAME ended                       waits for the end of its connection, by the plugin
  NAME close                       ends it
  publish TOPIC EVENT [PAYLOAD]    a broadcast from outside, as by the HTTP API
  sleep DURATION                   such as 200ms; only for timers
  clock TIME                       it is TIME for rtd/clock, such as 2026-07-14T09:05:00+02:00,
                                   until the next clock; timers go on as ever

TOPIC is the one that the client joined last, if it is left out. A payload is {} if it is
left out where it is sent, and anything where it is expected. Payloads are compared as
values: "*" stands for any value, and the key "*" in an object for any further keys.`
