// Package release describes one version of a plugin with the settings that it runs under:
// the declarations of its module, the rights that config grants, and its counters. It
// runs nothing.
//
//	module (sandbox.Module) ─┐
//	manifest in the module  ─┼──► New ──► Release ──► package app runs it
//	Settings, of config     ─┘     │
//	                               └ asks for more than is granted, or contradicts itself: an
//	                                 error of one line that names the lines of config to add
//
// A version is named by the first 12 digits of the SHA-256 of its module. Every log line,
// metric and crash about a guest carries plugin and version: the guest's own, which need not
// be the current one. One version may have several releases, under different [Settings].
//
// A [Release] does not change while it is used, except for three fields: [Histogram] (how
// long its guests took), [Window] (its recent crashes and their number), [Fate] (its
// [Verdict], for those who wait for it).
//
// # Questions
//
// Why are settings part of a release? A new memory limit or config table needs new guests, just
// as new code does. One path for both is one path to get right.
//
// Why must two trees be the same for states to move ([Release.SameTree])? A supervisor
// has the children of its declaration. Changing one tree into another while it runs is
// the job of appups in OTP, and few people get them right.
//
// How long is a release loaded? From New until Retire or the end of the plugin, and then until
// its last guest has left it: its processes may stay in it.
//
// Why is there another New for a version of old ([NewOld])? Its states name it, so it is loaded once more, to hand them on. It
// ran under settings of its day: what it asks for beyond those of today it does not get, and its states are not
// lost for that.
//
// # Rationale
//
// host/durable has the word for what a state names ([durable.Use]) and the kinds of actors; channels has
// [channels.Version], by which handlers know a release; sandbox the module
// and its limits, sandbox/abi its declarations, sandbox/manifest its capabilities;
// supervisor the words for strategies and restarts. The packages above run a release:
// process, app, rollout.
package release
