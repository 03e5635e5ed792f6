package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"rtd/host/names"
)

// maxDepth bounds the nesting of a plugin's free table.
const maxDepth = 64

// Parse reads data as a configuration file called file (used in messages only). Missing
// keys have their defaults. The error joins a [Problem] for each fault, ordered by line;
// a file that is not TOML has one.
func Parse(file string, data []byte) (*Config, error) {
	p, err := newParser(file, data)
	if err != nil {
		return nil, err
	}
	c := Default()
	p.table(nil, p.tree(), reflect.ValueOf(c).Elem())
	p.together(c)
	if len(p.problems) > 0 {
		return nil, join(p.problems)
	}
	return c, nil
}

// parser walks through the decoded file and the structs at the same time. The toml
// package could fill the structs itself, but it stops at the first problem and knows no
// ranges.
type parser struct {
	file     string
	data     []byte
	lines    int
	meta     toml.MetaData
	root     map[string]toml.Primitive
	problems []*Problem
}

// newParser decodes a file, which fails if it is no TOML.
func newParser(file string, data []byte) (*parser, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // a byte order mark
	p := &parser{file: file, data: data, lines: bytes.Count(data, []byte("\n")) + 1}
	if len(data) > MaxFileSize {
		p.problem(nil, "the file is too large; expected at most %d bytes", MaxFileSize)
		return nil, join(p.problems)
	}
	meta, err := toml.Decode(string(data), &p.root)
	if err != nil {
		line, what := 1, err.Error()
		if syntax, ok := errors.AsType[toml.ParseError](err); ok {
			line, what = syntax.Position.Line, strings.TrimSuffix(syntax.Message, ".")
		}
		return nil, &Problem{File: file, Line: p.clamp(line), What: what + "; expected a TOML file"}
	}
	p.meta = meta
	return p, nil
}

// tree is the file's top table.
func (p *parser) tree() map[string]any {
	tree := map[string]any{}
	for key, value := range p.root {
		tree[key] = p.decode(value)
	}
	return tree
}

// table fills the struct into from the values of the table at path.
func (p *parser) table(path toml.Key, values map[string]any, into reflect.Value) {
	fields := reflect.VisibleFields(into.Type())
	for _, key := range slices.Sorted(maps.Keys(values)) {
		at := append(slices.Clip(path), key)
		i := slices.IndexFunc(fields, func(f reflect.StructField) bool { return keyOf(f) == key })
		if i < 0 {
			p.problem(at, "unknown key%s", suggest(path, key, fields))
			continue
		}
		p.value(at, values[key], into.Field(i), fields[i].Tag)
	}
}

