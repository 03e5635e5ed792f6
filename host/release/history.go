package release

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rtd/channels"
	"rtd/sandbox/abi"
)

// historyOf is a pattern of topics whose broadcasts are kept.
type historyOf struct {
	pattern string
	keep    channels.Keep
}

// Bounds on what a module may declare, which are those of config.toml.
const (
	maxHistoryMessages = 1_000_000
	minHistoryBytes    = 1024
	maxHistoryBytes    = 1 << 40
	minHistoryAge      = time.Second
	maxHistoryAge      = 87600 * time.Hour
)

// keepHistory notes patterns. Those that come first count.
func (r *Release) keepHistory(patterns []string, keep channels.Keep) {
	for _, pattern := range patterns {
		r.histories = append(r.histories, historyOf{pattern, keep})
	}
}

// declareHistory notes what a module declares. What it leaves out is as the settings have it.
func (r *Release) declareHistory(e *abi.Effect) error {
	var d struct {
		Messages, Bytes, Age int64
		Durable              bool
	}
	if e.Detail != "" {
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			return fmt.Errorf("history of %q: its specification is not the JSON that it should be: %w", e.Name, err)
		}
	}
	for _, n := range []struct {
		name             string
		value, low, high int64
	}{
		{"messages", d.Messages, 1, maxHistoryMessages},
		{"bytes", d.Bytes, minHistoryBytes, maxHistoryBytes},
		{"age in milliseconds", d.Age, minHistoryAge.Milliseconds(), maxHistoryAge.Milliseconds()},
	} {
		if n.value != 0 && (n.value < n.low || n.value > n.high) {
			return fmt.Errorf("history of %q: %s is %d; want %d to %d, or 0 for what config.toml says", e.Name, n.name, n.value, n.low, n.high)
		}
	}
	keep := r.Settings.Keep
	keep.Durable = d.Durable
	keep.Messages = cmp.Or(int(d.Messages), keep.Messages)
	keep.Bytes = cmp.Or(d.Bytes, keep.Bytes)
	keep.Age = cmp.Or(time.Duration(d.Age)*time.Millisecond, keep.Age)
	r.keepHistory([]string{e.Name}, keep)
	return nil
}

// history implements [channels.Version].History.
func (r *Release) history(topic string) (channels.Keep, bool) {
	for _, h := range r.histories {
		if matches([]string{h.pattern}, topic) {
			return h.keep, true
		}
	}
	return channels.Keep{}, false
}

// SameHistory says whether the same is kept as by an older release.
func (r *Release) SameHistory(old *Release) bool { return slices.Equal(r.histories, old.histories) }

// checkHistory returns an error if a pattern is that of no topic that it serves.
func (r *Release) checkHistory(plugin string) error {
	for _, h := range r.histories {
		serves := slices.ContainsFunc(r.Topics, func(served string) bool {
			_, both := meet(h.pattern, served)
			return both
		})
		if !serves {
			return fmt.Errorf("topics %q have history, and it serves none of them, but %q: change topics or history in [plugin.%s] of config.toml, or the declarations of the module",
				h.pattern, r.Topics, plugin)
		}
	}
	return nil
}
