package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxJWKS     = 256 << 10       // bytes of a key set
	fileEvery   = 2 * time.Second // how often a JWKS file is read
	loadTimeout = 5 * time.Second
)

// source is a JWKS and its keys. One goroutine, in run, loads it; whoever misses a key
// asks for a load and waits for its end.
type source struct {
	name       string // for logs: no password, no query
	algorithms []string
	load       func(context.Context) ([]byte, error)
	every      time.Duration
	cooldown   time.Duration
	staleAfter time.Duration
	log        *slog.Logger

	sum  [sha256.Size]byte // of what keys are from; who loads owns it: New, then run
	wake chan struct{}     // one element: load before it is time

	mu       sync.Mutex
	running  bool
	keys     keySet
	loaded   time.Time     // the last load with success
	begun    time.Time     // the last load, or its request
	done     chan struct{} // closed at the end of the load that was asked for; nil: none was
	failure  string        // of the last load; "" after success
	failures uint64
}

func newFileSource(c Config) *source {
	s := newSource(c, c.JWKSFile, fileEvery)
	s.load = func(context.Context) ([]byte, error) { return readFile(c.JWKSFile, maxJWKS) }
	s.cooldown = min(s.cooldown, fileEvery)
	return s
}

func newURLSource(c Config) (*source, error) {
	u, err := url.Parse(c.JWKSURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("JWKS URL is malformed; expected https://HOST/PATH") // err would quote its password
	}
	name := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("JWKS URL %s is not safe; expected https, as who can change the answer can sign tokens", name)
	}
	s := newSource(c, name, c.Refresh)
	s.load = fetch(u.String(), c.Transport)
	return s, nil
}

func newSource(c Config, name string, every time.Duration) *source {
	return &source{
		name:       name,
		algorithms: c.Algorithms,
		every:      every,
		cooldown:   c.Cooldown,
		staleAfter: c.StaleAfter,
		log:        c.Log,
		wake:       make(chan struct{}, 1),
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fetch returns a function that gets the body behind an address.
func fetch(address string, transport http.RoundTripper) func(context.Context) ([]byte, error) {
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxResponseHeaderBytes = 64 << 10
		own.DisableKeepAlives = true // the next load is minutes away
		transport = own
	}
	client := &http.Client{
		Transport: transport,
		// A redirect could lead from https to http, or into the own network.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Accept", "application/jwk-set+json, application/json")
		response, err := client.Do(request)
		if err != nil {
			if outer, ok := errors.AsType[*url.Error](err); ok {
				err = outer.Err // without the address, which may have a password in it
			}
			return nil, err
		}
		defer response.Body.Close()
		if response.StatusCode/100 == 3 {
			return nil, fmt.Errorf("the answer is %s; set the URL that it leads to", response.Status)
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the answer is %s", response.Status)
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, maxJWKS+1))
		if err != nil {
			return nil, err
		}
		if len(body) > maxJWKS {
			return nil, fmt.Errorf("the answer has more than %d bytes", maxJWKS)
		}
		return body, nil
	}
}

// run loads until ctx ends.
func (s *source) run(ctx context.Context) {
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running = false
		s.finish()
		s.mu.Unlock()
	}()
	for {
		err := s.reload(ctx)
		pause := s.every
		if err != nil {
			pause = min(pause, s.cooldown)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.wake:
			timer.Stop()
		}
	}
}

// reload loads once. On an error the keys stay what they were.
func (s *source) reload(ctx context.Context) error {
	s.mu.Lock()
	s.begun = time.Now()
	if s.done == nil {
		s.done = make(chan struct{})
	}
	s.mu.Unlock()
	select {
	case <-s.wake: // this is what was asked for
	default:
	}
	data, err := s.load(ctx)
	if err == nil {
		err = s.take(data)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.finish()
	if err != nil {
		s.failures++
		if s.failure != err.Error() && ctx.Err() == nil { // the same every ten seconds would hide other lines
			s.log.Warn("JWKS could not be loaded; the keys of the last load stay until they are too old",
				"jwks", s.name, "loaded", s.loaded, "stale_after", s.staleAfter, "cause", err)
		}
		s.failure = err.Error()
		return err
	}
	if s.failure != "" {
		s.log.Info("JWKS is loaded again", "jwks", s.name)
	}
	s.failure, s.loaded = "", time.Now()
	return nil
}

// take makes the keys of a set the current ones.
func (s *source) take(data []byte) error {
	sum := sha256.Sum256(data)
	if sum == s.sum {
		return nil
	}
	keys, ignored, err := parseJWKS(data, s.algorithms)
	if err != nil {
		return err
	}
	for _, cause := range ignored {
		s.log.Warn("JWKS has a key that is not used", "jwks", s.name, "cause", cause)
	}
	if len(keys) == 0 {
		s.log.Warn("JWKS has no key that can be used; all its tokens are refused", "jwks", s.name)
	} else {
		s.log.Info("JWKS loaded", "jwks", s.name, "keys", len(keys))
	}
	s.sum = sum
	s.mu.Lock()
	s.keys = keys
	s.mu.Unlock()
	return nil
}

// finish lets those go on who wait for a load. s.mu is held.
func (s *source) finish() {
	if s.done != nil {
		close(s.done)
		s.done = nil
	}
}

// current returns the keys that may be used now: none when they are too old.
func (s *source) current() (keys keySet, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded.IsZero() || time.Since(s.loaded) > s.staleAfter {
		return nil, false
	}
	return s.keys, true
}

// again asks for a load and waits for it. It returns false if there was none, as the
// last one is too recent or nobody runs, or if ctx ended before it did.
func (s *source) again(ctx context.Context) bool {
	s.mu.Lock()
	if !s.running {
		s.mu.Unlock()
		return false
	}
	if s.done == nil {
		if time.Since(s.begun) < s.cooldown {
			s.mu.Unlock()
			return false
		}
		s.begun = time.Now()
		s.done = make(chan struct{})
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	done := s.done
	s.mu.Unlock()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *source) stats() SourceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := time.Duration(-1)
	if !s.loaded.IsZero() {
		age = time.Since(s.loaded)
	}
	return SourceStats{Name: s.name, Keys: len(s.keys), Age: age, Failures: s.failures}
}
