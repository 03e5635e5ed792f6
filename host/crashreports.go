package host

import (
	"rtd/host/crashes"
	"rtd/host/plugin"
	"rtd/sandbox"
)

// openCrashReports begins to collect crash reports, unless there are to be none.
func (s *Server) openCrashReports() (err error) {
	c := &s.config.Crashes
	dir := crashes.Dir(c.Dir, s.config.Plugins.Dir)
	if dir == "" {
		return nil
	}
	s.crashes, err = crashes.Open(crashes.Options{
		Dir: dir, Max: c.MaxReports, MaxBytes: c.MaxBytes, Rate: c.MaxRate, Withhold: !c.Payloads, Log: s.log,
	})
	return err
}

// examine is what the sandbox asks about traps; nil if there are no reports.
func (s *Server) examine() func(*sandbox.Trap) bool {
	if s.crashes == nil {
		return nil
	}
	return s.crashes.Wants
}

// reportCrashes hands crashes of plugins on.
func (s *Server) reportCrashes() {
	if s.crashes == nil {
		return
	}
	s.plugins.OnCrash(func(c plugin.Crash) {
		s.crashes.Add(crashes.Crash{
			Plugin: c.Plugin, Version: c.Version, Topic: c.Topic, Event: c.Event, Process: c.Process,
			Reason: c.Reason, Then: c.Decision.String(), Restarts: c.Restarts,
		})
	})
}

// closeCrashReports writes what is left to write.
func (s *Server) closeCrashReports() {
	if s.crashes != nil {
		s.crashes.Close()
	}
}
