package rtd

// body is the code of a process.
type body interface {
	// handle takes one event. An error is a crash.
	handle(e record) error
	// code is the part of it that the plugin's author wrote.
	code() any
}

// module registers a module, which makes the code of processes, by name.
func module(name string, create func() body) {
	if plugin.modules[name] != nil {
		panic("rtd: module " + name + " is registered twice; give one of them another name")
	}
	if plugin.modules == nil {
		plugin.modules = map[string]func() body{}
	}
	plugin.modules[name] = create
}

func noModule(name string) string { return "no module " + name }

// this is the one process that the instance is, from its first event on.
var this struct {
	body   body
	events int // that it has had, up to pacedAt
}
