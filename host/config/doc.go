// Package config reads rtd's configuration file: one struct, decoded strictly.
//
// [Parse] turns the file's bytes into a [Config] or into a list of [Problem]s, each with file, line, key, what is
// wrong and what was expected. What the file leaves out has its default. Nothing here touches the world except
// [Load], which reads the file; what to do with a value is up to the packages that get it. [ParseProject] reads
// rtd.toml, in which the author of a plugin says what it is and asks for, by the same rules.
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
// Why are the rules in struct tags? A key's name, type and bounds then stand in one place, beside the comment
// that explains it, and a test can compare the structs with config.toml.
//
// Where do line numbers come from? From the toml package, which records them but tells them only in errors of
// values that decode themselves; a value that always refuses makes it tell. A scanner of our own would have to know
// multi-line strings, quoted keys and inline tables just as well. For a list that spans lines it is the first.
//
// Why do [socket.NAME] tables replace the default mount, and not add to it? Who writes mounts wants to know all paths
// that are open from reading the file.
//
// Why does a reload take over plugin tables only? They belong to plugins, which can be replaced while rtd runs.
// A new listen address or frame limit would hold for some connections and not for others; [Config.NeedsRestart]
// names such keys, so that the log can say so instead.
//
// Why does Load not fall back to the defaults if there is no file? Only the caller knows whether the path was
// asked for, which makes absence a mistake, or was a default itself.
//
// Why may config.toml have a key that repeats its default? So that the shipped file documents all of them. A test
// holds it equal to [Default].
package config
