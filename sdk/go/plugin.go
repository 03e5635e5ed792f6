package rtd

import (
	"runtime"
	"slices"
)

// OnStart registers a function that runs once for a version of the plugin, before
// anything else, with the config table as JSON ("{}" if it has none). All instances
// begin with the memory that it leaves. An error stops the deploy. Call it from
// init.
func OnStart(f func(config []byte) error) { plugin.onStart = append(plugin.onStart, f) }

// OnStop registers a function that runs once when the plugin has ended, after all of
// its processes, in an instance of its own that begins like every other. Of several
// the last registered runs first. Call it from init.
func OnStop(f func()) { plugin.onStop = append(plugin.onStop, f) }

// DependsOn says that another plugin must run before this one starts. Processes of
// this one reach its processes as "plugin/name". Call it from init.
func DependsOn(name string) { plugin.depends = append(plugin.depends, name) }

// Log writes a line to the server's log, at once, crash or not. level is
// debug, info, warn or error.
func Log(level, text string) { give(record{kind: opLog, name: level, payload: []byte(text)}) }

// plugin is what the program consists of. It is complete when start is over,
// and the same in every instance.
var plugin struct {
	onStart   []func(config []byte) error
	onStop    []func()
	onConnect func(c *Conn) error
	depends   []string
	routes    []route
	tree      []Child
	modules   map[string]func() body
}

// this is the one process that the instance is, from its first event on.
var this struct {
	body body
	pid  PID // once it was asked for
}

// body is the code of a process.
type body interface {
	// handle takes one event. An error is a crash.
	handle(e record) error
	// code is what the plugin's author wrote of it.
	code() any
}

// module registers what a process can be, by name.
func module(name string, create func() body) {
	if plugin.modules[name] != nil {
		panic("rtd: module " + name + " is registered twice; give one of them another name")
	}
	if plugin.modules == nil {
		plugin.modules = map[string]func() body{}
	}
	plugin.modules[name] = create
}

// dispatch takes one event of this instance.
func dispatch(e record) error {
	switch e.kind {
	case eventStart:
		return start(e.payload)
	case eventStop:
		for _, f := range slices.Backward(plugin.onStop) {
			f()
		}
		return nil
	case eventIdle:
		runtime.GC()
		return nil
	case eventInit:
		create := plugin.modules[e.name]
		if create == nil {
			return errText("no module " + e.name + "; register it from init, for example with rtd.Serve")
		}
		reseed()
		this.body, this.pid = create(), PID(e.detail)
	case eventConnect:
		reseed()
		return connect(e)
	case eventJoin, eventMembers:
		if err := openChannel(e); err != nil {
			return err
		}
	case eventImport:
		if err := openImported(e); err != nil {
			return err
		}
	}
	if this.body == nil {
		switch {
		case e.kind == eventMessage:
			return errText("message before join")
		case e.kind < eventStop:
			return errText("event before join or init")
		}
		return nil // a newer host tells of something that this SDK does not know
	}
	return this.body.handle(e)
}

func start(config []byte) error {
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
