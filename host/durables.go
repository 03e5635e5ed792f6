package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rtd/host/bus"
	"rtd/host/disk"
	"rtd/host/durable"
	"rtd/host/durable/store"
	"rtd/host/release"
	"rtd/host/rollout"
)

// maxDurableState is the most that durable_state may say, in bytes.
const maxDurableState = 1_310_720

// durables has the keeper of durable actors, which begins with the first plugin that has any.
type durables struct {
	need     func(by string) (*bus.Bus, error)
	plugins  *rollout.Set
	settings func(plugin string) release.Settings
	history  int64 // bytes that histories may have
	kept     func(topic string) (durable, known bool)
	marker   string        // a file that says that states were stored; "": none
	read     chan struct{} // what is stored has been read
	log      *slog.Logger

	mu     sync.Mutex
	keeper *store.Keeper // nil: nobody has needed it
	closed bool
}

// get returns the keeper, and has it begin if it has not. The error is about the config.
func (d *durables) get() (*store.Keeper, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keeper != nil {
		return d.keeper, nil
	}
	if d.closed {
		return nil, fmt.Errorf("%w: the server ends", durable.ErrUnavailable)
	}
	b, err := d.need("durable actors")
	if err != nil {
		return nil, err
	}
	d.keeper = store.Open(b, store.Options{
		MaxState: maxDurableState, // durable_state of each plugin's table holds before that
		Room:     func(plugin string) int64 { return d.settings(plugin).DurableBytes },
		Keep:     func(plugin string) time.Duration { return d.settings(plugin).DurableKeep },
		Busy:     d.plugins.Awake,
		Posted:   d.plugins.Posted,
		Due:      d.plugins.Due,
		History:  func() int64 { return d.history },
		Kept:     d.kept,
		Begins:   d.begins,
		Begun:    d.noteBegun,
		Log:      d.log,
	})
	return d.keeper, nil
}

// markerOf is the file in the versions folder, beside which a bus may vanish, that says that states were stored.
func markerOf(versions string) string {
	if versions == "" {
		return ""
	}
	return filepath.Join(versions, "durable.json")
}

// stored is the content of the marker.
type stored struct {
	Since time.Time `json:"since"`
}

// begins returns an error if states were stored before.
func (d *durables) begins() error {
	text, err := disk.Read(d.marker, 4<<10)
	if errors.Is(err, fs.ErrNotExist) || d.marker == "" {
		return nil
	}
	var s stored
	_ = json.Unmarshal(text, &s) // that it is there is what counts
	return fmt.Errorf("the bus has no durable states, and %s says that some were stored since %s", d.marker, s.Since.Local().Format(time.DateTime))
}

// noteBegun is told that what is stored has been read, and leaves the marker.
func (d *durables) noteBegun() {
	d.lookAgain()
	if d.marker == "" {
		return
	}
	if _, err := os.Stat(d.marker); err == nil {
		return
	}
	text, err := json.Marshal(stored{time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		_, err = disk.Replace(d.marker, 0o600, disk.Bytes(append(text, '\n')))
	}
	if err != nil {
		d.log.Warn("should the bus be lost, it would not be noticed that states were stored", "cause", err)
	}
}

// lookAgain has watch call back: what is stored is another.
func (d *durables) lookAgain() {
	select {
	case d.read <- struct{}{}:
	default:
	}
}

// watch calls back each time that durable actors can be stored again, until ctx ends: plugins may wait for that.
func (d *durables) watch(ctx context.Context, back func()) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for away := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-d.read:
			away = true // for a moment, perhaps
		}
		k := d.begun()
		if k == nil {
			continue
		}
		if k.Err() != nil {
			away = true
		} else if away {
			away = false
			back()
		}
	}
}

// histories is begun for those who keep histories.
func (d *durables) histories() durable.Histories {
	if k := d.begun(); k != nil {
		return k
	}
	return nil
}

// begun returns the keeper if it has begun.
func (d *durables) begun() *store.Keeper {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keeper
}

// uses returns which versions and snapshots the stored states of a plugin need, and whether that is known at the moment.
func (d *durables) uses(plugin string) (uses map[durable.Use]int, known bool) {
	k := d.begun()
	if k == nil || k.Err() != nil {
		return nil, false
	}
	return k.Uses(plugin), true
}

// reason returns why the server is not ready, or "". It is for strangers: causes are in the log.
func (d *durables) reason() string {
	if k := d.begun(); k != nil && k.Err() != nil {
		return "durable actors are not available"
	}
	return ""
}

// close ends the keeper. All plugins have ended.
func (d *durables) close() error {
	d.mu.Lock()
	d.closed = true
	k := d.keeper
	d.mu.Unlock()
	if k == nil {
		return nil
	}
	if err := k.Close(); err != nil {
		return fmt.Errorf("close durable actors: %w", err)
	}
	return nil
}
