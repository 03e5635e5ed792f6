// Package manifest reads and writes what a module says of itself: a JSON object in a
// custom section of its own, which rtd build writes and a server reads when the module
// is to be deployed.
//
//	module.wasm
//	├─ type, import, function, …      what runs
//	├─ custom "name"                  names of functions, for stack traces
//	└─ custom "rtd"                   {"name": "room", "version": "0.1.0", "topics": ["room:*"],
//	                                   "abi": "rtd_v1", "capabilities": {"topics": ["audit:*"]}}
//
// A module without the section is as good as before: it has asked for nothing.
//
// # Questions
//
// Why in the module, and not in a file beside it? A plugin is one file, which is
// renamed into place in one step. Two files can be of two versions.
//
// Why JSON, where the ABI has records of its own? It is read once per deploy, by
// people too (strings module.wasm | grep '"abi"'), and a guest never sees it.
//
// Why is an unknown capability an error, and an unknown key beside it none? Who asks for
// something that this server does not know would not get it, and fail later, where nobody
// looks. What else newer tools write down changes nothing for an older server.
//
// Why does the section not name what start declares beside topics? The module says so
// itself when it is started, and what is said twice can differ. Topics are here because
// people ask for them without running anything; rtd build compares.
package manifest
