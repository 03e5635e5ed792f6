package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startPatience is how long the embedded server may take after it has read its files.
const startPatience = 10 * time.Second

// engine is the embedded server. The keeper alone starts and stops it.
type engine struct {
	options *Options
	log     *slog.Logger
	worried func() // called when the server reports an error, from any goroutine

	folder *folder

	mu     sync.Mutex
	server *server.Server // nil: not running
}

// ensure has the server run, on a folder that can be written.
func (e *engine) ensure() error {
	if e.folder == nil {
		f, err := openFolder(e.options.Dir)
		if err != nil {
			return err
		}
		e.folder = f
	}
	err := e.folder.there()
	if err == nil {
		err = e.folder.probe()
	}
	if err != nil {
		e.halt()
		return err
	}
	if e.server != nil && e.server.JetStreamEnabled() {
		return nil
	}
	e.halt()
	return e.start()
}

func (e *engine) start() error {
	before, err := e.folder.survey()
	if err != nil {
		return err
	}
	lines := &natsLog{log: e.log, worried: e.worried}
	s, err := server.NewServer(&server.Options{
		ServerName:             "rtd",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               filepath.Join(e.options.Dir, alone),
		JetStreamMaxMemory:     1 << 20, // nothing is stored there
		JetStreamMaxStore:      e.options.MaxBytes + e.options.MaxBytes/16,
		SyncAlways:             e.options.SyncEvery == 0,
		SyncInterval:           e.options.SyncEvery,
		MaxPayload:             2 * MaxData,
	})
	if err != nil {
		return fmt.Errorf("prepare embedded server: %w", err)
	}
	s.SetLoggerV2(lines, false, false, false)
	s.Start()
	if fatal := lines.fatal(); fatal != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return fmt.Errorf("start embedded server: %w", fatal)
	}
	if !s.ReadyForConnections(startPatience) {
		s.Shutdown()
		s.WaitForShutdown()
		return errors.New("start embedded server: it does not become ready")
	}
	if err := e.folder.note(before, e.streams(s)); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return err
	}
	if e.folder.stores, err = os.Stat(filepath.Join(e.options.Dir, alone)); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return fmt.Errorf("look at folder: %w", err)
	}
	lines.up()
	e.mu.Lock()
	e.server = s
	e.mu.Unlock()
	return nil
}

// streams returns what the server has read of each stream: whether all of it.
func (e *engine) streams(s *server.Server) map[string]*server.LostStreamData {
	read := map[string]*server.LostStreamData{}
	info, err := s.Jsz(&server.JSzOptions{Streams: true, Accounts: true})
	if err != nil {
		return read // none is known then, and all are damaged
	}
	for _, account := range info.AccountDetails {
		for _, stream := range account.Streams {
			read[stream.Name] = stream.State.Lost
		}
	}
	return read
}

// halt ends the server, if it runs, and reports whether it did.
func (e *engine) halt() bool {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s == nil {
		return false
	}
	s.Shutdown()
	s.WaitForShutdown()
	return true
}

// stop ends the server and lets go of the folder. It is a proper end unless something could not be written.
func (e *engine) stop(proper bool) (err error) {
	if e.halt() && proper {
		err = e.folder.ended()
	}
	if e.folder != nil {
		err = errors.Join(err, e.folder.close())
		e.folder = nil
	}
	return err
}

var errNotRunning = errors.New("the embedded server does not run")

// InProcessConn implements [nats.InProcessConnProvider].
func (e *engine) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	s := e.server
	e.mu.Unlock()
	if s == nil {
		return nil, errNotRunning
	}
	return s.InProcessConn()
}

// placed returns the folder of a stream, with what it is; nil for a server elsewhere.
func (e *engine) placed(stream string) (path string, is os.FileInfo, err error) {
	if e == nil {
		return "", nil, nil
	}
	path = filepath.Join(e.options.Dir, alone, "jetstream", server.DEFAULT_GLOBAL_ACCOUNT, "streams", stream)
	if is, err = os.Stat(path); err != nil {
		return "", nil, because(ErrDown, err)
	}
	return path, is, nil
}

// damaged returns why a stream must not be used, or nil.
func (e *engine) damaged(stream string) error {
	if e == nil {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(e.options.Dir, marks, stream))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return because(ErrDamaged, err)
	}
	return fmt.Errorf("%w: %s: %s", ErrDamaged, stream, text)
}

// mark notes that a stream must not be used.
func (e *engine) mark(stream, text string) error {
	return (&folder{dir: e.options.Dir}).mark(stream, text)
}
