// Package settings says what a config means to those who run plugins: each of its functions
// translates a part of it into the words of one package below.
//
//	                      ┌──► Plugin    release.Settings   of one plugin: topics, restarts, limits, rollout
//	config.toml           ├──► Mounts    []rollout.Mount    which plugins are there, and who decides about clients
//	    └──► host/config ─┼──► Channels  channels.Limits    of a client: joins, rate, what may wait
//	                      └──► Engine    sandbox.Options    the compiler, its bounds, its cache
//
// A server uses all of them, and so does the stage on which rtd test and rtd check run plugins without
// one (cmd/rtd/stage): a plugin has the same limits at both places.
//
// # Questions
//
// Where is a new key of the config read? Its type, default and range are in host/config. If it
// belongs to a plugin, a field of release.Settings takes it, and [Plugin] fills that in.
//
// When does a changed key take effect? All of these are functions without state. The next call returns
// the new settings; package host does so for the tables of plugins alone.
//
// Why does [Plugin] take a table and a server's limits, and no config? After a reload the tables are
// new, while the limits are those that the server was started with.
//
// # Rationale
//
// Nothing here knows of sockets, HTTP or files: so the stage needs none of package host. It imports the
// packages whose settings it fills in, and supervisor for the names of restart types and strategies.
package settings
