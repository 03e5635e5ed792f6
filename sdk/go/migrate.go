package rtd

// Migrator is a process that hands its state to the next version of the plugin: a
// [Channel], a [TopicChannel], a [Server], an [EventHandler], or an [Agent] whose
// *S is one. When a version is deployed, the old one's Export is called between two
// messages, and then the new one's Import, in place of Init or Join. Nobody else
// notices: pid, names, timers, monitors, links, subscriptions, intercepted events and
// presence stay as they are.
//
// Where one of the versions is no Migrator, the process begins anew: Init is called, or
// Join with [Socket.Replay]. One that was spawned without a supervisor stays in its
// version, unless it is an [EventHandler].
//
//	func (r *Room) Export() (string, []byte, error) {
//		return "2", strconv.AppendInt(nil, int64(r.sent), 10), nil
//	}
//
//	func (r *Room) Import(schema string, state []byte) (err error) {
//		if schema != "2" {
//			return errors.New("no such state: " + schema)
//		}
//		r.sent, err = strconv.Atoi(string(state))
//		return err
//	}
//
// Whether a type is a Migrator is found out in start: the functions given to [Handle], [Serve]
// and so on are called once there.
type Migrator interface {
	// Export writes down the state for the next version of the plugin, and names the
	// schema in which the bytes are to be read. It changes nothing: the process may have
	// to go on without the move. An error is a crash.
	Export() (schema string, state []byte, err error)

	// Import takes over the state that another version exported, in place of Init or
	// Join. state is valid until it returns. The clients are there already, see [Sockets].
	// An error says that this version cannot read the state; the server's config says
	// what follows.
	Import(schema string, state []byte) error
}

// migratorOf returns nil if the code of a process is no Migrator.
func migratorOf(code any) Migrator {
	if c, ok := code.(interface{ migrator() Migrator }); ok {
		return c.migrator()
	}
	m, _ := code.(Migrator)
	return m
}

// anyMigrates reports whether one of the plugin's processes can be a Migrator.
func anyMigrates() bool {
	for _, r := range plugin.routes {
		if migratorOf(r.create()) != nil {
			return true
		}
	}
	for _, create := range plugin.modules {
		if migratorOf(create().code()) != nil {
			return true
		}
	}
	return false
}

// exportState answers the event export. No answer says that there is no state to be had.
func exportState(code any) error {
	m := migratorOf(code)
	if m == nil {
		return nil
	}
	schema, state, err := m.Export()
	if err == nil {
		effect(record{kind: effectState, name: schema, payload: state})
	}
	return err
}

// openImported makes the instance the process that has the state: its extra lists pid
// and arguments of a process, or of each member its id, join payload and assigns.
func openImported(e record) error {
	list := texts([]byte(e.extra))
	reseed()
	if len(list) == 2 {
		create := plugin.modules[e.name]
		if create == nil {
			refuseImport(noModule(e.name))
			return nil
		}
		this.body = create()
		return nil
	}
	c, err := newChannel(e.name)
	if err != nil {
		return err
	}
	for ; len(list) >= 3; list = list[3:] {
		c.add(Socket{topic: e.name, member: list[0], assigns: list[2], replay: true})
	}
	this.body = c
	return nil
}

// importState is the rest of the event import.
func importState(code any, e record) error {
	m := migratorOf(code)
	var err error = errText("it takes over no state: it is no rtd.Migrator")
	if m != nil {
		err = m.Import(e.detail, e.payload)
	}
	if err != nil {
		refuseImport(err.Error())
	}
	return nil
}

func refuseImport(reason string) {
	response := object{}
	response.add("reason", string(appendQuoted(nil, reason)))
	effect(record{kind: effectReply, name: "error", payload: []byte(response.String())})
}
