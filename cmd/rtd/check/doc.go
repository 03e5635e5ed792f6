// Package check looks at a built plugin as a server would: it deploys it, without a server, and
// measures what it costs.
//
//	module.wasm ──► sections: manifest, imports, exports
//	            ──► stage: compile, start, capabilities, tree  ──► refused? why
//	            ──► hundreds of clients that join              ──► bytes of an idle one
//	            ──► stage with a memory, a client that pushes  ──► bytes stored of a durable event
//
// # Questions
//
// Why not read the module alone? Whether a server takes a plugin is decided by what it
// does: which topics it declares, whether its start traps, whether its processes come up. A second
// set of rules would be wrong sooner or later.
//
// Why does it import package names? A server refuses a file with another name.
//
// Why does it import packages sections and rewrite, below the sandbox? The report lists all imports and exports, also those
// of a module that the sandbox refuses, and says why a guest cannot hibernate.
//
// Why measure the cost of an idle actor, when it could be calculated from the memory? Because
// hibernation keeps only what differs from the snapshot, and packs it. Only a run tells.
package check
