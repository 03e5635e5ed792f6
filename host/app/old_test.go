package app_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels"
	"rtd/host/app"
	"rtd/host/durable"
	"rtd/host/process"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
	"rtd/supervisor"
)

// owner loads releases as it is told.
type owner struct {
	load  func(ctx context.Context) (*release.Release, error)
	loads int
}

func (o *owner) Background(f func()) bool               { go f(); return true }
func (o *owner) TreeFailed(error)                       {}
func (o *owner) CountCrash(string, supervisor.Decision) {}
func (o *owner) Refused(string, error)                  {}
func (o *owner) Regranted(_, _ *release.Release)        {}
func (o *owner) LoadOld(ctx context.Context, _ durable.Use) (*release.Release, error) {
	o.loads++
	return o.load(ctx)
}

// oldRelease is one of a module that is loaded outside of the bubble.
func oldRelease(t *testing.T, e *sandbox.Engine) *release.Release {
	t.Helper()
	wasm := sandboxtest.Module()
	module, err := e.Load(context.Background(), wasm, sandbox.LoadOptions{Name: "p", Version: "v"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(module.Close)
	r, err := release.NewOld("p", module, wasm, sha256.Sum256(wasm), release.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// inApp runs f with an application in a bubble, and ends that.
func inApp(t *testing.T, o *owner, f func(t *testing.T, a *app.App)) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		crashes := app.NewCrashLog(log)
		defer crashes.Close()
		endpoint := channels.NewEndpoint(channels.Limits{})
		defer endpoint.Presence.Close()
		a := app.New("p", o, &process.Node{Runtime: supervisor.New(supervisor.Options{}), Endpoint: endpoint, Log: log}, crashes)
		defer time.Sleep(time.Hour) // so that the runtime's goroutines go
		defer a.Discard()
		f(t, a)
	})
}

var use = durable.Use{Version: strings.Repeat("a", 64), Snapshot: strings.Repeat("b", 64)}

// A version that was loaded for states stays for a while after it was asked for, and as long as somebody lives in it.
func TestOldReleaseStaysForAWhile(t *testing.T) {
	e := sandboxtest.Engine(t)
	first, second := oldRelease(t, e), oldRelease(t, e)
	o := &owner{}
	inApp(t, o, func(t *testing.T, a *app.App) {
		o.load = func(context.Context) (*release.Release, error) {
			time.Sleep(time.Second)
			return map[int]*release.Release{1: first, 2: second}[o.loads], nil
		}
		want := func(want *release.Release) {
			t.Helper()
			if r, err := a.ReleaseOf(t.Context(), use); r != want || err != nil {
				t.Errorf("%p, %v, want %p", r, err, want)
			}
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := a.ReleaseOf(hurried, use); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in a hurry: %v", err)
		}
		want(first)
		i, err := first.Module.Start("", nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		want(first) // somebody lives in it
		i.Close()
		for range 10 {
			time.Sleep(50 * time.Second)
			want(first) // it was asked for again
		}
		if fmt.Sprint(a.Uses()) != fmt.Sprint([]durable.Use{use}) {
			t.Errorf("uses %v", a.Uses())
		}
		time.Sleep(5 * time.Minute)
		if !first.Retired() || len(a.Uses()) != 0 {
			t.Errorf("retired %v, uses %v", first.Retired(), a.Uses())
		}
		want(second)
	})
	if o.loads != 2 || !second.Retired() {
		t.Errorf("loaded %d times; at the end retired %v", o.loads, second.Retired())
	}
}

// A version that cannot be loaded is not tried again for each state that needs it, but is by and by.
func TestOldReleaseIsTriedAgain(t *testing.T) {
	r, o, broken := oldRelease(t, sandboxtest.Engine(t)), &owner{}, errors.New("the disk is broken")
	inApp(t, o, func(t *testing.T, a *app.App) {
		o.load = func(context.Context) (*release.Release, error) { return nil, broken }
		for range 10 {
			if _, err := a.ReleaseOf(t.Context(), use); !errors.Is(err, broken) {
				t.Errorf("%v, want %v", err, broken)
			}
		}
		if o.loads != 1 {
			t.Errorf("tried %d times at once", o.loads)
		}
		o.load = func(context.Context) (*release.Release, error) { return r, nil }
		time.Sleep(10 * time.Second)
		if got, err := a.ReleaseOf(t.Context(), use); got != r || err != nil {
			t.Errorf("afterwards %v, %v", got, err)
		}
	})
}

// The end of the plugin ends what is being loaded.
func TestOldReleaseEndsWithThePlugin(t *testing.T) {
	o := &owner{load: func(ctx context.Context) (*release.Release, error) { <-ctx.Done(); return nil, ctx.Err() }}
	inApp(t, o, func(t *testing.T, a *app.App) {
		done := make(chan error)
		go func() {
			_, err := a.ReleaseOf(t.Context(), use)
			done <- err
		}()
		synctest.Wait()
		a.Discard()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "the plugin ends") {
			t.Errorf("%v", err)
		}
	})
}
