package host_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtd/host/admin"
	"rtd/host/hosttest"
)

// adminOf connects to a server as rtd's commands do.
func adminOf(t *testing.T, s *server) *admin.Client {
	t.Helper()
	c, err := admin.Connect(admin.Target{Paths: admin.SocketPaths(admin.Auto, s.Dir)})
	must(t, err)
	return c
}

// The bus begins with the first who needs it, and ends with the server. Without any there is none of it.
func TestBusBeginsIfNeeded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "plugins"), 0o755))
	s := start(t, hosttest.Setup{Dir: dir})
	if b, err := adminOf(t, s).Bus(t.Context()); err != nil || b.State != admin.BusOff {
		t.Errorf("%+v: %v", b, err)
	}
	if _, text := s.Get(t, "/metrics"); strings.Contains(text, "rtd_bus_") {
		t.Error("there are metrics of a bus that has not begun")
	}
	folder := filepath.Join(s.Dir, ".rtd", "bus")
	if _, err := os.Stat(folder); err == nil {
		t.Errorf("there is %s", folder)
	}

	b, err := s.NeedBus("tests")
	must(t, err)
	must(t, b.Up(t.Context()))
	again, err := s.NeedBus("others")
	must(t, err)
	if again != b {
		t.Error("there are two")
	}
	l, err := b.Log(t.Context(), "log")
	must(t, err)
	_, err = l.Append(t.Context(), 0, []byte("one"))
	must(t, err)
	a, err := adminOf(t, s).Bus(t.Context())
	must(t, err)
	if a.State != admin.BusWorks || strings.Join(a.By, " ") != "others tests" || !a.Embedded || a.Where != folder || a.Writes["append"]["ok"] != 1 || a.Limit != 10<<30 {
		t.Errorf("%+v", a)
	}
	if n := s.Metric(t, "rtd_bus_up"); n != 1 {
		t.Errorf("rtd_bus_up is %v", n)
	}
	if n := s.Metric(t, "rtd_bus_writes_total", `kind="append"`, `result="ok"`); n != 1 {
		t.Errorf("rtd_bus_writes_total is %v", n)
	}
	if status, _ := s.Get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	s.Stop(t)
	_, err = l.Append(t.Context(), 1, nil)
	if err == nil {
		t.Error("the bus goes on after its server")
	}
	if _, err = s.NeedBus("late"); err == nil {
		t.Error("the bus begins after its server")
	}

	s = start(t, hosttest.Setup{Dir: dir})
	b, err = s.NeedBus("tests")
	must(t, err)
	must(t, b.Up(t.Context()))
	l, err = b.Log(t.Context(), "log")
	must(t, err)
	if r, err := l.Get(t.Context(), 1); err != nil || string(r.Data) != "one" {
		t.Errorf("%q: %v", r.Data, err)
	}
}

// While the bus does not work, the server is not ready, and all that does not need it goes on.
func TestBusThatDoesNotWork(t *testing.T) {
	t.Parallel()
	place := filepath.Join(t.TempDir(), "bus")
	must(t, os.WriteFile(place, nil, 0o600))
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[bus]\ndir = '" + place + "'"})
	if status, _ := s.Get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("status %d, though nobody needs the bus", status)
	}
	b, err := s.NeedBus("tests")
	must(t, err)
	s.Log.Wait(t, "bus does not work; it is tried again")
	if status, text := s.Get(t, "/readyz"); status != http.StatusServiceUnavailable || text != "not ready\nthe bus does not work\n" {
		t.Errorf("status %d %q", status, text)
	}
	a, err := adminOf(t, s).Bus(t.Context())
	must(t, err)
	if a.State != admin.BusDown || !strings.Contains(a.Cause, "make folder") || s.Metric(t, "rtd_bus_up") != 0 {
		t.Errorf("%+v", a)
	}
	s.Connect(t).MustJoin(t, "echo:a", "{}")
	must(t, os.Remove(place))
	must(t, b.Up(t.Context()))
	if status, _ := s.Get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

// A config that cannot be meant is an error of who needs the bus.
func TestBusCredentials(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Config: "[bus]\nurl = 'nats://127.0.0.1:1'\ncredentials = 'env:RTD_TEST_NOT_SET'"})
	if _, err := s.NeedBus("tests"); err == nil || !strings.Contains(err.Error(), "RTD_TEST_NOT_SET") {
		t.Errorf("the error is %v", err)
	}
	if b, err := adminOf(t, s).Bus(t.Context()); err != nil || b.State != admin.BusOff {
		t.Errorf("%+v: %v", b, err)
	}
}
