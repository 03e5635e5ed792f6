package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"time"
)

// MaxFileSize is how many bytes a configuration file may have.
const MaxFileSize = 256 << 10

// Config has all values of the configuration file. A value is plain data: it may be read
// by several goroutines as long as nobody writes to it. A reload makes a new one.
//
// The struct tags are the whole rule book: toml is the key, range the bounds (both included), oneof the
// words allowed, check the name of a function in checks.
type Config struct {
	Server  Server  `toml:"server"`
	Log     Log     `toml:"log"`
	API     API     `toml:"api"`
	Admin   Admin   `toml:"admin"`
	Crashes Crashes `toml:"crashes"`
	Auth    Auth    `toml:"auth"`
	Plugins Plugins `toml:"plugins"`
	Bus     Bus     `toml:"bus"`
	Cluster Cluster `toml:"cluster"`

	// Sockets holds the mounts by name: the [socket.NAME] tables of the file, completed
	// with the defaults. A file without any has one mount, called "socket", for all
	// plugins.
	Sockets map[string]Socket `toml:"socket"`

	// Tables holds the [plugin.NAME] tables of the file, completed with the defaults. Ask with [Config.Plugin],
	// which also answers for plugins without a table.
	Tables map[string]Plugin `toml:"plugin"`
}

// Server has the addresses and the limits of connections. Limits hold for each
// connection, except the two on their number.
type Server struct {
	// Listen is the address as host:port. Without host it is all interfaces; port 0 picks a free one.
	Listen string `toml:"listen" check:"listen"`

	// TLSCert and TLSKey name PEM files. Both are set, or neither: then rtd speaks plain HTTP.
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`

	// Origins are the web pages that may connect. None: the Origin's host must be the host asked for. The
	// entry "*" alone: any. Else see [ParseOrigin].
	Origins []string `toml:"origins" check:"origin"`

	// TrustedProxies are IPs or CIDRs whose X-Forwarded-For, -Proto and -Host are believed. See [ParseProxy].
	TrustedProxies []string `toml:"trusted_proxies" check:"proxy"`

	// MaxFrame is the size in bytes of the largest frame accepted from a client.
	MaxFrame int `toml:"max_frame" range:"1024..268435456"`

	// IdleTimeout is how long a connection may send nothing before it is closed.
	IdleTimeout time.Duration `toml:"idle_timeout" range:"1s..24h"`

	// Grace is how long a shutdown may take.
	Grace time.Duration `toml:"grace" range:"0s..10m"`

	// MaxOutboxMessages and MaxOutboxBytes bound what may wait for a slow connection before it is closed.
	MaxOutboxMessages int `toml:"max_outbox_messages" range:"1..1000000"`
	MaxOutboxBytes    int `toml:"max_outbox_bytes" range:"1024..1073741824"`

	// SendBuffer is how many bytes the kernel takes for a slow connection before they
	// wait in rtd; 0 leaves that to the kernel, which may take megabytes. Unused bytes
	// take no memory.
	SendBuffer int `toml:"send_buffer" range:"0..1073741824"`

	// Poller says how rtd waits for bytes of clients: "auto" takes epoll where there is
	// one, but not with TLS.
	Poller string `toml:"poller" oneof:"auto goroutines"`

	// MaxHistoryBytes is how many bytes the histories of all topics have together, about. Beyond that, messages are sent
	// and not kept.
	MaxHistoryBytes int64 `toml:"max_history_bytes" range:"1024..1099511627776"`

	// PresenceGrace is how long a key stays present whose last connection has ended.
	PresenceGrace time.Duration `toml:"presence_grace" range:"0s..10m"`

	// MaxJoins is how many topics one socket may have joined at a time.
	MaxJoins int `toml:"max_joins" range:"1..1000000"`

	// MaxRate is how many messages a connection may send in a second before it is closed.
	MaxRate int `toml:"max_rate" range:"1..100000000"`

	// MaxConnections is how many connections there may be, MaxPerAddress how many of them
	// from one address: behind trusted proxies the address that they forward, for IPv6
	// the network of 64 bits. Connections count from accept on, whatever they ask for. A
	// few more are accepted, to be told that there is no room.
	MaxConnections int `toml:"max_connections" range:"1..100000000"`
	MaxPerAddress  int `toml:"max_per_address" range:"1..100000000"`

	// A shutdown closes DrainBatch connections at a time, and waits DrainInterval in between, as far as Grace
	// allows: if it does not, batches are larger.
	DrainBatch    int           `toml:"drain_batch" range:"1..100000000"`
	DrainInterval time.Duration `toml:"drain_interval" range:"0s..10m"`
	// DrainSpread, unless it is 0, takes the place of both: connections and sessions of long polling end evenly over this time, or
	// half of Grace if that is less, and each client is told when to come back.
	DrainSpread time.Duration `toml:"drain_spread" range:"0s..10m"`
}

// Room is how many bytes a queue of frames may hold where bytes are configured: two frames of the largest size
// fit all the same.
func (s *Server) Room(bytes int) int { return max(bytes, 2*s.MaxFrame) }

// Socket is a mount: a path where clients connect.
type Socket struct {
	// Path is the URL's; clients add "/websocket". A part such as ":id" matches any text
	// without a slash, and the plugin that is asked about the client gets that text.
	// Default: "/" and the name of the table.
	Path string `toml:"path" check:"path"`

	// Plugins names the plugins whose topics can be joined. None: all.
	Plugins []string `toml:"plugins" check:"plugin"`

	// Origins are like the Server's. None: the same as there.
	Origins []string `toml:"origins" check:"origin"`

	// Connect names the plugin that is asked whether a client may connect. "": the plugin
	// that wants to be asked, if only its topics can be joined here. If the topics of
	// several plugins can be joined, a plugin that wants to be asked is not deployed
	// before Connect names one.
	Connect string `toml:"connect" check:"plugin?"`

	// ConnectTimeout is how long it may take to answer, and MaxConnecting how many clients may wait for that.
	ConnectTimeout time.Duration `toml:"connect_timeout" range:"1ms..10m"`
	MaxConnecting  int           `toml:"max_connecting" range:"1..1000000"`

	// Auth says whether clients must show a token that [Auth] verifies, as their auth token or param token.
	Auth string `toml:"auth" oneof:"none optional required"`

	// AuthToken takes a token out of the subprotocols that clients offer. Otherwise these
	// are ignored.
	AuthToken bool `toml:"auth_token"`

	// DeflateFrom is how many bytes a frame has at the least that is compressed, for clients that
	// offer permessage-deflate. These may compress what they send. 0: nothing is compressed.
	DeflateFrom int `toml:"deflate_from" range:"0..1073741824"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `toml:"level" oneof:"debug info warn error"`
	Format string `toml:"format" oneof:"text json"`
}

