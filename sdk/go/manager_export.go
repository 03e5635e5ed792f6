package rtd

import (
	"slices"
	"strconv"
)

const managerSchema = "rtd.EventManager 1"

// Export writes down the handlers, and who waits for them: a list of fields each. The
// handlers themselves are processes that move on their own.
func (m *manager) Export() (schema string, state []byte, err error) {
	var handlers, waits []byte
	for _, h := range m.handlers {
		for _, field := range []string{h.ID, h.Module, string(h.Args), strconv.FormatBool(h.Restart), string(h.pid), strconv.FormatBool(h.added)} {
			handlers = appendField(handlers, field)
		}
	}
	refs := map[*wait][]byte{}
	for ref, w := range m.waits {
		refs[w] = appendField(refs[w], ref)
	}
	for w, refs := range refs {
		of := ""
		if w.of != nil {
			of = w.of.ID
		}
		for _, field := range []string{w.from.token, w.verb, of, string(refs)} {
			waits = appendField(waits, field)
		}
	}
	return managerSchema, appendField(appendField(nil, handlers), waits), nil
}

// Import goes on with the same handlers, whichever the new version declares.
func (m *manager) Import(schema string, state []byte) error {
	handlers, rest, ok := cutField(state)
	waits, _, ok2 := cutField(rest)
	if !ok || !ok2 || schema != managerSchema {
		return errText("the event manager is of another version of the SDK: " + schema)
	}
	for h := range slices.Chunk(texts(handlers), 6) {
		if len(h) == 6 {
			spec := HandlerSpec{ID: h[0], Module: h[1], Args: []byte(h[2]), Restart: h[3] == "true"}
			m.handlers = append(m.handlers, &managed{HandlerSpec: spec, pid: PID(h[4]), added: h[5] == "true"})
		}
	}
	m.waits = map[Ref]*wait{}
	for w := range slices.Chunk(texts(waits), 4) {
		if len(w) < 4 {
			break
		}
		waiting := &wait{from: From{w[0]}, verb: w[1], of: m.find(w[2])}
		for ref := range fields([]byte(w[3])) {
			m.waits[Ref(ref)] = waiting
			waiting.left++
		}
	}
	return nil
}

// texts is a list of fields.
func texts(list []byte) (all []string) {
	for field := range fields(list) {
		all = append(all, string(field))
	}
	return all
}
