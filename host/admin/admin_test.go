package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/admin"
)

const key = "a key of many bytes"

// plant is a Backend that has one plugin, chat, and notes what it is asked.
type plant struct {
	mu      sync.Mutex
	asked   []string
	slowly  chan struct{} // a deploy waits for this, if there is one
	started chan struct{}
}

func (p *plant) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, fmt.Sprintf(format, args...))
}

func (p *plant) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1]
}

func (p *plant) Plugins() []admin.Plugin {
	return []admin.Plugin{{Name: "chat", State: "running", Topics: []string{"room:*"}, Crashes: 3}}
}

func (p *plant) Versions(plugin string) ([]admin.Version, error) {
	if plugin != "chat" {
		return nil, fmt.Errorf("%w: %s", admin.ErrNoPlugin, plugin)
	}
	return []admin.Version{{Version: "abc"}}, nil
}

func (p *plant) Processes(_ context.Context, plugin string) ([]admin.Process, error) {
	p.note("processes %q", plugin)
	return []admin.Process{{PID: "#1", Kind: "plugin", Name: "chat", Children: []admin.Process{{PID: "#2", Memory: 7}}}}, nil
}

func (p *plant) Deploy(_ context.Context, plugin string, wasm []byte, by string) (admin.Deployment, error) {
	p.note("deploy %s: %d bytes by %s", plugin, len(wasm), by)
	if p.slowly != nil {
		p.started <- struct{}{}
		<-p.slowly
	}
	switch string(wasm) {
	case "bad":
		return admin.Deployment{}, errors.New("it is not a WebAssembly module")
	case "old":
		return deployment("v1"), admin.ErrUnchanged
	case "undecided":
		d := deployment("v2")
		d.Decided = func(ctx context.Context) (admin.Verdict, error) { <-ctx.Done(); return admin.Verdict{}, ctx.Err() }
		return d, nil
	}
	return deployment("v2"), nil
}

func (p *plant) Rollback(_ context.Context, plugin, to, by string) (admin.Deployment, error) {
	p.note("rollback %s to %q by %s", plugin, to, by)
	return deployment("v1"), nil
}

func (p *plant) DryRun(_ context.Context, plugin string, wasm []byte) (admin.Deployment, error) {
	p.note("try %s: %d bytes", plugin, len(wasm))
	if string(wasm) == "bad" {
		return admin.Deployment{}, errors.New("it is not a WebAssembly module")
	}
	d := deployment("v2")
	d.Moves = &admin.Moves{WithState: 3, Anew: 1, Lost: 1, Losses: []admin.Loss{{Process: "room:1", Cause: "import: no"}}}
	return d, nil
}

func deployment(version string) admin.Deployment {
	return admin.Deployment{
		Deployed: admin.Deployed{Version: version},
		Decided: func(context.Context) (admin.Verdict, error) {
			return admin.Verdict{State: admin.Withdrawn, Cause: "crashes", Now: "v0"}, nil
		},
	}
}

func (p *plant) Bus() admin.Bus { return admin.Bus{State: admin.BusOff, By: []string{}} }

func (p *plant) Ready() bool { return true }

func (p *plant) States(_ context.Context, q admin.StateQuery) ([]admin.State, error) {
	p.note("states %+v", q)
	return []admin.State{{Actor: "chat/topic:doc:1", Revision: 7}}, nil
}

func (p *plant) State(_ context.Context, actor string) (admin.WholeState, error) {
	if actor != "chat/topic:doc:1" {
		return admin.WholeState{}, errors.New("no such actor")
	}
	return admin.WholeState{State: admin.State{Actor: actor, Revision: 7}, Guest: []byte{1, 2}, Held: []byte{3}}, nil
}

func (p *plant) ImportState(_ context.Context, actor string, s admin.WholeState, by string) error {
	p.note("import %s: %v %v by %s", actor, s.Guest, s.Held, by)
	return nil
}

func (p *plant) Backup(_ context.Context, w io.Writer) error {
	p.note("backup")
	_, err := io.WriteString(w, "all of it")
	return err
}

func (p *plant) Asides() ([]admin.Aside, error) {
	return []admin.Aside{{ID: "7-1-0", Actor: "chat/topic:doc:1", What: "timer", Payload: []byte("ring")}}, nil
}