// Auth says which tokens are valid: JSON Web Tokens and tokens of Phoenix.Token. Secrets
// may stand in the environment, "env:NAME", or in a file, "file:PATH".
type Auth struct {
	// Keys verify JWTs: secrets, or public keys as PEM; "KID=env:NAME" verifies only
	// tokens with that kid.
	Keys []string `toml:"keys" check:"filled"`

	// Algorithms are the allowed ones for a JWT's signature. None: HS256, RS256 and
	// ES256.
	Algorithms []string `toml:"algorithms" check:"filled"`

	// JWKSFile and JWKSURL publish public keys. Refresh is how often the URL is loaded
	// again.
	JWKSFile string        `toml:"jwks_file"`
	JWKSURL  string        `toml:"jwks_url"`
	Refresh  time.Duration `toml:"refresh" range:"10s..24h"`

	// Issuer and Audience are the claims that a JWT must have. "": any.
	Issuer   string `toml:"issuer"`
	Audience string `toml:"audience"`

	// Leeway is how far clocks may be off, and RequireExpiry refuses tokens that never expire.
	Leeway        time.Duration `toml:"leeway" range:"0s..10m"`
	RequireExpiry bool          `toml:"require_expiry"`

	// PhoenixSecretKeyBase is the secret_key_base of an Elixir application whose tokens
	// are valid, PhoenixSalt the salt of their signatures, PhoenixMaxAge how old they may
	// be; 0s: as old as each token says.
	PhoenixSecretKeyBase string        `toml:"phoenix_secret_key_base"`
	PhoenixSalt          string        `toml:"phoenix_salt"`
	PhoenixMaxAge        time.Duration `toml:"phoenix_max_age" range:"0s..8760h"`

	// Notice is how long before the expiry a client is told. Grace is how long after the
	// expiry a new token is accepted, at least Leeway.
	Notice time.Duration `toml:"notice" range:"1s..24h"`
	Grace  time.Duration `toml:"grace" range:"1s..24h"`
}

