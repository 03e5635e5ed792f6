package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rtd/host/names"
)

// maxTopic is the length in bytes of the longest topic pattern.
const maxTopic = 255

// processes begins a durable pattern for processes.
const processes = "process:"

// maxPath is the length in bytes of the longest path of a mount.
const maxPath = 255

// checks are the rules that a check tag names. The error names the fault and the expected
// value.
var checks = map[string]func(string) error{
	"filled": func(s string) error {
		if s == "" {
			return errors.New("is empty; expected a folder")
		}
		return nil
	},
	"listen": checkListen,
	"listen?": func(address string) error {
		if address == "" {
			return nil
		}
		return checkListen(address)
	},
	"topic": checkTopic,
	"durable": func(pattern string) error {
		if checkTopic(pattern) != nil || pattern == processes {
			return fmt.Errorf(`has %.80q; expected topics such as "doc:*" or "doc:1", or processes such as "process:counter" or "process:*", at most %d bytes`,
				pattern, maxTopic)
		}
		return nil
	},
	"origin": func(s string) error {
		if s == "*" {
			return nil
		}
		_, err := ParseOrigin(s)
		return err
	},
	"name":   names.Check,
	"plugin": checkPlugin,
	"plugin?": func(name string) error {
		if name == "" {
			return nil
		}
		return checkPlugin(name)
	},
	"service": func(name string) error {
		if rest, ok := strings.CutPrefix(name, "rtd/"); !ok || rest == "" {
			return fmt.Errorf(`has %.80q; expected the name of a service of the host such as "rtd/clock"`, name)
		}
		return nil
	},
	"nats?": func(list string) error {
		if list == "" {
			return nil
		}
		return checkNATS(list)
	},
	"prefix": func(prefix string) error {
		if !busPrefix.MatchString(prefix) {
			return fmt.Errorf(`is %.80q; expected 1 to 32 letters, digits, - and _ such as "rtd"`, prefix)
		}
		return nil
	},
	"node?": func(name string) error {
		if name == "" {
			return nil
		}
		return checkNode(name)
	},
	"seed": checkSeed,
	"seed?": func(address string) error {
		if address == "" {
			return nil
		}
		return checkSeed(address)
	},
	"sync":  checkSync,
	"path":  checkPath,
	"proxy": func(s string) error { _, err := ParseProxy(s); return err },
}

// busPrefix is what may begin names at a bus.
var busPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// maxNode is how many letters the name of a node or a cluster may have.
const maxNode = 64

var (
	nodeName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	notInNode = regexp.MustCompile(`[^A-Za-z0-9_-]`)
)

func checkNode(name string) error {
	if !nodeName.MatchString(name) {
		return fmt.Errorf(`is %.80q; expected 1 to %d letters, digits, - and _ such as "node-1"`, name, maxNode)
	}
	return nil
}

func checkSeed(address string) error {
	if host, port, err := net.SplitHostPort(address); err == nil && host != "" && port != "0" && validPort(port) {
		return nil
	}
	return fmt.Errorf(`has %.80q; expected host:port of a node such as "10.0.0.1:4400"`, address)
}

// checkNATS checks a list of addresses. Errors do not show one that may have a password.
func checkNATS(list string) error {
	for entry := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(entry))
		switch {
		case err == nil && u.User != nil:
			return errors.New(`has a user; expected that in credentials, such as "env:NATS_CREDENTIALS"`)
		case err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Port() != "" && !validPort(u.Port()):
			return errors.New(`is no list of servers; expected one such as "nats://127.0.0.1:4222" or "tls://a.example.com,tls://b.example.com"`)
		}
	}
	return nil
}

// The bounds of a bus's sync.
const (
	shortestSync = 10 * time.Millisecond
	longestSync  = time.Hour
)

func checkSync(text string) error {
	if text == SyncAlways {
		return nil
	}
	if every, err := time.ParseDuration(text); err != nil || every < shortestSync || every > longestSync {
		return fmt.Errorf(`is %.80q; expected "always", or how often, from "10ms" to "1h", such as "1s"`, text)
	}
	return nil
}

func checkPlugin(name string) error {
	if name == "" || strings.ContainsAny(name, "/\\ ") {
		return fmt.Errorf(`has %.80q; expected the name of a plugin such as "accounts"`, name)
	}
	return nil
}

// socketPath is one or more parts, each plain text, or a colon and a name. A single slash is none.
var socketPath = regexp.MustCompile(`^(/|(/([A-Za-z0-9._~-]+|:[A-Za-z_][A-Za-z0-9_]*))+)$`)

func checkPath(path string) error {
	if len(path) > maxPath || !socketPath.MatchString(path) || strings.Contains(path+"/", "/:vsn/") {
		return fmt.Errorf(`is %.80q; expected a path such as "/socket" or "/tenant/:id/socket", at most %d bytes`, path, maxPath)
	}
	return nil
}

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil && validPort(port) {
		return nil
	}
	return fmt.Errorf(`is %q; expected host:port such as "127.0.0.1:4000" or ":4000"`, address)
}

