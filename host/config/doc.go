// Package config reads rtd's configuration file: one struct, decoded strictly.
//
// [Parse] turns the file's bytes into a [Config] or into a list of [Problem]s, each with
// file, line, key, the fault and the expected value. Missing keys have their defaults.
// Only [Load] touches the world: it reads the file. [ParseProject] reads rtd.toml, the
// description of a plugin by its author, by the same rules.
//
//	bytes ──toml──► tree of values ──┐
//	                                 ├─ table by table: known key? ─► right type? ─► in range? ─► Config
//	struct fields and their tags ────┘         │                │               │
//	                                           └────────────────┴───────────────┴──► Problems, ordered by line
//
// # Rationale
//
// Why are the values not decoded into the structs by the toml package? It stops at the first mismatch, matches
// keys without regard to case, takes a number for a duration, and knows no ranges. Here a person who upgrades with
// ten outdated keys sees ten messages at once.
//
// Why are the rules in struct tags? A key's name, type and bounds then stand in one
// place, next to the comment that explains it, and a test can compare the structs with
// config.toml.
//
// Where do line numbers come from? From the toml package, which records them but returns
// them only in errors of values that decode themselves. So the parser decodes a key into
// a value that always fails. A scanner of our own would have to know multi-line strings,
// quoted keys and inline tables just as well. A list that spans lines has the number of
// its first.
//
// Why do [socket.NAME] tables replace the default mount, and not add to it? An operator
// who writes mounts wants to read all open paths in the file.
//
// Why does a reload take over plugin tables, and connect of sockets, only? They belong to plugins, which can be replaced while rtd runs.
// A new listen address or frame limit would hold for some connections and not for others; [Config.NeedsRestart]
// names such keys, so that the log can say so instead.
//
// Why does Load not fall back to the defaults if there is no file? Only the caller knows
// whether a person gave the path, so that a missing file is a mistake, or whether the
// path was a default, too.
//
// Why may config.toml have a key that repeats its default? So that the shipped file documents all of them. A test
// holds it equal to [Default].
//
// Why does it import package names? Tables of plugins and sockets, and rtd.toml, have names by its rule.
package config