func (p *plant) RetryAside(_ context.Context, id, by string) (admin.Aside, error) {
	p.note("retry %s by %s", id, by)
	return admin.Aside{}, errors.New("it has crashed again")
}

func (p *plant) DropAside(_ context.Context, id, by string) (admin.Aside, error) {
	p.note("drop %s by %s", id, by)
	return admin.Aside{ID: id}, nil
}

func (p *plant) RepairStates(_ context.Context, actor, by string) error {
	p.note("repair %s by %s", actor, by)
	return nil
}

func (p *plant) ResetState(_ context.Context, actor, by string) error {
	p.note("reset %s by %s", actor, by)
	return nil
}

func (p *plant) History(topic string, after uint64, limit int) (admin.History, error) {
	p.note("history %s %d %d", topic, after, limit)
	if topic == "none" {
		return admin.History{}, errors.New("the topic has no history")
	}
	return admin.History{Position: "e:2", Oldest: 1}, nil
}

func (p *plant) PurgeHistory(topic string, before uint64, by string) (admin.Purged, error) {
	p.note("purge %s %d by %s", topic, before, by)
	return admin.Purged{Messages: 1, Position: "e:2", Oldest: 2}, nil
}

func (p *plant) Nodes() ([]admin.Node, error) {
	return []admin.Node{{Name: "a", State: admin.NodeSelf}, {Name: "b", State: admin.NodeAway}}, nil
}

func (p *plant) ForgetNode(name, by string) error {
	p.note("forget %s by %s", name, by)
	if name != "b" {
		return errors.New("no such node")
	}
	return nil
}

func (p *plant) AskNode(_ context.Context, name string, q admin.Question) (admin.Answer, error) {
	p.note("ask %s for %s by %s", name, q.Path, q.By)
	if name != "b" {
		return admin.Answer{}, errors.New("no such node")
	}
	return admin.Answer{Status: 200, Body: []byte(`[]`)}, nil
}