func checkTopic(pattern string) error {
	prefix := strings.TrimSuffix(pattern, "*")
	if pattern == "" || len(pattern) > maxTopic || strings.Contains(prefix, "*") {
		return fmt.Errorf(`has %.80q; expected a topic such as "room:lobby" or its beginning and a "*" such as "room:*", at most %d bytes`,
			pattern, maxTopic)
	}
	return nil
}

// Origin is an entry of [Server].Origins in parts. An empty part matches anything.
type Origin struct {
	// Whole, if set, is an origin without a host, as it is. Browsers send "null" for
	// pages that they do not trust, such as files and sandboxed frames; the web views of
	// some apps send "file://".
	Whole  string
	Scheme string // lower case, such as https
	Host   string // lower case, without brackets; "*.example.com" also matches example.com
	Port   string
}

// schemeAlone is an origin without a host.
var schemeAlone = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://$`)

// ParseOrigin takes "https://example.com", "//*.example.com" or "example.com:8443" apart, and "null" and "file://" as they
// are. It refuses "*", and a host with letters that are not ASCII: browsers send another form of it.
func ParseOrigin(entry string) (Origin, error) {
	web := slices.Contains([]string{"http://", "https://", "ws://", "wss://"}, strings.ToLower(entry)) // whose host was forgotten
	if entry == "null" || schemeAlone.MatchString(entry) && !web {
		return Origin{Whole: strings.ToLower(entry)}, nil
	}
	if ascii := asciiHost(entry); ascii != entry {
		return Origin{}, fmt.Errorf(`has %.80q; expected the host as browsers send it: %.300q`, entry, ascii)
	}
	bad := fmt.Errorf(`has %.80q; expected an origin such as "https://example.com", "//*.example.com" or "example.com:8443", `+
		`"null", "file://", or the only entry "*"`, entry)
	scheme, rest, found := strings.Cut(entry, "//")
	if !found {
		scheme, rest = "", entry
	} else if scheme != "" && !strings.HasSuffix(scheme, ":") {
		return Origin{}, bad
	}
	// With a scheme of our own, net/url judges host and port alone.
	u, err := url.Parse("x://" + rest)
	if err != nil || u.Host != rest || u.Hostname() == "" {
		return Origin{}, bad
	}
	o := Origin{
		Scheme: strings.ToLower(strings.TrimSuffix(scheme, ":")),
		Host:   strings.ToLower(u.Hostname()),
		Port:   u.Port(),
	}
	badPort := o.Port != "" && !validPort(o.Port) || strings.HasSuffix(rest, ":")
	bareIPv6 := strings.Contains(o.Host, ":") && !strings.HasPrefix(rest, "[")
	if badPort || bareIPv6 || strings.ContainsAny(o.Scheme, ":*") || strings.Contains(strings.TrimPrefix(o.Host, "*."), "*") {
		return Origin{}, bad
	}
	return o, nil
}

// ParseProxy reads an entry of [Server].TrustedProxies: a CIDR, or an IP, which is a network of one.
func ParseProxy(entry string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(entry); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf(`has %.80q; expected an IP such as "10.0.0.1" or a CIDR such as "10.0.0.0/8"`, entry)
	}
	return prefix.Masked(), nil
}

func validPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

// bounds reads a range tag. Tags are ours: a bad one is a bug, which the tests of the defaults find.
func bounds[N any](tags reflect.StructTag, parse func(string) (N, error)) (lowest, highest N) {
	from, to, _ := strings.Cut(tags.Get("range"), "..")
	lowest, err := parse(from)
	if err != nil {
		panic(err)
	}
	if highest, err = parse(to); err != nil {
		panic(err)
	}
	return lowest, highest
}

func keyOf(field reflect.StructField) string { return field.Tag.Get("toml") }

// describe names the type of a value of a file in plain words.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		return fmt.Sprintf("%.80q", v)
	case bool, int64, float64:
		return fmt.Sprint(v)
	case time.Time:
		return "a date or time"
	case []any:
		return "a list"
	default:
		return "a table"
	}
}

// suggest names the key that was probably meant: a key of the same table with a similar
// spelling, or a key of the same name in another table.
func suggest(path []string, key string, fields []reflect.StructField) string {
	best, fewest := "", min(len(key)/3, 3)+1
	for _, field := range fields {
		if edits := distance(key, keyOf(field)); edits < fewest {
			best, fewest = keyOf(field), edits
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %s?", best)
	}
	for _, table := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		name, of := "["+keyOf(table)+"]", table.Type
		if of.Kind() == reflect.Map {
			name, of = "["+keyOf(table)+".NAME]", of.Elem()
		}
		for _, field := range reflect.VisibleFields(of) {
			if keyOf(field) == key {
				return fmt.Sprintf("; did you mean %s in %s?", key, name)
			}
		}
	}
	known := make([]string, len(fields))
	for i, field := range fields {
		known[i] = keyOf(field)
	}
	return "; expected one of " + strings.Join(known, ", ")
}

// distance is how many letters must be changed, added or dropped to turn a into b.
func distance(a, b string) int {
	const long = 64 // no key of ours is nearly as long, and the work is the product of the lengths
	if len(a) > long {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