// API configures the HTTP API for backends.
type API struct {
	// Keys are accepted from backends: a text of at least 16 bytes, "env:NAME" or
	// "file:PATH". None: there is no API.
	Keys []string `toml:"keys" check:"filled"`
}

// Admin configures the interface by which rtd deploy, ps, logs and so on reach a running
// server.
type Admin struct {
	// Socket is the path of a Unix socket. "auto": a place for each plugin folder, see package admin. "": there is none.
	Socket string `toml:"socket"`

	// Listen is a TCP address, besides the socket; "" is none. With [Server].TLSCert it
	// speaks TLS.
	Listen string `toml:"listen" check:"listen?"`

	// Keys are accepted on Listen, as in [API].
	Keys []string `toml:"keys" check:"filled"`
}

// Crashes configures crash reports.
type Crashes struct {
	// Dir is the folder. "auto": a place for each plugin folder, see package crashes. "": there are no reports.
	Dir string `toml:"dir"`

	// Payloads keeps the clients' payloads and the guest's memory, for post-mortems and
	// replays.
	Payloads bool `toml:"payloads"`

	// MaxReports and MaxBytes bound the reports that are kept; the oldest one makes room.
	// MaxRate is how many new ones are written in a minute.
	MaxReports int   `toml:"max_reports" range:"1..100000"`
	MaxBytes   int64 `toml:"max_bytes" range:"1048576..1099511627776"`
	MaxRate    int   `toml:"max_rate" range:"1..100000"`
}

// Plugins says where plugins come from.
type Plugins struct {
	// Dir is the watched folder.
	Dir string `toml:"dir" check:"filled"`

	// Cache is the folder for compiled code; "" is the folder rtd in the user's cache folder.
	Cache string `toml:"cache"`

	// CompileTime is the processor time in which a module must compile, CompileMemory the
	// memory in bytes, in a process of its own. 0s: modules compile in the server's
	// process, without limits.
	CompileTime   time.Duration `toml:"compile_time" range:"0s..1h"`
	CompileMemory int64         `toml:"compile_memory" range:"67108864..1099511627776"`

	// Build tells to build the Go sources in Dir/NAME into Dir/NAME.wasm.
	Build bool `toml:"build"`

	// Versions is the folder for deployed versions, for rollbacks, and for their
	// snapshots. "auto": .rtd/versions in Dir. "": none are kept.
	Versions string `toml:"versions"`
}

// Bus says where everything durable is stored, and how nodes talk. It begins only if something needs it.
type Bus struct {
	// Dir is the folder of the embedded one. "auto": .rtd/bus in the plugin folder.
	Dir string `toml:"dir" check:"filled"`

	// MaxBytes is how many bytes the embedded one stores, about. Then writes are refused.
	MaxBytes int64 `toml:"max_bytes" range:"1048576..1125899906842624"`

	// Sync says when the embedded one syncs to disk: "always", before it acknowledges, or how often: see [Bus.SyncEvery].
	Sync string `toml:"sync" check:"sync"`

	// URL is an existing NATS in its place, "nats://HOST:PORT" or "tls://HOST:PORT", or several with commas between; "":
	// the embedded one.
	URL string `toml:"url" check:"nats?"`

	// Prefix begins the names of all that is stored or sent.
	Prefix string `toml:"prefix" check:"prefix"`

	// Credentials are for URL: the content of a .creds file, "user:password", or a token. As in [Auth], they may stand
	// in the environment or in a file. "": none.
	Credentials string `toml:"credentials"`

	// TLSCA names a PEM file with the authorities that URL's certificate may come from; "" is the system's. TLSCert and
	// TLSKey name the client's own certificate: both, or neither.
	TLSCA   string `toml:"tls_ca"`
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`
}

// Cluster says how this server finds the others of its cluster, and which it is.
type Cluster struct {
	// Name is the same for all of them. "": there is no cluster.
	Name string `toml:"name" check:"node?"`

	// Node is the name of this one, which no other has. "": see [Cluster.NodeName].
	Node string `toml:"node" check:"node?"`

	// Listen is the address for the other nodes, as host:port. Without host it is all interfaces; port 0 picks a free one.
	Listen string `toml:"listen" check:"listen"`

	// Advertise is the host:port by which they reach this node, if that is neither in their seeds nor the address that its connections
	// come from. "": that address.
	Advertise string `toml:"advertise" check:"seed?"`

	// Seeds are host:port of some nodes, which tell of the others. This node may be among them.
	Seeds []string `toml:"seeds" check:"seed"`

	// Secret is the same for all nodes: "env:NAME" or "file:PATH" of 32 bytes or more. A peer without it gets nothing.
	Secret string `toml:"secret"`

	// TLSCA, TLSCert and TLSKey name PEM files, in place of Secret: the authority of all nodes, which must not sign for others, and this
	// node's certificate.
	TLSCA   string `toml:"tls_ca"`
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`

	// DownAfter is how long nothing is heard of a node before it is down.
	DownAfter time.Duration `toml:"down_after" range:"1s..10m"`
}