// serve runs a server on a Unix socket and on a TCP address.
func serve(t *testing.T, p *plant, log *admin.Log) (server *admin.Server, socket, url string) {
	t.Helper()
	server = admin.New(p, admin.Options{Keys: []string{key}, Log: log, MaxModule: 1000, Readers: 3, Deploys: 2, Errors: slog.New(slog.DiscardHandler)})
	socket = filepath.Join(t.TempDir(), "a.sock")
	unix, err := admin.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	for _, l := range []net.Listener{unix, tcp} {
		serving.Go(func() {
			if err := server.Serve(l); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(serving.Wait)
	return server, socket, "http://" + tcp.Addr().String()
}

func shutdown(t *testing.T, s *admin.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func connect(t *testing.T, target admin.Target) *admin.Client {
	t.Helper()
	c, err := admin.Connect(target)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAsking(t *testing.T) {
	p := &plant{}
	server, socket, url := serve(t, p, admin.NewLog())
	defer shutdown(t, server)
	for _, c := range []*admin.Client{
		connect(t, admin.Target{Paths: []string{"/nowhere", socket}}),
		connect(t, admin.Target{URL: url + "/", Key: key}),
	} {
		ctx := t.Context()
		if h, err := c.Health(ctx); err != nil || !h.Ready {
			t.Errorf("health %v, %v", h, err)
		}
		if list, err := c.Plugins(ctx); err != nil || len(list) != 1 || list[0].Name != "chat" || list[0].Crashes != 3 {
			t.Errorf("plugins %v, %v", list, err)
		}
		if list, err := c.Versions(ctx, "chat"); err != nil || len(list) != 1 || list[0].Version != "abc" {
			t.Errorf("versions %v, %v", list, err)
		}
		if _, err := c.Versions(ctx, "chess"); err == nil || err.Error() != "no such plugin: chess" {
			t.Errorf("versions of another: %v", err)
		}
		trees, err := c.Processes(ctx, "chat")
		if err != nil || len(trees) != 1 || trees[0].Children[0].Memory != 7 || p.last() != `processes "chat"` {
			t.Errorf("processes %v, %v, asked %s", trees, err, p.last())
		}
		for wasm, want := range map[string]admin.Deployed{"new": {Version: "v2"}, "old": {Version: "v1", Unchanged: true}} {
			if d, err := c.Deploy(ctx, "chat", []byte(wasm)); err != nil || d != want {
				t.Errorf("deploy %s: %v, %v", wasm, d, err)
			}
		}
		if d, err := c.DryRun(ctx, "chat", []byte("new")); err != nil || !d.DryRun || d.Moves == nil || d.Moves.Losses[0].Process != "room:1" || p.last() != "try chat: 3 bytes" {
			t.Errorf("dry run: %+v, %v, asked %s", d, err, p.last())
		}
		if _, err := c.DryRun(ctx, "chat", []byte("bad")); err == nil || err.Error() != "it is not a WebAssembly module" {
			t.Errorf("dry run of a bad module: %v", err)
		}
		if _, err := c.Deploy(ctx, "chat", []byte("bad")); err == nil || err.Error() != "it is not a WebAssembly module" {
			t.Errorf("bad module: %v", err)
		}
		if _, err := c.Deploy(ctx, "chat", make([]byte, 1001)); err == nil || err.Error() != "the module has more than 1000 bytes" {
			t.Errorf("large module: %v", err)
		}
		if d, err := c.Rollback(ctx, "chat", "abc"); err != nil || d.Version != "v1" || !strings.HasPrefix(p.last(), `rollback chat to "abc" by `) {
			t.Errorf("rollback %v, %v, asked %s", d, err, p.last())
		}
	}
}

func TestFewDeploysAtATime(t *testing.T) {
	p := &plant{slowly: make(chan struct{}), started: make(chan struct{})}
	server, socket, _ := serve(t, p, admin.NewLog())
	defer shutdown(t, server)
	c := connect(t, admin.Target{Paths: []string{socket}})
	first := make(chan error, 2)
	for range 2 {
		go func() { _, err := c.Deploy(context.Background(), "chat", []byte("new")); first <- err }()
		<-p.started
	}
	if _, err := c.Deploy(t.Context(), "chat", []byte("new")); err == nil || !strings.Contains(err.Error(), "2 deploys are under way") {
		t.Errorf("the third: %v", err)
	}
	close(p.slowly)
	for range 2 {
		if err := <-first; err != nil {
			t.Errorf("the first two: %v", err)
		}
	}
}

// A client that waits hears of the version that it runs, and then of what has become of it; or
// that the server ends before that is known.
func TestWaiting(t *testing.T) {
	server, socket, _ := serve(t, &plant{}, admin.NewLog())
	c := connect(t, admin.Target{Paths: []string{socket}})
	var begun admin.Deployed
	v, err := c.DeployAndWait(t.Context(), "chat", []byte("new"), func(d admin.Deployed) { begun = d })
	if want := (admin.Verdict{State: admin.Withdrawn, Cause: "crashes", Now: "v0"}); err != nil || v != want || begun.Version != "v2" {
		t.Errorf("%+v, then %+v, %v", begun, v, err)
	}
	v, err = c.DeployAndWait(t.Context(), "chat", []byte("undecided"), func(admin.Deployed) { go shutdown(t, server) })
	if want := (admin.Verdict{State: admin.Undecided, Cause: "the server ends"}); err != nil || v != want {
		t.Errorf("at the end of the server: %+v, %v", v, err)
	}
	if _, err = c.DeployAndWait(t.Context(), "chat", []byte("new"), nil); err == nil {
		t.Error("after it a deploy succeeds")
	}
}

// Over TCP one needs a key, and is called what one says, with the address.
func TestKeys(t *testing.T) {
	p := &plant{}
	server, _, url := serve(t, p, admin.NewLog())
	defer shutdown(t, server)
	for _, wrong := range []string{"", "another key of bytes"} {
		if _, err := connect(t, admin.Target{URL: url, Key: wrong}).Plugins(t.Context()); err == nil || !strings.Contains(err.Error(), "[admin]") {
			t.Errorf("with key %q: %v", wrong, err)
		}
	}
	c := connect(t, admin.Target{URL: url, Key: key, By: "ada\n" + strings.Repeat("é", 40)})
	if _, err := c.Rollback(t.Context(), "chat", ""); err != nil {
		t.Fatal(err)
	}
	if want := `rollback chat to "" by ada` + strings.Repeat("é", 30) + "@127.0.0.1"; p.last() != want {
		t.Errorf("asked %s, want %s", p.last(), want)
	}
}

func TestConnectErrors(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	leaveSocket(t, stale)
	for _, bad := range []struct {
		target admin.Target
		want   string
	}{
		{admin.Target{}, `turns the admin socket off`},
		{admin.Target{Paths: []string{filepath.Join(dir, "none"), stale}}, "no server listens at " + filepath.Join(dir, "none") + "; start rtd, or say --admin"},
		{admin.Target{URL: "localhost:4001"}, "is no URL of a server"},
	} {
		if _, err := admin.Connect(bad.target); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: %v, want %s", bad.target, err, bad.want)
		}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if _, err := connect(t, admin.Target{URL: "http://" + closed.Addr().String()}).Plugins(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
	other := &http.Server{Handler: http.NotFoundHandler()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go other.Serve(l)
	defer other.Close()
	if _, err := connect(t, admin.Target{URL: "http://" + l.Addr().String()}).Plugins(t.Context()); err == nil || !strings.Contains(err.Error(), "404 Not Found; is it the admin address of an rtd?") {
		t.Errorf("somebody else there: %v", err)
	}
}

// A question for something that is not there is answered by a status, whatever the method.
func TestNotFound(t *testing.T) {
	server, _, url := serve(t, &plant{}, admin.NewLog())
	defer shutdown(t, server)
	for request, want := range map[string]int{"GET /admin/nothing": 404, "GET /admin/deploy": 405, "POST /admin/plugins": 405} {
		method, path, _ := strings.Cut(request, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", request, answer.Status, want)
		}
	}
}

// A question about another node is passed on, and answered there as here; one that changes something is not.
func TestElsewhere(t *testing.T) {
	p := &plant{}
	log := admin.NewLog()
	server, socket, url := serve(t, p, log)
	defer shutdown(t, server)
	c := connect(t, admin.Target{Paths: []string{socket}})
	if _, err := c.On("b").Plugins(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.On("z").Plugins(t.Context()); err == nil || err.Error() != "no such node" {
		t.Errorf("a node that is not there: %v", err)
	}
	if _, err := c.On("b").Rollback(t.Context(), "chat", ""); err == nil || !strings.Contains(err.Error(), "ask the node itself") {
		t.Errorf("a rollback elsewhere: %v", err)
	}
	if list, err := c.Nodes(t.Context()); err != nil || len(list) != 2 || list[1].State != admin.NodeAway {
		t.Errorf("nodes: %v, %v", list, err)
	}
	if err := c.ForgetNode(t.Context(), "a"); err == nil {
		t.Error("a node that is there was forgotten")
	}

	// What the other node answers.
	a, err := server.Answer(t.Context(), admin.Question{Path: "/admin/plugins", By: "ada@a"})
	if err != nil || a.Status != 200 || !json.Valid(a.Body) {
		t.Errorf("answer: %+v, %v", a, err)
	}
	if a, err := server.Answer(t.Context(), admin.Question{Path: "/admin/nothing"}); err != nil || a.Status != 404 {
		t.Errorf("answer: %+v, %v", a, err)
	}
	if _, err := server.Answer(t.Context(), admin.Question{Path: "/admin/logs"}); err == nil {
		t.Error("a log that streams was answered")
	}

	// The log in parts.
	lines := slog.New(log.Handler())
	for i := range 5 {
		lines.Info("line", "n", i)
	}
	first, err := connect(t, admin.Target{URL: url, Key: key}).LogPart(t.Context(), admin.LogQuery{Lines: 2}, nil, false)
	if err != nil || len(first.Lines) != 2 || !strings.Contains(string(first.Lines[1]), `"n":4`) {
		t.Fatalf("the last two: %s, %v", first.Lines, err)
	}
	go lines.Info("late")
	late, err := c.LogPart(t.Context(), admin.LogQuery{}, &first.Next, true)
	if err != nil || len(late.Lines) != 1 || !strings.Contains(string(late.Lines[0]), "late") || late.Next != first.Next+1 {
		t.Errorf("what comes: %+v, %v", late, err)
	}
}
