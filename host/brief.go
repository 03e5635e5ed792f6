package host

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode/utf8"
)

// brief is a handler for logs that strangers have a say in: it cuts what clients and guests
// name, and any other text beyond measure.
type brief struct{ slog.Handler }

const (
	// maxNamed is how many bytes are kept of what clients and guests choose, see named. It is
	// enough to recognize it, and as much as a topic of the config may have, nearly.
	maxNamed = 200
	// maxLogged is how many are kept of any other text. Messages of a compiler are long.
	maxLogged = 8 << 10
)

// named are the attributes that clients and guests choose.
var named = []string{"topic", "event", "process", "name", "id", "reason", "origin"}

// Handle implements [slog.Handler].
func (h brief) Handle(ctx context.Context, r slog.Record) error {
	long := len(r.Message) > maxLogged
	r.Attrs(func(a slog.Attr) bool {
		_, cut := shorten(a)
		long = long || cut
		return !long
	})
	if !long {
		return h.Handler.Handle(ctx, r)
	}
	short := slog.NewRecord(r.Time, r.Level, cutText(r.Message, maxLogged), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		a, _ = shorten(a)
		short.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, short)
}

// WithAttrs implements [slog.Handler].
func (h brief) WithAttrs(attrs []slog.Attr) slog.Handler {
	attrs = slices.Clone(attrs)
	for i, a := range attrs {
		attrs[i], _ = shorten(a)
	}
	return brief{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h brief) WithGroup(name string) slog.Handler { return brief{h.Handler.WithGroup(name)} }

// shorten cuts an attribute, and reports whether that was needed.
func shorten(a slog.Attr) (slog.Attr, bool) {
	most := maxLogged
	if slices.Contains(named, a.Key) {
		most = maxNamed
	}
	value := a.Value.Resolve()
	text := ""
	switch value.Kind() {
	case slog.KindString:
		text = value.String()
	case slog.KindGroup:
		cut := false
		group := slices.Clone(value.Group())
		for i, inner := range group {
			var one bool
			group[i], one = shorten(inner)
			cut = cut || one
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(group...)}, cut
	case slog.KindAny:
		switch v := value.Any().(type) {
		case error:
			text = v.Error()
		case fmt.Stringer:
			text = v.String()
		case []string:
			text = strings.Join(v, " ")
		}
	}
	if len(text) <= most {
		return a, false
	}
	return slog.String(a.Key, cutText(text, most)), true
}

// cutText returns the beginning of a text that is too long, with a mark that says so.
func cutText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:end], len(text))
}