// value sets into, a field with the given tags, to the value at path.
func (p *parser) value(path toml.Key, value any, into reflect.Value, tags reflect.StructTag) {
	wrong := func(expected string) { p.problem(path, "is %s; expected %s", describe(value), expected) }
	switch target := into.Addr().Interface().(type) {
	case *string:
		text, ok := value.(string)
		if !ok {
			wrong("a string")
			return
		}
		*target = text
		p.text(path, text, tags)
	case *[]string:
		list, ok := value.([]any)
		if !ok {
			wrong(`a list of strings such as ["a", "b"]`)
			return
		}
		*target = make([]string, len(list))
		for i, entry := range list {
			text, ok := entry.(string)
			if !ok {
				p.problem(path, "entry %d is %s; expected a string", i+1, describe(entry))
				continue
			}
			(*target)[i] = text
			p.text(path, text, tags)
		}
	case *bool:
		b, ok := value.(bool)
		if !ok {
			wrong("true or false")
			return
		}
		*target = b
	case *int, *int64:
		n, ok := value.(int64)
		lowest, highest := bounds(tags, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
		if !ok || n < lowest || n > highest {
			wrong(fmt.Sprintf("a whole number from %d to %d", lowest, highest))
			return
		}
		into.SetInt(n)
	case *float64:
		n, ok := value.(float64)
		if whole, is := value.(int64); is {
			n, ok = float64(whole), true
		}
		lowest, highest := bounds(tags, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
		if !ok || !(n >= lowest && n <= highest) {
			wrong(fmt.Sprintf("a number from %v to %v", lowest, highest))
			return
		}
		*target = n
	case *time.Duration:
		text, ok := value.(string)
		if !ok {
			wrong(`a string such as "5s"`)
			return
		}
		d, err := time.ParseDuration(text)
		lowest, highest := bounds(tags, time.ParseDuration)
		if err != nil || d < lowest || d > highest {
			from, to, _ := strings.Cut(tags.Get("range"), "..")
			wrong(fmt.Sprintf(`a string such as "5s", from %q to %q`, from, to))
			return
		}
		*target = d
	case *map[string]Plugin:
		tables, ok := value.(map[string]any)
		if !ok {
			wrong("tables named like the plugins, such as [plugin.chat]")
			return
		}
		for name, table := range tables {
			(*target)[name] = p.plugin(append(slices.Clip(path), name), name, table)
		}
	case *map[string]Socket:
		tables, ok := value.(map[string]any)
		if !ok {
			wrong("tables with a name, such as [socket.admin]")
			return
		}
		if len(tables) > 0 {
			*target = map[string]Socket{} // in place of the default one
		}
		for name, table := range tables {
			(*target)[name] = p.socket(append(slices.Clip(path), name), name, table)
		}
	case *map[string]any:
		table, ok := value.(map[string]any)
		if !ok {
			wrong("a table")
			return
		}
		if free, ok := p.free(path, table, 0).(map[string]any); ok {
			*target = free
		}
	default: // a struct
		table, ok := value.(map[string]any)
		if !ok {
			wrong("a table such as [" + path.String() + "]")
			return
		}
		p.table(path, table, into)
	}
}

func (p *parser) plugin(path toml.Key, name string, value any) Plugin {
	plugin := defaultPlugin()
	if err := names.Check(name); err != nil {
		p.problem(path, "the plugin's name %v, as in the name of its file", err)
	}
	p.value(path, value, reflect.ValueOf(&plugin).Elem(), "")
	return plugin
}

func (p *parser) socket(path toml.Key, name string, value any) Socket {
	socket := defaultSocket(name)
	if err := names.Check(name); err != nil {
		p.problem(path, "the socket's name %v", err)
	}
	p.value(path, value, reflect.ValueOf(&socket).Elem(), "")
	return socket
}

// text checks a string, or each string of a list, by its tags.
func (p *parser) text(path toml.Key, text string, tags reflect.StructTag) {
	if words := tags.Get("oneof"); words != "" && !slices.Contains(strings.Fields(words), text) {
		p.problem(path, "is %q; expected one of %s", text, strings.Join(strings.Fields(words), ", "))
	}
	if name := tags.Get("check"); name != "" {
		if err := checks[name](text); err != nil {
			p.problem(path, "%v", err)
		}
	}
}

// together checks the rules that concern more than one value.
func (p *parser) together(c *Config) {
	if c.Server.TLSCert != "" && c.Server.TLSKey == "" {
		p.problem(toml.Key{"server", "tls_cert"}, "is set without tls_key; expected both or neither")
	}
	if c.Server.TLSKey != "" && c.Server.TLSCert == "" {
		p.problem(toml.Key{"server", "tls_key"}, "is set without tls_cert; expected both or neither")
	}
	if c.Admin.Listen != "" && len(c.Admin.Keys) == 0 {
		p.problem(toml.Key{"admin", "listen"}, "is set without keys; expected at least one, since anybody can connect there")
	}
	p.bus(&c.Bus)
	p.cluster(&c.Cluster, &c.Bus)
	p.origins(toml.Key{"server", "origins"}, c.Server.Origins)
	names := slices.Sorted(maps.Keys(c.Sockets))
	paths := map[string]string{} // whose is a path
	for _, name := range names {
		p.origins(toml.Key{"socket", name, "origins"}, c.Sockets[name].Origins)
		path := anyParam.ReplaceAllString(c.Sockets[name].Path, ":")
		if other, taken := paths[path]; taken {
			p.problem(toml.Key{"socket", name, "path"}, "matches the same as the path of [socket.%s]; expected another one", other)
		}
		paths[path] = name
	}
}

func (p *parser) bus(b *Bus) {
	if b.TLSCert != "" && b.TLSKey == "" {
		p.problem(toml.Key{"bus", "tls_cert"}, "is set without tls_key; expected both or neither")
	}
	if b.TLSKey != "" && b.TLSCert == "" {
		p.problem(toml.Key{"bus", "tls_key"}, "is set without tls_cert; expected both or neither")
	}
	if b.URL != "" {
		return
	}
	for key, value := range map[string]string{"credentials": b.Credentials, "tls_ca": b.TLSCA, "tls_cert": b.TLSCert} {
		if value != "" {
			p.problem(toml.Key{"bus", key}, "is set without url; expected the url of the server that it is for")
		}
	}
}

func (p *parser) cluster(c *Cluster, b *Bus) {
	files := 0
	for _, file := range []string{c.TLSCA, c.TLSCert, c.TLSKey} {
		if file != "" {
			files++
		}
	}
	switch host, _, _ := net.SplitHostPort(c.Listen); {
	case files != 0 && files != 3:
		p.problem(toml.Key{"cluster"}, "has some of tls_ca, tls_cert and tls_key; expected all three or none")
	case files != 0 && c.Secret != "":
		p.problem(toml.Key{"cluster", "secret"}, "is set besides tls_ca; expected one of both")
	case c.Name != "" && b.URL == "" && files == 0 && c.Secret == "" && !ofThisMachine(host):
		p.problem(toml.Key{"cluster"}, `has no secret, and others can reach listen; expected one such as "env:RTD_CLUSTER_SECRET", the same at all nodes, `+
			`made with "openssl rand -base64 32", or tls_ca, tls_cert and tls_key`)
	}
}

// ofThisMachine reports whether nobody else can reach a host.
func ofThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// anyParam finds the parts in which two paths may differ and still match the same URLs.
var anyParam = regexp.MustCompile(`:[^/]+`)

func (p *parser) origins(path toml.Key, list []string) {
	if slices.Contains(list, "*") && len(list) > 1 {
		p.problem(path, `has "*" beside other entries; expected "*" alone, which is any origin`)
	}
}

// free copies a value of a free table into values that JSON has.
func (p *parser) free(path toml.Key, value any, depth int) any {
	if depth > maxDepth {
		p.problem(path, "is nested too deeply; expected at most %d levels", maxDepth)
		return nil
	}
	switch v := value.(type) {
	case map[string]any:
		table := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			table[key] = p.free(append(slices.Clip(path), key), v[key], depth+1)
		}
		return table
	case []map[string]any: // [[plugin.chat.config.x]]
		list := make([]any, len(v))
		for i, entry := range v {
			list[i] = p.free(path, entry, depth+1)
		}
		return list
	case []any:
		list := make([]any, len(v))
		for i, entry := range v {
			list[i] = p.free(path, entry, depth+1)
		}
		return list
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			p.problem(path, "is %v; expected a number that JSON has", v)
		}
		return v
	case time.Time:
		return dateText(v)
	default: // string, bool, int64
		return v
	}
}