// NodeName returns Node, or the name of the machine with - for what a node's name cannot have.
func (c *Cluster) NodeName() (string, error) {
	if c.Node != "" {
		return c.Node, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("ask for the machine's name: %w; set cluster.node", err)
	}
	if name = notInNode.ReplaceAllString(name, "-"); len(name) > maxNode {
		name = name[:maxNode]
	}
	if checkNode(name) != nil {
		return "", errors.New("the machine has no name; set cluster.node")
	}
	return name, nil
}

// SyncAlways is the word for [Bus].Sync before each acknowledgement.
const SyncAlways = "always"

// SyncEvery is how often the embedded bus syncs; 0 is always.
func (b *Bus) SyncEvery() time.Duration {
	every, _ := time.ParseDuration(b.Sync) // always, or checked
	return every
}

// Plugin is the table of one plugin.
type Plugin struct {
	// Topics are the patterns that the plugin serves: a topic, or its beginning followed
	// by "*". None: the patterns that the module declares.
	Topics []string `toml:"topics" check:"topic"`

	Restart  string `toml:"restart" oneof:"permanent transient temporary"`
	Strategy string `toml:"strategy" oneof:"one_for_one one_for_all rest_for_one"`

	// More than MaxRestarts crashes within MaxSeconds seconds end a channel, or the plugin if its own
	// processes crash.
	MaxRestarts int `toml:"max_restarts" range:"0..1000000"`
	MaxSeconds  int `toml:"max_seconds" range:"1..86400"`

	// Memory is the linear memory in bytes that one guest may have.
	Memory int64 `toml:"memory" range:"65536..4294967296"`

	// TotalMemory is the memory in bytes that all guests of the plugin may have together, at work and at
	// rest, beyond the snapshot that they share.
	TotalMemory int64 `toml:"total_memory" range:"1048576..1099511627776"`

	// Deadline is the processor time that a guest may use for one event. By the clock the
	// event may take ten times as long, at least 10 s; the guest's waits for a turn or
	// for others do not count.
	Deadline time.Duration `toml:"deadline" range:"1ms..10m"`

	// Mailbox is how many messages may wait for one process.
	Mailbox int `toml:"mailbox" range:"1..1000000"`

	// MaxRate is how many messages of clients the plugin's handlers take in a second, all together.
	MaxRate int `toml:"max_rate" range:"1..100000000"`

	// Slots is the number of resident instances in which the plugin's guests take turns.
	Slots int `toml:"slots" range:"1..10000"`

	// Waiting is how many guests may wait for others at a time, in a call or sleeping.
	Waiting int `toml:"waiting" range:"1..100000"`

	// Scope says whether a topic has one handler for each join or one for all.
	Scope string `toml:"scope" oneof:"declared join topic"`

	// Stays tells the handler of a topic to stay when its last member has left.
	Stays bool `toml:"stays"`

	// Depends are plugins that must run first.
	Depends []string `toml:"depends" check:"plugin"`

	// Grants are patterns of topics besides those that the plugin serves. It may publish
	// and subscribe to them, and be present there, also while another plugin serves them.
	Grants []string `toml:"grants" check:"topic"`
	// Allows are further rights: connect, to be asked about clients that connect, and
	// disconnect, to end connections. If the plugin has a manifest, that has to ask for
	// them, too.
	Allows []string `toml:"allows" oneof:"connect disconnect"`

	// Services are the host's services that the plugin may ask, such as "rtd/clock".
	Services []string `toml:"services" check:"service"`

	// Processes is how many processes the plugin may have when it spawns another.
	Processes int `toml:"processes" range:"1..100000000"`

	// References is how many timers, monitors, links, subscriptions, intercepts and open requests its processes
	// may have, and how many names.
	References int `toml:"references" range:"1..100000000"`

	// Pending is how many bytes the host keeps for the guests, all together: messages
	// that wait, timers, names, arguments, answers, broadcasts, presence and assigns.
	// Each counts 64 to 256 bytes more than its content. The default is enough for some
	// 300,000 clients that are present, for example.
	Pending int `toml:"pending" range:"1024..1099511627776"`

	// Durable are patterns of what is remembered, besides those that the module declares: "doc:*" are topics,
	// "process:counter" and "process:*" processes by their names.
	Durable []string `toml:"durable" check:"durable"`

	// DurableIdle is how long a durable actor without use stays in memory.
	DurableIdle time.Duration `toml:"durable_idle" range:"1ms..24h"`

	// DurableKeep is how long a state without use is stored; 0s: for ever.
	DurableKeep time.Duration `toml:"durable_keep" range:"0s..87600h"`

	// DurableState is how many bytes the state of one durable actor may have, DurableBytes those of all of the plugin.
	DurableState int   `toml:"durable_state" range:"1024..1310720"`
	DurableBytes int64 `toml:"durable_bytes" range:"1024..1125899906842624"`

	// History are patterns of topics whose broadcasts are kept, so that whoever joins again is told what it missed. They count before
	// those that the module declares.
	History []string `toml:"history" check:"topic"`

	// HistoryDurable are patterns as History, of topics whose broadcasts are stored as well, before anybody gets them: they outlive the server.
	HistoryDurable []string `toml:"history_durable" check:"topic"`

	// HistoryMessages, HistoryBytes and HistoryAge bound what is kept of each such topic, and of those for which the module does not
	// say how much.
	HistoryMessages int           `toml:"history_messages" range:"1..1000000"`
	HistoryBytes    int64         `toml:"history_bytes" range:"1024..1099511627776"`
	HistoryAge      time.Duration `toml:"history_age" range:"1s..87600h"`

	// Linger is for how long a handler of one join stays when its client's connection has broken; 0s: not at all.
	Linger time.Duration `toml:"linger" range:"0s..24h"`

	// MaxLingering is how many of them may stay at a time, MaxLingeringAddress of one client address, MaxLingeringID of one
	// socket id. The oldest goes first.
	MaxLingering        int `toml:"max_lingering" range:"1..10000000"`
	MaxLingeringAddress int `toml:"max_lingering_address" range:"1..10000000"`
	MaxLingeringID      int `toml:"max_lingering_id" range:"1..10000000"`

	// Migrate says what becomes of a process whose state a new version cannot take over: its join is replayed, or
	// it stays in its version until it ends.
	Migrate string `toml:"migrate" oneof:"replay stay"`

	// Watch is how long a new version is watched: if its processes crash more than
	// MaxRestarts times within MaxSeconds seconds, all together, it is rolled back. 0s:
	// it is not watched.
	Watch time.Duration `toml:"watch" range:"0s..24h"`

	// Canary is the share of new joins that go to a new version for CanaryPeriod, before
	// all do; 0: none.
	Canary       float64       `toml:"canary" range:"0..1"`
	CanaryPeriod time.Duration `toml:"canary_period" range:"1s..24h"`

	// Config is handed to the guest as JSON. It holds string, bool, int64, float64 (finite), []any and
	// map[string]any, never a date: those are strings. Treat it as read-only, it is shared.
	Config map[string]any `toml:"config"`
}

