package rtd

// OnStart registers a function that runs once for each version of the plugin, before
// anything else, with the plugin's table of the server's config as a JSON object: "{}" if
// there is none. All instances begin with the memory that it leaves. An error stops the
// deploy. Call it from init.
func OnStart(f func(config []byte) error) { plugin.onStart = append(plugin.onStart, f) }

// OnStop registers a function that runs once when the plugin has ended, after all of
// its processes, in an instance of its own that begins like every other. Of several
// the last registered runs first. Call it from init.
func OnStop(f func()) { plugin.onStop = append(plugin.onStop, f) }

// DependsOn says that another plugin must run before this one starts. Processes of
// this one reach its processes as "plugin/name". Call it from init.
func DependsOn(name string) { plugin.depends = append(plugin.depends, name) }

// Durable says what is to be remembered over crashes, standing still and restarts of the server: topics that
// [HandleTopic] serves, "doc:*" or "doc:1", and processes by their names, "process:counter" or "process:*". All of the
// program's memory is. See sdk/durable.md for what is promised. Call it from init.
//
// A process that goes on has no second Init. A [TopicChannel] is told what has changed in its absence: Leave, for each
// member that has gone, and Join for each that it does not know.
func Durable(patterns ...string) { plugin.durable = append(plugin.durable, patterns...) }

// plugin is all that the program registers. It is complete when start is over,
// and the same in every instance.
var plugin struct {
	onStart   []func(config []byte) error
	onStop    []func()
	onConnect func(c *Conn) error
	depends   []string
	durable   []string
	histories []record
	routes    []route
	tree      []Child
	modules   map[string]func() body
}

func start(config []byte) error {
	growHeap()
	for _, f := range plugin.onStart {
		if err := f(config); err != nil {
			return err
		}
	}
	for _, r := range plugin.routes {
		effect(record{kind: effectHandles, name: r.pattern, detail: r.scope})
	}
	for _, name := range plugin.depends {
		effect(record{kind: effectDepends, name: name})
	}
	for _, pattern := range plugin.durable {
		effect(record{kind: effectDurable, name: pattern})
	}
	for _, r := range plugin.histories {
		effect(r)
	}
	if len(plugin.onStop) > 0 {
		effect(record{kind: effectWants, name: "stop"})
	}
	if plugin.onConnect != nil {
		effect(record{kind: effectWants, name: "connect"})
	}
	if anyMigrates() {
		effect(record{kind: effectWants, name: "export"})
	}
	for _, c := range plugin.tree {
		if err := c.declare(""); err != nil {
			return err
		}
	}
	return nil
}
