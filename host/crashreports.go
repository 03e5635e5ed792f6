package host

import (
	"log/slog"

	"rtd/host/app"
	"rtd/host/config"
	"rtd/host/crashes"
	"rtd/sandbox"
)

// crashReports writes reports of crashes, if there is a place for them.
type crashReports struct {
	collector *crashes.Collector // nil: no place
}

// openCrashReports begins to collect, until close.
func openCrashReports(c *config.Config, log *slog.Logger) crashReports {
	dir := crashes.Dir(c.Crashes.Dir, c.Plugins.Dir)
	if dir == "" {
		return crashReports{}
	}
	return crashReports{crashes.Open(crashes.Options{
		Dir: dir, Max: c.Crashes.MaxReports, MaxBytes: c.Crashes.MaxBytes, Rate: c.Crashes.MaxRate, Withhold: !c.Crashes.Payloads, Log: log,
	})}
}

// examine returns the function that says which traps the sandbox is to examine for a report; nil without reports.
func (r crashReports) examine() func(*sandbox.Trap) bool {
	if r.collector == nil {
		return nil
	}
	return r.collector.Wants
}

// add takes a crash of a plugin.
func (r crashReports) add(c app.Crash) {
	if r.collector == nil {
		return
	}
	r.collector.Add(crashes.Crash{
		Plugin: c.Plugin, Version: c.Version, Topic: c.Topic, Event: c.Event, Process: c.Process,
		Reason: c.Reason, Then: c.Decision.String(), Restarts: c.Restarts,
	})
}

// close writes what is left to write.
func (r crashReports) close() {
	if r.collector != nil {
		r.collector.Close()
	}
}