// Default returns the defaults: all of config.toml without its plugin tables.
func Default() *Config {
	return &Config{
		Server: Server{
			Listen:            "127.0.0.1:4000",
			Origins:           []string{},
			TrustedProxies:    []string{},
			MaxFrame:          64 << 10,
			IdleTimeout:       60 * time.Second,
			Grace:             10 * time.Second,
			MaxOutboxMessages: 4096,
			MaxOutboxBytes:    1 << 20,
			SendBuffer:        128 << 10,
			Poller:            "auto",
			MaxJoins:          100,
			MaxHistoryBytes:   256 << 20,
			MaxRate:           100_000,
			MaxConnections:    1_000_000,
			MaxPerAddress:     100_000,
			DrainBatch:        10_000,
			DrainInterval:     2 * time.Second,
		},
		Log:     Log{Level: "info", Format: "text"},
		API:     API{Keys: []string{}},
		Admin:   Admin{Socket: "auto", Keys: []string{}},
		Crashes: Crashes{Dir: "auto", Payloads: true, MaxReports: 100, MaxBytes: 256 << 20, MaxRate: 20},
		Auth: Auth{
			Keys: []string{}, Algorithms: []string{}, Refresh: 15 * time.Minute, Leeway: 10 * time.Second,
			RequireExpiry: true, Notice: time.Minute, Grace: 30 * time.Second,
		},
		Plugins: Plugins{Dir: "plugins", CompileTime: time.Minute, CompileMemory: 1 << 30, Build: true, Versions: "auto"},
		Bus:     Bus{Dir: "auto", MaxBytes: 10 << 30, Sync: SyncAlways, Prefix: "rtd"},
		Cluster: Cluster{Listen: ":4400", Seeds: []string{}, DownAfter: 3 * time.Second},
		Sockets: map[string]Socket{"socket": defaultSocket("socket")},
		Tables:  map[string]Plugin{},
	}
}

