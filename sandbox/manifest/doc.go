// Package manifest reads and writes manifests. A manifest is a JSON object in a custom
// section of a module: rtd build writes it, and a server reads it before it deploys the
// module.
//
//	module.wasm
//	├─ type, import, function, …      the code and its data
//	├─ custom "name"                  names of functions, for stack traces
//	└─ custom "rtd"                   {"name": "room", "version": "0.1.0", "topics": ["room:*"],
//	                                   "abi": "rtd_v1", "capabilities": {"topics": ["audit:*"]}}
//
// For a module without the section its start event counts. The topics and processes that it
// declares there are its own. The server's config has to grant connect, and the plugins that it depends on, as
// if a manifest asked for them. It may disconnect clients if the config says so.
//
// # Questions
//
// Why does it import package sections? All readers of modules share it.
//
// Why in the module, and not in a second file? A plugin is one file, which is
// renamed into place in one step. Two files can be of two versions.
//
// Why JSON, where the ABI has records of its own? It is read once per deploy, by
// people too (strings module.wasm | grep '"abi"'), and a guest never sees it.
//
// Why is an unknown capability an error, and another unknown key none? A plugin would not
// get the capability, and fail later, where nobody looks. Other keys of newer tools change
// nothing for an older server.
//
// Why does a module without a manifest get less than all? Plugins were free before there were
// manifests. But then the way around every grant is to leave the section out, which takes
// one command.
//
// Why has the manifest the topics of the start event, and not its other declarations? A
// declaration that stands in two places can differ. Topics are here because people ask for
// them without running anything; rtd build compares.
package manifest