// dateText writes a date as the file did; the toml package tells the four kinds apart by the zone's name.
func dateText(t time.Time) string {
	switch t.Location().String() {
	case "date-local":
		return t.Format("2006-01-02")
	case "time-local":
		return t.Format("15:04:05.999999999")
	case "datetime-local":
		return t.Format("2006-01-02T15:04:05.999999999")
	default:
		return t.Format(time.RFC3339Nano)
	}
}

// problem notes a fault of the value at path; nil is the file as a whole.
func (p *parser) problem(path toml.Key, format string, args ...any) {
	if len(p.problems) > maxProblems {
		return // enough to know that there are more; finding a line is not free
	}
	p.problems = append(p.problems, &Problem{
		File: p.file, Line: p.line(path), Key: path.String(), What: fmt.Sprintf(format, args...),
	})
}

// line returns the line of the key at path, found by the toml package's own records. A key within a list of
// tables has the line of that list: only a free table can have those.
func (p *parser) line(path toml.Key) int {
	for n := len(path); n > 0; n-- {
		if line := p.position(path[:n]); line > 0 {
			return p.clamp(line)
		}
		// A table that no header names, such as server in "server.grace = 1", begins with its first key.
		for _, key := range p.meta.Keys() {
			if len(key) > n && slices.Equal(key[:n], path[:n]) {
				if line := p.position(key); line > 0 {
					return p.clamp(line)
				}
			}
		}
	}
	return 1
}

// position asks the toml package for the line of a key; 0 means that it has none. It tells positions only in
// errors of values that decode themselves, so make it decode one that fails.
func (p *parser) position(path toml.Key) int {
	tables := p.root
	for i, key := range path {
		value, ok := tables[key]
		if !ok {
			return 0
		}
		if i == len(path)-1 {
			located, _ := errors.AsType[toml.ParseError](p.meta.PrimitiveDecode(value, &refuser{}))
			if located.Position.Line == 0 {
				return 0
			}
			// Position.Line is where a multi-line string ends, Position.Start where it begins.
			return 1 + bytes.Count(p.data[:min(located.Position.Start, len(p.data))], []byte("\n"))
		}
		tables = nil
		if p.meta.PrimitiveDecode(value, &tables) != nil {
			return 0
		}
	}
	return 0
}

type refuser struct{}

func (*refuser) UnmarshalTOML(any) error { return errors.New("refused") }

func (p *parser) clamp(line int) int { return min(max(line, 1), p.lines) }

func (p *parser) decode(value toml.Primitive) any {
	var v any
	// Anything fits into an any.
	_ = p.meta.PrimitiveDecode(value, &v)
	return v
}