func defaultSocket(name string) Socket {
	return Socket{
		Path:           "/" + name,
		Plugins:        []string{},
		Origins:        []string{},
		ConnectTimeout: 10 * time.Second,
		MaxConnecting:  1000,
		AuthToken:      true,
		Auth:           "none",
	}
}

func defaultPlugin() Plugin {
	return Plugin{
		Topics:      []string{},
		Restart:     "transient",
		Strategy:    "one_for_one",
		MaxRestarts: 3,
		MaxSeconds:  5,
		Memory:      64 << 20,
		TotalMemory: 4 << 30,
		Deadline:    time.Second,
		Mailbox:     1000,
		MaxRate:     1_000_000,
		Slots:       256,
		Waiting:     256,
		Scope:       "declared",
		Depends:     []string{},
		Grants:      []string{},
		Allows:      []string{},
		Services:    []string{},
		Processes:   100_000,
		References:  1_000_000,
		Pending:     64 << 20,
		Migrate:     "replay",
		Watch:       30 * time.Second,

		Durable:      []string{},
		DurableIdle:  time.Minute,
		DurableState: 1 << 20,
		DurableBytes: 1 << 30,

		History:         []string{},
		HistoryDurable:  []string{},
		HistoryMessages: 100,
		HistoryBytes:    1 << 20,
		HistoryAge:      time.Hour,

		MaxLingering:        10_000,
		MaxLingeringAddress: 1000,
		MaxLingeringID:      100,

		CanaryPeriod: time.Minute,
		Config:       map[string]any{},
	}
}

// Load reads and parses the file at path. If there is none, the error is fs.ErrNotExist
// and says how to get one; a caller that chose the path itself may take [Default]
// instead.
func Load(path string) (*Config, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open config: %w; create it, even empty: every key has a default, "+
			"and config.toml in rtd's source lists them all", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open config: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxFileSize+1)) // the one byte more is what Parse objects to
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return Parse(path, data)
}

// Plugin returns the table of the plugin called name, or the defaults if it has none.
func (c *Config) Plugin(name string) Plugin {
	if table, ok := c.Tables[name]; ok {
		return table
	}
	return defaultPlugin()
}

// NeedsRestart returns the dotted keys outside of the plugin tables whose values differ in next, in the order
// of the file: a running rtd takes over the plugin tables of next and connect of the sockets that there are,
// and nothing else. Of sockets it names the tables.
func (c *Config) NeedsRestart(next *Config) []string {
	var keys []string
	was, is := reflect.ValueOf(*c), reflect.ValueOf(*next)
	for table := range was.NumField() {
		if was.Field(table).Kind() != reflect.Struct {
			continue // tables with names
		}
		for i, field := range reflect.VisibleFields(was.Field(table).Type()) {
			before, after := was.Field(table).Field(i), is.Field(table).Field(i)
			if before.Kind() == reflect.Slice && before.Len()+after.Len() == 0 {
				continue // nil means the same as empty
			}
			if !reflect.DeepEqual(before.Interface(), after.Interface()) {
				keys = append(keys, keyOf(was.Type().Field(table))+"."+keyOf(field))
			}
		}
	}
	names := maps.Clone(c.Sockets)
	maps.Copy(names, next.Sockets)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, after := c.Sockets[name], next.Sockets[name]
		before.Connect = after.Connect
		if !reflect.DeepEqual(before, after) {
			keys = append(keys, "socket."+name)
		}
	}
	return keys
}

// ConfigJSON returns Config as a JSON object with sorted keys: equal tables give equal
// bytes. It panics on a Config that was made by hand and does not fit into JSON; [Parse]
// never returns one.
func (p Plugin) ConfigJSON() []byte {
	if len(p.Config) == 0 {
		return []byte("{}")
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p.Config); err != nil {
		panic(fmt.Sprintf("config: plugin table is not JSON: %v", err))
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
