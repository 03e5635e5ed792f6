package release

import (
	"fmt"
	"slices"

	"rtd/channels"
)

// historyOf is a pattern of topics whose broadcasts are kept.
type historyOf struct {
	pattern string
	keep    channels.Keep
}

// keepHistory notes patterns. Those that come first count.
func (r *Release) keepHistory(patterns []string, keep channels.Keep) {
	for _, pattern := range patterns {
		r.histories = append(r.histories, historyOf{pattern, keep})
	}
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
